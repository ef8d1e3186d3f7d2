//! Strangers: work that is in no session, under the strictest rules there are. Nothing of it is refused or recorded,
//! and it ends as it does without a daemon.
//!
//! Each work is done twice in the same place, before the daemon starts and while it enforces, and all that came of it
//! is compared. Then an agent shows that the rules are in force.

mod boot;
mod packages;
mod strict;

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::MetadataExt,
    path::Path,
    process::Command,
};

use anyhow::{Context, bail, ensure};
use driftwatch_tests::{
    Ended, Ground, Scenario, child, daemon::Daemon, kernel_log::KernelLog, programs,
};

use crate::claims::{alone, same};

/// Does the work without a daemon and under the strictest rules, in a directory of its own below the ground.
fn is_left_alone(work: impl Fn(&Path) -> anyhow::Result<String>) -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let place = ground.path("work");
    let anew = || {
        if place.exists() {
            fs::remove_dir_all(&place)?;
        }
        fs::create_dir(&place)?;
        work(&place)
    };
    let bare = anew().context("without a daemon")?;
    let mut log = KernelLog::from_now()?;
    let (alerts, socket) = (ground.path("alerts.jsonl"), ground.path("control.sock"));
    let daemon = Daemon::start(&strict::write(&ground)?, &alerts, &socket)?;
    let scenario = Scenario { daemon, ground };
    let watched = anew().context("under the strictest rules")?;
    ensure!(
        watched == bare,
        "it ends otherwise than without a daemon:\n{watched}\nwithout:\n{bare}"
    );
    nothing_was_seen(&scenario)?;
    an_agent_is_stopped(&scenario)?;
    let faults = log.faults()?;
    ensure!(faults.is_empty(), "the kernel reports a fault in itself: {faults:#?}");
    Ok(())
}

/// There is no session, no alert, and not one record, refusal or miss has been counted.
fn nothing_was_seen(scenario: &Scenario) -> anyhow::Result<()> {
    let status = scenario.daemon.status()?;
    same("sessions", status["sessions"].as_u64().context("sessions")?, 0)?;
    same("decoded", status["events"]["decoded"].as_u64().context("events")?, 0)?;
    let counters = status["kernel"]["counters"].as_object().context("counters")?;
    ensure!(counters.len() > 5, "{status}");
    for (name, count) in counters {
        ensure!(*count == 0, "{name}: {count}");
    }
    let alerts = scenario.alerts()?;
    ensure!(alerts.is_empty(), "{alerts:?}");
    Ok(())
}

/// The rules are in force, and the same is shut to an agent.
fn an_agent_is_stopped(scenario: &Scenario) -> anyhow::Result<()> {
    let mut cat = Command::new("cat");
    let ended = scenario.run_as(strict::AGENT, cat.arg("/etc/passwd"))?;
    ensure!(!ended.status.success() && ended.stdout.is_empty(), "the agent got through: {ended:?}");
    ensure!(scenario.daemon.counter("activity_seen")? > 0, "nothing was seen of the agent");
    Ok(())
}

/// Runs a command of a work, which must end well, and returns what it said.
fn said(command: &mut Command) -> anyhow::Result<String> {
    let ended = run(command)?;
    Ok(ended.stdout + &ended.stderr)
}

fn run(command: &mut Command) -> anyhow::Result<Ended> {
    // What is said is compared, and some of it begins with a time or depends on the language.
    let ended = child::run(command.env("LC_ALL", "C").env("SOURCE_DATE_EPOCH", "1"))?;
    match ended.status.success() {
        true => Ok(ended),
        false => bail!("{command:?}: {}\n{}{}", ended.status, ended.stdout, ended.stderr),
    }
}

/// What is below the directory: names, kinds, rights, owners, contents.
fn tree(place: &Path) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    let mut open = vec![place.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = fs::read_dir(&directory).with_context(|| directory.display().to_string())?;
        for entry in entries {
            let path = entry?.path();
            let about = fs::symlink_metadata(&path)?;
            let mut content = DefaultHasher::new();
            if about.is_dir() {
                open.push(path.clone());
            } else if about.is_symlink() {
                fs::read_link(&path)?.hash(&mut content);
            } else if about.is_file() {
                fs::read(&path)?.hash(&mut content);
            }
            let name = path.strip_prefix(place).context("it is below")?.display();
            let (mode, uid, gid) = (about.mode(), about.uid(), about.gid());
            lines.push(format!("{mode:o} {uid}:{gid} {:016x} {name}\n", content.finish()));
        }
    }
    lines.sort();
    Ok(lines.concat())
}

#[test]
fn a_boot_is_left_alone() -> anyhow::Result<()> {
    match programs::are_here(&["busybox", "unshare"])? {
        true => is_left_alone(boot::boot),
        false => Ok(()),
    }
}

#[test]
fn an_installation_of_packages_is_left_alone() -> anyhow::Result<()> {
    match programs::are_here(&["busybox", "dpkg", "dpkg-deb", "tar"])? {
        true => is_left_alone(packages::install),
        false => Ok(()),
    }
}

#[test]
fn a_compiler_is_left_alone() -> anyhow::Result<()> {
    match programs::are_here(&["cc", "as", "ld"])? {
        true => is_left_alone(compile),
        false => Ok(()),
    }
}

/// Compiles a program of several files, each by itself, links it with libraries, runs it; the same in Rust, where that
/// is here.
fn compile(place: &Path) -> anyhow::Result<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("live/strangers/program");
    let mut all = String::new();
    for name in ["main", "words", "root"] {
        let mut cc = Command::new("cc");
        cc.current_dir(place).args(["-O2", "-Wall", "-pipe", "-c"]);
        all += &said(cc.arg(sources.join(name).with_extension("c")))?;
    }
    let mut link = Command::new("cc");
    link.current_dir(place).args(["-o", "program", "main.o", "words.o", "root.o", "-lm"]);
    all += &said(&mut link)?;
    all += &said(Command::new(place.join("program")).arg("four words and five"))?;
    ensure!(all == "4 words, root of that: 2.000\n", "{all:?}");
    // Not wanted in guests, where it would be too large.
    if !programs::in_a_guest() && child::run(Command::new("rustc").arg("--version")).is_ok() {
        fs::write(place.join("main.rs"), "fn main() { println!(\"built\"); }\n")?;
        let mut rustc = Command::new("rustc");
        all += &said(rustc.current_dir(place).args(["--edition", "2024", "main.rs"]))?;
        all += &said(&mut Command::new(place.join("main")))?;
        ensure!(all.ends_with("built\n"), "{all:?}");
    }
    Ok(all + &tree(place)?)
}
