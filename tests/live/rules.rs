//! Rules: what a rule file means is what the kernel half does.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, ensure};
use driftwatch_tests::{AGENT, Act, Ground, Outcome, Scenario, Tally, TcpCanary};

use crate::claims::{SOON, TIMES, agent_ends, alone, prevents, same, twin_is_left_alone};

/// What every program reads before it comes to itself.
const SYSTEM: &str =
    "'/usr/**', '/lib/**', '/lib64/**', '/etc/**', '/proc/**', '/sys/**', '/dev/**'";

/// A rule about reads, in flow form.
fn reads(id: &str, sense: &str, action: &str) -> String {
    format!(
        "
  - id: {id}
    title: Agent read a file
    agents: [test-agent]
    read: {{ {sense} }}
    action: {action}
"
    )
}

/// A rule about connections.
fn connects(id: &str, sense: &str, action: &str) -> String {
    reads(id, sense, action).replace("read: {", "connect: {")
}

/// Every attempt of the agent with this copy of the actor ends as the tally says.
fn copy_ends(scenario: &Scenario, actor: &Path, act: &Act, tally: Tally) -> anyhow::Result<()> {
    let ended = scenario.run_as(AGENT, &act.clone().times(TIMES).command_of(actor))?;
    same("the agent", ended.tally()?, tally)
}

#[test]
fn of_reads_only_the_listed_ones_pass() -> anyhow::Result<()> {
    let _alone = alone();
    let rules = reads("known-reads", &format!("only: [{SYSTEM}, '**/notes.txt']"), "kill");
    let scenario = Scenario::start(Ground::new()?, &rules)?;
    agent_ends(&scenario, &Act::read(&scenario.ground.notes()), Tally::all_done(TIMES))?;
    let secret = scenario.ground.secret();
    agent_ends(&scenario, &Act::read(&secret), Tally::all_killed(TIMES))?;
    let alerts = scenario.wait_for_alerts(u64::from(TIMES), SOON)?;
    same("alerts", alerts.len(), TIMES as usize)?;
    twin_is_left_alone(&Act::read(&secret))
}

#[test]
fn of_peers_only_the_listed_ones_are_reached() -> anyhow::Result<()> {
    let _alone = alone();
    let (listed, other) = (TcpCanary::bind("127.66.0.1:0")?, TcpCanary::bind("[::1]:0")?);
    let rules = connects("known-peers", "only: ['127.66.0.0/16']", "deny");
    let scenario = Scenario::start(Ground::new()?, &rules)?;
    agent_ends(&scenario, &Act::connect(listed.address()), Tally::all_done(TIMES))?;
    agent_ends(&scenario, &Act::connect(other.address()), Tally::all_refused(TIMES))?;
    same("connections", other.accepted(), 0)
}

#[test]
fn an_exception_lets_everybody_read_what_it_names() -> anyhow::Result<()> {
    let _alone = alone();
    let sense = "never: ['**/home/**'], except: [{ path: ['**/notes.txt'], reason: harmless }]";
    let scenario = Scenario::start(Ground::new()?, &reads("home", sense, "kill"))?;
    agent_ends(&scenario, &Act::read(&scenario.ground.notes()), Tally::all_done(TIMES))?;
    agent_ends(&scenario, &Act::read(&scenario.ground.secret()), Tally::all_killed(TIMES))
}

#[test]
fn an_exception_with_an_executable_holds_for_that_one_alone() -> anyhow::Result<()> {
    let _alone = alone();
    let sense = "never: ['**/.aws/**'], except: [{ path: ['**/credentials'], \
                 exe: ['/tmp/driftwatch-test-*/bin/helper'], reason: it is the helper }]";
    let scenario = Scenario::start(Ground::new()?, &reads("aws", sense, "kill"))?;
    let helper = scenario.ground.actor_at("bin/helper")?;
    let read = Act::read(&scenario.ground.secret());
    copy_ends(&scenario, &helper, &read, Tally::all_done(TIMES))?;
    copy_ends(&scenario, &scenario.ground.dropped(), &read, Tally::all_killed(TIMES))?;
    let config = scenario.ground.path("home/.aws/config");
    fs::write(&config, "")?;
    copy_ends(&scenario, &helper, &Act::read(&config), Tally::all_killed(TIMES))
}

#[test]
fn an_exception_with_an_executable_holds_for_connections_too() -> anyhow::Result<()> {
    let _alone = alone();
    let canary = TcpCanary::bind("127.66.0.1:0")?;
    let sense = "never: ['127.66.0.0/16'], except: [{ to: ['127.66.0.1'], \
                 exe: ['/tmp/driftwatch-test-*/bin/helper'], reason: it is the helper }]";
    let scenario = Scenario::start(Ground::new()?, &connects("net", sense, "kill"))?;
    let helper = scenario.ground.actor_at("bin/helper")?;
    let connect = Act::connect(canary.address());
    copy_ends(&scenario, &scenario.ground.dropped(), &connect, Tally::all_killed(TIMES))?;
    same("connections of another", canary.accepted(), 0)?;
    copy_ends(&scenario, &helper, &connect, Tally::all_done(TIMES))
}

