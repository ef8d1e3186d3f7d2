//! The command line's end of the control socket: one request, one answer.

use std::{io, path::PathBuf};

use http_body_util::Full;
use hyper::{Method, Request, StatusCode, body::Bytes, header};
use serde::{Serialize, de::DeserializeOwned};

use super::Refused;
use crate::exchange::{self, ExchangeError};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody is there.
    #[error("the daemon does not answer at {}: {source}; start it with `driftwatch daemon`", .path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It says no.
    #[error("{0}")]
    Refused(String),
    /// The caller may not.
    #[error("{0}")]
    Forbidden(String),
    /// What it says makes no sense.
    #[error("the daemon's answer cannot be read: {0}")]
    Garbled(String),
}

/// The socket of a daemon.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where it is.
    pub socket: PathBuf,
}

impl Client {
    /// Asks for something.
    ///
    /// # Errors
    ///
    /// Where nobody answers, or not with what was asked for.
    pub fn get<Answer: DeserializeOwned>(&self, path: &str) -> Result<Answer, ClientError> {
        self.ask(Method::GET, path, Vec::new())
    }

    /// Wants something done.
    ///
    /// # Errors
    ///
    /// Where nobody answers, or it was not done.
    pub fn post<Answer: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer, ClientError> {
        let body = serde_json::to_vec(body).map_err(garbled)?;
        self.ask(Method::POST, path, body)
    }

    fn ask<Answer: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Answer, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime.map_err(|source| self.unreachable(source))?;
        let (status, body) = runtime.block_on(self.exchange(method, path, body))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(garbled);
        }
        let refused: Result<Refused, _> = serde_json::from_slice(&body);
        let error = refused.map_or_else(|_| format!("the daemon answered {status}"), |no| no.error);
        Err(match status {
            StatusCode::FORBIDDEN => ClientError::Forbidden(error),
            _ => ClientError::Refused(error),
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "driftwatch")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(garbled)?;
        let failed = |error| match error {
            ExchangeError::Unreachable(source) => self.unreachable(source),
            ExchangeError::Garbled(what) => ClientError::Garbled(what),
        };
        let answer = exchange::ask(&self.socket, request).await.map_err(failed)?;
        let status = answer.status;
        Ok((status, answer.whole().await.map_err(failed)?))
    }

    fn unreachable(&self, source: io::Error) -> ClientError {
        ClientError::Unreachable { path: self.socket.clone(), source }
    }
}

fn garbled(error: impl std::fmt::Display) -> ClientError {
    ClientError::Garbled(error.to_string())
}
