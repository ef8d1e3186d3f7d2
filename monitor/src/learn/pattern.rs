//! A pattern: a path as a rule may write it, name by name, maybe with all that is below.

use std::fmt;

use super::general::{Evidence, Name, lasting, numbers, temporary};
use crate::rules::glob::{Glob, Homes};

/// A path as a rule may write it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pattern {
    /// Whether it begins at a home directory, in place of the root.
    pub(super) home: bool,
    /// Its names, as rules write them.
    pub(super) parts: Vec<String>,
    /// Whether all that is below is meant, and not this.
    pub(super) tree: bool,
}

/// Directories whose files have names drawn by lot.
pub(super) const TEMPORARY: [&[&str]; 3] = [&["tmp"], &["var", "tmp"], &["dev", "shm"]];

impl Pattern {
    /// A path as it was seen, home directories as `~`. None for what no rule can name: the root, and what the
    /// kernel never calls a path.
    pub(super) fn literal(path: &[u8], homes: &Homes) -> Option<Self> {
        Self::of(path, homes, |_, name| Name::new(name))
    }

    /// The same without what changes from one time to the next.
    pub(super) fn general(path: &[u8], homes: &Homes, evidence: &Evidence) -> Option<Self> {
        let mut pattern = Self::of(path, homes, |before, name| {
            let is_temporary = TEMPORARY.contains(&before);
            match before.first().copied() {
                // Numbers of processes and of what they have open.
                Some("proc") => numbers(Name::new(name)),
                // Devices are few, and one is not like the other.
                Some("dev") if before != ["dev", "shm"] => Name::new(name),
                // Sessions and scopes are counted.
                Some("sys") if before.get(1..3) == Some(&["fs", "cgroup"]) => {
                    numbers(lasting(name, evidence))
                }
                _ if is_temporary => temporary(name, evidence).unwrap_or_else(|| Name::new(name)),
                _ => lasting(name, evidence),
            }
        })?;
        // A listing of one home directory is one of each: `~` itself cannot be written.
        if let [home, _] = &pattern.parts[..]
            && home == "home"
        {
            pattern.parts[1] = "*".to_owned();
        }
        Some(pattern)
    }

    fn of(path: &[u8], homes: &Homes, name: impl Fn(&[&str], &[u8]) -> Name) -> Option<Self> {
        let below = homes.split(path);
        let names = path[below.unwrap_or(0)..].strip_prefix(b"/")?;
        let mut parts: Vec<String> = Vec::new();
        for one in names.split(|byte| *byte == b'/') {
            if matches!(one, b"" | b"." | b"..") || one.contains(&0) {
                return None;
            }
            let before: Vec<&str> = match below {
                Some(_) => std::iter::once("~").chain(parts.iter().map(|part| &**part)).collect(),
                None => parts.iter().map(|part| &**part).collect(),
            };
            let text = name(&before, one).text();
            parts.push(text);
        }
        Some(Self { home: below.is_some(), parts, tree: false })
    }

    /// The names from the root on; the first is `~` below a home directory.
    pub(super) fn names(&self) -> Vec<&str> {
        let home = self.home.then_some("~");
        home.into_iter().chain(self.parts.iter().map(String::as_str)).collect()
    }

    /// All that is below the first `depth` of [`Self::names`].
    pub(super) fn tree(&self, depth: usize) -> Self {
        let parts = self.parts[..depth - usize::from(self.home)].to_vec();
        Self { home: self.home, parts, tree: true }
    }

    /// Whether it lets through more than any one thing of an agent: all of a home directory, or of what lies right
    /// below the root.
    pub(super) fn is_too_broad(&self) -> bool {
        let is_home = !self.home && self.parts.len() == 2 && self.parts[0] == "home" && !self.tree;
        match &self.names()[..] {
            [] | [_] => self.tree || self.parts.first().is_some_and(|part| part == "*"),
            ["*", ..] => true,
            ["home", _] => self.tree,
            ["proc", ..] => self.tree,
            [_, "*", ..] => !is_home,
            _ => false,
        }
    }

