//! containerd as the daemon sees it: its gRPC API on a UNIX socket, so much of it as is asked.
//!
//! The messages are written by the numbers of containerd's own `.proto` files. It starts nothing: a test puts
//! processes where a container would have them. The containers are those of [`crate::engine`].

use std::{
    collections::BTreeMap,
    convert::Infallible,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    thread,
};

use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Request, Response,
    body::{Body, Bytes, Frame, Incoming},
    header::HeaderValue,
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::UnixListener,
    sync::{mpsc, watch},
};

use crate::engine::Contained;

type Answer = UnsyncBoxBody<Bytes, Infallible>;

#[derive(Debug, Default)]
struct Inner {
    /// By namespace and id.
    containers: BTreeMap<(String, String), Contained>,
    listeners: Vec<mpsc::UnboundedSender<Bytes>>,
}

/// The engine. Dropped, it is gone with its socket and all connections.
#[derive(Debug)]
pub struct Containerd {
    socket: PathBuf,
    inner: Arc<Mutex<Inner>>,
    _ends_with_this: watch::Sender<()>,
}

fn locked(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Containerd {
    /// Listens at this path.
    pub fn start(socket: &Path) -> anyhow::Result<Self> {
        let inner: Arc<Mutex<Inner>> = Arc::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(socket)?
        };
        let (ends, mut ended) = watch::channel(());
        let shared = Arc::clone(&inner);
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = ended.changed() => {}
                    () = serve(listener, shared) => {}
                }
            });
        });
        Ok(Self { socket: socket.to_owned(), inner, _ends_with_this: ends })
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A container of a namespace is there, or is another one than before, and this has happened to it.
    pub fn tell(&self, namespace: &str, container: &Contained, topic: &str) {
        let mut inner = locked(&self.inner);
        let key = (namespace.to_owned(), container.id.clone());
        inner.containers.insert(key, container.clone());
        inner.tell(namespace, container, topic);
    }

    /// A container has ended and is taken away.
    pub fn end(&self, namespace: &str, container: &Contained) {
        let mut inner = locked(&self.inner);
        inner.containers.remove(&(namespace.to_owned(), container.id.clone()));
        inner.tell(namespace, container, "/tasks/delete");
        inner.tell(namespace, container, "/containers/delete");
    }
}

impl Inner {
    fn tell(&mut self, namespace: &str, container: &Contained, topic: &str) {
        let event = text(1, &container.id);
        let any = [text(1, "containerd.events.AnyOfThem"), field(2, &event)].concat();
        let time = field(1, &[0x08, 1]);
        let envelope = [time, text(2, namespace), text(3, topic), field(4, &any)].concat();
        self.listeners.retain(|listener| listener.send(framed(&envelope)).is_ok());
    }
}

async fn serve(listener: UnixListener, inner: Arc<Mutex<Inner>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let inner = Arc::clone(&inner);
        let service = service_fn(move |request| answer(Arc::clone(&inner), request));
        let served = http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(served);
    }
}

async fn answer(
    inner: Arc<Mutex<Inner>>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let path = request.uri().path().to_owned();
    let namespace = request.headers().get("containerd-namespace");
    let namespace = namespace.and_then(|name| name.to_str().ok()).unwrap_or_default().to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    // One text in field 1, or nothing.
    let id = String::from_utf8_lossy(body.get(7..).unwrap_or_default()).into_owned();
    if path.ends_with("Events/Subscribe") {
        let (listener, told) = mpsc::unbounded_channel();
        locked(&inner).listeners.push(listener);
        return Ok(reply(Events(told).boxed_unsync()));
    }
    let message = message(&locked(&inner), &path, &namespace, &id);
    let status = if message.is_some() { "0" } else { "5" };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let body = Full::new(message.map(|message| framed(&message)).unwrap_or_default());
    Ok(reply(body.with_trailers(async { Some(Ok(trailers)) }).boxed_unsync()))
}

fn reply(body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

/// The answer to a question. `None` where there is no such thing.
fn message(inner: &Inner, path: &str, namespace: &str, id: &str) -> Option<Vec<u8>> {
    let of_namespace = inner.containers.iter().filter(|((of, _), _)| of == namespace);
    let known = || inner.containers.get(&(namespace.to_owned(), id.to_owned()));
    // `/containerd.services.tasks.v1.Tasks/List`
    match path.rsplit('.').next().unwrap_or_default() {
        "Namespaces/List" => {
            let mut names: Vec<&str> = inner.containers.keys().map(|(of, _)| of.as_str()).collect();
            names.dedup();
            Some(names.into_iter().flat_map(|name| field(1, &text(1, name))).collect())
        }
        "Tasks/List" => {
            let running = of_namespace.filter(|(_, container)| container.pid != 0);
            Some(running.flat_map(|(_, container)| field(1, &task(container))).collect())
        }
        "Tasks/Get" => known().filter(|known| known.pid != 0).map(|known| field(1, &task(known))),
        "Containers/Get" => known().map(|known| field(1, &container(known))),
        _ => None,
    }
}

/// `containerd.v1.types.Process`
fn task(container: &Contained) -> Vec<u8> {
    [text(2, &container.id), number(3, container.pid.into()), number(4, 2)].concat()
}

/// `containerd.services.containers.v1.Container`
fn container(container: &Contained) -> Vec<u8> {
    let mut message = text(1, &container.id);
    for (key, value) in &container.labels {
        message.extend(field(2, &[text(1, key), text(2, value)].concat()));
    }
    message.extend(text(3, &container.image));
    message.extend(field(4, &text(1, "io.containerd.runc.v2")));
    let specification = serde_json::json!({
        "ociVersion": "1.1.0", "process": { "args": ["sleep", "60"] },
        "linux": { "cgroupsPath": container.cgroup_parent, "resources": {} },
    });
    let any = [
        text(1, "types.containerd.io/opencontainers/runtime-spec/1/Spec"),
        text(2, &specification.to_string()),
    ];
    message.extend(field(5, &any.concat()));
    message.extend(text(6, "overlayfs"));
    message
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("a short message");
    [&[0][..], &length.to_be_bytes(), message].concat().into()
}

fn text(key: u8, text: &str) -> Vec<u8> {
    field(key, text.as_bytes())
}

fn field(key: u8, bytes: &[u8]) -> Vec<u8> {
    [vec![key << 3 | 2], varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn number(key: u8, value: u64) -> Vec<u8> {
    [vec![key << 3], varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        bytes.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return bytes;
        }
    }
}

/// Events, for as long as the engine is there.
struct Events(mpsc::UnboundedReceiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.socket);
    }
}
