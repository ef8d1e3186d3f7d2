//! Drift: what an agent did beyond what it was approved for, and what it was approved for and never did.
//!
//! What it was approved for is a set of rules: those that are in force, or those that [`super::learn`] makes of an
//! earlier recording. The evaluator judges; this only counts. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use jiff::SignedDuration;
use monitor_common::Act;
use serde::Serialize;

use crate::{
    learn::seen::{homes, is_judged, name_of, names, shown, times, who},
    recording::{Entry, Recording},
    rules::{
        evaluate::{Args, Attempt, Tier, evaluate},
        glob::Homes,
        model::{AgentIndex, Item, Moment, Object, Objects, Rule, RuleSet, Sense},
        sequence::{Progress, Who},
    },
};

/// The only version there is.
pub const SCHEMA: &str = "driftwatch.drift/v1";

/// Acts on one object that the rules do not cover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Uncovered {
    /// The act.
    pub act: &'static str,
    /// The object, as a person reads it.
    pub object: String,
    /// How often.
    pub count: u64,
    /// When first.
    pub first: Moment,
    /// Names of the executables that did it, and how often each.
    pub by: BTreeMap<String, u64>,
    /// The rule that is hit.
    pub rule: String,
    /// Where it is.
    pub place: String,
}

/// Something that the rules allow and that was never used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unused {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// What is written there.
    pub item: String,
    /// The list it is in, without the `@`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// The rule that allows it.
    pub rule: String,
    /// `only` or `except`.
    pub part: &'static str,
}

/// What differs.
#[derive(Clone, Debug, Serialize)]
pub struct Drift {
    schema: &'static str,
    /// The agent.
    pub agent: String,
    /// How many acts of it were judged.
    pub acts: u64,
    /// What it did and may not.
    pub uncovered: Vec<Uncovered>,
    /// What it may and did not.
    pub unused: Vec<Unused>,
}

/// Compares what `agent` did in the recordings with rules. None if the rules do not know the agent.
#[must_use]
pub fn compare(
    agent: &str,
    recordings: &[Recording],
    rules: &RuleSet,
    now: Moment,
) -> Option<Drift> {
    let own = rules.agents.iter().position(|known| known.name == agent)?;
    let mut counting =
        Counting { rules, own, now, uncovered: BTreeMap::new(), used: BTreeSet::new() };
    let mut acts = 0;
    for recording in recordings {
        let homes = homes(recording);
        let mut progress = Progress::default();
        let mut seen = BTreeSet::new();
        for entry in recording.entries.iter().filter(|entry| is_judged(entry, agent)) {
            acts += 1;
            let began = recording.heading.started;
            let time = i64::try_from(entry.time).unwrap_or(i64::MAX);
            let time = began.saturating_add(SignedDuration::from_nanos(time)).unwrap_or(began);
            let judged = Judged { entry, homes: &homes, time };
            let is_new = seen.insert((
                entry.deed.act(),
                entry.deed.object(),
                entry.exe.clone(),
                entry.deed.args(),
                entry.deed.is_load(),
            ));
            counting.judge(&judged, &mut progress, is_new);
        }
    }
    let Counting { uncovered, used, .. } = counting;
    let mut uncovered: Vec<Uncovered> = uncovered.into_values().collect();
    uncovered.sort_by(|one, two| (one.act, one.first).cmp(&(two.act, two.first)));
    let unused = unused(rules, own, &used);
    Some(Drift { schema: SCHEMA, agent: agent.to_owned(), acts, uncovered, unused })
}

struct Judged<'a> {
    entry: &'a Entry,
    homes: &'a Homes,
    time: Moment,
}

/// Where an item is: two that one brace stands for are at one place.
type Spot = (usize, &'static str, String, u32, u32);

struct Counting<'a> {
    rules: &'a RuleSet,
    own: AgentIndex,
    now: Moment,
    uncovered: BTreeMap<(Act, Object, usize), Uncovered>,
    used: BTreeSet<Spot>,
}

