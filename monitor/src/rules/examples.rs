//! Examples: the tests that rule files carry, run by the evaluator.
//!
//! They say what the rules mean, so every rule counts as if it were enforced, on a host that can
//! refuse every act. Needs no kernel and no root.

use monitor_common::Verdict;

use super::{
    evaluate::{Attempt, Tier, evaluate},
    glob::Homes,
    model::{Mode, RuleIndex, RuleSet},
};

/// What came of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Index into [`RuleSet::tests`].
    pub test: usize,
    /// Whether what came is what was expected.
    pub passed: bool,
    /// What came.
    pub got: Verdict,
    /// The rule that decided.
    pub rule: Option<RuleIndex>,
}

/// Runs every test of a set.
#[must_use]
pub fn run(rules: &RuleSet) -> Vec<Outcome> {
    let mut enforced = rules.clone();
    enforced.rules.iter_mut().for_each(|rule| rule.mode = Mode::Enforce);
    let homes = Homes(vec![b"/root".to_vec()]);
    let outcome = |(test, example): (usize, &super::model::Example)| {
        let attempt = Attempt {
            agents: &[example.agent],
            act: example.act,
            object: &example.object,
            exe: example.exe.as_deref(),
        };
        let ruling = evaluate(&enforced, &Tier::PREVENT, &homes, &attempt);
        let decided_by = ruling.rule.map(|rule| &enforced.rules[rule].id);
        let as_named = example.rule.is_none() || example.rule.as_ref() == decided_by;
        let passed = ruling.done == example.expect && as_named;
        Outcome { test, passed, got: ruling.done, rule: ruling.rule }
    };
    rules.tests.iter().enumerate().map(outcome).collect()
}
