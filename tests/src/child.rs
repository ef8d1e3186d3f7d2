//! A child process that cannot outlive its starter, nor run for ever, nor block on a full pipe.

use std::{
    fs::File,
    io::{Read, Seek},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};

use crate::tally::{Outcome, Tally};

/// Longer than any act here takes, shorter than a reader's patience.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How often something that is waited for is looked at.
pub const GLANCE: Duration = Duration::from_millis(10);

/// How many times slower than an ordinary machine this one is (`DRIFTWATCH_SLOWNESS`): emulated ones are. Whatever is
/// waited for here may take so many times longer.
#[must_use]
pub fn slowness() -> u32 {
    static SLOWNESS: LazyLock<u32> = LazyLock::new(|| {
        let said = std::env::var("DRIFTWATCH_SLOWNESS").ok();
        said.and_then(|number| number.parse().ok()).unwrap_or(1)
    });
    *SLOWNESS
}

/// A child that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How, as `wait` says it.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Ended {
    /// How its act ended, if it was an actor.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        Outcome::of(self.status)
    }

    /// The tally it printed, if it was an actor that repeated its act.
    pub fn tally(&self) -> anyhow::Result<Tally> {
        let line = self.stdout.lines().find(|line| line.starts_with("tally "));
        let Some(line) = line else {
            bail!("no tally: {}, stderr: {}", self.status, self.stderr.trim());
        };
        line.parse()
    }
}

/// A child that may still run; dropped, it is killed with all of its process group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: File,
    stderr: File,
}

impl Running {
    /// Starts the command.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let stdout = tempfile::tempfile().context("a file for what a child prints")?;
        let stderr = tempfile::tempfile().context("a file for what a child complains of")?;
        command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        let child = start_bound(command)?;
        Ok(Self { child, stdout, stderr })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end; an error when that takes longer than [`PATIENCE`].
    pub fn wait(mut self) -> anyhow::Result<Ended> {
        let status = wait_at_most(&mut self.child, PATIENCE)?;
        let Some(status) = status else {
            bail!("pid {} has not ended within {PATIENCE:?}", self.pid());
        };
        Ok(Ended { status, stdout: text(&mut self.stdout)?, stderr: text(&mut self.stderr)? })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            end_group(&mut self.child);
        }
    }
}

/// Starts the command and waits for its end.
pub fn run(command: &mut Command) -> anyhow::Result<Ended> {
    Running::start(command)?.wait()
}

/// Starts a child that leads a process group of its own and is killed when its starter ends.
pub fn start_bound(command: &mut Command) -> anyhow::Result<Child> {
    command.process_group(0);
    // SAFETY: between fork and exec it makes one system call and touches no memory.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    command.spawn().with_context(|| format!("start {}", command.get_program().display()))
}

/// Waits for the child's end, but not for ever.
pub fn wait_at_most(child: &mut Child, patience: Duration) -> anyhow::Result<Option<ExitStatus>> {
    let (begin, patience) = (Instant::now(), patience * slowness());
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begin.elapsed() > patience {
            return Ok(None);
        }
        thread::sleep(GLANCE / 5);
    }
}

/// Kills the child with all of its process group and takes it off the list of processes.
pub fn end_group(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // An error means that it has ended by itself, which is as good.
    let _gone = group.map(|group| kill_process_group(group, Signal::KILL));
    let _reaped = child.wait();
}

/// Looks again and again until there is an answer or the time is up.
pub fn wait_until<T>(
    patience: Duration,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Option<T>> {
    let (begin, patience) = (Instant::now(), patience * slowness());
    loop {
        if let Some(answer) = look()? {
            return Ok(Some(answer));
        }
        if begin.elapsed() > patience {
            return Ok(None);
        }
        thread::sleep(GLANCE);
    }
}

fn text(file: &mut File) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
