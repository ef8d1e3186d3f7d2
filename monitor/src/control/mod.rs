//! Control: what other processes may ask of the daemon, as HTTP with JSON over a UNIX socket.
//!
//! [`server`] turns requests into [`Request`]s for the daemon's one loop, with the caller as the kernel
//! knows it; [`client`] is how the command line asks. Neither decides anything. [`sweep`] is what
//! removes the socket of a daemon that was killed.

pub mod client;
mod peer;
pub mod server;
pub mod sweep;

pub use self::peer::{Caller, pidfd};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// Where the socket is if nobody says otherwise.
pub const SOCKET: &str = "/run/driftwatch/control.sock";

/// What the loop is asked.
#[derive(Debug)]
pub enum Request {
    /// Make the caller the root of a session.
    Begin {
        /// Who asks.
        caller: Caller,
        /// The agent's name.
        agent: String,
        /// Where the answer goes.
        answer: oneshot::Sender<Result<Begun, Refused>>,
    },
    /// Say how things stand.
    Status {
        /// Where the answer goes.
        answer: oneshot::Sender<serde_json::Value>,
    },
}

/// `POST /v1/sessions`
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    /// The agent's name.
    pub agent: String,
}

/// The answer to [`Begin`].
#[derive(Debug, Deserialize, Serialize)]
pub struct Begun {
    /// The new session, in hexadecimal.
    pub session: String,
}

/// A request that was not done, and why.
#[derive(Debug, Deserialize, Serialize)]
pub struct Refused {
    /// One sentence that says what to do.
    pub error: String,
}
