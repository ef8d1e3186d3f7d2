//! Record: every act of an agent is in the file and none is refused; what was recorded can be judged.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use driftwatch_tests::{
    AGENT, Act, Ended, Ground, TcpCanary, UdpCanary, child, programs, scenario::rule_file,
};
use monitor::recording::{self, Deed, Entry, Recording};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    claims::{SECRETS_KILL, SOON, alone, same},
    faults::{Host, SmallDisk, host_is_as_before},
};

/// The recorder's command line, up to the command.
fn recorder(rules: Option<&Path>, out: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(programs::driftwatch()?);
    command.arg("record").arg("--out").arg(out);
    if let Some(rules) = rules {
        command.arg("--rules").arg(rules);
    }
    Ok(command)
}

/// The shell does one act after the other; the last one becomes it.
fn script(acts: &[Act]) -> anyhow::Result<String> {
    let line = |act: &Act| -> anyhow::Result<String> {
        let command = act.command()?;
        let words: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).collect();
        let quoted = words.iter().map(|word| format!("'{}'", word.display()));
        Ok(quoted.collect::<Vec<_>>().join(" "))
    };
    Ok(acts.iter().map(line).collect::<anyhow::Result<Vec<_>>>()?.join("\n"))
}

/// Does the acts as the agent, under a recorder.
fn record(rules: Option<&Path>, out: &Path, acts: &[Act]) -> anyhow::Result<Ended> {
    let mut command = recorder(rules, out)?;
    command.args(["--agent", AGENT, "--", "/bin/sh", "-c"]).arg(script(acts)?);
    child::run(&mut command)
}

fn read(out: &Path) -> anyhow::Result<Recording> {
    Ok(recording::read(&fs::read_to_string(out)?)?)
}

fn rules_file(ground: &Ground, rules: &str) -> anyhow::Result<PathBuf> {
    let file = ground.path("rules.yaml");
    fs::write(&file, rule_file(rules))?;
    Ok(file)
}

fn path(deed: &Deed) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let text = match deed {
        Deed::Exec { path, .. } | Deed::Read { path } | Deed::Write { path } => path.as_ref()?,
        Deed::Connect { .. } | Deed::Listen { .. } | Deed::Privilege { .. } => return None,
    };
    Some(std::ffi::OsStr::from_bytes(&text.0).into())
}

/// The paths of one kind of act, in order, below a directory.
fn paths(recording: &Recording, act: monitor_common::Act, below: &Path) -> Vec<PathBuf> {
    let is_it = |entry: &&Entry| entry.deed.act() == act;
    let paths = recording.entries.iter().filter(is_it).filter_map(|entry| path(&entry.deed));
    paths.filter(|path| path.starts_with(below)).collect()
}

fn peers(recording: &Recording) -> Vec<(SocketAddr, u16)> {
    let peer = |entry: &Entry| match entry.deed {
        Deed::Connect { address, port, protocol, .. } => Some(((address, port).into(), protocol)),
        _ => None,
    };
    recording.entries.iter().filter_map(peer).collect()
}

/// What `driftwatch replay` finds in the recording under these rules.
fn replayed(ground: &Ground, out: &Path, rules: &str) -> anyhow::Result<Value> {
    let file = ground.path("judged-by.yaml");
    fs::write(&file, rule_file(rules))?;
    let mut command = Command::new(programs::driftwatch()?);
    command.arg("replay").arg(out).arg("--rules").arg(file).args(["-o", "json"]);
    let ended = child::run(&mut command)?;
    serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))
}

