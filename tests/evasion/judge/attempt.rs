//! One try of one technique: the stage as a child, what the canaries heard, how the agent ended.

use std::{
    fs,
    fs::File,
    io::{self, Read, Seek},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use driftwatch_tests::{
    child::{end_group, slowness, start_bound},
    ground::SECRET,
    programs,
};
use rustix::{
    pipe::{PipeFlags, pipe_with},
    process::{Pid, Signal, kill_process, set_child_subreaper},
};
use serde_json::Value;

use crate::{
    ground::{Ground, is_changed},
    row::Row,
};

/// Where the stage and all below it find the collector.
const COLLECTOR: i32 = 100;
/// What `evade`'s marking programs write, and what its senders send.
const MARK: &[u8] = b"driftwatch-evil-ran";
const PAYLOAD: &[u8] = b"driftwatch-evasion-payload";
/// The stage has a shorter limit of its own.
const LIMIT: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(2);

/// Who tries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Somebody that the rules are about.
    Agent,
    /// The same program at another place: nobody's.
    Twin,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Twin => "twin",
        }
    }
}

/// One that is under way.
pub(crate) struct Attempt {
    child: Child,
    collector: File,
    heard: Vec<u8>,
    said: File,
    report: File,
    case: PathBuf,
    canary: String,
    is_told: bool,
}

/// What came of it.
pub(crate) struct Outcome {
    /// The canary sang.
    pub(crate) leaked: bool,
    /// How the agent ended: killed, refused, an error, done.
    pub(crate) ended: String,
}

impl Attempt {
    /// Starts it. Early ones wait until [`Attempt::go`].
    pub(crate) fn begin(ground: &Ground, row: &Row, role: Role) -> anyhow::Result<Self> {
        let (collector, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Whoever gives something away waits where the pipe is full.
        rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::empty())?;
        let (said, report) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let case = ground.case(row, role);
        let mut command = Command::new(programs::evade()?);
        command.args(["stage", &row.id]).arg(&case).arg(ground.program(role));
        command.stdin(Stdio::null()).stdout(report.try_clone()?).stderr(said.try_clone()?);
        inherit(&mut command, &writer);
        let child = start_bound(&mut command)?;
        let canary = row.canary.clone();
        let heard = Vec::new();
        let collector = collector.into();
        Ok(Self { child, collector, heard, said, report, case, canary, is_told: false })
    }

    /// Waits until an early one is where it must be.
    pub(crate) fn is_waiting(&self) -> bool {
        self.case.join("waiting").exists()
    }

    /// Lets it act, and waits for its end and that of all it started.
    pub(crate) fn finish(mut self, daemon: Option<u32>, others: &[u32]) -> anyhow::Result<Outcome> {
        fs::write(self.case.join("go"), "")?;
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            self.drain()?;
            if !self.is_told && self.has_leaked() {
                // The stage need wait no longer.
                fs::write(self.case.join("heard"), "")?;
                self.is_told = true;
            }
            if begun.elapsed() > LIMIT * slowness() {
                end_group(&mut self.child);
            }
            thread::sleep(GLANCE);
        }
        self.drain()?;
        end_orphans(daemon, others);
        Ok(Outcome { leaked: self.has_leaked(), ended: self.ended()? })
    }

    /// Whether the canary has sung.
    fn has_leaked(&self) -> bool {
        match self.canary.as_str() {
            "secret" => self.has(SECRET.trim().as_bytes()),
            "mark" => self.has(MARK),
            "arrival" => self.has(b"arrival "),
            "payload" => self.has(PAYLOAD),
            _ => is_changed(&self.case),
        }
    }

    /// The process that leads it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        let mut bytes = [0; 65_536];
        loop {
            match self.collector.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(length) => self.heard.extend(&bytes[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("read what was given away"),
            }
        }
    }

    fn has(&self, wanted: &[u8]) -> bool {
        self.heard.windows(wanted.len()).any(|window| window == wanted)
    }

    fn ended(&mut self) -> anyhow::Result<String> {
        let said = text(&mut self.said)?;
        let said = said.lines().last().unwrap_or_default();
        let said = said.strip_prefix("evade: ").unwrap_or(said).to_owned();
        let Ok(report) = serde_json::from_str::<Value>(&text(&mut self.report)?) else {
            return Ok(format!("no stage: {said}"));
        };
        Ok(match (report["signal"].as_i64(), report["code"].as_i64()) {
            (Some(9), _) => "killed".to_owned(),
            (Some(signal), _) => format!("signal {signal}"),
            (None, Some(0)) if said.is_empty() => "done".to_owned(),
            (None, Some(0)) => format!("done; {said}"),
            (None, Some(_)) if said.contains("os error 1)") => "refused".to_owned(),
            (None, Some(_)) => said,
            (None, None) => "did not end".to_owned(),
        })
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            end_group(&mut self.child);
        }
    }
}

fn inherit(command: &mut Command, collector: &OwnedFd) {
    let collector = collector.as_raw_fd();
    // SAFETY: between fork and exec it makes one system call and touches no memory.
    unsafe {
        command.pre_exec(move || match libc::dup2(collector, COLLECTOR) {
            COLLECTOR => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
}

/// What a stage leaves behind when it is killed becomes a child of this process.
pub(crate) fn adopt_orphans() -> anyhow::Result<()> {
    Ok(set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Ends children that are neither the daemon nor stages that wait.
fn end_orphans(daemon: Option<u32>, others: &[u32]) {
    let this = std::process::id();
    let listed = fs::read_to_string(format!("/proc/{this}/task/{this}/children"));
    for child in listed.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok()) {
        if Some(child) != daemon && !others.contains(&child) {
            let pid = i32::try_from(child).ok().and_then(Pid::from_raw);
            // Whoever has ended by itself is as good as killed.
            let _gone = pid.map(|pid| kill_process(pid, Signal::KILL));
            let _reaped = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty());
        }
    }
}

fn text(file: &mut File) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
