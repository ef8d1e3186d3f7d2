//! Progress: one line a step on standard error, its end written when the step ends.
//!
//! Colour goes with a word and only to a terminal. Knows nothing about the steps.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use anyhow::Result;

/// How a step ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There was nothing to do.
    Present,
    /// It was done.
    Done,
}

/// Runs one step under a line such as `setup  2/4  bpf toolchain ... ok (0.1 s)`.
pub(crate) fn step(
    chore: &str,
    (number, of): (usize, usize),
    name: &str,
    work: impl FnOnce() -> Result<Outcome>,
) -> Result<Outcome> {
    let start = Instant::now();
    say(&format!("{chore}  {number}/{of}  {name} ... "));
    let result = work();
    let end = match &result {
        Ok(Outcome::Present) => format!("{} (present)", good("ok")),
        Ok(Outcome::Done) => format!("{} ({:.1} s)", good("ok"), start.elapsed().as_secs_f64()),
        Err(_) => bad("failed"),
    };
    say(&format!("{end}\n"));
    result
}

/// `word` in green on a terminal.
pub(crate) fn good(word: &str) -> String {
    paint(word, "32")
}

/// `word` in red on a terminal.
pub(crate) fn bad(word: &str) -> String {
    paint(word, "31")
}

fn paint(word: &str, colour: &str) -> String {
    if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{colour}m{word}\x1b[0m")
    } else {
        word.to_owned()
    }
}

/// Writes to standard error; a closed one must not end the work.
fn say(text: &str) {
    let mut stderr = std::io::stderr().lock();
    drop(stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()));
}
