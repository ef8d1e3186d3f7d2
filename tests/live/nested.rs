//! Nested: an agent inside an agent is under the limits of both.

use std::{ffi::OsStr, process::Command};

use anyhow::{Context, ensure};
use driftwatch_tests::{Act, Alert, Ground, Outcome, Scenario, TcpCanary};

use crate::claims::{SOON, TIMES, alone, same};

/// The outer agent may not read, the inner one may not connect, and the notes are watched for both.
fn two_agents(peer: &str) -> String {
    format!(
        "version: 1
mode: enforce
agents:
  outer-agent: {{ any: [{{ launched-as: outer }}] }}
  inner-agent: {{ any: [{{ launched-as: inner }}, {{ exe: '**/bin/inner' }}] }}
rules:
  - id: outer-reads
    title: Outer agent read a credential
    agents: [outer-agent]
    read: {{ never: ['**/.aws/credentials'] }}
    action: kill
  - id: outer-notes
    title: Outer agent read the notes
    agents: [outer-agent]
    read: {{ never: ['**/home/notes.txt'] }}
    action: alert
    severity: high
  - id: outer-programs
    title: Outer agent started a shut program
    agents: [outer-agent]
    exec: {{ never: ['**/shut/**'] }}
    action: kill
  - id: inner-peers
    title: Inner agent connected
    agents: [inner-agent]
    connect: {{ never: ['{peer}'] }}
    action: kill
  - id: inner-programs
    title: Inner agent started itself
    agents: [inner-agent]
    exec: {{ never: ['**/bin/inner', '**/shut/**'] }}
    action: kill
"
    )
}

fn start(peer: &str) -> anyhow::Result<Scenario> {
    Scenario::start_file(Ground::new()?, &two_agents(peer))
}

/// The command as the inner agent, started by `driftwatch run`.
fn launched(scenario: &Scenario, act: &Act) -> anyhow::Result<Command> {
    scenario.command_as("inner", &act.command()?)
}

/// The command as the inner agent, recognised by its executable.
fn recognised(scenario: &Scenario, act: &Act) -> anyhow::Result<Command> {
    Ok(act.command_of(&scenario.ground.actor_at("bin/inner")?))
}

type Inner = fn(&Scenario, &Act) -> anyhow::Result<Command>;

/// Every attempt of the inner agent at what the outer one may not, and at what it may not itself.
fn is_under_both(inner: Inner) -> anyhow::Result<()> {
    const TIMES_EACH: u32 = TIMES.div_ceil(10);
    let _alone = alone();
    let canary = TcpCanary::bind("127.66.0.1:0")?;
    let scenario = start("127.66.0.0/16")?;
    let acts = [Act::read(&scenario.ground.secret()), Act::connect(canary.address())];
    for act in acts {
        let command = inner(&scenario, &act)?;
        for _ in 0..TIMES_EACH {
            let ended = scenario.run_as("outer", &command)?;
            ensure!(ended.outcome() == Outcome::Killed, "{act:?}: {ended:?}");
        }
    }
    same("connections", canary.accepted(), 0)?;
    // Each is stopped by its own limits only where there are no others.
    let connect = Act::connect(canary.address()).command()?;
    let ended = scenario.run_as("outer", &connect)?;
    ensure!(ended.outcome() == Outcome::Done, "the outer agent connects: {ended:?}");
    let ended = scenario.run_as("inner", &Act::read(&scenario.ground.secret()).command()?)?;
    ensure!(ended.outcome() == Outcome::Done, "the inner agent reads: {ended:?}");
    let alerts = scenario.wait_for_alerts(u64::from(2 * TIMES_EACH), SOON)?;
    for alert in &alerts {
        same("agent", alert.agent(), "inner-agent")?;
    }
    let status = scenario.daemon.status()?;
    same("disagreements", status["events"]["disagreements"].as_u64().unwrap_or(1), 0)
}

#[test]
fn an_agent_recognised_inside_an_agent_is_under_the_limits_of_both() -> anyhow::Result<()> {
    is_under_both(recognised)
}

#[test]
fn an_agent_launched_inside_an_agent_is_under_the_limits_of_both() -> anyhow::Result<()> {
    is_under_both(launched)
}

/// The outer agent reads the notes, and then becomes or starts the inner one that reads them too.
fn tells_of_its_own_session(inner: Inner) -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = start("127.66.0.0/16")?;
    let notes = scenario.ground.notes();
    let command = inner(&scenario, &Act::read(&notes))?;
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", r#"read line < "$0"; "$@"; true"#]).arg(&notes);
    shell.arg(command.get_program()).args(command.get_args());
    let ended = scenario.run_as("outer", &shell)?;
    ensure!(ended.outcome() == Outcome::Done, "{ended:?}");
    let alerts = scenario.wait_for_alerts(2, SOON)?;
    let [outer, inner] = alerts.as_slice() else { anyhow::bail!("{alerts:?}") };
    same("agent", outer.agent(), "outer-agent")?;
    same("agent", inner.agent(), "inner-agent")?;
    for alert in &alerts {
        same("rule", alert.rule(), "outer-notes")?;
        ensure!(!alert.text("/session").is_empty(), "{alert:?}");
    }
    ensure!(outer.text("/session") != inner.text("/session"), "one session: {alerts:?}");
    same("root of the inner session", inner.ancestry().len(), 1)
}

#[test]
fn an_alert_of_an_agent_recognised_inside_an_agent_tells_of_the_inner_session() -> anyhow::Result<()>
{
    tells_of_its_own_session(recognised)
}

#[test]
fn an_alert_of_an_agent_launched_inside_an_agent_tells_of_the_inner_session() -> anyhow::Result<()>
{
    tells_of_its_own_session(launched)
}

