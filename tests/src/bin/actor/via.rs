//! Ways out of a parent's sight: what a process can do to itself before it acts.
//!
//! Whoever stays behind waits, and ends with what the actor's end was: its exit code, or 137 where
//! it was killed. Nobody waits longer than [`PATIENCE_SECONDS`].

use std::{
    fs::File,
    io,
    os::{fd::AsRawFd, unix::process::ExitStatusExt},
    path::Path,
    process::ExitStatus,
    thread,
};

use driftwatch_tests::tally::{DESCENDANT_KILLED, FAILED, Outcome};

use crate::{arguments::Via, call::check};

/// An actor that has not ended by then ends itself.
const PATIENCE_SECONDS: u32 = 60;

/// Acts behind all the ways, first way outermost.
pub(crate) fn through(
    vias: &[Via],
    cgroup: Option<&Path>,
    act: &(dyn Fn() -> u8 + Sync),
) -> io::Result<u8> {
    let Some((first, rest)) = vias.split_first() else {
        return Ok(act());
    };
    let inner = || through(rest, cgroup, act).unwrap_or_else(|error| complain(&error));
    match first {
        Via::Setsid => {
            wait_for(fork(&|| new_session().map_or_else(|e| complain(&e), |()| inner()))?)
        }
        Via::DoubleFork => double_fork(&inner),
        Via::Thread => thread::scope(|scope| {
            scope.spawn(inner).join().map_err(|_| io::Error::other("the thread panicked"))
        }),
        Via::Vfork => vfork(&inner),
        Via::Clone3Cgroup => clone_into(cgroup, &inner),
        Via::UnshareUser => unshared(libc::CLONE_NEWUSER, &inner),
        Via::UnsharePid => {
            unshare(libc::CLONE_NEWPID)?;
            wait_for(fork(&inner)?)
        }
        Via::UnshareMount => unshared(libc::CLONE_NEWNS, &inner),
        Via::UnshareNet => unshared(libc::CLONE_NEWNET, &inner),
    }
}

/// Acts in a child and says how it ended.
pub(crate) fn in_child(act: &dyn Fn() -> u8) -> io::Result<Outcome> {
    Ok(Outcome::of(wait(fork(act)?)?))
}

/// Starts a child that acts and then ends.
pub(crate) fn fork(act: &dyn Fn() -> u8) -> io::Result<i32> {
    // SAFETY: this process has one thread, or the child makes no use of what the others hold.
    match check(unsafe { libc::fork() })? {
        0 => act_and_end(act),
        child => i32::try_from(child).map_err(io::Error::other),
    }
}

/// Waits for the child, and answers with the code that stands for its end.
pub(crate) fn wait_for(child: i32) -> io::Result<u8> {
    let status = wait(child)?;
    match (Outcome::of(status), status.code().map(u8::try_from)) {
        (Outcome::Killed, _) => Ok(DESCENDANT_KILLED),
        (_, Some(Ok(code))) => Ok(code),
        _ => Ok(FAILED),
    }
}

fn wait(child: i32) -> io::Result<ExitStatus> {
    let mut status = 0;
    // SAFETY: the status is a number of ours.
    while let Err(error) = check(unsafe { libc::waitpid(child, &raw mut status, libc::__WALL) }) {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(ExitStatus::from_raw(status))
}

/// Acts, and ends the process with the code of the act.
pub(crate) fn act_and_end(act: &dyn Fn() -> u8) -> ! {
    // SAFETY: a number; the default of the signal is to end the process.
    unsafe { libc::alarm(PATIENCE_SECONDS) };
    let code = act();
    // SAFETY: ends the process without running what belongs to its parent.
    unsafe { libc::_exit(i32::from(code)) }
}

fn new_session() -> io::Result<()> {
    // SAFETY: no arguments.
    check(unsafe { libc::setsid() }).map(drop)
}

/// The child ends at once; the grandchild leads a new session and belongs to nobody. This process
/// becomes the one that orphans fall to, for it has to know how the grandchild ended.
fn double_fork(inner: &dyn Fn() -> u8) -> io::Result<u8> {
    // SAFETY: numbers.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })?;
    wait_for(fork(&|| {
        let left = new_session().and_then(|()| fork(inner));
        left.map_or_else(|error| complain(&error), |_| 0)
    })?)?;
    wait_for(-1)
}

fn vfork(inner: &dyn Fn() -> u8) -> io::Result<u8> {
    const STACK_BYTES: usize = 256 * 1024;
    extern "C" fn child(argument: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the parent passes a pointer to this and sleeps until we have ended.
        let inner = unsafe { *argument.cast::<&dyn Fn() -> u8>() };
        i32::from(inner())
    }
    let mut stack = vec![0_u128; STACK_BYTES / size_of::<u128>()];
    let mut inner = inner;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is the child's alone; what it borrows lives until the parent wakes up.
    let answer = unsafe {
        libc::clone(child, stack.as_mut_ptr_range().end.cast(), flags, (&raw mut inner).cast())
    };
    wait_for(i32::try_from(check(answer)?).map_err(io::Error::other)?)
}

fn clone_into(cgroup: Option<&Path>, inner: &dyn Fn() -> u8) -> io::Result<u8> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let directory = File::open(cgroup.ok_or_else(|| io::Error::other("needs --cgroup"))?)?;
    // SAFETY: all zeroes is a valid request: a plain fork.
    let mut request: libc::clone_args = unsafe { std::mem::zeroed() };
    request.flags = CLONE_INTO_CGROUP;
    request.exit_signal = libc::SIGCHLD as u64;
    request.cgroup = directory.as_raw_fd() as u64;
    // SAFETY: without a stack of its own the child goes on as a fork does.
    let answer = unsafe {
        libc::syscall(libc::SYS_clone3, &raw const request, size_of::<libc::clone_args>())
    };
    match check(answer)? {
        0 => act_and_end(inner),
        child => wait_for(i32::try_from(child).map_err(io::Error::other)?),
    }
}

fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: a number.
    check(unsafe { libc::unshare(flags) }).map(drop)
}

/// In a child, so that whoever repeats the act stays where it is.
fn unshared(flags: i32, inner: &dyn Fn() -> u8) -> io::Result<u8> {
    wait_for(fork(&|| unshare(flags).map_or_else(|error| complain(&error), |()| inner()))?)
}

fn complain(error: &io::Error) -> u8 {
    eprintln!("actor: {error}");
    FAILED
}
