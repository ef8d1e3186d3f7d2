//! The daemon: one owner of everything, one loop. **Start reading here.**
//!
//! The order in [`watch`] is the promise: the plan is in the kernel before the first hook is attached,
//! hooks are attached before `/proc` is read (seen twice beats never), and when this ends, in whatever
//! way, the kernel takes every hook off again.

use std::{collections::BTreeMap, io, path::PathBuf, sync::atomic::Ordering};

use monitor_common::tag::{FRESH, LIMITS, NO_AGENT, Tag};
use serde_json::{Value, json};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use crate::{
    adopt,
    agent::TooManyAgents,
    alert::{
        Alert, json,
        sink::{Sink, Target},
        text,
    },
    control::{Begun, Caller, Refused, Request, server},
    event::SessionId,
    host::{self, FileError, Host},
    kernel::{HookLog, Kernel, KernelError},
    label::{self, Labels, LeftOut},
    pipeline::{InForce, Pipeline},
    rehearsal::{Disagreement, NotInForce, rehearse},
    rules::{
        self, Problems,
        compile::{CompileError, Ground, compile},
        evaluate::Tier,
        glob::Homes,
        labels,
        model::RuleSet,
        plan::KernelPlan,
    },
};

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
    /// The rules.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The kernel.
    #[error(transparent)]
    Kernel(#[from] KernelError),
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
    /// The runtime.
    #[error("the event loop: {0}")]
    Loop(#[source] io::Error),
}

/// Why a set of rules is not in force.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// A file cannot be read.
    #[error("rules cannot be read: {0}; name files or directories with --rules")]
    File(#[from] FileError),
    /// There is nothing to read.
    #[error("there are no rule files (*.yaml) in {}: name some with --rules", list(.0))]
    NoFiles(Vec<PathBuf>),
    /// The files have problems.
    #[error("{}", .0.render(false))]
    Problems(Problems),
    /// The rules cannot be compiled for this kernel half.
    #[error("{}", compile_errors(.0))]
    Compile(Vec<CompileError>),
    /// The kernel half would do otherwise than they say.
    #[error(transparent)]
    Disagreement(#[from] Disagreement),
    /// There are too many agents.
    #[error(transparent)]
    Agents(#[from] TooManyAgents),
}

impl From<NotInForce> for DaemonError {
    fn from(error: NotInForce) -> Self {
        match error {
            NotInForce::Kernel(error) => Self::Kernel(error),
            NotInForce::Disagreement(error) => Self::Rules(error.into()),
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// `1 file`, `2 files`.
pub(crate) fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Compile errors as `check` shows them.
#[must_use]
pub fn compile_errors(errors: &[CompileError]) -> String {
    let one = |error: &CompileError| {
        format!("error: {}\n  --> {}\nhelp: {}\n", error.message, error.place, error.help)
    };
    errors.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// Runs until told to stop.
///
/// # Errors
///
/// Where it cannot start; then nothing is attached.
pub fn run(config: &Config) -> Result<(), DaemonError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(DaemonError::Loop)?.block_on(watch(config))
}

async fn watch(config: &Config) -> Result<(), DaemonError> {
    // First of all, so that no signal finds us half way: one that comes now waits for the loop.
    let mut stop = Stop::new().map_err(DaemonError::Loop)?;
    let mut reload = signal(SignalKind::hangup()).map_err(DaemonError::Loop)?;
    let host = Host::read();
    let rules = read_rules(&config.rules, &host)?;
    let sink = open_sink(config)?;
    let secret = secret().map_err(DaemonError::Loop)?;
    let kernel = Kernel::load(secret, config.debug)?;
    let mut daemon = Daemon {
        kernel,
        pipeline: Pipeline::default(),
        sink,
        host,
        plan: None,
        secret,
        serial: 0,
        left_out: LeftOut::default(),
        refused_reloads: 0,
        config: config.clone(),
    };
    daemon.put_in_force(rules)?;
    let mut rings = daemon.kernel.rings()?;
    let (listener, _socket) = server::bind(&config.socket).map_err(|source| {
        DaemonError::Socket { path: config.socket.display().to_string(), source }
    })?;
    daemon.kernel.attach()?;
    daemon.adopt();
    let (requests, mut asked) = mpsc::channel(64);
    tokio::spawn(server::serve(listener, requests));
    let mut hook_log = if config.debug { daemon.kernel.hook_log()? } else { HookLog::off() };
    daemon.say_ready();

    loop {
        let more = rings.drain(|record| daemon.handle(record));
        tokio::select! {
            biased;
            () = stop.asked() => break,
            _ = reload.recv() => daemon.reload(),
            Some(request) = asked.recv() => daemon.answer(request),
            () = hook_log.flush() => {}
            ready = rings.ready(), if !more => ready.map_err(DaemonError::Loop)?,
            () = tokio::task::yield_now(), if more => {}
        }
    }
    while rings.drain(|record| daemon.handle(record)) {}
    Ok(())
}

/// The one owner of state.
struct Daemon {
    kernel: Kernel,
    pipeline: Pipeline,
    sink: Sink,
    host: Host,
    plan: Option<KernelPlan>,
    secret: u64,
    serial: u32,
    left_out: LeftOut,
    refused_reloads: u64,
    config: Config,
}

impl Daemon {
    /// Compiles a rule set for this host, gives it to the kernel half, and from then on reads records by it.
    fn put_in_force(&mut self, rules: RuleSet) -> Result<(), DaemonError> {
        let numbers: Result<Vec<u32>, TooManyAgents> = rules
            .agents
            .iter()
            .map(|agent| self.pipeline.agents.names.number(&agent.name))
            .collect();
        let agent_numbers = numbers.map_err(RulesError::from)?;
        let (tier, serial) = (Tier::REACT, self.serial + 1);
        let ground = Ground {
            secret: self.secret,
            homes: &self.host.homes,
            tier: &tier,
            serial,
            agent_numbers: &agent_numbers,
            watch: false,
        };
        let mut plan = compile(&rules, &ground).map_err(RulesError::Compile)?;
        let (labels, left_out) = labelled(&mut plan, &rules, &self.host.homes);
        let in_force = InForce {
            serial,
            order: plan.order.clone(),
            rules,
            agent_numbers,
            tier,
            homes: self.host.homes.clone(),
            labels,
        };
        let bank = rehearse(&mut self.kernel, &plan, &in_force)?;
        // Before the switch: a record of the new plan may come at once.
        self.pipeline.put_in_force(in_force);
        if let Err(error) = self.kernel.plans.switch(bank) {
            self.pipeline.take_back();
            return Err(error.into());
        }
        (self.plan, self.serial, self.left_out) = (Some(plan), serial, left_out);
        Ok(())
    }

    /// Reads the rules again. A set with one error changes nothing.
    fn reload(&mut self) {
        let host = Host::read();
        let outcome = read_rules(&self.config.rules, &host).map_err(DaemonError::from);
        self.host = host;
        match outcome.and_then(|rules| self.put_in_force(rules)) {
            Ok(()) => eprintln!("reloaded  {}", self.summary()),
            Err(error) => {
                self.refused_reloads += 1;
                eprintln!("{error}");
                eprintln!("rules not reloaded: the ones in force stay  {}", self.summary());
            }
        }
    }

    /// One record from the kernel half.
    fn handle(&mut self, record: &[u8]) {
        let finding = match self.pipeline.advance(record) {
            Ok(Some(finding)) => finding,
            Ok(None) => return,
            Err(error) => return log::warn!("{error}: left out, and counted"),
        };
        let mut alert = Alert::of(finding, &self.host);
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
                drop(answer.send(self.begin(&caller, &agent)))
            }
            Request::Status { answer } => drop(answer.send(self.status())),
        }
    }

    /// Makes the caller the root of a session of an agent, on top of whatever limits it is under.
    fn begin(&mut self, caller: &Caller, agent: &str) -> Result<Begun, Refused> {
        let number = self.launchable(agent)?;
        let failed =
            |error: io::Error| Refused { error: format!("the caller cannot be tagged: {error}") };
        let before = self.kernel.tags.get(pidfd(caller)).map_err(failed)?.unwrap_or_default();
        if before.agents.contains(&number) {
            return Ok(Begun { session: SessionId(before.session).to_string() });
        }
        let Some(place) = before.agents.iter().position(|limit| *limit == NO_AGENT) else {
            let error = format!(
                "the caller is already under the limits of {LIMITS} agents, the most there can be"
            );
            return Err(Refused { error });
        };
        let session = secret().map_err(failed)?.max(1);
        let mut tag = Tag { session, flags: FRESH, ..before };
        tag.agents[place] = number;
        let running = host::process(caller.pid);
        self.kernel.tags.set(pidfd(caller), &tag).map_err(failed)?;
        if let Some(running) = running {
            self.pipeline.agents.enlist(running.id, running.process, SessionId(session), number);
        }
        Ok(Begun { session: SessionId(session).to_string() })
    }

    fn launchable(&self, name: &str) -> Result<u32, Refused> {
        let in_force = self.pipeline.in_force().expect("a plan is in force before anybody can ask");
        let agents = in_force.rules.agents.iter().zip(&in_force.agent_numbers);
        let mut names = Vec::new();
        for (agent, number) in agents {
            if agent.name == name || agent.launched_as.iter().any(|known| known == name) {
                return Ok(*number);
            }
            names.push(agent.name.as_str());
        }
        let error = format!(
            "no rule file has an agent `{name}`: write one, or use one of {}",
            names.join(", ")
        );
        Err(Refused { error })
    }

    /// Agents that were running before the hooks.
    fn adopt(&mut self) {
        if let Some(plan) = &self.plan {
            adopt::adopt(&self.kernel.tags, plan, &mut self.pipeline.agents);
        }
    }

    fn say_ready(&self) {
        if self.left_out != LeftOut::default() {
            eprintln!("labels    known by their names only: {}", self.left_out);
        }
        eprintln!("ready     {}", self.summary());
    }

    fn summary(&self) -> String {
        let Some(in_force) = self.pipeline.in_force() else { return "no rules".to_owned() };
        let RuleSet { rules, agents, files, .. } = &in_force.rules;
        format!(
            "{} for {} from {}, plan {}, tier {}, {}",
            count(rules.len(), "rule"),
            count(agents.len(), "agent"),
            count(*files, "file"),
            in_force.serial,
            in_force.tier.name(),
            count(self.pipeline.agents.sessions(), "session"),
        )
    }

    fn status(&self) -> Value {
        let counters = match self.kernel.counters.read() {
            Ok(counters) => {
                counters.into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect()
            }
            Err(error) => Value::String(error.to_string()),
        };
        let in_force = self.pipeline.in_force();
        let seen = self.pipeline.seen;
        let tally = &self.sink.tally;
        json!({
            "schema": "driftwatch.status/v1",
            "rules": {
                "plan": self.serial,
                "rules": in_force.map(|rules| rules.rules.rules.len()),
                "agents": in_force.map(|rules| rules.rules.agents.len()),
                "refused_reloads": self.refused_reloads,
                "labels": in_force.map(|rules| rules.labels.len()),
            },
            "tier": in_force.map(|rules| rules.tier.name()),
            "sessions": self.pipeline.agents.sessions(),
            "processes_known": self.pipeline.agents.processes.len(),
            "kernel": { "counters": counters },
            "events": {
                "decoded": seen.events,
                "refused": seen.refused,
                "missing": self.pipeline.missing(),
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

/// Makes the files that rules shut known by their inode, and gives their names.
fn labelled(
    plan: &mut KernelPlan,
    rules: &RuleSet,
    homes: &Homes,
) -> (BTreeMap<(u32, u64), Vec<u8>>, LeftOut) {
    let Labels { files, mut left_out } = label::find(&labels::search(rules), homes);
    let mut names = BTreeMap::new();
    for (key, (name, rules)) in files {
        if plan.label(key, &rules) {
            names.insert((key.device, key.inode), name);
        } else {
            left_out.no_room += 1;
        }
    }
    (names, left_out)
}

fn pidfd(caller: &Caller) -> std::os::fd::BorrowedFd<'_> {
    use std::os::fd::AsFd as _;
    caller.pidfd.as_fd()
}

/// Reads, parses and resolves.
fn read_rules(paths: &[PathBuf], host: &Host) -> Result<RuleSet, RulesError> {
    let files = host::rule_files(paths)?;
    if files.is_empty() {
        return Err(RulesError::NoFiles(paths.to_vec()));
    }
    rules::load(&files, &host.users).map_err(RulesError::Problems)
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

/// A number that nobody can guess.
pub(crate) fn secret() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(bytes))
}

/// SIGTERM and SIGINT.
struct Stop {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
