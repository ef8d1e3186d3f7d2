//! Adoption: agents that were there before the daemon are under its rules from its start on.

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::{fs::PermissionsExt, process::CommandExt},
    },
    path::PathBuf,
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context, ensure};
use driftwatch_tests::{
    Act, Alert, Ground, Outcome, Scenario, TcpCanary,
    child::{self, Running},
};

use crate::claims::{SOON, alone, nothing_came_of_it, same};

const SEEN: &str = "version: 1
mode: enforce
agents:
  seen-agent: { any: [{ exe: '**/bin/agent' }] }
  other-agent: { any: [{ exe: '**/bin/{agent,other}' }] }
rules:
  - id: secrets-are-shut
    title: Agent read a planted credential
    agents: [seen-agent]
    read: { never: ['**/.aws/credentials'] }
    action: kill
  - id: peers-are-shut
    title: Agent connected
    agents: [other-agent]
    connect: { never: ['127.66.0.0/16'] }
    action: kill
";

/// The same where no executable shows the signs of both.
fn one_agent_each() -> String {
    SEEN.replace("{agent,other}", "other")
}

/// Everything that a process does to itself before it waits has been done by then.
const SETTLED: Duration = Duration::from_millis(400);

/// Starts the act with the agent's executable before there is a daemon, and lets it go once there is.
struct Early {
    ground: Ground,
    agent: PathBuf,
    go: PathBuf,
}

impl Early {
    fn new() -> anyhow::Result<Self> {
        let ground = Ground::new()?;
        let (agent, go) = (ground.actor_at("bin/agent")?, ground.path("go"));
        ground.actor_at("bin/other")?;
        Ok(Self { ground, agent, go })
    }

    /// Each act is killed, and its twin is not.
    fn each_is_killed(self, acts: &[Act]) -> anyhow::Result<Scenario> {
        self.each_is_killed_under(SEEN, acts)
    }

    fn each_is_killed_under(self, rules: &str, acts: &[Act]) -> anyhow::Result<Scenario> {
        let mut running = Vec::new();
        for act in acts {
            let act = act.clone().after(&self.go);
            let twin = Running::start(&mut act.command_of(&self.ground.dropped()))?;
            running.push((Running::start(&mut act.command_of(&self.agent))?, twin));
        }
        thread::sleep(SETTLED);
        let scenario = Scenario::start_file(self.ground, rules)?;
        fs::write(&self.go, "")?;
        for ((agent, twin), act) in running.into_iter().zip(acts) {
            let ended = agent.wait()?;
            ensure!(ended.outcome() == Outcome::Killed, "{act:?}: {ended:?}");
            let ended = twin.wait()?;
            ensure!(ended.outcome() == Outcome::Done, "the twin, {act:?}: {ended:?}");
        }
        scenario.wait_for_alerts(acts.len() as u64, SOON)?;
        Ok(scenario)
    }
}

#[test]
fn an_agent_that_was_there_before_is_under_the_rules() -> anyhow::Result<()> {
    let _alone = alone();
    let early = Early::new()?;
    let trace = early.ground.trace("agent")?;
    let read = Act::read(&early.ground.secret());
    let scenario = early.each_is_killed(&vec![read.clone(); 20])?;
    let agent = read.traced(&trace);
    let ended = child::run(&mut agent.command_of(&scenario.ground.path("bin/agent")))?;
    ensure!(ended.outcome() == Outcome::Killed, "one that came later: {ended:?}");
    nothing_came_of_it(&trace)?;
    let alerts = scenario.wait_for_alerts(21, SOON)?;
    let sessions: BTreeSet<_> =
        alerts.iter().map(|alert| alert.text("/session").to_owned()).collect();
    same("sessions", sessions.len(), 21)
}

#[test]
fn another_thread_of_an_agent_that_was_there_before_is_under_the_rules() -> anyhow::Result<()> {
    let _alone = alone();
    let early = Early::new()?;
    let read = Act::read(&early.ground.secret()).via("thread");
    early.each_is_killed(&vec![read; 5]).map(drop)
}

