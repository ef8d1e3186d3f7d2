//! The two atomic instructions that the hooks need. rustc's BPF target offers none of
//! `core::sync::atomic`'s read-modify-write operations, so they are written out; the kernel has had both
//! since Linux 5.12.

use core::arch::asm;

/// Adds to `*cell` and returns what was there before.
///
/// # Safety
///
/// `cell` must be in a map value.
#[inline(always)]
pub(crate) unsafe fn fetch_add(cell: *mut u64, mut value: u64) -> u64 {
    // SAFETY: one instruction on the caller's cell.
    unsafe {
        asm!("{value} = atomic_fetch_add((u64 *)({cell} + 0), {value})",
             cell = in(reg) cell, value = inout(reg) value);
    }
    value
}

/// Writes `*cell` and returns what was there before.
///
/// # Safety
///
/// As for [`fetch_add`].
#[inline(always)]
pub(crate) unsafe fn swap(cell: *mut u64, mut value: u64) -> u64 {
    // SAFETY: as above.
    unsafe {
        asm!("{value} = xchg_64({cell} + 0, {value})", cell = in(reg) cell, value = inout(reg) value);
    }
    value
}
