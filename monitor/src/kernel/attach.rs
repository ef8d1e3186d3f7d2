//! The table of programs, and which hook each is for.
//!
//! This is the react tier's table: tracepoints, and the cgroup hooks, which are the same on every tier.
//! A rung for another tier will be another row here and no branch in a hook.

use std::{fs::File, path::PathBuf};

use aya::{
    Btf, Ebpf, EbpfLoader,
    programs::{
        BtfTracePoint, CgroupSockAddr, ProgramError, RawTracePoint, links::CgroupAttachMode,
    },
};

use super::KernelError;

/// What a program is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A tracepoint, with typed arguments.
    Tracepoint,
    /// A socket address hook of the root of the cgroup v2 hierarchy.
    Cgroup,
    /// Nothing: the daemon runs it ([`super::judge`]).
    Asked,
}

/// One row: the program, which is named after its hook.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Name of the program in the kernel half.
    pub program: &'static str,
    /// What it is attached to.
    pub hook: Hook,
}

/// In the order of attachment: a session must be able to spread before it can be recognised, so that no
/// child is ever missed.
pub const TABLE: &[Row] = &[
    Row { program: "sched_process_fork", hook: Hook::Tracepoint },
    Row { program: "sched_process_exit", hook: Hook::Tracepoint },
    Row { program: "sys_exit", hook: Hook::Tracepoint },
    Row { program: "io_uring_complete", hook: Hook::Tracepoint },
    Row { program: "io_uring_submit_req", hook: Hook::Tracepoint },
    Row { program: "connect4", hook: Hook::Cgroup },
    Row { program: "connect6", hook: Hook::Cgroup },
    Row { program: "sendmsg4", hook: Hook::Cgroup },
    Row { program: "sendmsg6", hook: Hook::Cgroup },
    Row { program: "bind4", hook: Hook::Cgroup },
    Row { program: "bind6", hook: Hook::Cgroup },
    Row { program: "sched_process_exec", hook: Hook::Tracepoint },
    JUDGE,
];

/// The one that is not attached.
const JUDGE: Row = Row { program: "judge", hook: Hook::Asked };

/// Lets the verifier check every program, and keeps them.
pub(super) fn load(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), KernelError> {
    for row in TABLE {
        let loaded = match row.hook {
            Hook::Tracepoint => tracepoint(ebpf, row)?.load(row.program, btf),
            Hook::Cgroup => cgroup(ebpf, row)?.load(),
            Hook::Asked => question(ebpf, row)?.load(),
        };
        loaded.map_err(|source| refused(row, "load", source))?;
    }
    Ok(())
}

/// Attaches every program. The links live in `ebpf`: when the process ends, however it ends, the kernel
/// takes them off.
pub(super) fn attach(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    let root = cgroup_root()?;
    let directory =
        File::open(&root).map_err(|source| KernelError::Cgroup { path: root.clone(), source })?;
    for row in TABLE {
        let attached = match row.hook {
            Hook::Tracepoint => tracepoint(ebpf, row)?.attach().map(drop),
            Hook::Cgroup => {
                // A link always stands beside others (kernel/bpf/cgroup.c, cgroup_bpf_link_attach), and
                // the kernel refuses the flag that would say so.
                cgroup(ebpf, row)?.attach(&directory, CgroupAttachMode::Single).map(drop)
            }
            Hook::Asked => Ok(()),
        };
        attached.map_err(|source| refused(row, "attach", source))?;
    }
    Ok(())
}

fn tracepoint<'a>(ebpf: &'a mut Ebpf, row: &Row) -> Result<&'a mut BtfTracePoint, KernelError> {
    let program = ebpf.program_mut(row.program).ok_or(KernelError::Object(row.program))?;
    program.try_into().map_err(|source| refused(row, "load", source))
}

fn cgroup<'a>(ebpf: &'a mut Ebpf, row: &Row) -> Result<&'a mut CgroupSockAddr, KernelError> {
    let program = ebpf.program_mut(row.program).ok_or(KernelError::Object(row.program))?;
    program.try_into().map_err(|source| refused(row, "load", source))
}

fn question<'a>(ebpf: &'a mut Ebpf, row: &Row) -> Result<&'a mut RawTracePoint, KernelError> {
    let program = ebpf.program_mut(row.program).ok_or(KernelError::Object(row.program))?;
    program.try_into().map_err(|source| refused(row, "load", source))
}

/// The program that answers questions.
pub(super) fn asked(ebpf: &Ebpf) -> Result<&RawTracePoint, KernelError> {
    let program = ebpf.program(JUDGE.program).ok_or(KernelError::Object(JUDGE.program))?;
    program.try_into().map_err(|source| refused(&JUDGE, "run", source))
}

fn refused(row: &Row, step: &'static str, source: ProgramError) -> KernelError {
    KernelError::Program { program: row.program, step, source }
}

/// Where the cgroup v2 hierarchy is mounted: by its type, for hybrid hosts have it elsewhere.
pub(crate) fn cgroup_root() -> Result<PathBuf, KernelError> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").map_err(KernelError::MountInfo)?;
    find_cgroup_root(&table).ok_or(KernelError::NoCgroup)
}

/// Finds it in the text of a `mountinfo` (proc(5)): `ID PARENT MAJ:MIN ROOT MOUNTPOINT OPTIONS [FIELDS] -
/// TYPE SOURCE OPTIONS`.
fn find_cgroup_root(table: &str) -> Option<PathBuf> {
    table.lines().find_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, place) = (mount.next()?, mount.next()?);
        (source.starts_with("cgroup2 ") && root == "/").then(|| PathBuf::from(place))
    })
}

/// What every loader of the object is set up with.
pub(super) fn loader<'a>() -> EbpfLoader<'a> {
    let mut loader = EbpfLoader::new();
    loader.allow_unsupported_maps(); // task storage, which aya has no type for yet
    loader
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_hierarchy_is_found_by_its_type() {
        let hybrid = "24 1 0:22 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n\
                      25 24 0:23 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      26 24 0:24 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(find_cgroup_root(hybrid), Some(PathBuf::from("/sys/fs/cgroup/unified")));
    }

    #[test]
    fn a_part_of_the_hierarchy_is_not_its_root() {
        let bound = "26 24 0:24 /a /mnt rw - cgroup2 cgroup2 rw\n";
        assert_eq!(find_cgroup_root(bound), None);
        assert_eq!(find_cgroup_root(""), None);
    }
}
