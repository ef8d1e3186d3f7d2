//! F34 and what goes with it: every way to change a file that may not be changed.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::{PermissionsExt, symlink},
};

use io_uring::{opcode, types};

use crate::{
    case::Case,
    gift::Gift,
    ring::{self, Who},
    sys::{self, HERE, at, call, fd, text},
    trick::{Expect, Trick, write},
};

const NOT_RULED: Expect = Expect::Limit(
    "renames, links, deletions, truncation and modes are not ruled on this tier: writing is opening",
);
const DONE_ALREADY: Expect =
    Expect::Seen("what the call does at once has happened when it is seen on this tier");

pub(crate) const TRICKS: &[Trick] = &[
    write("W01a", "written by its own name", |case| case.spoil(case.shut())),
    write("W01b", "written by a hard link", |case| {
        fs::hard_link(case.shut(), case.desk("linked"))?;
        case.spoil(case.desk("linked"))
    }),
    write("W01c", "written by a symbolic link", |case| {
        symlink(case.shut(), case.desk("link"))?;
        case.spoil(case.desk("link"))
    }),
    write("W01d", "written by a bind mount", |case| {
        fs::create_dir(case.desk("bound"))?;
        sys::mount(case.path("home"), case.desk("bound"), "", libc::MS_BIND, "")?;
        case.spoil(case.desk("bound/.bashrc"))
    }),
    write("W01e", "opened for reading, opened again for writing by /proc", |case| {
        let file = File::open(case.shut())?;
        case.spoil(format!("/proc/self/fd/{}", fd(&file)))
    }),
    write("W01f", "written as shared memory", by_memory),
    write("W01g", "written by copy_file_range", |case| {
        let from = File::open(case.path("home/notes.txt"))?;
        let into = fs::OpenOptions::new().write(true).open(case.shut())?;
        call(libc::SYS_copy_file_range, [fd(&from), 0, fd(&into), 0, 4096, 0]).map(drop)
    }),
    write("W01h", "written by io_uring", |case| {
        let path = text(case.shut());
        let here = types::Fd(libc::AT_FDCWD);
        let flags = libc::O_WRONLY | libc::O_APPEND;
        let open = opcode::OpenAt::new(here, path.as_ptr()).flags(flags).build();
        let answer = ring::submit(&mut ring::ring(Who::Submitter)?, &[open])?;
        File::from(sys::owned(Ok(answer as usize))?).write_all(b"spoiled\n")
    }),
    write("W02a", "emptied by creat", |case| File::create(case.shut()).map(drop))
        .react(DONE_ALREADY),
    write("F34a", "truncated by its name", |case| {
        let path = text(case.shut());
        call(libc::SYS_truncate, [at(&path), 3]).map(drop)
    })
    .react(NOT_RULED),
    write("F34b", "truncated by a hard link", |case| {
        fs::hard_link(case.shut(), case.desk("linked"))?;
        let path = text(case.desk("linked"));
        call(libc::SYS_truncate, [at(&path), 3]).map(drop)
    })
    .react(NOT_RULED),
    write("W03a", "another file renamed over it", |case| {
        fs::write(case.desk("new"), "spoiled\n")?;
        fs::rename(case.desk("new"), case.shut())
    })
    .react(NOT_RULED),
    write("W03b", "exchanged with another file", exchange).react(NOT_RULED),
    write("W03c", "renamed away", |case| fs::rename(case.shut(), case.desk("away")))
        .react(NOT_RULED),
    write("W03d", "renamed away by io_uring", |case| {
        let (old, new) = (text(case.shut()), text(case.desk("away")));
        let here = types::Fd(libc::AT_FDCWD);
        let rename = opcode::RenameAt::new(here, old.as_ptr(), here, new.as_ptr()).build();
        ring::submit(&mut ring::ring(Who::Submitter)?, &[rename]).map(drop)
    })
    .react(NOT_RULED),
    write("W03e", "the directory above it renamed away", |case| {
        fs::rename(case.path("home"), case.desk("away"))
    })
    .both(Expect::Limit(
        "the file is as it was, in a directory that no rule names: name the directory as well",
    )),
    write("W04a", "deleted", |case| fs::remove_file(case.shut())).react(NOT_RULED),
    write("W04b", "deleted by io_uring", |case| {
        let path = text(case.shut());
        let unlink = opcode::UnlinkAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).build();
        ring::submit(&mut ring::ring(Who::Submitter)?, &[unlink]).map(drop)
    })
    .react(NOT_RULED),
    write("W04c", "deleted, and a link in its place", |case| {
        fs::remove_file(case.shut())?;
        fs::write(case.desk("new"), "spoiled\n")?;
        symlink(case.desk("new"), case.shut())
    })
    .react(NOT_RULED),
    write("W05", "its mode changed", |case| {
        fs::set_permissions(case.shut(), Permissions::from_mode(0o666))
    })
    .react(NOT_RULED),
    write("W06a", "a descriptor from before, written", |case| {
        File::from(case.gift(0)).write_all(b"spoiled\n")
    })
    .before(leave_open),
    write("W06b", "a descriptor from before, truncated", |case| {
        File::from(case.gift(0)).set_len(3)
    })
    .before(leave_open),
];

fn by_memory(case: &Case) -> io::Result<()> {
    let file = fs::OpenOptions::new().read(true).write(true).open(case.shut())?;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    sys::store(sys::map(&file, 8, protection, libc::MAP_SHARED)?, b"spoiled!");
    Ok(())
}

fn exchange(case: &Case) -> io::Result<()> {
    let (one, other) = (text(case.shut()), text(case.path("home/notes.txt")));
    let flags = libc::RENAME_EXCHANGE as usize;
    call(libc::SYS_renameat2, [HERE, at(&one), HERE, at(&other), flags]).map(drop)
}

fn leave_open(case: &Case, gift: &mut Gift) -> io::Result<()> {
    gift.leave(fs::OpenOptions::new().append(true).open(case.shut())?);
    Ok(())
}
