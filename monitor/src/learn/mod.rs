//! Learn: the least rules that cover what was seen of an agent in recordings.
//!
//! ```text
//! recordings ─► seen ─► pattern, general ─► place ─► secret ─► proposal ─► checked by the loader and evaluator
//! ```
//!
//! A proposal is for a person to read. So it is narrow where that costs a line, wide only where names change from
//! one time to the next, and it never contains a secret, nor what was stopped: those are named beside it. Pure:
//! recordings are handed in, a text comes out.

mod check;
mod general;
mod pattern;
mod peer;
mod place;
mod proposal;
mod rights;
mod secret;
pub mod seen;
#[cfg(test)]
mod tests;

pub use self::{check::Flaw, secret::Secrets};

use std::collections::{BTreeMap, HashMap};

use monitor_common::Act;

use self::{
    general::Evidence,
    pattern::Pattern,
    peer::Ports,
    place::Places,
    seen::{Key, Seen, Tally},
};
use crate::rules::{
    glob::{Glob, Homes},
    model::{Destination, Object},
};

/// What somebody decided about a proposal.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// Tops of projects, by path.
    pub projects: Vec<Vec<u8>>,
    /// Whether secrets that were seen are added.
    pub allow_secrets: bool,
    /// Whether what was stopped is added: for a comparison, not for rules.
    pub allow_stopped: bool,
}

/// Why nothing is proposed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LearnError {
    /// The agent did nothing.
    #[error(
        "there is no act of `{agent}` in the recordings{}",
        if .others.is_empty() { String::new() } else { format!("; there are acts of {}", .others.join(", ")) }
    )]
    Nothing {
        /// The agent.
        agent: String,
        /// Others that did something.
        others: Vec<String>,
    },
    /// A directory was given that is none, or in which there is more than a project.
    #[error("`{0}` is no project: name the whole path of a directory at least two below the root")]
    TooBroad(String),
}

/// A line of a proposed list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// How often that was seen, and by whom.
    pub tally: Tally,
    paths: Vec<Glob>,
    peers: Vec<Destination>,
}

/// Why something that was seen is not in the proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is one of the secrets: this item of a list.
    Secret(String),
    /// It was refused or killed.
    Stopped,
    /// The object could not be known.
    Unknown,
    /// No rule can name it.
    Unwritable,
}

/// Something that was seen and is not in the proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// What.
    pub key: Key,
    /// How often.
    pub tally: Tally,
    /// Why.
    pub why: Why,
}

/// What is proposed.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The agent.
    pub agent: String,
    /// What it is learned from.
    pub seen: Seen,
    /// For each act, what is allowed.
    pub lines: BTreeMap<Act, BTreeMap<String, Line>>,
    /// For each act, secrets that are in what is allowed: those that may lie anywhere.
    pub shut: BTreeMap<Act, Vec<String>>,
    /// What is not in it, in the order of keys.
    pub left_out: Vec<LeftOut>,
    /// Tops of the projects that were found and given, as rules write them.
    pub projects: Vec<String>,
}

/// The acts of which what was seen is put on a list of what is allowed. Rights are not: see
/// [`rights`].
pub const ACTS: [Act; 4] = [Act::Exec, Act::Read, Act::Write, Act::Connect];

/// Learns from what was seen of `agent`.
///
/// # Errors
///
/// Where nothing was seen, or a project is none.
pub fn learn(
    agent: &str,
    seen: Seen,
    choices: &Choices,
    secrets: &Secrets,
) -> Result<Learned, LearnError> {
    if seen.all.is_empty() {
        let others = seen.others.into_iter().collect();
        return Err(LearnError::Nothing { agent: agent.to_owned(), others });
    }
    let homes = seen.every_home();
    let given = given(&choices.projects, &homes)?;
    let mut learner = Learner {
        choices,
        secrets,
        homes,
        refused: HashMap::new(),
        lines: BTreeMap::new(),
        left_out: Vec::new(),
    };
    let kept = learner.keep(&seen);
    let places = learner.paths(&seen, &kept, &given);
    learner.peers(&seen, &kept);
    let shut = learner.shut(&seen, &kept);
    let Learner { lines, mut left_out, .. } = learner;
    left_out.sort_by(|one, two| one.key.cmp(&two.key));
    let rooted = |top: String| if top.starts_with('~') { top } else { format!("/{top}") };
    let projects = places.outermost().map(|names| rooted(names.join("/"))).collect();
    Ok(Learned { agent: agent.to_owned(), seen, lines, shut, left_out, projects })
}

/// The projects that somebody named.
fn given(projects: &[Vec<u8>], homes: &Homes) -> Result<Vec<Pattern>, LearnError> {
    let pattern = |path: &Vec<u8>| {
        let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let pattern = Pattern::general(&path[..end], homes, &Evidence::default());
        let narrow = pattern.filter(|pattern| place::is_narrow(&pattern.names()));
        narrow.ok_or_else(|| LearnError::TooBroad(seen::shown(path)))
    };
    projects.iter().map(pattern).collect()
}

struct Learner<'a> {
    choices: &'a Choices,
    secrets: &'a Secrets,
    homes: Homes,
    /// Patterns that were asked about, and whether a secret is among what they let through.
    refused: HashMap<Pattern, bool>,
    lines: BTreeMap<Act, BTreeMap<String, Line>>,
    left_out: Vec<LeftOut>,
}

