//! Which file was an interpreter started on? The kernel's own copy of the name, where it read `#!` in that file,
//! else the first argument of a known interpreter that is no option. The same is said in the user half by
//! `rules/script.rs`.
//!
//! The name is taken as it was given: no link is followed, only `.` and `..` are taken out ([`path::of_name`]).

use core::ffi::c_void;

use aya_ebpf::helpers::{
    bpf_loop,
    generated::{bpf_probe_read_kernel, bpf_probe_read_kernel_str},
};
use monitor_common::{
    counter::Miss,
    plan::{AUX_WORDS, Space, header_flag},
};

use crate::{
    classify::{self, Plan},
    field::{self, Address},
    miss::{self, Missed},
    path,
    scratch::{self, LIST_BUFFER, NAME_BUFFER, Scratch},
};

const MASK: u32 = LIST_BUFFER as u32 - 1;
const NAME_MASK: u32 = NAME_BUFFER as u32 - 1;

/// Adds the signs that the script of a new program is; those of its own path are there.
#[inline(never)]
pub(crate) fn signs(plan: &Plan, scratch: *mut Scratch, task: *const u8, bprm: *const u8) {
    if plan.header.flags & header_flag::SCRIPTS == 0 {
        return;
    }
    let start = match find(plan, scratch, bprm) {
        Ok(0) => return,
        Ok(len) => absolute(scratch, task, len),
        Err(why) => Err(why),
    };
    let place = scratch::executable(scratch);
    classify::clear(place);
    match start {
        Ok(start) => classify::path(plan, place, start, Space::Absolute),
        Err(why) => return miss::note(why),
    }
    for word in 0..AUX_WORDS {
        // SAFETY: as above.
        unsafe {
            (*scratch).object.bits.aux[word] |= (*place).bits.aux[word] & plan.header.scripts[word];
        }
    }
}

/// Puts the name of the script into its room; returns its length, 0 where there is none.
#[inline(always)]
fn find(plan: &Plan, scratch: *mut Scratch, bprm: *const u8) -> Missed<u32> {
    // SAFETY: a `linux_binprm`, whose strings live as long.
    let (named, run): (Address, Address) = unsafe {
        (field::load(bprm, &field::BPRM_FILENAME), field::load(bprm, &field::BPRM_INTERP))
    };
    let room = scratch::name(scratch);
    if named != run {
        // SAFETY: the room belongs to a claimed slot.
        let len = unsafe {
            bpf_probe_read_kernel_str(room.cast(), NAME_BUFFER as u32, named as *const c_void)
        };
        return match len {
            1.. if len < NAME_BUFFER as i64 => Ok(len as u32 - 1),
            ..1 => Err(Miss::ObjectUnreadable),
            _ => Err(Miss::PathTooLong),
        };
    }
    let set = plan.header.interpreters;
    // SAFETY: a claimed slot.
    let is_interpreter = unsafe {
        (*scratch).object.bits.aux[(set / 64) as usize & (AUX_WORDS - 1)] >> (set % 64) & 1
    };
    if is_interpreter == 0 { Ok(0) } else { first_word(scratch, room) }
}

/// Copies the first argument that is no option.
#[inline(always)]
fn first_word(scratch: *mut Scratch, room: *mut u8) -> Missed<u32> {
    let mut search = Search { scratch };
    // SAFETY: a claimed slot; the callback takes a `Search`, which outlives the call.
    let (begin, end) = unsafe {
        (*scratch).word = Word { state: SKIPPING, begin: 0, end: 0 };
        let len = (*scratch).list_len & MASK;
        bpf_loop(len, look_at as *mut c_void, (&raw mut search).cast(), 0);
        ((*scratch).word.begin & MASK, (*scratch).word.end)
    };
    let len = end.saturating_sub(begin);
    if len > NAME_MASK {
        return Err(Miss::PathTooLong);
    }
    let len = len & NAME_MASK;
    // SAFETY: the room is as large as the mask, the argument lies in the same slot.
    let failed = unsafe {
        let from = (&raw const (*scratch).record).cast::<u8>().add(begin as usize);
        bpf_probe_read_kernel(room.cast(), len, from.cast())
    };
    if failed == 0 { Ok(len) } else { Err(Miss::ObjectUnreadable) }
}

/// The search for a word.
#[repr(C)]
pub(crate) struct Word {
    state: u32,
    /// Its first byte, and the one behind its last; 0 for none.
    begin: u32,
    end: u32,
}

/// Before the first byte of an argument.
const BEFORE: u32 = 0;
/// Behind a dash that it began with.
const DASH: u32 = 1;
/// Within letters behind one dash.
const LETTERS: u32 = 2;
/// Until its end: the program's name, or a long option.
const SKIPPING: u32 = 3;
/// Within the word that was looked for.
const WITHIN: u32 = 4;

/// What the search works on: the kernel wants it on the stack.
#[repr(C)]
struct Search {
    scratch: *mut Scratch,
}

/// The `index`th byte.
extern "C" fn look_at(index: u32, search: *mut Search) -> i64 {
    // SAFETY: `bpf_loop` passes the `Search` that it was given, with a claimed slot.
    let scratch = unsafe { &mut *(*search).scratch };
    let byte = scratch.record[(index & MASK) as usize];
    let word = &mut scratch.word;
    if byte == 0 {
        if word.state == WITHIN {
            word.end = index;
        }
        // An empty argument is no file, and neither is a lone dash.
        let ends = word.state == BEFORE || word.state == DASH || word.state == WITHIN;
        word.state = BEFORE;
        return i64::from(ends);
    }
    let is_dash = byte == b'-';
    match word.state {
        BEFORE if is_dash => word.state = DASH,
        BEFORE => {
            word.begin = index;
            word.state = WITHIN;
        }
        DASH if is_dash => word.state = SKIPPING,
        DASH | LETTERS => {
            word.state = LETTERS;
            // It is told what to run in another way.
            return i64::from(matches!(byte, b'c' | b'e' | b'm' | b'p'));
        }
        _ => {}
    }
    0
}

/// The path of the named file; returns its first byte in the buffer.
#[inline(always)]
fn absolute(scratch: *mut Scratch, task: *const u8, len: u32) -> Missed<u32> {
    let fs: Address = field::read(task as Address, &field::TASK_FS)?;
    // SAFETY: a claimed slot.
    let name = unsafe {
        (*scratch).script.len = len;
        &raw mut (*scratch).script
    };
    let buffer = classify::buffer(scratch::executable(scratch));
    path::of_name(buffer, name, scratch::name(scratch).cast(), field::within(fs, &field::FS_PWD))
}
