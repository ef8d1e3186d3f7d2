//! Evaluate: what the rules say of one act. This is what the rules *mean*; the compiled plan must agree.
//!
//! Every rule is looked at, order has no meaning, the strongest result wins. No I/O, no clock.

use std::cmp::Reverse;

use monitor_common::{Act, Verdict};

use super::{
    glob::Homes,
    model::{
        AgentIndex, Exception, How, Item, Mode, Moment, Object, Objects, Place, Program, Rule,
        RuleIndex, RuleSet, Sense, Severity, Traits,
    },
    words::Words,
};

/// What this host can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// For each act, by number: whether any hook sees it.
    pub sees: [bool; Act::COUNT],
    /// For each act, by number: whether it can be refused before it happens.
    pub refuses: [bool; Act::COUNT],
    /// For each act, by number: whether it can wait for a person's answer.
    pub holds: [bool; Act::COUNT],
}

impl Tier {
    /// Every act can be refused, and wait.
    pub const PREVENT: Self =
        Self { sees: [true; Act::COUNT], refuses: [true; Act::COUNT], holds: [true; Act::COUNT] };
    /// Only what goes over the network can be refused, nothing waits.
    pub const REACT: Self = {
        let mut refuses = [false; Act::COUNT];
        refuses[Act::Connect as usize] = true;
        refuses[Act::Listen as usize] = true;
        Self { sees: [true; Act::COUNT], refuses, holds: [false; Act::COUNT] }
    };

    /// The word that reports use: `prevent` where every act can be refused, or else `react`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        if self.prevents() { "prevent" } else { "react" }
    }

    /// Whether every act can be refused before it happens.
    #[must_use]
    pub fn prevents(&self) -> bool {
        self.refuses == Self::PREVENT.refuses
    }

    /// Whether any hook sees an act.
    #[must_use]
    pub const fn can_see(&self, act: Act) -> bool {
        self.sees[act as usize]
    }

    /// Whether an act can be refused before it happens.
    #[must_use]
    pub const fn can_refuse(&self, act: Act) -> bool {
        self.refuses[act as usize]
    }

    /// Whether an act can wait for an answer.
    #[must_use]
    pub const fn can_hold(&self, act: Act) -> bool {
        self.holds[act as usize]
    }
}

/// What becomes of an act that a rule is hit by: what it asks for, as its mode and the tier allow. What
/// cannot be held is refused now.
#[must_use]
pub fn settle(rule: &Rule, tier: &Tier) -> Verdict {
    match (rule.mode, rule.action) {
        (Mode::Monitor, _) => Verdict::Alert,
        (Mode::Enforce, Verdict::Ask) if tier.can_hold(rule.act) => Verdict::Ask,
        (Mode::Enforce, Verdict::Ask | Verdict::Deny) if tier.can_refuse(rule.act) => Verdict::Deny,
        (Mode::Enforce, Verdict::Ask | Verdict::Deny) => rule.fallback,
        (Mode::Enforce, action) => action,
    }
}

/// The same of a program that is in place, and can only be ended: what looks at its arguments is done then.
#[must_use]
pub fn settle_late(rule: &Rule, tier: &Tier) -> Verdict {
    let mut late = *tier;
    late.refuses[Act::Exec as usize] = false;
    settle(rule, &late)
}

/// Whether nothing can be said of a program by a rule before its arguments are known: they may permit it.
#[must_use]
pub fn is_late(rule: &Rule) -> bool {
    let permits = rule.exceptions.iter().map(|exception| &exception.objects);
    let permits = permits.chain((rule.sense == Sense::Only).then_some(&rule.objects));
    permits.into_iter().any(looks_at_arguments)
}

