//! Code that is mapped executable without being started, on the react tier: found at the exit of mmap and mprotect, by
//! the file that is mapped. What is forbidden ends the process before it can run the first instruction of it.
//! [`crate::program`] judges. Memory that belongs to no file is no load.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::task_struct,
    helpers::{bpf_find_vma, bpf_loop},
};
use monitor_common::{counter::Miss, file::Origin, tag::Tag};

use crate::{
    field::{self, Address},
    file::{self, UNKNOWN},
    miss, program,
    syscall::Call,
    task,
};

/// `PROT_READ` and `PROT_EXEC`, include/uapi/asm-generic/mman-common.h.
const READ: u64 = 1;
pub(crate) const EXEC: u64 = 4;
/// `MAP_ANONYMOUS`, the same.
const ANONYMOUS: u64 = 0x20;
/// `READ_IMPLIES_EXEC`, include/uapi/linux/personality.h.
const READ_IMPLIES_EXEC: u32 = 0x40_0000;
/// `VM_EXEC`, include/linux/mm.h.
pub(crate) const VM_EXEC: u64 = 4;

/// `-EBUSY`, include/uapi/asm-generic/errno-base.h.
const BUSY: i64 = -16;
/// No file.
const NONE: Address = 0;
/// More files than one.
const SEVERAL: Address = 1;

/// Steps of a search at most: one for each mapping that a call has changed, and one for each time that another
/// thread was changing the memory just then.
const STEPS: u32 = 1024;

/// Whether an mmap makes code of a file.
#[inline(always)]
pub(crate) fn maps_code(call: &Call) -> bool {
    call.argument::<3>() & ANONYMOUS == 0 && makes_code(call)
}

/// Whether a call makes code at all. `read` alone does for programs that asked for it long ago.
#[inline(always)]
pub(crate) fn makes_code(call: &Call) -> bool {
    is_code(call.task, call.argument::<2>())
}

/// Whether memory is code that a task asks for with this protection.
#[inline(always)]
pub(crate) fn is_code(task: *const u8, protection: u64) -> bool {
    if protection & EXEC != 0 {
        return true;
    }
    // SAFETY: a task.
    let personality: u32 = unsafe { field::load(task, &field::TASK_PERSONALITY) };
    protection & READ != 0 && personality & READ_IMPLIES_EXEC != 0
}

/// The file of the mappings between two addresses that are code now; none where it is nobody's memory. The file is
/// not among the arguments of the call, so it is taken from the memory of the process.
///
/// More files than one are unknown, as nobody has a reason to make code of two at once. Where the memory cannot be
/// looked at, it counts as nobody's: who would hide code that way can as well copy it into memory of his own.
#[inline(never)]
fn search(search: &mut Search, from: u64, length: u64) {
    search.at = from;
    search.to = from.saturating_add(length);
    // SAFETY: the callback takes a `Search`, which outlives the call.
    unsafe { bpf_loop(STEPS, take_mapping as *mut c_void, (search as *mut Search).cast(), 0) };
    if search.at < search.to {
        miss::note(Miss::MappingUnreadable);
    }
}

/// A search through the memory of the current process.
#[repr(C)]
#[derive(Default)]
struct Search {
    /// What is before this has been looked at.
    at: u64,
    to: u64,
    /// Of the mapping found last: its end, and its file, [`NONE`] where that is no code or nobody's.
    end: u64,
    found: Address,
    /// The file of all of them, or [`NONE`], or [`SEVERAL`].
    file: Address,
}

/// Takes the mapping that the search has come to. Non-zero ends the search.
///
/// Where another thread is changing the memory, the kernel does not let us look: the next step tries again.
extern "C" fn take_mapping(_step: u32, search: *mut Search) -> i64 {
    // SAFETY: `bpf_loop` passes the `Search` that it was given.
    let search = unsafe { &mut *search };
    let task = task::current().cast::<task_struct>().cast_mut();
    // SAFETY: the callback takes a `Search`, which outlives the call.
    let failed = unsafe {
        let context = core::ptr::from_mut(search).cast();
        bpf_find_vma(task, search.at, look_at as *mut c_void, context, 0)
    };
    if failed == BUSY {
        return 0;
    }
    if failed != 0 {
        search.at = search.to; // behind the last mapping
        return 1;
    }
    search.at = search.end;
    if search.found != NONE {
        let is_new = search.file != NONE && search.file != search.found;
        search.file = if is_new { SEVERAL } else { search.found };
    }
    i64::from(search.at >= search.to)
}

/// The file of a mapping, 0 for none, and its `vm_flags`.
#[inline(always)]
pub(crate) fn of_mapping(vma: *const u8) -> (Address, u64) {
    // SAFETY: the kernel passes a mapping.
    let flags: u64 = unsafe { field::load(vma, &field::VMA_FLAGS) };
    // As a number: the compiler reckons with it, which the verifier forbids with pointers.
    (field::read(vma as Address, &field::VMA_FILE).unwrap_or(0), flags)
}

/// Copies what is wanted of a mapping.
extern "C" fn look_at(_task: *const u8, vma: *const u8, search: *mut Search) -> i64 {
    // SAFETY: the kernel passes a mapping, and the `Search` that it was given.
    unsafe {
        let search = &mut *search;
        search.end = field::load(vma, &field::VMA_END);
        let (file, flags) = of_mapping(vma);
        search.found = if flags & VM_EXEC == 0 { NONE } else { file };
    }
    0
}

/// Judges what a call has made executable: the file behind the descriptor of an mmap, or else what is found in the
/// memory.
#[inline(always)]
pub(crate) fn mapped(call: &Call, tag: &Tag, memory: Option<(u64, u64)>) {
    let file = match memory {
        None => file::of(call.task as Address, call.argument::<4>() as u32).unwrap_or_else(|why| {
            miss::note(why);
            UNKNOWN
        }),
        Some((from, length)) => {
            let mut found = Search::default();
            search(&mut found, from, length);
            match found.file {
                NONE => return,
                SEVERAL => {
                    miss::note(Miss::MappingUnreadable);
                    UNKNOWN
                }
                file => file,
            }
        }
    };
    let _done = program::judge(tag, file, Origin::Load);
}
