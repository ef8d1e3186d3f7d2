//! What adopted processes hold: their threads, which get the tag, and what is open or mapped, which the kernel half
//! tells by records like any other.
//!
//! The programs for it are loaded when somebody is adopted first, and not at every start. The kernel walks through
//! all tasks with them (BPF iterators) while their file is read; what they tell comes by the rings.

use std::io::{self, Read as _};

use aya::{
    Btf, Ebpf,
    maps::{HashMap, MapData},
    programs::{Iter, ProgramError},
};

use monitor_common::plan::ADOPTED;

use super::{KernelError, maps};

/// The programs, and what the kernel walks through with each (`bpf_iter_*`, kernel/bpf/task_iter.c).
const WALKS: [(&str, &str); 3] =
    [("held_threads", "task"), ("held_descriptors", "task_file"), ("held_mappings", "task_vma")];

/// Whoever has the kernel walk.
pub(super) struct Held {
    sessions: HashMap<MapData, u64, u32>,
    /// Sessions of which it is not known what their processes held.
    unseen: u64,
}

impl Held {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self { sessions: maps::adopted(ebpf)?, unseen: 0 })
    }

    /// Sessions of which it is not known what their processes held when they were adopted.
    pub(super) const fn unseen(&self) -> u64 {
        self.unseen
    }

    /// Has all that the processes of these sessions hold judged and told.
    pub(super) fn tell(&mut self, ebpf: &mut Ebpf, sessions: &[u64]) -> Result<(), KernelError> {
        let mut told = Ok(());
        for sessions in sessions.chunks(ADOPTED as usize) {
            let these = self.tell_of(ebpf, sessions);
            if these.is_err() {
                self.unseen += sessions.len() as u64;
            }
            told = told.and(these);
        }
        told
    }

    /// The same of as many as have room at once.
    fn tell_of(&mut self, ebpf: &mut Ebpf, sessions: &[u64]) -> Result<(), KernelError> {
        let put = sessions.iter().try_for_each(|session| self.sessions.insert(session, 0, 0));
        let told = put.map_err(maps::adopted_failed).and_then(|()| walk(ebpf));
        for session in sessions {
            // One that was not put there cannot be taken away.
            let _gone = self.sessions.remove(session);
        }
        told
    }
}

/// Loads those programs that are not loaded yet.
fn load(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    let mut types = None;
    for (name, what) in WALKS {
        let failed = |source| KernelError::Program { program: name, step: "load", source };
        let program = ebpf.program_mut(name).ok_or(KernelError::Object(name))?;
        let program: &mut Iter = program.try_into().map_err(failed)?;
        if let Err(ProgramError::NotLoaded) = program.fd() {
            let types = match &mut types {
                Some(types) => types,
                none => none.insert(Btf::from_sys_fs()?),
            };
            program.load(what, types).map_err(failed)?;
        }
    }
    if types.take().is_some() {
        super::give_back_memory();
    }
    Ok(())
}

fn walk(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    load(ebpf)?;
    for (name, _) in WALKS {
        let program = ebpf.program_mut(name).ok_or(KernelError::Object(name))?;
        let failed = |step| move |source| KernelError::Program { program: name, step, source };
        let program: &mut Iter = program.try_into().map_err(failed("attach"))?;
        let link = program.attach().and_then(|link| program.take_link(link));
        let link = link.map_err(failed("attach"))?;
        let file =
            link.into_file().map_err(|source| KernelError::Walk { program: name, source })?;
        read(file).map_err(|source| failed("run")(ProgramError::IOError(source)))?;
    }
    Ok(())
}

/// Reads to the end of what the programs write, which is nothing: that is what makes the kernel walk.
fn read(mut file: std::fs::File) -> io::Result<()> {
    let mut room = [0; 4096];
    while file.read(&mut room)? != 0 {}
    Ok(())
}
