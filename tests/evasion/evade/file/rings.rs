//! F27, F28: `io_uring`, the agent's own and one that somebody else has made.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, OwnedFd},
    thread,
    time::Duration,
};

use io_uring::{opcode, squeue, types};

use crate::{
    case::{COLLECTOR, Case},
    gift::Gift,
    ring::{self, Who},
    sys::{self, call, fd, into, of, text},
    trick::{Expect, Trick, read},
};

const OWN_RING: &str = "an io_uring";

pub(crate) const TRICKS: &[Trick] = &[
    read("F27a", "io_uring openat", |case| by_ring(case, Who::Submitter)).needs(OWN_RING),
    read("F27b", "io_uring openat by a worker", |case| by_ring(case, Who::Worker)).needs(OWN_RING),
    read("F27c", "io_uring openat by a polling thread", |case| by_ring(case, Who::Poller))
        .needs(OWN_RING),
    read("F27d", "io_uring openat2", by_openat2).needs(OWN_RING),
    read("F27e", "io_uring: open, read and write, linked, direct descriptors", |case| {
        all_at_once(case, Who::Submitter)
    })
    .needs(OWN_RING),
    read("F27f", "the same by a worker", |case| all_at_once(case, Who::Worker)).needs(OWN_RING),
    read("F27g", "the same by a polling thread", |case| all_at_once(case, Who::Poller))
        .needs(OWN_RING),
    read("F27h", "io_uring openat that nobody is told of", by_untold).needs(OWN_RING),
    read("F27i", "io_uring: a direct descriptor made an ordinary one", by_installed)
        .needs("FIXED_FD_INSTALL, Linux 6.8"),
    read("F27j", "io_uring: a link made and opened", by_linked_name).needs(OWN_RING),
    read("F28a", "somebody else's polled ring, from before", by_foreign_ring)
        .before(|case, gift| lend(case, gift, true))
        .both(Expect::Limit(
            "the creator's thread does it, which is no agent; rings must not be left open for agents",
        )),
    read("F28b", "somebody else's ring, from before, submitted by the agent", by_foreign_ring)
        .before(|case, gift| lend(case, gift, false)),
];

fn by_ring(case: &Case, who: Who) -> io::Result<()> {
    case.give_all(File::from(ring::open(&text(case.secret()), who)?))
}

fn by_openat2(case: &Case) -> io::Result<()> {
    let (path, how) = (text(case.secret()), types::OpenHow::new());
    let here = types::Fd(libc::AT_FDCWD);
    let entry = opcode::OpenAt2::new(here, path.as_ptr(), &raw const how).build();
    let answer = ring::submit(&mut ring::ring(Who::Submitter)?, &[entry])?;
    case.give_all(File::from(sys::owned(Ok(answer as usize))?))
}

/// Into the first direct descriptor.
fn open_direct(path: &std::ffi::CString) -> io::Result<squeue::Entry> {
    let slot = types::DestinationSlot::try_from_slot_target(0)
        .map_err(|slot| io::Error::other(format!("no slot {slot}")))?;
    let here = types::Fd(libc::AT_FDCWD);
    Ok(opcode::OpenAt::new(here, path.as_ptr()).file_index(Some(slot)).build())
}

/// Three requests, each waiting for the one before; no instruction of this process is needed in between.
fn three(path: &std::ffi::CString, buffer: *mut u8, who: Who) -> io::Result<[squeue::Entry; 3]> {
    const BYTES: u32 = 51;
    let linked = squeue::Flags::IO_LINK | ring::flags(who);
    Ok([
        open_direct(path)?.flags(linked),
        opcode::Read::new(types::Fixed(0), buffer, BYTES).build().flags(linked),
        opcode::Write::new(types::Fd(COLLECTOR), buffer, BYTES).build().flags(ring::flags(who)),
    ])
}

fn all_at_once(case: &Case, who: Who) -> io::Result<()> {
    let (path, mut buffer) = (text(case.secret()), [0_u8; 64]);
    let mut ring = ring::ring(who)?;
    ring.submitter().register_files_sparse(1)?;
    ring::submit(&mut ring, &three(&path, buffer.as_mut_ptr(), who)?).map(drop)
}

fn by_untold(case: &Case) -> io::Result<()> {
    let (path, mut ring) = (text(case.secret()), ring::ring(Who::Submitter)?);
    let free = File::open("/")?.as_raw_fd(); // closed again at once
    let entry = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).build();
    // SAFETY: the path lives until this returns, and the open is done when the submission is.
    unsafe { ring.submission().push(&entry.flags(squeue::Flags::SKIP_SUCCESS)) }
        .map_err(io::Error::other)?;
    ring.submit()?;
    case.read_and_give(format!("/proc/self/fd/{free}"))
}

fn by_installed(case: &Case) -> io::Result<()> {
    let (path, mut ring) = (text(case.secret()), ring::ring(Who::Submitter)?);
    ring.submitter().register_files_sparse(1)?;
    ring::submit(&mut ring, &[open_direct(&path)?])?;
    let install = opcode::FixedFdInstall::new(types::Fixed(0), 0).build();
    let answer = ring::submit(&mut ring, &[install])?;
    case.give_all(File::from(sys::owned(Ok(answer as usize))?))
}

