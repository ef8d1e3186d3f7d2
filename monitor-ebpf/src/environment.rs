//! What does the environment of a new program say of an agent? The automaton of lists reads each entry from its
//! first byte on, and leaves it as soon as it can be none that was asked for: most are left after a byte or two.
//!
//! Asked for only where the plan has such signs, for it is the one look-up that every exec of the host then pays
//! and that grows with something that nobody here wrote.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_loop, generated::bpf_probe_read_user};
use monitor_common::{
    counter::Miss,
    plan::{ENVIRONMENT_PIECES, header_flag},
};

use crate::{
    classify::{self, Plan},
    field::{self, Address},
    lists::{MASK, Reader, step},
    miss::{self, Missed},
    scratch::Scratch,
    task,
};

/// Bytes that are read at once: as many as the buffer of lists has room for, a whole number of words.
const PIECE: u32 = MASK & !7;

/// Adds the signs that variables of the environment are.
#[inline(always)]
pub(crate) fn signs(plan: &Plan, scratch: *mut Scratch) {
    if plan.header.flags & header_flag::ENVIRONMENT != 0 {
        let _nothing = sign_environment(plan.bank, scratch);
    }
}

/// The same as a global function ([`crate`]).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sign_environment(bank: u32, scratch: *mut Scratch) -> u32 {
    let Some(plan) = classify::in_bank(bank) else { return 0 };
    if scratch.is_null() {
        return 0; // never
    }
    if let Err(why) = read(&plan, scratch, task::current()) {
        miss::note(why);
    }
    0
}

#[inline(always)]
fn read(plan: &Plan, scratch: *mut Scratch, task: *const u8) -> Missed<()> {
    let mm: Address = field::read(task as Address, &field::TASK_MM)?;
    let from: u64 = field::read(mm, &field::MM_ENV_START)?;
    let to: u64 = field::read(mm, &field::MM_ENV_END)?;
    let Some(reader) = Reader::new(plan, scratch) else { return Ok(()) };
    // SAFETY: a claimed slot.
    unsafe {
        (*scratch).list_state = plan.header.environment;
        (*scratch).list_left = to.saturating_sub(from);
    }
    let mut environment = Environment { reader, from, start: plan.header.environment, failed: 0 };
    // SAFETY: the callback takes an `Environment`, which outlives the call.
    unsafe {
        let context = (&raw mut environment).cast();
        bpf_loop(ENVIRONMENT_PIECES, one_piece as *mut c_void, context, 0);
        match (environment.failed, (*scratch).list_left) {
            (0, 0) => Ok(()),
            _ => Err(Miss::EnvironmentUnknown),
        }
    }
}

#[repr(C)]
struct Environment {
    reader: Reader,
    /// Address of the first byte.
    from: u64,
    /// State before an entry.
    start: u32,
    /// Not 0 where a piece could not be read.
    failed: u32,
}

/// Reads the `index`th piece.
extern "C" fn one_piece(index: u32, environment: *mut Environment) -> i64 {
    // SAFETY: `bpf_loop` passes the `Environment` that it was given, with a claimed slot.
    let (environment, scratch) =
        unsafe { (&mut *environment, &mut *(*environment).reader.scratch) };
    let left = scratch.list_left;
    if left == 0 {
        return 1;
    }
    let len = if left > u64::from(PIECE) { PIECE } else { left as u32 & MASK };
    scratch.list_left = left - u64::from(len);
    scratch.list_len = len;
    scratch.list_at = 0;
    let from = environment.from + u64::from(index * PIECE);
    // SAFETY: no more than the buffer has room for; the helper checks what is read.
    let failed = unsafe {
        bpf_probe_read_user((&raw mut scratch.record).cast(), len & MASK, from as *const c_void)
    };
    if failed != 0 {
        environment.failed = 1;
        return 1;
    }
    // SAFETY: the callback takes the same.
    unsafe { bpf_loop(len & MASK, read_on as *mut c_void, (&raw mut *environment).cast(), 0) };
    0
}

/// The next byte of an entry; or, of one that is none, as many as are looked at together, up to its end.
extern "C" fn read_on(_step: u32, environment: *mut Environment) -> i64 {
    // SAFETY: as in `one_piece`.
    let (environment, scratch) = unsafe { (&*environment, &mut *(*environment).reader.scratch) };
    let at = scratch.list_at;
    if at >= scratch.list_len {
        return 1;
    }
    if scratch.list_state == 0 {
        scratch.list_at = behind_nul(scratch, at);
        if scratch.list_at & ENTRY != 0 {
            scratch.list_at &= !ENTRY;
            scratch.list_state = environment.start;
        }
        return 0;
    }
    let byte = scratch.record[(at & MASK) as usize];
    scratch.list_at = at + 1;
    step(&environment.reader, scratch, byte);
    if byte == 0 {
        scratch.list_state = environment.start;
    }
    0
}

/// Marks a place at which an entry begins.
const ENTRY: u32 = 1 << 31;

/// The place behind the next NUL, marked, if one is in the word that `at` is in; else the next word.
#[inline(always)]
fn behind_nul(scratch: &Scratch, at: u32) -> u32 {
    let word = at & MASK & !7;
    // SAFETY: in the record, which is aligned to words.
    let bytes =
        unsafe { (&raw const scratch.record).cast::<u8>().add(word as usize).cast::<u64>().read() };
    // What lies before `at` is no NUL.
    let bytes = bytes | ((1 << (at % 8 * 8)) - 1);
    // The lowest bit that is left belongs to the first byte that is 0.
    let zero = bytes.wrapping_sub(0x0101_0101_0101_0101) & !bytes & 0x8080_8080_8080_8080;
    if zero == 0 {
        return word + 8;
    }
    (word + zero.trailing_zeros() / 8 + 1) | ENTRY
}
