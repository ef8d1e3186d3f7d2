//! Follow: finds the files that rules shut, and those that come later.
//!
//! A directory is watched before it is read, so nothing that comes in between is missed. Where a place is not
//! there yet, the nearest directory above it is watched, and each above that for its own fate. One turn takes
//! a bounded number of events and looks at a bounded number of entries; what would be more is left to a new
//! search, which somebody does elsewhere.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    os::{
        fd::OwnedFd,
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use monitor_common::plan::LabelKey;

use super::{
    Files, LeftOut,
    identity::{Devices, hold},
    watches::{Change, Outcome, Watches},
};
use crate::rules::{
    glob::Homes,
    labels::{Search, Start, Wanted},
};

/// Entries of directories that one search looks at.
const ENTRIES: usize = 100_000;
/// Entries that are looked at for the events of one turn.
const TURN: usize = 2_000;
/// Directories below the place where a glob begins.
const DEPTH: usize = 16;
/// What is in here is no file that anybody keeps.
const CLOSED: [&str; 3] = ["/proc", "/sys", "/dev"];
/// Every directory in it is a home.
const HOME: &str = "/home";

/// A place where a search begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// Which of what is wanted.
    wanted: usize,
    /// It is a file and no directory.
    whole: bool,
}

/// What has changed in a turn.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Files that have a label, or one of other rules than before.
    pub labelled: Vec<LabelKey>,
    /// Files that are no more.
    pub gone: Vec<LabelKey>,
    /// More than can be followed: there must be a new search.
    pub again: bool,
}

/// The files that were found, and what it takes to find the next.
#[derive(Debug)]
pub struct Follow {
    search: Search,
    wanted: Vec<Wanted>,
    homes: Homes,
    places: BTreeMap<PathBuf, Vec<Place>>,
    watches: Watches,
    devices: Devices,
    files: Files,
    left_out: LeftOut,
    /// Entries that may still be looked at.
    entries: usize,
    turn: Turn,
}

impl Follow {
    /// Looks for everything.
    #[must_use]
    pub fn new(search: Search, homes: &Homes) -> Self {
        let left_out = LeftOut { floating: search.floating, ..LeftOut::default() };
        let mut follow = Self {
            wanted: search.wanted.values().cloned().collect(),
            search,
            homes: homes.clone(),
            places: BTreeMap::new(),
            watches: Watches::new(),
            devices: Devices::default(),
            files: Files::new(),
            left_out,
            entries: ENTRIES,
            turn: Turn::default(),
        };
        follow.look_everywhere();
        follow.turn = Turn::default();
        follow
    }

    /// The files that are known.
    #[must_use]
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// The same, to have.
    #[must_use]
    pub fn into_files(self) -> Files {
        self.files
    }

    /// What is not done.
    #[must_use]
    pub fn left_out(&self) -> LeftOut {
        LeftOut { unwatched: self.watches.refused, ..self.left_out }
    }

    /// There was no room for so many files.
    pub fn no_room(&mut self, files: usize) {
        self.left_out.no_room += files;
    }

    /// What was looked for, and where homes are: for a search that begins anew.
    #[must_use]
    pub fn sought(&self) -> (Search, Homes) {
        (self.search.clone(), self.homes.clone())
    }

