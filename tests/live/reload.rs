//! Reload: rules change while agents act, and at no moment are there none.

use std::{fs, path::Path};

use anyhow::{Context, ensure};
use driftwatch_tests::{Act, Ground, Outcome, Scenario, Tally, alert::acts_in, child};
use rustix::process::Signal;
use serde_json::Value;

use crate::claims::{SECRETS_ALERT, SECRETS_KILL, SOON, alone, same};

/// Puts these rules in place and waits until the daemon has made up its mind about them.
fn reload(scenario: &Scenario, text: &[u8]) -> anyhow::Result<Value> {
    let before = scenario.daemon.status()?["rules"].clone();
    fs::write(scenario.ground.path("rules.yaml"), text)?;
    scenario.daemon.signal(Signal::HUP)?;
    let after = child::wait_until(SOON, || {
        let after = scenario.daemon.status()?["rules"].clone();
        Ok((after != before).then_some(after))
    })?;
    after.with_context(|| format!("nothing has changed: {before}"))
}

#[test]
fn every_broken_rule_file_is_refused_and_the_running_rules_stay() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;
    let read = Act::read(&scenario.ground.secret());
    let plan = scenario.daemon.status()?["rules"]["plan"].clone();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../monitor/tests/broken");
    let mut refused = 0;
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let file = entry?.path();
        let after = reload(&scenario, &fs::read(&file)?).context(file.display().to_string())?;
        refused += 1;
        ensure!(after["refused_reloads"] == refused, "{}: {after}", file.display());
        ensure!(after["plan"] == plan, "{}: {after}", file.display());
        ensure!(scenario.agent(&read)?.outcome() == Outcome::Killed, "{}", file.display());
    }
    ensure!(refused >= 40, "only {refused} files");
    let good = driftwatch_tests::scenario::rule_file(SECRETS_ALERT);
    let after = reload(&scenario, good.as_bytes())?;
    ensure!(after["plan"] != plan && after["refused_reloads"] == refused, "{after}");
    ensure!(scenario.agent(&read)?.outcome() == Outcome::Done, "the old rules still hold");
    Ok(())
}

#[test]
fn not_one_forbidden_act_gets_through_50_reloads_and_none_is_lost() -> anyhow::Result<()> {
    const RELOADS: usize = 50;
    const ACTORS: usize = 4;
    const ACTS: u32 = 400;
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;
    let trace = scenario.ground.trace("agent")?;
    let read = Act::read(&scenario.ground.secret()).traced(&trace).times(ACTS);
    let mut texts = [SECRETS_KILL.to_owned(), SECRETS_ALERT.to_owned() + SECRETS_KILL];
    for text in &mut texts {
        *text = driftwatch_tests::scenario::rule_file(text);
    }
    let mut acted = 0;
    let mut running = Vec::new();
    for number in 0..RELOADS {
        while running.len() < ACTORS {
            running.push(scenario.start_agent(&read)?);
        }
        reload(&scenario, texts[(number + 1) % 2].as_bytes())?;
        if number % 10 == 9 {
            for actor in running.drain(..) {
                same("an actor", actor.wait()?.tally()?, Tally::all_killed(ACTS))?;
                acted += u64::from(ACTS);
            }
        }
    }
    crate::claims::nothing_came_of_it(&trace)?;
    let alerts = scenario.wait_for_alerts(acted, SOON)?;
    same("alerts", acts_in(&alerts), acted)?;
    let status = scenario.daemon.status()?;
    for name in ["refused", "unknown_plans", "unknown_processes", "disagreements"] {
        same(name, status["events"][name].as_u64().unwrap_or(1), 0)?;
    }
    same("reloads", status["rules"]["plan"].as_u64().unwrap_or(0), RELOADS as u64 + 1)?;
    ensure!(alerts.iter().all(|alert| alert.rule() == "secrets-are-shut"), "a weaker rule won");
    Ok(())
}

/// A tag outlives the agent's name in the rules, and a name that comes back finds its agents again.
#[test]
fn an_agent_that_is_left_out_and_comes_back_is_under_its_rules_again() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;
    let (first, second) = (scenario.ground.path("first"), scenario.ground.path("second"));
    let read = Act::read(&scenario.ground.secret());
    let outside = scenario.start_agent(&read.clone().after(&first))?;
    let inside = scenario.start_agent(&read.after(&second))?;
    let good = fs::read_to_string(scenario.ground.path("rules.yaml"))?;
    reload(&scenario, good.replace("test-agent", "other-agent").as_bytes())?;
    fs::write(first, "")?;
    ensure!(outside.wait()?.outcome() == Outcome::Done, "no rule names it");
    reload(&scenario, good.as_bytes())?;
    fs::write(second, "")?;
    ensure!(inside.wait()?.outcome() == Outcome::Killed, "its rules are back");
    Ok(())
}
