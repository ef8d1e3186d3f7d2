//! An act as a test says it: the actor's command line, built word by word.

use std::{
    ffi::{OsStr, OsString},
    net::SocketAddr,
    path::Path,
    process::Command,
};

use crate::{ground::Trace, programs};

/// What an actor is to do.
#[derive(Clone, Debug)]
pub struct Act {
    /// Options that stand before the act: `--via`, `--times`, `--leak` …
    before: Vec<OsString>,
    /// The act's name.
    verb: &'static str,
    /// Options of the act: `--how` …
    options: Vec<OsString>,
    /// What the act is done to.
    objects: Vec<OsString>,
}

impl Act {
    fn new(verb: &'static str, objects: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        let objects = objects.into_iter().map(Into::into).collect();
        Self { before: Vec::new(), verb, options: Vec::new(), objects }
    }

    /// Opens a file to read it and gives its bytes away.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        Self::new("read", [path])
    }

    /// Opens a file to change it and appends a line.
    #[must_use]
    pub fn write(path: &Path) -> Self {
        Self::new("write", [path])
    }

    /// Connects to the peer and sends the canary word.
    #[must_use]
    pub fn connect(peer: SocketAddr) -> Self {
        Self::new("connect", [peer.to_string()])
    }

    /// Sends the peer a datagram with the canary word.
    #[must_use]
    pub fn send(peer: SocketAddr) -> Self {
        Self::new("send", [peer.to_string()])
    }

    /// Becomes another program.
    #[must_use]
    pub fn exec(program: &Path) -> Self {
        Self::new("exec", [program])
    }

    /// Becomes a forbidden program that creates the marker if it gets to run.
    #[must_use]
    pub fn marker(program: &Path, marker: &Path) -> Self {
        Self::new("exec", [program.as_os_str(), OsStr::new("marker"), marker.as_os_str()])
    }

    /// Opens the file so many times.
    #[must_use]
    pub fn opens(path: &Path, times: u32) -> Self {
        Self::new("opens", [path.as_os_str(), OsStr::new(&times.to_string())])
    }

    /// Becomes a tree of so many descendants, each of which reads the file once.
    #[must_use]
    pub fn forks(descendants: u32, path: &Path, tried: &Path) -> Self {
        let number = descendants.to_string();
        let mut forks = Self::new("forks", [OsStr::new(&number), path.as_os_str()]);
        forks.options = vec!["--tried".into(), tried.into()];
        forks
    }

    /// Opens each of the files once, to read it.
    #[must_use]
    pub fn read_each<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        Self::new("each", paths)
    }

    /// Opens each of the files once, to change it.
    #[must_use]
    pub fn write_each<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut each = Self::new("each", paths);
        each.options = vec!["--write".into()];
        each
    }

    /// Repeats an operation and prints what one costs.
    #[must_use]
    pub fn op(operation: &str, times: u32) -> Self {
        Self::new("op", [operation, &times.to_string()])
    }

    /// Repeats an operation in bursts and prints what each burst took.
    #[must_use]
    pub fn count(operation: &str, each: u32, bursts: u32) -> Self {
        let count = Self::new("count", [operation]);
        count.option("--each", each.to_string()).option("--bursts", bursts.to_string())
    }

    /// Runs code of a file without starting it.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        Self::new("load", [path])
    }

    /// Uses a right that reaches beyond the process, in this way.
    #[must_use]
    pub fn use_right(how: &str) -> Self {
        Self::new("use", [how])
    }

    /// Waits.
    #[must_use]
    pub fn sleep(seconds: u32) -> Self {
        Self::new("sleep", [seconds.to_string()])
    }

    /// In which way the act is done.
    #[must_use]
    pub fn how(self, how: &str) -> Self {
        self.option("--how", how)
    }

    /// An option of the act itself.
    #[must_use]
    pub fn option(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.options.extend([name.into(), value.as_ref().into()]);
        self
    }

    /// More words for the program that is become.
    #[must_use]
    pub fn words(mut self, words: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.objects.extend(words.into_iter().map(Into::into));
        self
    }

    /// What the actor does to itself before it acts.
    #[must_use]
    pub fn via(mut self, via: &str) -> Self {
        self.before.extend(["--via".into(), via.into()]);
        self
    }

    /// The actor's child is born in this cgroup, and acts.
    #[must_use]
    pub fn born_in_cgroup(mut self, directory: &Path) -> Self {
        self.before.extend(["--cgroup".into(), directory.into()]);
        self.via("clone3-cgroup")
    }

    /// Repeats the act, each time in a new child, and prints a tally.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.before.extend(["--times".into(), times.to_string().into()]);
        self
    }

    /// Acts as soon as the file exists.
    #[must_use]
    pub fn after(mut self, file: &Path) -> Self {
        self.before.extend(["--after".into(), file.into()]);
        self
    }

    /// Leaves traces of how far the actor got.
    #[must_use]
    pub fn traced(mut self, trace: &Trace) -> Self {
        self.before.extend(["--leak".into(), trace.leak().into()]);
        self.before.extend(["--mark".into(), trace.mark().into()]);
        self
    }

    /// What a read gets is sent to this address, through a socket that is there before the act.
    #[must_use]
    pub fn leaking_to(mut self, address: SocketAddr) -> Self {
        self.before.extend(["--leak-to".into(), address.to_string().into()]);
        self
    }

    /// The words after the actor's path.
    pub fn arguments(&self) -> impl Iterator<Item = &OsStr> {
        let verb = std::iter::once(OsStr::new(self.verb));
        let before = self.before.iter().map(OsString::as_os_str);
        let after = self.options.iter().chain(&self.objects).map(OsString::as_os_str);
        before.chain(verb).chain(after)
    }

    /// The command that does it, of no agent.
    pub fn command(&self) -> anyhow::Result<Command> {
        Ok(self.command_of(&programs::actor()?))
    }

    /// The same with another copy of the actor.
    #[must_use]
    pub fn command_of(&self, actor: &Path) -> Command {
        let mut command = Command::new(actor);
        command.args(self.arguments());
        command
    }
}
