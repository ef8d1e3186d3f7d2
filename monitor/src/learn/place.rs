//! Places: directories of which all that is below may stand for what was seen in them.
//!
//! There are four kinds: projects, caches, what was put into a temporary directory under a name drawn by lot, and
//! directories of the system where many files were read. Everywhere else a file stands for itself. [`Places`]
//! proposes, the broadest first; whether a secret lies below is for [`super::secret`] to say.

use std::collections::{BTreeMap, BTreeSet};

use monitor_common::Act;

use super::pattern::{Pattern, TEMPORARY};

/// How many things of one directory of the system must have been read for all of it to be allowed: fewer are
/// quicker read by a person than thought about.
const MANY: usize = 8;

/// A file or directory of this name lies at the top of a project.
const MARKS: [&str; 4] = [".git", "Cargo.toml", "package.json", "pyproject.toml"];

/// Directories in which there are no projects, whatever lies in them: `/usr/lib/node_modules` is full of
/// `package.json`.
const NO_PROJECTS: [&str; 13] = [
    "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "nix", "proc", "run", "sbin", "sys",
    "usr",
];

/// Where programs keep what they can make again. What is so many names below each is one cache.
const CACHES: [(&[&str], usize); 11] = [
    (&["~", ".cache"], 1),
    (&["~", ".npm"], 0),
    (&["~", ".cargo", "registry"], 0),
    (&["~", ".cargo", "git"], 0),
    (&["~", ".gradle", "caches"], 0),
    (&["~", ".m2", "repository"], 0),
    (&["~", ".nuget", "packages"], 0),
    (&["~", ".local", "share", "pnpm"], 0),
    (&["~", ".yarn", "cache"], 0),
    (&["~", "go", "pkg", "mod"], 0),
    (&["var", "cache"], 1),
];

/// What packages and toolchains install, and nothing personal. Directories below them may be allowed as a whole,
/// for reading, and never they themselves.
const SYSTEM: [&[&str]; 19] = [
    &["usr", "lib"],
    &["usr", "lib32"],
    &["usr", "lib64"],
    &["usr", "libexec"],
    &["usr", "share"],
    &["usr", "include"],
    &["usr", "src"],
    &["usr", "local"],
    &["lib"],
    &["lib64"],
    &["etc", "ssl"],
    &["etc", "ca-certificates"],
    &["opt"],
    &["nix", "store"],
    &["~", ".rustup"],
    &["~", ".pyenv"],
    &["~", ".nvm"],
    &["~", ".asdf"],
    &["~", ".local", "lib"],
];

/// The directories that matter for what was seen.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Tops of projects.
    projects: BTreeSet<Vec<String>>,
    /// What was read in each directory of the system: files, and directories in which something was.
    read: BTreeMap<Vec<String>, BTreeSet<String>>,
}

impl Places {
    /// Finds them in all that was seen. `given` are tops of projects that somebody named.
    pub(super) fn new<'a>(
        seen: impl Iterator<Item = (Act, &'a Pattern)>,
        given: &[Pattern],
    ) -> Self {
        let mut places = Self::default();
        places.projects.extend(given.iter().map(|project| owned(&project.names())));
        for (act, pattern) in seen {
            let names = pattern.names();
            let tops = (0..names.len()).filter(|&at| is_mark(&names, at)).map(|at| &names[..at]);
            places.projects.extend(tops.filter(|top| may_be_project(top)).map(owned));
            let Some(system) = system(&names).filter(|_| act == Act::Read) else { continue };
            for depth in system.len() + 1..names.len() {
                let entries = places.read.entry(owned(&names[..depth])).or_default();
                entries.insert(names[depth].to_owned());
            }
        }
        places
    }

    /// What may stand for a file together with others, the broadest first.
    pub(super) fn trees(&self, pattern: &Pattern, act: Act) -> Vec<Pattern> {
        let names = pattern.names();
        let mut depths: BTreeSet<usize> = BTreeSet::new();
        depths.extend(temporary(&names));
        if let Some(cache) = cache(&names) {
            depths.extend(cache..names.len());
        }
        if system(&names).is_none() && cache(&names).is_none() {
            let is_project = |depth: &usize| self.projects.contains(&owned(&names[..*depth]));
            depths.extend((1..names.len()).filter(is_project));
        }
        if act == Act::Read {
            let is_full = |depth: &usize| {
                self.read.get(&owned(&names[..*depth])).is_some_and(|read| read.len() >= MANY)
            };
            depths.extend((1..names.len()).filter(is_full));
        }
        depths.into_iter().map(|depth| pattern.tree(depth)).collect()
    }

