//! Examples: the tests that rule files carry, run by the evaluator.
//!
//! They say what the rules mean, so every rule counts as if it were enforced, on a host that can
//! refuse every act. Needs no kernel and no root.

use monitor_common::{Act, Verdict};

use super::{
    evaluate::{Args, Attempt, Ruling, Tier, evaluate},
    glob::Homes,
    model::{Example, How, Mode, Moment, Object, RuleIndex, RuleSet, Traits},
    sequence::{Progress, Who},
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

/// Who acts in a test.
const SOMEBODY: Who = Who { session: 1, process: (1, 0), user: 1000 };

/// Runs every test of a set, at the moment `now`: exceptions and grants end.
#[must_use]
pub fn run(rules: &RuleSet, now: Moment) -> Vec<Outcome> {
    let mut enforced = rules.clone();
    enforced.rules.iter_mut().for_each(|rule| rule.mode = Mode::Enforce);
    let outcome = |(test, example): (usize, &Example)| {
        let ruling = ruling(&enforced, example, now);
        let decided_by = ruling.rule.map(|rule| &enforced.rules[rule].id);
        let as_named = example.rule.is_none() || example.rule.as_ref() == decided_by;
        let passed = ruling.done == example.expect && as_named;
        Outcome { test, passed, got: ruling.done, rule: ruling.rule }
    };
    rules.tests.iter().enumerate().map(outcome).collect()
}

fn ruling(rules: &RuleSet, example: &Example, now: Moment) -> Ruling {
    let homes = Homes(vec![b"/root".to_vec()]);
    let agents = [example.agent];
    let mut progress = Progress::default();
    let mut time = 0;
    for (act, object) in &example.after {
        let earlier = example_of(example, &agents, *act, object, now);
        let earlier =
            Attempt { how: How::Usual, args: Args::Known(&[]), traits: Traits::NONE, ..earlier };
        progress.take(rules, &homes, &SOMEBODY, &earlier, time);
        time += 1;
    }
    let armed = progress.armed(rules, &SOMEBODY, time);
    let attempt = example_of(example, &agents, example.act, &example.object, now);
    evaluate(rules, &Tier::PREVENT, &homes, &Attempt { armed: &armed, ..attempt })
}

fn example_of<'a>(
    example: &'a Example,
    agents: &'a [usize],
    act: Act,
    object: &'a Object,
    now: Moment,
) -> Attempt<'a> {
    Attempt {
        exe: example.exe.as_deref(),
        how: example.how,
        args: Args::Known(&example.args),
        traits: example.traits,
        ..Attempt::new(agents, act, object, now)
    }
}
