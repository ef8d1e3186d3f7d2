//! What is this file called? A walk from a dentry up to the root of the mount tree, past every mount on
//! the way.
//!
//! The name is what the file system holds, not what anybody asked for: symbolic links, `..`, and names
//! under `/proc/self/root` are gone. The root is that of the mount tree and not the process's: `chroot`
//! changes nothing. What has been deleted has its last name, without a mark.
//!
//! A path is built from its last component back, so it stands at the end of its buffer: bytes
//! `start..PATH_BUFFER` of a [`PathBuffer`].

use core::{ffi::c_void, mem::offset_of};

use aya_ebpf::helpers::{bpf_loop, generated::bpf_probe_read_kernel as copy};
use monitor_common::{counter::Miss, record::PATH_STEPS};

use crate::{
    field::{self, Address},
    miss::Missed,
    scratch::{NAME_BUFFER, NAME_ROOM, PATH_BUFFER, PathBuffer},
};

const MASK: u32 = PATH_BUFFER as u32 - 1;

/// Where a walk has come to. It lives on the stack of whoever called `bpf_loop`.
#[repr(C)]
struct Walk {
    buffer: *mut PathBuffer,
    dentry: Address,
    /// The `struct mount` around `vfsmount`, or 0 in a hierarchy without mounts (kernfs).
    mount: Address,
    /// The dentry at its root.
    root: Address,
    /// First byte written so far.
    at: u32,
    state: u32,
}

/// [`Walk::state`]: there is more above.
const GOING: u32 = 0;
/// [`Walk::state`]: the root was reached.
const DONE: u32 = 1;
/// [`Walk::state`]: there is no more room.
const TOO_LONG: u32 = 2;
/// [`Walk::state`]: the structures could not be read.
const UNREADABLE: u32 = 3;

/// Writes the path of a `struct path` into the buffer; returns the first byte of it.
#[inline(always)]
pub(crate) fn of(buffer: *mut PathBuffer, path: Address) -> Missed<u32> {
    let vfsmount: Address = field::read(path, &field::PATH_MNT)?;
    of_dentry(buffer, vfsmount, field::read(path, &field::PATH_DENTRY)?)
}

/// The same of a dentry and the `vfsmount` that it is on, which need not have a file yet.
#[inline(always)]
pub(crate) fn of_dentry(
    buffer: *mut PathBuffer,
    vfsmount: Address,
    dentry: Address,
) -> Missed<u32> {
    start(walk_path(buffer, vfsmount, dentry))
}

/// What the walks return where there is no path.
const UNREAD: u32 = u32::MAX;
const ENDLESS: u32 = UNREAD - 1;

/// What a walk came to, as the number that a global function can return.
#[inline(always)]
fn number(outcome: Missed<u32>) -> u32 {
    match outcome {
        Ok(start) => start,
        Err(Miss::PathTooLong) => ENDLESS,
        Err(_) => UNREAD,
    }
}

/// The same back.
#[inline(always)]
fn start(number: u32) -> Missed<u32> {
    match number {
        UNREAD => Err(Miss::ObjectUnreadable),
        ENDLESS => Err(Miss::PathTooLong),
        start => Ok(start),
    }
}

/// The same as a global function ([`crate`]).
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn walk_path(
    buffer: *mut PathBuffer,
    vfsmount: Address,
    dentry: Address,
) -> u32 {
    if buffer.is_null() {
        return UNREAD; // never
    }
    number(begin(buffer, vfsmount, dentry).and_then(|walk| run(walk, up_a_dentry as *mut c_void)))
}

/// Where a walk begins.
#[inline(always)]
fn begin(buffer: *mut PathBuffer, vfsmount: Address, dentry: Address) -> Missed<Walk> {
    let mount = vfsmount.wrapping_sub(u64::from(field::MOUNT_MNT.load()));
    let root = field::read(vfsmount, &field::VFSMOUNT_ROOT)?;
    Ok(Walk { buffer, dentry, mount, root, at: PATH_BUFFER as u32, state: GOING })
}

