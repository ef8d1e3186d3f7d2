//! Rights that reach beyond a process, asked for.
//!
//! Most of them have a hook of their own. Mounts, namespaces, modules and another kernel all ask for a capability first,
//! and that is where they are refused: `capable` is called for much else, so the system call that asks says what it is
//! about ([`crate::syscall::asked`]).

use aya_ebpf::{macros::lsm, programs::LsmContext};
use monitor_common::privilege::Privilege;

use super::{PASS, answer};
use crate::{
    field::{self, Address},
    miss, privilege, syscall, task,
};

// include/uapi/linux/capability.h
const CAP_SYS_MODULE: u32 = 16;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_BOOT: u32 = 22;
/// `PTRACE_MODE_ATTACH`, include/linux/ptrace.h: more than being looked at.
const ATTACH: u32 = 2;

/// Judges a use by the current process.
#[inline(always)]
fn used(what: Privilege) -> i32 {
    let Some(tag) = task::tag(task::current()) else { return PASS };
    answer(privilege::used(tag, what as u32))
}

/// proto: `int capable(const struct cred *cred, struct user_namespace *ns, int cap, unsigned int opts)`
#[lsm(hook = "capable")]
pub(crate) fn capable(ctx: LsmContext) -> i32 {
    let capability: u32 = ctx.arg(2);
    if !matches!(capability, CAP_SYS_ADMIN | CAP_SYS_MODULE | CAP_SYS_BOOT) {
        return PASS;
    }
    let task = task::current();
    let Some(tag) = task::tag(task) else { return PASS };
    match syscall::asked(task) {
        Some(what) => answer(privilege::used(tag, what as u32)),
        None => PASS,
    }
}

/// proto: `int userns_create(const struct cred *cred)`
#[lsm(hook = "userns_create")]
pub(crate) fn userns_create(_ctx: LsmContext) -> i32 {
    used(Privilege::Namespaces)
}

/// proto: `int task_fix_setuid(struct cred *new, const struct cred *old, int flags)`
#[lsm(hook = "task_fix_setuid")]
pub(crate) fn task_fix_setuid(ctx: LsmContext) -> i32 {
    takes_on(ctx.arg(0), ctx.arg(1))
}

/// proto: `int task_fix_setgid(struct cred *new, const struct cred *old, int flags)`
#[lsm(hook = "task_fix_setgid")]
pub(crate) fn task_fix_setgid(ctx: LsmContext) -> i32 {
    takes_on(ctx.arg(0), ctx.arg(1))
}

/// A call that leaves all users and groups as they were takes on none.
#[inline(always)]
fn takes_on(new: *const u8, old: *const u8) -> i32 {
    if task::tag(task::current()).is_none()
        || privilege::identities(new) == privilege::identities(old)
    {
        return PASS;
    }
    used(Privilege::Setuid)
}

/// proto: `int task_fix_setgroups(struct cred *new, const struct cred *old)`
#[lsm(hook = "task_fix_setgroups")]
pub(crate) fn task_fix_setgroups(ctx: LsmContext) -> i32 {
    if task::tag(task::current()).is_none() {
        return PASS;
    }
    let count = field::read::<Address>(ctx.arg(0), &field::CRED_GROUPS)
        .and_then(|groups| field::read::<u32>(groups, &field::GROUPS_COUNT));
    match count {
        Ok(0) => return PASS, // gives them up
        Ok(_) => {}
        Err(why) => miss::note(why),
    }
    used(Privilege::Setuid)
}

/// proto: `int capset(struct cred *new, const struct cred *old, const kernel_cap_t *effective, const kernel_cap_t
/// *inheritable, const kernel_cap_t *permitted)`
#[lsm(hook = "capset")]
pub(crate) fn capset(ctx: LsmContext) -> i32 {
    if task::tag(task::current()).is_none() {
        return PASS;
    }
    let old: *const u8 = ctx.arg(1);
    // SAFETY: the credentials before.
    let before: u64 = unsafe {
        field::load::<u64>(old, &field::CRED_EFFECTIVE)
            | field::load::<u64>(old, &field::CRED_INHERITABLE)
    };
    let after = field::at::<u64>(ctx.arg(2))
        .and_then(|effective| Ok(effective | field::at::<u64>(ctx.arg(3))?));
    match after {
        Ok(after) if after & !before == 0 => return PASS,
        Ok(_) => {}
        Err(why) => miss::note(why),
    }
    used(Privilege::Capabilities)
}

/// Raises an ambient capability, which programs that are started keep.
///
/// proto: `int task_prctl(int option, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5)`
#[lsm(hook = "task_prctl")]
pub(crate) fn task_prctl(ctx: LsmContext) -> i32 {
    if privilege::raises(ctx.arg(0), ctx.arg(1)) { used(Privilege::Capabilities) } else { PASS }
}

/// Another process is attached to, its memory reached, or a descriptor taken from it.
///
/// proto: `int ptrace_access_check(struct task_struct *child, unsigned int mode)`
#[lsm(hook = "ptrace_access_check")]
pub(crate) fn ptrace_access_check(ctx: LsmContext) -> i32 {
    if ctx.arg::<u32>(1) & ATTACH == 0 {
        return PASS;
    }
    let task = task::current();
    if task::tag(task).is_none() {
        return PASS;
    }
    let other: *const u8 = ctx.arg(0);
    // SAFETY: both are tasks.
    let (own, others): (u32, u32) =
        unsafe { (field::load(task, &field::TASK_TGID), field::load(other, &field::TASK_TGID)) };
    if own == others { PASS } else { used(Privilege::Ptrace) }
}

/// A process lets its parent trace it, which is then never asked for more.
///
/// proto: `int ptrace_traceme(struct task_struct *parent)`
#[lsm(hook = "ptrace_traceme")]
pub(crate) fn ptrace_traceme(_ctx: LsmContext) -> i32 {
    used(Privilege::Ptrace)
}

/// proto: `int bpf(int cmd, union bpf_attr *attr, unsigned int size, ...)`
#[lsm(hook = "bpf")]
pub(crate) fn bpf(_ctx: LsmContext) -> i32 {
    used(Privilege::Bpf)
}

/// A file that stands for something in the kernel is made: an `io_uring`, for one. Kernels before 6.15 have no other
/// hook for it.
///
/// proto: `int inode_init_security_anon(struct inode *inode, const struct qstr *name, const struct inode *context)`
#[lsm(hook = "inode_init_security_anon")]
pub(crate) fn inode_init_security_anon(ctx: LsmContext) -> i32 {
    if task::tag(task::current()).is_none() {
        return PASS;
    }
    match privilege::is_ring(ctx.arg(1)) {
        Ok(false) => return PASS,
        Ok(true) => {}
        Err(why) => miss::note(why),
    }
    used(Privilege::IoUring)
}
