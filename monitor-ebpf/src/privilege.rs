//! Rights that reach beyond a process, judged: on the prevent tier when they are asked for ([`crate::prevent`]).
//!
//! On the react tier nothing can be refused here. They have been used, by a system call ([`crate::syscall`]) or at a fork
//! ([`crate::lifecycle`]): what is forbidden ends the process before its next instruction, and a child that was born in
//! forbidden namespaces before its first.

use monitor_common::{
    Act, Verdict,
    counter::Miss,
    plan::Mask,
    privilege::{Privilege, Use},
    record::{Decision, Kind},
    tag::{DOOMED, Tag},
};

use crate::{
    classify::{self, HASH_SECRET, Plan},
    emit::{self, Draft},
    field::{self, Address},
    miss::{self, Missed},
    scratch::Scratch,
    syscall::Call,
    task,
    verdict::{self, Exe},
};

/// `CLONE_NEWTIME`, `NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID`, `NEWNET`:
/// include/uapi/linux/sched.h.
const NEW_NAMESPACES: u64 = 0x7e02_0080;
/// `OPEN_TREE_CLONE`, include/uapi/linux/mount.h.
const TREE_CLONE: u64 = 1;
/// `PR_CAP_AMBIENT` and `PR_CAP_AMBIENT_RAISE`, include/uapi/linux/prctl.h.
const AMBIENT: u32 = 47;
const RAISE: u64 = 2;
/// `PIDTYPE_TGID`, include/linux/pid_types.h: its place among the pids of a `signal_struct`.
const TGID: u64 = 1;
/// Bytes of a `struct upid`, include/linux/pid.h: the number, and a pointer.
const UPID: u64 = 16;

/// The name of the file that stands for an `io_uring`, io_uring/io_uring.c, and of it the first eight bytes.
const RING: &[u8; 10] = b"[io_uring]";
const RING_BEGINS: u64 = u64::from_ne_bytes(*b"[io_urin");

/// Whether a name (`struct qstr`) is that of an `io_uring`.
#[inline(always)]
pub(crate) fn is_ring(name: Address) -> Missed<bool> {
    let length: u32 = field::read(name, &field::QSTR_LEN)?;
    let bytes: Address = field::read(name, &field::QSTR_NAME)?;
    Ok(length == RING.len() as u32 && field::at::<u64>(bytes)? == RING_BEGINS)
}

/// prctl: raises an ambient capability, which programs that are started keep.
#[inline(always)]
pub(crate) fn hands_on(call: &Call) -> bool {
    raises(call.argument::<0>() as u32, call.argument::<1>())
}

/// The same of its first two arguments, of which the kernel takes no more than 32 bits of the first.
#[inline(always)]
pub(crate) const fn raises(option: u32, what: u64) -> bool {
    option == AMBIENT && what == RAISE
}

/// ptrace: a request that gets hold of a process, or changes one. A process that lets itself be traced harms nobody
/// by it, and who traces it has not asked for more than it gave; changing it is another thing.
#[inline(always)]
pub(crate) fn steers(call: &Call) -> bool {
    // include/uapi/linux/ptrace.h, arch/x86/include/uapi/asm/ptrace-abi.h
    match call.argument::<0>() as u32 {
        16 | 0x4206 => true,              // PTRACE_ATTACH, SEIZE
        4..=6 => true,                    // POKETEXT, POKEDATA, POKEUSR
        13 | 15 | 19 | 0x4205 => true,    // SETREGS, SETFPREGS, SETFPXREGS, SETREGSET
        26 | 30 => true,                  // SET_THREAD_AREA, ARCH_PRCTL
        0x4203 | 0x420b | 0x4212 => true, // SETSIGINFO, SETSIGMASK, SET_SYSCALL_INFO
        _ => false,
    }
}

/// process_vm_readv and process_vm_writev: of another process than the caller's own, by the number that the
/// caller knows it by.
#[inline(always)]
pub(crate) fn is_another(call: &Call) -> bool {
    own_number(call.task as Address).is_none_or(|own| call.argument::<0>() as u32 != own)
}

/// The number of a process in its own PID namespace; none where it cannot be read.
#[inline(always)]
fn own_number(task: Address) -> Option<u32> {
    let signal: Address = field::read(task, &field::TASK_SIGNAL).ok()?;
    let pid: Address = field::read(signal + TGID * 8, &field::SIGNAL_PIDS).ok()?;
    let level: u32 = field::read(pid, &field::PID_LEVEL).ok()?;
    field::read(pid + u64::from(level) * UPID, &field::PID_NUMBERS).ok()
}

/// open_tree: makes a mount of its own.
#[inline(always)]
pub(crate) fn copies(call: &Call) -> bool {
    call.argument::<2>() & TREE_CLONE != 0
}

/// unshare: of namespaces, and not only of what threads share.
#[inline(always)]
pub(crate) fn leaves(call: &Call) -> bool {
    call.argument::<0>() & NEW_NAMESPACES != 0
}

/// clone and clone3, which have asked for a capability: into namespaces. The flags of clone3 are in user memory; nothing
/// else that it does needs one, save for a process that has too many children.
#[inline(always)]
pub(crate) fn leaves_by_fork(call: &Call) -> bool {
    call.is_clone3() || leaves(call)
}

/// A call that sets users or groups: whether any is another than before.
#[inline(always)]
pub(crate) fn takes_on(call: &Call, before: &Tag) -> bool {
    let mut tag = *before;
    look_at(call.task, &mut tag);
    let another = before.identities != tag.identities;
    keep(call.task, &tag);
    another
}

