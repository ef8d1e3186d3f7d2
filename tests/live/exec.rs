//! Programs: one that may not be started is dead before its first instruction.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
};

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
    dies(&Scenario::start(Ground::new()?, rules)?, rule, how)
}

/// The dropped program dies where the agent starts it, and only there.
fn dies(scenario: &Scenario, rule: &str, how: &str) -> anyhow::Result<()> {
    let dropped = scenario.ground.dropped();

    let marker = scenario.ground.path("marker-of-the-agent");
    let exec = Act::marker(&dropped, &marker).how(how);
    agent_ends(scenario, &exec, Tally::all_killed(TIMES))?;
    same("markers of the agent", bytes_in(&marker), 0)?;
    alerts_tell(scenario, TIMES, "exec", rule, "kill")?;

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

/// A rule about what is special about a program.
fn word_dies(word: &str) -> String {
    format!(
        "
  - id: special-programs-are-shut
    title: Agent started a program that is special
    agents: [test-agent]
    exec: {{ never: [{word}] }}
    action: kill
"
    )
}

/// The dropped program dies after `prepare` made something of it; one of which nothing was made runs.
fn special_dies(
    word: &str,
    how: &str,
    prepare: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, &word_dies(word))?;
    let ordinary = scenario.ground.actor_at("bin/tool")?;
    prepare(&scenario.ground.dropped())?;
    let marker = scenario.ground.path("marker-of-an-ordinary-program");
    agent_ends(&scenario, &Act::marker(&ordinary, &marker), Tally::all_done(TIMES))?;
    same("markers of the ordinary program", bytes_in(&marker), u64::from(TIMES))?;
    dies(&scenario, "special-programs-are-shut", how)?;
    let status = scenario.daemon.status()?;
    same("disagreements", status["events"]["disagreements"].as_u64().unwrap_or(1), 0)
}

fn has_mode(file: &Path, mode: u32) -> anyhow::Result<()> {
    Ok(fs::set_permissions(file, Permissions::from_mode(mode))?)
}

#[test]
fn a_program_in_memory_never_runs() -> anyhow::Result<()> {
    special_dies("memfd", "memfd", |_| Ok(()))
}

#[test]
fn a_program_in_memory_has_no_name_and_never_runs() -> anyhow::Result<()> {
    special_dies("deleted", "memfd", |_| Ok(()))
}

#[test]
fn a_program_that_was_deleted_never_runs() -> anyhow::Result<()> {
    special_dies("deleted", "deleted", |_| Ok(()))
}

#[test]
fn a_program_that_was_deleted_is_not_in_memory_whatever_it_was_called() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, &word_dies("memfd"))?;
    let marker = scenario.ground.path("marker");
    let exec = Act::marker(&scenario.ground.dropped(), &marker).how("deleted");
    agent_ends(&scenario, &exec, Tally::all_done(TIMES))?;
    same("markers", bytes_in(&marker), u64::from(TIMES))?;
    same("alerts", scenario.alerts()?.len(), 0)
}

#[test]
fn a_program_that_takes_on_its_owners_rights_never_runs() -> anyhow::Result<()> {
    special_dies("setuid", "execve", |program| has_mode(program, 0o4755))
}

#[test]
fn a_program_that_takes_on_its_groups_rights_never_runs() -> anyhow::Result<()> {
    special_dies("setuid", "execve", |program| has_mode(program, 0o2755))
}

#[test]
fn a_program_that_anybody_may_write_never_runs() -> anyhow::Result<()> {
    special_dies("writable", "execve", |program| has_mode(program, 0o757))
}

#[test]
fn a_program_of_another_user_never_runs() -> anyhow::Result<()> {
    special_dies("writable", "execve", |program| Ok(chown(program, Some(61_234), None)?))
}

#[test]
fn a_program_in_a_directory_that_a_group_may_write_never_runs() -> anyhow::Result<()> {
    special_dies("writable", "execve", |program| {
        let directory = program.parent().unwrap_or(program);
        chown(directory, None, Some(61_234))?;
        has_mode(directory, 0o775)
    })
}
