//! Label: finds the files that rules shut, so that a hard link, a bind mount or another name does not
//! open them.
//!
//! [`Follow`] looks for them when rules are read, and follows: a file that is made later, or gets a name
//! that a rule shuts, is found when its name appears. The search is bounded, and what it leaves out is
//! counted. It follows no symbolic link at the end of a path and none below the place where a glob begins.
//! [`live`] keeps the labels of the plan in force by it; nothing here decides anything.

mod follow;
mod identity;
pub(crate) mod live;
mod watches;

use std::{collections::BTreeMap, fmt};

use monitor_common::plan::LabelKey;

pub use self::follow::Follow;
use crate::rules::model::RuleIndex;

/// Files that are known by their inode.
pub type Files = BTreeMap<LabelKey, Known>;

/// A file that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Names that it had, each of which a rule names that the ones before are not named by.
    pub names: Vec<Vec<u8>>,
    /// The rules that name it, sorted, each once.
    pub rules: Vec<RuleIndex>,
}

impl Known {
    /// Adds a name. `false` where that says nothing new.
    fn add(&mut self, name: &[u8], rules: &[RuleIndex]) -> bool {
        let before = self.rules.len();
        self.rules.extend(rules);
        self.rules.sort_unstable();
        self.rules.dedup();
        let more = self.rules.len() > before;
        if more {
            self.names.push(name.to_vec());
        }
        more
    }
}

/// What is not done, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    /// Globs that could be anywhere.
    pub floating: usize,
    /// Directories that were beyond one of the bounds.
    pub directories: usize,
    /// Files whose file system does not tell what makes an inode the same one for ever.
    pub unnamed: usize,
    /// Files that there was no room for.
    pub no_room: usize,
    /// Directories and files that cannot be watched: what comes there later has no label.
    pub unwatched: usize,
}

impl LeftOut {
    const fn parts(&self) -> [(usize, &'static str); 5] {
        [
            (self.floating, "globs that begin with a wildcard"),
            (self.directories, "directories beyond 100,000 entries or 16 levels"),
            (self.unnamed, "files whose inodes cannot be told apart for ever"),
            (self.no_room, "files beyond what a plan has room for"),
            (self.unwatched, "directories and files beyond what can be watched"),
        ]
    }

    /// Whether there is something of each kind that `before` has something of, and of no other.
    #[must_use]
    pub fn is_like(&self, before: &Self) -> bool {
        let kinds = |one: &Self| one.parts().map(|(count, _)| count > 0);
        kinds(self) == kinds(before)
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts();
        let said = parts.iter().filter(|(count, _)| *count > 0);
        let said: Vec<_> = said.map(|(count, what)| format!("{count} {what}")).collect();
        f.write_str(&said.join(", "))
    }
}