#[test]
fn two_rules_of_two_agents_on_one_act_are_no_disagreement() -> anyhow::Result<()> {
    let _alone = alone();
    let text = two_agents("127.66.0.0/16")
        + "  - id: inner-notes
    title: Inner agent read the notes
    agents: [inner-agent]
    read: { never: ['**/home/notes.txt'] }
    action: alert
    severity: low
";
    let scenario = Scenario::start_file(Ground::new()?, &text)?;
    let command = launched(&scenario, &Act::read(&scenario.ground.notes()))?;
    scenario.run_as("outer", &command)?;
    let alerts = scenario.wait_for_alerts(1, SOON)?;
    same("rule", alerts.first().context("an alert")?.rule(), "outer-notes")?;
    let status = scenario.daemon.status()?;
    same("disagreements", status["events"]["disagreements"].as_u64().unwrap_or(1), 0)
}

fn outcome_of(ended: anyhow::Result<driftwatch_tests::Ended>) -> anyhow::Result<Outcome> {
    Ok(ended?.outcome())
}

#[test]
fn the_start_of_an_agent_is_not_its_own_act() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = start("127.66.0.0/16")?;
    let inner = scenario.ground.actor_at("bin/inner")?;
    let shut = scenario.ground.actor_at("shut/tool")?;
    let nap = Act::sleep(0);
    let alone = driftwatch_tests::child::run(&mut nap.command_of(&inner));
    ensure!(outcome_of(alone)? == Outcome::Done, "recognised");
    let launched = scenario.run_as("outer", &nap.command_of(&shut));
    ensure!(outcome_of(launched)? == Outcome::Done, "launched");
    let inside = scenario.run_as("outer", &nap.command_of(&inner));
    ensure!(outcome_of(inside)? == Outcome::Done, "recognised inside another");
    same("alerts", scenario.alerts()?.len(), 0)?;
    let again = Act::exec(&inner).words([OsStr::new("sleep"), OsStr::new("0")]);
    let again = driftwatch_tests::child::run(&mut again.command_of(&inner));
    ensure!(outcome_of(again)? == Outcome::Killed, "what it starts itself is");
    let alerts = scenario.wait_for_alerts(1, SOON)?;
    same("rule", alerts.first().map_or("", Alert::rule), "inner-programs")
}

#[test]
fn the_start_of_an_agent_inside_an_agent_is_an_act_of_the_outer_one() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = start("127.66.0.0/16")?;
    let shut = Act::sleep(0).command_of(&scenario.ground.actor_at("shut/tool")?);
    let launched = scenario.command_as("inner", &shut)?;
    ensure!(outcome_of(scenario.run_as("outer", &launched))? == Outcome::Killed, "launched");
    let recognised = Act::sleep(0).command_of(&scenario.ground.actor_at("shut/bin/inner")?);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", r#"exec "$0" "$@""#]).arg(recognised.get_program());
    let ended = scenario.run_as("outer", shell.args(recognised.get_args()));
    ensure!(outcome_of(ended)? == Outcome::Killed, "recognised");
    let alerts = scenario.wait_for_alerts(2, SOON)?;
    for alert in &alerts {
        same("rule", alert.rule(), "outer-programs")?;
    }
    Ok(())
}

/// `driftwatch run` for the agent that one is already changes nothing, so a program is judged.
#[test]
fn launching_oneself_again_is_no_way_around_a_rule() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = start("127.66.0.0/16")?;
    let shut = Act::sleep(0).command_of(&scenario.ground.actor_at("shut/tool")?);
    let again = scenario.command_as("outer", &shut)?;
    ensure!(outcome_of(scenario.run_as("outer", &again))? == Outcome::Killed, "it ran");
    Ok(())
}

/// A task can be under the limits of four agents: a fifth does not start, and says so.
#[test]
fn a_fifth_agent_inside_four_is_refused_and_counted() -> anyhow::Result<()> {
    let _alone = alone();
    let names = ["one", "two", "three", "four", "five"];
    let mut text = "version: 1\nmode: enforce\nagents:\n".to_owned();
    for name in names {
        text += &format!("  {name}: {{ any: [{{ launched-as: l-{name} }}] }}\n");
    }
    text += "  six: { any: [{ exe: '**/bin/six' }] }
rules:
  - id: secrets-are-shut
    title: Agent read a planted credential
    agents: [four]
    read: { never: ['**/.aws/credentials'] }
    action: kill
";
    let scenario = Scenario::start_file(Ground::new()?, &text)?;
    let nest = |names: &[&str], command: Command| {
        names.iter().rev().try_fold(command, |inner, name| scenario.command_as(name, &inner))
    };
    let read = || Act::read(&scenario.ground.secret()).command();
    let ended = driftwatch_tests::child::run(&mut nest(&names[..4], read()?)?)?;
    ensure!(ended.outcome() == Outcome::Killed, "the fourth: {ended:?}");
    let ended = driftwatch_tests::child::run(&mut nest(&names, read()?)?)?;
    same("exit code", ended.status.code().unwrap_or(-1), 125)?;
    ensure!(ended.stderr.contains("4 agents"), "{}", ended.stderr);
    same("counted", scenario.daemon.counter("limits_full")?, 0)?;
    let six = Act::sleep(0).command_of(&scenario.ground.actor_at("bin/six")?);
    let ended = driftwatch_tests::child::run(&mut nest(&names[..4], six)?)?;
    ensure!(ended.outcome() == Outcome::Done, "one that is recognised: {ended:?}");
    same("counted", scenario.daemon.counter("limits_full")?, 1)
}
