//! The report: decisions that differ, grouped, and the sessions that would have been stopped.
//!
//! It is bounded: groups and sessions beyond a limit are counted and not described.

use std::collections::{BTreeMap, HashMap, HashSet};

use monitor_common::Verdict;
use serde::Serialize;

use super::{judge::session_number, stops};
use crate::{
    alert::redact,
    event::shown,
    recording::{Deed, Entry, Text},
    rules::model::{Moment, Place},
};

/// Groups, and sessions, that are described at most.
const DESCRIBED: usize = 10_000;

/// What a replay found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The recordings, by name.
    pub recordings: Vec<String>,
    /// Acts in them.
    pub acts: u64,
    /// Acts of an agent that the rules know.
    pub judged: u64,
    /// How many sessions there are in them.
    pub sessions: usize,
    /// Acts of agents that the rules do not know, by name: not judged.
    pub unknown_agents: BTreeMap<String, u64>,
    /// Decisions that differ.
    pub differing: u64,
    /// What differs, grouped.
    pub differences: Vec<Difference>,
    /// Decisions that differ and have no place in `differences`.
    pub not_described: u64,
    /// The first act of each session that would be stopped and was not.
    pub stopped: Stops,
    /// The first act of each session that was stopped and would not be.
    pub released: Stops,
    /// Beginnings of sequences that there was no room for.
    pub forgotten: u64,
    /// Notes about the recordings themselves.
    pub notes: Vec<String>,
    #[serde(skip)]
    seen_sessions: HashSet<u64>,
    #[serde(skip)]
    groups: HashMap<Group, usize>,
    #[serde(skip)]
    started: Moment,
}

/// Decisions that differ in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What they have in common.
    #[serde(flatten)]
    pub group: Group,
    /// Where the rule is written.
    pub place: Option<String>,
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub first: Example,
}

/// What decisions that differ have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Group {
    /// The rule that decides now; where none does, the one that did.
    pub rule: Option<String>,
    /// The agent that acts.
    pub agent: String,
    /// The act.
    pub act: &'static str,
    /// What it is done to.
    pub object: String,
    /// What was done.
    pub before: &'static str,
    /// What the rules say.
    pub now: &'static str,
}

/// One act of many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Index into [`Report::recordings`].
    pub recording: usize,
    /// When.
    pub time: Moment,
    /// The session.
    pub session: String,
    /// The process.
    pub pid: u32,
    /// Its executable.
    pub exe: Option<String>,
    /// Of a program start: its arguments, without secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
}

/// The sessions of one kind.
#[derive(Debug, Default, Serialize)]
pub struct Stops {
    /// How many there are.
    pub count: usize,
    /// The first of them.
    pub first: Vec<Stop>,
    #[serde(skip)]
    seen: HashSet<u64>,
}

/// Where a session comes to an end, or would have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stop {
    /// What is done, and by which rule.
    #[serde(flatten)]
    pub group: Group,
    /// The act.
    #[serde(flatten)]
    pub act: Example,
}

/// A verdict, and the rule behind it.
pub(super) type By<'a> = (Verdict, Option<(&'a str, &'a Place)>);

impl Report {
    pub(super) fn begin(&mut self, name: &str, started: Moment) {
        self.recordings.push(name.to_owned());
        self.started = started;
    }

    pub(super) fn saw_session(&mut self, session: &str) {
        self.seen_sessions.insert(session_number(session));
        self.sessions = self.seen_sessions.len();
    }

    pub(super) fn unknown(&mut self, entry: &Entry) {
        let name = agent(entry);
        *self.unknown_agents.entry(name).or_default() += 1;
    }

