//! Overload: what the kernel saw is what it handed over and what it counted as lost, to the last one.

use std::{fs, time::Duration};

use anyhow::{Context, ensure};
use rustix::process::Signal;

use driftwatch_tests::{
    Act, Ground, Outcome, Scenario, Tally, TcpCanary, alert::acts_in, child::wait_until,
};

use crate::claims::{SECRETS_ALERT, SECRETS_KILL, SOON, alone, same};

#[test]
fn of_10000_forbidden_opens_none_is_lost_without_being_counted() -> anyhow::Result<()> {
    const PROCESSES: u32 = 8;
    const OPENS_EACH: u32 = 1_250;
    const MEMORY_KIB: u64 = 100 * 1024;
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_ALERT)?;
    let opens = Act::opens(&scenario.ground.secret(), OPENS_EACH);

    let mut agents = Vec::new();
    for _ in 0..PROCESSES {
        agents.push(scenario.start_agent(&opens)?);
    }
    let mut most_memory = 0;
    for agent in agents {
        let ended = agent.wait()?;
        ensure!(ended.outcome() == Outcome::Done, "{ended:?}");
        same("opens", ended.stdout.trim(), "opened=1250 refused=0")?;
        most_memory = most_memory.max(scenario.daemon.resident_kib()?);
    }

    let counters = settled_counters(&scenario)?;
    let [seen, submitted, lost] = counters;
    ensure!(seen == submitted + lost, "{seen} seen, {submitted} submitted, {lost} lost");
    ensure!(seen >= u64::from(PROCESSES * OPENS_EACH), "only {seen} seen");
    most_memory = most_memory.max(scenario.daemon.resident_kib()?);
    ensure!(most_memory < MEMORY_KIB, "the daemon took {most_memory} KiB");
    every_submitted_one_is_told(&scenario, submitted)?;
    nothing_was_missed(&scenario)
}

/// The daemon is stopped until the ring has long been full: what the hooks could not hand over is counted, to
/// the last one, and what they did hand over is read.
#[test]
fn what_a_full_ring_does_not_take_is_counted_exactly() -> anyhow::Result<()> {
    const OPENS: u32 = 80_000;
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_ALERT)?;
    let go = scenario.ground.path("go");
    let opens = Act::opens(&scenario.ground.secret(), OPENS).after(&go);
    let agent = scenario.start_agent(&opens)?;
    // The agent's own start is known before the daemon is stopped.
    let known = || Ok((scenario.daemon.status()?["sessions"] == 1).then_some(()));
    wait_until(SOON, known)?.context("the agent has not begun")?;
    scenario.daemon.signal(Signal::STOP)?;
    fs::write(&go, "")?;
    let ended = agent.wait();
    scenario.daemon.signal(Signal::CONT)?;
    same("opens", ended?.stdout.trim(), "opened=80000 refused=0")?;

    let [seen, submitted, lost] = settled_counters(&scenario)?;
    ensure!(lost > 0, "the ring took all of {seen}: this shows nothing");
    ensure!(seen >= u64::from(OPENS), "only {seen} seen");
    same("seen", seen, submitted + lost)?;
    let handed_over = submitted + scenario.daemon.counter("lifecycle_submitted")?;
    let read = || {
        let decoded = scenario.daemon.status()?["events"]["decoded"].as_u64();
        Ok(decoded.filter(|decoded| *decoded >= handed_over))
    };
    let decoded = wait_until(Duration::from_secs(20), read)?.context("not all was read")?;
    same("decoded", decoded, handed_over)
}

#[test]
fn after_acts_of_every_kind_nothing_was_missed_or_misread() -> anyhow::Result<()> {
    const REPETITIONS: u32 = 20;
    let _alone = alone();
    let peer = TcpCanary::bind("127.66.0.1:0")?;
    let rules = format!(
        "{SECRETS_KILL}
  - id: peers-are-shut
    title: Agent reached for a peer
    agents: [test-agent]
    connect: {{ never: [127.66.0.0/16] }}
    action: deny
  - id: dropped-programs-are-shut
    title: Agent started a dropped program
    agents: [test-agent]
    exec: {{ never: ['**/dropped/**'] }}
    action: kill
"
    );
    let scenario = Scenario::start(Ground::new()?, &rules)?;
    let read = Act::read(&scenario.ground.secret());
    let mut acts = vec![Act::exec(&scenario.ground.dropped()), Act::send(peer.address())];
    for how in ["open", "openat2", "handle", "io_uring", "io_uring-async", "int80", "symlink"] {
        acts.push(read.clone().how(how));
    }
    for how in ["tcp", "udp", "mapped", "fastopen", "io_uring"] {
        acts.push(Act::connect(peer.address()).how(how));
    }
    for via in ["setsid", "double-fork", "thread", "vfork", "unshare-pid", "unshare-mount"] {
        acts.push(read.clone().via(via));
    }
    for act in &acts {
        let Tally { done, failed, .. } =
            scenario.agent(&act.clone().times(REPETITIONS))?.tally()?;
        same("acts that got through or went wrong", done + failed, 0)?;
    }
    let acts = acts.len() as u64 * u64::from(REPETITIONS);
    same("alerts", acts_in(&scenario.wait_for_alerts(acts, SOON)?), acts)?;
    nothing_was_missed(&scenario)
}

/// Every counter that is not a count of records is 0, and so is every doubt of the daemon.
fn nothing_was_missed(scenario: &Scenario) -> anyhow::Result<()> {
    let status = scenario.daemon.status()?;
    for name in ["refused", "unknown_plans", "unknown_processes", "disagreements"] {
        same(name, status["events"][name].as_u64().unwrap_or(1), 0)?;
    }
    let counters = status["kernel"]["counters"].as_object().context("counters")?;
    for (name, count) in counters {
        let of_records = name.starts_with("lifecycle_") || name.starts_with("activity_");
        ensure!(of_records || *count == 0, "{name}: {count}");
    }
    Ok(())
}

/// The counters of the activity ring, once they stand still.
fn settled_counters(scenario: &Scenario) -> anyhow::Result<[u64; 3]> {
    let mut last = None;
    let settled = wait_until(SOON, || {
        let mut now = [0; 3];
        for (place, name) in
            ["activity_seen", "activity_submitted", "activity_lost"].into_iter().enumerate()
        {
            now[place] = scenario.daemon.counter(name)?;
        }
        Ok((last.replace(now) == Some(now)).then_some(now))
    })?;
    settled.context("the counters do not stand still")
}

/// Alerts stand for every record that user space was handed, unless some were dropped and counted.
fn every_submitted_one_is_told(scenario: &Scenario, submitted: u64) -> anyhow::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(20);
    let told = wait_until(PATIENCE, || {
        let status = scenario.daemon.status()?;
        let dropped = status["alerts"]["dropped"].as_u64().context("alerts dropped")?;
        let told = acts_in(&scenario.alerts()?) + dropped;
        Ok((told >= submitted).then_some(told))
    })?;
    same("alerts and counted drops", told.context("alerts are missing")?, submitted)
}
