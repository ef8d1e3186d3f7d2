//! The exits of system calls: which of them are anybody's business, and whose.
//!
//! The hook runs for every system call of the host, so a table says by one look whether a call is one of ours. Only
//! then it is asked who calls; [`crate::file`], [`crate::load`] and [`crate::privilege`] judge. A call that failed
//! has opened, mapped and used nothing, and is never looked at. Arguments are taken from the registers and never
//! from user memory.

use aya_ebpf::{
    bindings::task_struct, helpers::generated::bpf_task_pt_regs, macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use monitor_common::{file::Origin, privilege::Privilege, tag::Tag};

use crate::{
    field::{self, Address, Offset},
    file, load, privilege, task,
};

/// `TS_COMPAT`, arch/x86/include/asm/thread_info.h: the call came by a 32-bit gate.
const STATUS_COMPAT: u32 = 2;
/// `__X32_SYSCALL_BIT`, arch/x86/include/uapi/asm/unistd.h.
const X32: u64 = 0x4000_0000;
/// The numbers of the table: those of x32 alone end at 547.
const NUMBERS: usize = 576;

/// What a call is to us.
type What = u8;
/// Nothing.
const OTHER: What = 0;
/// Opens a file; the result is its descriptor.
const OPEN: What = 1;
/// mmap, with all arguments in registers.
const MAP: What = 2;
/// mmap of 32-bit programs long ago, whose arguments are in memory.
const OLD_MAP: What = 3;
/// Changes what may be done with memory.
const PROTECT: What = 4;
/// Makes a process or a thread, and is left by the child as well.
const FORK: What = 5;
/// Takes on a user or a group.
const IDENTITY: What = 6;
/// Takes on groups.
const GROUPS: What = 7;
/// Sets capabilities.
const CAPSET: What = 8;
/// prctl, one of whose many uses is to hand capabilities on.
const PRCTL: What = 9;
/// ptrace, one or the other request of which steers.
const PTRACE: What = 10;
/// Reads or writes the memory of the process that is named first.
const MEMORY: What = 11;
/// Takes a descriptor out of another process.
const DESCRIPTOR: What = 12;
/// Mounts, moves, changes or takes off.
const MOUNT: What = 13;
/// open_tree, one use of which makes a copy of a mount.
const TREE: What = 14;
/// Leaves namespaces for new ones, if it is asked to.
const UNSHARE: What = 15;
/// Enters a namespace.
const SETNS: What = 16;
/// bpf.
const BPF: What = 17;
/// Modules and kexec.
const MODULE: What = 18;
/// Sets up an `io_uring`.
const URING: What = 19;

/// Calls by their 64-bit numbers (arch/x86/entry/syscalls/syscall_64.tbl; above 511 those of x32) and by their
/// 32-bit numbers (`syscall_32.tbl` there).
const CALLS: &[(What, &[usize], &[usize])] = &[
    // open, creat, openat, openat2, open_by_handle_at
    (OPEN, &[2, 85, 257, 437, 304], &[5, 8, 295, 437, 342]),
    // mmap; mmap2
    (MAP, &[9], &[192]),
    (OLD_MAP, &[], &[90]),
    // mprotect, pkey_mprotect
    (PROTECT, &[10, 329], &[125, 380]),
    // clone, fork, vfork, clone3
    (FORK, &[56, 57, 58, 435], &[120, 2, 190, 435]),
    // setuid, setgid, setreuid, setregid, setresuid, setresgid, setfsuid, setfsgid; with 16 bits, with 32 bits
    (
        IDENTITY,
        &[105, 106, 113, 114, 117, 119, 122, 123],
        &[23, 46, 70, 71, 164, 170, 138, 139, 213, 214, 203, 204, 208, 210, 215, 216],
    ),
    // setgroups; with 16 bits, with 32 bits
    (GROUPS, &[116], &[81, 206]),
    (CAPSET, &[126], &[185]),
    (PRCTL, &[157], &[172]),
    // ptrace, and of x32
    (PTRACE, &[101, 521], &[26]),
    // process_vm_readv, process_vm_writev, and of x32
    (MEMORY, &[310, 311, 539, 540], &[347, 348]),
    // pidfd_getfd
    (DESCRIPTOR, &[438], &[438]),
    // mount, umount2, pivot_root, move_mount, fsopen, fsmount, fspick, mount_setattr, open_tree_attr; umount
    (
        MOUNT,
        &[165, 166, 155, 429, 430, 432, 433, 442, 467],
        &[21, 52, 217, 429, 430, 432, 433, 442, 467, 22],
    ),
    (TREE, &[428], &[428]),
    (UNSHARE, &[272], &[310]),
    (SETNS, &[308], &[346]),
    (BPF, &[321], &[357]),
    // init_module, finit_module, delete_module, kexec_load, kexec_file_load; kexec_load of x32
    (MODULE, &[175, 313, 176, 246, 320, 528], &[128, 350, 129, 283]),
    // io_uring_setup
    (URING, &[425], &[425]),
];

/// By number: what it is by the 64-bit gate, in the low byte, and by the 32-bit gate. One load says for most calls
/// that they are neither.
static TABLE: [u16; NUMBERS] = {
    let mut table = [0; NUMBERS];
    let mut row = 0;
    while row < CALLS.len() {
        let (what, native, compat) = CALLS[row];
        let mut at = 0;
        while at < native.len() {
            table[native[at]] |= what as u16;
            at += 1;
        }
        at = 0;
        while at < compat.len() {
            table[compat[at]] |= (what as u16) << 8;
            at += 1;
        }
        row += 1;
    }
    table
};

/// What right the system call is about that a task is in, where it is one that needs a capability for it.
#[inline(always)]
pub(crate) fn asked(task: *const u8) -> Option<Privilege> {
    let (call, what) = Call::of_task(task)?;
    match what {
        MOUNT => Some(Privilege::Mount),
        TREE => privilege::copies(&call).then_some(Privilege::Mount),
        UNSHARE => privilege::leaves(&call).then_some(Privilege::Namespaces),
        SETNS => Some(Privilege::Namespaces),
        FORK => privilege::leaves_by_fork(&call).then_some(Privilege::Namespaces),
        MODULE => Some(Privilege::Module),
        _ => None,
    }
}

/// Runs for every system call of the host: numbers first.
///
/// proto: `void sys_exit(struct pt_regs *regs, long ret)`
#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    let regs: *const u8 = ctx.arg(0);
    // SAFETY: the registers of the call.
    let number = unsafe { field::load::<u64>(regs, &field::PT_REGS_ORIG_AX) } & !X32;
    if number >= NUMBERS as u64 {
        return 0;
    }
    let by_gate = TABLE[number as usize];
    if by_gate == 0 {
        return 0;
    }
    let result: i64 = ctx.arg(1);
    if result < 0 {
        return 0;
    }
    let task = task::current();
    // SAFETY: a task.
    let status: u32 = unsafe { field::load(task, &field::TASK_STATUS) };
    let compat = status & STATUS_COMPAT != 0;
    let what = (if compat { by_gate >> 8 } else { by_gate & 0xff }) as What;
    let call = Call { regs, task, compat, number, result };
    if what == OTHER || !call.may_concern(what) {
        return 0;
    }
    let Some(tag) = task::tag(task) else { return 0 };
    call.take(what, tag);
    0
}

