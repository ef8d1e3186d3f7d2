//! Diff: what is different between two rule sets, and what each change means to agents.
//!
//! [`Diff::between`] looks at what the rules mean and not at how they are written: names are looked up, lists are
//! opened, order and comments are nothing. [`rule`] compares two rules with the same id, [`items`] their objects.
//! Which recorded acts would be decided otherwise is [`crate::replay`]'s to say. Pure.

mod items;
mod rule;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display},
};

use serde::Serialize;

use crate::rules::{
    model::{Agent, Objects, Place, Rule, RuleSet},
    show,
};

/// What a change means to the agents that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Nothing more is let through, and something may be stopped or reported that was not.
    Stricter,
    /// Nothing more is stopped, and something may go on that did not.
    Laxer,
    /// It depends.
    Either,
    /// What is done stays what it was.
    Neither,
}

impl Effect {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stricter => "stricter",
            Self::Laxer => "laxer",
            Self::Either => "either",
            Self::Neither => "neither",
        }
    }

    /// Of the contrary change.
    const fn turned(self) -> Self {
        match self {
            Self::Stricter => Self::Laxer,
            Self::Laxer => Self::Stricter,
            other => other,
        }
    }
}

/// How something is different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It is there in both.
    Changed,
    /// It is new.
    Added,
    /// It is gone.
    Removed,
}

impl Kind {
    const fn mark(self) -> char {
        match self {
            Self::Changed => '~',
            Self::Added => '+',
            Self::Removed => '-',
        }
    }
}

/// One thing that is different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// How that which has the name is different.
    pub kind: Kind,
    /// What it is: agent, list, rule or tests.
    pub what: &'static str,
    /// Its name.
    pub name: String,
    /// The part of it that is different, `connect only`; empty where it is all of it.
    pub part: String,
    /// In words: `+ otel.acme.internal:4317`, `monitor -> enforce`.
    pub detail: String,
    /// What that means.
    pub effect: Effect,
    /// Where it is written; what is gone, where it was.
    pub place: Option<String>,
}

/// Everything that is different.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// Agents first, then lists, then rules; each by name.
    pub changes: Vec<Change>,
}

impl Diff {
    /// What is different in `new`.
    #[must_use]
    pub fn between(old: &RuleSet, new: &RuleSet) -> Self {
        let mut changes = agents(old, new);
        changes.extend(lists(old, new));
        changes.extend(rules(old, new));
        if old.tests.len() != new.tests.len() {
            let detail = format!("{} -> {}", old.tests.len(), new.tests.len());
            changes.push(Change {
                kind: Kind::Changed,
                what: "tests",
                name: String::new(),
                part: String::new(),
                detail,
                effect: Effect::Neither,
                place: None,
            });
        }
        Self { changes }
    }

    /// Whether nothing is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// Those of the same name side by side, in the order of names.
fn paired<'a, T>(
    old: &'a [T],
    new: &'a [T],
    name: impl Fn(&'a T) -> &'a str,
) -> BTreeMap<&'a str, (Option<&'a T>, Option<&'a T>)> {
    let mut pairs: BTreeMap<&str, (Option<&T>, Option<&T>)> = BTreeMap::new();
    old.iter().for_each(|one| pairs.entry(name(one)).or_default().0 = Some(one));
    new.iter().for_each(|one| pairs.entry(name(one)).or_default().1 = Some(one));
    pairs
}

/// What a change is of.
#[derive(Clone, Copy)]
struct Of<'a> {
    what: &'static str,
    name: &'a str,
    place: Option<&'a Place>,
}

impl Of<'_> {
    fn whole(self, kind: Kind, detail: String, effect: Effect) -> Change {
        Change { kind, ..self.part("", detail, effect) }
    }

    fn part(self, part: &str, detail: String, effect: Effect) -> Change {
        Change {
            kind: Kind::Changed,
            what: self.what,
            name: self.name.to_owned(),
            part: part.to_owned(),
            detail,
            effect,
            place: self.place.map(ToString::to_string),
        }
    }

    /// A change for each text that is only in one of the sets; `added` is what one more means.
    fn texts(
        self,
        part: &str,
        old: &BTreeSet<String>,
        new: &BTreeSet<String>,
        added: Effect,
    ) -> Vec<Change> {
        let gone = old.difference(new).map(|text| (format!("- {text}"), added.turned()));
        let come = new.difference(old).map(|text| (format!("+ {text}"), added));
        gone.chain(come).map(|(detail, effect)| self.part(part, detail, effect)).collect()
    }
}

