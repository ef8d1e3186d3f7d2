//! Doctor: what it says of this host is what a daemon does here, and what the test finds out by itself.

use std::{fs, process::Command};

use anyhow::{Context, ensure};
use driftwatch_tests::{
    Act, Ground, Outcome, Scenario, TcpCanary, cgroup,
    child::{self, Running},
    programs,
};
use serde_json::Value;

use crate::{
    claims::{alone, same},
    startup::in_a_private_world,
};

/// Each act is refused where it can be, and else its process is killed.
const RULES: &str = "
  - { id: reads, title: t, agents: [test-agent], read: { never: ['**/.aws/credentials'] }, action: deny, fallback: kill }
  - { id: writes, title: t, agents: [test-agent], write: { never: ['**/notes.txt'] }, action: deny, fallback: kill }
  - { id: peers, title: t, agents: [test-agent], connect: { never: ['127.66.0.0/16'] }, action: deny, fallback: kill }
  - id: programs
    title: t
    agents: [test-agent]
    exec: { never: ['/tmp/driftwatch-test-*/dropped/**'] }
    action: deny
    fallback: kill
";

/// The command, with this after `doctor`.
fn command(arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(programs::driftwatch()?);
    command.arg("doctor").args(["-o", "json"]).args(arguments);
    Ok(command)
}

/// Its exit code, and what it says.
fn said(command: &mut Command) -> anyhow::Result<(i32, Value)> {
    let ended = child::run(command)?;
    let value = serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))?;
    Ok((ended.status.code().unwrap_or(-1), value))
}

/// What it says can be done about an act.
fn can<'a>(said: &'a Value, act: &str) -> anyhow::Result<&'a str> {
    let acts = said["half"]["acts"].as_array().with_context(|| format!("no acts in {said}"))?;
    let line = acts.iter().find(|line| line["act"] == act);
    let can = line.and_then(|line| line["can"].as_str());
    can.with_context(|| format!("nothing of {act} in {said}"))
}

#[test]
fn of_each_act_it_says_what_a_daemon_does() -> anyhow::Result<()> {
    let _alone = alone();
    let (_, said) = said(&mut command(&[])?)?;
    let canary = TcpCanary::bind("127.66.0.1:0")?;
    let scenario = Scenario::start(Ground::new()?, RULES)?;
    let ground = &scenario.ground;
    let marker = ground.path("marker");
    for (act, tried) in [
        ("read", Act::read(&ground.secret())),
        ("write", Act::write(&ground.notes())),
        ("connect", Act::connect(canary.address())),
        ("exec", Act::marker(&ground.dropped(), &marker)),
    ] {
        let is = match scenario.agent(&tried)?.outcome() {
            Outcome::Refused => "refuse",
            Outcome::Killed => "kill",
            Outcome::Done => "nothing",
            Outcome::Failed => "the test did not work",
        };
        same(act, can(&said, act)?, is)?;
    }
    let status = scenario.daemon.status()?;
    let (kernel, half) = (&status["kernel"], &said["half"]);
    same("rung", &half["rung"], &kernel["rung"])?;
    same("tier", &half["tier"], &status["tier"])?;
    same("hooks", &half["wanted"], &kernel["hooks"]["wanted"])?;
    same("missing", &half["missing"], &kernel["hooks"]["missing"])?;
    let attached = kernel["hooks"]["attached"].as_u64().context("no number of hooks")?;
    ensure!(attached > 0, "no hook is attached: {status}");
    let ready = scenario.daemon.stderr();
    let rung = half["rung"].as_str().context("a name")?;
    ensure!(ready.contains(rung), "the daemon does not say {rung}: {ready}");
    Ok(())
}

