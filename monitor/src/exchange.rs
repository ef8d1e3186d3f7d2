//! Exchange: one HTTP request over a UNIX socket, and its answer.
//!
//! The command line asks the daemon by it, and the daemon container engines. It knows no paths and reads no
//! answers. How long an answer may take is for the caller to say; how long it may be is said here.

use std::{io, path::Path};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, task::JoinHandle};

/// Bytes that the body of an answer may have.
pub(crate) const ANSWER_BYTES: usize = 16 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// Nobody is there.
    #[error("{0}")]
    Unreachable(#[source] io::Error),
    /// What comes is not HTTP, ends early or never ends.
    #[error("{0}")]
    Garbled(String),
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub(crate) struct Answer {
    /// How it went.
    pub(crate) status: StatusCode,
    /// The rest.
    body: Incoming,
    _driver: Driver,
}

/// What reads and writes a socket; ends with whoever holds it.
#[derive(Debug)]
pub(crate) struct Driver(JoinHandle<()>);

impl Driver {
    /// Lets a connection go on by itself.
    pub(crate) fn of(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Self {
        Self(tokio::spawn(async move {
            if let Err(error) = connection.await {
                log::debug!("a connection ended: {error}"); // whoever reads the answer is told as well
            }
        }))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks, and waits for the beginning of the answer.
pub(crate) async fn ask(
    socket: &Path,
    request: Request<Full<Bytes>>,
) -> Result<Answer, ExchangeError> {
    let stream = UnixStream::connect(socket).await.map_err(ExchangeError::Unreachable)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(garbled)?;
    let driver = Driver::of(connection);
    let answer = sender.send_request(request).await.map_err(garbled)?;
    Ok(Answer { status: answer.status(), body: answer.into_body(), _driver: driver })
}

impl Answer {
    /// All of the body.
    pub(crate) async fn whole(self) -> Result<Bytes, ExchangeError> {
        let body = Limited::new(self.body, ANSWER_BYTES).collect().await;
        Ok(body.map_err(|error| ExchangeError::Garbled(error.to_string()))?.to_bytes())
    }

    /// The next piece of a body that goes on and on. `None` at its end.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, ExchangeError>> {
        loop {
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(garbled(error))),
            }
        }
    }
}

/// With its causes: the first one says only that it went wrong.
pub(crate) fn garbled(error: hyper::Error) -> ExchangeError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    ExchangeError::Garbled(text)
}
