//! Task storage from user space, which aya has no call for.
//!
//! A task storage is a map whose key, seen from user space, is a pidfd (`bpf_task_storage.c`).

use std::{
    io,
    marker::PhantomData,
    mem::MaybeUninit,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use aya::{Pod, maps::Map};

use super::{KernelError, maps::raw_fd};

/// `BPF_MAP_LOOKUP_ELEM`, include/uapi/linux/bpf.h.
const LOOKUP: libc::c_int = 1;
/// `BPF_MAP_UPDATE_ELEM`, include/uapi/linux/bpf.h.
const UPDATE: libc::c_int = 2;

/// A task storage map of `T`.
pub struct TaskStorage<T> {
    /// Keeps the map open.
    _map: Map,
    fd: i32,
    _value: PhantomData<T>,
}

impl<T> TryFrom<Map> for TaskStorage<T> {
    type Error = KernelError;

    fn try_from(map: Map) -> Result<Self, KernelError> {
        let fd = raw_fd(&map).ok_or(KernelError::Object("task storage"))?;
        Ok(Self { _map: map, fd, _value: PhantomData })
    }
}

/// `union bpf_attr`, as the element commands use it.
#[repr(C)]
#[derive(Default)]
struct Element {
    map_fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

impl<T: Pod> TaskStorage<T> {
    /// The value of the thread behind a pidfd, where it has one.
    pub(super) fn get(&self, pidfd: BorrowedFd<'_>) -> io::Result<Option<T>> {
        let mut value = MaybeUninit::<T>::uninit();
        match self.call(LOOKUP, pidfd, value.as_mut_ptr().cast()) {
            // SAFETY: the kernel has written a whole value, and any bytes are one.
            Ok(()) => Ok(Some(unsafe { value.assume_init() })),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets the value of the thread behind a pidfd.
    pub(super) fn set(&self, pidfd: BorrowedFd<'_>, value: &T) -> io::Result<()> {
        self.call(UPDATE, pidfd, std::ptr::from_ref(value).cast_mut().cast())
    }

    fn call(&self, command: libc::c_int, pidfd: BorrowedFd<'_>, value: *mut u8) -> io::Result<()> {
        let key = pidfd.as_raw_fd();
        let element = Element {
            map_fd: u32::try_from(self.fd).expect("a descriptor is not negative"),
            key: std::ptr::from_ref(&key) as u64,
            value: value as u64,
            ..Element::default()
        };
        // SAFETY: the kernel reads `element` and the key, and reads or writes one `T` at `value`, for
        // which `get` and `set` give room.
        let failed = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                command,
                std::ptr::from_ref(&element),
                size_of::<Element>(),
            )
        };
        if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
