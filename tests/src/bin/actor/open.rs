//! Opening a file in every way the kernel knows, and using it at once.

use std::{
    ffi::CStr,
    fs,
    io::{self, Write},
    mem::MaybeUninit,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use crate::{
    arguments::OpenHow,
    call::{check, descriptor, marked, marked_int80, terminated},
    share,
    uring::{self, Ring},
    witness::{Mark, Witness},
};

/// Opens the file to read it, and gives its bytes away with the next call.
pub(crate) fn read(path: &Path, how: OpenHow, witness: &Witness) -> io::Result<()> {
    match how {
        OpenHow::UringDirect => uring::read_direct(&terminated(path)?, witness),
        OpenHow::SiblingThread => share::read_by_sibling_thread(&terminated(path)?, witness),
        OpenHow::SharedTable => share::read_through_shared_table(&terminated(path)?, witness),
        OpenHow::UringChain => uring::read_together(&terminated(path)?, witness, true),
        OpenHow::UringBatch => uring::read_together(&terminated(path)?, witness, false),
        _ => {
            let file = open(path, how, libc::O_RDONLY, witness.mark())?;
            witness.give_away(file.as_raw_fd())
        }
    }
}

/// Opens the file to change it, and appends a line.
pub(crate) fn write(path: &Path, how: OpenHow, witness: &Witness) -> io::Result<()> {
    let file = open(path, how, libc::O_WRONLY | libc::O_APPEND, witness.mark())?;
    fs::File::from(file).write_all(b"tampered\n")
}

/// Opens the file, leaving a trace in the mark as soon as the call has returned.
pub(crate) fn open(path: &Path, how: OpenHow, flags: i32, mark: &Mark) -> io::Result<OwnedFd> {
    let name = terminated(path)?;
    match how {
        OpenHow::Open => by_open(&name, flags, mark),
        OpenHow::Openat => by_openat(&name, flags, mark),
        OpenHow::Openat2 => by_openat2(&name, flags, mark),
        OpenHow::Creat => by_creat(&name, mark),
        OpenHow::Handle => by_handle(&name, flags, mark),
        OpenHow::Int80 => descriptor(marked_int80(mark, &name, flags)?),
        OpenHow::Symlink => by_openat(&symlink_to(path)?, flags, mark),
        OpenHow::Steps => by_openat(&last_step(path)?, flags, mark),
        OpenHow::ProcRoot => by_openat(&terminated(&under_proc_root(path))?, flags, mark),
        OpenHow::Uring => uring::open(&name, flags, Ring::Plain, mark),
        OpenHow::UringAsync => uring::open(&name, flags, Ring::Async, mark),
        OpenHow::UringSqpoll => uring::open(&name, flags, Ring::Sqpoll, mark),
        OpenHow::UringUntold => uring::open_untold(&name, flags, mark),
        OpenHow::UringDirect
        | OpenHow::UringChain
        | OpenHow::UringBatch
        | OpenHow::SiblingThread
        | OpenHow::SharedTable => Err(io::Error::other("only to read")),
    }
}

fn by_open(name: &CStr, flags: i32, mark: &Mark) -> io::Result<OwnedFd> {
    let arguments = [name.as_ptr().addr(), flags as usize, 0, 0];
    descriptor(marked(mark, libc::SYS_open, arguments)?)
}

fn by_openat(name: &CStr, flags: i32, mark: &Mark) -> io::Result<OwnedFd> {
    let arguments = [libc::AT_FDCWD as usize, name.as_ptr().addr(), flags as usize, 0];
    descriptor(marked(mark, libc::SYS_openat, arguments)?)
}

fn by_openat2(name: &CStr, flags: i32, mark: &Mark) -> io::Result<OwnedFd> {
    /// `struct open_how`.
    #[repr(C)]
    struct How {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let how = How { flags: flags as u64, mode: 0, resolve: 0 };
    let arguments =
        [libc::AT_FDCWD as usize, name.as_ptr().addr(), (&raw const how).addr(), size_of::<How>()];
    descriptor(marked(mark, libc::SYS_openat2, arguments)?)
}

fn by_creat(name: &CStr, mark: &Mark) -> io::Result<OwnedFd> {
    descriptor(marked(mark, libc::SYS_creat, [name.as_ptr().addr(), 0o600, 0, 0])?)
}

/// Names the file by its handle: no path is given to the call that opens it.
fn by_handle(name: &CStr, flags: i32, mark: &Mark) -> io::Result<OwnedFd> {
    const HANDLE_BYTES: usize = 128;
    /// `struct file_handle` with its bytes.
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: i32,
        handle: [u8; HANDLE_BYTES],
    }
    let mut handle = Handle { bytes: 128, kind: 0, handle: [0; HANDLE_BYTES] };
    let mut mount_id = MaybeUninit::<i32>::uninit();
    // SAFETY: the handle says how many bytes it has room for; the mount id is written, not read.
    check(unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            name.as_ptr(),
            &raw mut handle,
            mount_id.as_mut_ptr(),
            0,
        )
    })?;
    let mount = fs::File::open("/")?;
    let anchor = mount_of(name).unwrap_or(mount);
    let arguments = [anchor.as_raw_fd() as usize, (&raw const handle).addr(), flags as usize, 0];
    descriptor(marked(mark, libc::SYS_open_by_handle_at, arguments)?)
}

/// The directory of the file: any descriptor on its mount will do.
fn mount_of(name: &CStr) -> Option<fs::File> {
    fs::File::open(Path::new(name.to_str().ok()?).parent()?).ok()
}

/// A new symbolic link to the path; it is left behind for whoever made the directory.
fn symlink_to(path: &Path) -> io::Result<std::ffi::CString> {
    let home = path.ancestors().nth(2).unwrap_or_else(|| Path::new("/tmp"));
    let link = home.join(format!("holiday-{}.jpg", std::process::id()));
    std::os::unix::fs::symlink(path, &link)?;
    terminated(&link)
}

/// Goes down to the directory of the file, one component at a time; the file's own name is left.
fn last_step(path: &Path) -> io::Result<std::ffi::CString> {
    for step in path.parent().into_iter().flat_map(Path::components) {
        std::env::set_current_dir(step)?;
    }
    terminated(path.file_name().map_or(path, Path::new))
}

fn under_proc_root(path: &Path) -> PathBuf {
    Path::new("/proc/self/root").join(path.strip_prefix("/").unwrap_or(path))
}
