//! S06 to S08: processes from before, very many of them, and those whose parents are somebody else.

use std::{fs::File, io, os::unix::process::CommandExt, process::Command};

use super::places::in_child;
use crate::{
    case::Case,
    sys::{self, call},
    trick::{Trick, read},
};

pub(crate) const TRICKS: &[Trick] = &[
    read("S06a", "a process that ran before the daemon", |case| {
        case.wait_for_go()?;
        case.read_and_give(case.secret())
    })
    .early(),
    read("S06b", "a child from before, parent gone", |case| {
        let case = case.clone();
        sys::fork_freely(move || {
            case.wait_for_go()?;
            case.read_and_give(case.secret())
        })
        .map(drop)
    })
    .early(),
    read("S06c", "a thread from before", |case| {
        let case = case.clone();
        let thread = std::thread::spawn(move || {
            case.wait_for_go()?;
            case.read_and_give(case.secret())
        });
        thread.join().map_err(|_| io::Error::other("a thread panicked"))?
    })
    .early(),
    read("S07a", "the last of 2,000 children that all live", by_crowd),
    read("S07b", "behind 30,000 opens that are allowed", |case| {
        const FLOOD: u32 = 30_000;
        for _ in 0..FLOOD {
            drop(File::open("/dev/null")?);
        }
        case.read_and_give(case.secret())
    }),
    read("S07c", "behind 500 generations", |case| {
        let case = case.clone();
        generations(500, &case)
    }),
    read("S08a", "a child whose parent is one's own parent (CLONE_PARENT)", |case| {
        let flags = (libc::CLONE_PARENT | libc::SIGCHLD) as usize;
        match call(libc::SYS_clone, [flags, 0, 0, 0, 0])? {
            0 => std::process::exit(sys::told(case.read_and_give(case.secret()))),
            _ => Ok(()),
        }
    }),
    read("S08b", "an orphan in a session of its own", |case| {
        let case = case.clone();
        in_child(move || {
            call(libc::SYS_setsid, [])?;
            sys::fork_freely(move || case.read_and_give(case.secret())).map(drop)
        })
    }),
    read("S08c", "another user", |case| {
        call(libc::SYS_setresgid, [65_534, 65_534, 65_534])?;
        call(libc::SYS_setresuid, [65_534, 65_534, 65_534])?;
        case.read_and_give(case.secret())
    }),
    read("S08d", "another program, as an orphan", |case| {
        let program =
            case.directory().ancestors().nth(2).unwrap_or(case.directory()).join("twin/evade");
        let secret = case.secret();
        sys::fork_freely(move || {
            call(libc::SYS_setsid, [])?;
            Err(Command::new(program).arg("read").arg(secret).exec())
        })
        .map(drop)
    }),
    read("S08e", "traced by one's own child", |case| {
        // Whoever is traced is stopped by signals first, but for the one that kills.
        let parent = std::process::id() as usize;
        const SEIZE: usize = 0x4206;
        let tracer = sys::fork(move || {
            call(libc::SYS_ptrace, [SEIZE, parent, 0, 0])?;
            std::thread::sleep(std::time::Duration::from_secs(2));
            Ok(())
        })?;
        std::thread::sleep(std::time::Duration::from_millis(50));
        let done = case.read_and_give(case.secret());
        sys::kill(tracer, libc::SIGKILL)?;
        done
    }),
];

fn by_crowd(case: &Case) -> io::Result<()> {
    const CROWD: u32 = 2_000;
    for _ in 0..CROWD {
        sys::fork(|| {
            std::thread::sleep(std::time::Duration::from_secs(20));
            Ok(())
        })?;
    }
    let case = case.clone();
    in_child(move || case.read_and_give(case.secret()))
}

fn generations(left: u32, case: &Case) -> io::Result<()> {
    if left == 0 {
        return case.read_and_give(case.secret());
    }
    in_child(|| generations(left - 1, case))
}
