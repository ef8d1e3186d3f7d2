//! One record, as far as it goes without touching the world: decode, attribute, evaluate.
//!
//! The kernel has already decided and done. What this adds is who it was, which rule it was, and a second
//! opinion: the evaluator's, which must be the same. Pure: no I/O, no clock, no aya.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use monitor_common::Verdict;

use crate::{
    agent::{Agents, Process},
    event::{Decision, DecodeError, Event, Exec, ProcessId, What, decode, shown},
    rules::{
        evaluate::{Args, Attempt, Tier, explain_match, is_hit},
        glob::Homes,
        model::{AgentIndex, Moment, Object, Rule, RuleIndex, RuleSet},
        reach::{evaluate_here, needs_name},
    },
};

/// A rule set that is, or was, in force, with what it takes to read the records of its time.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The serial of its plan.
    pub serial: u32,
    /// The rules of the plan.
    pub rules: RuleSet,
    /// The rule behind each number of the plan.
    pub order: Vec<RuleIndex>,
    /// The number of each agent of `rules`.
    pub agent_numbers: Vec<u32>,
    /// What this host can do.
    pub tier: Tier,
    /// Home directories of this host.
    pub homes: Homes,
    /// When the plan was made: what had ended by then is not in it.
    pub now: Moment,
    /// The names of the files that are known by their inode, by `s_dev` and number.
    pub labels: BTreeMap<(u32, u64), Vec<u8>>,
}

impl InForce {
    /// How many rules the hooks enforce: those that need a name are in the plan, and wait.
    #[must_use]
    pub fn enforced(&self) -> usize {
        self.rules.rules.iter().filter(|rule| !needs_name(rule)).count()
    }
}

/// Plans whose records may still be on their way.
const KEPT: usize = 8;

/// Something that somebody must hear of: an act that hit a rule.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The act.
    pub event: Event,
    /// What the kernel half decided.
    pub decision: Decision,
    /// Name of the agent.
    pub agent: String,
    /// The process and its ancestors, the process first.
    pub ancestry: Vec<(ProcessId, Process)>,
    /// Whether the ancestry reaches the root of the session.
    pub complete: bool,
    /// The rules of that time.
    pub in_force: Arc<InForce>,
    /// The rule that decided.
    pub rule: Option<RuleIndex>,
    /// The item of it that the object matched, as it was written.
    pub matched: Option<String>,
}

impl Finding {
    /// The rule that decided.
    #[must_use]
    pub fn rule(&self) -> Option<&Rule> {
        self.rule.map(|index| &self.in_force.rules.rules[index])
    }
}

/// What went by, and what was wrong with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Records decoded.
    pub events: u64,
    /// Records refused by the decoder.
    pub refused: u64,
    /// Records of a plan that is not known any more.
    pub unknown_plans: u64,
    /// Acts that the evaluator would have judged otherwise.
    pub disagreements: u64,
    /// Acts of a process that no lifecycle record told of.
    pub unknown_processes: u64,
}

/// The state of the pure half.
#[derive(Debug, Default)]
pub struct Pipeline {
    /// Who is who.
    pub agents: Agents,
    /// What went by.
    pub seen: Seen,
    plans: VecDeque<Arc<InForce>>,
    /// By ring and CPU: the highest sequence number, and how many records came.
    sequences: BTreeMap<(bool, u32), (u64, u64)>,
}

impl Pipeline {
    /// From now on records of this plan may come.
    pub fn put_in_force(&mut self, rules: InForce) {
        self.plans.push_front(Arc::new(rules));
        self.plans.truncate(KEPT);
    }

    /// The newest rules did not come into force after all.
    pub fn take_back(&mut self) {
        self.plans.pop_front();
    }

    /// The rules in force.
    #[must_use]
    pub fn in_force(&self) -> Option<&Arc<InForce>> {
        self.plans.front()
    }

    /// A file of the plan in force is known by its inode from now on, under this name, or with none not any more.
    pub fn name_file(&mut self, inode: (u32, u64), name: Option<Vec<u8>>) {
        let Some(in_force) = self.plans.front_mut() else { return };
        let labels = &mut Arc::make_mut(in_force).labels;
        match name {
            Some(name) => drop(labels.insert(inode, name)),
            None => drop(labels.remove(&inode)),
        }
    }

    /// Takes a record as far as it goes: a finding, where a rule was hit.
    ///
    /// # Errors
    ///
    /// Where it is not a record. It is counted already.
    pub fn advance(&mut self, record: &[u8]) -> Result<Option<Finding>, DecodeError> {
        self.tapped(record, |_, _| {})
    }

