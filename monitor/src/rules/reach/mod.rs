//! Reach: what of a rule set the kernel half can do, and what it cannot.
//!
//! Between [`super::model`] and [`super::compile`]. [`within`] makes the rule set that the plan is compiled from:
//! what the hooks cannot see is left out of it, each time with a [`Shortfall`] that says so. A rule is left out
//! as a whole where leaving out a part would stop what it allows.
//!
//! Names of hosts stay in: the plan knows them, and what it says of a peer whose name is known can be asked. The
//! hooks know addresses alone, and so what [`named`] says is missing all the same.

pub mod here;
mod named;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use monitor_common::Act;

pub use self::named::{evaluate_here, needs_name};
use super::{
    evaluate::Tier,
    model::{AgentIndex, Exception, Item, Moment, Objects, Place, Rule, RuleSet, Sense, Sign, To},
};

/// The part of a rule set that the kernel half can do.
#[derive(Clone, Debug, Default)]
pub struct Within {
    /// That part. Agents have their indexes; rules that were granted to some of their agents are several.
    pub rules: RuleSet,
    /// What is missing.
    pub shortfalls: Vec<Shortfall>,
    /// When the next exception ends: then this is not true any more.
    pub until: Option<Moment>,
}

/// Something that the rules ask for and that is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// Where it was written.
    pub place: Place,
    /// The rule or the agent.
    pub of: String,
    /// What the kernel half would have to know.
    pub need: Need,
    /// What was left out.
    pub lost: Lost,
}

/// What was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The rule.
    Rule,
    /// These items of it.
    Items(Vec<String>),
    /// The rule, for these agents: to others of its agents nothing was granted that the hooks cannot see.
    Agents(Vec<String>),
    /// Ways to recognise the agent; whether it has no others.
    Signs {
        /// It is known only when `driftwatch run` starts it.
        all: bool,
    },
}

/// What the kernel half would have to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Which address has which name.
    HostNames,
    /// UNIX sockets.
    UnixSockets,
    /// What happened before.
    Sequences,
    /// What a container engine says of a container.
    Engines,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HostNames => "host names are not known to the hooks",
            Self::UnixSockets => "no hook sees UNIX sockets",
            Self::Sequences => "the hooks do not remember earlier steps",
            Self::Engines => "no container engine answers",
        })
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, need, .. } = self;
        match &self.lost {
            Lost::Rule => write!(f, "rule `{of}` is not enforced here: {need}"),
            Lost::Items(items) => {
                write!(f, "rule `{of}` is enforced without {}: {need}", items.join(", "))
            }
            Lost::Agents(agents) => {
                write!(f, "rule `{of}` is not enforced here for {}: {need}", agents.join(", "))
            }
            Lost::Signs { all: true } => {
                write!(f, "agent `{of}` is known only if `driftwatch run` starts it: {need}")
            }
            Lost::Signs { all: false } => {
                write!(f, "agent `{of}` is not recognised by all of its signs: {need}")
            }
        }
    }
}

/// What of `rules` the kernel half can do at the moment `now`.
#[must_use]
pub fn within(rules: &RuleSet, now: Moment) -> Within {
    let mut reach = Within { rules: rules.clone(), ..Within::default() };
    for agent in &mut reach.rules.agents {
        let mut needs = BTreeSet::new();
        agent.clauses.retain(|clause| {
            needs.extend(clause.iter().filter_map(need_of));
            clause.iter().all(|sign| need_of(sign).is_none())
        });
        let all = agent.clauses.is_empty();
        for need in needs {
            let (of, place) = (agent.name.clone(), agent.place.clone());
            reach.shortfalls.push(Shortfall { place, of, need, lost: Lost::Signs { all } });
        }
        let nobody =
            |clause: &Vec<Sign>| clause.iter().any(|sign| matches!(sign, Sign::Stranger(_)));
        agent.clauses.retain(|clause| !nobody(clause));
    }
    reach.rules.rules.clear();
    for rule in &rules.rules {
        let mut lasting = rule.clone();
        lasting.exceptions.retain(|exception| exception.until.is_none_or(|until| now < until));
        let ends = lasting.exceptions.iter().filter_map(|exception| exception.until);
        reach.until = ends.chain(reach.until).min();
        match cut(lasting, &mut reach.shortfalls) {
            Ok(rule) => {
                let parts = by_grants(rule);
                reach.shortfalls.extend(named::shortfall(&parts, &reach.rules));
                reach.rules.rules.extend(parts);
            }
            Err(need) => reach.shortfalls.push(Shortfall {
                place: rule.place.clone(),
                of: rule.id.clone(),
                need,
                lost: Lost::Rule,
            }),
        }
    }
    reach
}

