//! `io_uring`, as far as techniques need it: one request, or several that are linked.

use std::{ffi::CString, io, os::fd::OwnedFd};

use io_uring::{IoUring, opcode, squeue, types};

use crate::sys;

/// Who carries out what is submitted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The thread that submits.
    Submitter,
    /// A worker of the kernel.
    Worker,
    /// A thread of the kernel that polls.
    Poller,
}

/// A ring for this.
pub(crate) fn ring(who: Who) -> io::Result<IoUring> {
    const IDLE_MILLISECONDS: u32 = 50;
    match who {
        Who::Poller => IoUring::builder().setup_sqpoll(IDLE_MILLISECONDS).build(8),
        _ => IoUring::new(8),
    }
}

/// The flags that go with it.
pub(crate) fn flags(who: Who) -> squeue::Flags {
    if who == Who::Worker { squeue::Flags::ASYNC } else { squeue::Flags::empty() }
}

/// Submits these and gives back the result of the last, or the first error.
pub(crate) fn submit(ring: &mut IoUring, entries: &[squeue::Entry]) -> io::Result<i32> {
    // SAFETY: every caller keeps what the entries point to until this returns.
    unsafe { ring.submission().push_multiple(entries) }.map_err(io::Error::other)?;
    ring.submit_and_wait(entries.len())?;
    let mut last = 0;
    for completion in ring.completion() {
        last = completion.result();
        if last < 0 {
            return Err(io::Error::from_raw_os_error(-last));
        }
    }
    Ok(last)
}

/// Opens a file for reading, by one of them.
pub(crate) fn open(path: &CString, who: Who) -> io::Result<OwnedFd> {
    let entry = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).build();
    let answer = submit(&mut ring(who)?, &[entry.flags(flags(who))])?;
    sys::owned(Ok(answer as usize))
}