/// The same for a `struct kernfs_node`, such as a cgroup's.
#[inline(always)]
pub(crate) fn of_kernfs(buffer: *mut PathBuffer, node: Address) -> Missed<u32> {
    let at = PATH_BUFFER as u32;
    let walk = Walk { buffer, dentry: node, mount: 0, root: 0, at, state: GOING };
    run(walk, up_a_node as *mut c_void)
}

#[inline(always)]
fn run(mut walk: Walk, step: *mut c_void) -> Missed<u32> {
    // SAFETY: `step` is one of the two callbacks below, which take a `Walk`; it outlives the call.
    unsafe { bpf_loop(PATH_STEPS, step, (&raw mut walk).cast(), 0) };
    match walk.state {
        DONE if walk.at == PATH_BUFFER as u32 => slash(&mut walk),
        DONE => Ok(walk.at),
        UNREADABLE => Err(Miss::ObjectUnreadable),
        _ => Err(Miss::PathTooLong),
    }
}

/// The root itself has no component: its path is one slash.
#[inline(always)]
fn slash(walk: &mut Walk) -> Missed<u32> {
    let at = PATH_BUFFER as u32 - 1;
    // SAFETY: within the buffer of a claimed slot.
    unsafe { (*walk.buffer).0[at as usize] = b'/' };
    Ok(at)
}

/// One step of the walk: a component, or across a mount point. Non-zero ends the loop.
extern "C" fn up_a_dentry(_step: u32, walk: *mut Walk) -> i64 {
    // SAFETY: `bpf_loop` passes the `Walk` that it was given.
    let walk = unsafe { &mut *walk };
    walk.state = match dentry_step(walk) {
        Ok(state) => state,
        Err(_) => UNREADABLE,
    };
    i64::from(walk.state != GOING)
}

#[inline(always)]
fn dentry_step(walk: &mut Walk) -> Missed<u32> {
    let Entry { parent, len, bytes, .. } = entry(walk.dentry)?;
    if walk.dentry == walk.root || walk.dentry == parent {
        return Ok(if cross(walk)? { GOING } else { DONE });
    }
    walk.dentry = parent;
    put_component(walk, bytes, len)
}

/// To what is mounted upon; `false` where there is nothing above.
#[inline(always)]
fn cross(walk: &mut Walk) -> Missed<bool> {
    let mount: Address = field::read(walk.mount, &field::MOUNT_PARENT)?;
    if mount == walk.mount {
        return Ok(false);
    }
    walk.dentry = field::read(walk.mount, &field::MOUNT_MOUNTPOINT)?;
    walk.mount = mount;
    walk.root = field::read(field::within(mount, &field::MOUNT_MNT), &field::VFSMOUNT_ROOT)?;
    Ok(true)
}

/// `d_parent` and `d_name` as they lie in a dentry on 64 bits, one behind the other (include/linux/dcache.h): a read is
/// most of what a step costs.
#[repr(C)]
struct Entry {
    parent: Address,
    hash: u32,
    len: u32,
    bytes: Address,
}

#[inline(always)]
fn entry(dentry: Address) -> Missed<Entry> {
    let begin = field::DENTRY_PARENT.load();
    let name = field::DENTRY_NAME.load().wrapping_sub(begin);
    let (len, bytes) = (field::QSTR_LEN.load(), field::QSTR_NAME.load());
    // The verifier knows all four, and leaves out the other way.
    if name as usize == offset_of!(Entry, hash)
        && (name + len) as usize == offset_of!(Entry, len)
        && (name + bytes) as usize == offset_of!(Entry, bytes)
    {
        return field::read(dentry, &field::DENTRY_PARENT);
    }
    let name = field::within(dentry, &field::DENTRY_NAME);
    Ok(Entry {
        parent: field::read(dentry, &field::DENTRY_PARENT)?,
        hash: 0,
        len: field::read(name, &field::QSTR_LEN)?,
        bytes: field::read(name, &field::QSTR_NAME)?,
    })
}

extern "C" fn up_a_node(_step: u32, walk: *mut Walk) -> i64 {
    // SAFETY: as in `up_a_dentry`.
    let walk = unsafe { &mut *walk };
    walk.state = match node_step(walk) {
        Ok(state) => state,
        Err(_) => UNREADABLE,
    };
    i64::from(walk.state != GOING)
}

