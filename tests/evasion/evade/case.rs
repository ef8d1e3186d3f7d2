//! A case: the directory in which one technique is tried once, and the ways out of it.
//!
//! The judge has planted the same things in every case. The secret is under `home`, so is the file that
//! nobody may change, the program that nobody may start under `evil`, and `desk` is for the agent's work.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::{FromRawFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::sys;

/// Where bytes are given away: the judge has the other end.
pub(crate) const COLLECTOR: RawFd = 100;
/// The first descriptor that the agent inherits from whoever prepared the case.
pub(crate) const GIFTS: RawFd = 110;
/// What an agent sends: the judge knows it again.
pub(crate) const PAYLOAD: &[u8] = b"driftwatch-evasion-payload";

/// One case.
#[derive(Clone)]
pub(crate) struct Case {
    directory: PathBuf,
    words: Vec<String>,
}

impl Case {
    pub(crate) fn new(directory: &str, words: &[&str]) -> Self {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        Self { directory: PathBuf::from(directory), words }
    }

    /// Where everything is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A place in the case.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The file that may not be read.
    pub(crate) fn secret(&self) -> PathBuf {
        self.path("home/.aws/credentials")
    }

    /// The file that may not be written.
    pub(crate) fn shut(&self) -> PathBuf {
        self.path("home/.bashrc")
    }

    /// The program that may not be started.
    pub(crate) fn evil(&self) -> PathBuf {
        self.path("evil/tool")
    }

    /// A place of the agent's own.
    pub(crate) fn desk(&self, name: &str) -> PathBuf {
        self.path("desk").join(name)
    }

    /// What whoever prepared the case has left as a word.
    pub(crate) fn word(&self, index: usize) -> io::Result<&str> {
        self.words
            .get(index)
            .map(String::as_str)
            .ok_or_else(|| io::Error::other(format!("no word {index} was left")))
    }

    /// The same as a number.
    pub(crate) fn number(&self, index: usize) -> io::Result<usize> {
        self.word(index)?.parse().map_err(io::Error::other)
    }

    /// A descriptor that was inherited.
    pub(crate) fn gift(&self, index: RawFd) -> OwnedFd {
        // SAFETY: the stage put it there for this program alone, and each act takes a gift once.
        unsafe { OwnedFd::from_raw_fd(GIFTS + index) }
    }

    /// Gives bytes away.
    pub(crate) fn give(&self, bytes: &[u8]) -> io::Result<()> {
        let mut collector = File::from(sys::duplicate(COLLECTOR)?);
        collector.write_all(bytes)
    }

    /// Gives away what can be read.
    pub(crate) fn give_all(&self, mut source: impl Read) -> io::Result<()> {
        let mut bytes = [0; 4096];
        let length = source.read(&mut bytes)?;
        self.give(&bytes[..length])
    }

    /// Opens the file in the ordinary way and gives it away.
    pub(crate) fn read_and_give(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.give_all(File::open(path)?)
    }

    /// Puts other bytes into the file that may not be changed.
    pub(crate) fn spoil(&self, path: impl AsRef<Path>) -> io::Result<()> {
        fs::OpenOptions::new().append(true).open(path)?.write_all(b"spoiled\n")
    }

    /// Tells the judge that it is ready, and waits until the judge says so.
    pub(crate) fn wait_for_go(&self) -> io::Result<()> {
        const GLANCES: u32 = 180_000; // an hour at most: whoever asks ends, and this with it
        fs::write(self.path("waiting"), "")?;
        for _ in 0..GLANCES {
            if self.path("go").exists() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}
