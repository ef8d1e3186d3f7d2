//! Rehearsal: a new plan comes into force only if the kernel half, reading it where it lies, says of
//! every test in the rule files what the evaluator says.
//!
//! It stands between compile and the switch. What a test expects is no matter here (`driftwatch test`
//! says that): a rehearsal finds a plan that does not mean what its rules mean.

use crate::{
    kernel::{
        Bank, Kernel, KernelError,
        judge::{Judge, Question, Subject},
    },
    pipeline::InForce,
    rules::{
        evaluate::{Args, Attempt},
        model::{Example, Place, RuleSet},
        plan::KernelPlan,
        reach::evaluate_here,
    },
};

/// A test of which the kernel half does not say what its rule file says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "error: of the test `{test}` the rules say {meant}, and the kernel half would do {said}\n  --> {place}\n\
     help: this is a fault of Driftwatch and not of the rules: please report it, with them"
)]
pub struct Disagreement {
    /// The test's name.
    pub test: String,
    /// Where it is written.
    pub place: Place,
    /// What the evaluator says: verdict and rule.
    pub meant: String,
    /// What the kernel half says.
    pub said: String,
}

/// Why a plan is not in force.
#[derive(Debug, thiserror::Error)]
pub enum NotInForce {
    /// The kernel half could not be given the plan, or not be asked.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// It says otherwise than the rules.
    #[error(transparent)]
    Disagreement(#[from] Disagreement),
}

/// Writes a plan into the idle bank and asks it there. The plan in force stays in force; the new one can
/// be switched to.
///
/// # Errors
///
/// Where the kernel refuses, or the first test of which the two say different things.
pub fn rehearse(
    kernel: &mut Kernel,
    plan: &KernelPlan,
    rules: &InForce,
) -> Result<Bank, NotInForce> {
    let bank = kernel.plans.prepare(plan)?;
    let mut judge = kernel.judge()?;
    for example in &rules.rules.tests {
        compare(&mut judge, bank, rules, example)?;
    }
    Ok(bank)
}

fn compare(
    judge: &mut Judge<'_>,
    bank: Bank,
    rules: &InForce,
    example: &Example,
) -> Result<(), NotInForce> {
    let Some(subject) = Subject::of(&example.object) else { return Ok(()) };
    let exe = example.exe.as_deref();
    let acting = [example.agent];
    let attempt = Attempt {
        exe,
        how: example.how,
        args: Args::Known(&example.args),
        traits: example.traits,
        ..Attempt::new(&acting, example.act, &example.object, rules.now)
    };
    let meant = evaluate_here(&rules.rules, &rules.tier, &rules.homes, &attempt);
    let agents = [rules.agent_numbers[example.agent]];
    let Attempt { act, how, args, traits, .. } = attempt;
    let question = Question::new(bank, &agents, act, subject);
    let said = judge.ask(&Question { exe, how, args, traits, ..question })?;
    let rule = said.rule.and_then(|number| rules.order.get(number as usize).copied());
    if (rule, said.done) == (meant.rule, meant.done) {
        return Ok(());
    }
    Err(NotInForce::Disagreement(Disagreement {
        test: example.name.clone(),
        place: example.place.clone(),
        meant: ruling(&rules.rules, meant.rule, meant.done.name()),
        said: ruling(&rules.rules, rule, said.done.name()),
    }))
}

fn ruling(rules: &RuleSet, rule: Option<usize>, done: &str) -> String {
    rule.map_or_else(|| done.to_owned(), |rule| format!("{done} by `{}`", rules.rules[rule].id))
}
