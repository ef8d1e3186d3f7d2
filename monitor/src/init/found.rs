//! Found: which agents are on this host, by the signs that rules know them by.
//!
//! Looks at running processes and at the places where agents are usually installed. The search is bounded; what is
//! elsewhere is found when it runs.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use crate::{
    host::{Host, Running},
    rules::{
        glob::Homes,
        model::{Agent, Sign},
        script::script,
    },
};

/// Where agents are installed, from the root.
const PLACES: [&str; 5] =
    ["/usr/bin", "/usr/local/bin", "/usr/lib/node_modules", "/usr/local/lib/node_modules", "/opt"];
/// The same from a home directory.
const HOME_PLACES: [&str; 9] = [
    ".local/bin",
    ".local/share",
    ".local/lib/node_modules",
    ".npm-global/lib/node_modules",
    ".nvm/versions/node",
    ".cargo/bin",
    ".opencode/bin",
    ".bun/install/global/node_modules",
    "node_modules",
];
/// Entries of directories that are looked at.
const ENTRIES: usize = 200_000;
/// Directories below one of the places.
const DEPTH: usize = 9;

/// An agent on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub agent: String,
    /// A file that it is known by.
    pub path: Vec<u8>,
    /// How many processes run it now.
    pub running: usize,
}

/// Looks for agents: one line for each, in the order of their names.
#[must_use]
pub fn find(agents: &[Agent], host: &Host, running: &[Running]) -> Vec<Found> {
    let mut found: BTreeMap<&str, Found> = BTreeMap::new();
    let mut note = |agent: &'_ str, path: &[u8], running: usize| {
        let known = agents.iter().find(|known| known.name == agent).map(|known| &*known.name);
        let Some(name) = known else { return };
        let entry = found.entry(name).or_insert_with(|| Found {
            agent: agent.to_owned(),
            path: path.to_vec(),
            running: 0,
        });
        entry.running += running;
    };
    for process in running {
        let Some(exe) = &process.process.image.exe else { continue };
        let image = &process.process.image;
        let script = script(exe, &image.argv, image.cwd.as_deref());
        for agent in agents {
            let by_exe = is_known_by(agent, exe, &host.homes, false);
            let by_script =
                script.as_deref().filter(|script| is_known_by(agent, script, &host.homes, true));
            if by_exe {
                note(&agent.name, exe, 1);
            } else if let Some(script) = by_script {
                note(&agent.name, script, 1);
            }
        }
    }
    let mut left = ENTRIES;
    for place in places(&host.homes) {
        walk(&place, DEPTH, &mut left, &mut |path| {
            for agent in agents {
                let known = |script| is_known_by(agent, path, &host.homes, script);
                if known(false) || known(true) {
                    note(&agent.name, path, 0);
                }
            }
        });
    }
    found.into_values().collect()
}

/// Whether a file alone is enough to know an agent by.
fn is_known_by(agent: &Agent, path: &[u8], homes: &Homes, script: bool) -> bool {
    agent.clauses.iter().any(|clause| match &**clause {
        [Sign::Exe(glob)] if !script => glob.matches(path, homes),
        [Sign::Script(glob)] if script => glob.matches(path, homes),
        _ => false,
    })
}

fn places(homes: &Homes) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = PLACES.iter().map(PathBuf::from).collect();
    let mut directories: Vec<PathBuf> =
        homes.0.iter().map(|home| PathBuf::from(std::ffi::OsStr::from_bytes(home))).collect();
    if let Ok(entries) = fs::read_dir("/home") {
        directories.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    directories.sort();
    directories.dedup();
    for home in directories {
        places.extend(HOME_PLACES.iter().map(|place| home.join(place)));
    }
    places
}

/// Every file below a directory, without following links to directories.
fn walk(directory: &Path, depth: usize, left: &mut usize, file: &mut impl FnMut(&[u8])) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.filter_map(Result::ok) {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => walk(&path, depth - 1, left, file),
            Ok(kind) if !kind.is_dir() => file(path.as_os_str().as_bytes()),
            _ => {}
        }
    }
}
