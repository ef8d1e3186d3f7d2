//! Operations that are repeated to be measured: everything they need is made before the first one.

use std::{
    cell::UnsafeCell,
    ffi::{CStr, CString},
    fs::File,
    hint::black_box,
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
};

use crate::{
    arguments::Operation,
    call::{check, descriptor, terminated},
    net::{Name, connect_socket, socket},
    via::{fork, wait_for},
};

/// Opens that belong to one program start of a flood.
const OPENS: u32 = 10;
/// Stack of a child that shares our memory until it has another program.
const STACK_BYTES: usize = 64 * 1024;

/// The length of a `linger`: two numbers.
const LINGER_BYTES: libc::socklen_t = 8;
const _: () = assert!(size_of::<libc::linger>() == 8);

/// What operations are done to.
pub(crate) struct Repeated {
    path: CString,
    program: CString,
    open: Option<File>,
    datagrams: OwnedFd,
    peer: SocketAddr,
    name: Name,
    listener: Option<TcpListener>,
    stack: UnsafeCell<Vec<u128>>,
}

impl Repeated {
    /// Makes what this operation needs.
    pub(crate) fn new(
        operation: Operation,
        path: &Path,
        program: &Path,
        peer: SocketAddr,
    ) -> io::Result<Self> {
        let reads = operation == Operation::Read;
        let listens = operation == Operation::Tcp;
        Ok(Self {
            path: terminated(path)?,
            program: terminated(program)?,
            open: reads.then(|| File::open(path)).transpose()?,
            datagrams: socket(&peer, libc::SOCK_DGRAM)?,
            peer,
            name: Name::of(peer),
            listener: listens.then(|| TcpListener::bind(peer)).transpose()?,
            stack: UnsafeCell::new(vec![0; STACK_BYTES / size_of::<u128>()]),
        })
    }

    /// Does it once.
    #[inline(always)]
    pub(crate) fn once(&self, operation: Operation) -> io::Result<()> {
        match operation {
            Operation::Getppid => {
                // SAFETY: no arguments; the call is never answered from memory.
                black_box(unsafe { libc::syscall(libc::SYS_getppid) });
                Ok(())
            }
            Operation::Stat => self.stat(),
            Operation::Read => self.read(),
            Operation::Open => self.open(),
            Operation::Exec => self.exec(),
            Operation::Spawn => self.spawn(),
            Operation::Connect => connect_socket(&self.datagrams, &self.name),
            Operation::Tcp => self.tcp(),
            Operation::Flood => {
                self.spawn()?;
                (0..OPENS).try_for_each(|_| self.open())
            }
        }
    }

    fn stat(&self) -> io::Result<()> {
        // SAFETY: all zeroes is a valid place for the answer.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: a terminated string and a place for the answer.
        check(unsafe { libc::stat(self.path.as_ptr(), &raw mut stat) }).map(drop)
    }

    fn read(&self) -> io::Result<()> {
        let file = self.open.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let mut byte = 0_u8;
        // SAFETY: one byte of room.
        check(unsafe { libc::pread(file.as_raw_fd(), (&raw mut byte).cast(), 1, 0) } as i64)
            .map(drop)
    }

    fn open(&self) -> io::Result<()> {
        // SAFETY: a terminated string; the descriptor is closed at once.
        let file = unsafe { libc::open(self.path.as_ptr(), libc::O_RDONLY) };
        check(file)?;
        // SAFETY: ours.
        check(unsafe { libc::close(file) }).map(drop)
    }

    /// Starts the program and waits for its end.
    fn exec(&self) -> io::Result<()> {
        let child = fork(&|| {
            become_program(&self.path);
            1
        })?;
        ended(child)
    }

    /// The same, with a child that has no memory of its own until it has another program.
    fn spawn(&self) -> io::Result<()> {
        extern "C" fn child(program: *mut libc::c_void) -> libc::c_int {
            // SAFETY: the parent passes a terminated string, and sleeps meanwhile.
            become_program(unsafe { CStr::from_ptr(program.cast()) });
            1
        }
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: the stack is the child's alone: we sleep until it needs it no more.
        let answer = unsafe {
            let top = (*self.stack.get()).as_mut_ptr_range().end;
            libc::clone(child, top.cast(), flags, self.program.as_ptr().cast_mut().cast())
        };
        ended(i32::try_from(check(answer)?).map_err(io::Error::other)?)
    }

    /// Connects, takes the connection, and resets it, so that nothing is left of it.
    fn tcp(&self) -> io::Result<()> {
        let listener = self.listener.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let socket = socket(&self.peer, libc::SOCK_STREAM)?;
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        // SAFETY: the value lives until the call returns, and is as long as its type.
        check(unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_LINGER,
                (&raw const linger).cast(),
                LINGER_BYTES,
            )
        })?;
        connect_socket(&socket, &self.name)?;
        let (none, flags) = (std::ptr::null_mut(), libc::SOCK_CLOEXEC);
        // SAFETY: nobody asks for the address.
        let accepted = unsafe { libc::accept4(listener.as_raw_fd(), none, none.cast(), flags) };
        let accepted = descriptor(accepted)?;
        drop(socket);
        drop(accepted);
        Ok(())
    }
}

/// Returns only where that fails.
fn become_program(name: &CStr) {
    let words = [name.as_ptr(), std::ptr::null()];
    let environment = [std::ptr::null::<libc::c_char>()];
    // SAFETY: terminated lists of terminated strings.
    unsafe { libc::execve(name.as_ptr(), words.as_ptr(), environment.as_ptr()) };
}

fn ended(child: i32) -> io::Result<()> {
    match wait_for(child)? {
        0 => Ok(()),
        code => Err(io::Error::other(format!("the program ended with {code}"))),
    }
}
