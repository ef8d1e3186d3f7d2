//! Recognition: who shows the signs of an agent is one before its first act, and nobody else is.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use anyhow::Context;
use driftwatch_tests::{
    Act, Ground, Outcome, Scenario, Tally,
    cgroup::{ScratchCgroup, mount_point},
    child,
};

use crate::claims::{SOON, TIMES, alone, nothing_came_of_it, same};

/// Repetitions where each is a process of its own and the sign is what is claimed.
pub(crate) const FEW: u32 = 20;
/// A user that no host has an entry for.
const STRANGER: u32 = 61_234;

/// A rule file whose agent has these signs and may not read what is planted.
pub(crate) fn seen_by(signs: &str) -> String {
    format!(
        "version: 1\nmode: enforce\n\nagents:\n  seen-agent:\n    {signs}\n\nrules:
  - id: secrets-are-shut
    title: Agent read a planted credential
    agents: [seen-agent]
    read: {{ never: ['**/.aws/credentials'] }}
    action: kill
"
    )
}

/// Every start of the command ends as the tally says.
pub(crate) fn ends(
    what: &str,
    tally: Tally,
    command: impl Fn() -> anyhow::Result<Command>,
) -> anyhow::Result<()> {
    let mut came = Tally::default();
    for _ in 0..tally.done + tally.killed {
        came.count(child::run(&mut command()?)?.outcome());
    }
    same(what, came, tally)
}

/// The first of the programs is the agent, the others are none.
fn only_the_first_is_seen(ground: Ground, signs: &str, names: &[&str]) -> anyhow::Result<()> {
    let scenario = Scenario::start_file(ground, &seen_by(signs))?;
    let read = Act::read(&scenario.ground.secret());
    for (place, name) in names.iter().enumerate() {
        let actor = scenario.ground.actor_at(name)?;
        let tally = if place == 0 { Tally::all_killed(FEW) } else { Tally::all_done(FEW) };
        ends(name, tally, || Ok(read.command_of(&actor)))?;
    }
    let alerts = scenario.wait_for_alerts(u64::from(FEW), SOON)?;
    same("alerts", alerts.len(), FEW as usize)?;
    same("agent", alerts.first().context("an alert")?.agent(), "seen-agent")
}

#[test]
fn an_agent_is_recognised_before_its_first_act() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let actor = ground.actor_at("bin/agent")?;
    let signs = format!("any: [{{ exe: '{}' }}]", actor.display());
    let scenario = Scenario::start_file(ground, &seen_by(&signs))?;
    let trace = scenario.ground.trace("agent")?;
    let read = Act::read(&scenario.ground.secret()).how("open").traced(&trace);
    ends("the agent", Tally::all_killed(TIMES), || Ok(read.command_of(&actor)))?;
    nothing_came_of_it(&trace)?;
    let read = Act::read(&scenario.ground.secret());
    let twin = scenario.ground.dropped();
    ends("the twin", Tally::all_done(FEW), || Ok(read.command_of(&twin)))?;
    let alerts = scenario.wait_for_alerts(u64::from(TIMES), SOON)?;
    same("alerts", alerts.len(), TIMES as usize)?;
    for alert in &alerts {
        same("ancestors", alert.ancestry().len(), 1)?;
    }
    Ok(())
}

#[test]
fn an_agent_is_recognised_by_the_path_of_its_executable() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let signs = format!("any: [{{ exe: '{}' }}]", ground.path("bin/agent").display());
    only_the_first_is_seen(ground, &signs, &["bin/agent", "bin/agent-2", "bin/agen", "agent"])
}

#[test]
fn an_agent_is_recognised_by_a_glob_in_the_middle_of_a_path() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let signs = format!("any: [{{ exe: '{}/*/bin/agent-*' }}]", ground.directory().display());
    let names = ["v1/bin/agent-x", "v1/x/bin/agent-x", "bin/agent-x", "v1/bin/agent", "v1/agent-x"];
    only_the_first_is_seen(ground, &signs, &names)
}

#[test]
fn an_agent_is_recognised_by_name_at_any_depth() -> anyhow::Result<()> {
    let _alone = alone();
    let names = ["some/where/deep/odd-agent-name", "odd-agent-name.old", "odd-agent-name/tool"];
    only_the_first_is_seen(Ground::new()?, "any: [{ exe: '**/odd-agent-name' }]", &names)
}

#[test]
fn an_agent_is_recognised_below_a_home_directory() -> anyhow::Result<()> {
    let _alone = alone();
    let home = tempfile::Builder::new().prefix("driftwatch-test-").tempdir_in("/home")?;
    let ground = Ground::new()?;
    let signs = "any: [{ exe: '~/.local/bin/agent' }]";
    let (inside, deeper) = (home.path().join(".local/bin"), home.path().join("x/.local/bin"));
    let outside = ground.actor_at(".local/bin/agent")?;
    let scenario = Scenario::start_file(ground, &seen_by(signs))?;
    let read = Act::read(&scenario.ground.secret());
    for directory in [&inside, &deeper] {
        fs::create_dir_all(directory)?;
        fs::copy(&outside, directory.join("agent"))?;
    }
    ends("at home", Tally::all_killed(FEW), || Ok(read.command_of(&inside.join("agent"))))?;
    ends("deeper", Tally::all_done(FEW), || Ok(read.command_of(&deeper.join("agent"))))?;
    ends("elsewhere", Tally::all_done(FEW), || Ok(read.command_of(&outside)))
}

