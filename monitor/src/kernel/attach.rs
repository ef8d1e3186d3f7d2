//! The table of programs: which hook each is for, on which rung it is attached, and which acts it sees.
//!
//! A hook is a row here and no branch in a program. What cannot be attached on this kernel is kept with the reason.

use std::{fs::File, os::fd::OwnedFd, path::PathBuf};

use aya::{
    Btf, Ebpf,
    programs::{
        BtfTracePoint, CgroupSockAddr, Lsm, ProgramError, RawTracePoint, links::CgroupAttachMode,
    },
};
use monitor_common::Act;

use super::{
    KernelError, OBJECT,
    modify_return::{self, Joined},
    rung::Rung,
};

/// What a program is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A tracepoint, with typed arguments.
    Tracepoint,
    /// A socket address hook of the root of the cgroup v2 hierarchy.
    Cgroup,
    /// A security hook, by the way of the rung.
    Security,
    /// Nothing: the daemon runs it ([`super::judge`]).
    Asked,
}

/// On which rungs a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// On all.
    Every,
    /// Where security hooks can be had.
    Prevent,
    /// Where they cannot.
    React,
}

/// One row: a program and its hook.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Name of the program in the kernel half, mostly that of its hook.
    pub program: &'static str,
    /// What the kernel calls the hook; of a cgroup it says so itself.
    pub target: &'static str,
    /// What it is attached to.
    pub hook: Hook,
    /// On which rungs.
    pub on: On,
    /// The acts that it sees.
    pub acts: &'static [Act],
    /// Without it those acts are not seen at all, and the rung is no rung.
    pub essential: bool,
}

const fn always(program: &'static str) -> Row {
    let hook = Hook::Tracepoint;
    Row { program, target: program, hook, on: On::Every, acts: &[], essential: true }
}

const fn react(program: &'static str, hook: Hook, acts: &'static [Act]) -> Row {
    let essential = matches!(hook, Hook::Tracepoint);
    Row { program, target: program, hook, on: On::React, acts, essential }
}

/// A hook that closes a way around.
const fn more(program: &'static str, acts: &'static [Act]) -> Row {
    let hook = Hook::Security;
    Row { program, target: program, hook, on: On::Prevent, acts, essential: false }
}

/// A hook that the act stands and falls with.
const fn security(program: &'static str, acts: &'static [Act]) -> Row {
    Row { essential: true, ..more(program, acts) }
}

const OPEN: &[Act] = &[Act::Read, Act::Write];
const NAME: &[Act] = &[Act::Write];
const CODE: &[Act] = &[Act::Exec];
const PEER: &[Act] = &[Act::Connect];
const OWN: &[Act] = &[Act::Listen];
const RIGHT: &[Act] = &[Act::Privilege];
const CALLS: &[Act] = &[Act::Read, Act::Write, Act::Exec, Act::Privilege];

