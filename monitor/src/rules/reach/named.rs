//! Named: rules that can be judged only where the name of a peer is known.
//!
//! They are in the plan, and hold there for peers that are asked about by name. The hooks know addresses alone,
//! and pass them over. [`evaluate_here`] is what the kernel half must agree with.

use super::{Lost, Need, Shortfall};
use crate::rules::{
    evaluate::{Attempt, Ruling, Tier, evaluate_those},
    glob::Homes,
    model::{Objects, Rule, RuleSet, Sense, To},
};

/// Whether somebody would be stopped who must not be, or nobody ever would be, if a rule were judged by addresses
/// alone: it permits peers by their names, or has nothing but names.
#[must_use]
pub fn needs_name(rule: &Rule) -> bool {
    let permits = |objects| hosts(objects) > 0;
    rule.exceptions.iter().any(|exception| permits(&exception.objects))
        || match (rule.sense, hosts(&rule.objects)) {
            (_, 0) => false,
            (Sense::Only, _) => true,
            (Sense::Never, hosts) => hosts == rule.objects.len(),
        }
}

/// How many of the objects are names of hosts.
fn hosts(objects: &Objects) -> usize {
    let Objects::Destinations(items) = objects else { return 0 };
    items.iter().filter(|item| matches!(item.is.to, To::Host(_))).count()
}

/// What the kernel half is to say of `attempt`: what the rules say, without those that need a name where none is
/// known.
#[must_use]
pub fn evaluate_here(rules: &RuleSet, tier: &Tier, homes: &Homes, attempt: &Attempt<'_>) -> Ruling {
    let is_named = matches!(attempt.object, crate::rules::model::Object::Host { .. });
    evaluate_those(rules, tier, homes, attempt, |rule| is_named || !needs_name(rule))
}

/// What the hooks do not do of a rule that was divided by what its agents were granted.
pub(super) fn shortfall(parts: &[Rule], rules: &RuleSet) -> Option<Shortfall> {
    let waiting: Vec<&Rule> = parts.iter().filter(|part| needs_name(part)).collect();
    let Rule { place, id, .. } = waiting.first()?;
    let mut agents: Vec<_> = waiting.iter().flat_map(|part| &part.agents).collect();
    agents.sort_unstable();
    let name = |agent: &&usize| rules.agents.get(**agent).map(|agent| agent.name.clone());
    let lost = match waiting.len() == parts.len() {
        true => Lost::Rule,
        false => Lost::Agents(agents.iter().filter_map(name).collect()),
    };
    Some(Shortfall { place: place.clone(), of: id.clone(), need: Need::HostNames, lost })
}
