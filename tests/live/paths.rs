//! Paths: which name of a file counts, and what happens to one that cannot be known.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use driftwatch_tests::{AGENT, Act, Ground, Outcome, Scenario, Tally};
use rustix::fs::{Mode, OFlags, mkdirat, openat};

use crate::claims::{SOON, TIMES, agent_ends, alone, same, twin_is_left_alone};

/// Nobody may read what these globs name, and it is only said.
fn watched(globs: &str) -> String {
    format!(
        "
  - id: watched
    title: Agent read a file
    agents: [test-agent]
    read: {{ never: [{globs}] }}
    action: alert
"
    )
}

fn shut(globs: &str) -> String {
    watched(globs).replace("alert", "kill")
}

/// Makes one directory inside the other, however long the whole path becomes, and a file in the last.
fn dig(from: &Path, names: impl Iterator<Item = String>) -> anyhow::Result<PathBuf> {
    let mut path = from.to_owned();
    let mut place = OwnedFd::from(File::open(from)?);
    for name in names {
        mkdirat(&place, &name, Mode::from_raw_mode(0o755))?;
        place = openat(&place, &name, OFlags::DIRECTORY, Mode::empty())?;
        path.push(name);
    }
    openat(&place, "file", OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o644))?;
    Ok(path.join("file"))
}

fn is_killed_as_unknown(dig: impl Fn(&Path) -> anyhow::Result<PathBuf>) -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, &shut("'/nowhere/at/all'"))?;
    let file = dig(scenario.ground.directory())?;
    let read = Act::read(&file).how("steps");
    agent_ends(&scenario, &read, Tally::all_killed(TIMES))?;
    for alert in scenario.wait_for_alerts(u64::from(TIMES), SOON)? {
        same("unknown", alert.show("/unknown"), "true".to_owned())?;
        same("path", alert.show("/object/path"), "null".to_owned())?;
        same("rule", alert.rule(), "watched")?;
    }
    let counted = scenario.daemon.counter("path_too_long")?;
    ensure!(counted >= u64::from(TIMES), "only {counted} counted");
    same("disagreements", disagreements(&scenario)?, 0)?;
    twin_is_left_alone(&read)
}

fn disagreements(scenario: &Scenario) -> anyhow::Result<u64> {
    let status = scenario.daemon.status()?;
    status["events"]["disagreements"].as_u64().context("disagreements")
}

#[test]
fn a_file_deeper_than_512_directories_is_unknown_and_shut() -> anyhow::Result<()> {
    is_killed_as_unknown(|ground| dig(ground, (0..600).map(|_| "d".to_owned())))
}

#[test]
fn a_path_longer_than_4095_bytes_is_unknown_and_shut() -> anyhow::Result<()> {
    is_killed_as_unknown(|ground| dig(ground, (0..20).map(|_| "x".repeat(250))))
}

#[test]
fn a_path_of_250_components_and_4000_bytes_is_known() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, &shut("'/nowhere/at/all', '**/hit/file'"))?;
    let names = (0..246).map(|_| "fifteen-letters".to_owned());
    let passes = dig(scenario.ground.directory(), names.clone())?;
    agent_ends(&scenario, &Act::read(&passes).how("steps"), Tally::all_done(TIMES))?;
    let place = passes.parent().context("a directory")?;
    let mut hit = Command::new("/bin/sh");
    hit.args(["-c", "mkdir hit && cp file hit/file"]).current_dir(place);
    ensure!(driftwatch_tests::child::run(&mut hit)?.status.success(), "no file to hit");
    let hit = Act::read(&place.join("hit/file")).how("steps");
    agent_ends(&scenario, &hit, Tally::all_killed(TIMES))?;
    same("counted", scenario.daemon.counter("path_too_long")?, 0)
}

#[test]
fn odd_bytes_in_a_path_are_bytes_for_rules_and_escaped_in_alerts() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, &watched("'**/odd/a?b?[!x]*.key'"))?;
    let odd = scenario.ground.path("odd").join(OsStr::from_bytes(b"a\nb\x1b\xffc\"\\\xfe.key"));
    let other = scenario.ground.path("odd").join(OsStr::from_bytes(b"a\nb\x1bx\xff.key"));
    fs::create_dir(scenario.ground.path("odd"))?;
    for file in [&odd, &other] {
        fs::write(file, "")?;
        agent_ends(&scenario, &Act::read(file), Tally::all_done(TIMES))?;
    }
    let alerts = scenario.wait_for_alerts(u64::from(TIMES), SOON)?;
    same("alerts", alerts.len(), TIMES as usize)?;
    let bytes = fs::read(scenario.ground.path("alerts.jsonl"))?;
    let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
    same("lines", lines, TIMES as usize)?;
    let plain = |byte: &u8| *byte == b'\n' || (0x20..0x7f).contains(byte);
    ensure!(bytes.iter().all(plain), "a control character or half a letter is in the alerts");
    let path = alerts.first().context("an alert")?.text("/object/path");
    ensure!(path.contains("/odd/a") && path.ends_with(".key"), "{path:?}");
    ensure!(!path.chars().any(char::is_control), "{path:?}");
    same("disagreements", disagreements(&scenario)?, 0)
}