/// What is to be covered, and whether it is a secret.
type Kept<'s> = Vec<(&'s Key, &'s Tally, bool)>;

impl Learner<'_> {
    /// What is to be covered. The rest is left out.
    fn keep<'s>(&mut self, seen: &'s Seen) -> Kept<'s> {
        let mut kept = Vec::new();
        for (key, tally) in &seen.all {
            let secret = self.secrets.matched(&key.object, &seen.homes[key.homes]);
            let why = match secret {
                _ if key.object == Object::Unknown => Some(Why::Unknown),
                _ if tally.count == 0 && !self.choices.allow_stopped => Some(Why::Stopped),
                Some(item) if !self.choices.allow_secrets => Some(Why::Secret(item.to_owned())),
                _ => None,
            };
            match why {
                Some(why) => self.leave(key, tally, why),
                None => kept.push((key, tally, secret.is_some())),
            }
        }
        kept
    }

    fn leave(&mut self, key: &Key, tally: &Tally, why: Why) {
        self.left_out.push(LeftOut { key: key.clone(), tally: tally.clone(), why });
    }

    fn paths(&mut self, seen: &Seen, kept: &Kept<'_>, given: &[Pattern]) -> Places {
        let mut general = Vec::new();
        for &(key, tally, is_secret) in kept {
            let Object::Path(path) = &key.object else { continue };
            let evidence = Evidence {
                pids: tally.pids.iter().copied().collect(),
                python: tally.by.keys().any(|name| name.starts_with("python")),
            };
            match Pattern::general(path, &seen.homes[key.homes], &evidence) {
                Some(pattern) => general.push((key, tally, is_secret, path, pattern)),
                None => self.leave(key, tally, Why::Unwritable),
            }
        }
        let files = general.iter().filter(|(key, ..)| key.act != Act::Exec);
        let places = Places::new(files.map(|(key, .., pattern)| (key.act, pattern)), given);
        for (key, tally, is_secret, path, pattern) in general {
            let homes = &seen.homes[key.homes];
            let mut choices = match key.act {
                Act::Exec => Vec::new(),
                act => places.trees(&pattern, act),
            };
            choices.push(pattern);
            if is_secret {
                choices.clear();
            }
            choices.extend(Pattern::literal(path, homes));
            let covers = |globs: &Vec<Glob>| globs.iter().any(|glob| glob.matches(path, homes));
            let chosen = choices.into_iter().find_map(|pattern| {
                let globs = pattern.globs().filter(covers)?;
                (is_secret || pattern.is_drawn() || self.is_harmless(&pattern))
                    .then(|| (pattern.to_string(), globs))
            });
            match chosen {
                Some((text, globs)) => self.line(key.act, text, tally).paths = globs,
                None => self.leave(key, tally, Why::Unwritable),
            }
        }
        places
    }

    fn is_harmless(&mut self, pattern: &Pattern) -> bool {
        if let Some(refused) = self.refused.get(pattern) {
            return !refused;
        }
        let refused = pattern.is_too_broad() || self.secrets.are_below(pattern, &self.homes);
        self.refused.insert(pattern.clone(), refused);
        !refused
    }

    fn line(&mut self, act: Act, text: String, more: &Tally) -> &mut Line {
        let line = self.lines.entry(act).or_default().entry(text).or_default();
        line.tally.count += more.count;
        line.tally.stopped += more.stopped;
        for (name, count) in &more.by {
            *line.tally.by.entry(name.clone()).or_default() += count;
        }
        line
    }

    fn peers(&mut self, seen: &Seen, kept: &Kept<'_>) {
        let connects = kept.iter().filter(|(key, ..)| key.act == Act::Connect);
        let mut ports = Ports::default();
        connects.clone().for_each(|(key, ..)| ports.add(&key.object));
        for &(key, tally, _) in connects {
            match ports.item(&key.object, &seen.homes[key.homes]) {
                Some((text, peers)) => self.line(Act::Connect, text, tally).peers = peers,
                None if key.object == Object::Unknown => {}
                None => self.leave(key, tally, Why::Unwritable),
            }
        }
    }

    /// Secrets that are among what is allowed, except those that were seen and are to be.
    fn shut(&self, seen: &Seen, kept: &Kept<'_>) -> BTreeMap<Act, Vec<String>> {
        let mut shut = BTreeMap::new();
        for (act, lines) in &self.lines {
            let open: Vec<&str> = match act {
                Act::Read | Act::Write => {
                    let globs: Vec<Glob> =
                        lines.values().flat_map(|line| line.paths.clone()).collect();
                    self.secrets.paths_in(&globs, &self.homes)
                }
                Act::Connect => {
                    let peers: Vec<Destination> =
                        lines.values().flat_map(|line| line.peers.clone()).collect();
                    self.secrets.peers_in(&peers)
                }
                _ => continue,
            };
            let wanted = kept.iter().filter(|(key, _, is_secret)| *is_secret && key.act == *act);
            let wanted: Vec<&str> = wanted
                .flat_map(|(key, ..)| self.secrets.matching(&key.object, &seen.homes[key.homes]))
                .collect();
            let open: Vec<String> =
                open.into_iter().filter(|text| !wanted.contains(text)).map(str::to_owned).collect();
            if !open.is_empty() {
                shut.insert(*act, open);
            }
        }
        shut
    }
}
