//! Faults: what goes wrong around the daemon leaves nothing half done, and nothing behind.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, ensure};
use driftwatch_tests::{
    Act, Ground, Outcome, Scenario, alert::acts_in, cgroup, child, programs, twin,
};
use rustix::{
    mount::{MountFlags, UnmountFlags, mount, unmount},
    process::{Pid, Signal, kill_process},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::claims::{SECRETS_ALERT, SECRETS_KILL, SOON, alone, same};

/// Whatever of a host a daemon could leave something in.
#[derive(Debug, PartialEq)]
pub(crate) struct Host {
    pub(crate) programs: BTreeSet<String>,
    mounts: BTreeSet<String>,
    cgroups: Vec<PathBuf>,
    pinned: usize,
}

impl Host {
    pub(crate) fn look() -> anyhow::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        Ok(Self {
            programs: loaded_programs()?,
            mounts: mounts.lines().map(str::to_owned).collect(),
            cgroups: cgroup::all()?,
            pinned: fs::read_dir("/sys/fs/bpf").map_or(0, Iterator::count),
        })
    }
}

impl Host {
    /// Programs of an earlier daemon may still go; none may come.
    fn adds_nothing_to(&self, before: &Self) -> bool {
        self.programs.is_subset(&before.programs)
            && (&self.mounts, &self.cgroups, self.pinned)
                == (&before.mounts, &before.cgroups, before.pinned)
    }
}

pub(crate) fn loaded_programs() -> anyhow::Result<BTreeSet<String>> {
    let ended = child::run(Command::new("bpftool").args(["prog", "list", "-j"]))
        .context("bpftool lists what is attached: install it to run this test")?;
    let list: Value = serde_json::from_str(&ended.stdout).context(ended.stdout.clone())?;
    let one = |program: &Value| format!("{} {}", program["id"], program["name"]);
    Ok(list.as_array().context("a list of programs")?.iter().map(one).collect())
}

/// Programs are freed a moment after their last user has gone.
pub(crate) fn host_is_as_before(before: &Host) -> anyhow::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let same =
        child::wait_until(PATIENCE, || Ok(Host::look()?.adds_nothing_to(before).then_some(())))?;
    same.with_context(|| format!("before: {before:#?}\nafter: {:#?}", Host::look()))
}

fn nothing_is_left_after(signal: Signal) -> anyhow::Result<Scenario> {
    let before = Host::look()?;
    let mut scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;
    ensure!(loaded_programs()? != before.programs, "the daemon has loaded nothing");
    let read = Act::read(&scenario.ground.secret());
    ensure!(scenario.agent(&read)?.outcome() == Outcome::Killed, "the agent lives");
    // Somebody tagged outlives the daemon: its tag must not hold anything in the kernel.
    let survivor = scenario.start_agent(&Act::sleep(30))?;
    let status = scenario.daemon.stop(signal)?;
    ensure!(signal != Signal::TERM || status.success(), "{status}: {}", scenario.daemon.stderr());
    host_is_as_before(&before)?;
    drop(survivor);
    ensure!(twin(&read)?.outcome() == Outcome::Done, "somebody still acts on opens");
    Ok(scenario)
}

#[test]
fn sigterm_leaves_nothing_behind() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = nothing_is_left_after(Signal::TERM)?;
    ensure!(!scenario.ground.path("control.sock").exists(), "the socket is left");
    Ok(())
}

#[test]
fn sigkill_leaves_nothing_attached_and_the_next_daemon_starts() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = nothing_is_left_after(Signal::KILL)?;
    let Scenario { daemon, ground } = scenario;
    let socket = ground.path("control.sock");
    let gone = child::wait_until(SOON, || Ok((!socket.exists()).then_some(())))?;
    gone.context("the socket is left")?;
    drop(daemon);
    let scenario = Scenario::start(ground, SECRETS_KILL)?;
    let ended = scenario.agent(&Act::read(&scenario.ground.secret()))?;
    ensure!(ended.outcome() == Outcome::Killed, "{ended:?}");
    Ok(())
}

/// The sweeper hears every signal that the daemon's name, terminal or cgroup hears.
#[test]
fn a_signal_to_all_of_the_daemon_does_not_keep_the_socket_from_being_swept() -> anyhow::Result<()> {
    let _alone = alone();
    let mut scenario = Scenario::start(Ground::new()?, SECRETS_ALERT)?;
    let children = format!("/proc/{0}/task/{0}/children", scenario.daemon.pid());
    let sweeper: i32 = fs::read_to_string(&children)?.trim().parse().context("one child")?;
    let sweeper = Pid::from_raw(sweeper).context("a pid")?;
    for signal in [Signal::HUP, Signal::INT, Signal::TERM] {
        kill_process(sweeper, signal)?;
    }
    scenario.daemon.stop(Signal::KILL)?;
    let socket = scenario.ground.path("control.sock");
    let gone = child::wait_until(SOON, || Ok((!socket.exists()).then_some(())))?;
    gone.context("the socket is left")
}

