//! The daemon: one owner of everything, one loop. **Start reading here.**
//!
//! The order in [`watch`] is the promise: the plan is in the kernel before the first hook is attached,
//! hooks are attached before `/proc` is read (seen twice beats never), and when this ends, in whatever
//! way, the kernel takes every hook off again.

use std::{io, os::fd::AsFd as _, path::PathBuf, sync::atomic::Ordering};

use serde_json::{Value, json};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

pub use crate::watcher::{RulesError, WatchError, compile_errors};
use crate::{
    alert::{
        Alert, json,
        sink::{Sink, Target},
        text,
    },
    control::{Begun, Caller, Request, server},
    engine::Listener,
    host,
    kernel::{HookLog, Kernel},
    reading::{Read, Reading},
    rules::{
        contained::asks_engines,
        model::{Grant, RuleSet},
        uses,
    },
    stop::Stop,
    watcher::{Watcher, ended},
};
pub(crate) use crate::{counted::count, watcher::secret};

/// What the daemon is told to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// Rule files and directories of them.
    pub rules: Vec<PathBuf>,
    /// Where alerts go.
    pub alerts: Target,
    /// How they look there.
    pub format: Format,
    /// Where the control socket is.
    pub socket: PathBuf,
    /// Sockets of container engines; empty for the usual ones.
    pub engines: Vec<PathBuf>,
    /// Log what the hooks do.
    pub debug: bool,
}

/// How an alert is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// A few lines for a person.
    Text,
}

/// Why the daemon did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Nothing can be watched, or not by these rules.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// The alert file.
    #[error("alerts cannot be written to {target}: {source}; name another place with --alerts")]
    Alerts {
        /// Where they should go.
        target: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The control socket.
    #[error("the control socket {path} cannot be made: {source}; name another with --socket")]
    Socket {
        /// Where.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl From<io::Error> for DaemonError {
    fn from(error: io::Error) -> Self {
        Self::Watch(WatchError::Loop(error))
    }
}

/// Runs until told to stop.
///
/// # Errors
///
/// Where it cannot start; then nothing is attached.
pub fn run(config: &Config) -> Result<(), DaemonError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime?.block_on(watch(config))
}

async fn watch(config: &Config) -> Result<(), DaemonError> {
    // First of all, so that no signal finds us half way: one that comes now waits for the loop.
    let mut stop = Stop::new()?;
    let mut reload = signal(SignalKind::hangup())?;
    let read = Read::files(&config.rules).map_err(WatchError::from)?;
    let sink = open_sink(config)?;
    let watcher = Watcher::load(false, config.debug)?;
    let (reading, config) = (Reading::default(), config.clone());
    let mut engines = Listener::new(&config.engines);
    let mut daemon = Daemon { watcher, sink, reading, refused_reloads: 0, config };
    daemon.watcher.engines = engines.listen(asks_engines(&read.whole));
    daemon.watcher.put_in_force(read)?;
    let mut rings = daemon.watcher.kernel.rings().map_err(WatchError::from)?;
    let (listener, _socket) = server::bind(&daemon.config.socket).map_err(|source| {
        DaemonError::Socket { path: daemon.config.socket.display().to_string(), source }
    })?;
    daemon.watcher.attach()?;
    let (requests, mut asked) = mpsc::channel(64);
    tokio::spawn(server::serve(listener, requests));
    let mut hook_log = daemon.hook_log()?;
    daemon.watcher.say_what_has_no_label();
    eprintln!("ready     {}", daemon.watcher.summary());

    loop {
        let more = rings.drain(|record| daemon.handle(record));
        tokio::select! {
            biased;
            () = stop.asked() => break,
            _ = reload.recv() => daemon.reading.begin(&daemon.config.rules),
            read = daemon.reading.done() => daemon.reload(read, &mut engines),
            () = ended(daemon.watcher.until) => {
                daemon.watcher.renew("an exception has ended");
            }
            report = engines.news() => daemon.watcher.heard(&mut engines, Some(report)),
            Some(request) = asked.recv() => daemon.answer(request),
            () = hook_log.flush() => {}
            told = daemon.watcher.live.told() => {
                daemon.watcher.heed(told);
                daemon.watcher.say_what_has_no_label();
            }
            ready = rings.ready(), if !more => ready?,
            () = tokio::task::yield_now(), if more => {}
        }
    }
    while rings.drain(|record| daemon.handle(record)) {}
    Ok(())
}

/// The one owner of state.
struct Daemon {
    watcher: Watcher,
    sink: Sink,
    reading: Reading,
    refused_reloads: u64,
    config: Config,
}

impl Daemon {
    /// The rules were read again. A set with one error changes nothing.
    fn reload(&mut self, read: Result<Read, WatchError>, engines: &mut Listener) {
        if read.as_ref().is_ok_and(|read| asks_engines(&read.whole)) {
            self.watcher.engines = engines.listen(true);
        }
        match read.and_then(|read| self.watcher.put_in_force(read)) {
            Ok(()) => {
                self.watcher.say_what_has_no_label();
                eprintln!("reloaded  {}", self.watcher.summary());
            }
            Err(error) => {
                self.refused_reloads += 1;
                eprintln!("{error}");
                eprintln!("rules not reloaded: the ones in force stay  {}", self.watcher.summary());
            }
        }
        self.reading.next(&self.config.rules);
        self.watcher.heard(engines, None);
    }