/// A call that came to its end.
pub(crate) struct Call {
    regs: *const u8,
    pub(crate) task: *const u8,
    compat: bool,
    number: u64,
    pub(crate) result: i64,
}

impl Call {
    /// The call that a task is in, and what it is to us; none where it is none of ours.
    #[inline(always)]
    fn of_task(task: *const u8) -> Option<(Self, What)> {
        // SAFETY: the helper takes a task; what it returns are its registers.
        let regs = unsafe { bpf_task_pt_regs(task.cast::<task_struct>().cast_mut()) } as *const u8;
        // SAFETY: registers, and a task.
        let (number, status) = unsafe {
            let number: u64 = field::load(regs, &field::PT_REGS_ORIG_AX);
            (number & !X32, field::load::<u32>(task, &field::TASK_STATUS))
        };
        if number >= NUMBERS as u64 {
            return None;
        }
        let by_gate = TABLE[number as usize];
        let compat = status & STATUS_COMPAT != 0;
        let what = (if compat { by_gate >> 8 } else { by_gate & 0xff }) as What;
        Some((Self { regs, task, compat, number, result: 0 }, what))
    }

    /// Whether it is clone3, whose number is the same by every gate.
    #[inline(always)]
    pub(crate) const fn is_clone3(&self) -> bool {
        self.number == 435
    }

