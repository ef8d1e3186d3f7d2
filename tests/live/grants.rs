//! Grants: a permission that may be used a number of times is used so often, and not once more.

use std::{fs, path::Path};

use anyhow::{Context, ensure};
use driftwatch_tests::{Act, Ground, Outcome, Scenario, Tally, child, scenario::rule_file};
use rustix::process::Signal;
use serde_json::Value;

use crate::claims::{SECRETS_ALERT, SECRETS_KILL, SOON, alone, same};

/// One grant, of so many uses.
fn grant(id: &str, uses: u32) -> String {
    format!(
        "  - {{ id: {id}, rule: secrets-are-shut, agents: [test-agent], read: ['**/.aws/credentials'], \
         until: {}, uses: {uses}, reason: r, by: b }}\n",
        monitor::rules::model::Moment::now() + std::time::Duration::from_secs(86_400)
    )
}

fn rules(grants: &str) -> String {
    rule_file(SECRETS_KILL) + "grants:\n" + grants
}

fn left(scenario: &Scenario, id: &str) -> anyhow::Result<u64> {
    let status = scenario.daemon.status()?;
    status["grants"][id]["left"].as_u64().with_context(|| format!("{id} in {status}"))
}

/// Puts these rules in force.
fn reload(scenario: &Scenario, text: &str) -> anyhow::Result<()> {
    let plan = |status: Value| status["rules"]["plan"].as_u64().context("plan");
    let before = plan(scenario.daemon.status()?)?;
    fs::write(scenario.ground.path("rules.yaml"), text)?;
    scenario.daemon.signal(Signal::HUP)?;
    let after =
        child::wait_until(SOON, || Ok((plan(scenario.daemon.status()?)? > before).then_some(())))?;
    after.with_context(|| format!("not reloaded: {}", scenario.daemon.stderr()))
}

/// Four processes read the file at once, each so often; how often it was read.
fn read_by_four(scenario: &Scenario, file: &Path, times: u32) -> anyhow::Result<u32> {
    let go = scenario.ground.path("go");
    let read = Act::read(file).after(&go).times(times);
    let running: Vec<_> = (0..4).map(|_| scenario.start_agent(&read)).collect::<Result<_, _>>()?;
    fs::write(&go, "")?;
    let mut done = 0;
    for actor in running {
        let tally = actor.wait()?.tally()?;
        ensure!(tally.done + tally.killed == times, "{tally:?}");
        done += tally.done;
    }
    fs::remove_file(&go)?;
    Ok(done)
}

#[test]
fn of_four_processes_at_once_three_acts_pass_and_no_reload_gives_one_back() -> anyhow::Result<()> {
    const ROUNDS: u32 = 100;
    let _alone = alone();
    let scenario = Scenario::start_file(Ground::new()?, &rules(&grant("G-0", 3)))?;
    let secret = scenario.ground.secret();
    let mut passed = 0;
    for round in 0..ROUNDS {
        let id = format!("G-{round}");
        if round > 0 {
            reload(&scenario, &rules(&grant(&id, 3)))?;
        }
        same("left before", left(&scenario, &id)?, 3)?;
        same("acts that passed", read_by_four(&scenario, &secret, 5)?, 3)?;
        same("left after", left(&scenario, &id)?, 0)?;
        passed += 3;
        if round % 10 == 0 {
            // The same again, without it, and with it again.
            for grants in [rules(&grant(&id, 3)), rule_file(SECRETS_KILL), rules(&grant(&id, 3))] {
                reload(&scenario, &grants)?;
                same("acts that passed", read_by_four(&scenario, &secret, 1)?, 0)?;
            }
            same("left after reloads", left(&scenario, &id)?, 0)?;
        }
    }
    let killed = u64::from(ROUNDS * 20 - passed + (ROUNDS / 10) * 12);
    scenario.wait_for_alerts(killed, SOON)?;
    let status = scenario.daemon.status()?;
    same("disagreements", status["events"]["disagreements"].as_u64().context("count")?, 0)
}

