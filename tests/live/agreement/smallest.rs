//! A smaller case that still fails: what can be left out is left out, one thing after the other.

use super::draw::{Attempt, Rule};

/// Leaves out of the rules whatever `fails` does without.
pub(super) fn smallest(
    mut rules: Vec<Rule>,
    attempt: &Attempt,
    mut fails: impl FnMut(&[Rule], &Attempt) -> bool,
) -> Vec<Rule> {
    while let Some(smaller) = candidates(&rules).into_iter().find(|smaller| fails(smaller, attempt))
    {
        rules = smaller;
    }
    rules
}

/// The same rules with one thing left out, the largest things first.
fn candidates(rules: &[Rule]) -> Vec<Vec<Rule>> {
    let mut all = Vec::new();
    let mut try_without = |leave_out: &dyn Fn(&mut Vec<Rule>)| {
        let mut smaller = rules.to_vec();
        leave_out(&mut smaller);
        all.push(smaller);
    };
    for at in 0..rules.len() {
        try_without(&|rules| drop(rules.remove(at)));
    }
    for (at, rule) in rules.iter().enumerate() {
        for exception in 0..rule.exceptions.len() {
            try_without(&|rules| drop(rules[at].exceptions.remove(exception)));
        }
        for agent in 0..rule.agents.len() {
            try_without(&|rules| {
                rules[at].agents.remove(agent);
            });
        }
        for item in 0..rule.items.len() {
            try_without(&|rules| drop(rules[at].items.remove(item)));
        }
        for (exception, within) in rule.exceptions.iter().enumerate() {
            for item in 0..within.items.len() {
                try_without(&|rules| drop(rules[at].exceptions[exception].items.remove(item)));
            }
            for exe in 0..within.exe.len() {
                try_without(&|rules| drop(rules[at].exceptions[exception].exe.remove(exe)));
            }
        }
    }
    all
}
