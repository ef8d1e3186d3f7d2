//! Reading: rules are read, and the files that they shut are looked for, away from the loop.
//!
//! A thread of its own reads the files, resolves them and searches the disk; the loop goes on with records
//! meanwhile. What comes back is put in force by [`Watcher`](crate::watcher::Watcher) in one go. Nothing is
//! compiled here, and nothing given to the kernel half.

use std::{io, path::PathBuf, thread};

use tokio::sync::oneshot;

use crate::{
    host::Host,
    label::Follow,
    rules::{
        labels::search,
        model::{Moment, RuleSet},
        reach::within,
    },
    watcher::{RulesError, WatchError, read_rules},
};

/// Rules as they were read, on a host as it was then.
#[derive(Debug)]
pub(crate) struct Read {
    /// The host.
    pub(crate) host: Host,
    /// All that was written.
    pub(crate) whole: RuleSet,
    /// When.
    pub(crate) now: Moment,
    /// The files that it shuts.
    pub(crate) follow: Follow,
}

impl Read {
    /// Reads rule files, and looks for what they shut.
    pub(crate) fn files(paths: &[PathBuf]) -> Result<Self, RulesError> {
        let host = Host::read();
        let whole = read_rules(paths, &host)?;
        Ok(Self::of(host, whole))
    }

    /// Looks for what these rules shut.
    pub(crate) fn of(host: Host, whole: RuleSet) -> Self {
        let now = Moment::now();
        // Which containers there are makes no difference to files.
        let follow = Follow::new(search(&within(&whole, now).rules), &host.homes);
        Self { host, whole, now, follow }
    }
}

type Outcome = Result<Read, RulesError>;

/// Rules that are being read, if any are.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    running: Option<oneshot::Receiver<Outcome>>,
    /// Asked for again since it began: what it has read by now may be old.
    again: bool,
}

impl Reading {
    /// Begins to read, or where that is being done already, has it done once more after that.
    pub(crate) fn begin(&mut self, paths: &[PathBuf]) {
        if self.running.is_some() {
            self.again = true;
            return;
        }
        let (tell, told) = oneshot::channel();
        let paths = paths.to_vec();
        // Where no thread can be had, `tell` is dropped, and that is told as an error.
        let read = move || drop(tell.send(Read::files(&paths)));
        drop(thread::Builder::new().name("reading".to_owned()).spawn(read));
        self.running = Some(told);
    }

    /// Begins to read once more, where that was asked for meanwhile.
    pub(crate) fn next(&mut self, paths: &[PathBuf]) {
        if std::mem::take(&mut self.again) {
            self.begin(paths);
        }
    }

    /// Waits until everything is read, for ever where nothing is being read.
    pub(crate) async fn done(&mut self) -> Result<Read, WatchError> {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let outcome = running.await;
        self.running = None;
        let ended = |_| WatchError::Loop(io::Error::other("the rules were not read to their end"));
        Ok(outcome.map_err(ended)??)
    }
}