/// In a tight loop on every CPU, where a count that is read and then written would lose some.
#[test]
fn of_8000_opens_at_once_exactly_1000_are_uses() -> anyhow::Result<()> {
    const ROUNDS: u64 = 5;
    let _alone = alone();
    let rules = |id: &str| {
        let grant = grant(id, 1000).replace("secrets-are-shut", "secrets-are-watched");
        rule_file(SECRETS_ALERT) + "grants:\n" + &grant
    };
    let scenario = Scenario::start_file(Ground::new()?, &rules("G-0"))?;
    let go = scenario.ground.path("go");
    let opens = Act::opens(&scenario.ground.secret(), 2000).after(&go);
    for round in 0..ROUNDS {
        if round > 0 {
            reload(&scenario, &rules(&format!("G-{round}")))?;
        }
        let running: Vec<_> =
            (0..4).map(|_| scenario.start_agent(&opens)).collect::<Result<_, _>>()?;
        fs::write(&go, "")?;
        for actor in running {
            let ended = actor.wait()?;
            ensure!(ended.outcome() == Outcome::Done, "{ended:?}");
        }
        fs::remove_file(&go)?;
        // A record for each that hit the rule, counted by the kernel half whether or not anybody reads it.
        let hits = scenario.daemon.counter("activity_seen")?;
        same("acts that were no use", hits, (round + 1) * 7000)?;
    }
    Ok(())
}

/// A higher limit is as many more, however often the grant was asked for when it was spent.
#[test]
fn a_higher_limit_is_as_many_uses_more() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start_file(Ground::new()?, &rules(&grant("G-1", 2)))?;
    let secret = scenario.ground.secret();
    same("acts that passed", read_by_four(&scenario, &secret, 20)?, 2)?;
    reload(&scenario, &rules(&grant("G-1", 7)))?;
    same("left", left(&scenario, "G-1")?, 5)?;
    same("acts that passed", read_by_four(&scenario, &secret, 20)?, 5)
}

/// Other files, other agents and other rules use nothing, nor do the tests that a new plan is tried with.
#[test]
fn only_what_the_rule_would_stop_is_a_use() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let tests = format!(
        "tests:\n  - {{ name: t, agent: test-agent, read: '{}', expect: allow }}\n",
        ground.secret().display()
    );
    let text = rules(&grant("G-1", 3)) + &tests;
    let scenario = Scenario::start_file(ground, &text)?;
    let (secret, notes) = (scenario.ground.secret(), scenario.ground.notes());
    reload(&scenario, &text)?;
    same("the agent", scenario.agent(&Act::read(&notes).times(20))?.tally()?, Tally::all_done(20))?;
    let twin = driftwatch_tests::twin(&Act::read(&secret).times(20))?;
    same("the twin", twin.tally()?, Tally::all_done(20))?;
    same("left", left(&scenario, "G-1")?, 3)?;
    same("the agent", scenario.agent(&Act::read(&secret).times(2))?.tally()?, Tally::all_done(2))?;
    same("left", left(&scenario, "G-1")?, 1)?;
    // Another exception for it takes nothing, and what another rule stops anyway neither.
    let excepted = text.replace(
        "never: ['**/.aws/credentials'] }",
        "never: ['**/.aws/credentials'], except: [{ path: ['**/.aws/credentials'], reason: r }] }",
    );
    ensure!(excepted != text);
    reload(&scenario, &excepted)?;
    same(
        "the agent",
        scenario.agent(&Act::read(&secret).times(20))?.tally()?,
        Tally::all_done(20),
    )?;
    same("left", left(&scenario, "G-1")?, 1)?;
    let stronger = "  - { id: stronger, title: t, agents: [test-agent], action: kill, severity: critical, \
                    read: { never: ['**/.aws/*'] } }\n";
    let above = text
        .replace("rules:\n", &format!("rules:\n{stronger}"))
        .replace("expect: allow", "expect: kill");
    reload(&scenario, &above)?;
    same(
        "the agent",
        scenario.agent(&Act::read(&secret).times(5))?.tally()?,
        Tally::all_killed(5),
    )?;
    same("left", left(&scenario, "G-1")?, 1)?;
    reload(&scenario, &text)?;
    same("the agent", scenario.agent(&Act::read(&secret))?.outcome() == Outcome::Done, true)?;
    same("left", left(&scenario, "G-1")?, 0)?;
    ensure!(scenario.agent(&Act::read(&secret))?.outcome() == Outcome::Killed, "it is spent");
    Ok(())
}
