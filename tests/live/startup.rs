//! Start: a daemon that cannot start says why in one sentence, and attaches nothing.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use driftwatch_tests::{
    Act, Ended, Ground, Outcome, Scenario, cgroup, child,
    daemon::Daemon,
    effect::{self, FarEnd, Operation},
    programs,
};

use crate::{
    claims::{SECRETS_KILL, alone, same},
    doctor,
    faults::{Host, host_is_as_before, loaded_programs},
};

/// The daemon's command line on this ground; the rules are good ones.
fn daemon(ground: &Ground) -> anyhow::Result<Command> {
    let rules = ground.path("rules.yaml");
    std::fs::write(&rules, driftwatch_tests::scenario::rule_file(SECRETS_KILL))?;
    let mut daemon = Command::new(programs::driftwatch()?);
    daemon.arg("daemon").arg("--rules").arg(rules);
    daemon.arg("--alerts").arg(ground.path("alerts.jsonl"));
    daemon.arg("--socket").arg(ground.path("control.sock"));
    Ok(daemon)
}

/// One line that names the thing, the exit code, and a host as before.
fn is_refused(daemon: &mut Command, code: i32, names: &[&str]) -> anyhow::Result<Ended> {
    let before = Host::look()?;
    let ended = child::run(daemon)?;
    same("exit code", ended.status.code().unwrap_or(-1), code)
        .with_context(|| ended.stderr.clone())?;
    same("lines", ended.stderr.trim_end().lines().count(), 1)
        .with_context(|| ended.stderr.clone())?;
    for name in names {
        ensure!(ended.stderr.contains(name), "{name} is not in {:?}", ended.stderr);
    }
    host_is_as_before(&before)?;
    Ok(ended)
}

/// The command, in a mount namespace of its own where the shell has done this before.
pub(crate) fn in_a_private_world(setup: &str, place: &Path, command: &Command) -> Command {
    let mut shell = Command::new("unshare");
    let script = format!(r#"set -e; {setup}; exec "$@""#);
    shell.args(["-m", "/bin/sh", "-c", &script]).arg(place);
    shell.arg(command.get_program()).args(command.get_args());
    shell
}

#[test]
fn a_kernel_without_type_information_is_named() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let setup = r#"mount -t tmpfs none "$0""#;
    let place = Path::new("/sys/kernel/btf");
    let mut daemon = in_a_private_world(setup, place, &daemon(&ground)?);
    is_refused(&mut daemon, 5, &["/sys/kernel/btf"]).map(drop)
}

/// Its hooks are what sees the network on the react tier, and nobody needs them on the other.
#[test]
fn a_host_without_cgroup_v2_is_named_where_one_is_needed() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let place = cgroup::mount_point()?;
    let without = |command: &Command| in_a_private_world(r#"umount -l "$0""#, &place, command);
    let (_, said) = doctor::said(&mut without(&doctor::command(&[])?))?;
    let mut daemon = without(&daemon(&ground)?);
    if said["half"]["tier"] == "react" {
        is_refused(&mut daemon, 5, &["cgroup v2", "mount"])?;
        ensure!(!ground.path("control.sock").exists(), "the socket is left");
        return Ok(());
    }
    same("tier", said["half"]["tier"].as_str().unwrap_or_default(), "prevent")?;
    let rules = effect::rules("kill");
    std::fs::write(ground.path("rules.yaml"), driftwatch_tests::scenario::rule_file(&rules))?;
    let daemon = Daemon::start_command(&mut daemon, &ground.path("control.sock"))?;
    let scenario = Scenario { daemon, ground };
    let far = FarEnd::listen()?;
    for operation in Operation::ALL {
        let ended = scenario.agent(&far.act(operation, &scenario.ground))?;
        ensure!(ended.outcome() == Outcome::Killed, "{operation}: {ended:?}");
        same("side effects", far.effects(operation, &scenario.ground), 0)?;
    }
    Ok(())
}

