//! Records on their way up: put together in a scratch slot, sent exactly as long as they are.
//!
//! Every record that a hook has is counted as seen, whether the ring takes it or not; that count is its
//! sequence number.

use core::ffi::c_void;

use aya_ebpf::helpers::{
    bpf_get_smp_processor_id, bpf_ktime_get_boot_ns,
    generated::{bpf_probe_read_kernel, bpf_probe_read_user, bpf_ringbuf_output},
};
use monitor_common::{
    counter::{Counter, Miss},
    record::{Header, Kind},
    tag::Tag,
};

use crate::{
    field, maps, miss,
    scratch::{PATH_BUFFER, PIECE_ROOM, RECORD_BUFFER, Scratch},
    task,
};

/// A record in the making, in [`Scratch::record`].
pub(crate) struct Draft {
    buffer: *mut u8,
    len: u32,
}

impl Draft {
    /// Starts after the head, which [`Self::send`] writes.
    #[inline(always)]
    pub(crate) fn new<Body>(scratch: *mut Scratch) -> Self {
        // SAFETY: a claimed slot.
        let buffer = unsafe { (&raw mut (*scratch).record).cast::<u8>() };
        Self { buffer, len: (size_of::<Header>() + size_of::<Body>()) as u32 }
    }

    /// Appends kernel memory; returns how many bytes.
    #[inline(always)]
    pub(crate) fn kernel_bytes(&mut self, from: *const u8, len: u32) -> u32 {
        self.append(from.cast(), len, |to, len, from| {
            // SAFETY: `append` gives a place with that much room.
            unsafe { bpf_probe_read_kernel(to, len, from) }
        })
    }

    /// Appends the path of the object, which begins there in its buffer; none where it begins at the end of it.
    #[inline(always)]
    pub(crate) fn path(&mut self, scratch: *mut Scratch, start: u32) -> u32 {
        if start >= PATH_BUFFER as u32 {
            return 0;
        }
        let start = start & (PATH_BUFFER as u32 - 1); // what the verifier can follow
        // SAFETY: a claimed slot; masked to the buffer.
        let from = unsafe { (&raw const (*scratch).object.path).cast::<u8>().add(start as usize) };
        self.kernel_bytes(from, PATH_BUFFER as u32 - start)
    }

    /// Appends user memory; returns how many bytes, 0 where it cannot be read.
    #[inline(always)]
    pub(crate) fn user_bytes(&mut self, from: u64, len: u32) -> u32 {
        self.append(from as *const c_void, len, |to, len, from| {
            // SAFETY: as in `kernel_bytes`.
            unsafe { bpf_probe_read_user(to, len, from) }
        })
    }

    #[inline(always)]
    fn append(
        &mut self,
        from: *const c_void,
        len: u32,
        read: impl FnOnce(*mut c_void, u32, *const c_void) -> i64,
    ) -> u32 {
        if len == 0 {
            return 0;
        }
        if len > PIECE_ROOM as u32 || self.len >= RECORD_BUFFER as u32 {
            miss::note(Miss::RecordCut);
            return 0;
        }
        let len = masked_to_a_piece(len);
        // SAFETY: checked just above: below RECORD_BUFFER, with PIECE_ROOM beyond it.
        let place = unsafe { self.buffer.add(self.len as usize) };
        if read(place.cast(), len, from) != 0 {
            return 0;
        }
        self.len += len;
        len
    }

    /// Writes head and body and sends the whole to the ring of its kind.
    #[inline(always)]
    pub(crate) fn send<Body>(self, mut header: Header, body: Body) {
        let lifecycle = header.kind < Kind::File as u32;
        let [seen, submitted, lost] = if lifecycle {
            [Counter::LifecycleSeen, Counter::LifecycleSubmitted, Counter::LifecycleLost]
        } else {
            [Counter::ActivitySeen, Counter::ActivitySubmitted, Counter::ActivityLost]
        };
        header.sequence = miss::count(seen) + 1;
        header.size = self.len;
        // SAFETY: the buffer is aligned to 8 bytes and longer than head and body.
        unsafe {
            self.buffer.cast::<Header>().write(header);
            self.buffer.add(size_of::<Header>()).cast::<Body>().write(body);
        }
        let failed = if lifecycle {
            output((&raw const maps::LIFECYCLE).cast_mut().cast(), self.buffer, self.len)
        } else {
            output((&raw const maps::ACTIVITY).cast_mut().cast(), self.buffer, self.len)
        };
        let _before = miss::count(if failed == 0 { submitted } else { lost });
    }
}

#[inline(always)]
fn output(ring: *mut c_void, bytes: *mut u8, len: u32) -> i64 {
    if len as usize > RECORD_BUFFER + PIECE_ROOM {
        return -1; // cannot be; the verifier wants to hear it
    }
    // SAFETY: `bytes` has at least `len` initialised bytes; the helper copies them.
    unsafe { bpf_ringbuf_output(ring, bytes.cast(), u64::from(len), 0) }
}

/// Says again what has been checked, in an instruction that the compiler cannot leave out: the verifier
/// loses sight of the check where the compiler spills the number.
#[inline(always)]
fn masked_to_a_piece(len: u32) -> u32 {
    let mut len = u64::from(len);
    // SAFETY: arithmetic on a register.
    unsafe {
        core::arch::asm!("{len} &= {mask}", len = inout(reg) len, mask = const 2 * PIECE_ROOM - 1)
    };
    len as u32
}

/// The head of a record of the current task.
#[inline(always)]
pub(crate) fn header(kind: Kind, tag: &Tag, plan: u32) -> Header {
    header_of(task::current(), kind, tag, plan)
}

/// The head of a record of a task.
#[inline(always)]
pub(crate) fn header_of(task: *const u8, kind: Kind, tag: &Tag, plan: u32) -> Header {
    // SAFETY: `task` is a task, its leader is one, and its credentials are credentials.
    let (pid, tid, start, uid) = unsafe {
        let leader: *const u8 = field::load(task, &field::TASK_GROUP_LEADER);
        let cred: *const u8 = field::load(task, &field::TASK_CRED);
        (
            field::load(task, &field::TASK_TGID),
            field::load(task, &field::TASK_PID),
            field::load(leader, &field::TASK_START),
            field::load(cred, &field::CRED_UID),
        )
    };
    Header {
        sequence: 0,
        // SAFETY: helpers without arguments.
        time: unsafe { bpf_ktime_get_boot_ns() },
        start,
        session: tag.session,
        kind: kind as u32,
        size: 0,
        // SAFETY: as above.
        cpu: unsafe { bpf_get_smp_processor_id() },
        pid,
        tid,
        uid,
        agents: tag.agents,
        plan,
        reserved: 0,
    }
}
