//! The tape: the file of a recording, which has whole lines and nothing else, whatever happens to the disk.
//!
//! Entries are gathered and written in one go. Where the file takes only a part, the torn line is taken back.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use serde::Serialize;

use crate::recording::{Entry, Heading};

/// Bytes that are gathered.
const GATHERED: usize = 64 * 1024;
/// Acts tell what somebody did: for the owner only.
const MODE: u32 = 0o600;

/// The open file.
#[derive(Debug)]
pub(super) struct Tape {
    file: File,
    /// It is no ordinary file: nothing can be taken back.
    is_device: bool,
    /// Whole lines that are not in the file yet.
    gathered: Vec<u8>,
    /// Bytes in the file.
    written: u64,
    /// Lines in the file, the heading among them.
    lines: u64,
}

impl Tape {
    /// Makes the file, with the heading in it. One that is there is written over only with `force`.
    pub(super) fn make(path: &Path, force: bool, heading: &Heading) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).mode(MODE);
        let file = if force {
            options.create(true).truncate(true).open(path)?
        } else {
            options.create_new(true).open(path)?
        };
        let is_device = !file.metadata()?.is_file();
        if !is_device {
            file.set_permissions(Permissions::from_mode(MODE))?;
        }
        let mut tape = Self { file, is_device, gathered: Vec::new(), written: 0, lines: 0 };
        tape.line(heading)?;
        tape.flush()?;
        Ok(tape)
    }

    /// Adds an entry.
    pub(super) fn put(&mut self, entry: &Entry) -> io::Result<()> {
        self.line(entry)?;
        if self.gathered.len() >= GATHERED { self.flush() } else { Ok(()) }
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.gathered, line)?;
        self.gathered.push(b'\n');
        Ok(())
    }

    /// Writes what is gathered. After an error the file has whole lines, and takes no more.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let gathered = std::mem::take(&mut self.gathered);
        let outcome = self.file.write_all(&gathered);
        let taken = match &outcome {
            Ok(()) => gathered.len(),
            Err(_) => self.keep_whole_lines(&gathered),
        };
        self.written += taken as u64;
        let newlines = gathered[..taken].iter().filter(|byte| **byte == b'\n').count();
        self.lines += newlines as u64;
        self.gathered = gathered;
        self.gathered.clear();
        outcome
    }

    /// Takes back the part of a line that the file has taken. How much of `gathered` is left in it.
    fn keep_whole_lines(&self, gathered: &[u8]) -> usize {
        let length = self.file.metadata().map_or(0, |data| data.len());
        let taken = usize::try_from(length.saturating_sub(self.written)).unwrap_or(usize::MAX);
        let taken = &gathered[..taken.min(gathered.len())];
        let whole = taken.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        if self.is_device {
            return whole;
        }
        if let Err(error) = self.file.set_len(self.written + whole as u64) {
            log::error!("a torn line of the recording cannot be taken back: {error}");
        }
        whole
    }

    /// Entries in the file.
    pub(super) const fn entries(&self) -> u64 {
        self.lines.saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{Text, read};

    fn heading() -> Heading {
        Heading {
            schema: crate::recording::SCHEMA.to_owned(),
            version: "0.1.0".to_owned(),
            host: "h".to_owned(),
            started: jiff::Timestamp::UNIX_EPOCH,
            homes: vec![Text::from("/root")],
        }
    }

    fn place(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("driftwatch-tape-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_file_that_is_there_is_left_alone_unless_forced() {
        let path = place("there");
        std::fs::write(&path, "something\n").expect("a file");
        let error = Tape::make(&path, false, &heading()).expect_err("it is there");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).expect("text"), "something\n");
        drop(Tape::make(&path, true, &heading()).expect("forced"));
        let text = std::fs::read_to_string(&path).expect("text");
        assert_eq!(read(&text).expect("a recording").heading, heading());
        let mode = path.metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_file(path).expect("removed");
    }

    #[test]
    fn a_line_that_was_taken_in_part_is_taken_back() {
        let path = place("torn");
        let mut tape = Tape::make(&path, false, &heading()).expect("a file");
        let before = path.metadata().expect("it is there").len();
        // As a full disk leaves it: one line whole, half of the next.
        tape.file.write_all(b"{}\n{\"ti").expect("room");
        assert_eq!(tape.keep_whole_lines(b"{}\n{\"time\":1}\n"), 3);
        assert_eq!(path.metadata().expect("it is there").len(), before + 3);
        std::fs::remove_file(path).expect("removed");
    }
}
