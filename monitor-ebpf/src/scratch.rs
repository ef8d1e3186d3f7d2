//! Working memory: what does not fit the 512 bytes of a program's stack.
//!
//! Each CPU has [`SLOTS`] slots. A tracepoint program cannot be preempted, a cgroup program can, by a
//! task whose own hook then runs on the same CPU: so a slot is claimed with one atomic exchange and
//! given back. With all of them taken the object is unknown, which inside a session never means
//! "allowed".

use monitor_common::{
    counter::Miss,
    plan::{AUX_WORDS, LIST_BYTES, Mask, RULE_WORDS, USES_WORDS},
    record::ARGV_BYTES,
    tag::Tag,
};

use crate::{
    atomic,
    classify::{self, Place},
    file::Told,
    maps,
    miss::Missed,
    name::Subject,
    net::Peer,
    path::Name,
    scripts::Word,
};

/// Slots of a CPU.
pub(crate) const SLOTS: usize = 4;

/// Bytes of a path buffer that a masked index reaches.
pub(crate) const PATH_BUFFER: usize = 4096;
/// The longest name of a path component (`NAME_MAX`), and one for the slash: room beyond the mask.
pub(crate) const NAME_ROOM: usize = 256;
/// Bytes of a record buffer that a masked index reaches: an exec record is at most a head, two paths
/// and the arguments, 12.4 KiB.
pub(crate) const RECORD_BUFFER: usize = 16384;
/// Bytes of an argument area that a masked index reaches.
pub(crate) const LIST_BUFFER: usize = LIST_BYTES + 1;
/// Bytes of the name of a script that a masked index reaches (`PATH_MAX`): it is behind the arguments.
pub(crate) const NAME_BUFFER: usize = 4096;
/// Room beyond the mask for the last and longest piece of a record.
pub(crate) const PIECE_ROOM: usize = ARGV_BYTES;

/// A path, at its end: see [`crate::path`].
#[repr(C)]
pub(crate) struct PathBuffer(pub(crate) [u8; PATH_BUFFER + NAME_ROOM]);

/// One slot. The kernel gives a per-CPU value 32 KiB at most (`PCPU_MIN_UNIT_SIZE`).
#[repr(C)]
pub(crate) struct Scratch {
    busy: u64,
    /// The object: what it is called, and the lists that it is in.
    pub(crate) object: Place,
    /// The executable, where an exception asks for it; a script, a cgroup.
    pub(crate) executable: Place,
    /// The rules that hold for the agents and the act at hand; of an open those of reading, then those of writing.
    pub(crate) holding: [Mask; 2],
    /// What a file was opened for, and by what way: here and not in variables, as [`Self::traits`] is.
    pub(crate) mode: u32,
    pub(crate) origin: u32,
    /// The name at hand, and what happens to it.
    pub(crate) subject: Subject,
    /// Where the path of a new program begins, `NO_PATH` where it is not known.
    pub(crate) start: u32,
    /// What is told of the file at hand, and the plan that decided.
    pub(crate) told: Told,
    pub(crate) serial: u32,
    /// The peer.
    pub(crate) peer: Peer,
    /// The rules that are hit.
    pub(crate) hit: [u64; RULE_WORDS],
    /// The rules whose list the object is in by its inode alone.
    pub(crate) labelled: [u64; RULE_WORDS],
    /// The exceptions that the object is in the list of.
    pub(crate) exceptions: [u64; AUX_WORDS],
    /// 1 where uses of grants are taken, 0 where nobody acts or everything is only watched.
    pub(crate) spends: u64,
    /// The grants that a use was taken of for this act, by slot.
    pub(crate) paid: [u64; USES_WORDS],
    /// The tag in the making.
    pub(crate) tag: Tag,
    /// The signs that a new program shows.
    pub(crate) signs: [u64; AUX_WORDS],
    /// How many agents were recognised by them.
    pub(crate) taken: u32,
    /// What is special about a new program, as in its record. Here and not in a variable: what the verifier
    /// knows of a variable, it follows.
    pub(crate) traits: u32,
    /// Of the aux sets that the object is in, the programs whose arguments are still to be read.
    pub(crate) programs: [u64; AUX_WORDS],
    /// Bytes of the argument area of a new program, which is at the beginning of [`Self::record`] until a record is
    /// made; 0 where it is not known.
    pub(crate) list_len: u32,
    /// State of the automaton that reads it.
    pub(crate) list_state: u32,
    /// Of a piece of the environment there: the next byte.
    pub(crate) list_at: u32,
    /// Bytes behind that piece.
    pub(crate) list_left: u64,
    /// The search for a script among the arguments.
    pub(crate) word: Word,
    /// The name of the script.
    pub(crate) script: Name,
    /// The right that is used, as in its record; here for the same reason.
    pub(crate) privilege: u32,
    /// A record in the making, and before that the arguments of a new program.
    pub(crate) record: [u8; RECORD_BUFFER + PIECE_ROOM],
}

/// Takes a slot.
#[inline(always)]
pub(crate) fn claim() -> Missed<*mut Scratch> {
    for slot in 0..SLOTS as u32 {
        let Some(scratch) = maps::SCRATCH.get_ptr_mut(slot) else { continue };
        // SAFETY: in a map value.
        if unsafe { atomic::swap(&raw mut (*scratch).busy, 1) } == 0 {
            return Ok(scratch);
        }
    }
    Err(Miss::NoScratch)
}

/// Gives a slot back.
#[inline(always)]
pub(crate) fn release(scratch: *mut Scratch) {
    // SAFETY: as in `claim`, which `scratch` comes from.
    let _was = unsafe { atomic::swap(&raw mut (*scratch).busy, 0) };
}

/// Where the object's path is classified.
#[inline(always)]
pub(crate) fn object(scratch: *mut Scratch) -> *mut Place {
    // SAFETY: a claimed slot.
    unsafe { &raw mut (*scratch).object }
}

/// Clears words one by one: the compiler would call a function for it that goes byte by byte.
#[inline(always)]
pub(crate) fn zero<const N: usize>(words: *mut [u64; N]) {
    for word in 0..N {
        // SAFETY: callers pass words of a claimed slot, or their own.
        unsafe { (&raw mut (*words)[word]).write_volatile(0) };
    }
}

/// The same, of which nothing has been found out yet.
#[inline(always)]
pub(crate) fn begin(scratch: *mut Scratch) -> *mut Place {
    // SAFETY: a claimed slot.
    unsafe {
        zero(&raw mut (*scratch).labelled);
        (*scratch).traits = 0;
    }
    let place = object(scratch);
    classify::clear(place);
    place
}

/// Where the path of the executable is, when an exception asks for it.
#[inline(always)]
pub(crate) fn executable(scratch: *mut Scratch) -> *mut Place {
    // SAFETY: a claimed slot.
    unsafe { &raw mut (*scratch).executable }
}

/// Room for the name of a script: [`NAME_BUFFER`] bytes behind the arguments.
#[inline(always)]
pub(crate) fn name(scratch: *mut Scratch) -> *mut u8 {
    // SAFETY: a claimed slot, whose record is that long.
    unsafe { (&raw mut (*scratch).record).cast::<u8>().add(LIST_BUFFER) }
}

const _: () = assert!(LIST_BUFFER + NAME_BUFFER <= RECORD_BUFFER + PIECE_ROOM);
