//! What do the arguments of a new program say? They are copied once, before its first instruction, and an
//! automaton reads the copy: from the state of each program that rules look at the arguments of, and from that
//! of any program for the signs of agents.
//!
//! The area is that of the new image, so no other thread writes to it. What is not known of it is in every
//! list that shuts the program and in none that lets it through; as a sign it counts for nothing.

use core::ffi::c_void;

use aya_ebpf::helpers::{
    bpf_loop,
    generated::{bpf_probe_read_kernel, bpf_probe_read_user},
};
use monitor_common::{
    counter::Miss,
    plan::{
        AUTOMATA, AUX_ROWS, AUX_WORDS, Automaton, Bits, LAST, LISTS, MORE, STATES, header_flag, row,
    },
    process::exec_flag,
};

use crate::{
    classify::{self, Plan},
    field::{self, Address},
    maps,
    miss::{self, Missed},
    scratch::{LIST_BUFFER, Scratch},
};

pub(crate) const MASK: u32 = LIST_BUFFER as u32 - 1;

/// Copies the arguments of a new program to where records are made, if the plan looks at them.
#[inline(never)]
pub(crate) fn find(plan: &Plan, scratch: *mut Scratch, task: *const u8) {
    // SAFETY: a claimed slot.
    let scratch = unsafe { &mut *scratch };
    scratch.list_len = 0;
    if plan.header.flags & (header_flag::PROGRAMS | header_flag::ARGUMENTS | header_flag::SCRIPTS)
        == 0
    {
        return;
    }
    match copy(scratch, task) {
        Ok(len) => scratch.list_len = len,
        Err(why) => {
            scratch.traits |= exec_flag::ARGUMENTS_UNKNOWN;
            miss::note(why);
        }
    }
}

#[inline(always)]
fn copy(scratch: &mut Scratch, task: *const u8) -> Missed<u32> {
    let mm: Address = field::read(task as Address, &field::TASK_MM)?;
    let from: u64 = field::read(mm, &field::MM_ARG_START)?;
    let len = field::read::<u64>(mm, &field::MM_ARG_END)?.saturating_sub(from);
    if len > u64::from(MASK) {
        return Err(Miss::ArgumentsTooLong);
    }
    let len = len as u32 & MASK;
    // SAFETY: the mask is smaller than the buffer; the helper checks what is read.
    let failed = unsafe {
        bpf_probe_read_user((&raw mut scratch.record).cast(), len, from as *const c_void)
    };
    if failed == 0 && len != 0 { Ok(len) } else { Err(Miss::ArgumentsUnreadable) }
}

/// The same from kernel memory, for a program that nobody starts.
#[inline(always)]
pub(crate) fn put(scratch: *mut Scratch, from: *const u8, len: u32) -> Missed<()> {
    // SAFETY: a claimed slot.
    let scratch = unsafe { &mut *scratch };
    let len = len & MASK;
    scratch.list_len = len;
    // SAFETY: as in `copy`.
    let failed =
        unsafe { bpf_probe_read_kernel((&raw mut scratch.record).cast(), len, from.cast()) };
    if failed == 0 { Ok(()) } else { Err(Miss::ObjectUnreadable) }
}

/// Adds the bits of the lists that the new program is in by its arguments; those of its path are there.
#[inline(always)]
pub(crate) fn classify(plan: &Plan, scratch: *mut Scratch) {
    if plan.header.flags & header_flag::PROGRAMS != 0 {
        let _nothing = classify_arguments(plan.bank, scratch);
    }
}

/// The same as a global function ([`crate`]).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn classify_arguments(bank: u32, scratch: *mut Scratch) -> u32 {
    let Some(plan) = classify::in_bank(bank) else { return 0 };
    if scratch.is_null() {
        return 0; // never
    }
    let mut any = 0;
    // SAFETY: a claimed slot.
    unsafe {
        for word in 0..AUX_WORDS {
            let programs = (*scratch).object.bits.aux[word] & plan.header.programs[word];
            (*scratch).programs[word] = programs;
            any |= programs;
        }
    }
    if any == 0 {
        return 0;
    }
    let Some(mut reader) = Reader::new(&plan, scratch) else { return 0 };
    // SAFETY: the callback takes a `Reader`, which outlives the call.
    unsafe { bpf_loop(AUX_ROWS, one_program as *mut c_void, (&raw mut reader).cast(), 0) };
    0
}

