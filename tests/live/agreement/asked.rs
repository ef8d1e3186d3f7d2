//! Agreement over acts that nobody does: the kernel half, asked with a random plan in its maps, says what
//! the evaluator says of the rules.

use std::time::Instant;

use anyhow::{Context, bail, ensure};
use driftwatch_tests::half::{self, Half};
use monitor::{
    event::shown,
    kernel::judge::{Judge, Question, Subject},
    rules::{
        evaluate::{self, Tier},
        glob::Homes,
        model::{Moment, Object, RuleSet},
        plan::KernelPlan,
        reach::evaluate_here,
    },
};
use monitor_common::Verdict;

use super::{
    draw::{Attempt, Draw, HOMES, Rule, written},
    smallest::smallest,
};
use crate::claims::alone;

const PLANS: u64 = 500;
const ATTEMPTS: usize = 240;

/// Rule and verdict.
type Said = (Option<usize>, Verdict);

/// A plan in the maps, and what it was made of.
struct Installed {
    rules: RuleSet,
    plan: KernelPlan,
    /// What the plan was made for.
    tier: Tier,
}

impl Installed {
    /// `None` where there is no room for the plan: that is an answer as well, and a rare one.
    fn new(half: &mut Half, drawn: &[Rule]) -> anyhow::Result<Option<Self>> {
        let rules = half::rules(&written(drawn))?;
        let Ok(plan) = half.compile(&rules, false) else { return Ok(None) };
        half.install(&plan)?;
        Ok(Some(Self { rules, plan, tier: half.kernel.tier() }))
    }

    fn meant(&self, homes: &Homes, attempt: &Attempt) -> Said {
        let Attempt { agents, act, object, exe, how, traits, .. } = attempt;
        let attempt = evaluate::Attempt {
            exe: exe.as_deref(),
            how: *how,
            args: attempt.args(),
            traits: *traits,
            ..evaluate::Attempt::new(agents, *act, object, Moment::UNIX_EPOCH)
        };
        let ruling = evaluate_here(&self.rules, &self.tier, homes, &attempt);
        (ruling.rule, ruling.done)
    }

    fn said(
        &self,
        judge: &mut Judge<'_>,
        bank: monitor::kernel::Bank,
        attempt: &Attempt,
    ) -> anyhow::Result<Said> {
        let agents: Vec<u32> = attempt
            .agents
            .iter()
            .map(|&agent| u32::try_from(agent + 1).expect("few agents"))
            .collect();
        let subject = Subject::of(&attempt.object).context("an object that can be asked about")?;
        let Attempt { act, how, traits, .. } = *attempt;
        let (exe, args) = (attempt.exe.as_deref(), attempt.args());
        let question = Question::new(bank, &agents, act, subject);
        let question = Question { exe, how, args, traits, ..question };
        let decision = judge.ask(&question)?;
        ensure!(decision.unknown == (attempt.object == Object::Unknown), "{decision:?}");
        let rule = decision.rule.map(|number| self.plan.order[number as usize]);
        Ok((rule, decision.done))
    }
}

/// Whether the two disagree about an act under these rules.
fn disagree(
    half: &mut Half,
    drawn: &[Rule],
    attempt: &Attempt,
) -> anyhow::Result<Option<[Said; 2]>> {
    let Some(installed) = Installed::new(half, drawn)? else { return Ok(None) };
    let meant = installed.meant(&half.homes, attempt);
    let bank = half.kernel.plans.active()?;
    let said = installed.said(&mut half.kernel.judge()?, bank, attempt)?;
    Ok((meant != said).then_some([meant, said]))
}

fn report(half: &mut Half, seed: u64, drawn: Vec<Rule>, attempt: &Attempt) -> anyhow::Result<()> {
    let fails =
        |half: &mut Half, rules: &[Rule]| matches!(disagree(half, rules, attempt), Ok(Some(_)));
    let drawn = smallest(drawn, attempt, |rules, _| fails(half, rules));
    let [meant, said] = disagree(half, &drawn, attempt)?.context("it did not happen again")?;
    let path = match &attempt.object {
        Object::Path(path) => shown(path).to_string(),
        _ => String::new(),
    };
    bail!(
        "seed {seed}: the evaluator says {meant:?}, the kernel half {said:?}\n{}\n{attempt:?}\n{path}",
        written(&drawn)
    )
}

/// Another one every time; the same again with `DRIFTWATCH_SEED`.
fn first_seed() -> anyhow::Result<u64> {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    match std::env::var("DRIFTWATCH_SEED") {
        Ok(seed) => seed.parse().context("DRIFTWATCH_SEED is a number"),
        Err(_) => Ok(RandomState::new().build_hasher().finish() >> 1),
    }
}

#[test]
fn of_100000_random_acts_the_kernel_half_says_what_the_evaluator_says() -> anyhow::Result<()> {
    let _alone = alone();
    let mut half = Half::load()?;
    half.homes = Homes(HOMES.iter().map(|home| home.as_bytes().to_vec()).collect());
    let (first, started) = (first_seed()?, Instant::now());
    let (mut asked, mut hit, mut without_room) = (0_u32, 0_u32, 0);
    let mut by_name = [0_u32; 2];
    for seed in first..first + PLANS {
        let mut draw = Draw(seed);
        let drawn = draw.rules();
        let Some(installed) = Installed::new(&mut half, &drawn)? else {
            without_room += 1;
            continue;
        };
        let (bank, homes) = (half.kernel.plans.active()?, half.homes.clone());
        let mut judge = half.kernel.judge()?;
        let mut wrong = None;
        for _ in 0..ATTEMPTS {
            let attempt = draw.attempt(&drawn);
            let said = installed.said(&mut judge, bank, &attempt)?;
            asked += 1;
            hit += u32::from(said.0.is_some());
            if matches!(attempt.object, Object::Host { .. }) {
                by_name[usize::from(said.0.is_some())] += 1;
            }
            if said != installed.meant(&homes, &attempt) {
                wrong = Some(attempt);
                break;
            }
        }
        if let Some(attempt) = wrong {
            report(&mut half, seed, drawn, &attempt)?;
        }
    }
    let rate = f64::from(asked) / started.elapsed().as_secs_f64();
    eprintln!(
        "{asked} asked, {hit} hit a rule, {without_room} plans without room, {rate:.0} a second"
    );
    ensure!(asked >= 100_000, "only {asked} were asked");
    ensure!(hit > asked / 5 && hit < asked / 5 * 4, "{hit} of {asked} hit a rule");
    ensure!(by_name.iter().all(|&times| times > asked / 50), "by name: {by_name:?} of {asked}");
    Ok(())
}
