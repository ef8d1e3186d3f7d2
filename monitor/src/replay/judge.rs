//! A judge: one rule set, and one recording that it decides over from the first act to the last.

use std::collections::HashMap;

use monitor_common::Verdict;

use crate::{
    recording::{Entry, Heading},
    rules::{
        evaluate::{Args, Attempt, Tier, evaluate},
        glob::Homes,
        model::{AgentIndex, Mode, Moment, RuleIndex, RuleSet},
        sequence::{Progress, Who},
    },
};

/// The rules, each of them enforced.
#[must_use]
pub fn enforced(mut rules: RuleSet) -> RuleSet {
    rules.rules.iter_mut().for_each(|rule| rule.mode = Mode::Enforce);
    rules
}

/// What rules say of an act on a host that can refuse everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is done.
    pub verdict: Verdict,
    /// The rule that decides.
    pub rule: Option<RuleIndex>,
}

impl Default for Decision {
    fn default() -> Self {
        Self { verdict: Verdict::Allow, rule: None }
    }
}

/// Rules, and the story of one recording as far as it has come.
#[derive(Debug)]
pub struct Judge<'a> {
    rules: &'a RuleSet,
    agents: HashMap<&'a str, AgentIndex>,
    homes: Homes,
    started: Moment,
    /// None where no rule looks back.
    progress: Option<Progress>,
}

impl<'a> Judge<'a> {
    /// A judge at the beginning of a recording.
    #[must_use]
    pub fn new(rules: &'a RuleSet, heading: &Heading) -> Self {
        let agents = rules.agents.iter().enumerate();
        let looks_back = rules.rules.iter().any(|rule| rule.before.is_some());
        Self {
            rules,
            agents: agents.map(|(index, agent)| (agent.name.as_str(), index)).collect(),
            homes: Homes(heading.homes.iter().map(|home| home.0.clone()).collect()),
            started: heading.started,
            progress: looks_back.then(Progress::default),
        }
    }

    /// Decides over the next act. None where the rules know none of the agents that act.
    pub fn decide(&mut self, entry: &Entry) -> Option<Decision> {
        let known = |name: &String| self.agents.get(name.as_str()).copied();
        if !entry.agents.iter().any(|name| known(name).is_some()) {
            return None;
        }
        let agents: Vec<AgentIndex> = entry.judges().iter().filter_map(known).collect();
        let (object, args) = (entry.deed.object(), entry.deed.args());
        let who = who(entry);
        let seconds = entry.time / 1_000_000_000;
        let armed = self.progress.as_ref().map(|past| past.armed(self.rules, &who, seconds));
        let attempt = Attempt {
            exe: entry.exe.as_ref().map(|exe| exe.0.as_slice()),
            how: entry.deed.how(),
            args: Args::of(args.as_deref()),
            traits: entry.deed.traits(),
            armed: armed.as_deref().unwrap_or_default(),
            ..Attempt::new(&agents, entry.deed.act(), &object, entry.moment(self.started))
        };
        let ruling = evaluate(self.rules, &Tier::PREVENT, &self.homes, &attempt);
        if let Some(past) = &mut self.progress {
            past.take(self.rules, &self.homes, &who, &attempt, seconds);
        }
        Some(Decision { verdict: ruling.done, rule: ruling.rule })
    }

    /// Stories that there was no room for.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.progress.as_ref().map_or(0, |past| past.forgotten)
    }
}

/// Who acts, to sequences.
fn who(entry: &Entry) -> Who {
    let process = entry.process();
    Who {
        session: session_number(&entry.session),
        process: (process.pid, process.start),
        user: entry.uid,
    }
}

/// The number of a session: what its name says, or one made of its name where that is none.
pub(super) fn session_number(name: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    u64::from_str_radix(name, 16).unwrap_or_else(|_| {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        hasher.finish()
    })
}
