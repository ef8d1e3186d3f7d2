//! Many acts: tight loops, trees of processes, and operations to measure.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{
    arguments::{OpenHow, Operation},
    call::{check, descriptor, terminated},
    open,
    repeated::Repeated,
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
    let repeated = Repeated::new(operation, path, path, peer)?;
    let begin = Instant::now();
    for _ in 0..times {
        repeated.once(operation)?;
    }
    Ok(begin.elapsed().as_secs_f64() * 1e9 / f64::from(times))
}
