//! Fields of kernel structures, by offsets that the user half found in the running kernel's BTF.
//!
//! This is the one file to change when rustc can emit CO-RE relocations. Each offset is a global of its
//! own in frozen `.rodata`, so that the verifier sees a constant.

use aya_ebpf::{Global, helpers::bpf_probe_read_kernel};
use monitor_common::{counter::Miss, field::ABSENT};

use crate::miss::Missed;

/// Offset of one field.
pub(crate) type Offset = Global<u32>;

macro_rules! globals {
    ($($global:ident = $structure:ident . $member:literal, $need:ident;)*) => {$(
        #[doc = concat!("`", stringify!($structure), "::", $member, "`")]
        #[unsafe(no_mangle)]
        pub(crate) static $global: Offset = Global::new(ABSENT);
    )*};
}

monitor_common::for_each_field!(globals);

/// A pointer into kernel memory that the verifier knows nothing of.
pub(crate) type Address = u64;

/// Reads a field of a structure at an address that may be anything: a bad one is an error.
#[inline(always)]
pub(crate) fn read<T>(base: Address, field: &Offset) -> Missed<T> {
    at(within(base, field))
}

/// Reads what lies at an address that may be anything: a bad one is an error.
#[inline(always)]
pub(crate) fn at<T>(address: Address) -> Missed<T> {
    // SAFETY: the helper checks the address and copies.
    unsafe { bpf_probe_read_kernel(address as *const T) }.map_err(|_| Miss::ObjectUnreadable)
}

/// Address of a structure that lies within another one.
#[inline(always)]
pub(crate) fn within(base: Address, field: &Offset) -> Address {
    base + u64::from(field.load())
}

/// Reads a field through a pointer that the verifier knows the type of: a tracepoint's argument, the
/// current task, or what [`load`] gave for a pointer field of one.
///
/// # Safety
///
/// `base` must be such a pointer and `field` a field of its type. The verifier checks both and refuses
/// the program otherwise; a stale pointer reads as zero.
#[inline(always)]
pub(crate) unsafe fn load<T: Copy>(base: *const u8, field: &Offset) -> T {
    // SAFETY: by the caller's promise, which the verifier enforces.
    unsafe { *base.add(field.load() as usize).cast::<T>() }
}
