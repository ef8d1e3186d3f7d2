//! Opens through `io_uring`. Connects and sends need nothing here: they pass the hooks of [`crate::net`].
//!
//! An open is judged when its request completes: the file is open, and the process has not been told
//! yet. That runs in the submitter, or in a worker thread that shares its files and its thread group.
//!
//! Completions of one submission are traced together at its end, so a read that was submitted behind an open
//! would be done by then. An open is therefore also looked at when the next request is submitted, before
//! that one is carried out.
//!
//! An open whose success is told to nobody completes without a trace. Its file is unknown, and that is judged before it
//! is opened.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use monitor_common::{counter::Miss, file::Origin, tag::Tag};

use crate::{
    field::{self, Address},
    file, maps, miss, task,
};

/// `IORING_OP_OPENAT`, include/uapi/linux/io_uring.h.
const OPENAT: u8 = 18;
/// `IORING_OP_OPENAT2`, include/uapi/linux/io_uring.h.
const OPENAT2: u8 = 28;

/// `REQ_F_CQE_SKIP`, include/linux/io_uring_types.h: by `IOSQE_CQE_SKIP_SUCCESS_BIT`, include/uapi/linux/io_uring.h.
const UNTOLD: u32 = 1 << 6;

#[inline(always)]
fn opens(request: Address) -> bool {
    match field::read::<u8>(request, &field::URING_OPCODE) {
        Ok(opcode) => opcode == OPENAT || opcode == OPENAT2,
        Err(why) => {
            miss::note(why);
            false
        }
    }
}

/// Whether the success of a request is told to nobody: nor to us, when it is done.
#[inline(always)]
fn is_untold(request: Address) -> bool {
    match field::read::<u32>(request, &field::URING_FLAGS) {
        Ok(flags) => flags & UNTOLD != 0,
        Err(why) => {
            miss::note(why);
            true
        }
    }
}

/// A request is about to be carried out.
///
/// proto: `void io_uring_submit_req(struct io_kiocb *req)`
#[btf_tracepoint(function = "io_uring_submit_req")]
pub(crate) fn io_uring_submit_req(ctx: BtfTracePointContext) -> i32 {
    let task = task::current();
    let Some(tag) = task::tag(task) else { return 0 };
    let request: Address = ctx.arg::<u64>(0);
    if opens(request) && is_untold(request) {
        file::opened_unknown(tag, Origin::Uring, Miss::UntoldOpen);
        return 0;
    }
    let pending = maps::PENDING.value(task);
    if !pending.is_null() {
        // SAFETY: not null, so the value of the storage of the current task; here and below.
        let before = unsafe { *pending };
        if before != 0 {
            judge(tag, task, before);
        }
        // SAFETY: as above.
        unsafe { *pending = if opens(request) { request } else { 0 } };
    } else if opens(request) && !maps::PENDING.set(task, &request) {
        miss::note(Miss::PendingNotKept);
    }
    0
}

/// A request is done.
///
/// proto: `void io_uring_complete(struct io_ring_ctx *ctx, void *req, ...)`
#[btf_tracepoint(function = "io_uring_complete")]
pub(crate) fn io_uring_complete(ctx: BtfTracePointContext) -> i32 {
    let request: Address = ctx.arg::<u64>(1);
    if request == 0 || !opens(request) {
        return 0; // without a request: the second completion of a multi-shot, a message
    }
    let task = task::current();
    let Some(tag) = task::tag(task) else { return 0 };
    let pending = maps::PENDING.value(task);
    // SAFETY: as in `io_uring_submit_req`.
    unsafe {
        if !pending.is_null() && *pending == request {
            *pending = 0;
        }
    }
    judge(tag, task, request);
    0
}

/// Judges what a request has opened. Its result is taken from the request and not from the completion
/// queue, which is the process's own memory.
#[inline(always)] // a chain of calls is at most eight long
fn judge(tag: &Tag, task: *const u8, request: Address) {
    let result = field::read::<i32>(request, &field::URING_RESULT);
    if result.is_ok_and(|result| result < 0) {
        return;
    }
    let command = field::within(request, &field::URING_COMMAND);
    match (result, field::read::<u32>(command, &field::URING_OPEN_SLOT)) {
        (Ok(result), Ok(0)) => file::opened(tag, task as Address, result as u32, Origin::Uring),
        (Ok(_), Ok(_)) => file::opened_unknown(tag, Origin::Uring, Miss::DirectDescriptor),
        _ => file::opened_unknown(tag, Origin::Uring, Miss::ObjectUnreadable),
    }
}
