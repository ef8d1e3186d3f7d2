//! The processes of sessions and their family: who made whom, and what each one runs.
//!
//! A parent that has gone is kept for as long as it has living descendants, so that a double fork does
//! not cut the line, and a while longer, for an act of its own may still be on its way.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, OnceLock},
};

use crate::event::{Exec, ProcessId};

/// What is known of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Who made it: the process that forked, not the one that adopted it later.
    pub parent: Option<ProcessId>,
    /// What it runs.
    pub image: Arc<Image>,
    /// Its real user.
    pub uid: u32,
}

/// What a process runs. Children share it until they start a program of their own, so that a thousand forks
/// do not hold a thousand command lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Path of the executable.
    pub exe: Option<Vec<u8>>,
    /// The arguments.
    pub argv: Vec<Vec<u8>>,
    /// There were more arguments.
    pub argv_cut: bool,
    /// The working directory when the program was started.
    pub cwd: Option<Vec<u8>>,
    /// The arguments for people, once somebody has asked for them ([`crate::alert::redact::command_line`]).
    pub command_line: OnceLock<Vec<String>>,
}

/// A row of the table.
#[derive(Debug, Default)]
struct Entry {
    process: Process,
    gone: bool,
    /// Rows that name it as their parent.
    children: u32,
}

/// Dead processes without descendants that are kept.
const REMEMBERED: usize = 4096;
/// Generations of a line at most. A longer line is cut, which its end shows: it is not the root.
const GENERATIONS: usize = 1024;

/// The table.
#[derive(Debug, Default)]
pub struct Processes {
    table: HashMap<ProcessId, Entry>,
    remembered: VecDeque<ProcessId>,
}

impl Processes {
    /// A process was made. It runs what its parent runs, until its first exec.
    pub fn forked(&mut self, id: ProcessId, parent: ProcessId, uid: u32) {
        let like = self.get(parent).cloned().unwrap_or_default();
        self.put(id, Process { parent: Some(parent), uid, ..like });
    }

    /// A process has a new program.
    pub fn started(&mut self, id: ProcessId, exec: &Exec, uid: u32) {
        let known = self.get(id).and_then(|process| process.parent);
        self.put(
            id,
            Process {
                parent: known.or(Some(exec.parent)),
                image: Arc::new(Image {
                    exe: exec.exe.clone(),
                    argv: exec.argv.clone(),
                    argv_cut: exec.argv_cut,
                    cwd: exec.cwd.clone(),
                    command_line: OnceLock::new(),
                }),
                uid,
            },
        );
    }

    /// A process is there that no event told of.
    pub fn found(&mut self, id: ProcessId, process: Process) {
        if !self.table.contains_key(&id) {
            self.put(id, process);
        }
    }

    fn put(&mut self, id: ProcessId, process: Process) {
        let parent = process.parent;
        if let Some(entry) = self.table.get_mut(&id) {
            entry.process = Process { parent: entry.process.parent.or(parent), ..process };
            return;
        }
        self.table.insert(id, Entry { process, ..Entry::default() });
        if let Some(parent) = parent.and_then(|parent| self.table.get_mut(&parent)) {
            parent.children += 1;
        }
    }

    /// A process has ended.
    pub fn exited(&mut self, id: ProcessId) {
        let Some(entry) = self.table.get_mut(&id) else { return };
        entry.gone = true;
        if entry.children == 0 {
            self.remember(id);
        }
    }

    fn remember(&mut self, id: ProcessId) {
        self.remembered.push_back(id);
        if self.remembered.len() > REMEMBERED
            && let Some(oldest) = self.remembered.pop_front()
        {
            self.forget(oldest);
        }
    }

    fn forget(&mut self, id: ProcessId) {
        if !self.table.get(&id).is_some_and(|entry| entry.gone && entry.children == 0) {
            return;
        }
        let Some(parent_id) = self.table.remove(&id).and_then(|entry| entry.process.parent) else {
            return;
        };
        let Some(parent) = self.table.get_mut(&parent_id) else { return };
        parent.children = parent.children.saturating_sub(1);
        if parent.gone && parent.children == 0 {
            self.remember(parent_id);
        }
    }

    /// What is known of a process.
    #[must_use]
    pub fn get(&self, id: ProcessId) -> Option<&Process> {
        self.table.get(&id).map(|entry| &entry.process)
    }

    /// How many there are, the dead ones too.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// A process and its ancestors up to `root`, as far as they are known.
    #[must_use]
    pub fn line(&self, id: ProcessId, root: Option<ProcessId>) -> Vec<(ProcessId, &Process)> {
        let mut line = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next
            && line.len() < GENERATIONS
            && let Some(process) = self.get(id)
        {
            line.push((id, process));
            next = if Some(id) == root { None } else { process.parent };
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(pid: u32) -> ProcessId {
        ProcessId { pid, start: u64::from(pid) }
    }

    fn pids(processes: &Processes, of: u32, root: u32) -> Vec<u32> {
        processes.line(id(of), Some(id(root))).iter().map(|(id, _)| id.pid).collect()
    }

    #[test]
    fn a_double_fork_does_not_cut_the_line() {
        let mut processes = Processes::default();
        processes.found(id(1), Process::default());
        processes.forked(id(2), id(1), 0);
        processes.forked(id(3), id(2), 0);
        processes.exited(id(2));
        assert_eq!(pids(&processes, 3, 1), [3, 2, 1]);
    }

    #[test]
    fn the_line_ends_at_the_root() {
        let mut processes = Processes::default();
        processes.found(id(1), Process::default());
        processes.forked(id(2), id(1), 0);
        processes.forked(id(3), id(2), 0);
        assert_eq!(pids(&processes, 3, 2), [3, 2]);
    }

    #[test]
    fn the_dead_are_forgotten_when_there_are_too_many() {
        let mut processes = Processes::default();
        processes.found(id(1), Process::default());
        for pid in 2..30_000 {
            processes.forked(id(pid), id(1), 0);
            processes.exited(id(pid));
        }
        assert_eq!(processes.len(), REMEMBERED + 1);
        processes.exited(id(1));
        for pid in 30_000..40_000 {
            processes.forked(id(pid), id(30_000_000), 0);
            processes.exited(id(pid));
        }
        assert_eq!(processes.len(), REMEMBERED, "a dead parent goes with its last child");
    }

    #[test]
    fn a_pid_that_is_used_again_is_another_process() {
        let mut processes = Processes::default();
        let (old, new) = (ProcessId { pid: 9, start: 1 }, ProcessId { pid: 9, start: 2 });
        processes.forked(old, id(1), 0);
        processes.exited(old);
        processes.forked(new, id(2), 0);
        assert_eq!(processes.get(old).and_then(|process| process.parent), Some(id(1)));
        assert_eq!(processes.get(new).and_then(|process| process.parent), Some(id(2)));
    }
}