#[test]
fn what_an_agent_does_is_recorded_and_a_replay_names_the_one_act_that_is_forbidden()
-> anyhow::Result<()> {
    let _alone = alone();
    let before = Host::look()?;
    let ground = Ground::new()?;
    let (listener, receiver) = (TcpCanary::bind("127.0.0.1:0")?, UdpCanary::bind("127.0.0.1:0")?);
    let rules = rules_file(&ground, SECRETS_KILL)?;
    let marker = ground.path("marker");
    let acts = [
        Act::read(&ground.notes()),
        Act::read(&ground.secret()),
        Act::marker(&ground.dropped(), &marker),
        Act::connect(listener.address()),
        Act::send(receiver.address()),
    ];
    let out = ground.path("acts.jsonl");
    let ended = record(Some(&rules), &out, &acts)?;
    ensure!(ended.status.success(), "{ended:?}");
    ensure!(ended.stderr.contains("nothing was lost"), "{}", ended.stderr);
    host_is_as_before(&before)?;
    // A rule that kills killed nobody.
    ensure!(marker.exists(), "the program has not run");
    same("connections", listener.wait_for(1)?, 1)?;
    same("datagrams", receiver.wait_for(1)?, 1)?;

    let recording = read(&out)?;
    let here = ground.path("home");
    let opened = paths(&recording, monitor_common::Act::Read, &here);
    ensure!(opened == [ground.notes(), ground.secret()], "{opened:?}");
    let dropped = paths(&recording, monitor_common::Act::Exec, &ground.path("dropped"));
    ensure!(dropped == [ground.dropped()], "{dropped:?}");
    let named = peers(&recording);
    ensure!(named == [(listener.address(), 6), (receiver.address(), 17)], "{named:?}");
    who_did_it(&recording, &ground)?;

    for (rule, object) in [
        (SECRETS_KILL.to_owned(), ground.secret().display().to_string()),
        (
            format!(
                "  - {{ id: peer, title: t, agents: [{AGENT}], connect: {{ never: ['{}'] }}, action: deny }}\n",
                receiver.address()
            ),
            format!("{}/udp", receiver.address()),
        ),
    ] {
        let found = replayed(&ground, &out, &rule)?;
        let differences = found["differences"].as_array().context("a list")?;
        // The secret was recorded under a rule that alerted: without that rule, this differs as well.
        let stops = |one: &&Value| one["now"] == "kill" || one["now"] == "deny";
        let stopping: Vec<_> = differences.iter().filter(stops).collect();
        ensure!(stopping.len() == 1 && stopping[0]["object"] == *object, "{found:#}");
        same("stopped sessions", found["stopped"]["count"].as_u64().unwrap_or(0), 1)?;
    }
    Ok(())
}

/// One session begins with the shell; a program start is its starter's act.
fn who_did_it(recording: &Recording, ground: &Ground) -> anyhow::Result<()> {
    let actor = programs::actor()?;
    let first = recording.entries.first().context("no entry")?;
    ensure!(matches!(first.deed, Deed::Exec { root: true, .. }), "{first:?}");
    for entry in &recording.entries {
        same("session", &entry.session, &first.session)?;
        ensure!(entry.agents == [AGENT], "{entry:?}");
        let begins = matches!(entry.deed, Deed::Exec { root: true, .. });
        ensure!(begins == (entry == first), "{entry:?}");
        if path(&entry.deed) == Some(ground.dropped()) {
            let exe = entry.exe.as_ref().map(|exe| exe.lossy().into_owned());
            ensure!(exe.as_deref().map(Path::new) == Some(&actor), "{entry:?}");
        }
        if path(&entry.deed) == Some(ground.secret()) {
            same("verdict", entry.verdict.as_str(), "alert")?;
        }
    }
    Ok(())
}

#[test]
fn a_command_needs_no_rules_and_its_exit_code_is_passed_on() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let out = ground.path("acts.jsonl");
    let mut command = recorder(None, &out)?;
    command.args(["--agent", "nobody-knows", "--", "/bin/sh", "-c", "exit 42"]);
    let ended = child::run(&mut command)?;
    same("exit code", ended.status.code().unwrap_or(-1), 42)?;
    let agents = read(&out)?.entries.first().map(|entry| entry.agents.clone());
    ensure!(agents == Some(vec!["nobody-knows".to_owned()]), "{agents:?}");
    // The file is there now, and stays what it is.
    let length = fs::metadata(&out)?.len();
    let ended = child::run(&mut command)?;
    same("exit code", ended.status.code().unwrap_or(-1), 1)?;
    ensure!(ended.stderr.contains("is there already"), "{}", ended.stderr);
    same("length", fs::metadata(&out)?.len(), length)?;

    let nowhere = ground.path("nowhere.jsonl");
    let mut command = recorder(None, &nowhere)?;
    command.args(["--agent", "nobody-knows", "--", "/nowhere/no-such-command"]);
    let ended = child::run(&mut command)?;
    same("exit code", ended.status.code().unwrap_or(-1), 127)?;
    ensure!(!nowhere.exists(), "an empty recording is left");
    Ok(())
}

