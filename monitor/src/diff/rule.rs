//! Two rules with the same id: what is different about them.

use std::{cmp::Ordering, collections::BTreeMap, collections::BTreeSet};

use monitor_common::Verdict;

use super::{Change, Effect, Of, items};
use crate::rules::model::{AgentIndex, Before, Exception, Mode, Rule, RuleSet, Sense};

/// A rule in two sets.
pub(super) struct Sides<'a> {
    /// The sets, for the names of agents.
    pub(super) old: &'a RuleSet,
    pub(super) new: &'a RuleSet,
    /// The rule.
    pub(super) before: &'a Rule,
    pub(super) now: &'a Rule,
    pub(super) of: Of<'a>,
}

/// The first words about a rule: `read never, 3 items, ask, monitor mode`.
pub(super) fn summary(rule: &Rule) -> String {
    let items = match rule.objects.len() {
        1 => "1 item".to_owned(),
        several => format!("{several} items"),
    };
    let story = if rule.before.is_some() { ", after other steps" } else { "" };
    let (act, action, mode) = (what(rule), rule.action.name(), mode(rule.mode));
    format!("{act}, {items}{story}, {action}, {mode} mode")
}

/// `connect only`
fn what(rule: &Rule) -> String {
    let sense = if rule.sense == Sense::Only { "only" } else { "never" };
    format!("{} {sense}", rule.act.name())
}

const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Monitor => "monitor",
        Mode::Enforce => "enforce",
    }
}

/// Stricter where it has become more.
fn more<T: Ord>(before: &T, now: &T) -> Effect {
    match before.cmp(now) {
        Ordering::Less => Effect::Stricter,
        Ordering::Equal => Effect::Neither,
        Ordering::Greater => Effect::Laxer,
    }
}