#[test]
fn a_broken_rule_file_keeps_the_running_rules() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;
    fs::write(scenario.ground.path("rules.yaml"), "version: 1\nrulse: []\n")?;
    let before = scenario.daemon.stderr().len();
    scenario.daemon.signal(Signal::HUP)?;
    let complaint = child::wait_until(SOON, || {
        let said = scenario.daemon.stderr();
        Ok(said.get(before..).filter(|new| new.contains("rules.yaml")).map(str::to_owned))
    })?;
    let complaint = complaint.context("the daemon says nothing of the broken file")?;
    ensure!(complaint.contains("rules.yaml:2:1"), "no place in {complaint:?}");
    let ended = scenario.agent(&Act::read(&scenario.ground.secret()))?;
    ensure!(ended.outcome() == Outcome::Killed, "the rules have gone: {ended:?}");
    Ok(())
}

#[test]
fn a_changed_rule_file_is_taken_up() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;
    let read = Act::read(&scenario.ground.secret());
    let rules = driftwatch_tests::scenario::rule_file(SECRETS_ALERT);
    fs::write(scenario.ground.path("rules.yaml"), rules)?;
    scenario.daemon.signal(Signal::HUP)?;
    let alive = child::wait_until(SOON, || {
        Ok((scenario.agent(&read)?.outcome() == Outcome::Done).then_some(()))
    })?;
    alive.context("the old rules still hold")
}

#[test]
fn a_broken_rule_file_stops_the_start_with_its_place() -> anyhow::Result<()> {
    let _alone = alone();
    let before = Host::look()?;
    let ground = Ground::new()?;
    let rules = ground.path("rules.yaml");
    fs::write(&rules, "version: 1\nrulse: []\n")?;
    let mut daemon = Command::new(programs::driftwatch()?);
    daemon.arg("daemon").arg("--rules").arg(&rules).args(["--alerts", "-", "--socket"]);
    let ended = child::run(daemon.arg(ground.path("control.sock")))?;
    same("exit code", ended.status.code().unwrap_or(-1), 1)?;
    ensure!(ended.stderr.contains("rules.yaml:2:1"), "{}", ended.stderr);
    host_is_as_before(&before)
}

#[test]
fn an_unknown_agent_is_refused_by_name() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, SECRETS_KILL)?;
    let mut run = Command::new(programs::driftwatch()?);
    run.args(["run", "--agent", "nobody-knows", "--socket"]).arg(scenario.daemon.socket());
    let marker = scenario.ground.path("marker");
    run.args(["--", "/bin/touch"]).arg(&marker);
    let ended = child::run(&mut run)?;
    same("exit code", ended.status.code().unwrap_or(-1), 125)?;
    ensure!(ended.stderr.contains("nobody-knows"), "{}", ended.stderr);
    ensure!(!marker.exists(), "the command ran");
    Ok(())
}

/// A file system of its own that is unmounted when this is dropped.
pub(crate) struct SmallDisk {
    place: TempDir,
}

impl SmallDisk {
    pub(crate) fn mount() -> anyhow::Result<Self> {
        let place = tempfile::Builder::new().prefix("driftwatch-disk-").tempdir_in("/tmp")?;
        mount("tmpfs", place.path(), "tmpfs", MountFlags::empty(), Some(c"size=64k"))?;
        Ok(Self { place })
    }

    /// A path on it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn fill(&self) -> anyhow::Result<PathBuf> {
        const MORE_THAN_FITS: usize = 128 * 1024;
        let ballast = self.path("ballast");
        ensure!(fs::write(&ballast, vec![0; MORE_THAN_FITS]).is_err(), "the disk is not small");
        Ok(ballast)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still has a file open keeps the rest alive; the place is free at once.
        let _gone = unmount(self.place.path(), UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_disk_loses_no_alert_that_is_not_counted() -> anyhow::Result<()> {
    const ACTS: u32 = 20;
    let _alone = alone();
    // Declared before the scenario: unmounted after the daemon has ended.
    let disk = SmallDisk::mount()?;
    let file = disk.path("alerts.jsonl");
    let scenario = Scenario::start_with_alerts_in(Ground::new()?, SECRETS_ALERT, file.clone())?;
    let ballast = disk.fill()?;
    let read = Act::read(&scenario.ground.secret());
    let tally = scenario.agent(&read.times(ACTS))?.tally()?;
    same("reads", tally.done, ACTS)?;
    std::thread::sleep(Duration::from_secs(1));
    ensure!(acts_in(&whole_lines(&file)?) < u64::from(ACTS), "the disk was not full");

    fs::remove_file(ballast)?;
    let accounted = child::wait_until(SOON, || {
        let dropped = scenario.daemon.status()?["alerts"]["dropped"].as_u64().unwrap_or(0);
        let all = acts_in(&whole_lines(&file)?) + dropped;
        Ok((all >= u64::from(ACTS)).then_some(all))
    })?;
    same("alerts written or dropped", accounted.context("some are missing")?, u64::from(ACTS))
}

fn whole_lines(file: &Path) -> anyhow::Result<Vec<driftwatch_tests::Alert>> {
    if file.exists() { driftwatch_tests::Alert::read_all(file) } else { Ok(Vec::new()) }
}
