//! Agents that were running before the hooks: found in `/proc`, tagged with their whole trees.
//!
//! What such a process did before is not known, and what it already holds (open files, connections) it
//! keeps. This runs once, when the daemon starts; from then on the kernel recognises agents at exec.

use std::os::fd::AsFd as _;

use monitor_common::tag::{LIMITS, NO_AGENT, Tag};

use crate::{
    agent::Agents,
    control::pidfd,
    daemon::secret,
    event::{ProcessId, SessionId},
    host::{self, Running},
    kernel::Tags,
    rules::plan::KernelPlan,
};

/// Whoever is forked between a look and the tag is found by the next look.
const LOOKS: usize = 3;

/// Tags every process that is an agent by the plan, and its descendants.
pub(crate) fn adopt(tags: &Tags, plan: &KernelPlan, agents: &mut Agents) {
    for _ in 0..LOOKS {
        let running = host::processes();
        let found: usize = roots(&running, plan)
            .into_iter()
            .map(|(root, limits)| adopt_tree(tags, agents, &running, root, &limits))
            .sum();
        if found == 0 {
            return;
        }
    }
}

fn roots(running: &[Running], plan: &KernelPlan) -> Vec<(ProcessId, Vec<u32>)> {
    let recognise = |running: &Running| {
        let exe = running.process.image.exe.as_deref().unwrap_or_default();
        (running.id, plan.recognise(exe, &running.cgroup, running.process.uid))
    };
    running.iter().map(recognise).filter(|(_, limits)| !limits.is_empty()).collect()
}

/// Returns how many processes had no tag and have one now.
fn adopt_tree(
    tags: &Tags,
    agents: &mut Agents,
    running: &[Running],
    root: ProcessId,
    limits: &[u32],
) -> usize {
    let Ok(session) = secret() else { return 0 };
    let mut tag = Tag { session: session.max(1), agents: [NO_AGENT; LIMITS], ..Tag::default() };
    for (place, limit) in tag.agents.iter_mut().zip(limits) {
        *place = *limit;
    }
    if limits.len() > LIMITS {
        log::warn!("pid {} is {} agents, the first {LIMITS} hold", root.pid, limits.len());
    }
    let innermost = tag.agents.into_iter().rfind(|limit| *limit != NO_AGENT).unwrap_or(NO_AGENT);
    let mut count = 0;
    for found in running.iter().filter(|process| descends(running, process, root.pid)) {
        if tag_threads(tags, found.id.pid, &tag) {
            let mut process = found.process.clone();
            let parent = running.iter().find(|other| other.id.pid == found.parent);
            process.parent = parent.map(|parent| parent.id);
            agents.enlist(found.id, process, SessionId(tag.session), innermost);
            count += 1;
        }
    }
    count
}

/// Whether a process is `root` or a descendant of it.
fn descends(running: &[Running], process: &Running, root: u32) -> bool {
    let mut pid = process.id.pid;
    for _ in 0..running.len() {
        if pid == root {
            return true;
        }
        match running.iter().find(|other| other.id.pid == pid) {
            Some(found) if found.parent != 0 => pid = found.parent,
            _ => return false,
        }
    }
    false
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