    /// One of its first five arguments.
    #[inline(always)]
    pub(crate) fn argument<const AT: usize>(&self) -> u64 {
        let native = |register: &Offset| {
            // SAFETY: the registers of the call; here and below.
            unsafe { field::load::<u64>(self.regs, register) }
        };
        let compat =
            |register: &Offset| u64::from(unsafe { field::load::<u32>(self.regs, register) });
        match (AT, self.compat) {
            (0, false) => native(&field::PT_REGS_DI),
            (0, true) => compat(&field::PT_REGS_BX),
            (1, false) => native(&field::PT_REGS_SI),
            (1, true) => compat(&field::PT_REGS_CX),
            (2, false) => native(&field::PT_REGS_DX),
            (2, true) => compat(&field::PT_REGS_DX),
            (3, false) => native(&field::PT_REGS_R10),
            (3, true) => compat(&field::PT_REGS_SI),
            (_, false) => native(&field::PT_REGS_R8),
            (_, true) => compat(&field::PT_REGS_DI),
        }
    }

    /// What is asked of every caller, tagged or not, so that the frequent ones are done with early.
    #[inline(always)]
    fn may_concern(&self, what: What) -> bool {
        match what {
            MAP => load::maps_code(self),
            PROTECT => load::makes_code(self),
            PRCTL => privilege::hands_on(self),
            _ => true,
        }
    }

    #[inline(always)]
    fn take(&self, what: What, tag: &Tag) {
        let used = match what {
            OPEN => {
                return file::opened(tag, self.task as Address, self.result as u32, Origin::Call);
            }
            MAP => return load::mapped(self, tag, None),
            OLD_MAP => return load::mapped(self, tag, Some((self.result as u64, 1))),
            PROTECT => {
                return load::mapped(self, tag, Some((self.argument::<0>(), self.argument::<1>())));
            }
            FORK => return privilege::born(tag),
            IDENTITY => privilege::takes_on(self, tag).then_some(Privilege::Setuid),
            GROUPS => (self.argument::<0>() != 0).then_some(Privilege::Setuid),
            CAPSET => privilege::adds(self, tag).then_some(Privilege::Capabilities),
            PRCTL => Some(Privilege::Capabilities),
            PTRACE => privilege::steers(self).then_some(Privilege::Ptrace),
            MEMORY => privilege::is_another(self).then_some(Privilege::Ptrace),
            DESCRIPTOR => Some(Privilege::Ptrace),
            MOUNT => Some(Privilege::Mount),
            TREE => privilege::copies(self).then_some(Privilege::Mount),
            UNSHARE => privilege::leaves(self).then_some(Privilege::Namespaces),
            SETNS => Some(Privilege::Namespaces),
            BPF => Some(Privilege::Bpf),
            MODULE => Some(Privilege::Module),
            URING => Some(Privilege::IoUring),
            _ => None,
        };
        if let Some(privilege) = used {
            let _done = privilege::used(tag, privilege as u32);
        }
    }
}
