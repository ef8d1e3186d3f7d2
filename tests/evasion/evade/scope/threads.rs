//! S05: threads, and processes that share more than they seem to.

use std::{
    fs::{self, File},
    io,
    os::fd::{FromRawFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::{
    case::{COLLECTOR, Case},
    sys::{self, HERE, at, call, into, text},
    trick::{Expect, Trick, read},
};

const KEEPS: Expect = Expect::Seen(
    "who shares the table of descriptors without being a thread keeps what was opened, on this tier",
);
const BETWEEN: Expect = Expect::Seen(
    "a thread on another processor may use the descriptor before the kill arrives, on this tier",
);

pub(crate) const TRICKS: &[Trick] = &[
    read("S05a", "a thread that is not the first", |case| in_thread(case, |_| Ok(()))),
    read("S05b", "a thread whose process's first thread has ended", |case| {
        let case = case.clone();
        thread::spawn(move || {
            // Until the first thread is gone, or nearly so.
            thread::sleep(std::time::Duration::from_millis(50));
            std::process::exit(sys::told(case.read_and_give(case.secret())));
        });
        // SYS_exit ends this thread alone.
        call(libc::SYS_exit, [0]).map(drop)
    }),
    read(
        "S05c",
        "a child that shares the table of descriptors opens, its parent reads",
        by_shared_table,
    )
    .react(KEEPS),
    read("S05d", "a sibling thread takes the descriptor at once", by_sibling).react(BETWEEN),
    read("S05e", "a thread with a table of its own", |case| {
        in_thread(case, |_| sys::unshare(libc::CLONE_FILES | libc::CLONE_FS))
    }),
    read("S05f", "a thread with a name of its own", |case| {
        in_thread(case, |_| {
            let name = text("kworker/0:1");
            call(libc::SYS_prctl, [libc::PR_SET_NAME as usize, at(&name)]).map(drop)
        })
    }),
    read("S05g", "a thread of another user", |case| {
        in_thread(case, |_| call(libc::SYS_setresuid, [65_534, 65_534, 65_534]).map(drop))
    }),
    read("S05h", "a child that shares memory and nothing else", by_shared_memory),
    read("S05i", "read by a signal handler", by_handler),
];

fn in_thread(case: &Case, first: fn(&Case) -> io::Result<()>) -> io::Result<()> {
    let case = case.clone();
    let thread = thread::spawn(move || {
        first(&case)?;
        case.read_and_give(case.secret())
    });
    thread.join().map_err(|_| io::Error::other("a thread panicked"))?
}

/// The lowest number that is free: what the next open gets.
fn next_number() -> io::Result<i32> {
    let file = File::open("/")?;
    i32::try_from(sys::fd(&file)).map_err(io::Error::other)
}

fn by_shared_table(case: &Case) -> io::Result<()> {
    let (number, path) = (next_number()?, text(case.secret()));
    let flags = (libc::CLONE_FILES | libc::SIGCHLD) as usize;
    match call(libc::SYS_clone, [flags, 0, 0, 0, 0])? {
        0 => {
            // It is killed for it, and the number stays in the table.
            let opened = call(libc::SYS_openat, [HERE, at(&path), 0, 0]);
            std::process::exit(i32::from(opened.is_err()));
        }
        child => {
            // It ends by a signal, as an agent's should.
            let _ended = sys::wait(i32::try_from(child).map_err(io::Error::other)?);
        }
    }
    // SAFETY: the number was free, and the child has opened it.
    case.give_all(File::from(unsafe { OwnedFd::from_raw_fd(number) }))
}

static OVER: AtomicBool = AtomicBool::new(false);

fn by_sibling(case: &Case) -> io::Result<()> {
    const TRIES: u32 = 1_000;
    let (number, path) = (next_number()?, text(case.secret()));
    let sibling = thread::spawn(move || {
        let collector = COLLECTOR as usize;
        while !OVER.load(Ordering::Relaxed) {
            // Nothing there yet, and then everything.
            let _not_yet = call(libc::SYS_sendfile, [collector, number as usize, 0, 4096]);
        }
    });
    for _ in 0..TRIES {
        if let Ok(opened) = call(libc::SYS_openat, [HERE, at(&path), 0, 0]) {
            // Long enough for a sibling whose processor is busy with something else just now.
            thread::sleep(std::time::Duration::from_micros(100));
            call(libc::SYS_close, [opened])?;
        }
    }
    OVER.store(true, Ordering::Relaxed);
    sibling.join().map_err(|_| io::Error::other("a thread panicked"))
}

fn by_shared_memory(case: &Case) -> io::Result<()> {
    let flags = (libc::MAP_SHARED | libc::MAP_ANONYMOUS) as usize;
    let memory = call(libc::SYS_mmap, [0, 4096, 3, flags, usize::MAX, 0])? as *mut u8;
    let secret = case.secret();
    // Its end is as the rules want it; what it has put there counts.
    let _ended = super::places::in_child(|| {
        sys::store(memory, &fs::read(secret)?);
        Ok(())
    });
    case.give(sys::seen(memory, 64))
}

fn by_handler(case: &Case) -> io::Result<()> {
    extern "C" fn handle(_: i32) {
        let mut path = [0_u8; 4096];
        // The working directory is the desk: the file lies beside it.
        path[..25].copy_from_slice(b"../home/.aws/credentials\0");
        if let Ok(file) = call(libc::SYS_openat, [HERE, path.as_ptr() as usize, 0, 0]) {
            let mut bytes = [0_u8; 64];
            if call(libc::SYS_read, [file, into(&mut bytes), 64]).is_ok() {
                // Nobody is told if this fails.
                let _given =
                    call(libc::SYS_write, [COLLECTOR as usize, bytes.as_ptr() as usize, 64]);
            }
        }
    }
    // SAFETY: the handler makes system calls and touches its own stack.
    unsafe { libc::signal(libc::SIGUSR1, handle as *const () as usize) };
    std::env::set_current_dir(case.path("desk"))?;
    sys::kill(i32::try_from(std::process::id()).map_err(io::Error::other)?, libc::SIGUSR1)
}