/// A limit: a file is judged by the name that it was opened by. A rule for one of its names does not
/// hold for another, so what can make hard links to a shut file gets around it.
#[test]
fn a_hard_link_is_seen_under_its_own_name() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, &shut("'**/.aws/credentials', '**/linked'"))?;
    let (secret, notes) = (scenario.ground.secret(), scenario.ground.notes());
    let (other, linked) = (scenario.ground.path("other"), scenario.ground.path("linked"));
    fs::hard_link(&secret, &other)?;
    fs::hard_link(&notes, &linked)?;
    agent_ends(&scenario, &Act::read(&secret), Tally::all_killed(TIMES))?;
    agent_ends(&scenario, &Act::read(&other), Tally::all_done(TIMES))?;
    agent_ends(&scenario, &Act::read(&linked), Tally::all_killed(TIMES))?;
    agent_ends(&scenario, &Act::read(&notes), Tally::all_done(TIMES))
}

#[test]
fn a_chain_of_symbolic_links_leads_to_the_file_that_counts() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, &shut("'**/.aws/credentials', '**/link-*'"))?;
    let (secret, notes) = (scenario.ground.secret(), scenario.ground.notes());
    let links = ["innocent-1", "innocent-2", "link-1"].map(|name| scenario.ground.path(name));
    std::os::unix::fs::symlink(secret, &links[0])?;
    std::os::unix::fs::symlink(&links[0], &links[1])?;
    std::os::unix::fs::symlink(notes, &links[2])?;
    agent_ends(&scenario, &Act::read(&links[1]), Tally::all_killed(TIMES))?;
    agent_ends(&scenario, &Act::read(&links[2]), Tally::all_done(TIMES))
}

/// Reads the secret through a bind mount that nobody else sees.
fn through_a_private_mount(scenario: &Scenario) -> anyhow::Result<Outcome> {
    let ground = &scenario.ground;
    fs::create_dir_all(ground.path("mnt"))?;
    let read = Act::read(&ground.path("mnt/credentials")).command()?;
    let mut shell = Command::new("unshare");
    shell.args(["-m", "/bin/sh", "-c", r#"mount --bind "$0" "$1" && shift && exec "$@""#]);
    shell.arg(ground.path("home/.aws")).arg(ground.path("mnt"));
    shell.arg(read.get_program()).args(read.get_args());
    Ok(scenario.run_as(AGENT, &shell)?.outcome())
}

#[test]
fn a_file_in_a_private_mount_is_seen_under_the_path_of_the_mount() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, &shut("'/tmp/driftwatch-test-*/mnt/**'"))?;
    ensure!(through_a_private_mount(&scenario)? == Outcome::Killed, "the agent lives");
    let alerts = scenario.wait_for_alerts(1, SOON)?;
    let path = alerts.first().context("an alert")?.text("/object/path");
    ensure!(path.ends_with("/mnt/credentials"), "{path}");
    same("root's own look", fs::read_dir(scenario.ground.path("mnt"))?.count(), 0)
}

/// A limit, as with hard links: who may mount gives a directory another name.
#[test]
fn a_file_in_a_private_mount_is_not_seen_under_the_path_behind_it() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, &shut("'**/.aws/credentials'"))?;
    ensure!(through_a_private_mount(&scenario)? == Outcome::Done, "the limit is gone: say so");
    same("alerts", scenario.alerts()?.len(), 0)
}

/// No file system takes the name, and the agent is told so as anybody is. Whether a file may be made is asked before
/// the file system is.
#[test]
fn a_name_longer_than_a_file_can_have_is_refused_by_the_file_system_alone() -> anyhow::Result<()> {
    let _alone = alone();
    let rules = shut("'**/*.shut'").replace("read:", "write:");
    let scenario = Scenario::start(Ground::new()?, &rules)?;
    let make = |length: usize| {
        let file = scenario.ground.path(&"n".repeat(length));
        let mut sh = Command::new("sh");
        sh.args(["-c", r#"{ true >"$0"; } 2>&1; echo alive"#]).arg(file);
        Ok::<_, anyhow::Error>(scenario.run_as(AGENT, &sh)?.stdout)
    };
    same("a name of 255 bytes", make(255)?, "alive\n".to_owned())?;
    for length in [256, 257, 511, 3_000] {
        let said = make(length)?;
        ensure!(said.contains("name too long") && said.ends_with("alive\n"), "{length}: {said:?}");
    }
    same("acts recorded", scenario.daemon.counter("activity_seen")?, 0)?;
    same("names that were too long", scenario.daemon.counter("path_too_long")?, 0)
}
