//! The recorder: watches like the daemon, refuses nothing, and writes down every act.
//!
//! It has a kernel half of its own, in which every rule is in monitor mode, and is done with a signal, after a
//! time, or with the command that it was to record. What it writes is a [`recording`](crate::recording);
//! [`tape`] keeps it whole, [`command`] starts the command, [`tally`] says what came of it.

mod command;
mod progress;
mod tally;
mod tape;

pub use self::tally::{Losses, Tally};

use std::{
    ffi::OsString,
    fs, io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use self::{command::Started, progress::Progress, tape::Tape};
use crate::{
    alert::HostFacts as _,
    control::{Refused, pidfd},
    engine::Listener,
    host::Host,
    launch::LaunchError,
    reading::Read,
    recording::{Entry, Heading, SCHEMA, Text},
    rules::{
        self, SourceFile,
        contained::asks_engines,
        model::{Mode, Moment, RuleSet},
    },
    stop::Stop,
    watcher::{RulesError, WatchError, Watcher, ended, read_rules},
};

/// What is to be recorded.
#[derive(Clone, Debug)]
pub struct Order {
    /// Rule files and directories of them. None: only the command is recorded.
    pub rules: Vec<PathBuf>,
    /// The file to write.
    pub out: PathBuf,
    /// Write over one that is there.
    pub force: bool,
    /// How long at most.
    pub lasts: Option<Duration>,
    /// Sockets of container engines; empty for the usual ones.
    pub engines: Vec<PathBuf>,
    /// A command to start as an agent of this name.
    pub command: Option<(String, Vec<OsString>)>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What was recorded.
    pub tally: Tally,
    /// What was not.
    pub losses: Losses,
    /// The command's exit code as a shell says it, where it has ended.
    pub code: Option<u8>,
    /// The pid of a command that runs on.
    pub left: Option<u32>,
}

/// Why there is no recording, or why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Nothing can be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// The file is there.
    #[error("{} is there already: name another file with --out, or write over it with --force", .0.display())]
    Exists(PathBuf),
    /// The file cannot be made.
    #[error("the recording cannot be written to {}: {source}; name another file with --out", .path.display())]
    Tape {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file takes no more.
    #[error(
        "the recording ends early, {} cannot be written: {source}; what it has can be used, {tally}",
        .path.display()
    )]
    Full {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
        /// What is in the file.
        tally: Box<Tally>,
    },
    /// The command is not an agent.
    #[error("{}", .0.error)]
    Refused(Refused),
    /// The command was not started.
    #[error(transparent)]
    Command(#[from] LaunchError),
}

impl From<io::Error> for RecordError {
    fn from(error: io::Error) -> Self {
        Self::Watch(WatchError::Loop(error))
    }
}

/// Records until it is done.
///
/// # Errors
///
/// Where nothing is recorded, or the file takes no more.
pub fn run(order: &Order) -> Result<Recorded, RecordError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime?.block_on(record(order))
}

async fn record(order: &Order) -> Result<Recorded, RecordError> {
    let mut stop = Stop::new()?;
    let mut hangup = signal(SignalKind::hangup())?;
    if !order.force && order.out.symlink_metadata().is_ok() {
        return Err(RecordError::Exists(order.out.clone()));
    }
    let host = Host::read();
    let rules = harmless(rules_of(order, &host)?);
    let mut watcher = Watcher::load(true, false)?;
    let mut engines = Listener::new(&order.engines);
    watcher.engines = engines.listen(asks_engines(&rules));
    watcher.put_in_force(Read::of(host, rules))?;
    let mut rings = watcher.kernel.rings().map_err(WatchError::from)?;
    let mut recorder = Recorder::start(watcher, order)?;
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);

    while !recorder.is_stuck() {
        let more = rings.drain(|raw| recorder.take(raw));
        let (deadline, until) = (recorder.deadline, recorder.watcher.until);
        tokio::select! {
            biased;
            () = stop.asked() => if recorder.is_asked_to_end() { break },
            _ = hangup.recv() => if recorder.is_asked_to_end() { break },
            () = over(deadline) => break,
            code = command_ended(&mut recorder.command) => {
                (recorder.code, recorder.command) = (Some(code), None);
                break;
            }
            () = ended(until) => { recorder.watcher.renew("an exception has ended"); }
            report = engines.news() => recorder.watcher.heard(&mut engines, Some(report)),
            _ = second.tick() => recorder.each_second(),
            told = recorder.watcher.live.told() => recorder.watcher.heed(told),
            ready = rings.ready(), if !more => ready?,
            () = tokio::task::yield_now(), if more => {}
        }
    }
    while rings.drain(|raw| recorder.take(raw)) {}
    recorder.finish(order)
}