    /// What can be waited for; none where nothing is watched.
    #[must_use]
    pub fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        self.watches.descriptor()
    }

    /// Takes some of what has happened.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where nothing has.
    pub fn turn(&mut self) -> io::Result<Turn> {
        let changes = self.watches.read()?;
        self.devices.forget();
        self.entries = TURN;
        for change in changes {
            match change {
                Change::Appeared { path, directory } => self.look(&path, directory),
                Change::Displaced(path) => self.displaced(&path),
                Change::Gone(key) => {
                    if self.files.remove(&key).is_some() {
                        self.turn.gone.push(key);
                    }
                }
                Change::Lost => self.turn.again = true,
            }
        }
        Ok(std::mem::take(&mut self.turn))
    }

    /// The same files by other rules that look for the same: found by the names that they had. `None` where
    /// other places would have to be looked at.
    #[must_use]
    pub fn by(&self, search: &Search) -> Option<Files> {
        if !search.wanted.keys().eq(self.search.wanted.keys()) {
            return None;
        }
        let by_names = |names: &Vec<Vec<u8>>| {
            let mut known = super::Known::default();
            for name in names {
                let rules: Vec<_> =
                    search.wanted.values().flat_map(|one| one.rules(name, &self.homes)).collect();
                known.add(name, &rules);
            }
            known
        };
        let again = self.files.iter().map(|(key, known)| (*key, by_names(&known.names)));
        Some(again.filter(|(_, known)| !known.rules.is_empty()).collect())
    }

    /// From now on follows by these rules, which [`Self::by`] was asked about.
    pub fn turn_to(&mut self, search: Search, files: Files) {
        self.wanted = search.wanted.values().cloned().collect();
        (self.search, self.files) = (search, files);
    }

    /// Keeps what was found before, and is not any more: it has another name now. What has been deleted
    /// meanwhile is kept as well, and has no use.
    pub fn keep(&mut self, before: Files) {
        for (key, known) in before {
            self.files.entry(key).or_insert(known);
        }
    }

    fn look_everywhere(&mut self) {
        let starts: Vec<Start> = self.search.wanted.keys().cloned().collect();
        let homes = if starts.iter().any(|start| start.home) {
            self.approach(Path::new(HOME));
            home_directories(&self.homes)
        } else {
            Vec::new()
        };
        for (wanted, start) in starts.iter().enumerate() {
            if start.home {
                homes.iter().for_each(|home| self.place(home, start, wanted));
            } else {
                self.place(b"", start, wanted);
            }
        }
    }

    /// From now on `start` below a directory is one of the places, and is looked at.
    fn place(&mut self, below: &[u8], start: &Start, wanted: usize) {
        let path = PathBuf::from(OsString::from_vec([below, &start.path].concat()));
        let place = Place { wanted, whole: start.whole };
        let known = self.places.entry(path.clone()).or_default();
        if !known.contains(&place) {
            known.push(place);
        }
        self.begin(&path, place);
    }

    fn begin(&mut self, path: &Path, place: Place) {
        if place.whole {
            if let Some(directory) = path.parent() {
                self.approach(directory);
            }
            return self.file(path, place.wanted);
        }
        if !is_closed(path) {
            self.approach(path);
            self.walk(path.to_owned(), 0, place.wanted);
        }
    }

    /// Watches a directory, or where it is not there, the nearest one above; and each above that, which may be
    /// renamed.
    fn approach(&mut self, directory: &Path) {
        if ["/proc", "/sys"].iter().any(|closed| directory.starts_with(closed)) {
            return; // nothing is told of these
        }
        let mut steps: Vec<&Path> = directory.ancestors().collect();
        steps.reverse();
        let mut above: Option<&Path> = None;
        for step in steps {
            if self.watches.directory(step, false, true) == Outcome::Missing {
                let Some(above) = above else { return };
                self.watches.directory(above, true, true);
                // It may have come just before that.
                if self.watches.directory(step, false, true) == Outcome::Missing {
                    return;
                }
            }
            above = Some(step);
        }
        self.watches.directory(directory, true, true);
    }

    /// A new name: of a place, above places, or below one.
    fn look(&mut self, path: &Path, directory: bool) {
        for (distance, above) in path.ancestors().enumerate() {
            for place in self.places.get(above).cloned().unwrap_or_default() {
                let levels = self.wanted[place.wanted].levels;
                match (place.whole, directory, distance) {
                    (true, false, 0) => self.file(path, place.wanted),
                    (false, true, 0) => self.begin(path, place),
                    (false, true, depth) if levels.is_none_or(|levels| depth <= levels) => {
                        self.walk(path.to_owned(), depth, place.wanted);
                    }
                    (false, false, 1..) => self.file(path, place.wanted),
                    _ => {}
                }
            }
        }
        if directory {
            if path.parent() == Some(Path::new(HOME)) {
                self.home(path);
            }
            self.begin_below(path);
        }
    }

    /// A new home directory.
    fn home(&mut self, home: &Path) {
        let starts: Vec<Start> = self.search.wanted.keys().cloned().collect();
        for (wanted, start) in starts.iter().enumerate().filter(|(_, start)| start.home) {
            self.place(home.as_os_str().as_bytes(), start, wanted);
        }
    }

    /// Looks anew at every place below a path.
    fn begin_below(&mut self, path: &Path) {
        let from = self.places.range(path.to_owned()..);
        let below = from.take_while(|(place, _)| place.starts_with(path));
        let below = below.filter(|(place, _)| *place != path);
        let places: Vec<_> = below.map(|(path, places)| (path.clone(), places.clone())).collect();
        for (path, places) in places {
            places.into_iter().for_each(|place| self.begin(&path, place));
        }
    }

    /// A directory is not where it was, or not at all. Another may be there.
    fn displaced(&mut self, path: &Path) {
        self.watches.forget(path);
        self.look(path, true);
    }

    fn walk(&mut self, from: PathBuf, depth: usize, wanted: usize) {
        let levels = self.wanted[wanted].levels;
        let mut waiting = vec![(from, depth)];
        while let Some((directory, depth)) = waiting.pop() {
            if is_closed(&directory) {
                continue;
            }
            if depth > DEPTH {
                self.left_out.directories += 1;
                continue;
            }
            if self.entries == 0 {
                self.beyond();
                continue;
            }
            self.watches.directory(&directory, true, depth == 0);
            // What is not there, is no directory or may not be read has nothing to be found in it.
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                if self.entries == 0 {
                    self.beyond();
                    break;
                }
                self.entries -= 1;
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() && levels.is_none_or(|levels| depth < levels) => {
                        waiting.push((entry.path(), depth + 1));
                    }
                    Ok(kind) if kind.is_file() => self.file(&entry.path(), wanted),
                    _ => {}
                }
            }
        }
    }

    /// There is more than one may look at. In a turn that is for the next search to look at, which says it where
    /// it is too much for that as well.
    fn beyond(&mut self) {
        self.left_out.directories += 1;
        self.turn.again = true;
    }

    fn file(&mut self, path: &Path, wanted: usize) {
        let name = path.as_os_str().as_bytes();
        let rules = self.wanted[wanted].rules(name, &self.homes);
        if rules.is_empty() {
            return;
        }
        // It may not be there, or be no regular file.
        let Ok(held) = hold(path) else { return };
        match self.devices.identify(&held) {
            Ok(Some(key)) => {
                let new = !self.files.contains_key(&key);
                if self.files.entry(key).or_default().add(name, &rules) {
                    self.turn.labelled.push(key);
                }
                if new {
                    self.watches.file(&held, key);
                }
            }
            Ok(None) => self.left_out.unnamed += 1,
            Err(_) => {}
        }
    }
}

fn is_closed(directory: &Path) -> bool {
    CLOSED.iter().any(|closed| directory.starts_with(closed))
}

/// Every home directory: those that were given, and all in `/home`.
fn home_directories(homes: &Homes) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = homes.directories().map(<[u8]>::to_vec).collect();
    for entry in fs::read_dir(HOME).into_iter().flatten().flatten() {
        all.push(entry.path().into_os_string().into_vec());
    }
    all.sort_unstable();
    all.dedup();
    all
}
