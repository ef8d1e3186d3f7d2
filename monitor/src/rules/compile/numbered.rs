//! Numbers: which bit each rule, exception and sign is, and what hangs on it.
//!
//! Rules are numbered strongest first, so that of those hit the lowest bit wins. The objects of an
//! exception are one aux set, its executables another, and so is each different sign of agents.

use std::collections::{BTreeMap, HashMap};

use monitor_common::plan::{
    AGENTS, ANY_EXE, AUX, Aux, CLAUSES, Clause, Header, Mask, RULES, USES, mask_row,
};

use super::{
    Ground,
    gather::{By, Gathered},
    refusal::Limit,
};
use crate::rules::{
    evaluate::is_late,
    evaluate::strength_order,
    model::{Agent, Exception, Place, Rule, RuleIndex, RuleSet, Sense, Sign, Uses},
    plan::Bit,
    reach::needs_name,
};

/// The tables that are all numbers.
#[derive(Debug, Default)]
pub(super) struct Numbered {
    /// Bits of the header; the rest of it is left as it is.
    pub(super) header: Header,
    /// Which rule has which number.
    pub(super) order: Vec<RuleIndex>,
    /// What each aux set does.
    pub(super) aux: Vec<Aux>,
    /// Which rules hold for an agent and an act.
    pub(super) masks: BTreeMap<u32, Mask>,
    /// How agents are recognised.
    pub(super) clauses: Vec<Clause>,
    /// Aux sets of the programs whose arguments are looked at, by the programs' number.
    programs: Vec<usize>,
}