#[test]
fn a_missing_capability_is_named() -> anyhow::Result<()> {
    const STRANGER: u32 = 61_234;
    let _alone = alone();
    let ground = Ground::new()?;
    let program = ground.path("driftwatch");
    std::fs::copy(programs::driftwatch()?, &program)?;
    let as_root = without_alert_file(&daemon(&ground)?);
    let mut daemon = Command::new(program);
    daemon.args(as_root.get_args()).uid(STRANGER).gid(STRANGER);
    is_refused(&mut daemon, 4, &["CAP_"]).map(drop)
}

/// The same with alerts on standard output: a stranger can make no file on the ground.
fn without_alert_file(daemon: &Command) -> Command {
    let mut command = Command::new(daemon.get_program());
    let mut arguments: Vec<_> = daemon.get_args().map(ToOwned::to_owned).collect();
    if let Some(place) = arguments.iter().position(|word| word == "--alerts") {
        arguments.drain(place..place + 2);
    }
    command.args(arguments);
    command
}

#[test]
fn an_alert_file_in_a_missing_directory_is_named() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let mut daemon = without_alert_file(&daemon(&ground)?);
    daemon.arg("--alerts").arg(ground.path("nowhere/alerts.jsonl"));
    is_refused(&mut daemon, 1, &["nowhere/alerts.jsonl"])?;
    ensure!(!ground.path("control.sock").exists(), "the socket is left");
    Ok(())
}

#[test]
fn a_missing_rule_path_is_named() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let mut daemon = daemon(&ground)?;
    std::fs::remove_file(ground.path("rules.yaml"))?;
    is_refused(&mut daemon, 1, &["rules.yaml"]).map(drop)
}

#[test]
fn a_socket_that_a_living_daemon_answers_on_is_named_and_stays_its_own() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;
    let mut second = daemon(&scenario.ground)?;
    is_refused(&mut second, 1, &["control.sock", "another daemon"])?;
    let ended = scenario.agent(&Act::read(&scenario.ground.secret()))?;
    ensure!(ended.outcome() == Outcome::Killed, "the first one is disturbed: {ended:?}");
    Ok(())
}

#[test]
fn a_socket_path_that_is_a_file_is_named_and_the_file_stays() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    std::fs::write(ground.path("control.sock"), "mine")?;
    is_refused(&mut daemon(&ground)?, 1, &["control.sock"])?;
    let kept = std::fs::read_to_string(ground.path("control.sock"))?;
    same("file", kept, "mine".to_owned())
}

#[test]
fn a_rule_directory_without_rules_is_named() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let mut daemon = daemon(&ground)?;
    let empty: PathBuf = ground.path("empty");
    std::fs::create_dir(&empty)?;
    std::fs::remove_file(ground.path("rules.yaml"))?;
    std::os::unix::fs::symlink(&empty, ground.path("rules.yaml"))?;
    is_refused(&mut daemon, 1, &["rules.yaml"]).map(drop)
}

#[test]
fn a_daemon_that_panics_leaves_nothing_attached() -> anyhow::Result<()> {
    let _alone = alone();
    let before = Host::look()?;
    let log = tempfile::NamedTempFile::new()?;
    let mut command = Command::new(programs::panicker()?);
    command.stdin(Stdio::piped()).stdout(log.reopen()?).stderr(Stdio::null());
    let mut daemon = child::start_bound(&mut command)?;
    let attached = child::wait_until(crate::claims::SOON, || {
        let said = std::fs::read_to_string(log.path())?;
        Ok((said == "attached\n" || daemon.try_wait()?.is_some()).then_some(said))
    });
    let loaded = loaded_programs();
    if let Some(mut stdin) = daemon.stdin.take() {
        // An error means that it has ended already, which the next lines find out.
        let _written = stdin.write_all(b"go");
    }
    let status = child::wait_at_most(&mut daemon, crate::claims::SOON)?;
    child::end_group(&mut daemon);
    same("said", attached?.unwrap_or_default(), "attached\n".to_owned())?;
    ensure!(loaded? != before.programs, "nothing was attached");
    same("exit code", status.context("it has not ended")?.code().unwrap_or(-1), 101)?;
    host_is_as_before(&before)
}
