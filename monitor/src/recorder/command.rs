//! The command that is recorded: forked, held until it is an agent, then let go.
//!
//! As with `driftwatch run`, its first exec is the root of the session and nobody's act. A thread of its own waits
//! for it, so that the loop need not.

use std::{
    ffi::OsString,
    io::{self, PipeReader, PipeWriter, Read as _, Write as _, pipe},
    os::{
        fd::{AsRawFd as _, RawFd},
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    process::{Command, ExitStatus},
    sync::mpsc,
    thread,
};

use tokio::sync::oneshot;

use crate::launch::LaunchError;

/// A child that waits for its word.
pub(super) struct Waiting {
    pid: u32,
    program: OsString,
    word: PipeWriter,
    started: mpsc::Receiver<Result<(), LaunchError>>,
    ended: oneshot::Receiver<u8>,
}

/// A command that was started.
pub(super) struct Started {
    pid: u32,
    ended: oneshot::Receiver<u8>,
}

/// Forks. The child becomes the command when it is told to, and ends where it is not.
pub(super) fn fork(words: &[OsString]) -> Result<Waiting, LaunchError> {
    let program = words.first().cloned().unwrap_or_default();
    hold(words).unwrap_or_else(|source| Err(LaunchError::of(program, source)))
}

/// The outer error is of what the child is held with, the inner one of the child.
fn hold(words: &[OsString]) -> io::Result<Result<Waiting, LaunchError>> {
    let (mut told, tell) = pipe()?;
    let (hear, word) = pipe()?;
    let (program, arguments) = words.split_first().expect("the command line demands a command");
    let mut command = Command::new(program);
    command.args(arguments);
    let (forked, others) = (ForkedChild { tell, hear }, [told.as_raw_fd(), word.as_raw_fd()]);
    // SAFETY: between fork and exec it makes system calls on descriptors and touches no other memory.
    unsafe { command.pre_exec(move || forked.wait_for_word(others)) };
    let (say_started, started) = mpsc::channel();
    let (say_ended, ended) = oneshot::channel();
    let program = program.clone();
    thread::Builder::new().name("command".to_owned()).spawn(move || {
        let child = command.spawn();
        // Our ends of the pipes go, so that a child that is gone is heard of.
        drop(command);
        match child {
            Ok(mut child) => {
                // Who asks no more has ended.
                let _heard = say_started.send(Ok(()));
                let code = child.wait().map_or(1, code);
                let _heard = say_ended.send(code);
            }
            Err(source) => drop(say_started.send(Err(LaunchError::of(program, source)))),
        }
    })?;
    let mut pid = [0; 4];
    if let Err(source) = told.read_exact(&mut pid) {
        // There is no child, and the thread knows why.
        return match started.recv() {
            Ok(Err(error)) => Ok(Err(error)),
            _ => Err(source),
        };
    }
    let (pid, program) = (u32::from_ne_bytes(pid), words[0].clone());
    Ok(Ok(Waiting { pid, program, word, started, ended }))
}

/// The child's ends of the pipes.
struct ForkedChild {
    tell: PipeWriter,
    hear: PipeReader,
}

impl ForkedChild {
    /// Tells its pid and waits until it may go on. The other ends are closed first: an end that nobody holds is
    /// what a parent that has given up leaves.
    fn wait_for_word(&self, others: [RawFd; 2]) -> io::Result<()> {
        for other in others {
            // SAFETY: the child's copies, which nobody in it uses.
            unsafe { libc::close(other) };
        }
        (&self.tell).write_all(&std::process::id().to_ne_bytes())?;
        (&self.hear).read_exact(&mut [0])
    }
}

impl Waiting {
    /// Its pid.
    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets it become the command. Waits until it is.
    pub(super) fn go(mut self) -> Result<Started, LaunchError> {
        let Self { pid, started, ended, program, .. } = self;
        // A child that is gone has an outcome all the same.
        let _heard = self.word.write_all(&[1]);
        let gone = |_| LaunchError::of(program, io::ErrorKind::BrokenPipe.into());
        started.recv().map_err(gone)??;
        Ok(Started { pid, ended })
    }
}

impl Started {
    /// Its pid.
    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end: the exit code as a shell says it. May be left and called again.
    pub(super) async fn ended(&mut self) -> u8 {
        (&mut self.ended).await.unwrap_or(1)
    }
}

/// The exit code, or 128 and the signal.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
