//! Launch: `driftwatch run` is not there once the command is.

use std::{
    fs,
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use driftwatch_tests::{AGENT, Ground, Scenario, child, programs};
use rustix::process::{Pid, Signal, kill_process};

use crate::claims::{SECRETS_KILL, SOON, alone, same};

fn start() -> anyhow::Result<Scenario> {
    Scenario::start(Ground::new()?, SECRETS_KILL)
}

fn shell(script: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]);
    shell
}

#[test]
fn the_exit_code_is_the_command_s_own() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = start()?;
    for code in [0, 1, 3, 42, 125, 255] {
        let ended = scenario.run_as(AGENT, &shell(&format!("exit {code}")))?;
        same("exit code", ended.status.code().unwrap_or(-1), code)?;
    }
    Ok(())
}

#[test]
fn a_command_that_is_not_there_is_named_with_127() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = start()?;
    for name in ["/nowhere/no-such-command", "no-such-command"] {
        let ended = scenario.run_as(AGENT, &Command::new(name))?;
        same("exit code", ended.status.code().unwrap_or(-1), 127)?;
        ensure!(ended.stderr.contains("no-such-command"), "{}", ended.stderr);
    }
    Ok(())
}

#[test]
fn a_command_that_cannot_be_started_is_named_with_126() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = start()?;
    let plain = scenario.ground.path("plain-file");
    fs::write(&plain, "no program")?;
    for file in [plain, scenario.ground.path("home")] {
        let ended = scenario.run_as(AGENT, &Command::new(&file))?;
        same("exit code", ended.status.code().unwrap_or(-1), 126)?;
        ensure!(ended.stderr.contains(&file.display().to_string()), "{}", ended.stderr);
    }
    Ok(())
}

#[test]
fn a_daemon_that_is_not_there_starts_nothing_and_is_125() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let (socket, marker) = (ground.path("no.sock"), ground.path("marker"));
    let mut run = Command::new(programs::driftwatch()?);
    run.args(["run", "--agent", AGENT, "--socket"]).arg(&socket);
    let ended = child::run(run.args(["--", "/bin/touch"]).arg(&marker))?;
    same("exit code", ended.status.code().unwrap_or(-1), 125)?;
    ensure!(ended.stderr.contains("no.sock"), "{}", ended.stderr);
    ensure!(!marker.exists(), "the command ran");
    Ok(())
}

#[test]
fn a_signal_to_the_process_is_the_command_s() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = start()?;
    for signal in [Signal::TERM, Signal::USR1, Signal::ALARM] {
        let started = scenario.ground.path("started");
        let script = format!("touch {}; exec sleep 60", started.display());
        let mut command = scenario.command_as(AGENT, &shell(&script))?;
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = child::start_bound(&mut command)?;
        let waited = child::wait_until(SOON, || Ok(started.exists().then_some(())))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a pid")?;
        kill_process(pid, signal)?;
        let status = child::wait_at_most(&mut child, SOON)?;
        child::end_group(&mut child);
        waited.context("the command has not started")?;
        let status = status.context("the command has not ended")?;
        same("signal", status.signal().unwrap_or(0), signal.as_raw())?;
        fs::remove_file(started)?;
    }
    Ok(())
}

#[test]
fn a_shell_sees_128_and_the_signal() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = start()?;
    let inner = scenario.command_as(AGENT, &shell("kill -TERM $$"))?;
    let mut outer = Command::new("/bin/sh");
    outer.args(["-c", r#""$0" "$@"; echo $?"#]).arg(inner.get_program()).args(inner.get_args());
    same("code", child::run(&mut outer)?.stdout.trim().to_owned(), "143".to_owned())
}

#[test]
fn standard_input_and_output_are_the_command_s() -> anyhow::Result<()> {
    const BYTES: usize = 300_000;
    let _alone = alone();
    let scenario = start()?;
    let cargo: Vec<u8> = (0..=u8::MAX).cycle().take(BYTES).collect();
    let mut command = scenario.command_as(AGENT, &Command::new("/bin/cat"))?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = child::start_bound(&mut command)?;
    let mut stdin = running.stdin.take().context("piped")?;
    let sent = cargo.clone();
    let sender = std::thread::spawn(move || stdin.write_all(&sent));
    let (mut came, mut complaint) = (Vec::new(), String::new());
    running.stdout.take().context("piped")?.read_to_end(&mut came)?;
    running.stderr.take().context("piped")?.read_to_string(&mut complaint)?;
    let status = child::wait_at_most(&mut running, Duration::from_secs(10))?;
    child::end_group(&mut running);
    ensure!(sender.join().is_ok_and(|sent| sent.is_ok()), "it does not read");
    ensure!(status.is_some_and(|status| status.success()), "{status:?}");
    ensure!(came == cargo, "{} bytes, others than were sent", came.len());
    same("complaint", complaint, String::new())
}

#[test]
fn words_of_the_command_that_look_like_options_are_its_own() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = start()?;
    let mut echo = Command::new("/bin/echo");
    echo.args(["--agent", "x", "--", "--help", "", "a b"]);
    let ended = scenario.run_as(AGENT, &echo)?;
    same("words", ended.stdout, "--agent x -- --help  a b\n".to_owned())
}

#[test]
fn the_environment_and_the_directory_are_the_command_s() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = start()?;
    let mut command = scenario.command_as(AGENT, &shell("echo $ODD; pwd; echo $0 $$"))?;
    command.env("ODD", "a value").current_dir(scenario.ground.directory());
    let running = child::Running::start(&mut command)?;
    let pid = running.pid();
    let said = running.wait()?.stdout;
    let place = scenario.ground.directory().display();
    same("said", said, format!("a value\n{place}\n/bin/sh {pid}\n"))
}