/// capset: whether any can be used or handed on that could not before.
#[inline(always)]
pub(crate) fn adds(call: &Call, before: &Tag) -> bool {
    let mut tag = *before;
    look_at(call.task, &mut tag);
    let more = tag.capabilities & !before.capabilities != 0;
    keep(call.task, &tag);
    more
}

#[inline(always)]
fn keep(task: *const u8, tag: &Tag) {
    if !task::set_tag(task, tag) {
        miss::note(Miss::TagNotSet);
    }
}

/// Writes into a tag what users, groups and capabilities a task has now.
#[inline(never)]
pub(crate) fn look_at(task: *const u8, tag: &mut Tag) {
    // SAFETY: a task, and its credentials.
    unsafe {
        let cred: *const u8 = field::load(task, &field::TASK_CRED);
        tag.identities = identities(cred);
        let inheritable: u64 = field::load(cred, &field::CRED_INHERITABLE);
        tag.capabilities = inheritable | field::load::<u64>(cred, &field::CRED_EFFECTIVE);
    }
}

/// The users and groups of credentials, as one number that is not 0. Supplementary groups are not among them.
#[inline(always)]
pub(crate) fn identities(cred: *const u8) -> u32 {
    let secret = HASH_SECRET.load() | 1;
    let mut all = secret;
    for one in [
        &field::CRED_UID,
        &field::CRED_GID,
        &field::CRED_SUID,
        &field::CRED_SGID,
        &field::CRED_EUID,
        &field::CRED_EGID,
        &field::CRED_FSUID,
        &field::CRED_FSGID,
    ] {
        // SAFETY: credentials.
        all = (all ^ u64::from(unsafe { field::load::<u32>(cred, one) })).wrapping_mul(secret);
        all ^= all >> 32;
    }
    (all as u32).max(1)
}

/// Whether a child was born into namespaces that its maker is not in. Told by the structures of the kernel: the
/// flags of clone3 are in user memory.
#[inline(always)]
pub(crate) fn are_apart(parent: *const u8, child: *const u8) -> bool {
    // SAFETY: both are tasks, and have credentials.
    unsafe {
        let proxy = |task| field::load::<u64>(task, &field::TASK_NSPROXY);
        let users = |task| {
            let cred: *const u8 = field::load(task, &field::TASK_CRED);
            field::load::<u64>(cred, &field::CRED_USER_NS)
        };
        proxy(parent) != proxy(child) || users(parent) != users(child)
    }
}

/// A call that makes processes is left, by the one that called or by the one that was made.
#[inline(always)]
pub(crate) fn born(tag: &Tag) {
    if tag.flags & DOOMED != 0 {
        let _done =
            verdict::carry_out(&Decision { done: Verdict::Kill as u8, ..Decision::default() });
    }
}

/// Judges the use of a right by the current process; returns what was done.
#[inline(never)]
pub(crate) fn used(tag: &Tag, privilege: u32) -> u8 {
    let Some(plan) = classify::in_force() else { return Verdict::Allow as u8 };
    let plan = &plan;
    verdict::with_scratch(
        || verdict::unseen(plan, tag, Act::Privilege),
        |scratch| {
            // SAFETY: a claimed slot; here and below.
            let holding = unsafe { &raw mut (*scratch).holding[0] };
            verdict::hold(plan, tag, Act::Privilege, holding);
            if verdict::any(holding) | plan.watches() == 0 {
                return Verdict::Allow as u8;
            }
            unsafe { (*scratch).privilege = privilege };
            let decision = judge(plan, holding, scratch, Exe::OfCurrent);
            if u64::from(decision.done) | plan.watches() == Verdict::Allow as u64 {
                return Verdict::Allow as u8;
            }
            let privilege = unsafe { (&raw const (*scratch).privilege).read_volatile() };
            let done = verdict::carry_out(&decision);
            let body = Use { decision, privilege, held: 0 };
            let header = emit::header(Kind::Privilege, tag, plan.header.serial);
            Draft::new::<Use>(scratch).send(header, body);
            done
        },
    )
}

/// Tells of a right that a task holds which is not the current one. Nothing is carried out.
#[inline(never)]
pub(crate) fn held(tag: &Tag, task: *const u8, privilege: u32) {
    let Some(plan) = classify::in_force() else { return };
    let told = |scratch: *mut Scratch| {
        // SAFETY: a claimed slot; here and below.
        let holding = unsafe { &raw mut (*scratch).holding[0] };
        verdict::hold(&plan, tag, Act::Privilege, holding);
        unsafe { (*scratch).privilege = privilege };
        let exe = verdict::exe_of(scratch, task);
        let mut decision = judge(&plan, holding, scratch, exe);
        verdict::only_told(&mut decision);
        if decision.done != Verdict::Allow as u8 {
            let header = emit::header_of(task, Kind::Privilege, tag, plan.header.serial);
            Draft::new::<Use>(scratch).send(header, Use { decision, privilege, held: 1 });
        }
    };
    verdict::with_scratch(|| {}, told);
}

/// What the rules say of the use of the right in the scratch. It is read from there as a number that may be any:
/// the verifier would follow what comes after once for each of them.
#[inline(always)]
pub(crate) fn judge(
    plan: &Plan,
    holding: *const Mask,
    scratch: *mut Scratch,
    exe: Exe,
) -> Decision {
    // SAFETY: a claimed slot.
    let (bits, privilege) = unsafe {
        let privilege = (&raw const (*scratch).privilege).read_volatile() as usize;
        (&raw mut (*scratch).object.bits, privilege & (Privilege::COUNT - 1))
    };
    classify::none(bits);
    classify::privilege(plan, bits, plan.header.privileges[privilege]);
    verdict::of(plan, holding, scratch, exe)
}
