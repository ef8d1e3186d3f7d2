//! Whose is this task? The tag: read, set, inherited.
//!
//! It lives in task storage and goes with the task. Threads that the kernel makes for a process
//! without a fork (`io_uring` workers) have none of their own: for them the thread group leader's holds,
//! as it does for threads of a process that the daemon tagged from outside.

use core::{ffi::c_void, marker::PhantomData, ptr};

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, BPF_LOCAL_STORAGE_GET_F_CREATE, bpf_map_type, task_struct},
    helpers::{bpf_get_current_task_btf, bpf_task_storage_get},
};
use monitor_common::tag::{LIMITS, NO_AGENT, Tag};

use crate::{field, maps};

/// Task storage as a BTF map. aya-ebpf has every other kind of local storage, this one not yet.
#[repr(C)]
pub(crate) struct TaskStorage<T> {
    r#type: *const [i32; bpf_map_type::BPF_MAP_TYPE_TASK_STORAGE as usize],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; BPF_F_NO_PREALLOC as usize],
    _value: PhantomData<T>,
}

// SAFETY: a definition that the loader reads; the program only ever passes its address to the kernel.
unsafe impl<T> Sync for TaskStorage<T> {}

impl<T> TaskStorage<T> {
    pub(crate) const fn new() -> Self {
        Self {
            r#type: ptr::null(),
            key: ptr::null(),
            value: ptr::null(),
            max_entries: ptr::null(),
            map_flags: ptr::null(),
            _value: PhantomData,
        }
    }

    /// The value of `task`, or null where it has none.
    #[inline(always)]
    pub(crate) fn value(&self, task: *const u8) -> *mut T {
        self.get(task, ptr::null(), 0)
    }

    /// Gives `task` a value where it has none. `false` where the kernel had no memory for it.
    #[inline(always)]
    pub(crate) fn set(&self, task: *const u8, value: &T) -> bool {
        !self.get(task, value, BPF_LOCAL_STORAGE_GET_F_CREATE).is_null()
    }

    /// The value of `task`, made from `initial` where there is none, or null.
    #[inline(always)]
    fn get(&self, task: *const u8, initial: *const T, flags: u32) -> *mut T {
        let map = ptr::from_ref(self).cast_mut().cast::<c_void>();
        // SAFETY: the verifier checks that `task` is a task and that `initial` is readable or null.
        unsafe {
            bpf_task_storage_get(
                map,
                task.cast::<task_struct>().cast_mut(),
                initial.cast_mut().cast(),
                u64::from(flags),
            )
        }
        .cast()
    }
}

/// The current task, as the verifier likes it.
#[inline(always)]
pub(crate) fn current() -> *const u8 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_get_current_task_btf() }.cast_const().cast()
}

/// The tag of a task itself.
#[inline(always)]
fn own(task: *const u8) -> Option<&'static Tag> {
    // SAFETY: `task` is a task. Most have no storage at all, and are let go before the helper that would look into it.
    let storage: *const u8 = unsafe { field::load(task, &field::TASK_STORAGE) };
    if storage.is_null() {
        return None;
    }
    let tag = maps::TAGS.value(task);
    if tag.is_null() {
        return None;
    }
    // SAFETY: not null, so a value of the storage of a task, which lives as long as the program that runs.
    Some(unsafe { &*tag }).filter(|tag| tag.is_set())
}

/// The tag that holds for a task, where it lies: another may be put there meanwhile.
#[inline(always)]
pub(crate) fn tag(task: *const u8) -> Option<&'static Tag> {
    if let Some(tag) = own(task) {
        return Some(tag);
    }
    // SAFETY: `task` is a task.
    let leader: *const u8 = unsafe { field::load(task, &field::TASK_GROUP_LEADER) };
    if leader == task { None } else { own(leader) }
}

/// Puts a tag on a task. `false` where the kernel had no memory for it.
#[inline(always)]
pub(crate) fn set_tag(task: *const u8, tag: &Tag) -> bool {
    let place = maps::TAGS.get(task, tag, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if place.is_null() {
        return false;
    }
    // SAFETY: as in `own`. Written even where it was just made: there may have been one before.
    unsafe { *place = *tag };
    true
}

/// Whether the limits of `agent` already hold.
#[inline(always)]
pub(crate) fn is_under(tag: &Tag, agent: u32) -> bool {
    tag.agents.contains(&agent)
}

/// Takes on the limits of another agent. `false` where there is no place left.
#[inline(always)]
pub(crate) fn take_on(tag: &mut Tag, agent: u32) -> bool {
    for place in 0..LIMITS {
        if tag.agents[place] == NO_AGENT {
            tag.agents[place] = agent;
            return true;
        }
    }
    false
}

/// Lets go of the innermost agent's limits.
#[inline(always)]
pub(crate) fn let_go(tag: &mut Tag) {
    for place in (0..LIMITS).rev() {
        if tag.agents[place] != NO_AGENT {
            tag.agents[place] = NO_AGENT;
            return;
        }
    }
}
