//! Where in the format a list or a map stands, and so in which order its keys are written.

use super::cst::{Collection, Entry, Kind};
use crate::rules::format::{self, Holds};

/// Lists whose entries have a blank line between them where they have several lines.
const SPACED: [&str; 3] = ["rules", "grants", "tests"];

/// What the format says of a value.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// None where the format does not know it.
    holds: Option<Holds>,
    path: String,
}

impl Place {
    /// A whole file.
    pub(super) const fn root() -> Self {
        Self { holds: Some(Holds::Map), path: String::new() }
    }

    /// The value of an entry of what is here.
    pub(super) fn child(&self, entry: &Entry) -> Self {
        match entry.key.as_ref().map(|key| &key.kind) {
            Some(Kind::Scalar(key)) => self.of_key(&key.value),
            _ => Self { holds: self.of_item(), path: self.path.clone() },
        }
    }

    fn of_item(&self) -> Option<Holds> {
        match self.holds? {
            Holds::List(_, item) => Some(*item),
            Holds::Either(Holds::List(_, item), _) => Some(**item),
            _ => None,
        }
    }

    fn of_key(&self, key: &str) -> Self {
        if let Some(Holds::Named(each) | Holds::Lists(each) | Holds::Keyed(each)) = self.holds {
            return Self { holds: Some(*each), path: self.path.clone() };
        }
        let of = self.map_path().unwrap_or_default();
        let path = if of.is_empty() { key.to_owned() } else { format!("{of}.{key}") };
        let field = self.map_path().and_then(|_| format::field(&path));
        Self { holds: field.map(|field| field.holds), path }
    }

    /// The path of the keys of a map that is here.
    fn map_path(&self) -> Option<&str> {
        match self.holds? {
            Holds::Map | Holds::Either(_, Holds::Map) => Some(&self.path),
            Holds::Program | Holds::Any => Some("rules.exec.never"),
            _ => None,
        }
    }

    /// The order of the entries of what is here: keys as the format has them, those that it does not know
    /// after them. Items, and names that people chose, stay where they are.
    pub(super) fn order(&self, collection: &Collection) -> Vec<usize> {
        let keys = self.map_path().map(format::keys).unwrap_or_default();
        let rank =
            |index: &usize| match collection.entries[*index].key.as_ref().map(|key| &key.kind) {
                Some(Kind::Scalar(key)) => {
                    keys.iter().position(|known| *known == key.value).unwrap_or(keys.len())
                }
                _ => 0,
            };
        let mut order: Vec<usize> = (0..collection.entries.len()).collect();
        order.sort_by_key(rank);
        order
    }

    /// Whether there are blank lines between entries of several lines.
    pub(super) fn is_spaced(&self) -> bool {
        SPACED.contains(&&*self.path) && matches!(self.holds, Some(Holds::List(..)))
    }
}
