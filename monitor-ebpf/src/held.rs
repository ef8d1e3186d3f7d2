//! What an adopted process holds: files that it has open or mapped, code that it can run, `io_uring`s that it has set
//! up. All of that happened before anybody was watching, so it is told of and not undone. Its threads get its tag.
//!
//! When the daemon has adopted somebody it loads these programs and has the kernel walk through all tasks with them
//! (BPF iterators); each run is one thread, one descriptor or one mapping. They are no hooks. Of connections nothing is
//! said here, nor of who else has the same ring.

use monitor_common::{counter::Miss, privilege::Privilege, tag::Tag};

use crate::{
    field::{self, Address},
    file, inherited, load, maps,
    miss::{self, Missed},
    privilege, program, task,
};

/// `struct bpf_iter__task_file`, kernel/bpf/task_iter.c.
#[repr(C)]
struct Descriptor {
    meta: *const u8,
    /// Null, as the next, at the end of the walk.
    task: *const u8,
    descriptor: u32,
    file: *const u8,
}

/// `struct bpf_iter__task_vma`, the same.
#[repr(C)]
struct Mapping {
    meta: *const u8,
    /// Null, as the next, at the end of the walk.
    task: *const u8,
    vma: *const u8,
}

/// `struct bpf_iter__task`, the same.
#[repr(C)]
struct Thread {
    meta: *const u8,
    /// Null at the end of the walk.
    task: *const u8,
}

/// One task. A thread of an adopted process gets the tag of its leader, whom alone the daemon can reach on every
/// kernel: it keeps that when it becomes the leader by an exec.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
extern "C" fn held_threads(step: *const Thread) -> u32 {
    // SAFETY: the kernel passes it.
    let task = unsafe { (*step).task };
    if task.is_null() {
        return 0;
    }
    // SAFETY: a task.
    let leader: *const u8 = unsafe { field::load(task, &field::TASK_GROUP_LEADER) };
    if leader != task
        && let Some(tag) = adopted(leader)
        && !task::set_tag(task, tag)
    {
        miss::note(Miss::TagNotInherited);
    }
    0
}

/// One descriptor of one task.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
extern "C" fn held_descriptors(step: *const Descriptor) -> u32 {
    // SAFETY: the kernel passes it.
    let (task, file) = unsafe { ((*step).task, (*step).file) };
    if task.is_null() || file.is_null() {
        return 0;
    }
    if let Some(tag) = adopted(task)
        && let Err(why) = descriptor(tag, task, file as Address)
    {
        miss::note(why);
    }
    0
}

#[inline(always)]
fn descriptor(tag: &Tag, task: *const u8, file: Address) -> Missed<()> {
    if inherited::is_file(file)? {
        file::held(tag, task, file);
    } else if privilege::is_ring(field::within(name_of(file)?, &field::DENTRY_NAME))? {
        privilege::held(tag, task, Privilege::IoUring as u32);
    }
    Ok(())
}

/// The dentry of a file.
#[inline(always)]
fn name_of(file: Address) -> Missed<Address> {
    field::read(field::within(file, &field::FILE_PATH), &field::PATH_DENTRY)
}

/// One mapping of one task.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_vma")]
extern "C" fn held_mappings(step: *const Mapping) -> u32 {
    // SAFETY: the kernel passes it.
    let (task, vma) = unsafe { ((*step).task, (*step).vma) };
    if task.is_null() || vma.is_null() {
        return 0;
    }
    let Some(tag) = adopted(task) else { return 0 };
    let (file, flags) = load::of_mapping(vma);
    if file == 0 {
        return 0;
    }
    if flags & load::VM_EXEC != 0 {
        program::held(tag, task, file);
    }
    match inherited::is_file(file) {
        Ok(true) => file::held(tag, task, file),
        Ok(false) => {}
        Err(why) => miss::note(why),
    }
    0
}

/// The tag of a task of a session that has just been adopted.
#[inline(always)]
fn adopted(task: *const u8) -> Option<&'static Tag> {
    let tag = task::tag(task)?;
    // SAFETY: the daemon changes the map before and after a walk alone.
    unsafe { maps::ADOPTED.get(tag.session) }.map(|_| tag)
}
