//! Late: how many acts have their effect all the same where a process in user space does the killing.
//!
//! The same five operations twice: under rules that only alert, beside a watcher that kills whom an alert names as soon
//! as it can read it, and under rules that kill in the kernel. Nothing else stands between the two: the watcher reads a
//! pipe, waits for nothing else, and the daemon writes an alert as soon as it has one.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use driftwatch_tests::{
    Ground, Scenario, Tally,
    child::wait_until,
    effect::{self, FarEnd, Operation},
};
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::{Pid, PidfdFlags, Signal, getpgid, pidfd_open, pidfd_send_signal},
};
use serde_json::Value;

/// The last line that a watcher reads; no alert looks like it.
const END: &str = "end";
/// An alert that has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of an operation under one kind of rules.
struct Came {
    effects: u64,
    tally: Tally,
}

/// Tries each operation so many times under both kinds of rules, and prints a table.
pub(crate) fn run(times: u32) -> anyhow::Result<()> {
    let watched = watched(times)?;
    let shut = shut(times)?;
    println!(
        "                            alert, and a process that kills          killed in the kernel"
    );
    println!(
        "operation            tried     side effects       killed       side effects       killed"
    );
    for ((operation, late), early) in Operation::ALL.iter().zip(&watched).zip(&shut) {
        println!(
            "{operation:<18} {times:>7} {:>16} {:>12} {:>18} {:>12}",
            late.effects, late.tally.killed, early.effects, early.tally.killed
        );
    }
    let sum = |came: &[Came], of: fn(&Came) -> u64| came.iter().map(of).sum::<u64>();
    let (effects, killed) = (|came: &Came| came.effects, |came: &Came| came.tally.killed.into());
    println!(
        "{:<18} {:>7} {:>16} {:>12} {:>18} {:>12}",
        "together",
        u64::from(times) * Operation::ALL.len() as u64,
        sum(&watched, effects),
        sum(&watched, killed),
        sum(&shut, effects),
        sum(&shut, killed)
    );
    Ok(())
}

/// Under rules that kill in the kernel.
fn shut(times: u32) -> anyhow::Result<Vec<Came>> {
    let far = FarEnd::listen()?;
    let scenario = Scenario::start(Ground::new()?, &effect::rules("kill"))?;
    let each = Operation::ALL.into_iter().map(|operation| {
        let act = far.act(operation, &scenario.ground).times(times);
        let tally = scenario.agent(&act)?.tally()?;
        Ok(Came { effects: far.effects(operation, &scenario.ground), tally })
    });
    each.collect()
}

/// Under rules that alert, beside a process that kills.
fn watched(times: u32) -> anyhow::Result<Vec<Came>> {
    let far = FarEnd::listen()?;
    let ground = Ground::new()?;
    let alerts = ground.path("alerts.pipe");
    mknodat(CWD, &alerts, FileType::Fifo, Mode::from_bits_truncate(0o600), 0)?;
    // Both ends: whoever has one never waits for the other to be opened.
    let pipe = File::options().read(true).write(true).open(&alerts)?;
    let scenario = Scenario::start_with_alerts_in(ground, &effect::rules("alert"), alerts)?;
    let each = Operation::ALL.into_iter().map(|operation| {
        let act = far.act(operation, &scenario.ground).times(times);
        let running = scenario.start_agent(&act)?;
        let group = i32::try_from(running.pid()).ok().and_then(Pid::from_raw).context("a pid")?;
        let heard = AtomicU64::new(0);
        let ended = thread::scope(|scope| {
            let watcher = scope.spawn(|| watch(&pipe, group, &heard));
            let ended = running.wait();
            let all = || Ok((heard.load(Ordering::Relaxed) >= times.into()).then_some(()));
            let told = wait_until(PATIENCE, all);
            (&pipe).write_all(format!("{END}\n").as_bytes())?;
            watcher.join().ok().context("the watcher panicked")??;
            if told?.is_none() {
                eprintln!("{operation}: only {} alerts came", heard.load(Ordering::Relaxed));
            }
            ended
        })?;
        Ok(Came { effects: far.effects(operation, &scenario.ground), tally: ended.tally()? })
    });
    each.collect()
}

/// Kills whoever an alert names, as long as it is one of this group.
fn watch(alerts: &File, group: Pid, heard: &AtomicU64) -> anyhow::Result<()> {
    for line in BufReader::new(alerts).lines() {
        let line = line?;
        if line == END {
            break;
        }
        let alert: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        let pid = alert["process"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        kill(pid.and_then(Pid::from_raw).context("an alert names a process")?, group);
        heard.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Its number may be somebody else's by now: nobody of another group is killed, nor whoever leads it.
fn kill(pid: Pid, group: Pid) {
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if pid != group && getpgid(Some(pid)) == Ok(group) {
        // An error means that it has ended.
        let _gone = pidfd_send_signal(process, Signal::KILL);
    }
}