#[inline(always)]
fn node_step(walk: &mut Walk) -> Missed<u32> {
    // Renamed in Linux 6.15, when it came under RCU.
    let parent: Address = if field::KERNFS_PARENT.load() == monitor_common::field::ABSENT {
        field::read(walk.dentry, &field::KERNFS_PARENT_OLD)?
    } else {
        field::read(walk.dentry, &field::KERNFS_PARENT)?
    };
    if parent == 0 {
        return Ok(DONE);
    }
    let bytes: Address = field::read(walk.dentry, &field::KERNFS_NAME)?;
    walk.dentry = parent;
    let len = string_len(walk, bytes)?;
    put_component(walk, bytes, len)
}

/// A kernfs name has no length: it is copied once to where it cannot be in the way, and measured.
#[inline(always)]
fn string_len(walk: &Walk, bytes: Address) -> Missed<u32> {
    // SAFETY: the room beyond the mask holds a whole name and belongs to the claimed slot.
    let len = unsafe {
        let room = walk.buffer.cast::<u8>().add(PATH_BUFFER);
        aya_ebpf::helpers::generated::bpf_probe_read_kernel_str(
            room.cast(),
            NAME_ROOM as u32,
            bytes as *const c_void,
        )
    };
    if len < 1 { Err(Miss::ObjectUnreadable) } else { Ok(len as u32 - 1) }
}

/// Puts `/` and a name before what is there.
#[inline(always)]
fn put_component(walk: &mut Walk, bytes: Address, len: u32) -> Missed<u32> {
    if len >= NAME_ROOM as u32 || walk.at <= len + 1 {
        return Ok(TOO_LONG);
    }
    let at = (walk.at - len - 1) & MASK;
    let len = len & (NAME_ROOM as u32 - 1);
    // SAFETY: `at` is below PATH_BUFFER and the name below NAME_ROOM, which is the room beyond it.
    let failed = unsafe {
        let place = walk.buffer.cast::<u8>().add(at as usize);
        *place = b'/';
        copy(place.add(1).cast(), len, bytes as *const c_void)
    };
    walk.at = at;
    if failed == 0 { Ok(GOING) } else { Err(Miss::ObjectUnreadable) }
}

/// A name that somebody gave a file, read from its last component back.
///
/// It lies in the scratch: what the verifier knows of a variable, it follows.
#[repr(C)]
pub(crate) struct Name {
    /// Its length, below [`NAME_BUFFER`].
    pub(crate) len: u32,
    /// Behind the last byte of the component at hand.
    end: u32,
    /// Components to be left out, for each `..` that was met below them.
    skip: u32,
}

/// The walk over a name.
#[repr(C)]
struct Back {
    walk: Walk,
    name: *mut Name,
    bytes: *mut u8,
}

/// Writes the path of a named file into the buffer, without `.` and `..`; returns the first byte of it. `bytes` is a
/// room of [`NAME_BUFFER`] bytes. A relative name continues in a directory, which is a `struct path`.
#[inline(always)]
pub(crate) fn of_name(
    buffer: *mut PathBuffer,
    name: *mut Name,
    bytes: *mut [u8; NAME_BUFFER],
    directory: Address,
) -> Missed<u32> {
    start(walk_name(buffer, name, bytes, directory))
}

/// The same as a global function.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_name(
    buffer: *mut PathBuffer,
    name: *mut Name,
    bytes: *mut [u8; NAME_BUFFER],
    directory: Address,
) -> u32 {
    if buffer.is_null() || name.is_null() || bytes.is_null() {
        return UNREAD; // never
    }
    number(up_from(buffer, name, bytes.cast(), directory))
}

