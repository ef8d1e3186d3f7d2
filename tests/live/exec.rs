//! Programs: one that may not be started is dead before its first instruction.

use driftwatch_tests::{Act, Ground, Scenario, Tally, ground::bytes_in};

use crate::claims::{TIMES, agent_ends, alerts_tell, alone, same, twin_is_left_alone};

const DROPPED_DIES: &str = "
  - id: dropped-programs-are-shut
    title: Agent started a dropped program
    agents: [test-agent]
    exec: { never: ['/tmp/driftwatch-test-*/dropped/**'] }
    action: kill
    severity: high
";

/// A program without a file has no path that a list of permitted ones could hold.
const ONLY_THE_ACTOR_LIVES: &str = "
  - id: programs-are-known
    title: Agent started a program that nobody approved
    agents: [test-agent]
    exec: { only: [actor] }
    action: kill
    severity: high
";

fn never_runs(rules: &str, rule: &str, how: &str) -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, rules)?;
    let dropped = scenario.ground.dropped();

    let marker = scenario.ground.path("marker-of-the-agent");
    let exec = Act::marker(&dropped, &marker).how(how);
    agent_ends(&scenario, &exec, Tally::all_killed(TIMES))?;
    same("markers of the agent", bytes_in(&marker), 0)?;
    alerts_tell(&scenario, TIMES, "exec", rule, "kill")?;

    let marker = scenario.ground.path("marker-of-the-twin");
    twin_is_left_alone(&Act::marker(&dropped, &marker).how(how))?;
    same("markers of the twin", bytes_in(&marker), u64::from(TIMES))
}

#[test]
fn a_program_started_by_path_never_runs() -> anyhow::Result<()> {
    never_runs(DROPPED_DIES, "dropped-programs-are-shut", "execve")
}

#[test]
fn a_program_started_by_directory_and_name_never_runs() -> anyhow::Result<()> {
    never_runs(DROPPED_DIES, "dropped-programs-are-shut", "execveat")
}

#[test]
fn a_program_started_by_descriptor_never_runs() -> anyhow::Result<()> {
    never_runs(DROPPED_DIES, "dropped-programs-are-shut", "fexecve")
}

#[test]
fn a_program_started_as_an_interpreter_never_runs() -> anyhow::Result<()> {
    never_runs(DROPPED_DIES, "dropped-programs-are-shut", "script")
}

#[test]
fn a_program_without_a_file_never_runs() -> anyhow::Result<()> {
    never_runs(ONLY_THE_ACTOR_LIVES, "programs-are-known", "memfd")
}

#[test]
fn a_program_that_no_rule_names_runs() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, DROPPED_DIES)?;
    let exec = Act::exec(std::path::Path::new("/bin/true"));
    agent_ends(&scenario, &exec, Tally::all_done(TIMES))?;
    same("alerts", scenario.alerts()?.len(), 0)
}
