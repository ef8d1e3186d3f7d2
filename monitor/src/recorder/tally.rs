//! The tally: how much was recorded, and how much was not.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use crate::{
    counted::{count, many},
    recording::Entry,
    watcher::{WatchError, Watcher},
};

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many acts.
    pub acts: u64,
    /// Of which sessions.
    pub sessions: HashSet<String>,
    /// The acts of each agent, by name.
    pub agents: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts an act.
    pub(super) fn count(&mut self, entry: &Entry) {
        self.acts += 1;
        if !self.sessions.contains(&entry.session) {
            self.sessions.insert(entry.session.clone());
        }
        let Some(agent) = entry.agents.last() else { return };
        match self.agents.get_mut(agent) {
            Some(acts) => *acts += 1,
            None => drop(self.agents.insert(agent.clone(), 1)),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sessions = count(self.sessions.len(), "session");
        write!(f, "{} of {sessions}", many(self.acts, "act"))?;
        let agents: Vec<&str> = self.agents.keys().map(String::as_str).collect();
        if agents.is_empty() { Ok(()) } else { write!(f, " of {}", agents.join(", ")) }
    }
}

/// Counters that mean that acts are missing from the recording.
const LOST: [&str; 6] = [
    "activity_lost",
    "lifecycle_lost",
    "tag_not_inherited",
    "tag_not_set",
    "no_plan",
    "hooks_skipped",
];
/// Counters of what went well.
const FINE: [&str; 4] =
    ["lifecycle_seen", "lifecycle_submitted", "activity_seen", "activity_submitted"];

/// What was not recorded, or not all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// What is missing, by the name of what counted it.
    pub lost: Vec<(String, u64)>,
    /// What is there, but with less than there is to know.
    pub cut: Vec<(String, u64)>,
}

impl Losses {
    /// What the kernel half counted, and what is missing between the records that came.
    pub(super) fn of(watcher: &Watcher) -> Result<Self, WatchError> {
        let mut losses = Self::default();
        for (name, count) in watcher.kernel.counted()? {
            losses.add(name, count);
        }
        let pipeline = &watcher.pipeline;
        let gaps = [("missing", pipeline.missing()), ("refused", pipeline.seen.refused)];
        losses.lost.extend(
            gaps.into_iter().filter(|(_, count)| *count > 0).map(|(name, n)| (name.to_owned(), n)),
        );
        Ok(losses)
    }

    fn add(&mut self, name: &str, count: u64) {
        if count == 0 || FINE.contains(&name) {
            return;
        }
        let place = if LOST.contains(&name) { &mut self.lost } else { &mut self.cut };
        place.push((name.to_owned(), count));
    }

    /// Whether acts are missing.
    #[must_use]
    pub const fn any(&self) -> bool {
        !self.lost.is_empty()
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &[(String, u64)]| {
            let each: Vec<String> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
            each.join(", ")
        };
        if self.lost.is_empty() {
            write!(f, "nothing was lost")?;
        } else {
            write!(f, "NOT COMPLETE: {}", list(&self.lost))?;
        }
        if self.cut.is_empty() { Ok(()) } else { write!(f, "; cut: {}", list(&self.cut)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_said_by_name_and_what_is_fine_is_not() {
        let mut losses = Losses::default();
        losses.add("activity_seen", 9);
        losses.add("path_too_long", 0);
        assert_eq!((losses.to_string().as_str(), losses.any()), ("nothing was lost", false));
        losses.add("path_too_long", 2);
        assert!(!losses.any());
        losses.add("activity_lost", 4);
        assert_eq!(losses.to_string(), "NOT COMPLETE: activity_lost 4; cut: path_too_long 2");
        assert!(losses.any());
    }
}
