//! The daemon's end of the control socket.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{ConnectInfo, State, connect_info::Connected},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::IncomingStream,
};
use tokio::{
    net::UnixListener,
    sync::{mpsc, oneshot},
};

use super::{Begin, Caller, Refused, Request, sweep::Sweeper};

/// Everybody may connect: a session only takes rights away from the one who asks for it. What a caller may
/// see beyond that is decided by who the kernel says it is.
const MODE: u32 = 0o666;

/// The socket's file, and its directory where that was made for it: taken away with the server.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    made: Option<PathBuf>,
    /// For the end that runs no code. None where it could not be started.
    _sweeper: Option<Sweeper>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let file = fs::remove_file(&self.path);
        let directory = self.made.as_ref().map_or(Ok(()), fs::remove_dir);
        if let Err(error) = file.and(directory) {
            log::warn!("{} cannot be removed: {error}", self.path.display());
        }
    }
}

/// Makes the socket. One that a dead daemon left is replaced; one that a living daemon answers on is not.
///
/// # Errors
///
/// Where the path is taken, or cannot be made.
pub fn bind(path: &Path) -> io::Result<(UnixListener, Socket)> {
    let made =
        path.parent().filter(|directory| !directory.as_os_str().is_empty() && !directory.exists());
    if let Some(directory) = made {
        fs::create_dir_all(directory)?;
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is a file in its place",
            ));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another daemon answers there"));
        }
        Ok(_) => fs::remove_file(path)?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    let sweeper = Sweeper::start(path, made)
        .inspect_err(|error| log::warn!("{} will be left after SIGKILL: {error}", path.display()));
    let made = made.map(Path::to_owned);
    let socket = Socket { path: path.to_owned(), made, _sweeper: sweeper.ok() };
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    Ok((listener, socket))
}

/// Answers requests until the runtime ends.
///
/// # Errors
///
/// Where the socket cannot be accepted from.
pub async fn serve(listener: UnixListener, requests: mpsc::Sender<Request>) -> io::Result<()> {
    let routes = Router::new()
        .route("/v1/sessions", post(begin))
        .route("/v1/status", get(status))
        .with_state(requests);
    axum::serve(listener, routes.into_make_service_with_connect_info::<At>()).await
}

/// Who is connected; taken when the connection was made.
#[derive(Clone, Debug)]
struct At(Arc<io::Result<Caller>>);

impl Connected<IncomingStream<'_, UnixListener>> for At {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(Arc::new(Caller::of(stream.io())))
    }
}

fn refused(status: StatusCode, error: impl Into<String>) -> Response {
    (status, Json(Refused { error: error.into() })).into_response()
}

fn stopping() -> Response {
    refused(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping, try again")
}

async fn begin(
    State(requests): State<mpsc::Sender<Request>>,
    ConnectInfo(At(caller)): ConnectInfo<At>,
    Json(Begin { agent }): Json<Begin>,
) -> Response {
    let caller = match &*caller {
        Ok(Caller { pid, uid, pidfd }) => match pidfd.try_clone() {
            Ok(pidfd) => Caller { pid: *pid, uid: *uid, pidfd },
            Err(error) => return refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        Err(error) => {
            let error = format!("the kernel does not say who is asking: {error}");
            return refused(StatusCode::FORBIDDEN, error);
        }
    };
    let (answer, answered) = oneshot::channel();
    if requests.send(Request::Begin { caller, agent, answer }).await.is_err() {
        return stopping();
    }
    match answered.await {
        Ok(Ok(begun)) => (StatusCode::CREATED, Json(begun)).into_response(),
        Ok(Err(Refused { error })) => refused(StatusCode::UNPROCESSABLE_ENTITY, error),
        Err(_) => stopping(),
    }
}

async fn status(
    State(requests): State<mpsc::Sender<Request>>,
    ConnectInfo(At(caller)): ConnectInfo<At>,
) -> Response {
    match &*caller {
        Ok(caller) if caller.uid == 0 => {}
        _ => return refused(StatusCode::FORBIDDEN, "only root may see the status: use sudo"),
    }
    let (answer, answered) = oneshot::channel();
    if requests.send(Request::Status { answer }).await.is_err() {
        return stopping();
    }
    answered.await.map_or_else(|_| stopping(), |status| Json(status).into_response())
}