/// Adds the signs that the arguments are.
#[inline(always)]
pub(crate) fn signs(plan: &Plan, scratch: *mut Scratch) {
    let _nothing = sign_arguments(plan.bank, scratch);
}

/// The same as a global function ([`crate`]).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sign_arguments(bank: u32, scratch: *mut Scratch) -> u32 {
    let Some(plan) = classify::in_bank(bank) else { return 0 };
    if scratch.is_null() {
        return 0; // never
    }
    let Some(mut reader) = Reader::new(&plan, scratch) else { return 0 };
    read(&mut reader, plan.header.arguments);
    0
}

/// What does not change while a list is read.
#[repr(C)]
pub(crate) struct Reader {
    pub(crate) scratch: *mut Scratch,
    automaton: *const Automaton,
    bank: u32,
    shift: u32,
}

impl Reader {
    #[inline(always)]
    pub(crate) fn new(plan: &Plan, scratch: *mut Scratch) -> Option<Self> {
        let Some(automaton) = maps::AUTOMATA.get(row(plan.bank, AUTOMATA, LISTS)) else {
            miss::note(Miss::NoPlan);
            return None;
        };
        let shift = u32::from(plan.header.shifts[LISTS as usize]) & 15;
        Some(Self { scratch, automaton, bank: plan.bank, shift })
    }
}

/// Takes one of the programs that the new one is, and reads its arguments from there.
extern "C" fn one_program(_step: u32, reader: *mut Reader) -> i64 {
    // SAFETY: `bpf_loop` passes the `Reader` that it was given, with a claimed slot.
    let (reader, scratch) = unsafe { (&mut *reader, &mut *(*reader).scratch) };
    for word in 0..AUX_WORDS {
        let left = scratch.programs[word];
        if left == 0 {
            continue;
        }
        scratch.programs[word] = left & (left - 1);
        let number = word as u32 * 64 + left.trailing_zeros();
        let Some(aux) = maps::AUX.get(row(reader.bank, AUX_ROWS, number)) else { return 0 };
        if scratch.list_len == 0 {
            classify::add(reader.bank, u32::from(aux.unknown), &raw mut scratch.object.bits);
        } else {
            read(reader, u32::from(aux.start));
        }
        return 0;
    }
    1
}

/// Reads the whole area from a state on; nothing where it is not known.
#[inline(never)]
fn read(reader: &mut Reader, start: u32) {
    // SAFETY: a claimed slot; the callback takes a `Reader`, which outlives the call.
    unsafe {
        (*reader.scratch).list_state = start;
        let len = (*reader.scratch).list_len & MASK;
        bpf_loop(len, read_byte as *mut c_void, (&raw mut *reader).cast(), 0);
    }
}

/// The `index`th byte, and behind the end of a text whether there is another.
extern "C" fn read_byte(index: u32, reader: *mut Reader) -> i64 {
    // SAFETY: as in `one_program`, and a live map value.
    let (reader, scratch) = unsafe { (&*reader, &mut *(*reader).scratch) };
    let byte = scratch.record[(index & MASK) as usize];
    step(reader, scratch, byte);
    if byte == 0 {
        let last = index + 1 == scratch.list_len;
        step(reader, scratch, if last { LAST } else { MORE });
    }
    i64::from(scratch.list_state == 0)
}

#[inline(always)]
pub(crate) fn step(reader: &Reader, scratch: &mut Scratch, byte: u8) {
    // SAFETY: as in `read_byte`.
    let automaton = unsafe { &*reader.automaton };
    let state = classify::next(automaton, scratch.list_state, reader.shift, byte);
    scratch.list_state = state;
    let class = automaton.accept[state as usize & (STATES - 1)];
    if class != 0 {
        let bits: *mut Bits = &raw mut scratch.object.bits;
        classify::add(reader.bank, u32::from(class), bits);
    }
}