/// In the order of attachment: a session must be able to spread before it can be recognised, so that no
/// child is ever missed.
pub const TABLE: &[Row] = &[
    always("sched_process_fork"),
    always("sched_process_exit"),
    security("file_open", OPEN),
    more("file_receive", OPEN),
    more("path_link", OPEN),
    more("path_rename", OPEN),
    more("path_unlink", NAME),
    more("path_rmdir", NAME),
    more("path_mkdir", NAME),
    more("path_mknod", NAME),
    more("path_symlink", NAME),
    more("path_truncate", NAME),
    more("path_chmod", NAME),
    more("path_chown", NAME),
    security("bprm_check_security", CODE),
    more("mmap_file", CODE),
    more("file_mprotect", CODE),
    security("socket_connect", PEER),
    security("socket_sendmsg", PEER),
    more("sctp_bind_connect", PEER),
    security("socket_bind", OWN),
    more("socket_listen", OWN),
    security("capable", RIGHT),
    more("userns_create", RIGHT),
    more("task_fix_setuid", RIGHT),
    more("task_fix_setgid", RIGHT),
    more("task_fix_setgroups", RIGHT),
    more("capset", RIGHT),
    more("task_prctl", RIGHT),
    more("ptrace_access_check", RIGHT),
    more("ptrace_traceme", RIGHT),
    more("bpf", RIGHT),
    more("inode_init_security_anon", RIGHT),
    react("sys_exit", Hook::Tracepoint, CALLS),
    react("io_uring_complete", Hook::Tracepoint, OPEN),
    react("io_uring_submit_req", Hook::Tracepoint, OPEN),
    react("connect4", Hook::Cgroup, PEER),
    react("connect6", Hook::Cgroup, PEER),
    react("sendmsg4", Hook::Cgroup, PEER),
    react("sendmsg6", Hook::Cgroup, PEER),
    react("bind4", Hook::Cgroup, OWN),
    react("bind6", Hook::Cgroup, OWN),
    always("sched_process_exec"),
    Row { program: "inherited", acts: OPEN, ..always("sched_process_exec") },
    JUDGE,
];

/// The one that is not attached.
const JUDGE: Row = Row { hook: Hook::Asked, ..always("judge") };

impl Row {
    /// Whether it is attached on a rung.
    #[must_use]
    pub const fn is_on(&self, rung: Rung) -> bool {
        match self.on {
            On::Every => true,
            On::Prevent => rung.prevents(),
            On::React => !rung.prevents(),
        }
    }
}

/// A row that this kernel cannot have, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The program.
    pub program: &'static str,
    /// The acts that it would have seen.
    pub acts: &'static [Act],
    /// Why it is not there.
    pub why: String,
}

/// The programs of one rung: loaded, and then attached.
pub(super) struct Attachment {
    /// The rung.
    pub(super) rung: Rung,
    /// What is not there.
    pub(super) lost: Vec<Lost>,
    /// Of the rows, those that were loaded.
    loaded: Vec<&'static Row>,
    /// Programs that aya does not keep, and their links.
    pub(super) programs: Vec<(&'static str, OwnedFd)>,
    links: Vec<OwnedFd>,
}

impl Attachment {
    /// Lets the verifier check every program of a rung, and keeps them.
    pub(super) fn load(ebpf: &mut Ebpf, types: &Btf, rung: Rung) -> Result<Self, KernelError> {
        let mut new = Self {
            rung,
            lost: Vec::new(),
            loaded: Vec::new(),
            programs: Vec::new(),
            links: Vec::new(),
        };
        let joined = match rung {
            Rung::ModifyReturn => Some(join(ebpf)?),
            Rung::Lsm | Rung::Tracepoints => None,
        };
        for row in TABLE.iter().filter(|row| row.is_on(rung)) {
            match new.load_one(ebpf, types, row, joined.as_ref()) {
                Ok(()) => new.loaded.push(row),
                Err(error) if row.essential => return Err(error),
                Err(error) => new.lose(row, &error),
            }
        }
        Ok(new)
    }

    fn lose(&mut self, row: &Row, error: &KernelError) {
        log::debug!("{} is not there: {error}", row.program);
        self.lost.push(Lost { program: row.program, acts: row.acts, why: error.brief() });
    }

    fn load_one(
        &mut self,
        ebpf: &mut Ebpf,
        types: &Btf,
        row: &'static Row,
        joined: Option<&Joined>,
    ) -> Result<(), KernelError> {
        let (name, target) = (row.program, row.target);
        let loaded = match (row.hook, joined) {
            (Hook::Tracepoint, _) => program::<BtfTracePoint>(ebpf, row)?.load(target, types),
            (Hook::Cgroup, _) => program::<CgroupSockAddr>(ebpf, row)?.load(),
            (Hook::Asked, _) => program::<RawTracePoint>(ebpf, row)?.load(),
            (Hook::Security, None) => program::<Lsm>(ebpf, row)?.load(target, types),
            (Hook::Security, Some(joined)) => {
                let program = joined
                    .load(name, &function(target), types)
                    .map_err(|source| KernelError::ModifyReturn { program: name, source })?;
                self.programs.push((name, program));
                Ok(())
            }
        };
        loaded.map_err(|source| refused(row, "load", source))
    }