impl Sides<'_> {
    pub(super) fn changes(&self) -> Vec<Change> {
        let mut changes = self.agents();
        changes.extend(self.objects());
        changes.extend(self.steps());
        changes.extend(self.exceptions());
        changes.extend(self.outcome());
        changes.extend(self.words());
        changes
    }

    fn agents(&self) -> Vec<Change> {
        let names = |rules: &RuleSet, agents: &[AgentIndex]| -> BTreeSet<String> {
            agents.iter().map(|&agent| rules.agents[agent].name.clone()).collect()
        };
        let old = names(self.old, &self.before.agents);
        let new = names(self.new, &self.now.agents);
        self.of.texts("agents", &old, &new, Effect::Stricter)
    }

    fn objects(&self) -> Vec<Change> {
        let (was, is) = (what(self.before), what(self.now));
        if was != is {
            return vec![self.of.part("act", format!("{was} -> {is}"), Effect::Either)];
        }
        let one_more = match self.now.sense {
            Sense::Only => Effect::Laxer,
            Sense::Never => Effect::Stricter,
        };
        items::changes(self.of, &is, &self.before.objects, &self.now.objects, one_more)
    }

    fn steps(&self) -> Vec<Change> {
        let line = |before: &Option<Before>| {
            let Some(before) = before else { return "none".to_owned() };
            let step = |step: &crate::rules::model::Step| {
                let not = if step.sense == Sense::Only { "not " } else { "" };
                format!("{} {not}{}", step.act.name(), items::line(&step.objects))
            };
            let steps: Vec<String> = before.steps.iter().map(step).collect();
            format!("{} by {}", steps.join("; then "), before.by.name())
        };
        let (was, is) = (line(&self.before.before), line(&self.now.before));
        if was != is {
            return vec![self.of.part("steps", format!("{was} -> {is}"), Effect::Either)];
        }
        let within = |rule: &Rule| rule.before.as_ref().map_or(0, |before| before.within);
        self.value("within", within(self.before), within(self.now), |seconds| {
            format!("{seconds} s")
        })
    }

    /// A change of a value of which more is stricter.
    fn value<T: Ord>(
        &self,
        part: &str,
        before: T,
        now: T,
        text: impl Fn(&T) -> String,
    ) -> Vec<Change> {
        let effect = more(&before, &now);
        if before == now {
            return Vec::new();
        }
        vec![self.of.part(part, format!("{} -> {}", text(&before), text(&now)), effect)]
    }

    fn exceptions(&self) -> Vec<Change> {
        let (old, new) = (by_meaning(self.before, self.old), by_meaning(self.now, self.new));
        let mut changes = Vec::new();
        for (key, before) in &old {
            match new.get(key) {
                None => changes.push(self.exception(key, "-", before, Effect::Stricter)),
                Some(now) => changes.extend(self.lasting(key, before, now)),
            }
        }
        let come = new.iter().filter(|(key, _)| !old.contains_key(*key));
        changes.extend(come.map(|(key, now)| self.exception(key, "+", now, Effect::Laxer)));
        changes
    }

    fn exception(&self, key: &Key, mark: &str, is: &Exception, effect: Effect) -> Change {
        let until = is.until.map(|until| format!(", until {until}")).unwrap_or_default();
        let detail = format!("{mark} {}{until}: {}", key.line, is.reason.replace('\n', " "));
        self.of.part(&key.name, detail, effect)
    }

    /// The same exception: how long it lasts, and why.
    fn lasting(&self, key: &Key, before: &Exception, now: &Exception) -> Vec<Change> {
        let mut changes = Vec::new();
        // No end is the latest of all.
        let end =
            |exception: &Exception| exception.until.map_or((1, None), |until| (0, Some(until)));
        if end(before) != end(now) {
            let text =
                |until: &Exception| until.until.map_or("no end".to_owned(), |u| u.to_string());
            let detail = format!("{}: until {} -> {}", key.line, text(before), text(now));
            let effect = more(&end(before), &end(now)).turned();
            changes.push(self.of.part(&key.name, detail, effect));
        }
        changes.extend(self.uses(key, before, now));
        if before.reason != now.reason {
            let detail = format!("{}: another reason: {}", key.line, now.reason.replace('\n', " "));
            changes.push(self.of.part(&key.name, detail, Effect::Neither));
        }
        changes
    }

    /// How often a grant may be used.
    fn uses(&self, key: &Key, before: &Exception, now: &Exception) -> Option<Change> {
        let limit = |of: &Exception| Some(of.grant.as_ref()?.uses?.limit);
        let (before, now) = (limit(before), limit(now));
        let text =
            |limit: Option<u16>| limit.map_or("no limit".to_owned(), |uses| uses.to_string());
        let detail = format!("{}: uses {} -> {}", key.line, text(before), text(now));
        let most = |limit: Option<u16>| (limit.is_none(), limit);
        let effect = more(&most(before), &most(now)).turned();
        (before != now).then(|| self.of.part(&key.name, detail, effect))
    }

    /// What a hit leads to.
    fn outcome(&self) -> Vec<Change> {
        let Self { before, now, of, .. } = self;
        let mut changes =
            self.value("action", before.action, now.action, |action| action.name().to_owned());
        let order = |mode: Mode| mode == Mode::Enforce;
        if before.mode != now.mode {
            let detail = format!("{} -> {}", mode(before.mode), mode(now.mode));
            changes.push(of.part("mode", detail, more(&order(before.mode), &order(now.mode))));
        }
        // Of an action that needs none it is the action itself.
        if before.action == now.action {
            let name = |action: &Verdict| action.name().to_owned();
            changes.extend(self.value("fallback", before.fallback, now.fallback, name));
        }
        if (before.action, now.action) == (Verdict::Ask, Verdict::Ask) {
            changes.extend(self.asking());
        }
        changes
    }

    /// How a person is asked, of a rule that asks in both sets.
    fn asking(&self) -> Vec<Change> {
        let Self { before, now, of, .. } = self;
        let mut changes = Vec::new();
        if before.ask.then != now.ask.then {
            let name = |then: Option<Verdict>| then.map_or("default", |v| v.name());
            let detail = format!("{} -> {}", name(before.ask.then), name(now.ask.then));
            let effect = match (before.ask.then, now.ask.then) {
                (Some(before), Some(now)) => more(&before, &now),
                _ => Effect::Either,
            };
            changes.push(of.part("ask then", detail, effect));
        }
        let how =
            |rule: &Rule| (rule.ask.hold, rule.ask.lasts, rule.ask.timeout, rule.ask.via.clone());
        if how(before) != how(now) {
            changes.push(of.part("ask", "asks in another way".to_owned(), Effect::Either));
        }
        changes
    }

    /// What people read.
    fn words(&self) -> Vec<Change> {
        let Self { before, now, of, .. } = self;
        let mut changes = Vec::new();
        let mut put =
            |part: &str, detail: String| changes.push(of.part(part, detail, Effect::Neither));
        if before.severity != now.severity {
            put("severity", format!("{} -> {}", before.severity.name(), now.severity.name()));
        }
        let others = [
            ("title", before.title != now.title),
            ("help", before.help != now.help),
            ("runbook", before.runbook != now.runbook),
            ("tags", before.tags != now.tags),
        ];
        others
            .iter()
            .filter(|(_, is)| *is)
            .for_each(|(part, _)| put(part, "other words".to_owned()));
        changes
    }
}

/// An exception by what it lifts, and for whom.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// `except`, or the grant.
    name: String,
    /// Objects and executables.
    line: String,
}

fn by_meaning<'a>(rule: &'a Rule, rules: &RuleSet) -> BTreeMap<Key, &'a Exception> {
    let key = |exception: &Exception| {
        let mut line = items::line(&exception.objects);
        let exe: BTreeSet<String> = exception.exe.iter().map(|item| item.is.to_string()).collect();
        if !exe.is_empty() {
            line += &format!(" by {}", exe.into_iter().collect::<Vec<_>>().join(", "));
        }
        let name = match &exception.grant {
            None => "except".to_owned(),
            Some(grant) => {
                let agents = grant.agents.iter().map(|&agent| &*rules.agents[agent].name);
                line += &format!(" for {}", agents.collect::<Vec<_>>().join(", "));
                format!("grant {}", grant.id)
            }
        };
        Key { name, line }
    };
    rule.exceptions.iter().map(|exception| (key(exception), exception)).collect()
}
