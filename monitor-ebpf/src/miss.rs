//! Counts: of every miss by its cause, and of every record by its fate. They are the only state that a
//! hook leaves behind for certain.

use monitor_common::counter::{Counter, Miss};

use crate::{atomic, maps};

/// What a hook comes to an end with when it cannot do its work. Counted where it is made up.
pub(crate) type Missed<T> = Result<T, Miss>;

/// Adds one to a counter of this CPU and returns what it was before.
#[inline(always)]
fn add(index: u32) -> u64 {
    let Some(cell) = maps::COUNTERS.get_ptr_mut(index) else {
        return 0; // the index is a constant below the map's length
    };
    // SAFETY: a map value. The atomic matters: a cgroup hook can be preempted by another task's hook on the same CPU.
    unsafe { atomic::fetch_add(cell, 1) }
}

/// Counts and returns the count before.
#[inline(always)]
pub(crate) fn count(counter: Counter) -> u64 {
    add(counter as u32)
}

/// Counts a miss.
#[inline(always)]
pub(crate) fn note(miss: Miss) {
    let _before = add(miss.index());
}