    /// The same. `tap` is shown the event, and who is who before anything is learned of it.
    ///
    /// # Errors
    ///
    /// As [`Self::advance`].
    pub fn tapped(
        &mut self,
        record: &[u8],
        tap: impl FnOnce(&Event, &Agents),
    ) -> Result<Option<Finding>, DecodeError> {
        let event = decode(record).inspect_err(|_| self.seen.refused += 1)?;
        self.seen.events += 1;
        self.count_in(&event);
        tap(&event, &self.agents);
        self.agents.learn(&event);
        let Some((_, decision)) = event.act() else { return Ok(None) };
        if decision.done == Verdict::Allow {
            return Ok(None);
        }
        Ok(self.find(event, decision))
    }

    fn count_in(&mut self, event: &Event) {
        let is_lifecycle = !matches!(event.what, What::File(_) | What::Net(_) | What::Privilege(_));
        let (highest, came) = self.sequences.entry((is_lifecycle, event.cpu)).or_default();
        *highest = event.sequence.max(*highest);
        *came += 1;
    }

    /// Records that the kernel half had and that never came, by their sequence numbers. Those after the last
    /// that came are not known yet.
    #[must_use]
    pub fn missing(&self) -> u64 {
        let missing = self.sequences.values().map(|(highest, came)| highest.saturating_sub(*came));
        missing.fold(0, u64::saturating_add)
    }

    fn find(&mut self, event: Event, decision: Decision) -> Option<Finding> {
        let Some(in_force) = self.plans.iter().find(|plan| plan.serial == event.plan).cloned()
        else {
            self.seen.unknown_plans += 1;
            return None;
        };
        let line = self.agents.ancestry(event.process, event.session);
        let root = self.agents.session(event.session).map(|session| session.root);
        let complete = line.last().is_some_and(|(id, _)| Some(*id) == root);
        let ancestry: Vec<_> =
            line.into_iter().map(|(id, process)| (id, process.clone())).collect();
        if ancestry.is_empty() {
            self.seen.unknown_processes += 1;
        }
        let rule = decision.rule.and_then(|number| in_force.order.get(number as usize).copied());
        let object = object(&event);
        let agents = judged(&in_force, &event);
        let attempt = self.attempt(&in_force, &event, &object, &agents)?;
        let disagrees = match &event.what {
            What::Exec(exec) if knew_more(exec) => goes_beyond(&in_force, &attempt, rule),
            _ => disagrees(&in_force, &attempt, decision, rule),
        };
        let matched = rule.and_then(|index| match decision.by_label {
            true => matched_by_inode(&in_force, index, &event, &attempt),
            false => matched(&in_force, index, &attempt),
        });
        if disagrees {
            self.seen.disagreements += 1;
        }
        let agent = self.agents.names.name(event.agent()).unwrap_or("unknown").to_owned();
        Some(Finding { event, decision, agent, ancestry, complete, in_force, rule, matched })
    }

    /// The act, as the evaluator looks at it.
    fn attempt<'a>(
        &'a self,
        in_force: &InForce,
        event: &'a Event,
        object: &'a Object,
        agents: &'a [AgentIndex],
    ) -> Option<Attempt<'a>> {
        let (act, _) = event.act()?;
        let process = self.agents.processes.get(event.process);
        let exe = process.and_then(|process| process.image.exe.as_deref());
        let (how, traits) = (event.how(), event.traits());
        let args = match &event.what {
            What::Exec(exec) => args(exec),
            _ => Args::Known(&[]),
        };
        Some(Attempt { exe, how, args, traits, ..Attempt::new(agents, act, object, in_force.now) })
    }
}

/// The second opinion: whether the evaluator would have let another rule win.
fn disagrees(
    in_force: &InForce,
    attempt: &Attempt<'_>,
    decision: Decision,
    rule: Option<RuleIndex>,
) -> bool {
    let ruling = evaluate_here(&in_force.rules, &in_force.tier, &in_force.homes, attempt);
    match decision.by_label {
        // It knows no inodes: of what it finds by the name, nothing may be stronger.
        true => place(in_force, ruling.rule) < place(in_force, rule),
        false => ruling.rule != rule && !is_hit_once_spent(in_force, attempt, ruling.rule, rule),
    }
}

/// The arguments of a program, where its record has them all.
fn args(exec: &Exec) -> Args<'_> {
    if exec.argv_cut || exec.argv_unknown {
        return Args::Unknown;
    }
    Args::Known(exec.argv.get(1..).unwrap_or_default())
}

/// Whether the kernel half knew the arguments of a program, and the record has only some of them.
const fn knew_more(exec: &Exec) -> bool {
    exec.argv_cut && !exec.argv_unknown
}

