//! `driftwatch run`: starts a command as a known agent.
//!
//! The process asks the daemon to make it the root of a session and then becomes the command. There is no
//! process in between: signals, terminal and exit code are the command's own.

use std::{ffi::OsString, io, os::unix::process::CommandExt as _, process::Command};

use crate::control::{
    Begin, Begun,
    client::{Client, ClientError},
};

/// Why the command was not started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The daemon did not make this a session.
    #[error(transparent)]
    NoSession(#[from] ClientError),
    /// There is no such command.
    #[error("{0:?} was not found")]
    NotFound(OsString),
    /// There is, and it cannot be started.
    #[error("{command:?} cannot be started: {source}")]
    NotStarted {
        /// The command.
        command: OsString,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl LaunchError {
    /// Why a program was not started.
    #[must_use]
    pub fn of(command: OsString, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound(command),
            _ => Self::NotStarted { command, source },
        }
    }

    /// As env(1): 125 for our own failure, 126 for a command that cannot be started, 127 for one that is
    /// not there.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NoSession(_) => 125,
            Self::NotStarted { .. } => 126,
            Self::NotFound(_) => 127,
        }
    }
}

/// Becomes the command. Returns only where that failed.
#[must_use]
pub fn launch(client: &Client, agent: &str, command: &[OsString]) -> LaunchError {
    let Some((program, arguments)) = command.split_first() else {
        return LaunchError::NotFound(OsString::new());
    };
    let begin = Begin { agent: agent.to_owned() };
    if let Err(error) = client.post::<Begun>("/v1/sessions", &begin) {
        return LaunchError::NoSession(error);
    }
    LaunchError::of(program.clone(), Command::new(program).args(arguments).exec())
}
