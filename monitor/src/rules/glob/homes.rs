//! Homes: which directories `~` stands for.
//!
//! Every directory in `/home` is one, whether anybody lives there or not; the others are given.
//! Who finds them out is not said here.

/// The home directories besides those in `/home`: `/root`, for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Homes(pub Vec<Vec<u8>>);

/// The directory whose every directory is a home.
pub(in crate::rules) const HOME: &[u8] = b"/home";

impl Homes {
    /// Where the part of `path` below the outermost home directory begins, its `/` included. A home
    /// directory itself is not below one.
    #[must_use]
    pub fn split(&self, path: &[u8]) -> Option<usize> {
        let slashes = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/').map(|(at, _)| at);
        slashes.skip(1).find(|&at| self.is_home(&path[..at]))
    }

    /// The directories that were given, without closing slashes. The root is never a home: that some
    /// account is said to live there does not make everything its own.
    pub fn directories(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|home| trimmed(home)).filter(|home| home.first() == Some(&b'/'))
    }

    fn is_home(&self, directory: &[u8]) -> bool {
        let in_home = directory
            .strip_prefix(HOME)
            .and_then(|rest| rest.strip_prefix(b"/"))
            .is_some_and(|name| !name.is_empty() && !name.contains(&b'/'));
        in_home || self.directories().any(|home| home == directory)
    }
}

fn trimmed(directory: &[u8]) -> &[u8] {
    let end = directory.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    &directory[..end]
}
