//! Known: which agents are on this host now, and by what they are known.
//!
//! Each way to know an agent is compiled as if it were an agent of its own, so that it is the plan, read as the kernel
//! half reads it, that says which of them a process shows.

use std::collections::BTreeMap;

use super::Known;
use crate::{
    adopt::{environment, shown},
    event,
    host::{self, Host},
    init,
    rules::{
        compile::{Ground, compile},
        evaluate::Tier,
        model::{Agent, Moment, RuleSet, Sign},
        plan::KernelPlan,
        reach::within,
    },
};

/// Ways that are compiled at once: a plan has room for 255 agents and 256 signs, and a way may take several.
const AT_ONCE: usize = 32;

/// One way to know an agent: the signs of one of its clauses, all of which must be there.
struct Way<'a> {
    agent: &'a Agent,
    signs: &'a [Sign],
}

impl Way<'_> {
    /// Whether whoever starts a program could choose not to show it.
    fn is_weak(&self) -> bool {
        !self.signs.iter().any(Sign::is_strong)
    }

    fn kinds(&self) -> String {
        let mut kinds: Vec<&str> = self.signs.iter().map(kind).collect();
        kinds.dedup();
        kinds.join("+")
    }
}

const fn kind(sign: &Sign) -> &'static str {
    match sign {
        Sign::Exe(_) => "exe",
        Sign::Cgroup(_) => "cgroup",
        Sign::User(_) | Sign::Stranger(_) => "user",
        Sign::Script(_) => "script",
        Sign::Args(_) => "args",
        Sign::Env(..) => "env",
        Sign::Container(..) | Sign::Inside(_) => "container",
    }
}

/// Looks at every process, and at the places where agents are installed.
pub(super) fn find(agents: &[Agent], host: &Host) -> Vec<Known> {
    let ways: Vec<Way<'_>> = agents
        .iter()
        .flat_map(|agent| agent.clauses.iter().map(|signs| Way { agent, signs }))
        .collect();
    let parts: Vec<(&[Way<'_>], KernelPlan)> =
        ways.chunks(AT_ONCE).filter_map(|ways| Some((ways, plan(ways, host)?))).collect();
    let mut known: BTreeMap<&str, Known> = BTreeMap::new();
    for process in host::processes() {
        let mut shows: BTreeMap<&str, Vec<&Way<'_>>> = BTreeMap::new();
        for (ways, plan) in &parts {
            let environment = environment(plan, &process);
            for number in plan.recognise(&shown(&process, &environment)) {
                let way = &ways[number as usize - 1];
                shows.entry(&way.agent.name).or_default().push(way);
            }
        }
        for (agent, ways) in shows {
            note(known.entry(agent).or_insert_with(|| nobody(agent)), &ways);
        }
    }
    for found in init::find(agents, host, &[]) {
        let agent = agents.iter().find(|agent| agent.name == found.agent);
        let Some(agent) = agent.map(|agent| &*agent.name) else { continue };
        known.entry(agent).or_insert_with(|| Known {
            installed: Some(event::shown(&found.path).to_string()),
            by: vec!["its file".to_owned()],
            ..nobody(agent)
        });
    }
    known.into_values().collect()
}

fn nobody(agent: &str) -> Known {
    Known { agent: agent.to_owned(), running: 0, by: Vec::new(), weak: false, installed: None }
}

/// One process more, which shows these ways.
fn note(known: &mut Known, ways: &[&Way<'_>]) {
    let weak = ways.iter().all(|way| way.is_weak());
    known.running += 1;
    known.weak |= weak;
    for way in ways.iter().filter(|way| way.is_weak() == weak) {
        let kinds = way.kinds();
        if !known.by.contains(&kinds) {
            known.by.push(kinds);
        }
    }
}

/// Some ways, each as an agent of its own, whose number is its place among them, from 1.
fn plan(ways: &[Way<'_>], host: &Host) -> Option<KernelPlan> {
    let agent = |way: &Way<'_>| Agent {
        name: way.agent.name.clone(),
        clauses: vec![way.signs.to_vec()],
        launched_as: Vec::new(),
        place: way.agent.place.clone(),
    };
    let rules = RuleSet { agents: ways.iter().map(agent).collect(), ..RuleSet::default() };
    let agent_numbers: Vec<u32> = (1..).take(ways.len()).collect();
    let ground = Ground {
        secret: 1, // nobody but this process looks anything up in it
        homes: &host.homes,
        tier: &Tier::PREVENT,
        serial: 1,
        agent_numbers: &agent_numbers,
        watch: false,
    };
    compile(&within(&rules, Moment::now()).rules, &ground).ok()
}
