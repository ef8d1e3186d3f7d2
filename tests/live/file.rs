//! Files: who opens what is shut is dead before its next instruction, whichever way it was opened.

use std::{fs, os::unix::fs::MetadataExt};

use anyhow::{Context, ensure};
use driftwatch_tests::{Act, Ground, Outcome, Scenario, Tally, ground::SECRET, twin};

use crate::claims::{
    SECRETS_KILL, TIMES, agent_ends, alerts_tell, alone, nothing_came_of_it, prevents, same,
    twin_is_left_alone,
};

fn read_is_killed(how: &str) -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;
    let read = Act::read(&scenario.ground.secret()).how(how);

    let trace = scenario.ground.trace("agent")?;
    agent_ends(&scenario, &read.clone().traced(&trace), Tally::all_killed(TIMES))?;
    nothing_came_of_it(&trace)?;
    alerts_tell(&scenario, TIMES, "read", "secrets-are-shut", "kill")?;

    let trace = scenario.ground.trace("twin")?;
    twin_is_left_alone(&read.traced(&trace))?;
    same("returns of the twin", trace.returns()?, TIMES)
}

#[test]
fn each_of_200_sessions_is_killed_with_nothing_leaked() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;
    let (agent, other) = (scenario.ground.trace("agent")?, scenario.ground.trace("twin")?);
    let (mut agents, mut twins) = (Tally::default(), Tally::default());
    let read = Act::read(&scenario.ground.secret()).how("open");
    for _ in 0..TIMES {
        agents.count(scenario.agent(&read.clone().traced(&agent))?.outcome());
        twins.count(twin(&read.clone().traced(&other))?.outcome());
    }
    same("the agent", agents, Tally::all_killed(TIMES))?;
    nothing_came_of_it(&agent)?;
    same("the twin", twins, Tally::all_done(TIMES))?;
    same("bytes of the twin", other.leaked_bytes()?, u64::from(TIMES) * SECRET.len() as u64)?;
    alerts_tell(&scenario, TIMES, "read", "secrets-are-shut", "kill").map(drop)
}

#[test]
fn open_is_killed_before_the_next_instruction() -> anyhow::Result<()> {
    read_is_killed("open")
}

#[test]
fn openat_is_killed_before_the_next_instruction() -> anyhow::Result<()> {
    read_is_killed("openat")
}

#[test]
fn openat2_is_killed_before_the_next_instruction() -> anyhow::Result<()> {
    read_is_killed("openat2")
}

#[test]
fn an_open_by_handle_is_killed_before_the_next_instruction() -> anyhow::Result<()> {
    read_is_killed("handle")
}

#[test]
fn an_open_through_the_32_bit_gate_is_killed_before_the_next_instruction() -> anyhow::Result<()> {
    read_is_killed("int80")
}

#[test]
fn an_open_through_a_symbolic_link_is_killed_before_the_next_instruction() -> anyhow::Result<()> {
    read_is_killed("symlink")
}

#[test]
fn an_open_through_proc_self_root_is_killed_before_the_next_instruction() -> anyhow::Result<()> {
    read_is_killed("proc-root")
}

#[test]
fn an_io_uring_open_is_killed_before_the_next_instruction() -> anyhow::Result<()> {
    read_is_killed("io_uring")
}

#[test]
fn an_io_uring_open_by_a_worker_is_killed_before_the_next_instruction() -> anyhow::Result<()> {
    read_is_killed("io_uring-async")
}

#[test]
fn an_io_uring_open_by_the_polling_thread_is_killed_before_the_next_instruction()
-> anyhow::Result<()> {
    read_is_killed("io_uring-sqpoll")
}

#[test]
fn an_io_uring_open_into_a_direct_descriptor_is_killed_before_the_next_instruction()
-> anyhow::Result<()> {
    read_is_killed("io_uring-direct")
}

#[test]
fn an_io_uring_open_that_nobody_is_told_of_is_killed_before_it_is_done() -> anyhow::Result<()> {
    read_is_killed("io_uring-untold")
}

#[test]
fn an_io_uring_chain_of_open_and_read_leaks_nothing() -> anyhow::Result<()> {
    read_is_killed("io_uring-chain")
}

#[test]
fn an_io_uring_batch_of_open_and_read_leaks_nothing() -> anyhow::Result<()> {
    read_is_killed("io_uring-batch")
}

/// A limit of the react tier: the kill ends the process that opened, and a process of its own that shares
/// the table of descriptors keeps what was opened. What can be promised there is that every one of them is told.
#[test]
fn a_process_that_shares_the_descriptors_of_the_killed_one_is_told_of() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;
    let read = Act::read(&scenario.ground.secret()).how("shared-table");
    let trace = scenario.ground.trace("agent")?;
    let tally = scenario.agent(&read.clone().traced(&trace).times(TIMES))?.tally()?;
    if prevents(&scenario)? {
        // There is no descriptor that could be read from.
        same("processes that went on and got something", tally.done, 0)?;
        nothing_came_of_it(&trace)?;
    }
    alerts_tell(&scenario, TIMES, "read", "secrets-are-shut", "kill")?;
    twin_is_left_alone(&read)
}

