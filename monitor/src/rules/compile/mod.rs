//! Compile: from a rule set to the plan that the kernel half reads.
//!
//! Rules and exceptions are numbered ([`numbered`]), every item of every list is given its place
//! ([`form`]) and put together with its equals ([`gather`]). Then the tables are made: literals here,
//! globs by way of [`nfa`], [`dfa`] and [`minimal`] in [`automaton`], destinations in [`ranges`].
//!
//! What the rules mean is [`super::evaluate`]'s to say; a plan must agree with it. What a plan has no
//! room for is refused at its place, and then there is no plan at all ([`refusal`]).

mod automaton;
mod classes;
mod dfa;
mod form;
mod gather;
mod host;
mod lists;
mod minimal;
mod nfa;
mod numbered;
mod ranges;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use monitor_common::plan::{
    AUTOMATA, Header, LISTS, Literal, LiteralKey, Rule, Space, hash_start, hash_step, header_flag,
};

pub use self::refusal::CompileError;
use self::{
    automaton::Built,
    classes::Classes,
    gather::Gathered,
    nfa::Pattern,
    numbered::Numbered,
    refusal::{Limit, Refusals},
};
pub(super) use self::{nfa::END, ranges::covers};
use super::{
    evaluate::{Tier, settle, settle_late},
    glob::Homes,
    model::{Place, Privilege, RuleIndex, RuleSet, Trait},
    plan::{KernelPlan, LiteralHash},
};

/// What a plan depends on besides the rules.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// What the kernel half hashes with.
    pub secret: u64,
    /// The home directories of this host.
    pub homes: &'a Homes,
    /// What this host can do.
    pub tier: &'a Tier,
    /// Counts the plans of this daemon, from 1.
    pub serial: u32,
    /// The number of each agent of the rule set, by its index.
    pub agent_numbers: &'a [u32],
    /// Whether every act of a session is recorded, also where no rule is hit.
    pub watch: bool,
}

/// Compiles `rules`.
///
/// # Errors
/// What a plan has no room for, each limit once, at the first place that goes beyond it.
pub fn compile(rules: &RuleSet, ground: &Ground<'_>) -> Result<KernelPlan, Vec<CompileError>> {
    let mut gathered = Gathered::default();
    let numbered = Numbered::new(rules, ground, &mut gathered);
    gathered.homes(ground.homes);
    // What follows takes the longest, and could only fail for the same reasons again.
    std::mem::take(&mut gathered.refusals).or(())?;
    tables(rules, ground, numbered, &gathered)
}

fn tables(
    rules: &RuleSet,
    ground: &Ground<'_>,
    mut numbered: Numbered,
    gathered: &Gathered<'_>,
) -> Result<KernelPlan, Vec<CompileError>> {
    let mut refusals = Refusals::default();
    let mut classes = Classes::new();
    let literals = literals(gathered, ground.secret, &mut classes, &mut refusals);
    let ranges = ranges::ranges(gathered, &mut classes, &mut refusals);
    let users = users(gathered, &mut classes, &mut refusals);
    let traits = traits(gathered, &mut classes, &mut refusals);
    let privileges = privileges(gathered, &mut classes, &mut refusals);
    let built = automata(gathered, &mut classes, &mut refusals);
    let read = built[LISTS as usize].as_ref();
    let only = &numbered.header.only;
    let starts = gathered.lists.starts(read, only, &mut classes, &mut refusals);
    numbered.begin_at(starts);
    let before =
        |node: usize| read.and_then(|read| read.starts.get(node)).copied().unwrap_or_default();
    let (arguments, environment) = (before(lists::ANY_PROGRAM), before(lists::ENVIRONMENT));
    let sizes =
        built.each_ref().map(|built| built.as_ref().map(|built| built.size).unwrap_or_default());
    let shifts = built.each_ref().map(|built| built.as_ref().map_or(0, |built| built.shift));
    let flags = gathered.flags | if ground.watch { header_flag::WATCH } else { 0 };
    let of = |index: &RuleIndex| &rules.rules[*index];
    let rule = |index| Rule {
        done: settle(of(index), ground.tier) as u8,
        late: settle_late(of(index), ground.tier) as u8,
        ..Rule::default()
    };
    refusals.or(KernelPlan {
        secret: ground.secret,
        header: Header {
            serial: ground.serial,
            traits,
            privileges,
            flags,
            shifts,
            arguments,
            environment,
            ..numbered.header
        },
        literals,
        hosts: gathered.hosts(),
        automata: built.map(|built| built.map(|built| built.automaton)),
        sizes,
        classes: classes.into_rows(),
        rules: numbered.order.iter().map(rule).collect(),
        aux: numbered.aux,
        masks: numbered.masks.into_iter().collect(),
        clauses: numbered.clauses,
        ranges,
        users,
        labels: BTreeMap::new(),
        ids: numbered.order.iter().map(|index| of(index).id.clone()).collect(),
        order: numbered.order,
    })
}