    /// The tops of the projects that are not in another one.
    pub(super) fn outermost(&self) -> impl Iterator<Item = &[String]> {
        let is_inner =
            |top: &[String]| (1..top.len()).any(|end| self.projects.contains(&top[..end]));
        self.projects.iter().map(Vec::as_slice).filter(move |top| !is_inner(top))
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// `.git` may be on the way, the others are files.
fn is_mark(names: &[&str], at: usize) -> bool {
    MARKS.contains(&names[at]) && (names[at] == ".git" || at + 1 == names.len())
}

/// Whether a directory with the mark of a project in it may be one: not a home directory, nothing hidden, nothing
/// of the system.
fn may_be_project(top: &[&str]) -> bool {
    is_narrow(top)
        && !top.iter().any(|name| name.starts_with('.'))
        && !NO_PROJECTS.contains(&top[0])
        && system(top).is_none()
        && cache(top).is_none()
}

/// Whether a directory is small enough that somebody may mean all that is below.
pub(super) fn is_narrow(top: &[&str]) -> bool {
    let least = if top.first() == Some(&"var") { 3 } else { 2 };
    top.len() >= least
        && top[0] != "home"
        && !matches!(top[..2], ["proc" | "sys" | "dev", _] | [_, "*"])
}

fn cache(names: &[&str]) -> Option<usize> {
    let (top, more) = CACHES.iter().find(|(top, _)| names.starts_with(top))?;
    Some(top.len() + more)
}

fn system(names: &[&str]) -> Option<&'static [&'static str]> {
    SYSTEM.into_iter().find(|top| names.len() > top.len() && names.starts_with(top))
}

/// Where what was put into a temporary directory under a name drawn by lot begins.
fn temporary(names: &[&str]) -> Option<usize> {
    let top = TEMPORARY.iter().find(|top| names.starts_with(top))?;
    let drawn = names.get(top.len()).is_some_and(|name| name.replace("\\*", "").contains('*'));
    (drawn && names.len() > top.len() + 1).then_some(top.len() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{learn::general::Evidence, rules::glob::Homes};

    fn pattern(path: &str) -> Pattern {
        Pattern::general(path.as_bytes(), &Homes(vec![b"/root".to_vec()]), &Evidence::default())
            .unwrap()
    }

    /// What may stand for the last of the paths, all of them seen.
    fn trees(act: Act, paths: &[&str]) -> Vec<String> {
        let patterns: Vec<Pattern> = paths.iter().map(|path| pattern(path)).collect();
        let places = Places::new(patterns.iter().map(|pattern| (act, pattern)), &[]);
        let last = patterns.last().unwrap();
        places.trees(last, act).iter().map(Pattern::to_string).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn a_project_is_what_has_its_mark() {
        let seen = ["/home/ana/src/x/.git/HEAD", "/home/ana/src/x/a/b.rs"];
        assert_eq!(trees(Act::Write, &seen), ["~/src/x/**"]);
        let seen = ["/srv/x/Cargo.toml", "/srv/x/sub/package.json", "/srv/x/sub/a"];
        assert_eq!(trees(Act::Read, &seen), ["/srv/x/**", "/srv/x/sub/**"]);
        // A directory of that name is no mark.
        assert_eq!(trees(Act::Read, &["/srv/x/package.json/a", "/srv/x/b"]), NONE);
    }

    #[test]
    fn homes_and_the_system_are_no_projects() {
        for (mark, file) in [
            ("/home/ana/.git/HEAD", "/home/ana/.ssh/id_rsa"),
            ("/home/package.json", "/home/ana/x"),
            ("/home/ana/.vscode/package.json", "/home/ana/.vscode/a"),
            ("/etc/.git/HEAD", "/etc/passwd"),
            ("/usr/lib/npm/package.json", "/usr/lib/npm/a"),
            ("/tmp/package.json", "/tmp/a/b"),
            ("/srv/package.json", "/srv/a"),
            ("/var/lib/package.json", "/var/lib/a"),
            ("/package.json", "/a"),
        ] {
            assert_eq!(trees(Act::Read, &[mark, file]), NONE, "{mark}");
        }
    }

    #[test]
    fn caches_are_taken_whole() {
        assert_eq!(trees(Act::Write, &["/home/ana/.npm/a/b"]), ["~/.npm/**", "~/.npm/a/**"]);
        assert_eq!(
            trees(Act::Read, &["/root/.cache/pip/http/a"]),
            ["~/.cache/pip/**", "~/.cache/pip/http/**"]
        );
        assert_eq!(trees(Act::Read, &["/root/.cache/one"]), NONE);
        assert_eq!(trees(Act::Read, &["/root/.cargo/config.toml"]), NONE);
    }

    #[test]
    fn a_name_drawn_by_lot_stands_for_what_is_in_it() {
        assert_eq!(trees(Act::Write, &["/tmp/pip-x8sdf_3k/a/b"]), ["/tmp/pip-*/**"]);
        assert_eq!(trees(Act::Write, &["/tmp/pip-x8sdf_3k"]), NONE);
        assert_eq!(trees(Act::Write, &["/tmp/build/a/b"]), NONE);
        assert_eq!(trees(Act::Write, &["/tmp/a*b/a/b"]), NONE);
    }

    #[test]
    fn eight_of_a_directory_of_the_system_are_all_of_it() {
        let many = |top: &str, count: usize| -> Vec<String> {
            (0..count).map(|n| format!("{top}/{n}")).collect()
        };
        let of = |act, top: &str, count| {
            let paths = many(top, count);
            trees(act, &paths.iter().map(String::as_str).collect::<Vec<_>>())
        };
        assert_eq!(of(Act::Read, "/usr/lib/a", 8), ["/usr/lib/a/**"]);
        assert_eq!(of(Act::Read, "/usr/lib/a", 7), NONE);
        assert_eq!(of(Act::Write, "/usr/lib/a", 8), NONE);
        assert_eq!(of(Act::Read, "/usr/lib", 8), NONE);
        assert_eq!(of(Act::Read, "/etc", 8), NONE);
        assert_eq!(of(Act::Read, "/home/ana/documents", 8), NONE);
        assert_eq!(
            of(Act::Read, "/home/ana/.pyenv/versions/3.11.4", 8),
            ["~/.pyenv/versions/*/**"]
        );
    }
}