impl Counting<'_> {
    fn judge(&mut self, judged: &Judged<'_>, progress: &mut Progress, is_new: bool) {
        let Judged { entry, homes, time } = *judged;
        let (agents, object, args) = ([self.own], entry.deed.object(), entry.deed.args());
        let seconds = entry.time / 1_000_000_000;
        let who = Who {
            session: u64::from_str_radix(&entry.session, 16).unwrap_or(0),
            process: (entry.pid, entry.start),
            user: entry.uid,
        };
        let armed = progress.armed(self.rules, &who, seconds);
        let attempt = Attempt {
            agents: &agents,
            act: entry.deed.act(),
            object: &object,
            exe: entry.exe.as_ref().map(|exe| &*exe.0),
            how: entry.deed.how(),
            args: Args::of(args.as_deref()),
            traits: entry.deed.traits(),
            armed: &armed,
            now: self.now,
            spent: false,
        };
        if let Some(index) = evaluate(self.rules, &Tier::PREVENT, homes, &attempt).rule {
            self.add(entry, object.clone(), index, time);
        }
        progress.take(self.rules, homes, &who, &attempt, seconds);
        if is_new {
            self.use_items(homes, &attempt);
        }
    }

    fn add(&mut self, entry: &Entry, object: Object, index: usize, time: Moment) {
        let rule = &self.rules.rules[index];
        let act = entry.deed.act();
        let name = name_of(&object);
        let new = || Uncovered {
            act: act.name(),
            object: name,
            count: 0,
            first: time,
            by: BTreeMap::new(),
            rule: rule.id.clone(),
            place: rule.place.to_string(),
        };
        let uncovered = self.uncovered.entry((act, object, index)).or_insert_with(new);
        uncovered.count += 1;
        uncovered.first = uncovered.first.min(time);
        *uncovered.by.entry(who(entry)).or_default() += 1;
    }

    /// Marks every item that allows this.
    fn use_items(&mut self, homes: &Homes, attempt: &Attempt<'_>) {
        for (index, rule) in self.rules.rules.iter().enumerate() {
            if rule.act != attempt.act || !rule.agents.contains(&self.own) {
                continue;
            }
            for (part, objects) in allowing(rule) {
                let matched = matched(objects, homes, attempt);
                self.used.extend(matched.into_iter().map(|item| spot(index, part, item)));
            }
        }
    }
}

/// The lists of a rule that allow something.
fn allowing(rule: &Rule) -> impl Iterator<Item = (&'static str, &Objects)> {
    let only =
        (rule.sense == Sense::Only && rule.before.is_none()).then_some(("only", &rule.objects));
    only.into_iter().chain(rule.exceptions.iter().map(|exception| ("except", &exception.objects)))
}

/// What is the same of every item: its text, and where it is.
struct Written<'a> {
    text: &'a str,
    list: Option<&'a str>,
    place: &'a crate::rules::model::Place,
}

fn written<T>(item: &Item<T>) -> Written<'_> {
    Written { text: &item.text, list: item.list.as_deref(), place: &item.place }
}

fn spot(rule: usize, part: &'static str, item: Written<'_>) -> Spot {
    (rule, part, item.place.file.to_string(), item.place.line, item.place.column)
}

fn matched<'a>(objects: &'a Objects, homes: &Homes, attempt: &Attempt<'_>) -> Vec<Written<'a>> {
    fn those<T>(items: &[Item<T>], is_it: impl Fn(&T) -> bool) -> Vec<Written<'_>> {
        items.iter().filter(|item| is_it(&item.is)).map(written).collect()
    }
    let Attempt { object, args, traits, .. } = *attempt;
    match (objects, object) {
        (Objects::Paths(items), Object::Path(path)) => {
            those(items, |glob| glob.matches(path, homes))
        }
        (Objects::Programs(items), Object::Path(path)) => {
            those(items, |program| program.matches(path, args, false, traits, homes))
        }
        (Objects::Destinations(items), object) => those(items, |one| one.covers(object, homes)),
        (Objects::Privileges(items), Object::Privilege(right)) => those(items, |one| one == right),
        _ => Vec::new(),
    }
}

fn all(objects: &Objects) -> Vec<Written<'_>> {
    match objects {
        Objects::Paths(items) => items.iter().map(written).collect(),
        Objects::Programs(items) => items.iter().map(written).collect(),
        Objects::Destinations(items) => items.iter().map(written).collect(),
        Objects::Privileges(items) => items.iter().map(written).collect(),
    }
}

fn unused(rules: &RuleSet, own: AgentIndex, used: &BTreeSet<Spot>) -> Vec<Unused> {
    let mut unused = BTreeSet::new();
    let about = rules.rules.iter().enumerate();
    for (index, rule) in about.filter(|(_, rule)| rule.agents.contains(&own)) {
        for (part, objects) in allowing(rule) {
            for item in all(objects) {
                let (text, list) = (item.text.to_owned(), item.list.map(str::to_owned));
                let spot = spot(index, part, item);
                if !used.contains(&spot) {
                    let (_, part, file, line, _) = spot;
                    unused.insert(Unused {
                        file,
                        line,
                        item: text,
                        list,
                        rule: rule.id.clone(),
                        part,
                    });
                }
            }
        }
    }
    unused.into_iter().collect()
}

