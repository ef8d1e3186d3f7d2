//! What the agent finds prepared: inherited descriptors, words on its command line, and processes that
//! are no agents and know a secret.
//!
//! Everything goes with the stage that made it.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    os::fd::OwnedFd,
    thread,
    time::Duration,
};

use driftwatch_tests::cgroup::ScratchCgroup;

use crate::sys;

/// What one case has beside its directory.
#[derive(Default)]
pub(crate) struct Gift {
    /// Inherited, from [`crate::case::GIFTS`] on.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// On the agent's command line.
    pub(crate) words: Vec<String>,
    /// Children that the agent does not belong to.
    pub(crate) holders: Vec<i32>,
    /// Cgroups that are removed at the end.
    pub(crate) cgroups: Vec<ScratchCgroup>,
    /// Started as this user instead of root.
    pub(crate) user: Option<u32>,
}

impl Gift {
    /// Leaves a descriptor.
    pub(crate) fn leave(&mut self, descriptor: impl Into<OwnedFd>) {
        self.descriptors.push(descriptor.into());
    }

    /// Leaves a word.
    pub(crate) fn say(&mut self, word: impl ToString) {
        self.words.push(word.to_string());
    }

    /// Starts a process that is no agent. It says a line when it is ready, which is given back, may do
    /// more, and then stays until the end of the case.
    pub(crate) fn hold(
        &mut self,
        work: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<Holder> {
        let (reader, writer) = sys::pipe()?;
        let pid = sys::fork(|| {
            let mut writer = File::from(writer);
            if let Err(error) = work(&mut writer) {
                // The other side may be gone; then nobody wants to know.
                let _unheard = writeln!(writer, "failed: {error}");
            }
            loop {
                thread::sleep(Duration::from_secs(1));
            }
        })?;
        self.holders.push(pid);
        let mut line = String::new();
        BufReader::new(File::from(reader)).read_line(&mut line)?;
        match line.trim_end() {
            "" => Err(io::Error::other("a holder ended without a word")),
            said if said.starts_with("failed: ") => Err(io::Error::other(said.to_owned())),
            said => Ok(Holder { pid, said: said.to_owned() }),
        }
    }
}

/// A process that is no agent.
pub(crate) struct Holder {
    /// Its process id.
    pub(crate) pid: i32,
    /// What it said when it was ready.
    pub(crate) said: String,
}