    /// Whether it is a name in a temporary directory of which only the length is known. Such names cannot be listed,
    /// so a secret that has such a name must not be in the way.
    pub(super) fn is_drawn(&self) -> bool {
        let names = self.names();
        let [before @ .., name] = &names[..] else { return false };
        TEMPORARY.contains(&before) && !self.tree && name.bytes().all(|byte| byte == b'?')
    }

    /// What it means. None if it cannot be written.
    pub(super) fn globs(&self) -> Option<Vec<Glob>> {
        Glob::parse(&self.to_string()).ok()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.home { "~" } else { "" })?;
        self.parts.iter().try_for_each(|part| write!(f, "/{part}"))?;
        f.write_str(if self.tree { "/**" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn general(path: &str) -> String {
        let homes = Homes(vec![b"/root".to_vec()]);
        let pattern =
            Pattern::general(path.as_bytes(), &homes, &Evidence { pids: vec![4711], python: true });
        pattern.map_or_else(|| "none".to_owned(), |pattern| pattern.to_string())
    }

    #[test]
    fn each_place_has_its_own_changes() {
        for (path, pattern) in [
            ("/home/ana/.gitconfig", "~/.gitconfig"),
            ("/root/.gitconfig", "~/.gitconfig"),
            ("/home/ana", "/home/*"),
            ("/root", "/root"),
            ("/usr/lib/node-20.11.1/x", "/usr/lib/node-*/x"),
            ("/proc/1234/status", "/proc/*/status"),
            ("/proc/1234/task/1235/comm", "/proc/*/task/*/comm"),
            ("/proc/sys/kernel/ngroups_max", "/proc/sys/kernel/ngroups_max"),
            ("/dev/pts/3", "/dev/pts/3"),
            ("/dev/null", "/dev/null"),
            ("/dev/shm/x-AbCdEf", "/dev/shm/x-*"),
            ("/tmp/pip-x8sdf_3k/a/b.py", "/tmp/pip-*/a/b.py"),
            ("/var/tmp/x-AbCdEf", "/var/tmp/x-*"),
            ("/tmp", "/tmp"),
            ("/tmp/dn_zpbiy", "/tmp/????????"),
            ("/sys/fs/cgroup/jobs/65707f7dd04dcaeb/memory.max", "/sys/fs/cgroup/jobs/*/memory.max"),
            (
                "/sys/fs/cgroup/user.slice/session-3.scope/cpu.max",
                "/sys/fs/cgroup/user.slice/session-*.scope/cpu.max",
            ),
            ("/sys/devices/system/cpu/cpu0/online", "/sys/devices/system/cpu/cpu0/online"),
        ] {
            assert_eq!(general(path), pattern);
        }
    }

    #[test]
    fn what_is_too_broad_is_known() {
        let pattern = |path: &str, depth: Option<usize>| {
            let pattern =
                Pattern::general(path.as_bytes(), &Homes::default(), &Evidence::default()).unwrap();
            depth.map_or(pattern.clone(), |depth| pattern.tree(depth)).is_too_broad()
        };
        for (path, depth) in [
            ("/home/ana/x", Some(1)),
            ("/etc/x", Some(1)),
            ("/proc/1/x", Some(2)),
            ("/1.2.3", None),
            ("/1.2.3/x", None),
            ("/home/ana/1.2.3", None),
            ("/home/ana/1.2.3/x", Some(2)),
            ("/home/x", Some(2)),
        ] {
            assert!(pattern(path, depth), "{path}");
        }
        for (path, depth) in
            [("/home/ana", None), ("/proc/1/status", None), ("/srv/x/y", Some(2)), ("/a", None)]
        {
            assert!(!pattern(path, depth), "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_none() {
        for path in ["/", "", "a", "/a//b", "/a/", "/a/../b", "/./a"] {
            assert_eq!(general(path), "none", "{path}");
        }
    }
}
