//! Live: the labels of the plan in force, kept true while it is.
//!
//! What [`Follow`] finds goes into the kernel's map and into the plan's own copy at once. Where more has
//! happened than can be followed, a thread searches anew, once a second at most, and the loop goes on
//! meanwhile.

use std::{io, os::fd::OwnedFd, sync::Arc, thread, time::Duration};

use monitor_common::plan::LabelKey;
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::oneshot,
    time::{Instant, sleep_until},
};

use super::{Files, Follow, LeftOut, follow::Turn};
use crate::{rules::labels::Search, watcher::Watcher};

/// Between two searches.
const PAUSE: Duration = Duration::from_secs(1);

/// What is to be heeded.
pub(crate) enum Told {
    /// Something has happened in a directory.
    Something,
    /// A new search is due.
    Due,
    /// It is done; none where it ended early.
    Found(Option<Box<Follow>>),
}

/// The files that are known by their inode, and how the next are heard of.
#[derive(Debug, Default)]
pub(crate) struct Live {
    follow: Option<Box<Follow>>,
    ready: Option<AsyncFd<Arc<OwnedFd>>>,
    searching: Option<oneshot::Receiver<Box<Follow>>>,
    /// When the next search is due, where one is.
    due: Option<Instant>,
    /// Searches because there was more than could be followed.
    pub(crate) searches: u64,
}

impl Live {
    /// Waits until something is to be heeded.
    pub(crate) async fn told(&mut self) -> Told {
        let Self { ready, searching, due, .. } = self;
        let due = due.filter(|_| searching.is_none());
        tokio::select! {
            biased;
            found = found(searching) => {
                *searching = None;
                Told::Found(found)
            }
            () = reached(due) => Told::Due,
            () = readable(ready.as_ref()) => Told::Something,
        }
    }

    /// From now on these files are known, and what comes where they were looked for.
    pub(crate) fn take(&mut self, follow: Follow) {
        self.put(Box::new(follow));
        // One that runs is of other rules.
        (self.searching, self.due) = (None, None);
    }

    fn put(&mut self, follow: Box<Follow>) {
        // Without it nothing is followed until the next reload; there is one in the kernel for each watch.
        self.ready = follow.descriptor().and_then(|descriptor| {
            // SAFETY: what is watched here owns its descriptor, does not change it, and is dropped with it.
            unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }.ok()
        });
        self.follow = Some(follow);
    }

    /// The known files by other rules that look for the same.
    pub(crate) fn by(&self, search: &Search) -> Option<Files> {
        self.follow.as_ref()?.by(search)
    }

    /// From now on by those rules.
    pub(crate) fn turn_to(&mut self, search: Search, files: Files) {
        if let Some(follow) = &mut self.follow {
            follow.turn_to(search, files);
        }
        // One that runs has the rules of before.
        if self.searching.take().is_some() {
            self.due = Some(Instant::now());
        }
    }

    /// What is not done.
    pub(crate) fn left_out(&self) -> LeftOut {
        self.follow.as_ref().map(|follow| follow.left_out()).unwrap_or_default()
    }

    fn turn(&mut self) -> Turn {
        let (Some(follow), Some(ready)) = (&mut self.follow, &self.ready) else {
            return Turn::default();
        };
        match ready.try_io(Interest::READABLE, |_| follow.turn()) {
            Ok(turn) => turn,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Turn::default(),
            Err(error) => {
                log::warn!("what happens to files cannot be read any more: {error}");
                self.ready = None;
                Turn { again: true, ..Turn::default() }
            }
        }
    }

    /// There has been more than can be followed.
    fn search_again(&mut self) {
        self.due.get_or_insert_with(Instant::now);
    }

    fn search(&mut self) {
        let Some(follow) = &self.follow else { return };
        let (search, homes) = follow.sought();
        let (tell, told) = oneshot::channel();
        let look = move || drop(tell.send(Box::new(Follow::new(search, &homes))));
        drop(thread::Builder::new().name("searching".to_owned()).spawn(look));
        (self.searching, self.due) = (Some(told), None);
        self.searches += 1;
    }

    /// A search is done: what is new in it.
    fn found(&mut self, found: Option<Box<Follow>>) -> Turn {
        let next = Instant::now() + PAUSE;
        // What it has not seen any more is in its own queue.
        self.due = self.due.map(|_| next);
        let (Some(mut found), Some(before)) = (found, self.follow.take()) else {
            self.due = Some(next);
            return Turn::default();
        };
        let known = before.files();
        let is_new = |(key, file): (&LabelKey, _)| (known.get(key) != Some(file)).then_some(*key);
        let labelled = found.files().iter().filter_map(is_new).collect();
        found.keep(before.into_files());
        self.put(found);
        Turn { labelled, ..Turn::default() }
    }
}

async fn found(searching: &mut Option<oneshot::Receiver<Box<Follow>>>) -> Option<Box<Follow>> {
    match searching {
        Some(searching) => searching.await.ok(),
        None => std::future::pending().await,
    }
}

async fn reached(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

async fn readable(ready: Option<&AsyncFd<Arc<OwnedFd>>>) {
    if let Some(ready) = ready
        && let Ok(mut guard) = ready.readable().await
    {
        return guard.retain_ready();
    }
    std::future::pending().await
}

impl Watcher {
    /// Does what it was told to.
    pub(crate) fn heed(&mut self, told: Told) {
        let turn = match told {
            Told::Something => self.live.turn(),
            Told::Due => return self.live.search(),
            Told::Found(found) => self.live.found(found),
        };
        if turn.again {
            self.live.search_again();
        }
        turn.gone.iter().for_each(|key| self.unlabel(key));
        turn.labelled.iter().for_each(|key| self.label(key));
    }

    fn label(&mut self, key: &LabelKey) {
        let (Some(plan), Some(follow)) = (&mut self.plan, &mut self.live.follow) else { return };
        let Some(known) = follow.files().get(key) else { return };
        if !plan.label(*key, &known.rules) {
            return follow.no_room(1);
        }
        let name = known.names.first().cloned();
        self.pipeline.name_file((key.device, key.inode), name);
        if let Err(error) = self.kernel.plans.label(plan, key) {
            log::warn!("a file is known by its name only: {error}");
            follow.no_room(1);
        }
    }

    fn unlabel(&mut self, key: &LabelKey) {
        if let Some(plan) = &mut self.plan {
            plan.labels.remove(key);
        }
        self.pipeline.name_file((key.device, key.inode), None);
        if let Err(error) = self.kernel.plans.unlabel(key) {
            log::warn!("a file that is gone is still known: {error}");
        }
    }

    /// Says what is known by its name only, where that is of another kind than before.
    pub(crate) fn say_what_has_no_label(&mut self) {
        let left_out = self.live.left_out();
        if left_out != LeftOut::default() && !left_out.is_like(&self.said) {
            eprintln!("labels    known by their names only: {left_out}");
        }
        self.said = left_out;
    }
}