/// Whether a list has programs with arguments.
#[must_use]
pub fn looks_at_arguments(objects: &Objects) -> bool {
    let Objects::Programs(items) = objects else { return false };
    items.iter().any(|item| matches!(item.is, Program::With(..)))
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

/// The arguments of a program that is started, after the program's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Args<'a> {
    /// These.
    Known(&'a [Vec<u8>]),
    /// They could not be read, or are more than the kernel half looks at: they are in every `never` list that
    /// names the program with any, in no `only` list and in no exception.
    Unknown,
}

impl<'a> Args<'a> {
    /// These, or none that are known.
    #[must_use]
    pub fn of(known: Option<&'a [Vec<u8>]>) -> Self {
        known.map_or(Self::Unknown, Self::Known)
    }

    /// Whether they are as `words` say; `unsure` where that is not known.
    #[must_use]
    pub fn are(self, words: &Words, unsure: bool) -> bool {
        match self {
            Self::Known(args) => words.match_all(args),
            Self::Unknown => unsure,
        }
    }
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
    /// In what way.
    pub how: How,
    /// Of a program start: its arguments.
    pub args: Args<'a>,
    /// Of a program start: what is special about the program.
    pub traits: Traits,
    /// The sequences of which only the last step is missing.
    pub armed: &'a [RuleIndex],
    /// When. Exceptions and grants end.
    pub now: Moment,
    /// Whether every grant that may be used a number of times has been. Nobody has used any where this is not
    /// said: tests, rehearsals and recordings know of no acts before.
    pub spent: bool,
}

impl<'a> Attempt<'a> {
    /// An act of which no more is known.
    #[must_use]
    pub const fn new(agents: &'a [AgentIndex], act: Act, object: &'a Object, now: Moment) -> Self {
        Self {
            agents,
            act,
            object,
            exe: None,
            how: How::Usual,
            args: Args::Known(&[]),
            traits: Traits::NONE,
            armed: &[],
            now,
            spent: false,
        }
    }
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
    evaluate_those(rules, tier, homes, attempt, |_| true)
}

/// The same, of those rules alone that `counts` is true for.
pub(in crate::rules) fn evaluate_those(
    rules: &RuleSet,
    tier: &Tier,
    homes: &Homes,
    attempt: &Attempt<'_>,
    counts: impl Fn(&Rule) -> bool,
) -> Ruling {
    let hit = rules.rules.iter().enumerate().filter(|(index, rule)| {
        is_ready(rule, *index, attempt) && is_hit(rule, homes, attempt) && counts(rule)
    });
    match hit.max_by_key(|&(index, rule)| strength(rule, index, tier)) {
        Some((index, rule)) => {
            Ruling { rule: Some(index), asked: rule.action, done: settle(rule, tier) }
        }
        None => Ruling { rule: None, asked: Verdict::Allow, done: Verdict::Allow },
    }
}

/// Whether nothing more than this act is missing for a rule to be hit.
fn is_ready(rule: &Rule, index: RuleIndex, attempt: &Attempt<'_>) -> bool {
    rule.before.is_none() || attempt.armed.contains(&index)
}

/// Whether `attempt` hits a rule, or the last step of one: it is about the agent and the act, about the
/// object, and no exception holds.
#[must_use]
pub fn is_hit(rule: &Rule, homes: &Homes, attempt: &Attempt<'_>) -> bool {
    rule.act == attempt.act
        && concerns(rule, attempt)
        && !(attempt.how == How::Start && is_late(rule))
        && is_meant(rule.sense, &rule.objects, homes, attempt)
        && !rule.exceptions.iter().any(|exception| holds(exception, rule, homes, attempt))
}

/// Whether a rule is about an agent that acts.
#[must_use]
pub fn concerns(rule: &Rule, attempt: &Attempt<'_>) -> bool {
    rule.agents.iter().any(|agent| attempt.agents.contains(agent))
}

/// Whether the object of `attempt` is, by `sense`, one that a list means.
#[must_use]
pub fn is_meant(sense: Sense, objects: &Objects, homes: &Homes, attempt: &Attempt<'_>) -> bool {
    let listed = || first_match(objects, homes, attempt, sense == Sense::Never).is_some();
    match (sense, attempt.object) {
        (Sense::Only, _) if attempt.how.leaves_out_only() => false,
        (_, Object::Unknown) => true,
        (Sense::Never, _) => listed(),
        (Sense::Only, _) => !listed(),
    }
}

fn holds(exception: &Exception, rule: &Rule, homes: &Homes, attempt: &Attempt<'_>) -> bool {
    let exe_is_one_of = |exe: &[u8]| exception.exe.iter().any(|item| item.is.matches(exe, homes));
    exception.until.is_none_or(|until| attempt.now < until)
        && is_granted(exception, rule, attempt)
        && !(attempt.spent && is_limited(exception))
        && first_match(&exception.objects, homes, attempt, false).is_some()
        && (exception.exe.is_empty() || attempt.exe.is_some_and(exe_is_one_of))
}

/// An agent inside an agent is under the limits of both: a grant must have been given to each that the rule
/// is about.
fn is_granted(exception: &Exception, rule: &Rule, attempt: &Attempt<'_>) -> bool {
    let Some(grant) = &exception.grant else { return true };
    let bound = attempt.agents.iter().filter(|agent| rule.agents.contains(agent));
    bound.into_iter().all(|agent| grant.agents.contains(agent))
}

/// Whether an exception is a grant that may be used a number of times.
fn is_limited(exception: &Exception) -> bool {
    exception.grant.as_ref().is_some_and(|grant| grant.uses.is_some())
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

/// Which item of `rule` the attempt matched: the first in the order written. None for a rule with
/// `only`, which is hit by what matches nothing, and for an object that is not known.
#[must_use]
pub fn explain_match<'a>(
    rule: &'a Rule,
    homes: &Homes,
    attempt: &Attempt<'_>,
) -> Option<Matched<'a>> {
    match rule.sense {
        Sense::Only => None,
        Sense::Never => first_match(&rule.objects, homes, attempt, true),
    }
}

/// The first item that the object matched; `unsure` says whether arguments that are not known are as meant.
fn first_match<'a>(
    objects: &'a Objects,
    homes: &Homes,
    attempt: &Attempt<'_>,
    unsure: bool,
) -> Option<Matched<'a>> {
    let Attempt { object, how, args, traits, .. } = *attempt;
    // Code that is mapped has no arguments, not even none, and of what is about to be started nobody knows them.
    let knows = !matches!(how, How::Load | How::Start);
    let concerns = |program: &Program| knows || !matches!(program, Program::With(..));
    match (objects, object) {
        (Objects::Paths(items), Object::Path(path)) => {
            first(items, |glob| glob.matches(path, homes))
        }
        (Objects::Programs(items), Object::Path(path)) => first(items, |program| {
            concerns(program) && program.matches(path, args, unsure, traits, homes)
        }),
        (Objects::Destinations(items), object) => {
            first(items, |destination| destination.covers(object, homes))
        }
        (Objects::Privileges(items), Object::Privilege(right)) => first(items, |is| is == right),
        _ => None,
    }
}

fn first<T>(items: &[Item<T>], is_it: impl Fn(&T) -> bool) -> Option<Matched<'_>> {
    items.iter().find(|item| is_it(&item.is)).map(matched)
}

fn matched<T>(item: &Item<T>) -> Matched<'_> {
    Matched { text: &item.text, list: item.list.as_deref(), place: &item.place }
}
