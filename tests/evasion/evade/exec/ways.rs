//! X09 to X17, X21 to X26: scripts, loaders, threads, orphans: other ways to the same start.

use std::{
    env,
    fs::{self, Permissions},
    io,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process::Command,
    thread,
};

use super::names::become_program;
use crate::{
    case::Case,
    elf,
    sys::{self, at, call, of, text},
    trick::{Expect, Trick, start},
};

const AN_OPEN: &str =
    "the interpreter opens the script and starts nothing; a rule on `read` stops it";

const A_SCRIPT: Expect = Expect::Limit(
    "on this tier the interpreter is what was started: a script's own name is no program's",
);

pub(crate) const TRICKS: &[Trick] = &[
    start("X09a", "a script that may not be started", |case| {
        become_program(case.path("evil/script"))
    })
    .react(A_SCRIPT)
    .needs("/bin/sh"),
    start("X09b", "a script whose interpreter may not be started", |case| {
        let line = format!("#!{}\n", case.evil().display());
        elf::put(&case.desk("script"), line.as_bytes())?;
        become_program(case.desk("script"))
    }),
    start("X09c", "a script by descriptor", |case| {
        let file = sys::open(case.path("evil/script"), libc::O_RDONLY)?;
        become_program(format!("/proc/self/fd/{}", sys::fd(&file)))
    })
    .react(A_SCRIPT)
    .needs("/bin/sh"),
    start("X10", "an interpreter that is told the script", |case| {
        Err(Command::new("/bin/sh").arg(case.path("evil/script")).exec())
    })
    .needs("/bin/sh")
    .both(Expect::Limit(AN_OPEN)),
    start("X11a", "a script on standard input", |case| {
        let script = fs::File::open(case.path("evil/script"))?;
        Err(Command::new("/bin/sh").stdin(script).exec())
    })
    .needs("/bin/sh")
    .both(Expect::Limit(AN_OPEN)),
    start("X11b", "a script as words of a shell", |case| {
        let words = fs::read_to_string(case.path("evil/script"))?;
        Err(Command::new("/bin/sh").arg("-c").arg(words).exec())
    })
    .needs("/bin/sh")
    .both(Expect::Limit(AN_OPEN)),
    start("X11c", "a shell that starts it", |case| {
        Err(Command::new("/bin/sh").arg("-c").arg(case.evil()).exec())
    })
    .needs("/bin/sh"),
    start("X13", "an interpreter of other formats (binfmt_misc)", by_format)
        .needs("binfmt_misc in user namespaces, Linux 6.7"),
    start("X15", "started by a thread that is not the first", |case| {
        let path = case.evil();
        let thread = thread::spawn(move || become_program(path));
        thread.join().map_err(|_| io::Error::other("a thread panicked"))?
    }),
    start("X16a", "vfork", |case| by_clone(case, libc::CLONE_VFORK | libc::CLONE_VM)),
    start("X16b", "posix_spawn", |case| Command::new(case.evil()).spawn()?.wait().map(drop)),
    start("X16c", "clone3", |case| {
        let arguments = [0_u64, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
        match call(libc::SYS_clone3, [of(&arguments), size_of_val(&arguments)])? {
            0 => become_program(case.evil()),
            child => sys::wait(i32::try_from(child).map_err(io::Error::other)?),
        }
    }),
    start("X17", "an orphan in a session of its own", |case| {
        let path = case.evil();
        let child = sys::fork(|| {
            call(libc::SYS_setsid, [])?;
            // SAFETY: this program has one thread here.
            match unsafe { libc::fork() } {
                0 => become_program(path),
                _ => Ok(()),
            }
        })?;
        sys::wait(child)
    }),
    start("X21a", "more arguments than anybody reads", |case| {
        let long = "a".repeat(120_000);
        Err(Command::new(case.evil()).args([&long, &long]).exec())
    }),
    start("X21b", "no arguments at all", |case| {
        let path = text(case.evil());
        let nothing = [0_usize];
        call(libc::SYS_execve, [at(&path), of(&nothing), of(&nothing)]).map(drop)
    }),
    start("X22", "under the name of a package manager (prctl)", |case| {
        let name = text("apt-get");
        call(libc::SYS_prctl, [libc::PR_SET_NAME as usize, at(&name)])?;
        become_program(case.evil())
    }),
    start("X23a", "a 32-bit program", |case| become_program(case.path("evil/tool32")))
        .needs("programs of 32 bits"),
    start("X23b", "execve by the gate of 32-bit programs", by_int80)
        .needs("the gate of 32-bit programs"),
    start("X26", "a helper that runs as root for everybody", by_helper).before(|case, gift| {
        gift.user = Some(65_534);
        fs::copy(env::current_exe()?, case.desk("helper"))?;
        fs::set_permissions(case.desk("helper"), Permissions::from_mode(0o4755))?;
        fs::set_permissions(case.evil(), Permissions::from_mode(0o700))
    }),
];

fn by_helper(case: &Case) -> io::Result<()> {
    Err(Command::new(case.desk("helper")).arg("start").arg(case.evil()).exec())
}

/// A child by the old call, without memory of its own.
fn by_clone(case: &Case, flags: i32) -> io::Result<()> {
    let path = text(case.evil());
    let (arguments, variables) = ([at(&path), 0], [0_usize]);
    const CLONE: usize = 56;
    // The child shares this stack: no function may return in it.
    let answer: usize;
    // SAFETY: the child makes two system calls and ends; the parent waits until then.
    unsafe {
        std::arch::asm!(
            "syscall", "test rax, rax", "jnz 2f",
            "mov rdi, r12", "mov rsi, r13", "mov rdx, r14", "mov eax, 59", "syscall",
            "mov edi, 1", "mov eax, 60", "syscall",
            "2:",
            inlateout("rax") CLONE => answer,
            in("rdi") (flags | libc::SIGCHLD) as usize, in("rsi") 0_usize, in("rdx") 0_usize,
            in("r10") 0_usize, in("r8") 0_usize,
            in("r12") at(&path), in("r13") of(&arguments), in("r14") of(&variables),
            lateout("rcx") _, lateout("r11") _,
        );
    }
    sys::wait(i32::try_from(answer.cast_signed()).map_err(io::Error::other)?)
}

/// In a user namespace there is a list of formats of one's own.
fn by_format(case: &Case) -> io::Result<()> {
    sys::own_users()?;
    sys::unshare(libc::CLONE_NEWNS)?;
    let place: PathBuf = case.desk("formats");
    fs::create_dir(&place)?;
    sys::mount("none", &place, "binfmt_misc", 0, "")?;
    let format = format!(":evasion:E::evasion::{}:", case.evil().display());
    fs::write(place.join("register"), format)?;
    elf::put(&case.desk("document.evasion"), b"text\n")?;
    become_program(case.desk("document.evasion"))
}

fn by_int80(case: &Case) -> io::Result<()> {
    const EXECVE_OF_32_BIT: usize = 11;
    let path = text(case.evil());
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
    let low = call(libc::SYS_mmap, [0, 4096, 3, flags as usize, usize::MAX, 0])?;
    sys::store(low as *mut u8, path.as_bytes_with_nul());
    // A list of one argument and its end, and an empty list, 32-bit pointers all.
    let pointer = u32::try_from(low).map_err(io::Error::other)?.to_ne_bytes();
    sys::store((low + 2048) as *mut u8, &[&pointer[..], &[0; 12]].concat());
    let mut answer = EXECVE_OF_32_BIT;
    // SAFETY: everything lies below 4 GiB; rbx is put back; the gate may clear r8 to r11.
    unsafe {
        std::arch::asm!(
            "xchg rbx, r12", "int 0x80", "xchg rbx, r12",
            inout("r12") low => _, inout("rax") answer,
            in("rcx") low + 2048, in("rdx") low + 2052,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    Err(io::Error::other(format!("the gate answered {answer:#x}")))
}
