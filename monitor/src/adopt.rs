//! Agents that were running before the hooks: found in `/proc`, tagged with their whole trees.
//!
//! What such a process did before is not known, and what it already holds (open files, connections) it
//! keeps. This runs once, when the daemon starts; from then on the kernel recognises agents at exec.

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
    kernel::Tags,
    rules::{plan::KernelPlan, recognise::Start},
    watcher::secret,
};

/// Whoever is forked between a look and the tag is found by the next look.
const LOOKS: usize = 3;

/// Tags every process that is an agent by the plan, and its descendants.
pub(crate) fn adopt(tags: &Tags, plan: &KernelPlan, agents: &mut Agents) {
    let mut sessions = HashMap::new();
    for _ in 0..LOOKS {
        let running: HashMap<u32, Running> =
            host::processes().into_iter().map(|process| (process.id.pid, process)).collect();
        let found = running.values().filter(|process| {
            Adopted::of(&running, plan, process)
                .is_some_and(|adopted| adopted.tag(tags, agents, &mut sessions, &running, process))
        });
        if found.count() == 0 {
            return;
        }
    }
}

/// What a process shows of its start, as far as it has not changed it since.
fn shown<'a>(running: &'a Running, environment: &'a [Vec<u8>]) -> Start<'a> {
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
fn environment(plan: &KernelPlan, running: &Running) -> Vec<Vec<u8>> {
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

    /// `true` where the process had no tag and has one now.
    fn tag(
        &self,
        tags: &Tags,
        agents: &mut Agents,
        sessions: &mut HashMap<ProcessId, u64>,
        running: &HashMap<u32, Running>,
        process: &Running,
    ) -> bool {
        let Ok(fresh) = secret() else { return false };
        let session = *sessions.entry(self.root).or_insert(fresh.max(1));
        let mut tag = Tag { session, agents: [NO_AGENT; LIMITS], ..Tag::default() };
        for (place, limit) in tag.agents.iter_mut().zip(&self.limits) {
            *place = *limit;
        }
        if self.limits.len() > LIMITS {
            let (pid, count) = (process.id.pid, self.limits.len());
            log::warn!("pid {pid} is under {count} agents; the limits of the first {LIMITS} hold");
        }
        if !tag_threads(tags, process.id.pid, &tag) {
            return false;
        }
        let mut known = process.process.clone();
        known.parent = running.get(&process.parent).map(|parent| parent.id);
        let innermost = self.limits.iter().take(LIMITS).next_back().copied().unwrap_or(NO_AGENT);
        agents.enlist(process.id, known, SessionId(session), innermost);
        agents.rooted(SessionId(session), self.root);
        true
    }
}

/// Tags every thread of a process that has no tag yet. `true` where it had none.
fn tag_threads(tags: &Tags, pid: u32, tag: &Tag) -> bool {
    let Ok(process) = pidfd(pid, false) else { return false };
    if !matches!(tags.get(process.as_fd()), Ok(None)) {
        return false;
    }
    if let Err(error) = tags.set(process.as_fd(), tag) {
        log::warn!("pid {pid} is an agent and cannot be tagged: {error}");
        return false;
    }
    // The leader's tag holds for the others; their own keep it when one of them becomes the leader.
    for thread in host::threads(pid).into_iter().filter(|thread| *thread != pid) {
        if let Ok(thread) = pidfd(thread, true)
            && let Err(error) = tags.set(thread.as_fd(), tag)
        {
            log::debug!("a thread of pid {pid} is gone: {error}");
        }
    }
    true
}