fn users(
    gathered: &Gathered<'_>,
    classes: &mut Classes,
    refusals: &mut Refusals,
) -> BTreeMap<u32, u32> {
    let users = gathered.users.iter().map(|(&uid, (bits, place))| {
        (uid, classes.number(bits).unwrap_or_else(|| full(place, refusals)))
    });
    users.collect()
}

/// The class of each trait.
fn traits(gathered: &Gathered<'_>, classes: &mut Classes, refusals: &mut Refusals) -> [u32; 4] {
    Trait::WORDS.map(|(_, one)| match gathered.traits.get(&one) {
        Some((bits, place)) => classes.number(bits).unwrap_or_else(|| full(place, refusals)),
        None => 0,
    })
}

/// The class of each right.
fn privileges(
    gathered: &Gathered<'_>,
    classes: &mut Classes,
    refusals: &mut Refusals,
) -> [u32; Privilege::COUNT] {
    Privilege::WORDS.map(|(_, one)| match gathered.privileges.get(&one) {
        Some((bits, place)) => classes.number(bits).unwrap_or_else(|| full(place, refusals)),
        None => 0,
    })
}

/// The class table is full. The number stands for none: there will be no plan.
fn full(place: &Place, refusals: &mut Refusals) -> u32 {
    refusals.exceeded(Limit::Classes, place);
    0
}

fn literals(
    gathered: &Gathered<'_>,
    secret: u64,
    classes: &mut Classes,
    refusals: &mut Refusals,
) -> BTreeMap<LiteralHash, Literal> {
    let mut literals = BTreeMap::new();
    for ((space, spelling), spelt) in &gathered.literals {
        let mut class = |bits| match (classes.number(bits), spelt.place) {
            (Some(number), _) => number,
            (None, Some(place)) => full(place, refusals),
            (None, None) => 0, // a home directory without bits: the empty class is always there
        };
        let (exact, below) = (class(&spelt.exact), class(&spelt.below));
        let literal = Literal { exact, below, flags: spelt.flags, reserved: 0 };
        let LiteralKey { hash, len, .. } = key(secret, *space, spelling);
        if literals.insert((hash, len), literal).is_some()
            && let Some(place) = spelt.place
        {
            refusals.add(
                place,
                "this path or name has the hash of another one",
                "start again: another secret is drawn then",
            );
        }
    }
    literals
}

/// The key of a literal, for bank 0.
pub(super) fn key(secret: u64, space: Space, spelling: &[u8]) -> LiteralKey {
    let hash = spelling
        .iter()
        .fold(hash_start(secret, space), |hash, &byte| hash_step(hash, secret, byte));
    LiteralKey { hash, len: u32::try_from(spelling.len()).expect("no path is that long"), bank: 0 }
}

fn automata(
    gathered: &Gathered<'_>,
    classes: &mut Classes,
    refusals: &mut Refusals,
) -> [Option<Built>; AUTOMATA as usize] {
    let (paths, lists) = (&gathered.globs, &gathered.lists);
    let help = "prefer `/dir/**`, `~/dir/**`, `**/name` and `**/*.ext`, which take no room";
    let [forward, backward] = paths.each_ref().map(|globs| {
        let what = ("paths with wildcards inside", help);
        automaton(&globs.patterns, &globs.places, what, classes, refusals)
    });
    let what = ("lists of arguments", "say what is meant with fewer `**` and `*`");
    let lists = automaton(&lists.patterns, &lists.places, what, classes, refusals);
    [forward, backward, lists]
}

fn automaton(
    patterns: &[Pattern<'_>],
    places: &[&Place],
    (what, help): (&str, &str),
    classes: &mut Classes,
    refusals: &mut Refusals,
) -> Option<Built> {
    if patterns.is_empty() {
        return None;
    }
    let refuse = |too_large: automaton::TooLarge| {
        let (count, needs) = (patterns.len(), too_large.needs);
        let message = format!("with this one the {count} {what} are too many: {needs}");
        refusals.add(places[too_large.pattern], message, help);
    };
    automaton::build(patterns, classes).map_err(refuse).ok()
}