    pub(super) fn differs(&mut self, entry: &Entry, before: By<'_>, now: By<'_>) {
        let rule = now.1.or(before.1);
        let group = Group {
            rule: rule.map(|(id, _)| id.to_owned()),
            agent: agent(entry),
            act: entry.deed.act().name(),
            object: object(&entry.deed),
            before: before.0.name(),
            now: now.0.name(),
        };
        self.differing += 1;
        let stop = |group: &Group| Stop { group: group.clone(), act: self.example(entry) };
        if stops(now.0) && !stops(before.0) {
            let stop = stop(&group);
            self.stopped.add(entry, stop);
        } else if stops(before.0) && !stops(now.0) {
            let stop = stop(&group);
            self.released.add(entry, stop);
        }
        self.add(group, rule.map(|(_, place)| place.to_string()), entry);
    }

    fn add(&mut self, group: Group, place: Option<String>, entry: &Entry) {
        if let Some(&index) = self.groups.get(&group) {
            self.differences[index].count += 1;
        } else if self.differences.len() < DESCRIBED {
            self.groups.insert(group.clone(), self.differences.len());
            let first = self.example(entry);
            self.differences.push(Difference { group, place, count: 1, first });
        } else {
            self.not_described += 1;
        }
    }

    fn example(&self, entry: &Entry) -> Example {
        let argv = match &entry.deed {
            Deed::Exec { argv, .. } => argv.iter().map(|text| text.0.clone()).collect(),
            _ => Vec::new(),
        };
        let words = redact::arguments(&argv);
        Example {
            recording: self.recordings.len().saturating_sub(1),
            time: entry.moment(self.started),
            session: shown(entry.session.as_bytes()).to_string(),
            pid: entry.pid,
            exe: entry.exe.as_ref().map(|exe| shown(&exe.0).to_string()),
            argv: words.iter().map(|word| shown(word).to_string()).collect(),
        }
    }

    /// By rule, agent and act; the most frequent objects first.
    pub(super) fn sort(&mut self) {
        let order = |a: &Difference, b: &Difference| {
            let by = |of: &Difference| (of.group.rule.clone(), of.group.agent.clone());
            let counts = b.count.cmp(&a.count);
            by(a).cmp(&by(b)).then(counts).then_with(|| a.group.object.cmp(&b.group.object))
        };
        self.differences.sort_by(order);
        self.groups.clear();
    }
}

impl Stops {
    fn add(&mut self, entry: &Entry, stop: Stop) {
        if !self.seen.insert(session_number(&entry.session)) {
            return;
        }
        self.count += 1;
        if self.first.len() < DESCRIBED {
            self.first.push(stop);
        }
    }
}

fn agent(entry: &Entry) -> String {
    let name = entry.agents.last().map_or("nobody", String::as_str);
    shown(name.as_bytes()).to_string()
}

const UNKNOWN: &str = "(unknown)";

fn named(path: &Option<Text>) -> String {
    path.as_ref().map_or_else(|| UNKNOWN.to_owned(), |path| shown(&path.0).to_string())
}

/// What an act is done to, as people write it.
#[must_use]
pub fn object(deed: &Deed) -> String {
    match deed {
        Deed::Exec { path, load, .. } => named(path) + if *load { " (loaded)" } else { "" },
        Deed::Read { path } | Deed::Write { path } => named(path),
        Deed::Privilege { right } => right
            .as_ref()
            .map_or_else(|| UNKNOWN.to_owned(), |right| shown(right.as_bytes()).to_string()),
        Deed::Connect { address, port, protocol, name: Some(name) } => {
            format!("{}:{port}{} ({address})", shown(name.as_bytes()), suffix(*protocol))
        }
        Deed::Connect { address, port, protocol, name: None }
        | Deed::Listen { address, port, protocol } => {
            let protocol = suffix(*protocol);
            match address {
                std::net::IpAddr::V4(v4) => format!("{v4}:{port}{protocol}"),
                std::net::IpAddr::V6(v6) => format!("[{v6}]:{port}{protocol}"),
            }
        }
    }
}

/// What rules write for a protocol that is not TCP.
const fn suffix(protocol: u16) -> &'static str {
    if protocol == 17 { "/udp" } else { "" }
}
