//! Lines: the text of a recording, one line at a time or all at once.
//!
//! Whoever reads a long recording reads lines and passes each to [`heading`] or [`entry`]; [`read`] is for short
//! ones. Pure: nothing is opened here.

use super::{Entry, Heading, SCHEMA};

/// Why a file is no recording, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ReadError {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong, and what to do.
    pub message: String,
}

impl ReadError {
    const fn new(line: u64, message: String) -> Self {
        Self { line, message }
    }
}

/// Reads the first line.
///
/// # Errors
///
/// Where it is not the beginning of a recording that this version knows.
pub fn heading(line: &[u8]) -> Result<Heading, ReadError> {
    if line.trim_ascii().is_empty() {
        let message = "the file is empty: make a recording with `driftwatch record`";
        return Err(ReadError::new(1, message.to_owned()));
    }
    // The version first: what else stands there is that version's to say.
    #[derive(serde::Deserialize)]
    struct Version {
        schema: String,
    }
    let wrong =
        |error| ReadError::new(1, format!("this is not the beginning of a recording: {error}"));
    let Version { schema } = serde_json::from_slice(line).map_err(wrong)?;
    if schema != SCHEMA {
        let message = format!("`{schema}` cannot be read, only `{SCHEMA}`");
        return Err(ReadError::new(1, message));
    }
    serde_json::from_slice(line).map_err(wrong)
}

/// Reads a line after the first; `number` is from 1. None for a line without anything.
///
/// # Errors
///
/// Where it is not an entry.
pub fn entry(line: &[u8], number: u64) -> Result<Option<Entry>, ReadError> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let entry: Entry = serde_json::from_slice(line).map_err(|error| {
        ReadError::new(number, format!("this is no entry of a recording: {error}"))
    })?;
    if entry.done().is_none() {
        return Err(ReadError::new(number, format!("`{}` is not a verdict", entry.verdict)));
    }
    Ok(Some(entry))
}

/// A recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Its first line.
    pub heading: Heading,
    /// The others.
    pub entries: Vec<Entry>,
}

/// Reads a recording.
///
/// # Errors
///
/// The first line that is none, with what is wrong with it.
pub fn read(text: &str) -> Result<Recording, ReadError> {
    let mut lines = text.lines();
    let heading = heading(lines.next().unwrap_or_default().as_bytes())?;
    let entries =
        lines.zip(2..).filter_map(|(line, number)| entry(line.as_bytes(), number).transpose());
    Ok(Recording { heading, entries: entries.collect::<Result<_, _>>()? })
}