    /// Attaches what was loaded. The links live here and in `ebpf`: when the process ends, however it ends, the
    /// kernel takes them off.
    pub(super) fn attach(&mut self, ebpf: &mut Ebpf) -> Result<(), KernelError> {
        for row in self.loaded.clone() {
            match self.attach_one(ebpf, row) {
                Err(error) if row.essential || is_the_hosts(&error) => return Err(error),
                Err(error) => {
                    self.lose(row, &error);
                    self.loaded.retain(|loaded| loaded.program != row.program);
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn attach_one(&mut self, ebpf: &mut Ebpf, row: &Row) -> Result<(), KernelError> {
        let attached = match row.hook {
            Hook::Tracepoint => program::<BtfTracePoint>(ebpf, row)?.attach().map(drop),
            Hook::Cgroup => {
                let root = cgroup_root()?;
                let directory = File::open(&root)
                    .map_err(|source| KernelError::Cgroup { path: root.clone(), source })?;
                // A link always stands beside others (kernel/bpf/cgroup.c, cgroup_bpf_link_attach), and
                // the kernel refuses the flag that would say so.
                let program = program::<CgroupSockAddr>(ebpf, row)?;
                program.attach(&directory, CgroupAttachMode::Single).map(drop)
            }
            Hook::Security if self.rung == Rung::ModifyReturn => {
                let own = self.programs.iter().find(|(name, _)| *name == row.program);
                let (name, own) = own.ok_or(KernelError::Object(row.program))?;
                let link = modify_return::attach(own)
                    .map_err(|source| KernelError::ModifyReturn { program: name, source })?;
                self.links.push(link);
                Ok(())
            }
            Hook::Security => program::<Lsm>(ebpf, row)?.attach().map(drop),
            Hook::Asked => Ok(()),
        };
        attached.map_err(|source| refused(row, "attach", source))
    }

    /// Whether a hook that sees an act is there.
    pub(super) fn sees(&self, act: Act) -> bool {
        self.loaded.iter().any(|row| row.acts.contains(&act))
    }

    /// Whether an act can be refused before it happens: a hook that can is there.
    pub(super) fn refuses(&self, act: Act) -> bool {
        let can = |hook| matches!(hook, Hook::Cgroup | Hook::Security);
        self.loaded.iter().any(|row| row.acts.contains(&act) && can(row.hook))
    }
}

/// How many programs are attached on a rung, where all can be.
pub(super) fn wanted(rung: Rung) -> usize {
    TABLE.iter().filter(|row| row.is_on(rung) && row.hook != Hook::Asked).count()
}

/// Whether somebody forgot to mount something: that is said, and not done without.
const fn is_the_hosts(error: &KernelError) -> bool {
    matches!(error, KernelError::MountInfo(_) | KernelError::NoCgroup | KernelError::Cgroup { .. })
}

/// The kernel function that asks the security modules about a hook (security/security.c).
pub(super) fn function(hook: &str) -> String {
    match hook {
        "bprm_check_security" => "security_bprm_check".to_owned(),
        "userns_create" => "security_create_user_ns".to_owned(),
        hook => format!("security_{hook}"),
    }
}

/// The object again, with the maps that aya has made of it.
pub(super) fn join(ebpf: &Ebpf) -> Result<Joined, KernelError> {
    Joined::new(OBJECT, super::maps::descriptors(ebpf))
        .map_err(|source| KernelError::ModifyReturn { program: "every program", source })
}

fn program<'a, P>(ebpf: &'a mut Ebpf, row: &Row) -> Result<&'a mut P, KernelError>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
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
