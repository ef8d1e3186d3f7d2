//! Loads: code that is mapped from a place where nothing may be run is dead before its first instruction.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use driftwatch_tests::{Act, Ground, Scenario, Tally, ground::bytes_in};

use crate::claims::{TIMES, agent_ends, alerts_tell, alone, same, twin_is_left_alone};

const DROPPED_DIES: &str = "
  - id: dropped-code-is-shut
    title: Agent ran dropped code
    agents: [test-agent]
    exec: { never: ['/tmp/driftwatch-test-*/dropped/**'] }
    action: kill
    severity: high
";

/// Counts in the number that it is handed: `lock inc dword ptr [rdi]`, `ret`.
const CODE: [u8; 4] = [0xf0, 0xff, 0x07, 0xc3];

fn planted(ground: &Ground) -> anyhow::Result<PathBuf> {
    let file = ground.path("dropped/code");
    fs::write(&file, CODE)?;
    Ok(file)
}

/// A library that the tests themselves have loaded, at a place where nothing may be run.
fn library(ground: &Ground) -> anyhow::Result<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let names = maps.lines().filter_map(|line| line.split_whitespace().last());
    let known =
        names.into_iter().find(|name| name.contains("/libgcc_s.so") || name.contains("/libm.so"));
    let file = ground.path("dropped/library.so");
    fs::copy(known.context("a library of the tests")?, &file)?;
    Ok(file)
}

/// No code of the file runs in the agent, in none of 200 attempts; the untagged twin runs it each time.
fn never_runs(
    rules: &str,
    ways: &[&str],
    plant: impl FnOnce(&Ground) -> anyhow::Result<PathBuf>,
) -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, rules)?;
    let file = plant(&scenario.ground)?;
    let mut told = 0;
    for how in ways {
        let load = Act::load(&file).how(how);
        let trace = scenario.ground.trace("agent")?;
        agent_ends(&scenario, &load.clone().traced(&trace), Tally::all_killed(TIMES))
            .with_context(|| (*how).to_owned())?;
        same("runs of the code", trace.returns()?, 0)?;
        told += TIMES;
        for alert in alerts_tell(&scenario, told, "exec", "dropped-code-is-shut", "kill")? {
            same("kind of object", alert.text("/object/kind"), "executable")?;
            same("loaded", alert.text("/object/way"), "loaded")?;
            // Memory has no place in any directory.
            let path = if *how == "memfd" { "/".into() } else { file.clone() };
            same("path", alert.text("/object/path"), &path.display().to_string())?;
        }
        let trace = scenario.ground.trace("twin")?;
        twin_is_left_alone(&load.traced(&trace))?;
        same("runs of the code in the twin", trace.returns()?, TIMES)?;
    }
    let status = scenario.daemon.status()?;
    same("disagreements", status["events"]["disagreements"].as_u64().unwrap_or(1), 0)
}

#[test]
fn code_that_is_mapped_never_runs() -> anyhow::Result<()> {
    let ways = ["mmap", "int80", "personality", "mprotect", "mprotect-behind"];
    never_runs(DROPPED_DIES, &ways, planted)
}

#[test]
fn a_library_never_runs() -> anyhow::Result<()> {
    never_runs(DROPPED_DIES, &["dlopen"], library)
}

fn word_dies(word: &str) -> String {
    DROPPED_DIES.replace("'/tmp/driftwatch-test-*/dropped/**'", word)
}

#[test]
fn code_in_memory_that_has_a_file_never_runs() -> anyhow::Result<()> {
    never_runs(&word_dies("memfd"), &["memfd"], planted)
}

#[test]
fn code_that_anybody_may_write_never_runs() -> anyhow::Result<()> {
    never_runs(&word_dies("writable"), &["mmap"], |ground| {
        let file = planted(ground)?;
        fs::set_permissions(&file, Permissions::from_mode(0o757))?;
        Ok(file)
    })
}

/// The loader is started, which nobody forbids, and maps the program that it is told.
#[test]
fn a_program_that_the_dynamic_loader_runs_never_runs() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, DROPPED_DIES)?;
    let loader = Path::new("/lib64/ld-linux-x86-64.so.2");
    ensure!(loader.exists(), "this host has another dynamic loader");
    let dropped = scenario.ground.dropped();
    let exec = |marker: &Path| {
        Act::exec(loader).words([dropped.as_os_str(), "marker".as_ref(), marker.as_os_str()])
    };

    let marker = scenario.ground.path("marker-of-the-agent");
    agent_ends(&scenario, &exec(&marker), Tally::all_killed(TIMES))?;
    same("markers of the agent", bytes_in(&marker), 0)?;
    for alert in alerts_tell(&scenario, TIMES, "exec", "dropped-code-is-shut", "kill")? {
        same("path", alert.text("/object/path"), &dropped.display().to_string())?;
        same("loaded", alert.text("/object/way"), "loaded")?;
    }

    let marker = scenario.ground.path("marker-of-the-twin");
    twin_is_left_alone(&exec(&marker))?;
    same("markers of the twin", bytes_in(&marker), u64::from(TIMES))
}

/// A list of permitted programs does not name what they load.
#[test]
fn a_list_of_permitted_programs_is_not_about_what_they_load() -> anyhow::Result<()> {
    let _alone = alone();
    let only =
        DROPPED_DIES.replace("never: ['/tmp/driftwatch-test-*/dropped/**']", "only: [actor]");
    let scenario = Scenario::start(Ground::new()?, &only)?;
    let file = planted(&scenario.ground)?;
    for how in ["mmap", "mprotect", "memfd"] {
        agent_ends(&scenario, &Act::load(&file).how(how), Tally::all_done(TIMES))?;
    }
    agent_ends(
        &scenario,
        &Act::load(&library(&scenario.ground)?).how("dlopen"),
        Tally::all_done(TIMES),
    )?;
    same("alerts", scenario.alerts()?.len(), 0)?;
    same("mappings unread", scenario.daemon.counter("mapping_unreadable")?, 0)
}

/// What lies elsewhere is loaded, and so is what is only looked at.
#[test]
fn code_that_no_rule_names_runs() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, DROPPED_DIES)?;
    let file = scenario.ground.path("home/code");
    fs::write(&file, CODE)?;
    let trace = scenario.ground.trace("agent")?;
    for how in ["mmap", "mprotect", "personality"] {
        agent_ends(&scenario, &Act::load(&file).how(how).traced(&trace), Tally::all_done(TIMES))?;
    }
    same("runs of the code", trace.returns()?, 3 * TIMES)?;
    let dropped = planted(&scenario.ground)?;
    agent_ends(&scenario, &Act::read(&dropped), Tally::all_done(TIMES))?;
    same("alerts", scenario.alerts()?.len(), 0)
}
