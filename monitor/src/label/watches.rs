//! Watches: what the kernel is asked to tell of (inotify(7)), and what it has told.
//!
//! A directory is watched for its own fate, or also for new names in it; a file only for its end. Watches are
//! bounded; what is beyond the bound is counted and said. This knows paths and no rules.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsStr,
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use monitor_common::plan::LabelKey;
use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};

/// Directories that are watched at most. A kernel lets a user have 8,192 watches or more
/// (`fs.inotify.max_user_watches`, one for each MiB in 100 of memory).
const DIRECTORIES: usize = 16_384;
/// Files that are watched at most.
const FILES: usize = 16_384;
/// Bytes of events that are taken in one go: 15 events with the longest names, 128 without any.
const BATCH: usize = 4096;

/// What has happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// There is a new name.
    Appeared {
        /// The path with it.
        path: PathBuf,
        /// Whether it is a directory.
        directory: bool,
    },
    /// What had this path has another one now, or none.
    Displaced(PathBuf),
    /// The last name of a file is gone, and so is the file.
    Gone(LabelKey),
    /// There was more than the kernel keeps: anything may have happened.
    Lost,
}

/// What became of the wish to watch a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is watched.
    Watched,
    /// There is no such directory.
    Missing,
    /// It cannot be watched, and that is counted.
    Refused,
}

/// A watched directory.
#[derive(Clone, Copy, Debug)]
struct Watched {
    watch: i32,
    names: bool,
}

/// Everything that is watched.
#[derive(Debug, Default)]
pub(super) struct Watches {
    /// None where the kernel has none to give.
    inotify: Option<Arc<OwnedFd>>,
    by_path: BTreeMap<PathBuf, Watched>,
    /// One directory may be reached by several paths.
    directories: HashMap<i32, Vec<PathBuf>>,
    files: HashMap<i32, LabelKey>,
    /// What is not watched and should be.
    pub(super) refused: usize,
}

impl Watches {
    pub(super) fn new() -> Self {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        Self { inotify: inotify.ok().map(Arc::new), ..Self::default() }
    }

    /// What can be waited for: there is something to read.
    pub(super) fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        self.inotify.clone()
    }

    /// Watches a directory, with `names` also for new names in it; with `through` a symbolic link leads to it.
    pub(super) fn directory(&mut self, path: &Path, names: bool, through: bool) -> Outcome {
        let known = self.by_path.get(path).copied();
        if known.is_some_and(|known| known.names || !names) {
            return Outcome::Watched;
        }
        if known.is_none() && self.by_path.len() >= DIRECTORIES {
            return self.refuse();
        }
        let Some(inotify) = &self.inotify else { return self.refuse() };
        let mut flags = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        flags |= WatchFlags::ONLYDIR | WatchFlags::MASK_ADD;
        flags.set(WatchFlags::DONT_FOLLOW, !through);
        flags.set(WatchFlags::CREATE | WatchFlags::MOVED_TO, names);
        match inotify::add_watch(inotify, path, flags) {
            Ok(watch) => {
                self.by_path.insert(path.to_owned(), Watched { watch, names });
                let paths = self.directories.entry(watch).or_default();
                if !paths.iter().any(|known| known == path) {
                    paths.push(path.to_owned());
                }
                Outcome::Watched
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Outcome::Missing,
            Err(_) => self.refuse(),
        }
    }

    fn refuse(&mut self) -> Outcome {
        self.refused += 1;
        Outcome::Refused
    }

    /// Watches for the end of a file that is held.
    pub(super) fn file(&mut self, held: &OwnedFd, key: LabelKey) {
        if self.files.len() >= FILES {
            self.refused += 1;
            return;
        }
        let Some(inotify) = &self.inotify else { return };
        let path = format!("/proc/self/fd/{}", held.as_raw_fd());
        match inotify::add_watch(inotify, &*path, WatchFlags::DELETE_SELF) {
            Ok(watch) => drop(self.files.insert(watch, key)),
            Err(_) => self.refused += 1,
        }
    }

    /// Forgets a path and all that are below it.
    pub(super) fn forget(&mut self, path: &Path) {
        let from = self.by_path.range(path.to_owned()..);
        let below = from.take_while(|(known, _)| known.starts_with(path));
        let gone: Vec<_> = below.map(|(path, watched)| (path.clone(), watched.watch)).collect();
        for (path, watch) in gone {
            self.by_path.remove(&path);
            let Some(paths) = self.directories.get_mut(&watch) else { continue };
            paths.retain(|known| *known != path);
            if paths.is_empty() {
                self.directories.remove(&watch);
                if let Some(inotify) = &self.inotify {
                    // A directory that is gone has taken its watch along.
                    let _gone_already = inotify::remove_watch(inotify, watch);
                }
            }
        }
    }

    /// Takes what has been told, some of it: there may be more.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where there is nothing.
    pub(super) fn read(&mut self) -> io::Result<Vec<Change>> {
        let Some(inotify) = self.inotify.clone() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let mut room = [MaybeUninit::uninit(); BATCH];
        let mut reader = Reader::new(&inotify, &mut room);
        let mut changes = Vec::new();
        loop {
            let event = reader.next()?;
            let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
            self.understand(event.wd(), event.events(), name, &mut changes);
            if reader.is_buffer_empty() {
                return Ok(changes);
            }
        }
    }

    fn understand(
        &mut self,
        watch: i32,
        what: ReadFlags,
        name: Option<&OsStr>,
        changes: &mut Vec<Change>,
    ) {
        if what.contains(ReadFlags::QUEUE_OVERFLOW) {
            changes.push(Change::Lost);
        }
        // Whatever the reason, this watch is no more.
        let ended =
            what.intersects(ReadFlags::DELETE_SELF | ReadFlags::UNMOUNT | ReadFlags::IGNORED);
        if let Some(&key) = self.files.get(&watch) {
            if ended {
                self.files.remove(&watch);
            }
            // After an unmount the file is still there.
            if what.contains(ReadFlags::DELETE_SELF) {
                changes.push(Change::Gone(key));
            }
            return;
        }
        let Some(paths) = self.directories.get(&watch).cloned() else { return };
        if ended || what.contains(ReadFlags::MOVE_SELF) {
            changes.extend(paths.into_iter().map(Change::Displaced));
        } else if let Some(name) = name {
            let directory = what.contains(ReadFlags::ISDIR);
            let appeared = |path: PathBuf| Change::Appeared { path: path.join(name), directory };
            changes.extend(paths.into_iter().map(appeared));
        }
    }
}
