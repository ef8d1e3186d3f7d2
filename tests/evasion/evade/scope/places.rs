//! S01 to S04: other cgroups, other namespaces, numbers of one's choosing.

use std::{
    fs::{self, File},
    io,
};

use driftwatch_tests::cgroup::ScratchCgroup;

use crate::{
    case::Case,
    gift::Gift,
    sys::{self, call, fd, of},
    trick::{Trick, read},
};

pub(crate) const TRICKS: &[Trick] = &[
    read("S01a", "into another cgroup", |case| {
        fs::write(format!("{}/cgroup.procs", case.word(0)?), std::process::id().to_string())?;
        case.read_and_give(case.secret())
    })
    .before(other_cgroup),
    read("S01b", "a child that was put into another cgroup", |case| {
        let (case, place) = (case.clone(), format!("{}/cgroup.procs", case.word(0)?));
        in_child(move || {
            fs::write(place, std::process::id().to_string())?;
            case.read_and_give(case.secret())
        })
    })
    .before(other_cgroup),
    read("S01c", "into a cgroup below another, and back", |case| {
        let place = format!("{}/cgroup.procs", case.word(0)?);
        let above = format!("{}/cgroup.procs", case.word(1)?);
        for place in [&place, &above, &place] {
            fs::write(place, std::process::id().to_string())?;
        }
        case.read_and_give(case.secret())
    })
    .before(|_, gift| {
        let above = ScratchCgroup::new().map_err(io::Error::other)?;
        let below = above.below("below").map_err(io::Error::other)?;
        gift.say(below.path().display());
        gift.say(above.path().display());
        // They are removed in this order.
        gift.cgroups.extend([below, above]);
        Ok(())
    }),
    read("S02", "a child born in another cgroup (CLONE_INTO_CGROUP)", |case| {
        let cgroup = File::open(case.word(0)?)?;
        let mut arguments = Arguments::new(CLONE_INTO_CGROUP);
        arguments.cgroup = u64::try_from(fd(&cgroup)).map_err(io::Error::other)?;
        by_clone3(case, &arguments)
    })
    .before(other_cgroup),
    read("S03a", "a cgroup namespace", |case| in_namespaces(case, libc::CLONE_NEWCGROUP)),
    read("S03b", "the first process of a process namespace", |case| {
        sys::unshare(libc::CLONE_NEWPID)?;
        let case = case.clone();
        in_child(move || case.read_and_give(case.secret()))
    }),
    read("S03c", "a user namespace", |case| {
        sys::own_users()?;
        case.read_and_give(case.secret())
    }),
    read("S03d", "a mount namespace", |case| in_namespaces(case, libc::CLONE_NEWNS)),
    read("S03e", "network, host name, messages and time of one's own", |case| {
        let kinds = libc::CLONE_NEWNET | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;
        sys::unshare(kinds | CLONE_NEWTIME)?;
        let case = case.clone();
        in_child(move || case.read_and_give(case.secret()))
    }),
    read("S03f", "every namespace at once, as a child", |case| {
        let kinds =
            libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWNET;
        by_clone3(case, &Arguments::new((kinds | libc::CLONE_NEWCGROUP) as u64))
    }),
    read("S03g", "the namespaces of another process, entered", |case| {
        let process = sys::owned(call(libc::SYS_pidfd_open, [case.number(0)?, 0]))?;
        let kinds = libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWUTS;
        call(libc::SYS_setns, [fd(&process), kinds as usize])?;
        case.read_and_give(case.secret())
    })
    .before(|_, gift| {
        let holder = gift.hold(|ready| {
            sys::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWUTS)?;
            io::Write::write_all(ready, b"ready\n")
        })?;
        gift.say(holder.pid);
        Ok(())
    }),
    read("S04", "the number of a process that was nobody's (set_tid)", |case| {
        let wanted = i32::try_from(case.number(0)?).map_err(io::Error::other)?;
        let mut arguments = Arguments::new(0);
        arguments.numbers = of(&wanted) as u64;
        arguments.how_many = 1;
        by_clone3(case, &arguments)
    })
    .before(|_, gift| {
        let ended = sys::fork(|| Ok(()))?;
        sys::wait(ended)?;
        gift.say(ended);
        Ok(())
    }),
];

const CLONE_NEWTIME: i32 = 0x80;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn other_cgroup(_: &Case, gift: &mut Gift) -> io::Result<()> {
    let cgroup = ScratchCgroup::new().map_err(io::Error::other)?;
    gift.say(cgroup.path().display());
    gift.cgroups.push(cgroup);
    Ok(())
}

fn in_namespaces(case: &Case, kinds: i32) -> io::Result<()> {
    sys::unshare(kinds)?;
    case.read_and_give(case.secret())
}

/// Does it in a child and waits for that.
pub(super) fn in_child(work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    sys::wait(sys::fork(work)?)
}

/// How `clone3` is told.
#[repr(C)]
struct Arguments {
    flags: u64,
    pidfd: u64,
    tids: [u64; 2],
    signal: u64,
    stack: [u64; 2],
    tls: u64,
    numbers: u64,
    how_many: u64,
    cgroup: u64,
}

impl Arguments {
    fn new(flags: u64) -> Self {
        let signal = libc::SIGCHLD as u64;
        Self {
            flags,
            pidfd: 0,
            tids: [0; 2],
            signal,
            stack: [0; 2],
            tls: 0,
            numbers: 0,
            how_many: 0,
            cgroup: 0,
        }
    }
}

fn by_clone3(case: &Case, arguments: &Arguments) -> io::Result<()> {
    match call(libc::SYS_clone3, [of(arguments), size_of::<Arguments>()])? {
        0 => std::process::exit(sys::told(case.read_and_give(case.secret()))),
        child => sys::wait(i32::try_from(child).map_err(io::Error::other)?),
    }
}