fn agents(old: &RuleSet, new: &RuleSet) -> Vec<Change> {
    let signs = |agent: &Agent| -> BTreeSet<String> {
        let clause =
            |clause: &Vec<_>| clause.iter().map(show::sign).collect::<Vec<_>>().join(" and ");
        agent.clauses.iter().map(clause).collect()
    };
    let names = |agent: &Agent| agent.launched_as.iter().cloned().collect::<BTreeSet<_>>();
    let mut changes = Vec::new();
    for (name, pair) in paired(&old.agents, &new.agents, |agent| &agent.name) {
        let of = |place| Of { what: "agent", name, place: Some(place) };
        match pair {
            (Some(old), Some(new)) => {
                let of = of(&new.place);
                // Who is recognised in one more way is under the rules in one more case.
                let more = Effect::Stricter;
                changes.extend(of.texts("known by", &signs(old), &signs(new), more));
                changes.extend(of.texts("run as", &names(old), &names(new), more));
            }
            (None, Some(new)) => {
                changes.push(of(&new.place).whole(Kind::Added, "new".to_owned(), Effect::Stricter));
            }
            (Some(old), None) => {
                changes.push(of(&old.place).whole(Kind::Removed, "gone".to_owned(), Effect::Laxer));
            }
            (None, None) => {}
        }
    }
    changes
}

/// Lists are known by the rules that use them: what a change of one means is said there.
fn lists(old: &RuleSet, new: &RuleSet) -> Vec<Change> {
    let (old, new) = (in_lists(old), in_lists(new));
    let mut changes = Vec::new();
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let of = Of { what: "list", name, place: None };
        match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) => {
                changes.extend(of.texts("", old, new, Effect::Either));
            }
            (None, Some(_)) => {
                changes.push(of.whole(Kind::Added, "used now".to_owned(), Effect::Neither));
            }
            (Some(_), None) => {
                let detail = "not used any more".to_owned();
                changes.push(of.whole(Kind::Removed, detail, Effect::Neither));
            }
            (None, None) => {}
        }
    }
    changes
}

fn in_lists(rules: &RuleSet) -> BTreeMap<String, BTreeSet<String>> {
    let mut lists: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut put = |objects: &Objects| {
        for item in items::all(objects) {
            if let Some(list) = item.list {
                lists.entry(list.to_owned()).or_default().insert(item.text.to_owned());
            }
        }
    };
    for rule in &rules.rules {
        put(&rule.objects);
        rule.exceptions.iter().for_each(|exception| put(&exception.objects));
        let steps = rule.before.iter().flat_map(|before| &before.steps);
        steps.for_each(|step| put(&step.objects));
    }
    lists
}

fn rules(old: &RuleSet, new: &RuleSet) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, pair) in paired(&old.rules, &new.rules, |rule: &Rule| &rule.id) {
        let of = |place| Of { what: "rule", name, place: Some(place) };
        match pair {
            (Some(before), Some(now)) => {
                let sides = rule::Sides { old, new, before, now, of: of(&now.place) };
                changes.extend(sides.changes());
            }
            (None, Some(now)) => {
                let detail = format!("new: {}", rule::summary(now));
                changes.push(of(&now.place).whole(Kind::Added, detail, Effect::Stricter));
            }
            (Some(before), None) => {
                let detail = format!("gone: {}", rule::summary(before));
                changes.push(of(&before.place).whole(Kind::Removed, detail, Effect::Laxer));
            }
            (None, None) => {}
        }
    }
    changes
}

impl Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = None;
        for change in &self.changes {
            let Change { kind, what, name, part, detail, effect, place } = change;
            if last != Some((what, name)) {
                let place = place.as_deref().map(|at| format!("  {at}")).unwrap_or_default();
                writeln!(f, "{} {}{place}", kind.mark(), format!("{what} {name}").trim_end())?;
                last = Some((what, name));
            }
            writeln!(f, "    {:<9} {part:<14} {detail}", effect.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