/// Whether the rule that decided is stronger than any that the act hits, whatever its arguments are: nothing hits more
/// than what is not known.
fn goes_beyond(in_force: &InForce, attempt: &Attempt<'_>, rule: Option<RuleIndex>) -> bool {
    let ruling = evaluate_here(&in_force.rules, &in_force.tier, &in_force.homes, attempt);
    place(in_force, rule) < place(in_force, ruling.rule)
}

/// Whether a rule that the kernel half found is hit after all, and is the strongest, once what may be used a
/// number of times has been. It alone knows what was used.
fn is_hit_once_spent(
    in_force: &InForce,
    attempt: &Attempt<'_>,
    unspent: Option<RuleIndex>,
    rule: Option<RuleIndex>,
) -> bool {
    let Some(rule) = rule.filter(|rule| place(in_force, Some(*rule)) < place(in_force, unspent))
    else {
        return false;
    };
    let spent = Attempt { spent: true, ..*attempt };
    is_hit(&in_force.rules.rules[rule], &in_force.homes, &spent)
}

/// The number of a rule in its plan, the strongest first; after all of them where there is none.
fn place(in_force: &InForce, rule: Option<RuleIndex>) -> usize {
    let number = in_force.order.iter().position(|&known| Some(known) == rule);
    number.unwrap_or(in_force.order.len())
}

/// The item of a rule that an object matched.
fn matched(in_force: &InForce, rule: RuleIndex, attempt: &Attempt<'_>) -> Option<String> {
    let explain = |attempt| explain_match(&in_force.rules.rules[rule], &in_force.homes, attempt);
    let item = explain(attempt)?;
    let text = match item.list {
        Some(list) => format!("{} in @{list}", item.text),
        None => item.text.to_owned(),
    };
    let bare = Attempt { args: Args::Known(&[]), ..*attempt };
    let unsure = attempt.args == Args::Unknown && explain(&bare) != Some(item);
    Some(if unsure {
        format!("{text}, maybe: its arguments are too long or unreadable")
    } else {
        text
    })
}

/// The same for a file that is one of those it names under another name.
fn matched_by_inode(
    in_force: &InForce,
    rule: RuleIndex,
    event: &Event,
    attempt: &Attempt<'_>,
) -> Option<String> {
    let What::File(file) = &event.what else { return None };
    let Some(name) = in_force.labels.get(&file.inode) else {
        return Some("matched by inode".to_owned());
    };
    let object = Object::Path(name.clone());
    let item =
        matched(in_force, rule, &Attempt { object: &object, ..*attempt }).unwrap_or_default();
    Some(format!("{item}, matched by inode: {}", shown(name)))
}

/// The agents by whose rules an act was judged, as this rule set knows them. Being started as the root of a
/// session is not judged by the rules of the agent that begins.
fn judged(in_force: &InForce, event: &Event) -> Vec<AgentIndex> {
    let begins = matches!(&event.what, What::Exec(exec) if exec.root);
    let innermost = event.agent();
    let judges = |number: &&u32| !(begins && **number == innermost);
    let index = |number: &u32| in_force.agent_numbers.iter().position(|known| known == number);
    event.agents.iter().filter(judges).filter_map(index).collect()
}

/// What an act was done to.
#[must_use]
pub fn object(event: &Event) -> Object {
    let path = |path: &Option<Vec<u8>>| path.clone().map_or(Object::Unknown, Object::Path);
    match &event.what {
        What::Exec(exec) if exec.decision.unknown => Object::Unknown,
        What::File(file) if file.decision.unknown => Object::Unknown,
        What::Exec(exec) => path(&exec.exe),
        What::File(file) => path(&file.path),
        What::Net(net) => {
            Object::Peer { address: net.address, port: net.port, protocol: net.protocol }
        }
        What::Privilege(used) if used.decision.unknown => Object::Unknown,
        What::Privilege(used) => Object::Privilege(used.privilege),
        What::Fork { .. } | What::Exit { .. } => Object::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use monitor_common::{
        process::Exit,
        record::{Header, Kind},
    };
    use zerocopy::IntoBytes as _;

    use super::*;

    #[test]
    fn gaps_that_are_lies_are_counted_as_far_as_numbers_go() {
        let mut pipeline = Pipeline::default();
        for cpu in 0..2 {
            let size = u32::try_from(size_of::<Header>() + size_of::<Exit>()).expect("small");
            let kind = Kind::Exit as u32;
            let head =
                Header { kind, size, session: 7, cpu, sequence: u64::MAX, ..Header::default() };
            let record = [head.as_bytes(), Exit::default().as_bytes()].concat();
            assert!(pipeline.advance(&record).expect("a record").is_none());
        }
        assert_eq!(pipeline.missing(), u64::MAX);
    }
}
