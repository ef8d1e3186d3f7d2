//! The kernel half without a daemon: loaded by the test itself, given plans by it, and read by it. The agents are
//! closures of the test, in processes that share its memory ([`crate::vfork`]).
//!
//! For what a daemon is too slow to show, or never does.

use std::{collections::BTreeMap, sync::mpsc, thread};

use anyhow::{Context, anyhow};
use monitor::{
    event::{Event, What, decode},
    host::Host,
    kernel::{Kernel, Rings},
    pipeline::InForce,
    rehearsal::rehearse,
    rules::{
        SourceFile, Users,
        compile::{Ground, compile},
        evaluate::Tier,
        glob::Homes,
        load,
        model::{Moment, RuleSet},
        plan::KernelPlan,
    },
};
use monitor_common::tag::{LIMITS, Tag};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::vfork;

/// What literals are hashed with. Nobody is here to guess it.
const SECRET: u64 = 0x01de_a0fa_7e57_5eed;

/// A loaded kernel half. With it, its hooks go.
pub struct Half {
    /// The kernel half.
    pub kernel: Kernel,
    /// Home directories of its plans.
    pub homes: Homes,
    rings: Option<Rings>,
    serial: u32,
    runtime: tokio::runtime::Runtime,
}

impl Half {
    /// Loads it. Nothing is attached, no plan is in force.
    pub fn load() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let kernel = Kernel::load(SECRET, false)?;
        Ok(Self { kernel, homes: Host::read().homes, rings: None, serial: 0, runtime })
    }

    /// Compiles rules whose agents are numbered from 1, as the next plan.
    pub fn compile(&mut self, rules: &RuleSet, watch: bool) -> anyhow::Result<KernelPlan> {
        self.serial += 1;
        plan(rules, &self.homes, &self.kernel.tier(), self.serial, watch)
    }

    /// Puts a plan in force without asking it anything.
    pub fn install(&mut self, plan: &KernelPlan) -> anyhow::Result<()> {
        let bank = self.kernel.plans.prepare(plan)?;
        Ok(self.kernel.plans.switch(bank)?)
    }

    /// Puts a plan in force as the daemon does: asked first.
    pub fn put_in_force(&mut self, plan: &KernelPlan, rules: &RuleSet) -> anyhow::Result<()> {
        let in_force = InForce {
            now: Moment::now(),
            serial: plan.header.serial,
            rules: rules.clone(),
            order: plan.order.clone(),
            agent_numbers: (1..).take(rules.agents.len()).collect(),
            tier: self.kernel.tier(),
            homes: self.homes.clone(),
            labels: BTreeMap::new(),
        };
        let bank = rehearse(&mut self.kernel, plan, &in_force)?;
        Ok(self.kernel.plans.switch(bank)?)
    }

    /// Attaches the hooks. A plan must be in force.
    pub fn attach(&mut self) -> anyhow::Result<()> {
        let _guard = self.runtime.enter();
        self.rings = Some(self.kernel.rings()?);
        Ok(self.kernel.attach()?)
    }

    /// The acts that have come since the last call. That an agent has ended is none.
    pub fn acts(&mut self) -> anyhow::Result<Vec<Event>> {
        let mut events = Vec::new();
        self.some_events(usize::MAX, |event| {
            if !matches!(event.what, What::Exit { .. }) {
                events.push(event);
            }
            Ok(())
        })?;
        Ok(events)
    }

    /// Takes events, so many batches at most.
    pub fn some_events(
        &mut self,
        batches: usize,
        mut with: impl FnMut(Event) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let rings = self.rings.as_mut().context("not attached")?;
        let mut outcome = Ok(());
        for _ in 0..batches {
            let more = rings.drain(|record| {
                if outcome.is_ok() {
                    outcome = decode(record).map_err(Into::into).and_then(&mut with);
                }
            });
            if !more {
                break;
            }
        }
        outcome
    }

    /// One of the counters.
    pub fn counter(&self, name: &str) -> anyhow::Result<u64> {
        let counters = self.kernel.counted()?;
        let found = counters.into_iter().find(|(known, _)| *known == name);
        Ok(found.with_context(|| format!("no counter {name}"))?.1)
    }

    /// Puts a tag on a process.
    fn tag(&self, pid: u32, agents: &[u32]) -> anyhow::Result<()> {
        use std::os::fd::AsFd as _;
        let mut tag = Tag { session: 7, ..Tag::default() };
        tag.agents.get_mut(..agents.len()).context("too many agents")?.copy_from_slice(agents);
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no process")?;
        let process = pidfd_open(pid, PidfdFlags::empty()).context("a pidfd of a process")?;
        self.kernel.tags.set(process.as_fd(), &tag).context("tag a process")
    }

    /// Does something in a process that is an agent, and waits for its end.
    pub fn as_agents<T: Send>(
        &self,
        agents: &[u32],
        act: impl FnOnce() -> T + Send,
    ) -> anyhow::Result<T> {
        thread::scope(|scope| {
            let actor = self.actor(scope, agents, act)?;
            actor.go.send(())?;
            actor.outcome()
        })
    }

    /// Something that a process which is an agent will do when it is told to. It gives up where the actor is dropped.
    pub fn actor<'scope, T: Send + 'scope>(
        &self,
        scope: &'scope thread::Scope<'scope, '_>,
        agents: &[u32],
        act: impl FnOnce() -> T + Send + 'scope,
    ) -> anyhow::Result<Actor<'scope, T>> {
        let (tell, told) = mpsc::channel();
        let (go, going) = mpsc::channel();
        let process = move || {
            tell.send(std::process::id()).ok()?;
            going.recv().ok()?;
            Some(act())
        };
        let thread = scope.spawn(move || vfork::run(process).ok().flatten());
        self.tag(told.recv()?, agents)?;
        Ok(Actor { go, thread })
    }
}

/// A process that is an agent.
pub struct Actor<'scope, T> {
    /// Tells it to begin.
    pub go: mpsc::Sender<()>,
    thread: thread::ScopedJoinHandle<'scope, Option<T>>,
}

impl<T> Actor<'_, T> {
    /// What came of it. It waits for its end.
    pub fn outcome(self) -> anyhow::Result<T> {
        drop(self.go);
        self.thread.join().ok().flatten().context("the acting process ended early")
    }
}

/// Compiles rules for nobody: without a kernel half.
pub fn compiled(rules: &RuleSet) -> anyhow::Result<KernelPlan> {
    plan(rules, &Homes(vec![b"/root".to_vec()]), &Tier::REACT, 1, false)
}

fn plan(
    rules: &RuleSet,
    homes: &Homes,
    tier: &Tier,
    serial: u32,
    watch: bool,
) -> anyhow::Result<KernelPlan> {
    let agent_numbers: Vec<u32> = (1..).take(rules.agents.len()).collect();
    let ground =
        Ground { secret: SECRET, homes, tier, serial, agent_numbers: &agent_numbers, watch };
    compile(rules, &ground).map_err(|errors| anyhow!("{}", errors[0]))
}

/// Reads a whole rule file.
pub fn rules(text: &str) -> anyhow::Result<RuleSet> {
    let source = SourceFile { name: "rules.yaml".to_owned(), text: text.as_bytes().to_vec() };
    load(&[source], &Users::default(), Moment::now())
        .map_err(|problems| anyhow!(problems.render(false)))
}

const _: () = assert!(LIMITS == 4, "tests use up to four agents");
