//! Descriptors are shared: who opens a file need not be who reads from it.
//!
//! The next descriptor's number is no secret, so another holder of the table can wait for it.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd, RawFd},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    call::{check, descriptor, marked},
    via::{act_and_end, wait_for},
    witness::Witness,
};

/// Who waits longer has waited for nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// A second thread reads from the descriptor as soon as there is one.
pub(crate) fn read_by_sibling_thread(name: &CStr, witness: &Witness) -> io::Result<()> {
    let number = next_descriptor()?;
    let waiting = AtomicBool::new(false);
    thread::scope(|scope| {
        let sibling = scope.spawn(|| {
            let begin = Instant::now();
            while begin.elapsed() < PATIENCE {
                waiting.store(true, Ordering::SeqCst);
                if witness.give_away(number).is_ok() {
                    return Ok(());
                }
            }
            Err(io::Error::from(io::ErrorKind::TimedOut))
        });
        while !waiting.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        let _file = descriptor(open(name, witness)?)?;
        sibling.join().map_err(|_| io::Error::other("the sibling panicked"))?
    })
}

/// A child with a process of its own and our table opens and ends; we read from what it opened.
pub(crate) fn read_through_shared_table(name: &CStr, witness: &Witness) -> io::Result<()> {
    let number = next_descriptor()?;
    let flags = libc::CLONE_FILES | libc::SIGCHLD;
    // SAFETY: without CLONE_VM and without a stack of its own the child goes on as after fork.
    match check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })? {
        0 => act_and_end(&|| u8::from(open(name, witness).is_err())),
        child => {
            wait_for(i32::try_from(child).map_err(io::Error::other)?)?;
            witness.give_away(number)
        }
    }
}

fn open(name: &CStr, witness: &Witness) -> io::Result<i64> {
    let arguments = [libc::AT_FDCWD as usize, name.as_ptr().addr(), 0, 0];
    marked(witness.mark(), libc::SYS_openat, arguments)
}

/// The number that the next descriptor will have.
fn next_descriptor() -> io::Result<RawFd> {
    // SAFETY: a number.
    Ok(descriptor(unsafe { libc::dup(libc::STDIN_FILENO) })?.as_raw_fd())
}
