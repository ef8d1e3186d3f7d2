//! Files that are opened, and descriptors that come from another process.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use monitor_common::file::Origin;

use super::{PASS, answer};
use crate::{
    field::{self, Address},
    file, task,
};

/// `__FMODE_EXEC`, include/linux/fs.h: a program is opened to be started. No system call can ask for it.
const OPENED_TO_START: u32 = 0x20;
/// `PF_IO_WORKER`, include/linux/sched.h.
const IO_WORKER: u32 = 0x10;

/// Every open that has come so far as to be permitted, of whatever system call and by whatever name.
///
/// proto: `int file_open(struct file *file)`
#[lsm(hook = "file_open")]
pub(crate) fn file_open(ctx: LsmContext) -> i32 {
    let task = task::current();
    let Some(tag) = task::tag(task) else { return PASS };
    let opened: *const u8 = ctx.arg(0);
    // SAFETY: a file and a task, as the kernel passes them.
    let (flags, kind): (u32, u32) =
        unsafe { (field::load(opened, &field::FILE_FLAGS), field::load(task, &field::TASK_FLAGS)) };
    if flags & OPENED_TO_START != 0 {
        return PASS; // judged as a program
    }
    let origin = if kind & IO_WORKER != 0 { Origin::Uring } else { Origin::Call };
    answer(file::judge(tag, origin, opened as Address))
}

/// A descriptor arrives, over a socket or by `pidfd_getfd`.
///
/// proto: `int file_receive(struct file *file)`
#[lsm(hook = "file_receive")]
pub(crate) fn file_receive(ctx: LsmContext) -> i32 {
    let Some(tag) = task::tag(task::current()) else { return PASS };
    answer(file::judge(tag, Origin::Passed, ctx.arg(0)))
}
