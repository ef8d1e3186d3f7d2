//! gRPC: calls over one connection of HTTP/2, their messages as bytes.
//!
//! Only what an engine is asked takes: one message there, one back or a stream of them, no compression. What the
//! messages mean is for [`super::containerd`].

use std::path::Path;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    HeaderMap, Request,
    body::{Bytes, Incoming},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::UnixStream, sync::mpsc};

use super::{EVENT_BYTES, EngineError};
use crate::exchange::{ANSWER_BYTES, Driver, ExchangeError, garbled};

/// A connection.
pub(super) struct Channel {
    sender: http2::SendRequest<Full<Bytes>>,
    _driver: Driver,
}

/// What a call came to, `grpc-status`.
const OK: &str = "0";
/// There is no such thing.
const NOT_FOUND: &str = "5";

impl Channel {
    /// Connects.
    pub(super) async fn open(socket: &Path) -> Result<Self, EngineError> {
        let stream = UnixStream::connect(socket).await.map_err(ExchangeError::Unreachable)?;
        let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(garbled)?;
        Ok(Self { sender, _driver: Driver::of(connection) })
    }

    /// One message back. `None` where there is no such thing.
    pub(super) async fn call(
        &mut self,
        method: &str,
        namespace: &str,
        message: &[u8],
    ) -> Result<Option<Bytes>, EngineError> {
        let (head, body) = self.send(method, namespace, message).await?;
        let answer = Limited::new(body, ANSWER_BYTES).collect().await;
        let answer = answer.map_err(EngineError::garbled)?;
        // Without a message the status comes in the head.
        let status = answer.trailers().and_then(status).or_else(|| status(&head));
        match status.as_deref() {
            Some(OK) => {}
            Some(NOT_FOUND) => return Ok(None),
            status => return Err(refused(method, status)),
        }
        let mut bytes = answer.to_bytes();
        match message_length(&bytes, ANSWER_BYTES)? {
            Some(length) if bytes.len() == HEAD + length => Ok(Some(bytes.split_off(HEAD))),
            _ => Err(EngineError::garbled("a message that ends early, or is several")),
        }
    }

    /// A stream of messages. The request is on its way before any that comes after it.
    pub(super) fn subscribe(&mut self, method: &'static str) -> Result<Stream, EngineError> {
        let answer = self.sender.send_request(request(method, "", &[])?);
        let (told, said) = mpsc::channel(WAITING);
        // It ends with the connection. The answer may have no beginning before the first message.
        tokio::spawn(async move {
            let error = match answer.await.map_err(|error| garbled(error).into()) {
                Ok(answer) => match status(answer.headers()) {
                    None => read(answer.into_body(), &told).await,
                    status => refused(method, status.as_deref()),
                },
                Err(error) => error,
            };
            let _nobody_listens = told.send(Err(error)).await;
        });
        Ok(Stream(said))
    }

    async fn send(
        &mut self,
        method: &str,
        namespace: &str,
        message: &[u8],
    ) -> Result<(HeaderMap, Incoming), EngineError> {
        let request = request(method, namespace, message)?;
        let answer = self.sender.send_request(request).await.map_err(garbled)?;
        if !answer.status().is_success() {
            return Err(EngineError::Status(answer.status().as_u16()));
        }
        let (head, body) = answer.into_parts();
        Ok((head.headers, body))
    }
}

fn request(
    method: &str,
    namespace: &str,
    message: &[u8],
) -> Result<Request<Full<Bytes>>, EngineError> {
    let length = u32::try_from(message.len()).map_err(EngineError::garbled)?;
    let body = [&[0][..], &length.to_be_bytes(), message].concat();
    let request = Request::post(format!("http://localhost{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let request = if namespace.is_empty() {
        request
    } else {
        request.header("containerd-namespace", namespace)
    };
    request.body(Full::new(Bytes::from(body))).map_err(EngineError::garbled)
}

fn status(headers: &HeaderMap) -> Option<String> {
    let status = headers.get("grpc-status")?;
    Some(String::from_utf8_lossy(status.as_bytes()).into_owned())
}

fn refused(method: &str, status: Option<&str>) -> EngineError {
    EngineError::garbled(format!("{method}: gRPC status {}", status.unwrap_or("missing")))
}

/// Bytes before a message: whether it is compressed, and its length.
const HEAD: usize = 5;

/// The length of the message that begins here. `None` where too little of it has come to know.
fn message_length(bytes: &[u8], most: usize) -> Result<Option<usize>, EngineError> {
    let Some(&[compressed, a, b, c, d]) = bytes.first_chunk::<HEAD>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    match compressed {
        0 if length <= most => Ok(Some(length)),
        0 => Err(EngineError::long_event()),
        _ => Err(EngineError::garbled("a compressed message that nobody asked for")),
    }
}

/// Messages as they come.
pub(super) struct Stream(mpsc::Receiver<Result<Vec<u8>, EngineError>>);

/// Messages that wait to be looked at; then the engine waits.
const WAITING: usize = 64;

impl Stream {
    /// Waits for one. Nothing is lost where this is not waited for to the end.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, EngineError> {
        self.0.recv().await.unwrap_or(Err(EngineError::Ended))
    }
}

/// Passes messages on until something goes wrong.
async fn read(body: Incoming, told: &mpsc::Sender<Result<Vec<u8>, EngineError>>) -> EngineError {
    let mut body = body;
    let mut bytes = Vec::new();
    loop {
        match body.frame().await {
            Some(Ok(frame)) if frame.is_data() => {
                bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
            }
            Some(Err(error)) => return garbled(error).into(),
            Some(Ok(_)) | None => return EngineError::Ended,
        }
        loop {
            let length = match message_length(&bytes, EVENT_BYTES) {
                Ok(Some(length)) if bytes.len() >= HEAD + length => length,
                Ok(_) => break,
                Err(error) => return error,
            };
            let message = bytes[HEAD..HEAD + length].to_vec();
            bytes.drain(..HEAD + length);
            if told.send(Ok(message)).await.is_err() {
                return EngineError::Ended;
            }
        }
    }
}
