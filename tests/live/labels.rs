//! Labels: another name does not open a file that a rule shuts.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use driftwatch_tests::{Act, Ground, Scenario, Tally, child};
use rustix::process::Signal;

use crate::claims::{SOON, TIMES, agent_ends, alone, nothing_came_of_it, same, twin_is_left_alone};

/// The planted credential is shut by a name that begins at the root.
fn shut(ground: &Ground) -> String {
    format!(
        "
  - id: secrets-are-shut
    title: Agent read a planted credential
    agents: [test-agent]
    read: {{ never: ['{}/home/.a?s/**'] }}
    action: kill
",
        ground.directory().display()
    )
}

fn disagreements(scenario: &Scenario) -> anyhow::Result<u64> {
    let status = scenario.daemon.status()?;
    status["events"]["disagreements"].as_u64().context("disagreements")
}

/// Opened under this name the file is shut as ever, and the alert says what it is.
fn is_shut_by_inode(scenario: &Scenario, name: &Path) -> anyhow::Result<()> {
    let trace = scenario.ground.trace("agent")?;
    let read = Act::read(name);
    agent_ends(scenario, &read.clone().traced(&trace), Tally::all_killed(TIMES))?;
    nothing_came_of_it(&trace)?;
    let secret = scenario.ground.secret();
    let by_inode = format!("matched by inode: {}", secret.display());
    let alerts = scenario.wait_for_alerts(u64::from(TIMES), SOON)?;
    same("alerts", alerts.len(), TIMES as usize)?;
    for alert in alerts {
        same("path", alert.text("/object/path"), &*name.display().to_string())?;
        same("rule", alert.rule(), "secrets-are-shut")?;
        let matched = alert.text("/rule/matched");
        ensure!(matched.contains("/home/.a?s/**") && matched.ends_with(&by_inode), "{matched}");
    }
    same("disagreements", disagreements(scenario)?, 0)?;
    twin_is_left_alone(&read)
}

fn link(from: &Path, to: &Path) -> io::Result<PathBuf> {
    fs::hard_link(from, to)?;
    Ok(to.to_owned())
}

#[test]
fn a_hard_link_that_was_there_before_is_shut() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let other = link(&ground.secret(), &ground.path("home/harmless"))?;
    let rules = shut(&ground);
    is_shut_by_inode(&Scenario::start(ground, &rules)?, &other)
}

#[test]
fn a_hard_link_that_is_made_later_is_shut() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let rules = shut(&ground);
    let scenario = Scenario::start(ground, &rules)?;
    let other = link(&scenario.ground.secret(), &scenario.ground.path("home/harmless"))?;
    is_shut_by_inode(&scenario, &other)
}

#[test]
fn a_file_that_was_renamed_is_shut() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let rules = shut(&ground);
    let scenario = Scenario::start(ground, &rules)?;
    let other = scenario.ground.path("home/harmless");
    fs::rename(scenario.ground.secret(), &other)?;
    is_shut_by_inode(&scenario, &other)
}

/// File systems tell the generation of an inode in different ways; this one is in memory.
#[test]
fn a_hard_link_on_tmpfs_is_shut() -> anyhow::Result<()> {
    let _alone = alone();
    let memory = tempfile::Builder::new().prefix("driftwatch-test-").tempdir_in("/dev/shm")?;
    let secret = memory.path().join("secret");
    fs::write(&secret, "secret")?;
    let ground = Ground::new()?;
    let planted = format!("{}/home/.a?s/**", ground.directory().display());
    let rules = shut(&ground).replace(&planted, &secret.display().to_string());
    let scenario = Scenario::start(ground, &rules)?;
    let other = link(&secret, &memory.path().join("harmless"))?;
    agent_ends(&scenario, &Act::read(&other), Tally::all_killed(TIMES))?;
    same("disagreements", disagreements(&scenario)?, 0)
}

/// In a mount namespace of its own, where the test has the file at another place.
#[test]
fn a_bind_mount_is_shut() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let rules = shut(&ground);
    let scenario = Scenario::start(ground, &rules)?;
    let other = scenario.ground.path("home/harmless");
    fs::write(&other, "")?;
    let act = Act::read(&other).command()?;
    let mut mounted = Command::new("unshare");
    mounted.args([
        "-m",
        "--propagation",
        "private",
        "sh",
        "-c",
        "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"",
        "sh",
    ]);
    mounted.arg(scenario.ground.secret()).arg(&other).arg(act.get_program()).args(act.get_args());
    ensure!(child::run(&mut mounted)?.outcome() == driftwatch_tests::Outcome::Done, "untagged");
    let ended = scenario.run_as(driftwatch_tests::AGENT, &mounted)?;
    ensure!(ended.outcome() == driftwatch_tests::Outcome::Killed, "{ended:?}");
    let alerts = scenario.wait_for_alerts(1, SOON)?;
    let matched = alerts.first().context("an alert")?.text("/rule/matched").to_owned();
    ensure!(matched.contains("matched by inode"), "{matched}");
    same("disagreements", disagreements(&scenario)?, 0)
}

#[test]
fn other_files_are_left_alone() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let (rules, linked) = (shut(&ground), link(&ground.notes(), &ground.path("home/linked"))?);
    let scenario = Scenario::start(ground, &rules)?;
    for file in [scenario.ground.notes(), linked] {
        agent_ends(&scenario, &Act::read(&file), Tally::all_done(TIMES))?;
    }
    // The file itself is shut by its name, and the alert says nothing else.
    agent_ends(&scenario, &Act::read(&scenario.ground.secret()), Tally::all_killed(TIMES))?;
    for alert in scenario.wait_for_alerts(u64::from(TIMES), SOON)? {
        let matched = alert.text("/rule/matched");
        ensure!(matched.ends_with("/home/.a?s/**"), "{matched}");
    }
    Ok(())
}

/// A number of an inode is given to another file as soon as it is free; that one is not shut.
#[test]
fn a_file_that_has_the_number_of_a_deleted_one_is_left_alone() -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let _alone = alone();
    let ground = Ground::new()?;
    let rules = shut(&ground);
    let scenario = Scenario::start(ground, &rules)?;
    let secret = scenario.ground.secret();
    let inode = fs::metadata(&secret)?.ino();
    fs::remove_file(&secret)?;
    let again = (0..2000).find_map(|number| {
        let file = scenario.ground.path(&format!("home/new-{number}"));
        fs::write(&file, "").ok()?;
        (fs::metadata(&file).ok()?.ino() == inode).then_some(file)
    });
    let Some(again) = again else {
        eprintln!("this file system does not give numbers of inodes again so soon");
        return Ok(());
    };
    agent_ends(&scenario, &Act::read(&again), Tally::all_done(TIMES))
}

#[test]
fn a_file_that_comes_later_has_its_label_after_the_next_reload() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let rules = shut(&ground);
    let scenario = Scenario::start(ground, &rules)?;
    let later = scenario.ground.path("home/.aws/later");
    fs::write(&later, "x")?;
    let other = link(&later, &scenario.ground.path("home/harmless"))?;
    agent_ends(&scenario, &Act::read(&other), Tally::all_done(TIMES))?;
    let labels = |scenario: &Scenario| -> anyhow::Result<u64> {
        scenario.daemon.status()?["rules"]["labels"].as_u64().context("labels")
    };
    same("labels", labels(&scenario)?, 1)?;
    scenario.daemon.signal(Signal::HUP)?;
    let two = child::wait_until(SOON, || Ok((labels(&scenario)? == 2).then_some(())))?;
    two.context("not labelled")?;
    agent_ends(&scenario, &Act::read(&other), Tally::all_killed(TIMES))
}
