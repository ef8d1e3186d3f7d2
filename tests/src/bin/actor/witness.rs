//! The witness: says, from outside the actor, how far the actor got.
//!
//! Both halves are set up before the act, so that nothing but the act stands between the actor and
//! them: the *leak* is an open file that the secret's bytes are appended to, or a socket, the *mark* is a counter
//! in a shared mapping of a file that survives the actor's death.

use std::{
    fs::{File, OpenOptions},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::{AsRawFd, OwnedFd, RawFd},
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

/// Where the actor leaves its traces.
pub(crate) struct Witness {
    leak: Option<File>,
    mark: Mark,
}

impl Witness {
    /// Opens the leak, a file or a socket whose peer is `leak_to`, and the mark; the mark's file must exist.
    pub(crate) fn new(
        leak: Option<&Path>,
        leak_to: Option<SocketAddr>,
        mark: Option<&Path>,
    ) -> io::Result<Self> {
        let leak = match (leak, leak_to) {
            (Some(path), _) => {
                Some(OpenOptions::new().read(true).append(true).create(true).open(path)?)
            }
            (None, Some(address)) => Some(socket_to(address)?),
            (None, None) => None,
        };
        Ok(Self { leak, mark: Mark::new(mark)? })
    }

    /// The counter of returned calls.
    pub(crate) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// The leak as memory, for those whom the kernel reads for: what is put there is in the file.
    pub(crate) fn leak_window(&self) -> io::Result<*mut u8> {
        const BYTES: u16 = 4096;
        let leak = self.leak.as_ref().ok_or_else(|| io::Error::other("needs --leak"))?;
        leak.set_len(u64::from(BYTES))?;
        map_shared(leak, usize::from(BYTES))
    }

    /// Reads from the descriptor and gives the bytes away at once.
    pub(crate) fn give_away(&self, descriptor: RawFd) -> io::Result<()> {
        let mut secret = [0_u8; 256];
        // SAFETY: the buffer is ours and as long as we say.
        let read = unsafe { libc::read(descriptor, secret.as_mut_ptr().cast(), secret.len()) };
        let length = usize::try_from(crate::call::check(read as i64)?).map_err(io::Error::other)?;
        self.give_away_bytes(&secret[..length])
    }

    /// Gives bytes away that were read in another way.
    pub(crate) fn give_away_bytes(&self, secret: &[u8]) -> io::Result<()> {
        let Some(leak) = &self.leak else { return Ok(()) };
        // SAFETY: the bytes are borrowed and as many as we say.
        let written =
            unsafe { libc::write(leak.as_raw_fd(), secret.as_ptr().cast(), secret.len()) };
        crate::call::check(written as i64).map(drop)
    }
}

/// A socket that needs no name to send to the address.
fn socket_to(address: SocketAddr) -> io::Result<File> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    Ok(File::from(OwnedFd::from(socket)))
}

/// Maps the start of the file into memory that outlives the process, for as long as it lives.
fn map_shared(file: &File, bytes: usize) -> io::Result<*mut u8> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new shared mapping at a place of the kernel's choosing.
    let address = unsafe {
        libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    if address == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(address.cast()) }
}

/// A counter that outlives the process which counts in it.
pub(crate) struct Mark {
    counter: &'static AtomicU32,
}

impl Mark {
    fn new(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::nobodys());
        };
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let address = map_shared(&file, size_of::<AtomicU32>())?;
        // SAFETY: page-aligned, long enough, and never unmapped.
        Ok(Self { counter: unsafe { &*address.cast::<AtomicU32>() } })
    }

    /// One that nobody looks at.
    pub(crate) fn nobodys() -> Self {
        Self { counter: Box::leak(Box::new(AtomicU32::new(0))) }
    }

    /// Where the counter is: four bytes that stay mapped until the process ends.
    pub(crate) fn address(&self) -> *mut u32 {
        self.counter.as_ptr()
    }

    /// Counts one return, where the call itself could not be followed by the counting instruction.
    pub(crate) fn count(&self) {
        self.counter.fetch_add(1, Ordering::SeqCst);
    }
}