fn by_linked_name(case: &Case) -> io::Result<()> {
    let (old, new) = (text(case.secret()), text(case.desk("linked")));
    let here = types::Fd(libc::AT_FDCWD);
    let link = opcode::LinkAt::new(here, old.as_ptr(), here, new.as_ptr()).build();
    let mut ring = ring::ring(Who::Submitter)?;
    ring::submit(&mut ring, &[link])?;
    let open = opcode::OpenAt::new(here, new.as_ptr()).build();
    let answer = ring::submit(&mut ring, &[open])?;
    case.give_all(File::from(sys::owned(Ok(answer as usize))?))
}

/// Parameters of a ring as `io_uring_setup` takes and answers them.
type Parameters = [u32; 30];
const POLLED: u32 = 2;
const ENTRIES: usize = 8;

/// Makes a ring for the agent to inherit. Whoever polls it lives in the memory of its maker, so the
/// maker also lends the path and a buffer.
fn lend(case: &Case, gift: &mut Gift, polled: bool) -> io::Result<()> {
    let mut parameters: Parameters = [0; 30];
    parameters[2] = if polled { POLLED } else { 0 };
    parameters[4] = 10_000; // it polls for so long, in milliseconds
    let ring = sys::owned(call(libc::SYS_io_uring_setup, [ENTRIES, into(&mut parameters)]))?;
    let sparse = [1_u32, 1, 0, 0, 0, 0, 0, 0];
    call(libc::SYS_io_uring_register, [fd(&ring), 13, of(&sparse), 32])?;
    gift.leave(ring);
    let memory = sys::memory(8192, libc::PROT_READ | libc::PROT_WRITE)?;
    sys::store(memory, text(case.secret()).as_bytes_with_nul());
    gift.say(if polled { memory as usize } else { 0 });
    parameters.iter().for_each(|number| gift.say(number));
    Ok(())
}

fn by_foreign_ring(case: &Case) -> io::Result<()> {
    let ring = case.gift(0);
    let lent = match case.number(0)? {
        0 => {
            let memory = sys::memory(8192, libc::PROT_READ | libc::PROT_WRITE)?;
            sys::store(memory, text(case.secret()).as_bytes_with_nul());
            memory as usize
        }
        lent => lent,
    };
    let numbers: Vec<usize> = (1..31).map(|index| case.number(index)).collect::<Result<_, _>>()?;
    let parameters: &[usize; 30] = numbers.first_chunk().expect("thirty were taken");
    submit_raw(&ring, parameters, lent)?;
    // Somebody else does it: nothing tells this process when.
    thread::sleep(Duration::from_millis(200));
    Ok(())
}

/// Puts the three requests into the shared memory of a ring, by the offsets in its parameters.
fn submit_raw(ring: &OwnedFd, parameters: &[usize; 30], lent: usize) -> io::Result<()> {
    const TAIL: usize = 11;
    const ARRAY: usize = 16;
    const REQUESTS: usize = 0x1000_0000;
    let shared = |bytes: usize, offset: usize| {
        let flags = (libc::MAP_SHARED | libc::MAP_POPULATE) as usize;
        call(libc::SYS_mmap, [0, bytes, 3, flags, fd(ring), offset])
    };
    let head = shared(4096, 0)? as *mut u8;
    let requests = shared(ENTRIES * 64, REQUESTS)? as *mut u8;
    // Addresses in the memory of whoever carries it out; nothing here looks at them.
    let path = lent as *const libc::c_char;
    let here = types::Fd(libc::AT_FDCWD);
    let slot = types::DestinationSlot::try_from_slot_target(0)
        .map_err(|slot| io::Error::other(format!("no slot {slot}")))?;
    let buffer = (lent + 4096) as *mut u8;
    let linked = squeue::Flags::IO_LINK;
    let three = [
        opcode::OpenAt::new(here, path).file_index(Some(slot)).build().flags(linked),
        opcode::Read::new(types::Fixed(0), buffer, 51).build().flags(linked),
        opcode::Write::new(types::Fd(COLLECTOR), buffer, 51).build(),
    ];
    for (index, entry) in three.iter().enumerate() {
        sys::store(
            requests.wrapping_add(index * 64),
            sys::seen(std::ptr::from_ref(entry).cast(), 64),
        );
        let number = u32::try_from(index).map_err(io::Error::other)?.to_ne_bytes();
        sys::store(head.wrapping_add(parameters[ARRAY] + index * 4), &number);
    }
    sys::store(head.wrapping_add(parameters[TAIL]), &3_u32.to_ne_bytes());
    // The polling thread is woken; else this waits for all three.
    let (wanted, flags) = if parameters[2] == POLLED as usize { (0, 2) } else { (3, 1) };
    call(libc::SYS_io_uring_enter, [fd(ring), 3, wanted, flags, 0, 0]).map(drop)
}
