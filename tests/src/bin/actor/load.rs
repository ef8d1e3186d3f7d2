//! Many acts: tight loops, trees of processes, and operations to measure.

use std::{
    fs::OpenOptions,
    hint::black_box,
    io::{self, Write},
    net::SocketAddr,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{
    arguments::{OpenHow, Operation},
    call::{check, descriptor, terminated},
    net::{Name, connect_socket, socket},
    open,
    via::{fork, wait_for},
    witness::Witness,
};

/// Opens the file again and again; a refusal is no reason to stop.
pub(crate) fn opens(path: &Path, times: u32) -> io::Result<()> {
    let name = terminated(path)?;
    let (mut opened, mut refused) = (0_u32, 0_u32);
    for _ in 0..times {
        // SAFETY: a terminated string; the descriptor is closed at once.
        let file = unsafe { libc::open(name.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
        match check(file) {
            Ok(_) => opened += 1,
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => refused += 1,
            Err(error) => return Err(error),
        }
        // SAFETY: ours, or -1.
        unsafe { libc::close(file) };
    }
    println!("opened={opened} refused={refused}");
    Ok(())
}

/// Opens each of the files once; all of them must be there and be opened.
pub(crate) fn each(paths: &[PathBuf], write: bool) -> io::Result<()> {
    for path in paths {
        let name = terminated(path)?;
        let flags = if write { libc::O_WRONLY } else { libc::O_RDONLY };
        // SAFETY: a terminated string.
        drop(descriptor(unsafe { libc::open(name.as_ptr(), flags | libc::O_CLOEXEC) })?);
    }
    Ok(())
}

/// A tree in which everybody has at most [`BRANCHES`] children. All of them exist at the same time:
/// who has children waits for them, and reads when they have ended.
pub(crate) fn forks(
    descendants: u32,
    path: &Path,
    tried: &Path,
    witness: &Witness,
) -> io::Result<()> {
    const BRANCHES: u32 = 8;
    let mut children = Vec::new();
    for branch in 0..BRANCHES.min(descendants) {
        let share = descendants / BRANCHES + u32::from(branch < descendants % BRANCHES);
        children.push(fork(&|| {
            let grown = forks(share - 1, path, tried, witness);
            match grown.and_then(|()| try_once(path, tried, witness)) {
                Ok(()) => 0,
                Err(error) => super::code_of(&error),
            }
        })?);
    }
    for child in children {
        wait_for(child)?;
    }
    Ok(())
}

fn try_once(path: &Path, tried: &Path, witness: &Witness) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(tried)?.write_all(b"t")?;
    open::read(path, OpenHow::Openat, witness)
}

/// Nanoseconds per operation.
pub(crate) fn measure(
    operation: Operation,
    times: u32,
    path: &Path,
    peer: SocketAddr,
) -> io::Result<f64> {
    let name = terminated(path)?;
    let socket = socket(&peer, libc::SOCK_DGRAM)?;
    let peer = Name::of(peer);
    let begin = Instant::now();
    for _ in 0..times {
        match operation {
            // SAFETY: no arguments; the call is never answered from memory.
            Operation::Getppid => drop(black_box(unsafe { libc::syscall(libc::SYS_getppid) })),
            Operation::Stat => {
                // SAFETY: all zeroes is a valid place for the answer.
                let mut stat: libc::stat = unsafe { std::mem::zeroed() };
                // SAFETY: a terminated string and a place for the answer.
                check(unsafe { libc::stat(name.as_ptr(), &raw mut stat) })?;
            }
            Operation::Open => {
                // SAFETY: a terminated string; the descriptor is closed at once.
                let file = unsafe { libc::open(name.as_ptr(), libc::O_RDONLY) };
                check(file)?;
                // SAFETY: ours.
                unsafe { libc::close(file) };
            }
            Operation::Exec => run_once(&name)?,
            Operation::Connect => connect_socket(&socket, &peer)?,
        }
    }
    let elapsed = begin.elapsed();
    black_box(socket.as_raw_fd());
    Ok(elapsed.as_secs_f64() * 1e9 / f64::from(times))
}

/// Starts the program and waits for its end.
fn run_once(name: &std::ffi::CStr) -> io::Result<()> {
    let words = [name.as_ptr(), std::ptr::null()];
    let environment = [std::ptr::null::<libc::c_char>()];
    let child = fork(&|| {
        // SAFETY: terminated lists of terminated strings.
        unsafe { libc::execve(name.as_ptr(), words.as_ptr(), environment.as_ptr()) };
        1
    })?;
    match wait_for(child)? {
        0 => Ok(()),
        code => Err(io::Error::other(format!("the program ended with {code}"))),
    }
}
