//! F17, F18, F29, F31: the file gets another name, another file gets its name, or a name is too long.

use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::{
    case::Case,
    gift::Gift,
    sys::{self, HERE, at, call, fd, text},
    trick::{Expect, Trick, read},
};

pub(crate) const TRICKS: &[Trick] = &[
    read("F17a", "the file renamed", |case| {
        fs::rename(case.secret(), case.desk("renamed"))?;
        case.read_and_give(case.desk("renamed"))
    }),
    read("F17b", "the directory above it renamed", |case| {
        fs::rename(case.path("home"), case.desk("renamed"))?;
        case.read_and_give(case.desk("renamed/.aws/credentials"))
    }),
    read("F17c", "two files exchange their names", exchange),
    read("F17d", "renamed by openat's descriptors", rename_by_descriptor),
    read("F18a", "another file put in its place, read there", |case| {
        case.read_and_give(case.secret())
    })
    .before(replace),
    read("F18b", "another file put in its place, then renamed", |case| {
        fs::rename(case.secret(), case.desk("renamed"))?;
        case.read_and_give(case.desk("renamed"))
    })
    .before(replace),
    read("F18c", "another file put in its place, then hard linked", |case| {
        fs::hard_link(case.secret(), case.desk("linked"))?;
        case.read_and_give(case.desk("linked"))
    })
    .before(replace),
    read("F18d", "replaced and linked at once, before anybody can have heard of it", race)
        .before(replace_when_asked)
        .both(Expect::Limit(
            "a file that is put into a shut place is known by its name alone until the daemon has \
             heard of it: microseconds to milliseconds",
        )),
    read("F29a", "a path longer than 4,096 bytes, by a hard link", by_long_path),
    read("F29b", "a path longer than 4,096 bytes, by a bind mount", by_long_mount),
    read("F29c", "the directory moved to the end of a long path", by_long_move),
    read("F31a", "O_PATH, unlinked, opened again by /proc", by_unlinked),
    read("F31b", "the directory removed around it", by_removed_directory),
];

fn exchange(case: &Case) -> io::Result<()> {
    let (one, other) = (text(case.secret()), text(case.path("home/notes.txt")));
    let flags = libc::RENAME_EXCHANGE as usize;
    call(libc::SYS_renameat2, [HERE, at(&one), HERE, at(&other), flags])?;
    case.read_and_give(case.path("home/notes.txt"))
}

fn rename_by_descriptor(case: &Case) -> io::Result<()> {
    let from = sys::open(case.path("home/.aws"), libc::O_PATH)?;
    let into = sys::open(case.path("desk"), libc::O_PATH)?;
    let (old, new) = (text("credentials"), text("renamed"));
    call(libc::SYS_renameat2, [fd(&from), at(&old), fd(&into), at(&new), 0])?;
    case.read_and_give(case.desk("renamed"))
}

/// As an editor saves a file: a new one, renamed over the old one.
fn put_another(case: &Case) -> io::Result<()> {
    fs::copy(case.secret(), case.path("home/.aws/credentials.new"))?;
    fs::rename(case.path("home/.aws/credentials.new"), case.secret())
}

fn replace(case: &Case, _: &mut Gift) -> io::Result<()> {
    const HEARD_OF: Duration = Duration::from_millis(300);
    put_another(case)?;
    thread::sleep(HEARD_OF);
    Ok(())
}

fn replace_when_asked(case: &Case, gift: &mut Gift) -> io::Result<()> {
    let (case, wanted) = (case.clone(), case.desk("wanted"));
    gift.hold(move |ready| {
        io::Write::write_all(ready, b"ready\n")?;
        while !wanted.exists() {
            thread::yield_now();
        }
        put_another(&case)?;
        fs::hard_link(case.secret(), case.desk("linked"))
    })?;
    Ok(())
}

fn race(case: &Case) -> io::Result<()> {
    const GLANCES: u32 = 1_000_000;
    fs::write(case.desk("wanted"), "")?;
    for _ in 0..GLANCES {
        if let Ok(file) = File::open(case.desk("linked")) {
            return case.give_all(file);
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// A directory so deep that its path fits nowhere. Whoever made it is in it afterwards.
fn go_deep(case: &Case) -> io::Result<()> {
    const LEVELS: u32 = 24;
    env::set_current_dir(case.path("desk"))?;
    let name = "d".repeat(200);
    for _ in 0..LEVELS {
        fs::create_dir(&name)?;
        env::set_current_dir(&name)?;
    }
    Ok(())
}

fn by_long_path(case: &Case) -> io::Result<()> {
    go_deep(case)?;
    fs::hard_link(case.secret(), "linked")?;
    case.read_and_give("linked")
}

fn by_long_mount(case: &Case) -> io::Result<()> {
    go_deep(case)?;
    fs::create_dir("bound")?;
    sys::mount(case.path("home/.aws"), "bound", "", libc::MS_BIND, "")?;
    case.read_and_give("bound/credentials")
}

fn by_long_move(case: &Case) -> io::Result<()> {
    go_deep(case)?;
    fs::rename(case.path("home"), "home")?;
    case.read_and_give("home/.aws/credentials")
}

fn by_unlinked(case: &Case) -> io::Result<()> {
    let path = sys::open(case.secret(), libc::O_PATH)?;
    fs::remove_file(case.secret())?;
    case.read_and_give(format!("/proc/self/fd/{}", fd(&path)))
}

fn by_removed_directory(case: &Case) -> io::Result<()> {
    let directory: PathBuf = case.path("home/.aws");
    let path = sys::open(case.secret(), libc::O_PATH)?;
    fs::remove_file(case.secret())?;
    fs::remove_dir(&directory)?;
    case.read_and_give(Path::new("/proc/self/fd").join(fd(&path).to_string()))
}
