//! Who is at the other end of the socket: asked of the kernel, never of the caller.

use std::{
    io,
    os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd},
};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// `SO_PEERPIDFD`, include/uapi/asm-generic/socket.h; since Linux 6.5.
const SO_PEERPIDFD: libc::c_int = 77;

/// A process that asks for something.
#[derive(Debug)]
pub struct Caller {
    /// Its pid.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Refers to this very process, whatever becomes of its pid.
    pub pidfd: OwnedFd,
}

impl Caller {
    /// The process that connected to `socket`.
    ///
    /// # Errors
    ///
    /// Where the kernel does not tell, or the process is gone.
    pub fn of(socket: &impl AsFd) -> io::Result<Self> {
        let credentials = rustix::net::sockopt::socket_peercred(socket)?;
        let pidfd = match peer_pidfd(socket) {
            Ok(pidfd) => pidfd,
            // Before 6.5: the process waits for its answer, so its pid is still its own.
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => open(credentials.pid)?,
            Err(error) => return Err(error),
        };
        let pid = credentials.pid.as_raw_nonzero().get().unsigned_abs();
        Ok(Self { pid, uid: credentials.uid.as_raw(), pidfd })
    }
}

fn peer_pidfd(socket: &impl AsFd) -> io::Result<OwnedFd> {
    let mut pidfd: libc::c_int = -1;
    let mut size = libc::socklen_t::try_from(size_of::<libc::c_int>()).expect("4");
    // SAFETY: the kernel writes one int, for which there is room.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            (&raw mut pidfd).cast(),
            &raw mut size,
        )
    };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(pidfd) })
}

fn open(pid: Pid) -> io::Result<OwnedFd> {
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// A pidfd of a process.
///
/// # Errors
///
/// Where it is gone.
pub fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    open(pid.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?)
}
