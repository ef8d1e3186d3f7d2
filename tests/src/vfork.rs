//! A process that shares memory, files and directories with this one, and has a number of its own.
//!
//! What the kernel keeps for a task can be set from outside by a pidfd, and before Linux 6.9 there are none of threads.
//! This is as near to a thread as a process comes: closures run in it, and what they return is there. It is not for
//! what ends a process: the closure would not come back.

use std::{
    ffi::{c_int, c_void},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
};

use rustix::process::{Pid, WaitOptions, waitpid};

/// Bytes of its stack: as many as a thread of the standard library has.
const STACK: usize = 2 * 1024 * 1024;
/// Everything is shared but the number; whoever calls waits for its end, and lends it what is thread-local.
const FLAGS: c_int =
    libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FS | libc::CLONE_FILES | libc::SIGCHLD;

/// The closure, and what came of it.
struct Errand<F, T> {
    act: Option<F>,
    outcome: Option<T>,
}

/// Runs `act` in such a process and waits for its end. An error where there can be none, or `act` has panicked.
pub fn run<F: FnOnce() -> T + Send, T: Send>(act: F) -> io::Result<T> {
    let mut errand = Errand { act: Some(act), outcome: None };
    let mut stack = vec![0_u128; STACK / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end;
    let arg: *mut Errand<F, T> = ptr::from_mut(&mut errand);
    // SAFETY: the stack is the process's alone and grows down from its end. This thread does not run until the process
    // has ended (CLONE_VFORK), so nobody else uses `errand` and what is thread-local meanwhile.
    let pid = unsafe { libc::clone(begin::<F, T>, top.cast(), FLAGS, arg.cast()) };
    let pid = Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(io::Error::last_os_error)?;
    waitpid(Some(pid), WaitOptions::empty())?;
    errand.outcome.ok_or_else(|| io::Error::other("what ran in a process of its own did not end"))
}

/// Where it begins. Nothing may unwind out of it.
extern "C" fn begin<F: FnOnce() -> T + Send, T: Send>(arg: *mut c_void) -> c_int {
    // SAFETY: `run` passes its own, and waits.
    let errand = unsafe { &mut *arg.cast::<Errand<F, T>>() };
    let act = errand.act.take().expect("it begins once");
    errand.outcome = catch_unwind(AssertUnwindSafe(act)).ok();
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_another_number_and_the_same_memory() -> io::Result<()> {
        let mut seen = 0;
        let pid = run(|| {
            seen += 1;
            std::process::id()
        })?;
        assert_ne!(pid, std::process::id());
        assert_eq!(seen, 1);
        Ok(())
    }

    #[test]
    fn a_panic_within_it_is_an_error() {
        assert!(run(|| panic!("on purpose")).is_err());
    }
}
