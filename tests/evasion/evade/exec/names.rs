//! X01 to X06: the program under another name, by descriptor, copied, nameless.

use std::{
    ffi::CString,
    fs::{self, File},
    io,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{PermissionsExt, chroot, symlink},
            process::CommandExt,
        },
    },
    path::Path,
    process::Command,
};

use crate::{
    case::Case,
    elf,
    gift::Gift,
    sys::{self, HERE, at, call, fd, mount, of, text},
    trick::{Expect, Trick, start},
};

const COPY: &str =
    "a copy is another file, known by no rule; `exec: never: [writable]` or `only` stops it";

pub(crate) const TRICKS: &[Trick] = &[
    start("X00", "the program by its own name", |case| become_program(case.evil())),
    start("X01a", "a symbolic link", |case| {
        symlink(case.evil(), case.desk("link"))?;
        become_program(case.desk("link"))
    }),
    start("X01b", "another argv[0]", |case| {
        Err(Command::new(case.evil()).arg0("/bin/true").exec())
    }),
    start("X01c", "/proc/self/root", |case| {
        become_program(format!("/proc/self/root{}", case.evil().display()))
    }),
    start("X02a", "a hard link made before", |case| become_program(case.desk("linked")))
        .before(|case, _| fs::hard_link(case.evil(), case.desk("linked"))),
    start("X02b", "a hard link of the agent's", |case| {
        fs::hard_link(case.evil(), case.desk("linked"))?;
        become_program(case.desk("linked"))
    }),
    start("X02c", "a bind mount", |case| {
        fs::write(case.desk("bound"), "")?;
        mount(case.evil(), case.desk("bound"), "", libc::MS_BIND, "")?;
        become_program(case.desk("bound"))
    }),
    start("X02d", "an overlay", by_overlay).needs("overlay"),
    start("X02e", "chroot", |case| {
        chroot(case.path("evil"))?;
        become_program("/tool")
    }),
    start("X02f", "a detached tree, by descriptor", |case| {
        let path = text(case.path("evil"));
        let tree = sys::owned(call(libc::SYS_open_tree, [HERE, at(&path), 1]))?;
        execute_at(fd(&tree), "tool", 0)
    }),
    start("X03a", "renamed", |case| {
        fs::rename(case.evil(), case.desk("renamed"))?;
        become_program(case.desk("renamed"))
    }),
    start("X03b", "copied", |case| {
        fs::copy(case.evil(), case.desk("copy"))?;
        become_program(case.desk("copy"))
    })
    .both(Expect::Limit(COPY)),
    start("X03c", "the directory above it renamed", |case| {
        fs::rename(case.path("evil"), case.desk("renamed"))?;
        become_program(case.desk("renamed/tool"))
    }),
    start("X03d", "built anew, byte by byte", |case| {
        elf::put(&case.desk("own"), &elf::program(None))?;
        become_program(case.desk("own"))
    })
    .both(Expect::Limit(COPY)),
    start("X04a", "execveat by descriptor", |case| {
        execute_at(fd(&File::open(case.evil())?), "", libc::AT_EMPTY_PATH)
    }),
    start("X04b", "/proc/self/fd", |case| {
        let file = File::open(case.evil())?;
        become_program(format!("/proc/self/fd/{}", fd(&file)))
    }),
    start("X04c", "execveat below a directory's descriptor", |case| {
        execute_at(fd(&File::open(case.path("evil"))?), "tool", 0)
    }),
    start("X04d", "execveat by an O_PATH descriptor", |case| {
        execute_at(fd(&sys::open(case.evil(), libc::O_PATH)?), "", libc::AT_EMPTY_PATH)
    }),
    start("X04e", "a descriptor from before", |case| {
        execute_at(fd(&case.gift(0)), "", libc::AT_EMPTY_PATH)
    })
    .before(|case, gift| {
        gift.leave(File::open(case.evil())?);
        Ok(())
    }),
    start("X04f", "/proc/PID/fd of a process that holds it", |case| {
        become_program(format!("/proc/{}/fd/{}", case.word(0)?, case.word(1)?))
    })
    .before(held_open),
    start("X05a", "a memory file", |case| {
        execute_at(fd(&in_memory(case)?), "", libc::AT_EMPTY_PATH)
    }),
    start("X05b", "a memory file by /proc/self/fd", |case| {
        let file = in_memory(case)?;
        become_program(format!("/proc/self/fd/{}", fd(&file)))
    }),
    start("X05c", "a memory file from before", |case| {
        execute_at(fd(&case.gift(0)), "", libc::AT_EMPTY_PATH)
    })
    .before(|case, gift| {
        gift.leave(in_memory(case)?);
        Ok(())
    }),
    start("X05d", "a nameless file (O_TMPFILE)", by_nameless)
        .needs("a file system with nameless files"),
    start("X06a", "deleted, by descriptor", |case| {
        let file = sys::open(case.evil(), libc::O_PATH)?;
        fs::remove_file(case.evil())?;
        execute_at(fd(&file), "", libc::AT_EMPTY_PATH)
    }),
    start("X06b", "a copy, deleted, by descriptor", |case| {
        fs::copy(case.evil(), case.desk("copy"))?;
        let file = sys::open(case.desk("copy"), libc::O_PATH)?;
        fs::remove_file(case.desk("copy"))?;
        execute_at(fd(&file), "", libc::AT_EMPTY_PATH)
    }),
];

