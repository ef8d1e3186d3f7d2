//! The real daemon as a child of the test.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    child::{end_group, run, start_bound, wait_at_most, wait_until},
    programs,
};

/// Hooks must be attached by then.
const START: Duration = Duration::from_secs(20);
/// The daemon must have ended by then once it was asked to.
const STOP: Duration = Duration::from_secs(10);

/// A daemon that is stopped when this is dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    socket: PathBuf,
    stderr: PathBuf,
}

impl Daemon {
    /// Starts it on the rules and waits until it says that its hooks are attached.
    pub fn start(rules: &Path, alerts: &Path, socket: &Path) -> anyhow::Result<Self> {
        Self::start_with(rules, alerts, socket, &[])
    }

    /// The same, with the sockets of container engines.
    pub fn start_with(
        rules: &Path,
        alerts: &Path,
        socket: &Path,
        engines: &[&Path],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(programs::driftwatch()?);
        command.arg("daemon").arg("--rules").arg(rules).arg("--alerts").arg(alerts);
        command.args(["--format", "json", "--socket"]).arg(socket);
        for engine in engines {
            command.arg("--engine").arg(engine);
        }
        Self::start_command(&mut command, socket)
    }

    /// Starts this command, which is or becomes a daemon with this socket, and waits as [`Daemon::start`] does.
    pub fn start_command(command: &mut Command, socket: &Path) -> anyhow::Result<Self> {
        let stderr = socket.with_extension("stderr");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&stderr)?);
        let child = start_bound(command)?;
        let mut daemon = Self { child, socket: socket.to_owned(), stderr };
        daemon.wait_until_ready()?;
        Ok(daemon)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let ready = wait_until(START, || {
            let said = fs::read_to_string(&self.stderr)?;
            if let Some(status) = self.child.try_wait()? {
                bail!("the daemon did not start, {status}:\n{said}");
            }
            Ok(said.lines().any(|line| line.starts_with("ready")).then_some(()))
        })?;
        ready.with_context(|| format!("not ready within {START:?}:\n{}", self.stderr()))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its control socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What it has complained of so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// What `driftwatch status` says.
    pub fn status(&self) -> anyhow::Result<Value> {
        let mut command = Command::new(programs::driftwatch()?);
        command.arg("status").arg("--socket").arg(&self.socket).args(["-o", "json"]);
        let ended = run(&mut command)?;
        ensure!(ended.status.success(), "status: {}: {}", ended.status, ended.stderr);
        serde_json::from_str(&ended.stdout).with_context(|| ended.stdout.clone())
    }

    /// One of the kernel half's counters.
    pub fn counter(&self, name: &str) -> anyhow::Result<u64> {
        let status = self.status()?;
        let counter = &status["kernel"]["counters"][name];
        counter.as_u64().with_context(|| format!("no counter {name} in {status}"))
    }

    /// Memory that it has in use.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("a running process has a VmRSS line")?.parse()?)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("a pid")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Asks it to end with this signal and waits until it has.
    pub fn stop(&mut self, signal: Signal) -> anyhow::Result<ExitStatus> {
        self.signal(signal)?;
        let status = wait_at_most(&mut self.child, STOP)?;
        status.with_context(|| format!("has not ended {STOP:?} after a signal"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let running = matches!(self.child.try_wait(), Ok(None));
        if running && self.stop(Signal::TERM).is_err() {
            end_group(&mut self.child);
        }
    }
}