#[test]
fn what_it_says_of_the_kernel_is_so() -> anyhow::Result<()> {
    let _alone = alone();
    let (_, said) = said(&mut command(&[])?)?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    same("kernel", said["kernel"].as_str().unwrap_or_default(), release.trim())?;
    let modules = fs::read_to_string("/sys/kernel/security/lsm").ok();
    let listed = said["modules"]
        .as_array()
        .map(|modules| modules.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","));
    ensure!(listed == modules, "{listed:?}, must be {modules:?}");
    let place = cgroup::mount_point()?;
    same("cgroup v2", said["cgroup"].as_str().unwrap_or_default(), &*place.to_string_lossy())?;
    ensure!(said["missing_capabilities"] == Value::Array(Vec::new()), "{said}");
    Ok(())
}

const AGENTS: &str = "version: 1
agents:
  strong: { any: [{ exe: EXE }] }
  weak: { any: [{ env: [DRIFTWATCH_DOCTOR_TEST=GROUND] }] }
  absent: { any: [{ exe: /nowhere/at/all }] }
rules:
  - { id: r, title: t, agents: [strong, weak, absent], read: { never: [/nowhere] }, action: deny }
";

#[test]
fn it_finds_the_agents_that_run_and_says_which_could_choose_not_to_be_known() -> anyhow::Result<()>
{
    let _alone = alone();
    let ground = Ground::new()?;
    let actor = ground.actor_at("bin/agent")?;
    let word = ground.directory().display().to_string();
    let text = AGENTS.replace("EXE", &actor.display().to_string()).replace("GROUND", &word);
    let rules = ground.path("rules.yaml");
    fs::write(&rules, text)?;
    let mut strong = Act::sleep(100).command_of(&actor);
    let mut weak = Act::sleep(100).command()?;
    weak.env("DRIFTWATCH_DOCTOR_TEST", &word);
    let _running = (Running::start(&mut strong)?, Running::start(&mut weak)?);
    let (code, said) = said(command(&[])?.arg("--rules").arg(&rules))?;
    let found: Vec<String> = said["agents"]
        .as_array()
        .context("agents")?
        .iter()
        .map(|known| {
            format!("{} {} {} {}", known["agent"], known["running"], known["by"], known["weak"])
        })
        .collect();
    same(
        "agents",
        found.join("\n"),
        "\"strong\" 1 [\"exe\"] false\n\"weak\" 1 [\"env\"] true".to_owned(),
    )?;
    let here = if can(&said, "read")? == "refuse" { "deny" } else { "alert" };
    same("the rule", said["rules"]["rules"][0]["here"].as_str().unwrap_or_default(), here)?;
    same("exit code", code, i32::from(here == "alert"))
}

#[test]
fn a_kernel_without_type_information_is_said_and_ends_with_5() -> anyhow::Result<()> {
    let _alone = alone();
    let place = std::path::Path::new("/sys/kernel/btf");
    let mut hidden = in_a_private_world(r#"mount -t tmpfs none "$0""#, place, &command(&[])?);
    let (code, said) = said(&mut hidden)?;
    same("exit code", code, 5)?;
    ensure!(said["half"].is_null(), "{said}");
    ensure!(
        said["without_types"].as_str().is_some_and(|why| why.contains("/sys/kernel/btf")),
        "{said}"
    );
    let advice = said["advice"][0]["fix"].as_str().unwrap_or_default();
    ensure!(advice.contains("CONFIG_DEBUG_INFO_BTF=y"), "{said}");
    Ok(())
}

#[test]
fn a_host_without_cgroup_v2_is_told_to_mount_one_where_it_is_needed() -> anyhow::Result<()> {
    let _alone = alone();
    let place = cgroup::mount_point()?;
    let mut hidden = in_a_private_world(r#"umount -l "$0""#, &place, &command(&[])?);
    let (code, said) = said(&mut hidden)?;
    ensure!(said["cgroup"].is_null(), "{said}");
    let is_needed = said["half"]["rung"] == "tracepoints" && can(&said, "connect")? != "nothing";
    let advised = said["advice"].to_string().contains("mount -t cgroup2");
    same("advice to mount it", advised, is_needed)?;
    ensure!(!is_needed || code == 1, "exit code {code}");
    Ok(())
}