    /// One record from the kernel half.
    fn handle(&mut self, record: &[u8]) {
        let finding = match self.watcher.pipeline.advance(record) {
            Ok(Some(finding)) => finding,
            Ok(None) => return,
            Err(error) => return log::warn!("{error}: left out, and counted"),
        };
        let mut alert = Alert::of(finding, &self.watcher.host);
        if alert.ancestry.is_empty()
            && let Some(running) = host::process(alert.process.pid)
        {
            alert.ancestry.push((running.id, running.process));
        }
        self.sink.put(match self.config.format {
            Format::Json => json::line(&alert),
            Format::Text => {
                text::lines(&alert, crate::alert::sink::is_terminal(&self.config.alerts))
            }
        });
    }

    fn answer(&mut self, request: Request) {
        // A caller that does not wait for its answer any more is no error.
        match request {
            Request::Begin { caller, agent, answer } => {
                let Caller { pid, pidfd, .. } = caller;
                let session = self.watcher.begin(pid, pidfd.as_fd(), &agent);
                drop(answer.send(session.map(|id| Begun { session: id.to_string() })));
            }
            Request::Status { answer } => drop(answer.send(self.status())),
        }
    }

    fn hook_log(&mut self) -> Result<HookLog, WatchError> {
        if !self.config.debug {
            return Ok(HookLog::off());
        }
        Ok(self.watcher.kernel.hook_log()?)
    }

    fn status(&self) -> Value {
        let Watcher { kernel, pipeline, serial, shortfalls, engines, refused_containers, .. } =
            &self.watcher;
        let counters = match kernel.counted() {
            Ok(counters) => {
                counters.into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect()
            }
            Err(error) => Value::String(error.to_string()),
        };
        let in_force = pipeline.in_force();
        let seen = pipeline.seen;
        let tally = &self.sink.tally;
        json!({
            "schema": "driftwatch.status/v1",
            "rules": {
                "plan": serial,
                "rules": in_force.map(|rules| rules.enforced()),
                "agents": in_force.map(|rules| rules.rules.agents.len()),
                "refused_reloads": self.refused_reloads,
                "not_enforced": shortfalls.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "labels": self.watcher.plan.as_ref().map(|plan| plan.labels.len()),
                "label_searches": self.watcher.live.searches,
                "without_label": self.watcher.live.left_out(),
                "refused_containers": refused_containers,
            },
            "grants": in_force.map(|rules| uses_left(kernel, &rules.rules)),
            "engines": engines.status(),
            "tier": in_force.map(|rules| rules.tier.name()),
            "sessions": pipeline.agents.sessions(),
            "processes_known": pipeline.agents.processes.len(),
            "kernel": {
                "rung": kernel.rung().name(),
                "hooks": hooks(kernel),
                "counters": counters,
            },
            "events": {
                "decoded": seen.events,
                "refused": seen.refused,
                "missing": pipeline.missing(),
                "unknown_plans": seen.unknown_plans,
                "unknown_processes": seen.unknown_processes,
                "disagreements": seen.disagreements,
            },
            "alerts": {
                "written": tally.written.load(Ordering::Relaxed),
                "waiting": tally.waiting.load(Ordering::Relaxed),
                "dropped": tally.dropped.load(Ordering::Relaxed),
                "failures": tally.failures.load(Ordering::Relaxed),
            },
        })
    }
}

/// Which hooks are attached, and which this kernel does not have.
fn hooks(kernel: &Kernel) -> Value {
    let missing = kernel.lost().iter().map(|lost| {
        let acts: Vec<&str> = lost.acts.iter().map(|act| act.name()).collect();
        json!({ "hook": lost.program, "acts": acts, "why": lost.why })
    });
    let (wanted, missing) = (kernel.wanted(), missing.collect::<Vec<_>>());
    json!({ "wanted": wanted, "attached": wanted - missing.len(), "missing": missing })
}

/// What is left of each grant that may be used a number of times.
fn uses_left(kernel: &Kernel, rules: &RuleSet) -> Value {
    let left = |grant: &Grant| {
        let uses = grant.uses?;
        let used = kernel.plans.uses(uses.slot).ok()?;
        let left = u64::from(uses.limit).saturating_sub(used);
        Some((grant.id.clone(), json!({ "uses": uses.limit, "left": left })))
    };
    Value::Object(uses::grants(rules).filter_map(left).collect())
}

fn open_sink(config: &Config) -> Result<Sink, DaemonError> {
    Sink::open(&config.alerts).map_err(|source| DaemonError::Alerts {
        target: match &config.alerts {
            Target::File(path) => path.display().to_string(),
            Target::Stdout => "standard output".to_owned(),
        },
        source,
    })
}
