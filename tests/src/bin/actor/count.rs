//! Counting: an operation in bursts, and what each burst took. Where one instruction is one nanosecond, as in a
//! counted guest, that is a number of instructions.
//!
//! With a rest after each burst everybody who is told of it gets done, and idle time is left out: what is counted is
//! the time that the processors were used, by whomever.

use std::{
    io,
    time::{Duration, Instant},
};

use driftwatch_tests::used::Used;

use crate::{arguments::Operation, repeated::Repeated};

/// Nanoseconds of each burst.
pub(crate) fn count(
    repeated: &Repeated,
    operation: Operation,
    each: u32,
    bursts: u32,
    rest: Option<Duration>,
) -> io::Result<Vec<u64>> {
    let clock = match rest {
        None => Clock::Running(Instant::now()),
        Some(rest) => Clock::Used(Used::open()?, rest),
    };
    let mut took = Vec::with_capacity(bursts as usize);
    for _ in 0..bursts {
        let before = clock.now()?;
        for _ in 0..each {
            repeated.once(operation)?;
        }
        took.push(clock.now()? - before);
    }
    Ok(took)
}

/// What says how late it is.
enum Clock {
    /// Time as it goes by.
    Running(Instant),
    /// Time in which processors were used.
    Used(Used, Duration),
}

impl Clock {
    /// In nanoseconds, from some beginning.
    fn now(&self) -> io::Result<u64> {
        match self {
            Self::Running(begin) => {
                u64::try_from(begin.elapsed().as_nanos()).map_err(io::Error::other)
            }
            Self::Used(used, rest) => used.after_a_rest(*rest),
        }
    }
}
