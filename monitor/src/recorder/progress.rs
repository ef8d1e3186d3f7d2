//! Progress: one line on a terminal that is written over every second, and nothing anywhere else.

use std::{
    io::{self, IsTerminal as _},
    time::Instant,
};

use super::Tally;
use crate::counted::{count, many};

/// The line.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    wanted: bool,
    shown: bool,
}

impl Progress {
    /// Nothing is shown where standard error is no terminal, or where it is not `wanted`.
    pub(super) fn new(wanted: bool) -> Self {
        let wanted = wanted && io::stderr().is_terminal();
        Self { began: Instant::now(), wanted, shown: false }
    }

    /// Shows how far it is, from the second second on.
    pub(super) fn show(&mut self, tally: &Tally) {
        let seconds = self.began.elapsed().as_secs();
        if !self.wanted || seconds == 0 {
            return;
        }
        self.shown = true;
        let (minutes, seconds) = (seconds / 60, seconds % 60);
        let sessions = count(tally.sessions.len(), "session");
        eprint!("\r\x1b[K{minutes:02}:{seconds:02}  {}  {sessions}", many(tally.acts, "act"));
    }

    /// Takes the line away.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            eprint!("\r\x1b[K");
        }
    }
}