/// Waits for the deadline, for ever where there is none.
async fn over(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Waits for the end of the command and gives its exit code, for ever where there is none.
async fn command_ended(command: &mut Option<Started>) -> u8 {
    match command {
        Some(command) => command.ended().await,
        None => std::future::pending().await,
    }
}

/// The rules that say who is an agent. Without files, the command is one that has no rules.
fn rules_of(order: &Order, host: &Host) -> Result<RuleSet, WatchError> {
    if !order.rules.is_empty() {
        return Ok(read_rules(&order.rules, host)?);
    }
    let name = order.command.as_ref().map(|(agent, _)| agent.as_str()).unwrap_or_default();
    let name = serde_json::Value::from(name);
    let text = format!("version: 1\nagents:\n  {name}: {{ any: [{{ launched-as: recorded }}] }}\n");
    let file = SourceFile { name: "--agent".to_owned(), text: text.into_bytes() };
    let rules = rules::load(&[file], &host.users, Moment::now()).map_err(RulesError::Problems)?;
    eprintln!("no rule file was named: {name} is an agent for this recording, and has no rules");
    Ok(rules)
}

/// The same rules, none of which refuses anything.
fn harmless(mut rules: RuleSet) -> RuleSet {
    rules.rules.iter_mut().for_each(|rule| rule.mode = Mode::Monitor);
    rules
}

/// What there is while a recording is made.
struct Recorder {
    watcher: Watcher,
    tape: Tape,
    tally: Tally,
    progress: Progress,
    command: Option<Started>,
    code: Option<u8>,
    /// The nanosecond of `CLOCK_BOOTTIME` at which it began.
    began: u64,
    deadline: Option<Instant>,
    asked_to_end: bool,
    stuck: Option<io::Error>,
}

impl Recorder {
    /// Attaches the hooks, makes the file, and starts the command.
    fn start(mut watcher: Watcher, order: &Order) -> Result<Self, RecordError> {
        let (began, started) = (boot_time(), Moment::now());
        watcher.attach()?;
        let heading = heading(&watcher.host, started);
        let tape = Tape::make(&order.out, order.force, &heading).map_err(|source| match source
            .kind()
        {
            io::ErrorKind::AlreadyExists => RecordError::Exists(order.out.clone()),
            _ => RecordError::Tape { path: order.out.clone(), source },
        })?;
        eprintln!("recording to {}  {}", order.out.display(), watcher.summary());
        let mut recorder = Self {
            watcher,
            tape,
            tally: Tally::default(),
            // The terminal is the command's, where there is one.
            progress: Progress::new(order.command.is_none()),
            command: None,
            code: None,
            began,
            deadline: order.lasts.map(|lasts| Instant::now() + lasts),
            asked_to_end: false,
            stuck: None,
        };
        if let Some((agent, words)) = &order.command {
            let started = recorder.start_command(agent, words).inspect_err(|_| {
                if !order.force {
                    // Made a moment ago, for nothing, and it would be in the way of the next try.
                    let _gone = fs::remove_file(&order.out);
                }
            });
            recorder.command = Some(started?);
        }
        Ok(recorder)
    }

    fn start_command(&mut self, agent: &str, words: &[OsString]) -> Result<Started, RecordError> {
        let waiting = command::fork(words)?;
        let pid = waiting.pid();
        let process = pidfd(pid)?;
        self.watcher.begin(pid, process.as_fd(), agent).map_err(RecordError::Refused)?;
        Ok(waiting.go()?)
    }

    /// One record of the kernel half.
    fn take(&mut self, raw: &[u8]) {
        let Self { watcher, tape, tally, began, stuck, .. } = self;
        let tap = |event: &crate::event::Event, agents: &crate::agent::Agents| {
            let Some(entry) = Entry::of(event, agents, *began) else { return };
            if stuck.is_some() {
                return;
            }
            match tape.put(&entry) {
                Ok(()) => tally.count(&entry),
                Err(error) => *stuck = Some(error),
            }
        };
        if let Err(error) = watcher.pipeline.tapped(raw, tap) {
            log::warn!("{error}: left out, and counted");
        }
    }

    /// Whether the file takes no more.
    fn is_stuck(&self) -> bool {
        self.stuck.is_some()
    }

    /// A signal came. A command that got it too, as from a terminal, is given a moment to end. `true` where there
    /// is nothing to wait for.
    fn is_asked_to_end(&mut self) -> bool {
        const MOMENT: Duration = Duration::from_secs(1);
        if self.command.is_none() || self.asked_to_end {
            return true;
        }
        self.asked_to_end = true;
        let soon = Instant::now() + MOMENT;
        self.deadline = Some(self.deadline.map_or(soon, |deadline| deadline.min(soon)));
        false
    }

    fn each_second(&mut self) {
        if let Err(error) = self.tape.flush() {
            self.stuck = Some(error);
        }
        self.progress.show(&self.tally);
    }

    /// Takes the hooks off and sums up.
    fn finish(mut self, order: &Order) -> Result<Recorded, RecordError> {
        self.progress.clear();
        let flushed = self.tape.flush();
        let losses = Losses::of(&self.watcher);
        if let Some(source) = self.stuck.or(flushed.err()) {
            self.tally.acts = self.tape.entries();
            let (path, tally) = (order.out.clone(), Box::new(self.tally));
            return Err(RecordError::Full { path, source, tally });
        }
        let left = self.command.as_ref().map(Started::pid);
        Ok(Recorded { tally: self.tally, losses: losses?, code: self.code, left })
    }
}

fn heading(host: &Host, started: Moment) -> Heading {
    Heading {
        schema: SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: host.host_name().to_owned(),
        started,
        homes: host.homes.0.iter().cloned().map(Text).collect(),
    }
}

/// Nanoseconds of `CLOCK_BOOTTIME`.
fn boot_time() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let nanoseconds = u128::from(now.tv_sec.unsigned_abs()) * 1_000_000_000;
    u64::try_from(nanoseconds).unwrap_or(u64::MAX).saturating_add(now.tv_nsec.unsigned_abs())
}

/// `3,204 acts of 2 sessions of ci-agent` to a file.
#[must_use]
pub fn report(recorded: &Recorded, out: &Path) -> String {
    let Recorded { tally, losses, left, .. } = recorded;
    let mut text = format!("{}: {tally}; {losses}", out.display());
    if let Some(pid) = left {
        text += &format!("; the command runs on as pid {pid}, and is not recorded any more");
    }
    text
}
