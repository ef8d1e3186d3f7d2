//! Agents that were running before they could be recognised: found in `/proc`, tagged with their whole trees.
//!
//! What such a process did before is not known, and what it already holds it keeps. The tag of its leader holds for
//! all its threads; their own they get afterwards from the kernel half, which also tells what of that hits a rule
//! ([`crate::kernel::Kernel::tell_held`]). This runs once, when the daemon starts, and then for each container that an
//! engine tells of; everybody else is recognised by the kernel at exec.

use std::{collections::HashMap, os::fd::AsFd as _};

use monitor_common::{
    plan::header_flag,
    tag::{LIMITS, NO_AGENT, Tag},
};

use crate::{
    agent::Agents,
    control::pidfd,
    event::{ProcessId, SessionId},
    host::{self, Running},
    kernel::{KernelError, Tags, attach::cgroup_root},
    rules::{plan::KernelPlan, recognise::Start},
    watcher::secret,
};

/// Whoever is forked between a look and the tag is found by the next look.
const LOOKS: usize = 3;

/// Tags every process that is an agent by the plan, and its descendants; returns the sessions that begin so.
pub(crate) fn adopt(tags: &Tags, plan: &KernelPlan, agents: &mut Agents) -> Vec<u64> {
    let everybody = || {
        let running: HashMap<u32, Running> =
            host::processes().into_iter().map(|process| (process.id.pid, process)).collect();
        let pids = running.keys().copied().collect();
        (running, pids)
    };
    Adoption { tags, plan, agents, sessions: HashMap::new(), nested: false }.of(everybody)
}

/// The same for the processes in these cgroups. One that is an agent already is under the limits of another one
/// more, as it would be with its next exec.
pub(crate) fn adopt_in(
    cgroups: &[Vec<u8>],
    tags: &Tags,
    plan: &KernelPlan,
    agents: &mut Agents,
) -> Result<Vec<u64>, KernelError> {
    let root = cgroup_root()?;
    let contained = || {
        let pids: Vec<u32> = host::processes_in(&root, cgroups);
        let mut running = HashMap::new();
        for pid in &pids {
            let mut next = *pid;
            while !running.contains_key(&next)
                && let Some(process) = host::process(next)
            {
                next = process.parent;
                running.insert(process.id.pid, process);
            }
        }
        (running, pids)
    };
    Ok(Adoption { tags, plan, agents, sessions: HashMap::new(), nested: true }.of(contained))
}

/// What adopting takes.
struct Adoption<'a> {
    tags: &'a Tags,
    plan: &'a KernelPlan,
    agents: &'a mut Agents,
    /// The session of each root.
    sessions: HashMap<ProcessId, u64>,
    /// Whether one who has a tag can get another agent's limits on top.
    nested: bool,
}

impl Adoption<'_> {
    /// Looks at processes, with all their ancestors, until a look finds nobody who has to be tagged.
    fn of(mut self, look: impl Fn() -> (HashMap<u32, Running>, Vec<u32>)) -> Vec<u64> {
        for _ in 0..LOOKS {
            let (running, pids) = look();
            let found = pids.iter().filter_map(|pid| running.get(pid)).filter(|process| {
                Adopted::of(&running, self.plan, process)
                    .is_some_and(|adopted| adopted.tag(&mut self, &running, process))
            });
            if found.count() == 0 {
                break;
            }
        }
        self.sessions.into_values().collect()
    }
}

/// What a process shows of its start, as far as it has not changed it since.
pub(crate) fn shown<'a>(running: &'a Running, environment: &'a [Vec<u8>]) -> Start<'a> {
    let image = &running.process.image;
    Start {
        exe: image.exe.as_deref().unwrap_or_default(),
        cgroup: &running.cgroup,
        uid: running.process.uid,
        argv: Some(&image.argv),
        cwd: image.cwd.as_deref(),
        environment,
    }
}

/// The environment of a process, where anybody is recognised by it.
pub(crate) fn environment(plan: &KernelPlan, running: &Running) -> Vec<Vec<u8>> {
    let asked = plan.header.flags & header_flag::ENVIRONMENT != 0;
    if asked { host::environment(running.id.pid) } else { Vec::new() }
}

/// A process that is an agent or descends from one.
struct Adopted {
    /// The nearest ancestor that is an agent, or the process itself.
    root: ProcessId,
    /// The agents on the way down to it, outermost first, as the kernel half would have taken them on.
    limits: Vec<u32>,
}

impl Adopted {
    fn of(running: &HashMap<u32, Running>, plan: &KernelPlan, process: &Running) -> Option<Self> {
        let mut line = vec![process];
        while let Some(parent) = line.last().and_then(|last| running.get(&last.parent))
            && line.len() <= running.len()
        {
            line.push(parent);
        }
        let mut adopted = Self { root: process.id, limits: Vec::new() };
        for ancestor in line.into_iter().rev() {
            let environment = environment(plan, ancestor);
            for agent in plan.recognise(&shown(ancestor, &environment)) {
                if !adopted.limits.contains(&agent) {
                    adopted.limits.push(agent);
                    adopted.root = ancestor.id;
                }
            }
        }
        (!adopted.limits.is_empty()).then_some(adopted)
    }

    /// `true` where the process had no such tag and has one now.
    fn tag(
        &self,
        adoption: &mut Adoption<'_>,
        running: &HashMap<u32, Running>,
        process: &Running,
    ) -> bool {
        let pid = process.id.pid;
        let Ok(fresh) = secret() else { return false };
        let session = adoption.sessions.get(&self.root).copied().unwrap_or(fresh.max(1));
        let Some(tag) = self.on_top(adoption, pid, session) else { return false };
        if let Err(error) = pidfd(pid).and_then(|leader| adoption.tags.set(leader.as_fd(), &tag)) {
            log::warn!("pid {pid} is an agent and cannot be tagged: {error}");
            return false;
        }
        adoption.sessions.insert(self.root, session);
        let mut known = process.process.clone();
        known.parent = running.get(&process.parent).map(|parent| parent.id);
        let innermost = tag.agents.into_iter().rfind(|agent| *agent != NO_AGENT);
        let agents = &mut adoption.agents;
        agents.enlist(process.id, known, SessionId(session), innermost.unwrap_or(NO_AGENT));
        agents.rooted(SessionId(session), self.root);
        true
    }

    /// The tag that the process gets, on top of one that it may have. `None` where it needs none.
    fn on_top(&self, adoption: &Adoption<'_>, pid: u32, session: u64) -> Option<Tag> {
        let process = pidfd(pid).ok()?;
        let before = adoption.tags.get(process.as_fd()).ok()?;
        if before.is_some() && !adoption.nested {
            return None;
        }
        let before = before.unwrap_or_default();
        let has = before.agents.iter().position(|agent| *agent == NO_AGENT).unwrap_or(LIMITS);
        let more: Vec<u32> =
            self.limits.iter().copied().filter(|agent| !before.agents.contains(agent)).collect();
        if has + more.len() > LIMITS {
            let count = has + more.len();
            log::warn!("pid {pid} is under {count} agents; the limits of the first {LIMITS} hold");
        }
        if more.is_empty() || has == LIMITS {
            return None;
        }
        let mut tag = Tag { session, ..before };
        for (place, limit) in tag.agents.iter_mut().skip(has).zip(more) {
            *place = limit;
        }
        Some(tag)
    }
}
