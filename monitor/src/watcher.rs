//! The watcher: what the daemon and the recorder have in common. The kernel half and the pure half under one
//! roof, with the rules that are in force in both.
//!
//! It reads rules, puts them in force, adopts agents that run already and begins sessions. It has no loop: whoever
//! owns it drains the rings and passes each record to [`Watcher::pipeline`]. Dropped, it leaves nothing attached.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::BorrowedFd,
    path::PathBuf,
    time::{Duration, Instant},
};

use monitor_common::tag::{FRESH, LIMITS, NO_AGENT, Tag};

use crate::{
    adopt,
    agent::TooManyAgents,
    control::Refused,
    counted::count,
    engine::{Listener, Report},
    event::SessionId,
    host::{self, FileError, Host},
    kernel::{Kernel, KernelError},
    label::{Files, LeftOut, live::Live},
    pipeline::{InForce, Pipeline},
    reading::Read,
    rehearsal::{Disagreement, NotInForce, rehearse},
    rules::{
        self, Problems,
        compile::{CompileError, Ground, compile},
        contained,
        labels::search,
        model::{Moment, RuleSet, Sign},
        plan::KernelPlan,
        reach::{Lost, Shortfall, Within, within},
        uses::Slots,
    },
};

/// Why nothing is watched, or not by these rules.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The rules.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The kernel.
    #[error(transparent)]
    Kernel(#[from] KernelError),
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

impl From<NotInForce> for WatchError {
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

/// Compile errors as `check` shows them.
#[must_use]
pub fn compile_errors(errors: &[CompileError]) -> String {
    let one = |error: &CompileError| {
        format!("error: {}\n  --> {}\nhelp: {}\n", error.message, error.place, error.help)
    };
    errors.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// Reads, parses and resolves.
pub(crate) fn read_rules(paths: &[PathBuf], host: &Host) -> Result<RuleSet, RulesError> {
    let files = host::rule_files(paths)?;
    if files.is_empty() {
        return Err(RulesError::NoFiles(paths.to_vec()));
    }
    rules::load_with(&rules::shipped::files(), &files, &host.users, Moment::now())
        .map_err(RulesError::Problems)
}

/// Waits for the end of an exception, by the clock of day, which may be set meanwhile: it is looked at once a
/// minute. For ever, where none ends.
pub(crate) async fn ended(until: Option<Moment>) {
    const LOOK: Duration = Duration::from_secs(60);
    let Some(until) = until else { return std::future::pending().await };
    while let Ok(left) = Duration::try_from(until.duration_since(Moment::now()))
        && !left.is_zero()
    {
        tokio::time::sleep(left.min(LOOK)).await;
    }
}

/// Makes files known by their inode, as far as there is room, and gives their names.
fn labelled(plan: &mut KernelPlan, files: &Files) -> BTreeMap<(u32, u64), Vec<u8>> {
    let mut names = BTreeMap::new();
    for (key, known) in files {
        if plan.label(*key, &known.rules)
            && let Some(name) = known.names.first()
        {
            names.insert((key.device, key.inode), name.clone());
        }
    }
    names
}

/// Containers that are agents.
#[derive(Debug, Default)]
struct Contained {
    /// The clauses of all agents, as they are in force.
    clauses: Vec<Vec<Vec<Sign>>>,
    /// Cgroups that they name.
    cgroups: BTreeSet<Vec<u8>>,
    /// Cgroups whose processes have been adopted.
    adopted: BTreeSet<Vec<u8>>,
}

/// A loaded kernel half, and who reads its records.
pub(crate) struct Watcher {
    /// The kernel half.
    pub(crate) kernel: Kernel,
    /// The pure half.
    pub(crate) pipeline: Pipeline,
    /// The host as it was when the rules were read.
    pub(crate) host: Host,
    /// What the rules ask for and is not done.
    pub(crate) shortfalls: Vec<Shortfall>,
    /// When an exception ends, and the plan with it.
    pub(crate) until: Option<Moment>,
    /// The serial of the plan in force.
    pub(crate) serial: u32,
    /// The files that are known by their inode.
    pub(crate) live: Live,
    /// What of them was said to be left out.
    pub(crate) said: LeftOut,
    /// What container engines have said.
    pub(crate) engines: Report,
    /// Plans that could not be made for new containers.
    pub(crate) refused_containers: u64,
    contained: Contained,
    /// Where uses of grants are counted.
    slots: Slots,
    /// The plan in force.
    pub(crate) plan: Option<KernelPlan>,
    /// The rules as they were read; what of them is in force is the pipeline's to say.
    whole: RuleSet,
    secret: u64,
    watch: bool,
}

impl Watcher {
    /// Loads the kernel half. Nothing is attached and no rule is in force. With `watch` every act of a session is
    /// told, else only those that hit a rule; with `debug` the hooks log.
    pub(crate) fn load(watch: bool, debug: bool) -> Result<Self, WatchError> {
        let secret = secret().map_err(WatchError::Loop)?;
        Ok(Self {
            kernel: Kernel::load(secret, debug)?,
            pipeline: Pipeline::default(),
            host: Host::default(),
            shortfalls: Vec::new(),
            until: None,
            serial: 0,
            live: Live::default(),
            said: LeftOut::default(),
            engines: Report::default(),
            refused_containers: 0,
            contained: Contained::default(),
            slots: Slots::default(),
            plan: None,
            whole: RuleSet::default(),
            secret,
            watch,
        })
    }

    /// Puts rules that were read in force.
    pub(crate) fn put_in_force(&mut self, read: Read) -> Result<(), WatchError> {
        let Read { host, whole, now, mut follow } = read;
        let no_room = self.install(&host, &whole, now, follow.files())?;
        follow.no_room(no_room);
        (self.host, self.whole) = (host, whole);
        self.live.take(follow);
        Ok(())
    }

    /// Compiles rules for this host and its containers, gives them to the kernel half, and from then on reads
    /// records by them. Returns how many files there was no room for.
    fn install(
        &mut self,
        host: &Host,
        whole: &RuleSet,
        now: Moment,
        files: &Files,
    ) -> Result<usize, WatchError> {
        let (settled, cgroups) = self.settled(whole);
        let clauses = clauses(&settled);
        let Within { mut rules, shortfalls, until } = within(&settled, now);
        for slot in self.slots.assign(&mut rules, now) {
            self.kernel.plans.clear_uses(slot)?;
        }
        let numbers: Result<Vec<u32>, TooManyAgents> = rules
            .agents
            .iter()
            .map(|agent| self.pipeline.agents.names.number(&agent.name))
            .collect();
        let agent_numbers = numbers.map_err(RulesError::from)?;
        let (tier, serial) = (self.kernel.tier(), self.serial + 1);
        let ground = Ground {
            secret: self.secret,
            homes: &host.homes,
            tier: &tier,
            serial,
            agent_numbers: &agent_numbers,
            watch: self.watch,
        };
        let mut plan = compile(&rules, &ground).map_err(RulesError::Compile)?;
        let labels = labelled(&mut plan, files);
        let no_room = files.len() - plan.labels.len();
        let in_force = InForce {
            serial,
            order: plan.order.clone(),
            rules,
            agent_numbers,
            tier,
            homes: host.homes.clone(),
            now,
            labels,
        };
        let bank = rehearse(&mut self.kernel, &plan, &in_force)?;
        // Before the switch: a record of the new plan may come at once.
        self.pipeline.put_in_force(in_force);
        if let Err(error) = self.kernel.plans.switch(bank) {
            self.pipeline.take_back();
            return Err(error.into());
        }
        (self.plan, self.serial, self.until) = (Some(plan), serial, until);
        (self.contained.clauses, self.contained.cgroups) = (clauses, cgroups);
        if let Some(in_force) = self.pipeline.in_force() {
            self.slots.settle(&in_force.rules);
        }
        self.say_what_falls_short(shortfalls);
        Ok(no_room)
    }

    fn say_what_falls_short(&mut self, shortfalls: Vec<Shortfall>) {
        if shortfalls == self.shortfalls {
            return;
        }
        // While every act is only watched, it matters who is an agent and not what is enforced.
        let matters = |short: &&Shortfall| !self.watch || matches!(short.lost, Lost::Signs { .. });
        shortfalls.iter().filter(matters).for_each(|short| eprintln!("{}: {short}", short.place));
        self.shortfalls = shortfalls;
    }

    /// An exception has ended, or a container is another one: the same rules are another plan now. The files that
    /// are known stay known. `false` where the old plan stays.
    pub(crate) fn renew(&mut self, why: &str) -> bool {
        match self.again_in_force() {
            Ok(()) => eprintln!("{why}  {}", self.summary()),
            Err(error) => {
                const AGAIN: Duration = Duration::from_secs(60);
                self.until = Some(Moment::now() + AGAIN);
                eprintln!("{error}");
                eprintln!("{why}, and the plan is the old one: tried again in a minute");
                return false;
            }
        }
        true
    }

    /// The rules with cgroups in place of what engines were asked about, where any answers, and those cgroups.
    fn settled(&self, whole: &RuleSet) -> (RuleSet, BTreeSet<Vec<u8>>) {
        let mut settled = whole.clone();
        let cgroups = match self.engines.containers() {
            Some(containers) => contained::settle(&mut settled, containers),
            None => BTreeSet::new(),
        };
        (settled, cgroups)
    }

    /// Container engines have said something: containers that are agents now are so from here on, with what runs
    /// in them. Hooks must be attached.
    fn engines_said(&mut self, report: Report) {
        self.engines = report;
        if clauses(&self.settled(&self.whole).0) != self.contained.clauses
            && !self.renew("containers have changed")
        {
            self.refused_containers += 1;
            return;
        }
        self.adopt_contained();
    }

    /// Adopts what runs in containers that are agents by the plan in force, each of them once.
    fn adopt_contained(&mut self) {
        let found: BTreeSet<Vec<u8>> = self
            .engines
            .containers()
            .into_iter()
            .flatten()
            .filter_map(|c| c.found.clone())
            .collect();
        let Contained { cgroups, adopted, .. } = &mut self.contained;
        adopted.retain(|cgroup| found.contains(cgroup) && cgroups.contains(cgroup));
        let new: Vec<Vec<u8>> = found
            .into_iter()
            .filter(|found| cgroups.contains(found) && !adopted.contains(found))
            .collect();
        let Some(plan) = self.plan.as_ref().filter(|_| !new.is_empty()) else { return };
        match adopt::adopt_in(&new, &self.kernel.tags, plan, &mut self.pipeline.agents) {
            Ok(sessions) => {
                adopted.extend(new);
                tell_held(&mut self.kernel, &sessions);
            }
            Err(error) => log::error!("what runs in containers cannot be adopted: {error}"),
        }
    }

    /// Engines have said something or, without a report, the rules have changed: it is acted upon, and whether
    /// they are to be asked any more is decided.
    pub(crate) fn heard(&mut self, engines: &mut Listener, report: Option<Report>) {
        let begin = Instant::now();
        let report = report.unwrap_or_else(|| engines.listen(contained::asks_engines(&self.whole)));
        self.engines_said(report);
        engines.dealt_with(begin.elapsed());
    }

    fn again_in_force(&mut self) -> Result<(), WatchError> {
        let now = Moment::now();
        let search = search(&within(&self.whole, now).rules);
        let (host, whole) = (self.host.clone(), self.whole.clone());
        let Some(files) = self.live.by(&search) else {
            return self.put_in_force(Read::of(host, whole));
        };
        self.install(&host, &whole, now, &files)?;
        self.live.turn_to(search, files);
        Ok(())
    }

    /// Makes a process the root of a session of an agent with its next exec, on top of whatever limits it is
    /// under. `process` is a pidfd of it.
    pub(crate) fn begin(
        &mut self,
        pid: u32,
        process: BorrowedFd<'_>,
        agent: &str,
    ) -> Result<SessionId, Refused> {
        let number = self.launchable(agent)?;
        let failed =
            |error: io::Error| Refused { error: format!("the caller cannot be tagged: {error}") };
        let before = self.kernel.tags.get(process).map_err(failed)?.unwrap_or_default();
        if before.agents.contains(&number) {
            return Ok(SessionId(before.session));
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
        let running = host::process(pid);
        self.kernel.tags.set(process, &tag).map_err(failed)?;
        if let Some(running) = running {
            self.pipeline.agents.enlist(running.id, running.process, SessionId(session), number);
        }
        Ok(SessionId(session))
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

    /// Attaches the hooks, and then looks for agents that were running before them. Rules must be in force.
    pub(crate) fn attach(&mut self) -> Result<(), WatchError> {
        self.kernel.attach()?;
        if let Some(plan) = &self.plan {
            let sessions = adopt::adopt(&self.kernel.tags, plan, &mut self.pipeline.agents);
            tell_held(&mut self.kernel, &sessions);
        }
        Ok(())
    }

    /// How things stand, on one line.
    pub(crate) fn summary(&self) -> String {
        let Some(in_force) = self.pipeline.in_force() else { return "no rules".to_owned() };
        let RuleSet { agents, files, .. } = &in_force.rules;
        let kernel = &self.kernel;
        let missing = match kernel.lost().len() {
            0 => String::new(),
            missing => format!(", {missing} of {} hooks missing", kernel.wanted()),
        };
        format!(
            "{} for {} from {}, plan {}, tier {} ({}{missing}), {}",
            count(in_force.enforced(), "rule"),
            count(agents.len(), "agent"),
            count(*files, "file"),
            in_force.serial,
            in_force.tier.name(),
            kernel.rung().name(),
            count(self.pipeline.agents.sessions(), "session"),
        )
    }
}

/// What adopted processes hold is judged. Where that cannot be, they are under the rules all the same.
fn tell_held(kernel: &mut Kernel, sessions: &[u64]) {
    if !sessions.is_empty()
        && let Err(error) = kernel.tell_held(sessions)
    {
        let count = count(sessions.len(), "session");
        log::warn!("what {count} had before the daemon came is not known: {error}");
    }
}

fn clauses(rules: &RuleSet) -> Vec<Vec<Vec<Sign>>> {
    rules.agents.iter().map(|agent| agent.clauses.clone()).collect()
}

/// A number that nobody can guess.
pub(crate) fn secret() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(bytes))
}