#[inline(always)]
fn up_from(
    buffer: *mut PathBuffer,
    name: *mut Name,
    bytes: *mut u8,
    directory: Address,
) -> Missed<u32> {
    let vfsmount: Address = field::read(directory, &field::PATH_MNT)?;
    let walk = begin(buffer, vfsmount, field::read(directory, &field::PATH_DENTRY)?)?;
    let mut back = Back { walk, name, bytes };
    // SAFETY: `name` and `bytes` lie in a claimed slot; the callbacks take a `Back`, which outlives the calls.
    unsafe {
        (*name).end = (*name).len;
        (*name).skip = 0;
        let len = (*name).len & NAME_MASK;
        bpf_loop(len, back_a_byte as *mut c_void, (&raw mut back).cast(), 0);
        if back.walk.state != GOING {
            return Err(Miss::PathTooLong);
        }
        if *bytes == b'/' {
            let at = back.walk.at;
            return if at == PATH_BUFFER as u32 { slash(&mut back.walk) } else { Ok(at) };
        }
        bpf_loop(PATH_STEPS, up_unnamed as *mut c_void, (&raw mut back).cast(), 0);
    }
    run(back.walk, up_a_dentry as *mut c_void)
}

const NAME_MASK: u32 = NAME_BUFFER as u32 - 1;

/// The `index`th byte from the end: at a slash, and at the first byte, a component is complete.
extern "C" fn back_a_byte(index: u32, back: *mut Back) -> i64 {
    // SAFETY: `bpf_loop` passes the `Back` that it was given, whose parts lie in a claimed slot.
    let (back, name) = unsafe { (&mut *back, &mut *(*back).name) };
    let at = name.len.wrapping_sub(index + 1) & NAME_MASK;
    let byte = back.byte(at);
    if byte != b'/' && at != 0 {
        return 0;
    }
    let begin = if byte == b'/' { at + 1 } else { at };
    let len = name.end - begin;
    name.end = at;
    let is_dot = len == 1 && back.byte(begin) == b'.';
    let is_up = len == 2 && back.byte(begin) == b'.' && back.byte(begin + 1) == b'.';
    if len == 0 || is_dot {
        return 0;
    }
    if is_up {
        name.skip += 1;
        return 0;
    }
    if name.skip != 0 {
        name.skip -= 1;
        return 0;
    }
    if len >= NAME_ROOM as u32 {
        back.walk.state = TOO_LONG;
        return 1;
    }
    // SAFETY: masked to the room.
    let component = unsafe { back.bytes.add((begin & NAME_MASK) as usize) };
    back.walk.state = match put_component(&mut back.walk, component as Address, masked(len)) {
        Ok(state) => state,
        Err(_) => UNREADABLE,
    };
    i64::from(back.walk.state != GOING)
}

impl Back {
    #[inline(always)]
    fn byte(&self, at: u32) -> u8 {
        // SAFETY: masked to the room of the name.
        unsafe { *self.bytes.add((at & NAME_MASK) as usize) }
    }
}

/// Says again what has been checked, in an instruction that the compiler cannot leave out: the verifier does not
/// know the difference of two numbers.
#[inline(always)]
fn masked(len: u32) -> u32 {
    let mut len = u64::from(len);
    // SAFETY: arithmetic on a register.
    unsafe {
        core::arch::asm!("{len} &= {mask}", len = inout(reg) len, mask = const NAME_ROOM - 1)
    };
    len as u32
}

/// One step up past a component that is left out, or across a mount point.
extern "C" fn up_unnamed(_step: u32, back: *mut Back) -> i64 {
    // SAFETY: as in `back_a_byte`.
    let (walk, name) = unsafe { (&mut (*back).walk, &mut *(*back).name) };
    if name.skip == 0 {
        return 1;
    }
    match step_unnamed(walk) {
        Ok(left_out) => {
            name.skip -= left_out;
            0
        }
        Err(_) => 1, // the walk that follows meets the same
    }
}

/// Returns how many components were left out: none at a mount point and at the root.
#[inline(always)]
fn step_unnamed(walk: &mut Walk) -> Missed<u32> {
    let parent: Address = field::read(walk.dentry, &field::DENTRY_PARENT)?;
    if walk.dentry != walk.root && walk.dentry != parent {
        walk.dentry = parent;
        return Ok(1);
    }
    cross(walk)?;
    Ok(0)
}
