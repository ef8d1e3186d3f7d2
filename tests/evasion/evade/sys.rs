//! System calls as numbers and words, for those that no library of ours knows, and a few that it does.
//!
//! Techniques are about the calls themselves, so nothing here is clever.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    process,
};

/// The working directory, where a call wants a descriptor.
pub(crate) const HERE: usize = libc::AT_FDCWD as usize;

/// A system call. What its arguments point to lives until it returns: every caller sees to that.
pub(crate) fn call<const N: usize>(number: i64, arguments: [usize; N]) -> io::Result<usize> {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&arguments);
    let [a, b, c, d, e, f] = all;
    // SAFETY: callers pass numbers, or pointers to what lives until this returns.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    usize::try_from(answer).map_err(|_| io::Error::last_os_error())
}

/// The descriptor that a call has just answered.
pub(crate) fn owned(answer: io::Result<usize>) -> io::Result<OwnedFd> {
    let number = RawFd::try_from(answer?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given it to us, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A path as the kernel wants it.
pub(crate) fn text(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).expect("paths of cases have no zero byte")
}

/// A terminated text as an argument.
pub(crate) fn at(text: &CString) -> usize {
    text.as_ptr() as usize
}

/// A value as an argument.
pub(crate) fn of<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).cast::<u8>() as usize
}

/// A value that the kernel writes to, as an argument.
pub(crate) fn into<T: ?Sized>(value: &mut T) -> usize {
    std::ptr::from_mut(value).cast::<u8>() as usize
}

/// A descriptor as an argument.
pub(crate) fn fd(descriptor: &impl AsRawFd) -> usize {
    descriptor.as_raw_fd() as usize
}

/// `open` by number.
pub(crate) fn open(path: impl AsRef<Path>, flags: i32) -> io::Result<OwnedFd> {
    open_below(HERE, path, flags)
}

/// `openat` by number.
pub(crate) fn open_below(
    directory: usize,
    path: impl AsRef<Path>,
    flags: i32,
) -> io::Result<OwnedFd> {
    let path = text(path);
    owned(call(libc::SYS_openat, [directory, at(&path), flags as usize, 0o644]))
}

/// `mount` by number; an empty text is none.
pub(crate) fn mount(
    source: impl AsRef<Path>,
    target: impl AsRef<Path>,
    kind: &str,
    flags: u64,
    data: &str,
) -> io::Result<()> {
    let (source, target, kind, data) = (text(source), text(target), text(kind), text(data));
    let maybe = |text: &CString| if text.is_empty() { 0 } else { at(text) };
    let flags = usize::try_from(flags).map_err(io::Error::other)?;
    let arguments = [at(&source), at(&target), maybe(&kind), flags, maybe(&data)];
    call(libc::SYS_mount, arguments).map(drop)
}

/// `unshare` by number.
pub(crate) fn unshare(flags: i32) -> io::Result<()> {
    call(libc::SYS_unshare, [flags as usize]).map(drop)
}

/// A user namespace of one's own, in which this user is root.
pub(crate) fn own_users() -> io::Result<()> {
    // SAFETY: these two take nothing and cannot fail.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    unshare(libc::CLONE_NEWUSER)?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

/// Another descriptor of the same open file, not inherited.
pub(crate) fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    owned(call(libc::SYS_fcntl, [descriptor as usize, libc::F_DUPFD_CLOEXEC as usize, 3]))
}

/// A pipe: reading end, writing end, not inherited.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    pair(|ends| call(libc::SYS_pipe2, [into(ends), libc::O_CLOEXEC as usize]))
}

/// A pair of connected UNIX sockets, not inherited.
pub(crate) fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let kind = (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as usize;
    pair(|ends| call(libc::SYS_socketpair, [libc::AF_UNIX as usize, kind, 0, into(ends)]))
}

fn pair(make: impl FnOnce(&mut [RawFd; 2]) -> io::Result<usize>) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    make(&mut ends)?;
    let [first, second] = ends;
    Ok((owned(Ok(first as usize))?, owned(Ok(second as usize))?))
}

/// A child that does this, dies with its parent, and says by its exit code whether it went well.
pub(crate) fn fork(work: impl FnOnce() -> io::Result<()>) -> io::Result<i32> {
    // SAFETY: this program has one thread wherever it forks, so the child may do anything.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let done = die_with_parent().and_then(|()| work());
            process::exit(told(done));
        }
        child => Ok(child),
    }
}

/// The same, but it outlives its parent.
pub(crate) fn fork_freely(work: impl FnOnce() -> io::Result<()>) -> io::Result<i32> {
    // SAFETY: this program has one thread wherever it forks, so the child may do anything.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => process::exit(told(work())),
        child => Ok(child),
    }
}

/// The exit code for an outcome, which is said on standard error where it is bad.
pub(crate) fn told(done: io::Result<()>) -> i32 {
    match done {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("evade: {error}");
            1
        }
    }
}

/// Waits for this child.
pub(crate) fn wait(child: i32) -> io::Result<()> {
    let mut status = 0_i32;
    call(libc::SYS_wait4, [child as usize, into(&mut status), 0, 0])?;
    if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!("a child ended with {status:#x}")))
}

/// Asks to be killed when the parent ends.
pub(crate) fn die_with_parent() -> io::Result<()> {
    call(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as usize, libc::SIGKILL as usize]).map(drop)
}

/// Sends a signal.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    call(libc::SYS_kill, [pid as usize, signal as usize]).map(drop)
}

/// New memory: so many bytes, with this protection.
pub(crate) fn memory(bytes: usize, protection: i32) -> io::Result<*mut u8> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let answer =
        call(libc::SYS_mmap, [0, bytes, protection as usize, flags as usize, usize::MAX, 0])?;
    Ok(answer as *mut u8)
}

/// A file as memory.
pub(crate) fn map(
    file: &impl AsRawFd,
    bytes: usize,
    protection: i32,
    flags: i32,
) -> io::Result<*mut u8> {
    let arguments = [0, bytes, protection as usize, flags as usize, fd(file), 0];
    Ok(call(libc::SYS_mmap, arguments)? as *mut u8)
}

/// So many bytes of memory that a call has answered.
pub(crate) fn seen<'a>(memory: *const u8, bytes: usize) -> &'a [u8] {
    // SAFETY: callers pass mappings of at least that size, which stay until the process ends.
    unsafe { std::slice::from_raw_parts(memory, bytes) }
}

/// Writes to memory that a call has answered.
pub(crate) fn store(memory: *mut u8, bytes: &[u8]) {
    // SAFETY: callers pass writable mappings of at least that size.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), memory, bytes.len()) };
}

/// Goes on at an address, as a function without arguments.
pub(crate) fn jump(code: *const u8) {
    // SAFETY: callers pass code of ours that keeps to the calling convention.
    let code: extern "C" fn() = unsafe { std::mem::transmute(code) };
    code();
}
