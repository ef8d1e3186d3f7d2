//! Lineage: whatever a process does to itself, it stays in its session, and so do its descendants.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use anyhow::ensure;
use driftwatch_tests::{
    Act, Alert, Ground, Outcome, Scenario, Trace,
    cgroup::ScratchCgroup,
    ground::{SECRET, bytes_in},
    twin,
};

use crate::claims::{SECRETS_KILL, alerts_tell, alone, nothing_came_of_it, same};

/// The agent's descendant is killed when it reads the secret, its twin reads it.
fn keeps_the_tag(prepare: impl Fn(&Ground, &Trace) -> anyhow::Result<Act>) -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;

    let trace = scenario.ground.trace("agent")?;
    let ended = scenario.agent(&prepare(&scenario.ground, &trace)?)?;
    ensure!(ended.outcome() == Outcome::Killed, "the agent: {ended:?}");
    nothing_came_of_it(&trace)?;
    alerts_tell(&scenario, 1, "read", "secrets-are-shut", "kill")?;

    let trace = scenario.ground.trace("twin")?;
    let ended = twin(&prepare(&scenario.ground, &trace)?)?;
    ensure!(ended.outcome() == Outcome::Done, "the twin: {ended:?}");
    same("bytes of the twin", trace.leaked_bytes()?, SECRET.len() as u64)
}

fn keeps_the_tag_via(vias: &[&str]) -> anyhow::Result<()> {
    keeps_the_tag(|ground, trace| {
        let read = Act::read(&ground.secret()).traced(trace);
        Ok(vias.iter().fold(read, |act, via| act.via(via)))
    })
}

#[test]
fn a_new_session_leader_keeps_the_tag() -> anyhow::Result<()> {
    keeps_the_tag_via(&["setsid"])
}

#[test]
fn an_orphan_of_a_double_fork_keeps_the_tag() -> anyhow::Result<()> {
    keeps_the_tag_via(&["setsid", "double-fork"])
}

#[test]
fn the_ancestry_of_an_orphan_goes_up_to_the_root_of_the_agent() -> anyhow::Result<()> {
    /// The orphan, its dead parent, the session leader, the root.
    const GENERATIONS: usize = 4;
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;
    let read = Act::read(&scenario.ground.secret()).via("setsid").via("double-fork");
    let agent = scenario.start_agent(&read)?;
    let root = u64::from(agent.pid());
    agent.wait()?;
    let alerts = alerts_tell(&scenario, 1, "read", "secrets-are-shut", "kill")?;
    let ancestry = alerts.first().map(Alert::ancestry).unwrap_or_default();
    same("generations", ancestry.len(), GENERATIONS)?;
    same("root", ancestry.last().map_or(0, |(pid, _)| *pid), root)
}

#[test]
fn another_thread_keeps_the_tag() -> anyhow::Result<()> {
    keeps_the_tag_via(&["thread"])
}

#[test]
fn a_child_of_vfork_keeps_the_tag() -> anyhow::Result<()> {
    keeps_the_tag_via(&["vfork"])
}

#[test]
fn a_user_namespace_keeps_the_tag() -> anyhow::Result<()> {
    keeps_the_tag_via(&["unshare-user"])
}

#[test]
fn the_first_process_of_a_pid_namespace_keeps_the_tag() -> anyhow::Result<()> {
    keeps_the_tag_via(&["unshare-pid"])
}

#[test]
fn a_mount_namespace_keeps_the_tag() -> anyhow::Result<()> {
    keeps_the_tag_via(&["unshare-mount"])
}

#[test]
fn a_network_namespace_keeps_the_tag() -> anyhow::Result<()> {
    keeps_the_tag_via(&["unshare-net"])
}

#[test]
fn everything_one_after_the_other_keeps_the_tag() -> anyhow::Result<()> {
    keeps_the_tag_via(&[
        "unshare-user",
        "unshare-mount",
        "unshare-net",
        "unshare-pid",
        "setsid",
        "double-fork",
        "vfork",
        "thread",
    ])
}

#[test]
fn a_child_born_in_another_cgroup_keeps_the_tag() -> anyhow::Result<()> {
    let cgroup = ScratchCgroup::new()?;
    keeps_the_tag(|ground, trace| {
        Ok(Act::read(&ground.secret()).traced(trace).born_in_cgroup(cgroup.path()))
    })
}

#[test]
fn a_setuid_program_keeps_the_tag() -> anyhow::Result<()> {
    keeps_the_tag(|ground, trace| {
        let program = ground.path("setuid-tool");
        make_setuid(&ground.dropped(), &program)?;
        let (leak, mark, secret) = (trace.leak(), trace.mark(), ground.secret());
        let words = ["--leak".as_ref(), leak.as_os_str(), "--mark".as_ref(), mark.as_os_str()];
        Ok(Act::exec(&program).words(words).words(["read".as_ref(), secret.as_os_str()]))
    })
}

/// A copy that runs as a user who owns nothing.
fn make_setuid(program: &Path, copy: &Path) -> anyhow::Result<()> {
    const NOBODY: u32 = 65_534;
    fs::copy(program, copy)?;
    std::os::unix::fs::chown(copy, Some(NOBODY), None)?;
    Ok(fs::set_permissions(copy, fs::Permissions::from_mode(0o4755))?)
}

#[test]
fn each_of_2000_descendants_keeps_the_tag() -> anyhow::Result<()> {
    const DESCENDANTS: u32 = 2_000;
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;
    let secret = scenario.ground.secret();

    let (trace, tried) = (scenario.ground.trace("agent")?, scenario.ground.path("tried-by-agent"));
    let bomb = Act::forks(DESCENDANTS, &secret, &tried).traced(&trace);
    let ended = scenario.agent(&bomb)?;
    ensure!(ended.outcome() == Outcome::Done, "the root reads nothing and lives: {ended:?}");
    same("descendants that tried", bytes_in(&tried), u64::from(DESCENDANTS))?;
    nothing_came_of_it(&trace)?;
    alerts_tell(&scenario, DESCENDANTS, "read", "secrets-are-shut", "kill")?;
    same("tags not inherited", scenario.daemon.counter("tag_not_inherited")?, 0)?;

    let (trace, tried) = (scenario.ground.trace("twin")?, scenario.ground.path("tried-by-twin"));
    twin(&Act::forks(DESCENDANTS, &secret, &tried).traced(&trace))?;
    same("returns of the twin", trace.returns()?, DESCENDANTS)
}
