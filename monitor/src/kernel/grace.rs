//! Grace: returns when every hook that was running has ended.
//!
//! Hooks run under RCU, and a hook may be preempted while it does: a cgroup hook by any other task, on a
//! kernel that preempts. So only a grace period says that nobody reads the old bank any more. User
//! space can wait for one in a call that promises it: a write to a map of maps returns after every
//! program that was running (kernel/bpf/syscall.c, `maybe_wait_bpf_programs`). `membarrier` is no such
//! call: with one CPU online it returns at once, and with `nohz_full` it refuses.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
};

/// `BPF_MAP_CREATE`, include/uapi/linux/bpf.h.
const CREATE: libc::c_int = 0;
/// `BPF_MAP_UPDATE_ELEM`
const UPDATE: libc::c_int = 2;
/// `BPF_MAP_TYPE_ARRAY`
const ARRAY: u32 = 2;
/// `BPF_MAP_TYPE_ARRAY_OF_MAPS`
const ARRAY_OF_MAPS: u32 = 12;

/// A map of maps that no program reads: what counts is how long a write to it takes.
pub(super) struct Grace {
    outer: OwnedFd,
    inner: OwnedFd,
}

/// `union bpf_attr`, as `BPF_MAP_CREATE` uses it.
#[repr(C)]
#[derive(Default)]
struct Create {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
}

/// `union bpf_attr`, as `BPF_MAP_UPDATE_ELEM` uses it.
#[repr(C)]
#[derive(Default)]
struct Update {
    map_fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

impl Grace {
    /// Makes the two maps.
    pub(super) fn new() -> io::Result<Self> {
        let inner = create(ARRAY, None)?;
        let outer = create(ARRAY_OF_MAPS, Some(&inner))?;
        Ok(Self { outer, inner })
    }

    /// Waits for one grace period: some milliseconds.
    pub(super) fn wait(&self) -> io::Result<()> {
        let (key, value) = (0_u32, number(self.inner.as_raw_fd()));
        let update = Update {
            map_fd: number(self.outer.as_raw_fd()),
            key: (&raw const key) as u64,
            value: (&raw const value) as u64,
            ..Update::default()
        };
        // SAFETY: `update` is what this command reads, and key and value are four bytes each, as the maps
        // were made for.
        unsafe { bpf(UPDATE, &update) }.map(drop)
    }
}

fn create(map_type: u32, inner: Option<&OwnedFd>) -> io::Result<OwnedFd> {
    let create = Create {
        map_type,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        inner_map_fd: inner.map_or(0, |inner| number(inner.as_raw_fd())),
        ..Create::default()
    };
    // SAFETY: `create` is what this command reads.
    let fd = unsafe { bpf(CREATE, &create) }?;
    // SAFETY: the kernel has just opened it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn number(fd: RawFd) -> u32 {
    u32::try_from(fd).expect("a descriptor is not negative")
}

/// # Safety
///
/// `attributes` must be what the command reads, with pointers to what it reads or writes there.
unsafe fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<RawFd> {
    // SAFETY: by the caller's promise.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>())
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(RawFd::try_from(result).expect("a descriptor"))
    }
}
