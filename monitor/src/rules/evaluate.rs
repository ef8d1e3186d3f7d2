//! Evaluate: what the rules say of one act. This is what the rules *mean*; the compiled plan must agree.
//!
//! Every rule is looked at, order has no meaning, the strongest result wins. No I/O, no clock.

use std::cmp::Reverse;

use monitor_common::{Act, Verdict};

use super::{
    glob::{Glob, Homes},
    model::{
        AgentIndex, Destination, Exception, Item, Mode, Object, Objects, Place, Rule, RuleIndex,
        RuleSet, Sense, Severity,
    },
};

/// What this host can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// For each act, by number: whether it can be refused before it happens.
    pub refuses: [bool; Act::COUNT],
}

impl Tier {
    /// Every act can be refused.
    pub const PREVENT: Self = Self { refuses: [true; Act::COUNT] };
    /// Only connections can be refused.
    pub const REACT: Self = {
        let mut refuses = [false; Act::COUNT];
        refuses[Act::Connect as usize] = true;
        Self { refuses }
    };

    /// The word that reports use: `prevent` where every act can be refused, or else `react`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        if *self == Self::PREVENT { "prevent" } else { "react" }
    }

    /// Whether an act can be refused before it happens.
    #[must_use]
    pub const fn can_refuse(&self, act: Act) -> bool {
        self.refuses[act as usize]
    }
}

/// What becomes of an act that a rule is hit by: what it asks for, as its mode and the tier allow.
#[must_use]
pub fn settle(rule: &Rule, tier: &Tier) -> Verdict {
    match (rule.mode, rule.action) {
        (Mode::Monitor, _) => Verdict::Alert,
        (Mode::Enforce, Verdict::Deny) if !tier.can_refuse(rule.act) => rule.fallback,
        (Mode::Enforce, action) => action,
    }
}

/// The rules, strongest first. Of all the rules that an act hits, the first decides.
#[must_use]
pub fn strength_order(rules: &[Rule], tier: &Tier) -> Vec<RuleIndex> {
    let mut order: Vec<RuleIndex> = (0..rules.len()).collect();
    order.sort_by_key(|&index| Reverse(strength(&rules[index], index, tier)));
    order
}

fn strength(
    rule: &Rule,
    index: RuleIndex,
    tier: &Tier,
) -> (Verdict, Verdict, Severity, Reverse<RuleIndex>) {
    (settle(rule, tier), rule.action, rule.severity, Reverse(index))
}

/// One act, as far as rules look at it.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The agents of the session that acts.
    pub agents: &'a [AgentIndex],
    /// What it does.
    pub act: Act,
    /// To what.
    pub object: &'a Object,
    /// The executable of the process that acts, if it is known.
    pub exe: Option<&'a [u8]>,
}

/// What the rules say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The rule that decides, if any is hit.
    pub rule: Option<RuleIndex>,
    /// What it asks for.
    pub asked: Verdict,
    /// What is done.
    pub done: Verdict,
}

/// What the rules say of `attempt` on a host of this tier.
#[must_use]
pub fn evaluate(rules: &RuleSet, tier: &Tier, homes: &Homes, attempt: &Attempt<'_>) -> Ruling {
    let hit = rules.rules.iter().enumerate().filter(|(_, rule)| is_hit(rule, homes, attempt));
    match hit.max_by_key(|&(index, rule)| strength(rule, index, tier)) {
        Some((index, rule)) => {
            Ruling { rule: Some(index), asked: rule.action, done: settle(rule, tier) }
        }
        None => Ruling { rule: None, asked: Verdict::Allow, done: Verdict::Allow },
    }
}

/// Whether `attempt` hits a rule: it is about the agent and the act, about the object, and no
/// exception holds.
#[must_use]
pub fn is_hit(rule: &Rule, homes: &Homes, attempt: &Attempt<'_>) -> bool {
    rule.act == attempt.act
        && rule.agents.iter().any(|agent| attempt.agents.contains(agent))
        && in_sense(rule, homes, attempt.object)
        && !rule.exceptions.iter().any(|exception| holds(exception, homes, attempt))
}

fn in_sense(rule: &Rule, homes: &Homes, object: &Object) -> bool {
    let listed = || first_match(&rule.objects, homes, object).is_some();
    match (rule.sense, object) {
        (_, Object::Unknown) => true,
        (Sense::Never, _) => listed(),
        (Sense::Only, _) => !listed(),
    }
}

fn holds(exception: &Exception, homes: &Homes, attempt: &Attempt<'_>) -> bool {
    let exe_is_one_of = |exe: &[u8]| exception.exe.iter().any(|item| item.is.matches(exe, homes));
    first_match(&exception.objects, homes, attempt.object).is_some()
        && (exception.exe.is_empty() || attempt.exe.is_some_and(exe_is_one_of))
}

/// The item of a rule that an object matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matched<'a> {
    /// What was written, `~/.ssh/id_*`.
    pub text: &'a str,
    /// The list it is written in, without the `@`.
    pub list: Option<&'a str>,
    /// Where.
    pub place: &'a Place,
}

/// Which item of `rule` the object matched: the first in the order written. None for a rule with
/// `only`, which is hit by what matches nothing, and for an object that is not known.
#[must_use]
pub fn explain_match<'a>(rule: &'a Rule, homes: &Homes, object: &Object) -> Option<Matched<'a>> {
    match rule.sense {
        Sense::Only => None,
        Sense::Never => first_match(&rule.objects, homes, object),
    }
}

fn first_match<'a>(objects: &'a Objects, homes: &Homes, object: &Object) -> Option<Matched<'a>> {
    match (objects, object) {
        (Objects::Paths(items), Object::Path(path)) => {
            items.iter().find(|item: &&Item<Glob>| item.is.matches(path, homes)).map(matched)
        }
        (Objects::Destinations(items), &Object::Peer { address, port, protocol }) => {
            let covers = |item: &&Item<Destination>| item.is.covers(address, port, protocol);
            items.iter().find(covers).map(matched)
        }
        _ => None,
    }
}

fn matched<T>(item: &Item<T>) -> Matched<'_> {
    Matched { text: &item.text, list: item.list.as_deref(), place: &item.place }
}
