//! Uses: where the kernel half counts the uses of each grant, the same place over all plans of one daemon.
//!
//! A plan gives no use back: a grant that is in the rules again, changed or not, has the count that it had. Its
//! place is free when it has ended and no plan in force counts there. Counting is the kernel half's.

use std::collections::BTreeMap;

use super::model::{Exception, Grant, Moment, RuleSet};
use monitor_common::plan::USES;

/// The places that are taken, by the id of the grant.
#[derive(Clone, Debug, Default)]
pub struct Slots(BTreeMap<String, Slot>);

/// A place.
#[derive(Clone, Copy, Debug)]
struct Slot {
    number: u16,
    /// When its grant ends.
    until: Moment,
    /// Whether the plan in force counts there.
    in_force: bool,
}

impl Slots {
    /// Gives each grant of `rules` its place. Returns those that are new, in which another may have counted.
    ///
    /// # Panics
    ///
    /// Never: there is room for the grants of two plans, and a plan has no room for more.
    pub fn assign(&mut self, rules: &mut RuleSet, now: Moment) -> Vec<u16> {
        self.0.retain(|_, slot| slot.in_force || now < slot.until);
        let mut new = Vec::new();
        let wanted: Vec<String> = limited(rules).map(|(grant, _)| grant.id.clone()).collect();
        for (grant, until) in limited(rules) {
            let known = self.0.get(&grant.id).copied();
            let Some(number) = known.map(|slot| slot.number).or_else(|| self.free(&wanted)) else {
                continue; // more than a plan has room for: it is refused there
            };
            if known.is_none() {
                new.push(number);
            }
            let in_force = known.is_some_and(|slot| slot.in_force);
            self.0.insert(grant.id.clone(), Slot { number, until, in_force });
            if let Some(uses) = &mut grant.uses {
                uses.slot = number;
            }
        }
        new
    }

    /// These rules are in force, and no others.
    pub fn settle(&mut self, rules: &RuleSet) {
        self.0.values_mut().for_each(|slot| slot.in_force = false);
        for grant in grants(rules) {
            if let Some(slot) = self.0.get_mut(&grant.id) {
                slot.in_force = true;
            }
        }
    }

    /// A place that nobody counts in: one that was never taken, or of the grant that ends first of those that are in
    /// no rules any more. That one would have all its uses again, were it to come back.
    fn free(&mut self, wanted: &[String]) -> Option<u16> {
        let taken: Vec<u16> = self.0.values().map(|slot| slot.number).collect();
        let most = u16::try_from(USES).unwrap_or(u16::MAX);
        if let Some(number) = (0..most).find(|number| !taken.contains(number)) {
            return Some(number);
        }
        let idle = self.0.iter().filter(|(id, slot)| !slot.in_force && !wanted.contains(id));
        let id = idle.min_by_key(|(_, slot)| slot.until).map(|(id, _)| id.clone())?;
        self.0.remove(&id).map(|slot| slot.number)
    }
}

/// The grants of a set that may be used a number of times, each as often as rules have it.
pub fn grants(rules: &RuleSet) -> impl Iterator<Item = &Grant> {
    let exceptions = rules.rules.iter().flat_map(|rule| &rule.exceptions);
    exceptions.filter_map(|exception| exception.grant.as_ref()).filter(|grant| grant.uses.is_some())
}

fn limited(rules: &mut RuleSet) -> impl Iterator<Item = (&mut Grant, Moment)> {
    let exceptions = rules.rules.iter_mut().flat_map(|rule| &mut rule.exceptions);
    let granted = exceptions.filter_map(|exception| {
        let Exception { grant, until, .. } = exception;
        Some((grant.as_mut()?, until.unwrap_or(Moment::MAX)))
    });
    granted.filter(|(grant, _)| grant.uses.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{SourceFile, Users, load};

    fn now() -> Moment {
        "2026-11-20T12:00:00Z".parse().expect("a time")
    }

    /// Grants by name, each with its day in November.
    fn rules(grants: &[(&str, u32)]) -> RuleSet {
        let mut text = "
version: 1
agents: { a: { any: [{ launched-as: a }] } }
rules: [{ id: r, title: t, agents: [a], action: kill, read: { never: [/x] } }]
"
        .to_owned();
        let one = |(id, day): &(&str, u32)| {
            format!(
                "  - {{ id: {id}, rule: r, agents: [a], read: [/x], until: 2026-11-{day}, uses: 3, \
                 reason: r, by: b }}\n"
            )
        };
        if !grants.is_empty() {
            text += "grants:\n";
            text.extend(grants.iter().map(one));
        }
        let file = SourceFile { name: "rules.yaml".to_owned(), text: text.into() };
        load(&[file], &Users::default(), now()).expect("rules")
    }

    fn slots(of: &RuleSet) -> Vec<u16> {
        grants(of).filter_map(|grant| grant.uses).map(|uses| uses.slot).collect()
    }

    #[test]
    fn a_grant_has_its_place_over_plans_and_no_other_has_it_before_its_end() {
        let mut known = Slots::default();
        let mut put = |grants: &[(&str, u32)], now: Moment| {
            let mut rules = rules(grants);
            let new = known.assign(&mut rules, now);
            known.settle(&rules);
            (slots(&rules), new)
        };
        assert_eq!(put(&[("A", 25), ("B", 26)], now()), (vec![0, 1], vec![0, 1]));
        assert_eq!(put(&[("C", 26), ("B", 26)], now()), (vec![2, 1], vec![2]), "A has not ended");
        assert_eq!(put(&[("B", 26), ("A", 25)], now()), (vec![1, 0], vec![]), "A is back");
        assert_eq!(put(&[("B", 26)], now()), (vec![1], vec![]));
        let later = "2026-11-26T12:00:00Z".parse().expect("a time");
        assert_eq!(put(&[("D", 28), ("B", 26)], later), (vec![0, 1], vec![0]), "A has ended");
    }

    #[test]
    fn with_no_place_left_it_is_one_that_no_rules_have_which_ends_first() {
        let ids: Vec<String> = (0..USES).map(|number| format!("G-{number}")).collect();
        let grants: Vec<_> = ids.iter().map(|id| (&**id, 27)).collect();
        let mut known = Slots::default();
        known.assign(&mut rules(&grants[..300]), now());
        known.assign(&mut rules(&[("first", 26)]), now());
        known.assign(&mut rules(&grants[301..]), now());
        let mut last = rules(&[("last", 27)]);
        assert_eq!(known.assign(&mut last, now()), [300]);
    }
}