#[test]
fn a_signal_ends_a_recording_and_leaves_nothing_attached() -> anyhow::Result<()> {
    let _alone = alone();
    for signal in [Signal::INT, Signal::TERM] {
        let before = Host::look()?;
        let ground = Ground::new()?;
        let actor = ground.actor_at("agents/watched")?;
        let rules = ground.path("rules.yaml");
        fs::write(&rules, recognised(&actor))?;
        let out = ground.path("acts.jsonl");
        let complaints = ground.path("stderr");
        let mut command = recorder(Some(&rules), &out)?;
        command.stdin(Stdio::null()).stderr(fs::File::create(&complaints)?);
        let mut recorder = child::start_bound(&mut command)?;
        let ready = child::wait_until(SOON, || {
            Ok(fs::read_to_string(&complaints)?.contains("recording to").then_some(()))
        })?;
        // Nobody started it as an agent: it is known by its executable.
        let mut read_notes = Command::new(&actor);
        read_notes.arg("read").arg(ground.notes());
        let acted = child::run(&mut read_notes)?;
        let pid = i32::try_from(recorder.id()).ok().and_then(Pid::from_raw).context("a pid")?;
        kill_process(pid, signal)?;
        let status = child::wait_at_most(&mut recorder, SOON)?;
        child::end_group(&mut recorder);
        ready.context("it does not begin")?;
        ensure!(acted.status.success(), "{acted:?}");
        let said = fs::read_to_string(&complaints)?;
        ensure!(status.is_some_and(|status| status.success()), "{status:?}: {said}");
        ensure!(said.contains("of 1 session of watched; nothing was lost"), "{said}");
        host_is_as_before(&before)?;
        let opened = paths(&read(&out)?, monitor_common::Act::Read, &ground.path("home"));
        ensure!(opened == [ground.notes()], "{opened:?}");
    }
    Ok(())
}

/// An agent that is known by its executable, and that is killed wherever it reads.
fn recognised(exe: &Path) -> String {
    format!(
        "version: 1\nmode: enforce\nagents:\n  watched: {{ any: [{{ exe: {} }}] }}\nrules:\n  - {{ id: none, title: t, \
         agents: [watched], read: {{ never: [\"/**\"] }}, action: kill }}\n",
        exe.display()
    )
}

#[test]
fn a_full_disk_ends_a_recording_with_whole_lines() -> anyhow::Result<()> {
    let _alone = alone();
    let before = Host::look()?;
    let ground = Ground::new()?;
    // More acts than the small disk has room for.
    let reads = Act::opens(&ground.notes(), 5_000);
    let disk = SmallDisk::mount()?;
    let out = disk.path("acts.jsonl");
    let ended = record(None, &out, &[reads])?;
    same("exit code", ended.status.code().unwrap_or(-1), 1)?;
    ensure!(ended.stderr.contains("the recording ends early"), "{}", ended.stderr);
    ensure!(ended.stderr.contains("No space left on device"), "{}", ended.stderr);
    let text = fs::read_to_string(&out)?;
    ensure!(text.ends_with('\n'), "a torn line is left");
    let entries = read(&out)?.entries.len();
    ensure!(entries > 100, "only {entries} entries");
    ensure!(ended.stderr.contains(&format!("{entries} acts")), "{entries}: {}", ended.stderr);
    drop(disk);
    host_is_as_before(&before)
}