/// Becomes the program.
pub(crate) fn become_program(path: impl AsRef<Path>) -> io::Result<()> {
    Err(Command::new(path.as_ref()).exec())
}

/// `execveat` with no variables.
pub(crate) fn execute_at(directory: usize, path: &str, flags: i32) -> io::Result<()> {
    let (path, name) = (text(path), text("tool"));
    let (arguments, variables) = ([at(&name), 0], [0_usize]);
    let numbers = [directory, at(&path), of(&arguments), of(&variables), flags as usize];
    call(libc::SYS_execveat, numbers).map(drop)
}

fn by_overlay(case: &Case) -> io::Result<()> {
    let upper = case.desk("upper");
    fs::create_dir(&upper)?;
    mount("none", &upper, "tmpfs", 0, "")?;
    for folder in ["up", "work"] {
        fs::create_dir(upper.join(folder))?;
    }
    fs::create_dir(case.desk("merged"))?;
    let (lower, upper) = (case.path("evil"), upper.display());
    let options = format!("lowerdir={},upperdir={upper}/up,workdir={upper}/work", lower.display());
    mount("overlay", case.desk("merged"), "overlay", 0, &options)?;
    become_program(case.desk("merged/tool"))
}

fn in_memory(case: &Case) -> io::Result<OwnedFd> {
    let name: CString = text("harmless");
    let file = sys::owned(call(libc::SYS_memfd_create, [at(&name), 0]))?;
    let mut writer = File::from(file.try_clone()?);
    io::Write::write_all(&mut writer, &fs::read(case.evil())?)?;
    Ok(file)
}

fn by_nameless(case: &Case) -> io::Result<()> {
    let file = sys::open(case.path("desk"), libc::O_TMPFILE | libc::O_RDWR)?;
    let mut writer = File::from(file.try_clone()?);
    io::Write::write_all(&mut writer, &fs::read(case.evil())?)?;
    writer.set_permissions(fs::Permissions::from_mode(0o755))?;
    // Nobody may have it open for writing when it is started.
    let again = sys::open(format!("/proc/self/fd/{}", fd(&file)), libc::O_PATH)?;
    drop((file, writer));
    execute_at(fd(&again), "", libc::AT_EMPTY_PATH)
}

fn held_open(case: &Case, gift: &mut Gift) -> io::Result<()> {
    let path = case.evil();
    let holder = gift.hold(move |ready| {
        let file = File::open(path)?;
        io::Write::write_all(ready, format!("{}\n", fd(&file)).as_bytes())?;
        std::mem::forget(file);
        Ok(())
    })?;
    gift.say(holder.pid);
    gift.say(holder.said);
    Ok(())
}