#[test]
fn an_agent_is_recognised_by_the_file_behind_a_link_and_not_by_the_name_of_the_link()
-> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let (agent, tool) = (ground.actor_at("bin/agent")?, ground.actor_at("bin/tool")?);
    let (to_agent, to_tool) = (ground.path("links/tool"), ground.path("links/agent"));
    fs::create_dir(ground.path("links"))?;
    symlink(&agent, &to_agent)?;
    symlink(&tool, &to_tool)?;
    let scenario = Scenario::start_file(ground, &seen_by("any: [{ exe: '**/agent' }]"))?;
    let read = Act::read(&scenario.ground.secret());
    ends("the agent", Tally::all_killed(FEW), || Ok(read.command_of(&to_agent)))?;
    ends("the tool", Tally::all_done(FEW), || Ok(read.command_of(&to_tool)))
}

#[test]
fn an_agent_is_recognised_by_its_cgroup() -> anyhow::Result<()> {
    let _alone = alone();
    let (cgroup, other) = (ScratchCgroup::new()?, ScratchCgroup::new()?);
    let name = cgroup.path().strip_prefix(mount_point()?)?.display().to_string();
    let glob = format!("/{}?{}", &name[..10], &name[11..]);
    let signs = format!("any: [{{ cgroup: '{glob}' }}]");
    let scenario = Scenario::start_file(Ground::new()?, &seen_by(&signs))?;
    let read = Act::read(&scenario.ground.secret());
    let actor = scenario.ground.dropped();
    let of = |cgroup: &ScratchCgroup| Ok(cgroup.inside(&read.command_of(&actor)));
    ends("inside", Tally::all_killed(FEW), || of(&cgroup))?;
    ends("in another", Tally::all_done(FEW), || of(&other))?;
    ends("outside", Tally::all_done(FEW), || Ok(read.command_of(&actor)))
}

fn as_stranger(mut command: Command) -> Command {
    command.uid(STRANGER).gid(STRANGER);
    command
}

#[test]
fn an_agent_is_recognised_by_the_number_of_its_user() -> anyhow::Result<()> {
    let _alone = alone();
    let signs = format!("any: [{{ user: [{STRANGER}] }}]");
    let scenario = Scenario::start_file(Ground::new()?, &seen_by(&signs))?;
    let read = Act::read(&scenario.ground.secret());
    let actor = scenario.ground.dropped();
    let of = || Ok(as_stranger(read.command_of(&actor)));
    ends("the stranger", Tally::all_killed(FEW), of)?;
    ends("root", Tally::all_done(FEW), || Ok(read.command_of(&actor)))?;
    let alerts = scenario.wait_for_alerts(u64::from(FEW), SOON)?;
    let alert = alerts.first().context("an alert")?;
    same("user", alert.number("/process/uid"), u64::from(STRANGER))
}

/// A setuid program acts as its owner, and the real user is who started it.
#[test]
fn an_agent_is_recognised_by_its_real_user() -> anyhow::Result<()> {
    let _alone = alone();
    let signs = format!("any: [{{ user: [{STRANGER}] }}]");
    let scenario = Scenario::start_file(Ground::new()?, &seen_by(&signs))?;
    let actor = scenario.ground.actor_at("bin/setuid-tool")?;
    fs::set_permissions(&actor, Permissions::from_mode(0o4755))?;
    let read = Act::read(&scenario.ground.secret());
    ends("the stranger", Tally::all_killed(FEW), || Ok(as_stranger(read.command_of(&actor))))?;
    ends("root", Tally::all_done(FEW), || Ok(read.command_of(&actor)))
}

#[test]
fn an_agent_with_two_signs_is_recognised_by_both_and_not_by_one() -> anyhow::Result<()> {
    let _alone = alone();
    let signs = format!("all: [{{ exe: '**/bin/agent' }}, {{ user: [{STRANGER}] }}]");
    let scenario = Scenario::start_file(Ground::new()?, &seen_by(&signs))?;
    let agent = scenario.ground.actor_at("bin/agent")?;
    let other = scenario.ground.dropped();
    let read = Act::read(&scenario.ground.secret());
    let stranger = |actor: &Path| Ok(as_stranger(read.command_of(actor)));
    ends("the user alone", Tally::all_done(FEW), || stranger(&other))?;
    ends("the executable alone", Tally::all_done(FEW), || Ok(read.command_of(&agent)))?;
    ends("both", Tally::all_killed(FEW), || stranger(&agent))
}

#[test]
fn a_child_of_nobody_becomes_an_agent_with_its_exec() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario =
        Scenario::start_file(Ground::new()?, &seen_by("any: [{ exe: '**/bin/agent' }]"))?;
    let agent = scenario.ground.actor_at("bin/agent")?;
    let secret = scenario.ground.secret();
    // The same process reads before and after it has become the agent.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", r#"read line < "$0" && exec "$1" read "$0""#]).arg(&secret).arg(&agent);
    let ended = child::run(&mut shell)?;
    anyhow::ensure!(ended.outcome() == Outcome::Killed, "{ended:?}");
    same("alerts", scenario.wait_for_alerts(1, SOON)?.len(), 1)
}