/// What somebody would have to know of a sign that the kernel half does not know.
const fn need_of(sign: &Sign) -> Option<Need> {
    match sign {
        Sign::Container(..) => Some(Need::Engines),
        _ => None,
    }
}

/// The rule without what the hooks do not see, or what they would have to see.
fn cut(mut rule: Rule, shortfalls: &mut Vec<Shortfall>) -> Result<Rule, Need> {
    if rule.before.is_some() {
        return Err(Need::Sequences);
    }
    let mut lost: BTreeMap<Need, Vec<String>> = BTreeMap::new();
    retain(&mut rule.objects, |need, item| lost.entry(need).or_default().push(item.to_owned()));
    let first = lost.keys().next().copied();
    if let Some(need) = first
        && (rule.objects.is_empty() || rule.sense == Sense::Only && harms(need))
    {
        return Err(need);
    }
    for exception in &mut rule.exceptions {
        let mut harm = None;
        retain(&mut exception.objects, |need, _| harm = harm.max(Some(need).filter(|n| harms(*n))));
        if let Some(need) = harm {
            return Err(need);
        }
    }
    rule.exceptions.retain(|exception| !exception.objects.is_empty());
    if needs_name(&rule) {
        return Ok(rule);
    }
    for (need, items) in lost {
        let (place, of) = (rule.place.clone(), rule.id.clone());
        shortfalls.push(Shortfall { place, of, need, lost: Lost::Items(items) });
    }
    Ok(rule)
}

/// Whether leaving such items out of what is allowed would stop more than it should. What no hook sees is
/// never stopped, and names are not left out.
const fn harms(need: Need) -> bool {
    !matches!(need, Need::UnixSockets | Need::HostNames)
}

/// Keeps what the plan can have, and says of all that the hooks do not see that it is lost.
fn retain(objects: &mut Objects, lost: impl FnMut(Need, &str)) {
    match objects {
        Objects::Paths(_) | Objects::Programs(_) | Objects::Privileges(_) => {}
        Objects::Destinations(items) => keep(items, lost, |destination| match destination.to {
            To::Net(_) => None,
            To::Host(_) => Some(Need::HostNames),
            To::Socket(_) | To::Abstract(_) => Some(Need::UnixSockets),
        }),
    }
}

fn keep<T>(
    items: &mut Vec<Item<T>>,
    mut lost: impl FnMut(Need, &str),
    need: impl Fn(&T) -> Option<Need>,
) {
    items.retain(|item| {
        let need = need(&item.is);
        need.inspect(|need| lost(*need, &item.text));
        matches!(need, None | Some(Need::HostNames))
    });
}

/// A rule for each set of its agents that was granted the same: the hooks know no exception for some agents.
fn by_grants(rule: Rule) -> Vec<Rule> {
    let granted = |exception: &Exception, agent: AgentIndex| {
        exception.grant.as_ref().is_none_or(|grant| grant.agents.binary_search(&agent).is_ok())
    };
    let mut groups: BTreeMap<Vec<bool>, Vec<AgentIndex>> = BTreeMap::new();
    for &agent in &rule.agents {
        let holds = rule.exceptions.iter().map(|exception| granted(exception, agent)).collect();
        groups.entry(holds).or_default().push(agent);
    }
    let part = |(holds, agents): (Vec<bool>, Vec<AgentIndex>)| {
        let kept = rule.exceptions.iter().zip(holds).filter(|(_, holds)| *holds);
        let exceptions = kept.map(|(exception, _)| exception.clone()).collect();
        Rule { agents, exceptions, ..rule.clone() }
    };
    groups.into_iter().map(part).collect()
}

/// What the hooks do not see of an act, whatever the rules say: those of the react tier, or those that can refuse.
#[must_use]
pub fn blind_to(act: Act, tier: &Tier) -> Option<&'static str> {
    match (act, tier.prevents()) {
        (Act::Exec, _) => Some("code in memory that belongs to no file"),
        (Act::Read, _) => None,
        (Act::Write, false) => Some("rename, link, unlink, truncate and chmod"),
        (Act::Write, true) => Some("extended attributes and times"),
        (Act::Connect, false) => Some("UNIX, raw, packet, SCTP and vsock sockets"),
        (Act::Connect, true) => Some("UNIX sockets, and raw and packet sockets that only receive"),
        (Act::Listen, false) => {
            Some("UNIX sockets, and TCP that listens without an address of its own")
        }
        (Act::Listen, true) => {
            Some("UNIX and vsock sockets, and UDP at a port of the kernel's choice")
        }
        (Act::Privilege, _) => Some("chroot, and the rights that a program gets by being started"),
    }
}

#[cfg(test)]
mod tests;
