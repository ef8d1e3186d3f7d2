//! Attribute: who did it. Agents by number, sessions by their root, processes by their ancestors.
//!
//! The kernel's tag says which session a process belongs to; this keeps what a tag cannot hold: names
//! and the family. It is fed with lifecycle events and with what the host says of processes that were
//! there before. Pure: no I/O, no clock.

mod process;

pub use self::process::{Image, Process, Processes};

use std::collections::{HashMap, VecDeque};

use monitor_common::plan::AGENTS;

use crate::event::{Event, ProcessId, SessionId, What};

/// Numbers of agents. A number belongs to a name for as long as the daemon runs, over every reload: tags
/// hold numbers.
#[derive(Clone, Debug, Default)]
pub struct AgentNames(Vec<String>);

/// There is no number left.
#[derive(Debug, thiserror::Error)]
#[error("agent `{0}` cannot be numbered: {AGENTS} have been since the daemon started, restart it")]
pub struct TooManyAgents(String);

impl AgentNames {
    /// The number of a name, a new one where it has none yet. Numbers start at 1.
    ///
    /// # Errors
    ///
    /// Where all numbers are given away.
    pub fn number(&mut self, name: &str) -> Result<u32, TooManyAgents> {
        if let Some(number) = self.find(name) {
            return Ok(number);
        }
        let number = u32::try_from(self.0.len()).map_or(AGENTS, |count| count + 1);
        if number >= AGENTS {
            return Err(TooManyAgents(name.to_owned()));
        }
        self.0.push(name.to_owned());
        Ok(number)
    }

    fn find(&self, name: &str) -> Option<u32> {
        let index = self.0.iter().position(|known| known == name)?;
        u32::try_from(index).ok().map(|index| index + 1)
    }

    /// The name behind a number.
    #[must_use]
    pub fn name(&self, number: u32) -> Option<&str> {
        self.0.get(usize::try_from(number).ok()?.checked_sub(1)?).map(String::as_str)
    }
}

/// One run of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The number of its agent.
    pub agent: u32,
    /// The process that it began with.
    pub root: ProcessId,
    /// Living processes.
    pub living: u64,
}

/// Ended sessions that are kept.
const REMEMBERED: usize = 1024;

/// Everything that is known of who is who.
#[derive(Debug, Default)]
pub struct Agents {
    /// Numbers and names.
    pub names: AgentNames,
    /// The family.
    pub processes: Processes,
    sessions: HashMap<SessionId, Session>,
    /// Sessions without living processes, the oldest first.
    ended: VecDeque<SessionId>,
    members: HashMap<ProcessId, SessionId>,
}

impl Agents {
    /// Learns from a lifecycle event.
    pub fn learn(&mut self, event: &Event) {
        match &event.what {
            What::Fork { parent } => {
                self.processes.forked(event.process, *parent, event.uid);
                self.join(event.process, event.session, event.agent());
            }
            What::Exec(exec) => {
                self.processes.started(event.process, exec, event.uid);
                self.join(event.process, event.session, event.agent());
            }
            What::Exit { .. } => {
                self.processes.exited(event.process);
                self.leave(event.process);
            }
            What::File(_) | What::Net(_) | What::Privilege(_) => {}
        }
    }

    /// A process belongs to a session from now on. The first of a session is its root.
    pub fn join(&mut self, process: ProcessId, session: SessionId, agent: u32) {
        let before = self.members.insert(process, session);
        if before == Some(session) {
            return;
        }
        if let Some(before) = before {
            self.one_less(before);
        }
        let new = Session { agent, root: process, living: 0 };
        self.sessions.entry(session).or_insert(new).living += 1;
    }

    /// A process that no event told of belongs to a session.
    pub fn enlist(&mut self, id: ProcessId, process: Process, session: SessionId, agent: u32) {
        self.processes.found(id, process);
        self.join(id, session, agent);
    }

    /// A session's root is known, whichever of its processes was found first.
    pub fn rooted(&mut self, session: SessionId, root: ProcessId) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.root = root;
        }
    }

    fn leave(&mut self, process: ProcessId) {
        if let Some(session) = self.members.remove(&process) {
            self.one_less(session);
        }
    }

    fn one_less(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.living -= 1;
        if session.living > 0 {
            return;
        }
        self.ended.push_back(id);
        if self.ended.len() > REMEMBERED
            && let Some(oldest) = self.ended.pop_front()
            && self.sessions.get(&oldest).is_some_and(|session| session.living == 0)
        {
            self.sessions.remove(&oldest);
        }
    }

    /// A session, also one that has ended a short while ago: its last acts may still be on their way.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// How many sessions have living processes.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.values().filter(|session| session.living > 0).count()
    }

    /// The process and its ancestors up to the root of the session, the process first. Ends early where
    /// an ancestor is not known.
    #[must_use]
    pub fn ancestry(&self, process: ProcessId, session: SessionId) -> Vec<(ProcessId, &Process)> {
        let root = self.session(session).map(|session| session.root);
        self.processes.line(process, root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stays_with_its_name() {
        let mut names = AgentNames::default();
        let first = names.number("claude-code").expect("room");
        let second = names.number("codex").expect("room");
        assert_eq!((first, second), (1, 2));
        assert_eq!(names.number("claude-code").expect("room"), 1);
        assert_eq!(names.name(2), Some("codex"));
        assert_eq!((names.name(0), names.name(3)), (None, None));
    }

    #[test]
    fn numbers_run_out_with_an_error() {
        let mut names = AgentNames::default();
        for number in 1..AGENTS {
            assert_eq!(names.number(&format!("agent-{number}")).expect("room"), number);
        }
        assert!(names.number("one too many").is_err());
    }

    #[test]
    fn a_session_ends_with_its_last_process() {
        let (a, b) = (ProcessId { pid: 1, start: 1 }, ProcessId { pid: 2, start: 2 });
        let (outer, inner) = (SessionId(1), SessionId(2));
        let mut agents = Agents::default();
        agents.join(a, outer, 1);
        agents.join(b, outer, 1);
        agents.join(b, inner, 2);
        assert_eq!(agents.session(outer).map(|session| session.living), Some(1));
        assert_eq!(agents.session(inner).map(|session| session.root), Some(b));
        agents.leave(b);
        agents.leave(a);
        assert_eq!(agents.sessions(), 0);
    }
}