impl Drift {
    /// Whether it did nothing beyond what it may.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.uncovered.is_empty()
    }

    /// For a terminal. `unplaced` leaves out where rules are: they were made in memory.
    #[must_use]
    pub fn text(&self, unplaced: bool) -> String {
        let count = crate::learn::seen::count;
        let acts: u64 = self.uncovered.iter().map(|one| one.count).sum();
        let mut text = format!(
            "{}: of {}, {} not covered; {} never used\n",
            self.agent,
            count(self.acts, "act"),
            if acts == 1 { "1 is".to_owned() } else { format!("{acts} are") },
            count(self.unused.len() as u64, "line")
        );
        let mut act = "";
        for one in &self.uncovered {
            if act != one.act {
                act = one.act;
                let _infallible = writeln!(text, "\n{act}");
            }
            let first = one.first.strftime("%Y-%m-%d %H:%M:%SZ");
            let rule =
                if unplaced { String::new() } else { format!("  {}  {}", one.rule, one.place) };
            let object = &one.object;
            let _infallible = writeln!(
                text,
                "  {object}\n    {}, first {first}, by {}{rule}",
                times(one.count),
                names(&one.by)
            );
        }
        if !self.unused.is_empty() {
            text.push_str("\nnever used\n");
        }
        for one in &self.unused {
            let list = one.list.as_ref().map(|list| format!(" in @{list}")).unwrap_or_default();
            let place =
                if unplaced { String::new() } else { format!("{}:{}  ", one.file, one.line) };
            let _infallible = writeln!(
                text,
                "  {place}{}{list}  ({}, {})",
                shown(one.item.as_bytes()),
                one.rule,
                one.part
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        learn::{Choices, Secrets, learn, seen::Seen},
        recording::read,
        rules::{SourceFile, Users, load},
    };

    const NOW: Moment = Moment::UNIX_EPOCH;
    const WORKER: &str = include_str!("../tests/recordings/worker.jsonl");
    const NEXT_DAY: &str = include_str!("../tests/recordings/worker-next-day.jsonl");
    const ASTRAY: &str = include_str!("../tests/recordings/worker-astray.jsonl");

    fn learned() -> RuleSet {
        let mut seen = Seen::default();
        seen.add("worker", "worker.jsonl", &read(WORKER).unwrap());
        let learned = learn("worker", seen, &Choices::default(), &Secrets::shipped()).unwrap();
        learned.proposal(&[], &Users::default(), NOW).unwrap().1
    }

    fn drift(recording: &str, rules: &RuleSet) -> Drift {
        compare("worker", &[read(recording).unwrap()], rules, NOW).unwrap()
    }

    #[test]
    fn the_same_work_on_another_day_is_no_drift() {
        let drift = drift(NEXT_DAY, &learned());
        assert!(drift.is_none(), "{}", drift.text(false));
        assert_eq!((drift.acts, drift.unused.len()), (44, 0));
    }

    #[test]
    fn what_is_new_is_told_once_with_its_count() {
        insta::assert_snapshot!(drift(ASTRAY, &learned()).text(false));
    }

    #[test]
    fn what_is_allowed_and_never_used_is_told_with_its_line() {
        let text = "version: 1\nagents: { worker: { any: [launched-as: worker] } }\nlists:\n  l: [/never, /etc/gitconfig]\nrules:\n  \
            - id: r\n    title: t\n    agents: [worker]\n    action: deny\n    read:\n      only:\n        - '/{usr,proc,home}/**'\n        \
            - '@l'\n        - /dev/null\n        - /dev/zero\n      except:\n        - { path: [/etc/hosts], reason: x }\n";
        let file = SourceFile { name: "r.yaml".to_owned(), text: text.as_bytes().to_vec() };
        let rules = load(&[file], &Users::default(), NOW).unwrap();
        let drift = drift(NEXT_DAY, &rules);
        assert!(drift.is_none(), "{}", drift.text(false));
        let unused: Vec<String> = drift
            .unused
            .iter()
            .map(|one| format!("{}:{} {} {}", one.file, one.line, one.item, one.part))
            .collect();
        assert_eq!(
            unused,
            ["r.yaml:4 /never only", "r.yaml:15 /dev/zero only", "r.yaml:17 /etc/hosts except"]
        );
    }

    #[test]
    fn an_agent_that_the_rules_do_not_know_cannot_be_compared() {
        assert!(compare("somebody", &[], &learned(), NOW).is_none());
    }
}