impl Numbered {
    /// Numbers everything in `rules`, and gathers what has a number.
    pub(super) fn new<'a>(
        rules: &'a RuleSet,
        ground: &Ground<'_>,
        gathered: &mut Gathered<'a>,
    ) -> Self {
        let mut numbered = Self::default();
        if let Some(beyond) = rules.rules.get(RULES) {
            gathered.refusals.exceeded(Limit::Rules, &beyond.place);
            return numbered;
        }
        let agents = agent_numbers(rules, ground, gathered);
        numbered.order = strength_order(&rules.rules, ground.tier);
        for (number, &index) in numbered.order.clone().iter().enumerate() {
            numbered.rule(number, &rules.rules[index], &agents, gathered);
        }
        let mut signs = HashMap::new();
        for (agent, &number) in rules.agents.iter().zip(&agents) {
            numbered.agent(agent, number, &mut signs, gathered);
        }
        numbered.programs(gathered);
        if let Some(place) = gathered.script
            && let Some(aux) = numbered.next_aux(place, gathered)
        {
            gathered.interpreters(By { bit: Bit::Aux(aux), place });
            numbered.header.interpreters = u32::try_from(aux).expect("there is room for fewer");
        }
        numbered.header.clauses =
            u32::try_from(numbered.clauses.len()).expect("there is room for fewer");
        numbered
    }

    fn rule<'a>(
        &mut self,
        number: usize,
        rule: &'a Rule,
        agents: &[u32],
        gathered: &mut Gathered<'a>,
    ) {
        let bit = Bit::Rule(number);
        let bits = bit.bits().rules;
        if rule.sense == Sense::Only {
            merge(&mut self.header.only, &bits);
        }
        if is_late(rule) {
            merge(&mut self.header.late, &bits);
        }
        if needs_name(rule) {
            merge(&mut self.header.named, &bits);
        }
        for &agent in &rule.agents {
            let row = agents.get(agent).map(|&agent| mask_row(agent, rule.act));
            merge(&mut self.masks.entry(row.unwrap_or_default()).or_default().rules, &bits);
        }
        gathered.objects(&rule.objects, bit);
        // What may be used a number of times comes last: it is not used where another exception holds.
        let (limited, others): (Vec<_>, Vec<_>) =
            rule.exceptions.iter().partition(|exception| uses_of(exception).is_some());
        for exception in others.into_iter().chain(limited) {
            self.exception(number, exception, gathered);
        }
    }

    fn exception<'a>(
        &mut self,
        rule: usize,
        exception: &'a Exception,
        gathered: &mut Gathered<'a>,
    ) {
        let Some(objects) = self.next_aux(&exception.place, gathered) else { return };
        merge(&mut self.header.exceptions, &Bit::Aux(objects).bits().aux);
        gathered.objects(&exception.objects, Bit::Aux(objects));
        let mut lifts = ANY_EXE;
        if !exception.exe.is_empty() {
            let Some(exe) = self.next_aux(&exception.place, gathered) else { return };
            gathered.globs(&exception.exe, Bit::Aux(exe));
            lifts = u16::try_from(exe).expect("there is room for fewer");
        }
        let rule = u16::try_from(rule).expect("there is room for fewer");
        let Uses { slot, limit } = uses_of(exception).unwrap_or(Uses { slot: 0, limit: 0 });
        if u32::from(slot) >= USES {
            return gathered.refusals.exceeded(Limit::Uses, &exception.place);
        }
        self.aux[objects] = Aux { rule, exe: lifts, slot, uses: limit, ..Aux::default() };
    }

    fn agent<'a>(
        &mut self,
        agent: &'a Agent,
        number: u32,
        signs: &mut HashMap<&'a Sign, usize>,
        gathered: &mut Gathered<'a>,
    ) {
        for signs_of_clause in &agent.clauses {
            if signs_of_clause.is_empty() {
                let help = "name an executable, a cgroup or a user, or leave it out";
                gathered.refusals.add(
                    &agent.place,
                    "a way to recognise this agent that fits every process",
                    help,
                );
                continue;
            }
            if self.clauses.len() == CLAUSES {
                return gathered.refusals.exceeded(Limit::Clauses, &agent.place);
            }
            let mut clause = Clause { agent: number, ..Clause::default() };
            for sign in signs_of_clause {
                let known = signs.get(sign).copied();
                let Some(aux) = known.or_else(|| self.next_aux(&agent.place, gathered)) else {
                    return;
                };
                if signs.insert(sign, aux).is_none() {
                    merge(&mut self.header.signs, &Bit::Aux(aux).bits().aux);
                    if matches!(sign, Sign::Script(_)) {
                        merge(&mut self.header.scripts, &Bit::Aux(aux).bits().aux);
                    }
                    gathered.sign(sign, By { bit: Bit::Aux(aux), place: &agent.place });
                }
                merge(&mut clause.signs, &Bit::Aux(aux).bits().aux);
            }
            self.clauses.push(clause);
        }
    }

    fn programs(&mut self, gathered: &mut Gathered<'_>) {
        for asked in gathered.lists.programs.clone() {
            let Some(aux) = self.next_aux(asked.place, gathered) else { return };
            merge(&mut self.header.programs, &Bit::Aux(aux).bits().aux);
            gathered.program(asked.glob, By { bit: Bit::Aux(aux), place: asked.place });
            self.programs.push(aux);
        }
    }

    /// Writes down where the automaton of lists begins for each program.
    pub(super) fn begin_at(&mut self, starts: Vec<(u16, u16)>) {
        for (&aux, (start, unknown)) in self.programs.iter().zip(starts) {
            self.aux[aux] = Aux { start, unknown, ..Aux::default() };
        }
    }

    fn next_aux(&mut self, place: &Place, gathered: &mut Gathered<'_>) -> Option<usize> {
        if self.aux.len() == AUX {
            gathered.refusals.exceeded(Limit::Aux, place);
            return None;
        }
        self.aux.push(Aux::default());
        Some(self.aux.len() - 1)
    }
}

/// How often an exception lifts its rule, where that is limited.
fn uses_of(exception: &Exception) -> Option<Uses> {
    exception.grant.as_ref().and_then(|grant| grant.uses)
}

/// The number of every agent, 0 for one that cannot have any.
fn agent_numbers(rules: &RuleSet, ground: &Ground<'_>, gathered: &mut Gathered<'_>) -> Vec<u32> {
    let number = |(index, agent): (usize, &Agent)| {
        let number = ground.agent_numbers.get(index).copied().unwrap_or_default();
        if (1..AGENTS).contains(&number) {
            return number;
        }
        gathered.refusals.exceeded(Limit::Agents, &agent.place);
        0
    };
    rules.agents.iter().enumerate().map(number).collect()
}

fn merge<const WORDS: usize>(words: &mut [u64; WORDS], more: &[u64; WORDS]) {
    words.iter_mut().zip(more).for_each(|(word, more)| *word |= more);
}
