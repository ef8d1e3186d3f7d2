//! Outcome and tally: how one attempt at an act ended, and how many attempts ended in which way.
//!
//! The actor and whoever starts it share these words, so they share this file.

use std::{fmt, os::unix::process::ExitStatusExt, process::ExitStatus, str::FromStr};

use anyhow::Context;

/// Exit code of an actor that did its act.
pub const DONE: u8 = 0;
/// Exit code of an actor that was answered `EPERM`.
pub const REFUSED: u8 = 10;
/// Exit code of an actor that was answered anything else; the error is on its stderr.
pub const FAILED: u8 = 11;
/// Exit code of an actor whose descendant had to act and was killed.
pub const DESCENDANT_KILLED: u8 = 137;

/// How one attempt at an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The act was done.
    Done,
    /// The act was answered `EPERM`, and the process lived to say so.
    Refused,
    /// Whoever had to act was ended by `SIGKILL`.
    Killed,
    /// Anything else: no claim is made on such an attempt.
    Failed,
}

impl Outcome {
    /// Reads what `wait` says of an actor.
    #[must_use]
    pub fn of(status: ExitStatus) -> Self {
        if status.signal() == Some(libc::SIGKILL) {
            return Self::Killed;
        }
        match status.code().and_then(|code| u8::try_from(code).ok()) {
            Some(DONE) => Self::Done,
            Some(REFUSED) => Self::Refused,
            Some(DESCENDANT_KILLED) => Self::Killed,
            _ => Self::Failed,
        }
    }
}

/// How many attempts ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Attempts that were [`Outcome::Done`].
    pub done: u32,
    /// Attempts that were [`Outcome::Refused`].
    pub refused: u32,
    /// Attempts that were [`Outcome::Killed`].
    pub killed: u32,
    /// Attempts that were [`Outcome::Failed`].
    pub failed: u32,
}

impl Tally {
    /// A tally of attempts that were all done.
    #[must_use]
    pub fn all_done(done: u32) -> Self {
        Self { done, ..Self::default() }
    }

    /// A tally of attempts that were all refused.
    #[must_use]
    pub fn all_refused(refused: u32) -> Self {
        Self { refused, ..Self::default() }
    }

    /// A tally of attempts that were all killed.
    #[must_use]
    pub fn all_killed(killed: u32) -> Self {
        Self { killed, ..Self::default() }
    }

    /// Counts one more attempt.
    pub fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Done => self.done += 1,
            Outcome::Refused => self.refused += 1,
            Outcome::Killed => self.killed += 1,
            Outcome::Failed => self.failed += 1,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, refused, killed, failed } = self;
        write!(f, "tally done={done} refused={refused} killed={killed} failed={failed}")
    }
}

impl FromStr for Tally {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> anyhow::Result<Self> {
        let mut tally = Self::default();
        let words = line.strip_prefix("tally ").with_context(|| format!("no tally: {line:?}"))?;
        for word in words.split_whitespace() {
            let (name, number) = word.split_once('=').with_context(|| word.to_owned())?;
            let number = number.parse().with_context(|| word.to_owned())?;
            match name {
                "done" => tally.done = number,
                "refused" => tally.refused = number,
                "killed" => tally.killed = number,
                "failed" => tally.failed = number,
                _ => anyhow::bail!("unknown word in a tally: {name:?}"),
            }
        }
        Ok(tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_read_as_it_was_written() {
        let mut tally = Tally::all_killed(198);
        tally.count(Outcome::Done);
        tally.count(Outcome::Failed);
        assert_eq!(tally.to_string().parse::<Tally>().unwrap(), tally);
        assert!("tally done=many".parse::<Tally>().is_err());
    }
}
