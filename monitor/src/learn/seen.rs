//! What was seen: every object of an agent once, with how often and by whom.
//!
//! Counted from recordings. Home directories are the recording host's, so two recordings may mean different
//! things by the same path.

use std::collections::{BTreeMap, BTreeSet};

use monitor_common::{Act, Verdict};

use crate::{
    recording::{Deed, Entry, Recording},
    rules::{
        glob::Homes,
        model::{How, Moment, Object},
    },
};

/// One act on one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The act.
    pub act: Act,
    /// The object.
    pub object: Object,
    /// Whose home directories count: index into [`Seen::homes`].
    pub homes: usize,
}

/// How often, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often it was done.
    pub count: u64,
    /// How often it was stopped.
    pub stopped: u64,
    /// Names of the executables that did it, and how often each.
    pub by: BTreeMap<String, u64>,
    /// Of a path: the processes that did it, or their parents, whose number is in it.
    pub pids: BTreeSet<u32>,
}

/// A recording that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What it is called.
    pub name: String,
    /// The host it was made on.
    pub host: String,
    /// When it begins.
    pub started: Moment,
    /// Acts of the agent in it.
    pub acts: u64,
    /// Sessions in which they were done.
    pub sessions: usize,
}

/// Everything that was seen of an agent.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Where it was seen.
    pub sources: Vec<Source>,
    /// Home directories of the hosts.
    pub homes: Vec<Homes>,
    /// What.
    pub all: BTreeMap<Key, Tally>,
    /// Executables that acted, by path, and how often.
    pub actors: BTreeMap<Vec<u8>, u64>,
    /// Other agents that acted.
    pub others: BTreeSet<String>,
}

/// Processes of which the number is remembered, for each object.
const PIDS: usize = 64;

impl Seen {
    /// Takes a recording in, which is called `name`.
    pub fn add(&mut self, agent: &str, name: &str, recording: &Recording) {
        let homes = homes(recording);
        let homes = self.homes.iter().position(|known| *known == homes).unwrap_or_else(|| {
            self.homes.push(homes);
            self.homes.len() - 1
        });
        let mut sessions = BTreeSet::new();
        let mut acts = 0;
        for entry in &recording.entries {
            if entry.deed.how() == How::Load {
                continue; // libraries are on no list of permitted programs
            }
            if is_judged(entry, agent) {
                sessions.insert(&*entry.session);
                acts += 1;
                self.count(entry, homes);
            } else {
                self.others.extend(entry.agents.iter().filter(|one| *one != agent).cloned());
            }
        }
        self.sources.push(Source {
            name: name.to_owned(),
            host: recording.heading.host.clone(),
            started: recording.heading.started,
            acts,
            sessions: sessions.len(),
        });
    }

    fn count(&mut self, entry: &Entry, homes: usize) {
        let key = Key { act: entry.deed.act(), object: entry.deed.object(), homes };
        let tally = self.all.entry(key).or_default();
        match entry.done() {
            Some(Verdict::Deny | Verdict::Kill | Verdict::Ask) => tally.stopped += 1,
            _ => tally.count += 1,
        }
        *tally.by.entry(who(entry)).or_default() += 1;
        if let Deed::Exec { path: Some(path), .. }
        | Deed::Read { path: Some(path) }
        | Deed::Write { path: Some(path) } = &entry.deed
        {
            let is_in = |pid: &u32| path.lossy().contains(&pid.to_string());
            let pids = [Some(entry.pid), entry.parent].into_iter().flatten().filter(is_in);
            tally.pids.extend(pids);
            while tally.pids.len() > PIDS {
                tally.pids.pop_first();
            }
        }
        if let Some(exe) = &entry.exe {
            *self.actors.entry(exe.0.clone()).or_default() += 1;
        }
    }

    /// All home directories together.
    #[must_use]
    pub fn every_home(&self) -> Homes {
        let all: BTreeSet<Vec<u8>> = self.homes.iter().flat_map(|homes| homes.0.clone()).collect();
        Homes(all.into_iter().collect())
    }
}

/// Whether the rules of an agent hold for an act. The program start that a session begins with is not its agent's
/// own act.
#[must_use]
pub fn is_judged(entry: &Entry, agent: &str) -> bool {
    let begins = matches!(entry.deed, Deed::Exec { root: true, .. });
    let bound = match entry.agents.split_last() {
        Some((_, outer)) if begins => outer,
        _ => &entry.agents,
    };
    bound.iter().any(|one| one == agent)
}

/// Home directories of the host of a recording.
#[must_use]
pub fn homes(recording: &Recording) -> Homes {
    Homes(recording.heading.homes.iter().map(|home| home.0.clone()).collect())
}

/// The name of the executable that acts, as it can be shown.
#[must_use]
pub fn who(entry: &Entry) -> String {
    let Some(exe) = &entry.exe else { return "unknown".to_owned() };
    let name = exe.0.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    shown(name)
}

/// Bytes fit for a comment and a terminal: on one line, and nothing in them that is not seen.
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for letter in String::from_utf8_lossy(bytes).chars() {
        match letter {
            ' '..='~' => text.push(letter),
            letter if letter.is_alphanumeric() => text.push(letter),
            letter => text.extend(letter.escape_unicode()),
        }
    }
    text
}

/// The object as a person reads it.
#[must_use]
pub fn name_of(object: &Object) -> String {
    let udp = |protocol: u16| if protocol == 17 { "/udp" } else { "" };
    match object {
        Object::Path(path) => shown(path),
        Object::Peer { address, port, protocol } => {
            let address = match address.to_ipv4_mapped() {
                Some(v4) => v4.to_string(),
                None => format!("[{address}]"),
            };
            format!("{address}:{port}{}", udp(*protocol))
        }
        Object::Host { name, port, protocol } => {
            format!("{}:{port}{}", shown(name.as_bytes()), udp(*protocol))
        }
        Object::Socket(name) => format!("unix:{}", shown(name)),
        Object::Privilege(right) => right.name().to_owned(),
        Object::Unknown => "something that could not be known".to_owned(),
    }
}

/// `once`, `14 times`.
#[must_use]
pub fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// `1 act`, `1,234 acts`.
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The most frequent of some names, and how many others there are: `npm, node and 2 others`.
#[must_use]
pub fn names(by: &BTreeMap<String, u64>) -> String {
    const SHOWN: usize = 3;
    let mut all: Vec<(&String, &u64)> = by.iter().collect();
    all.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
    let first: Vec<&str> = all.iter().take(SHOWN).map(|(name, _)| name.as_str()).collect();
    match all.len().saturating_sub(SHOWN) {
        0 => first.join(", "),
        1 => format!("{} and another", first.join(", ")),
        more => format!("{} and {more} others", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_on_one_line() {
        assert_eq!(shown(b"a\nrules: \xc2\x85\xff"), "a\\u{a}rules: \\u{85}\\u{fffd}");
    }

    #[test]
    fn the_most_frequent_come_first() {
        let by = |names: &[(&str, u64)]| names.iter().map(|&(n, c)| (n.to_owned(), c)).collect();
        assert_eq!(names(&by(&[("a", 1), ("b", 2)])), "b, a");
        assert_eq!(names(&by(&[("a", 1), ("b", 2), ("c", 1), ("d", 1)])), "b, a, c and another");
        assert_eq!((times(1), times(2)), ("once".to_owned(), "2 times".to_owned()));
    }
}