#[test]
fn of_two_rules_the_stronger_one_wins() -> anyhow::Result<()> {
    let _alone = alone();
    let canary = TcpCanary::bind("127.66.0.1:0")?;
    let rules = reads("watched", "never: ['**/.aws/**']", "alert")
        + &reads("shut", "never: ['**/credentials']", "kill")
        + &connects("net-watched", "never: ['*']", "alert")
        + &connects("net-shut", "never: ['127.66.0.0/16']", "deny");
    let scenario = Scenario::start(Ground::new()?, &rules)?;
    agent_ends(&scenario, &Act::read(&scenario.ground.secret()), Tally::all_killed(TIMES))?;
    agent_ends(&scenario, &Act::connect(canary.address()), Tally::all_refused(TIMES))?;
    same("connections", canary.accepted(), 0)?;
    for alert in scenario.wait_for_alerts(u64::from(2 * TIMES), SOON)? {
        let rule = if alert.act() == "read" { "shut" } else { "net-shut" };
        same("rule", alert.rule(), rule)?;
    }
    Ok(())
}

#[test]
fn monitor_mode_refuses_nothing_and_says_what_it_would_have() -> anyhow::Result<()> {
    const REPETITIONS: u32 = 50;
    let _alone = alone();
    let canary = TcpCanary::bind("127.66.0.1:0")?;
    let rules = reads("shut", "never: ['**/credentials']", "kill")
        + &connects("net-shut", "never: ['127.66.0.0/16']", "deny");
    let text = driftwatch_tests::scenario::rule_file(&rules).replace("enforce", "monitor");
    let scenario = Scenario::start_file(Ground::new()?, &text)?;
    for act in [Act::read(&scenario.ground.secret()), Act::connect(canary.address())] {
        let tally = scenario.agent(&act.times(REPETITIONS))?.tally()?;
        same("the agent", tally, Tally::all_done(REPETITIONS))?;
    }
    let alerts = scenario.wait_for_alerts(u64::from(2 * REPETITIONS), SOON)?;
    same("alerts", alerts.len(), 2 * REPETITIONS as usize)?;
    for alert in alerts {
        let asked = if alert.act() == "read" { "kill" } else { "deny" };
        same("asked", alert.text("/asked"), asked)?;
        same("done", alert.done(), "alert")?;
        ensure!(alert.text("/because").contains("monitor"), "{alert:?}");
    }
    Ok(())
}

/// Where a read can be refused, it is, whatever the fallback. Where it cannot, the rule's fallback is taken, and the
/// alert says so.
fn fallback(more: &str, tally: Tally, done: &str) -> anyhow::Result<()> {
    let _alone = alone();
    let rules = reads("shut", "never: ['**/credentials']", "deny") + more;
    let scenario = Scenario::start(Ground::new()?, &rules)?;
    let trace = scenario.ground.trace("agent")?;
    let read = Act::read(&scenario.ground.secret()).traced(&trace);
    let (tally, done, tier, because) = if prevents(&scenario)? {
        (Tally::all_refused(TIMES), "deny", "prevent", "")
    } else {
        (tally, done, "react", "fallback")
    };
    agent_ends(&scenario, &read, tally)?;
    if tally.done == 0 {
        same("bytes given away", trace.leaked_bytes()?, 0)?;
    }
    for alert in scenario.wait_for_alerts(u64::from(TIMES), SOON)? {
        same("asked", alert.text("/asked"), "deny")?;
        same("done", alert.done(), done)?;
        same("tier", alert.text("/tier"), tier)?;
        let why = alert.text("/because");
        ensure!(why.contains(because) && why.is_empty() == because.is_empty(), "{alert:?}");
    }
    Ok(())
}

#[test]
fn a_read_is_denied_and_where_it_cannot_be_let_through_with_an_alert() -> anyhow::Result<()> {
    fallback("", Tally::all_done(TIMES), "alert")
}

#[test]
fn a_read_is_denied_and_where_it_cannot_be_killed_if_the_rule_says_so() -> anyhow::Result<()> {
    fallback("    fallback: kill\n", Tally::all_killed(TIMES), "kill")
}

#[test]
fn a_process_whose_connection_is_denied_goes_on() -> anyhow::Result<()> {
    let _alone = alone();
    let canary = TcpCanary::bind("127.66.0.1:0")?;
    let rules = connects("net-shut", "never: ['127.66.0.0/16']", "deny");
    let scenario = Scenario::start(Ground::new()?, &rules)?;
    let ended = scenario.agent(&Act::connect(canary.address()))?;
    ensure!(ended.outcome() == Outcome::Refused, "{ended:?}");
    let alerts = scenario.wait_for_alerts(1, SOON)?;
    let alert = alerts.first().context("an alert")?;
    same("done", alert.done(), "deny")?;
    same("because", alert.text("/because"), "")
}

#[test]
fn a_rule_for_one_agent_does_not_hold_for_another() -> anyhow::Result<()> {
    let _alone = alone();
    let text = driftwatch_tests::scenario::rule_file(&reads("shut", "never: ['/**']", "kill"))
        .replace("agents:\n", "agents:\n  free-agent: { any: [{ launched-as: free }] }\n");
    let scenario = Scenario::start_file(Ground::new()?, &text)?;
    let read = Act::read(&scenario.ground.secret()).command()?;
    ensure!(scenario.run_as("free", &read)?.outcome() == Outcome::Done, "the free agent");
    ensure!(scenario.run_as(AGENT, &read)?.outcome() == Outcome::Killed, "the other");
    Ok(())
}

#[test]
fn a_write_is_not_a_read() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario =
        Scenario::start(Ground::new()?, &reads("notes", "never: ['**/notes.txt']", "kill"))?;
    let notes = scenario.ground.notes();
    agent_ends(&scenario, &Act::write(&notes), Tally::all_done(TIMES))?;
    agent_ends(&scenario, &Act::read(&notes), Tally::all_killed(TIMES))?;
    // One open for both is both.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", r#"exec 3<> "$0""#]).arg(&notes);
    ensure!(scenario.run_as(AGENT, &shell)?.outcome() == Outcome::Killed, "open for both");
    Ok(())
}
