//! Opens through `io_uring`. Connects and sends need nothing here: they pass the hooks of [`crate::net`].
//!
//! The hook is the completion of a request: the file is open, and the process has not been told yet. It
//! runs in the submitter, or in a worker thread that shares its files and its thread group.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use monitor_common::{counter::Miss, file::Origin};

use crate::{
    field::{self, Address},
    file, task,
};

/// `IORING_OP_OPENAT`, include/uapi/linux/io_uring.h.
const OPENAT: u8 = 18;
/// `IORING_OP_OPENAT2`, include/uapi/linux/io_uring.h.
const OPENAT2: u8 = 28;

/// proto: `void io_uring_complete(struct io_ring_ctx *ctx, void *req, ...)`
#[btf_tracepoint(function = "io_uring_complete")]
pub(crate) fn io_uring_complete(ctx: BtfTracePointContext) -> i32 {
    let request: Address = ctx.arg::<u64>(1);
    if request == 0 {
        return 0; // a completion without a request: the second of a multi-shot, a message
    }
    let opens = field::read::<u8>(request, &field::URING_OPCODE)
        .is_ok_and(|opcode| opcode == OPENAT || opcode == OPENAT2);
    if !opens {
        return 0;
    }
    let task = task::current();
    let Some(tag) = task::tag(task) else { return 0 };
    // From the request and not from the completion queue, which is the process's own memory.
    let Ok(result) = field::read::<i32>(request, &field::URING_RESULT) else {
        file::opened_unknown(&tag, Origin::Uring, Miss::ObjectUnreadable);
        return 0;
    };
    if result < 0 {
        return 0;
    }
    let command = field::within(request, &field::URING_COMMAND);
    match field::read::<u32>(command, &field::URING_OPEN_SLOT) {
        Ok(0) => file::opened(&tag, task as Address, result as u32, Origin::Uring),
        Ok(_) => file::opened_unknown(&tag, Origin::Uring, Miss::DirectDescriptor),
        Err(why) => file::opened_unknown(&tag, Origin::Uring, why),
    }
    0
}