#[test]
fn a_program_that_another_thread_becomes_is_under_the_rules() -> anyhow::Result<()> {
    let _alone = alone();
    let early = Early::new()?;
    let secret = early.ground.secret();
    let exec = Act::exec(&early.ground.dropped()).words(["read".as_ref(), secret.as_os_str()]);
    early.each_is_killed(&vec![exec.via("thread"); 5]).map(drop)
}

#[test]
fn the_children_of_an_agent_that_was_there_before_are_under_the_rules() -> anyhow::Result<()> {
    let _alone = alone();
    let early = Early::new()?;
    let read = Act::read(&early.ground.secret());
    let acts = [
        read.clone().via("setsid"),
        read.clone().via("setsid").via("setsid"),
        read.via("thread").via("setsid").via("thread"),
    ];
    early.each_is_killed(&acts).map(drop)
}

#[test]
fn an_alert_of_an_adopted_child_goes_up_to_the_adopted_root() -> anyhow::Result<()> {
    let _alone = alone();
    let early = Early::new()?;
    let read = Act::read(&early.ground.secret()).via("setsid");
    let scenario = early.each_is_killed_under(&one_agent_each(), &[read])?;
    let alerts = scenario.alerts()?;
    let alert = alerts.first().context("an alert")?;
    same("agent", alert.agent(), "seen-agent")?;
    same("generations", alert.ancestry().len(), 2)?;
    let last = alert.ancestry().last().map(|(_, exe)| exe.clone()).unwrap_or_default();
    ensure!(last.ends_with("/bin/agent"), "{last}");
    Ok(())
}

/// The program shows the signs of two agents, as it would with its exec.
#[test]
fn an_adopted_process_is_under_every_agent_that_it_shows_the_signs_of() -> anyhow::Result<()> {
    let _alone = alone();
    let canary = TcpCanary::bind("127.66.0.1:0")?;
    let early = Early::new()?;
    let acts = [Act::read(&early.ground.secret()), Act::connect(canary.address())];
    early.each_is_killed(&acts).map(drop)
}

/// The adopted agent started another one before there was a daemon.
#[test]
fn an_adopted_agent_inside_an_adopted_agent_is_under_both() -> anyhow::Result<()> {
    let _alone = alone();
    let canary = TcpCanary::bind("127.66.0.1:0")?;
    let early = Early::new()?;
    let (go, inner) = (early.go.clone(), early.ground.path("bin/other"));
    let peer = canary.address().to_string();
    let words = ["--after".as_ref(), go.as_os_str(), "connect".as_ref(), peer.as_ref()];
    let outer = Act::exec(&inner).words(words).via("setsid");
    let running = Running::start(&mut outer.command_of(&early.agent))?;
    thread::sleep(SETTLED);
    let scenario = Scenario::start_file(early.ground, &one_agent_each())?;
    fs::write(&go, "")?;
    let ended = running.wait()?;
    ensure!(ended.outcome() == Outcome::Killed, "{ended:?}");
    same("connections", canary.accepted(), 0)?;
    let alerts = scenario.wait_for_alerts(1, SOON)?;
    same("agent", alerts.first().context("an alert")?.agent(), "other-agent")
}

/// Agents update themselves: the file is another one by now, the process is not.
#[test]
fn an_agent_whose_executable_has_been_removed_is_adopted() -> anyhow::Result<()> {
    let _alone = alone();
    let early = Early::new()?;
    let read = Act::read(&early.ground.secret()).after(&early.go);
    let running = Running::start(&mut read.command_of(&early.agent))?;
    thread::sleep(SETTLED);
    fs::remove_file(&early.agent)?;
    let scenario = Scenario::start_file(early.ground, SEEN)?;
    fs::write(&early.go, "")?;
    let ended = running.wait()?;
    ensure!(ended.outcome() == Outcome::Killed, "{ended:?}");
    scenario.wait_for_alerts(1, SOON).map(drop)
}

