//! Reload: rules change while agents act, and at no moment are there none.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use driftwatch_tests::{
    Act, Ground, Outcome, Scenario, Tally, alert::acts_in, child, scenario::rule_file,
};
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
    let good = rule_file(SECRETS_ALERT);
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
        *text = rule_file(text);
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

/// Rules that take long to read: a pipe that nobody has written to yet.
struct Slow(PathBuf);

impl Slow {
    fn new(scenario: &Scenario) -> anyhow::Result<Self> {
        let file = scenario.ground.path("rules.yaml");
        fs::remove_file(&file)?;
        let mode = rustix::fs::Mode::from_bits_truncate(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, mode, 0)?;
        Ok(Self(file))
    }

    /// Waits until somebody reads, and gives them this.
    fn write(&self, text: &[u8]) -> anyhow::Result<()> {
        use rustix::fs::OFlags;
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = || match rustix::fs::open(&self.0, flags, rustix::fs::Mode::empty()) {
            Ok(pipe) => Ok(Some(pipe)),
            Err(rustix::io::Errno::NXIO) => Ok(None),
            Err(error) => Err(error.into()),
        };
        let pipe = child::wait_until(SOON, open)?.context("nobody reads the rules")?;
        Ok(fs::File::from(pipe).write_all(text)?)
    }
}

/// Whoever reads rules and looks for files, records are read meanwhile; a second wish for new rules is not lost.
#[test]
fn alerts_are_written_while_rules_are_being_read_and_the_newest_rules_win() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;
    let read = Act::read(&scenario.ground.secret());
    let slow = Slow::new(&scenario)?;
    scenario.daemon.signal(Signal::HUP)?;
    scenario.daemon.signal(Signal::HUP)?;
    for alerts in 1..=5 {
        ensure!(scenario.agent(&read)?.outcome() == Outcome::Killed, "the old rules hold");
        scenario.wait_for_alerts(alerts, SOON)?;
    }
    let reading = scenario.daemon.status()?["rules"]["plan"].clone();
    ensure!(reading == 1, "{reading}");
    scenario.daemon.signal(Signal::HUP)?;
    // What was asked for while that was read is read after it.
    for (plan, rules) in [(2, SECRETS_KILL), (3, SECRETS_ALERT)] {
        slow.write(rule_file(rules).as_bytes())?;
        let in_force = child::wait_until(SOON, || {
            Ok((scenario.daemon.status()?["rules"]["plan"] == plan).then_some(()))
        })?;
        in_force.with_context(|| format!("plan {plan} did not come"))?;
    }
    ensure!(scenario.agent(&read)?.outcome() == Outcome::Done, "the newest rules do not hold");
    Ok(())
}
