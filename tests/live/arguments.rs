//! Arguments: a program that may be started, and may not be started like that.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use anyhow::ensure;
use driftwatch_tests::{Act, Ground, Scenario, Tally, ground::bytes_in};

use crate::claims::{TIMES, agent_ends, alerts_tell, alone, same, twin_is_left_alone};

/// The tool is a shell that leaves a mark: what comes after the file is for the rules alone.
const FORCE_IS_SHUT: &str = "
  - id: force-is-shut
    title: Agent forced a push
    agents: [test-agent]
    exec: { never: [{ path: '**/bin/tool', args: ['-c', '*', '*', push, '**', '--force*', '**'] }] }
    action: kill
";

const ONLY_STATUS: &str = "
  - id: only-status
    title: Agent started something else
    agents: [test-agent]
    exec: { only: [actor, { path: '**/bin/tool', args: ['-c', '*', '*', status] }] }
    action: kill
";

/// A tool that writes a byte into its first argument, started with these words behind it.
fn start(tool: &Path, marker: &Path, words: &[Vec<u8>]) -> Act {
    let act = Act::exec(tool).words([OsString::from("-c"), r#"printf m >> "$0""#.into()]);
    act.words([marker]).words(words.iter().cloned().map(OsString::from_vec))
}

fn words(text: &str) -> Vec<Vec<u8>> {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// A shell under another name, so that rules about it are about nobody else.
fn tool(ground: &Ground, name: &str) -> anyhow::Result<PathBuf> {
    let place = ground.actor_at(name)?;
    fs::copy("/bin/sh", &place)?;
    Ok(place)
}

fn disagreements(scenario: &Scenario) -> anyhow::Result<()> {
    let status = scenario.daemon.status()?;
    same("disagreements", status["events"]["disagreements"].as_u64().unwrap_or(1), 0)
}

#[test]
fn a_program_with_forbidden_arguments_never_runs_and_with_others_it_does() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, FORCE_IS_SHUT)?;
    let tool = tool(&scenario.ground, "bin/tool")?;
    let (shut, open) = (scenario.ground.path("shut"), scenario.ground.path("open"));
    let forced = start(&tool, &shut, &words("push origin --force-with-lease"));
    agent_ends(&scenario, &forced, Tally::all_killed(TIMES))?;
    same("marks of what is shut", bytes_in(&shut), 0)?;
    alerts_tell(&scenario, TIMES, "exec", "force-is-shut", "kill")?;
    let gentle = start(&tool, &open, &words("push origin"));
    agent_ends(&scenario, &gentle, Tally::all_done(TIMES))?;
    same("marks of what is open", bytes_in(&open), u64::from(TIMES))?;
    twin_is_left_alone(&forced)?;
    disagreements(&scenario)
}

#[test]
fn arguments_are_compared_byte_by_byte_however_odd_and_long() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, FORCE_IS_SHUT)?;
    let tool = tool(&scenario.ground, "bin/tool")?;
    let other = self::tool(&scenario.ground, "bin/tool-2")?;
    let odd = |word: &[u8]| word.to_vec();
    let long = vec![b'x'; 5_000];
    let cases: [(&str, &Path, Vec<Vec<u8>>, bool); 12] = [
        ("at once", &tool, words("push --force"), true),
        ("behind odd bytes", &tool, vec![odd(b"push"), odd(b"\xff\x01\n"), odd(b"--force")], true),
        ("behind nothing", &tool, vec![odd(b"push"), odd(b""), odd(b"--forced"), odd(b"")], true),
        ("behind 5,000 bytes", &tool, vec![odd(b"push"), long.clone(), odd(b"--force")], true),
        ("beyond what is looked at", &tool, vec![odd(b"fetch"), vec![b'x'; 17_000]], true),
        ("another program", &other, words("push --force"), false),
        ("another word", &tool, words("fetch --force"), false),
        ("one byte less", &tool, words("push --forc"), false),
        ("within a word", &tool, vec![odd(b"push"), odd(b"x --force")], false),
        ("not the first", &tool, vec![odd(b""), odd(b"push"), odd(b"--force")], false),
        ("5,000 bytes", &tool, vec![odd(b"push"), long], false),
        ("no words", &tool, Vec::new(), false),
    ];
    for (number, (what, program, words, shut)) in cases.into_iter().enumerate() {
        let marker = scenario.ground.path(&format!("marker-{number}"));
        let killed = Tally::all_killed(TIMES);
        let tally = if shut { killed } else { Tally::all_done(TIMES) };
        let act = start(program, &marker, &words);
        agent_ends(&scenario, &act, tally).map_err(|error| error.context(what))?;
        same(what, bytes_in(&marker), if shut { 0 } else { u64::from(TIMES) })?;
    }
    let counted = scenario.daemon.counter("arguments_too_long")?;
    ensure!(counted >= u64::from(TIMES), "{counted} were too long");
    disagreements(&scenario)
}

#[test]
fn a_program_that_is_approved_with_some_arguments_never_runs_with_others() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, ONLY_STATUS)?;
    let tool = tool(&scenario.ground, "bin/tool")?;
    for (number, (text, killed)) in
        [("status", false), ("status -v", true), ("stat", true)].into_iter().enumerate()
    {
        let marker = scenario.ground.path(&format!("marker-{number}"));
        let tally = if killed { Tally::all_killed(TIMES) } else { Tally::all_done(TIMES) };
        agent_ends(&scenario, &start(&tool, &marker, &words(text)), tally)?;
        same(text, bytes_in(&marker), if killed { 0 } else { u64::from(TIMES) })?;
    }
    disagreements(&scenario)
}
