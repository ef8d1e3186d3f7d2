//! Before: of an act that is shut, nobody notices anything, and whoever tried it is dead.

use anyhow::Context;
use driftwatch_tests::{
    Ground, Scenario, Tally,
    effect::{self, FarEnd, Operation},
    twin,
};

use crate::claims::{SOON, TIMES, alone, same};

/// Whoever counts is known to count.
const TWINS: u32 = 3;

/// Five operations, each tried by as many processes as `DRIFTWATCH_TIMES` says, each of them made for it.
#[test]
fn of_five_operations_that_are_shut_none_has_an_effect_and_everybody_who_tries_is_dead()
-> anyhow::Result<()> {
    let _alone = alone();
    let far = FarEnd::listen()?;
    let scenario = Scenario::start(Ground::new()?, &effect::rules("kill"))?;
    let ground = &scenario.ground;
    let (mut dead, mut effects) = (0, 0);
    for operation in Operation::ALL {
        let act = far.act(operation, ground).times(TIMES);
        let tally = scenario.agent(&act)?.tally().with_context(|| operation.to_string())?;
        let noticed = far.effects(operation, ground);
        eprintln!(
            "{operation:<16}  {TIMES:>5} tried  {:>5} dead  {noticed:>5} side effects",
            tally.killed
        );
        dead += tally.killed;
        effects += noticed;
    }
    let tried = TIMES * 5;
    let status = scenario.daemon.status()?;
    let tier = status["tier"].as_str().unwrap_or("unknown");
    eprintln!(
        "{:<16}  {tried:>5} tried  {dead:>5} dead  {effects:>5} side effects",
        format!("tier {tier}")
    );
    same("side effects", effects, 0)?;
    same("dead", dead, tried)?;
    let alerts = scenario.wait_for_alerts(u64::from(tried), SOON)?;
    same("alerts", alerts.len(), tried as usize)?;
    everybody_counts(&far, ground)
}

/// The untagged twin does the same, and it is noticed each time.
fn everybody_counts(far: &FarEnd, ground: &Ground) -> anyhow::Result<()> {
    for operation in Operation::ALL {
        let tally = twin(&far.act(operation, ground).times(TWINS))?.tally()?;
        same("the twin", tally, Tally::all_done(TWINS)).with_context(|| operation.to_string())?;
        let noticed = far.effects(operation, ground);
        same("side effects of the twin", noticed, u64::from(TWINS))
            .with_context(|| operation.to_string())?;
    }
    Ok(())
}