/// The react tier acts when the call has been carried out. A thread that runs on another CPU in the
/// very moment between may read: what can be promised there is that it dies too, and that it is told.
#[test]
fn a_sibling_thread_that_waits_for_the_descriptor_dies_too() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;
    let read = Act::read(&scenario.ground.secret()).how("sibling-thread");
    let trace = scenario.ground.trace("agent")?;
    agent_ends(&scenario, &read.clone().traced(&trace), Tally::all_killed(TIMES))?;
    same("calls that came back", trace.returns()?, 0)?;
    if prevents(&scenario)? {
        nothing_came_of_it(&trace)?;
    }
    alerts_tell(&scenario, TIMES, "read", "secrets-are-shut", "kill")?;
    twin_is_left_alone(&read)
}

#[test]
fn an_alert_says_who_did_what_to_which_file_under_which_line() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;
    let secret = scenario.ground.secret();
    let agent = scenario.start_agent(&Act::read(&secret))?;
    let pid = u64::from(agent.pid());
    agent.wait()?;
    let alerts = alerts_tell(&scenario, 1, "read", "secrets-are-shut", "kill")?;
    let alert = alerts.first().context("an alert")?;
    same("pid", alert.pid(), pid)?;
    same("kind of object", alert.text("/object/kind"), "file")?;
    same("path", alert.text("/object/path"), &secret.display().to_string())?;
    same("inode", alert.number("/object/inode"), fs::metadata(&secret)?.ino())?;
    same("user", alert.text("/process/user"), "root")?;
    same("argument", alert.text("/process/argv/1"), "read")?;
    same("severity", alert.text("/rule/severity"), "critical")?;
    same("asked", alert.text("/asked"), "kill")?;
    ensure!(alert.text("/process/exe").ends_with("/actor"), "{alert:?}");
    ensure!(alert.text("/rule/file").ends_with("rules.yaml"), "{alert:?}");
    ensure!(alert.text("/rule/help").contains("short-lived"), "{alert:?}");
    Ok(())
}

#[test]
fn a_file_that_no_rule_names_is_read_by_the_agent() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;
    let trace = scenario.ground.trace("agent")?;
    let read = Act::read(&scenario.ground.notes()).traced(&trace);
    agent_ends(&scenario, &read, Tally::all_done(TIMES))?;
    same("returns", trace.returns()?, TIMES)?;
    same("alerts", scenario.alerts()?.len(), 0)
}

const NOTES_ARE_SEALED: &str = "
  - id: notes-are-sealed
    title: Agent changed the notes
    agents: [test-agent]
    write: { never: ['**/home/notes.txt'] }
    action: kill
    severity: high
";

#[test]
fn not_one_write_reaches_a_sealed_file() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, NOTES_ARE_SEALED)?;
    let before = fs::read(scenario.ground.notes())?;
    for how in ["open", "openat", "openat2", "io_uring"] {
        let write = Act::write(&scenario.ground.notes()).how(how);
        agent_ends(&scenario, &write, Tally::all_killed(TIMES))?;
    }
    ensure!(fs::read(scenario.ground.notes())? == before, "the file has changed");
    alerts_tell(&scenario, 4 * TIMES, "write", "notes-are-sealed", "kill")?;
    twin_is_left_alone(&Act::write(&scenario.ground.notes()))
}

#[test]
fn a_sealed_file_is_still_readable() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, NOTES_ARE_SEALED)?;
    agent_ends(&scenario, &Act::read(&scenario.ground.notes()), Tally::all_done(TIMES))
}

/// The react tier acts when the call has been carried out, and `creat` empties the file: what can be
/// promised there is that nothing new is written.
#[test]
fn creat_of_a_sealed_file_is_killed_before_it_writes() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, NOTES_ARE_SEALED)?;
    let trace = scenario.ground.trace("agent")?;
    let before = fs::read_to_string(scenario.ground.notes())?;
    let creat = Act::write(&scenario.ground.notes()).how("creat").traced(&trace);
    ensure!(scenario.agent(&creat)?.outcome() == Outcome::Killed, "the agent lives");
    nothing_came_of_it(&trace)?;
    let after = fs::read_to_string(scenario.ground.notes())?;
    ensure!(!after.contains("tampered"), "{after:?}");
    ensure!(!prevents(&scenario)? || after == before, "it was emptied: {after:?}");
    Ok(())
}