/// A setuid program acts as its owner; the real user is who started it, and is the sign.
#[test]
fn an_agent_is_adopted_by_its_real_user() -> anyhow::Result<()> {
    const STRANGER: u32 = 61_234;
    let _alone = alone();
    let early = Early::new()?;
    fs::set_permissions(&early.agent, Permissions::from_mode(0o4755))?;
    let mut command = Act::read(&early.ground.secret()).after(&early.go).command_of(&early.agent);
    let running = Running::start(command.uid(STRANGER).gid(STRANGER))?;
    thread::sleep(SETTLED);
    let by_user = SEEN.replace("exe: '**/bin/agent'", "user: [61234]");
    let scenario = Scenario::start_file(early.ground, &by_user)?;
    fs::write(&early.go, "")?;
    let ended = running.wait()?;
    ensure!(ended.outcome() == Outcome::Killed, "{ended:?}");
    scenario.wait_for_alerts(1, SOON).map(drop)
}

/// What is added to [`SEEN`].
const MORE: &str = "  - id: nothing-but-notes
    title: Agent read something else
    agents: [seen-agent]
    read: { only: ['**/notes'] }
    action: kill
  - id: no-such-program
    title: Agent runs a program that is shut
    agents: [seen-agent]
    exec: { never: ['**/bin/agent'] }
    action: deny
  - id: no-rings
    title: Agent has an io_uring
    agents: [seen-agent]
    privilege: { never: [io_uring] }
    action: deny
";

/// The number that a descriptor gets in the child.
const GIFT: i32 = 100;

/// Starts a command that finds an open file of ours under [`GIFT`].
fn start_with(mut command: Command, gift: &impl AsFd) -> anyhow::Result<Running> {
    let gift = gift.as_fd().as_raw_fd();
    // SAFETY: between fork and exec one call, which takes no memory.
    unsafe {
        command.pre_exec(move || match libc::dup2(gift, GIFT) {
            GIFT => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        })
    };
    Running::start(&mut command)
}

#[test]
fn what_an_adopted_agent_holds_is_told_and_left_to_it() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let agent = ground.actor_at("bin/agent")?;
    let secret = fs::File::open(ground.secret())?;
    let ring = io_uring::IoUring::new(2).context("an io_uring")?;
    // SAFETY: the ring's descriptor, which lives as long as it does.
    let ring_fd = unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) };
    let sleep = Act::sleep(60);
    let with_file = start_with(sleep.command_of(&agent), &secret)?;
    let with_ring = start_with(sleep.command_of(&agent), &ring_fd)?;
    let twin = start_with(sleep.command_of(&ground.dropped()), &secret)?;
    thread::sleep(SETTLED);
    let scenario = Scenario::start_file(ground, &format!("{SEEN}{MORE}"))?;
    let expected = BTreeSet::from([
        (with_file.pid(), "secrets-are-shut".to_owned()),
        (with_file.pid(), "no-such-program".to_owned()),
        (with_ring.pid(), "no-rings".to_owned()),
        (with_ring.pid(), "no-such-program".to_owned()),
    ]);
    let alerts = scenario.wait_for_alerts(expected.len() as u64, SOON)?;
    for alert in &alerts {
        same("way", alert.text("/object/way"), "held")?;
        same("done", alert.text("/done"), "alert")?;
        let because = "it was so before the process was known to be an agent's";
        same("because", alert.text("/because"), because)?;
    }
    let told_of = |alert: &Alert| {
        let pid = u32::try_from(alert.number("/process/pid")).expect("a pid");
        (pid, alert.text("/rule/id").to_owned())
    };
    let told: BTreeSet<_> = alerts.iter().map(told_of).collect();
    ensure!(told == expected, "told of {told:?}, and should be of {expected:?}");
    for held in [with_file, with_ring, twin] {
        let stat = fs::read_to_string(format!("/proc/{}/stat", held.pid()))?;
        ensure!(stat.contains(") S "), "an adopted process was stopped: {stat}");
    }
    same("not searched", scenario.daemon.counter("sessions_unsearched")?, 0)
}
