//! The same acts through `io_uring`: the kernel is asked in memory, not by a system call of that name.

use std::{
    ffi::CStr,
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
};

use io_uring::{IoUring, opcode, squeue, types};

use crate::{
    call::descriptor,
    witness::{Mark, Witness},
};

/// Who carries out what is submitted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ring {
    /// The submitting thread, inside `io_uring_enter`.
    Plain,
    /// A worker thread of the kernel.
    Async,
    /// A thread of the kernel that polls the ring: the process makes no call.
    Sqpoll,
}

impl Ring {
    fn build(self) -> io::Result<IoUring> {
        const ENTRIES: u32 = 8;
        const IDLE_MILLISECONDS: u32 = 50;
        match self {
            Self::Sqpoll => IoUring::builder().setup_sqpoll(IDLE_MILLISECONDS).build(ENTRIES),
            _ => IoUring::new(ENTRIES),
        }
    }

    fn flags(self) -> squeue::Flags {
        match self {
            Self::Async => squeue::Flags::ASYNC,
            _ => squeue::Flags::empty(),
        }
    }
}

/// Submits one entry and gives back the result of its completion.
pub(crate) fn submit(ring: &mut IoUring, entry: &squeue::Entry) -> io::Result<i32> {
    // SAFETY: every caller keeps what the entry points to until this returns.
    unsafe { ring.submission().push(entry) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    let completion = ring.completion().next().ok_or_else(|| io::Error::other("no completion"))?;
    match completion.result() {
        result if result < 0 => Err(io::Error::from_raw_os_error(-result)),
        result => Ok(result),
    }
}

/// Opens a file into an ordinary descriptor.
pub(crate) fn open(name: &CStr, flags: i32, kind: Ring, mark: &Mark) -> io::Result<OwnedFd> {
    let mut ring = kind.build()?;
    let entry = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), name.as_ptr()).flags(flags).build();
    let answer = submit(&mut ring, &entry.flags(kind.flags()));
    mark.count();
    descriptor(answer?)
}

/// Opens a file into an ordinary descriptor and has nobody told of it: it is the lowest that is free.
pub(crate) fn open_untold(name: &CStr, flags: i32, mark: &Mark) -> io::Result<OwnedFd> {
    let mut ring = Ring::Plain.build()?;
    let free = fs::File::open("/")?.as_raw_fd(); // closed again at once
    let entry = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), name.as_ptr()).flags(flags).build();
    // SAFETY: the name lives until this returns, and the open is done when the submission is.
    unsafe { ring.submission().push(&entry.flags(squeue::Flags::SKIP_SUCCESS)) }
        .map_err(io::Error::other)?;
    ring.submit()?;
    mark.count();
    match ring.completion().next() {
        Some(failed) => Err(io::Error::from_raw_os_error(-failed.result())),
        None => descriptor(free),
    }
}

/// Opens a file into a direct descriptor, reads through it, gives the bytes away.
pub(crate) fn read_direct(name: &CStr, witness: &Witness) -> io::Result<()> {
    let mut ring = Ring::Plain.build()?;
    ring.submitter().register_files_sparse(1)?;
    let opened = submit(&mut ring, &open_direct(name)?);
    witness.mark().count();
    opened?;
    let mut secret = [0_u8; 256];
    let read = opcode::Read::new(types::Fixed(0), secret.as_mut_ptr(), 256).build();
    let length = usize::try_from(submit(&mut ring, &read)?).map_err(io::Error::other)?;
    witness.give_away_bytes(&secret[..length])
}

/// Hands open and read to the kernel at once, with the leak itself as the buffer: no instruction of
/// this process is needed in between, nor afterwards. `link`ed, the read waits for the open to complete;
/// else they are carried out one after the other before either is said to be complete.
pub(crate) fn read_together(name: &CStr, witness: &Witness, link: bool) -> io::Result<()> {
    const BYTES: u32 = 8;
    let mut ring = Ring::Plain.build()?;
    ring.submitter().register_files_sparse(1)?;
    let window = witness.leak_window()?;
    let read = opcode::Read::new(types::Fixed(0), window, BYTES).build();
    let linked = if link { squeue::Flags::IO_LINK } else { squeue::Flags::empty() };
    let both = [open_direct(name)?.flags(linked), read];
    // SAFETY: the name, the window and the ring live until both completions are here.
    unsafe { ring.submission().push_multiple(&both) }.map_err(io::Error::other)?;
    ring.submit_and_wait(both.len())?;
    witness.mark().count();
    for completion in ring.completion() {
        if completion.result() < 0 {
            return Err(io::Error::from_raw_os_error(-completion.result()));
        }
    }
    Ok(())
}

fn open_direct(name: &CStr) -> io::Result<squeue::Entry> {
    let slot = types::DestinationSlot::try_from_slot_target(0)
        .map_err(|slot| io::Error::other(format!("no slot {slot}")))?;
    Ok(opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), name.as_ptr())
        .flags(libc::O_RDONLY)
        .file_index(Some(slot))
        .build())
}

/// Connects a socket.
pub(crate) fn connect(
    socket: &impl AsRawFd,
    address: *const libc::sockaddr,
    length: libc::socklen_t,
    kind: Ring,
) -> io::Result<()> {
    let entry = opcode::Connect::new(types::Fd(socket.as_raw_fd()), address, length).build();
    submit(&mut kind.build()?, &entry.flags(kind.flags())).map(drop)
}

/// Sends one message.
pub(crate) fn send(socket: &impl AsRawFd, message: *const libc::msghdr) -> io::Result<()> {
    let entry = opcode::SendMsg::new(types::Fd(socket.as_raw_fd()), message).build();
    submit(&mut Ring::Plain.build()?, &entry).map(drop)
}
