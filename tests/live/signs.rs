//! Signs that whoever starts a program chooses: the script, the arguments, the environment. They are known before
//! the program's first instruction, like the others.

use std::{
    ffi::OsString,
    fs::{self, Permissions},
    os::unix::{ffi::OsStringExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::ensure;
use driftwatch_tests::{
    Ground, Outcome, Scenario, Tally,
    child::{Running, run},
};

use crate::{
    claims::{SOON, alone, same},
    recognition::{FEW, ends, seen_by},
};

/// Shells under names of their own, and scripts that read the secret.
struct Stage {
    scenario: Scenario,
    node: PathBuf,
    tool: PathBuf,
}

impl Stage {
    fn new(signs: &str) -> anyhow::Result<Self> {
        let ground = Ground::new()?;
        let (node, tool) = (ground.actor_at("bin/node")?, ground.actor_at("bin/tool")?);
        fs::copy("/bin/sh", &node)?;
        fs::copy("/bin/sh", &tool)?;
        for directory in ["lib", "home/work"] {
            fs::create_dir_all(ground.path(directory))?;
        }
        Ok(Self { scenario: Scenario::start_file(ground, &seen_by(signs))?, node, tool })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scenario.ground.path(name)
    }

    /// What reads the secret, for a shell.
    fn read(&self) -> String {
        format!("read line < '{}'", self.scenario.ground.secret().display())
    }

    /// A script that reads the secret.
    fn script(&self, name: impl Into<OsString>, first_line: &str) -> anyhow::Result<PathBuf> {
        let place = self.path("lib").join(name.into());
        fs::write(&place, format!("{first_line}\n{}\n", self.read()))?;
        fs::set_permissions(&place, Permissions::from_mode(0o755))?;
        Ok(place)
    }

    /// A shell that reads the secret, and has these words behind.
    fn shell(&self, words: &[&[u8]]) -> Command {
        let mut command = Command::new(&self.tool);
        command.args(["-c", &self.read(), "name"]);
        command.args(words.iter().map(|word| OsString::from_vec(word.to_vec())));
        command
    }

    /// Each start of the command is killed where the process is an agent, and done where it is none.
    fn is(&self, what: &str, agent: bool, command: impl Fn() -> Command) -> anyhow::Result<()> {
        let tally = if agent { Tally::all_killed(FEW) } else { Tally::all_done(FEW) };
        ends(what, tally, || Ok(command()))
    }
}

fn started(program: &Path, directory: &Path, words: &[&Path]) -> Command {
    let mut command = Command::new(program);
    command.args(words).current_dir(directory);
    command
}

#[test]
fn an_agent_is_recognised_by_the_script_that_an_interpreter_is_started_on() -> anyhow::Result<()> {
    let _alone = alone();
    let stage = Stage::new("any: [{ script: '/tmp/driftwatch-test-*/lib/agent*' }]")?;
    let agent = stage.script("agent.js", "")?;
    let odd = stage.script(OsString::from_vec(b"agent \xff\n.js".to_vec()), "")?;
    let other = stage.script("other.js", "")?;
    let (node, work, root) = (&stage.node, stage.path("home/work"), PathBuf::from("/"));
    let long = format!("{}lib/agent.js", "../".repeat(3));
    let from_root = agent.strip_prefix("/")?.to_owned();
    for (what, directory, words) in [
        ("by its whole path", &root, vec![&*agent]),
        ("by an odd name", &root, vec![&*odd]),
        ("behind options", &root, vec![Path::new("-u"), Path::new("--"), &agent]),
        ("in its directory", &stage.path("lib"), vec![Path::new("agent.js")]),
        ("below", &stage.path(""), vec![Path::new("./lib//agent.js")]),
        ("above", &work, vec![Path::new("../.././lib/agent.js")]),
        ("through another", &work, vec![Path::new("../../home/../lib/agent.js")]),
        ("in the root", &root, vec![&*from_root]),
        ("beyond the root", &root, vec![&*Path::new("../../").join(&from_root)]),
    ] {
        stage.is(what, true, || started(node, directory, &words))?;
    }
    let read = stage.read();
    // As a name it would be one of an agent.
    let command = Path::new(r#"lib/agent; read line < "$SECRET""#);
    let below = stage.path("");
    for (what, program, directory, words) in [
        ("another script", node, &root, vec![&*other]),
        ("another program", &stage.tool, &root, vec![&*agent]),
        ("a command", node, &below, vec![Path::new("-c"), command]),
        ("a command behind options", node, &below, vec![Path::new("-uc"), command]),
        ("not the first", node, &root, vec![&*other, &agent]),
        ("another directory", node, &stage.path("lib"), vec![&*other, Path::new("agent.js")]),
        (
            "behind a command",
            node,
            &work,
            vec![Path::new("-c"), Path::new(&read), Path::new(&long)],
        ),
    ] {
        stage.is(what, false, || {
            let mut command = started(program, directory, &words);
            command.env("SECRET", stage.scenario.ground.secret());
            command
        })?;
    }
    // A program that lies where a script is looked for is none.
    let program = stage.path("lib/agent-tool");
    fs::copy("/bin/sh", &program)?;
    stage.is("the program itself", false, || {
        started(&program, &root, &[Path::new("-c"), Path::new(&read)])
    })?;
    let alerts = stage.scenario.wait_for_alerts(u64::from(FEW) * 9, SOON)?;
    same("agent", alerts[0].agent(), "seen-agent")
}

#[test]
fn an_agent_is_recognised_by_the_script_that_the_kernel_found_an_interpreter_for()
-> anyhow::Result<()> {
    let _alone = alone();
    let stage = Stage::new("any: [{ script: '/tmp/driftwatch-test-*/lib/agent*' }]")?;
    let through_tool = format!("#!{}", stage.tool.display());
    let agent = stage.script("agent", "#!/bin/sh")?;
    let unknown = stage.script("agent-too", &through_tool)?;
    let with_word = stage.script("agent-x", "#!/usr/bin/env -S sh -u")?;
    let other = stage.script("other", "#!/bin/sh")?;
    let root = Path::new("/");
    stage.is("a shell script", true, || started(&agent, root, &[]))?;
    stage.is("of an interpreter that nobody knows", true, || started(&unknown, root, &[]))?;
    stage.is("through env", true, || started(&with_word, root, &[]))?;
    let above = stage.path("home/work");
    let relative = Path::new("../../lib/agent");
    stage.is("by a relative name", true, || started(relative, &above, &[]))?;
    stage.is("another", false, || started(&other, root, &[]))?;
    stage.is("given to another", false, || started(&other, root, &[&agent]))
}

#[test]
fn an_agent_is_recognised_by_its_arguments() -> anyhow::Result<()> {
    let _alone = alone();
    let stage = Stage::new("any: [{ args: ['-c', '*', '*', '--agent', 'a*', '**'] }]")?;
    let long = vec![b'a'; 5_000];
    let too_long = vec![b'a'; 17_000];
    for (what, agent, words) in [
        ("two words", true, vec![&b"--agent"[..], b"a"]),
        ("odd bytes", true, vec![b"--agent", b"a\xff\n\x01", b""]),
        ("5,000 bytes", true, vec![b"--agent", &long, b"x"]),
        ("an empty word", false, vec![b"--agent", b"", b"a"]),
        ("one word", false, vec![b"--agent a"]),
        ("another word", false, vec![b"--agent", b"b"]),
        ("no words", false, vec![]),
        ("more than is looked at", false, vec![b"--agent", b"a", &too_long]),
    ] {
        stage.is(what, agent, || stage.shell(&words))?;
    }
    let counted = stage.scenario.daemon.counter("arguments_too_long")?;
    ensure!(counted >= u64::from(FEW), "{counted} were counted");
    Ok(())
}

#[test]
fn an_agent_is_recognised_by_its_environment() -> anyhow::Result<()> {
    let _alone = alone();
    let signs = "any: [{ env: [ODD_AGENT=1, ODD_NAME, 'ODD_KIND=claude-*'] }]";
    let stage = Stage::new(signs)?;
    let with = |variables: &[(&str, Vec<u8>)]| {
        let mut command = stage.shell(&[]);
        command.env_clear();
        let value = |bytes: &Vec<u8>| OsString::from_vec(bytes.clone());
        command.envs(variables.iter().map(|(name, bytes)| (*name, value(bytes))));
        command
    };
    let (half, most) = (vec![b'x'; 60_000], vec![b'x'; 120_000]);
    let text = |text: &str| text.as_bytes().to_vec();
    for (what, agent, variables) in [
        ("a value", true, vec![("ODD_AGENT", text("1"))]),
        ("a name", true, vec![("ODD_NAME", text(""))]),
        ("an odd value", true, vec![("ODD_NAME", b"\xff\n\x01".to_vec())]),
        ("a pattern", true, vec![("ODD_KIND", text("claude-code"))]),
        ("among others", true, vec![("ODD", text("=")), ("ODD_NAME", text("x")), ("Z", text(""))]),
        ("near", true, vec![("ODD_KIND", text("claude")), ("ODD_NAME", text("x"))]),
        ("behind 60,000 bytes", true, vec![("A", half.clone()), ("ODD_NAME", text("x"))]),
        ("another value", false, vec![("ODD_AGENT", text("11"))]),
        ("an empty value", false, vec![("ODD_AGENT", text(""))]),
        ("a longer name", false, vec![("ODD_NAMES", text("1")), ("AN_ODD_NAME", text("1"))]),
        ("in a value", false, vec![("A", text("\nODD_NAME=1"))]),
        ("another pattern", false, vec![("ODD_KIND", text("claude"))]),
        ("none", false, vec![]),
        ("beyond all", false, vec![("A", most), ("B", half), ("ODD_NAME", text("x"))]),
    ] {
        stage.is(what, agent, || with(&variables))?;
    }
    let counted = stage.scenario.daemon.counter("environment_unknown")?;
    ensure!(counted >= u64::from(FEW), "{counted} were counted");
    // Whoever has inherited the sign is the same agent of the same session.
    let tool = stage.tool.display();
    let mut inherits = Command::new(&stage.tool);
    inherits.args(["-c", &format!("{tool} -c \"{}\"; exit $(($? != 137))", stage.read())]);
    inherits.env("ODD_NAME", "1");
    let before = stage.scenario.alerts()?.len();
    ensure!(run(&mut inherits)?.outcome() == Outcome::Done, "a child reads");
    let more = u64::try_from(before)? + 1;
    let alerts = stage.scenario.wait_for_alerts(more, SOON)?;
    let last = alerts.last().map_or(0, |alert| alert.ancestry().len());
    same("in the line of the last", last, 2)
}

#[test]
fn an_agent_that_was_there_before_is_recognised_by_the_same_signs() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let (node, go) = (ground.actor_at("bin/node")?, ground.path("go"));
    fs::copy("/bin/sh", &node)?;
    let read = format!(
        "until [ -e '{}' ]; do sleep 0.02; done; read line < '{}'",
        go.display(),
        ground.secret().display()
    );
    let script = ground.path("odd-agent.js");
    fs::write(&script, &read)?;
    let of = |words: &[&str], variable: &str| {
        let mut command = Command::new(&node);
        command.args(words).env(variable, "1");
        Running::start(&mut command)
    };
    let name = script.display().to_string();
    let agents = [
        of(&[&name], "A")?,
        of(&["-c", &read, "odd", "words"], "A")?,
        of(&["-c", &read], "ODD_AGENT")?,
    ];
    let others =
        [of(&["-c", &read, "odd", "word"], "A")?, of(&["-c", &read, &name], "ODD_AGENTS")?];
    thread::sleep(Duration::from_millis(400));
    let signs =
        "any: [{ script: '**/odd-agent.js' }, { args: '-c * odd words' }, { env: [ODD_AGENT] }]";
    let _scenario = Scenario::start_file(ground, &seen_by(signs))?;
    fs::write(&go, "")?;
    for (number, agent) in agents.into_iter().enumerate() {
        let ended = agent.wait()?;
        ensure!(ended.outcome() == Outcome::Killed, "agent {number}: {ended:?}");
    }
    for (number, other) in others.into_iter().enumerate() {
        let ended = other.wait()?;
        ensure!(ended.outcome() == Outcome::Done, "other {number}: {ended:?}");
    }
    Ok(())
}
