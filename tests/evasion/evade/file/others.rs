//! F36 to F48: what other processes, the kernel and devices know of the secret.

use std::{
    env,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::{
        fs::{FileExt, PermissionsExt},
        process::CommandExt,
    },
    path::PathBuf,
    process::Command,
    thread,
    time::Duration,
};

use crate::{
    case::Case,
    file::names::secret_text,
    gift::Gift,
    sys::{self, HERE, at, call, fd, of, text},
    trick::{Expect, Trick, read},
};

const NOT_A_READ: &str = "the secret is not read from a file that the rules name";
const BY_PTRACE: &str =
    "these rules leave ptrace to the agent; `privilege: never: [ptrace]` stops it";

pub(crate) const TRICKS: &[Trick] = &[
    read("F36", "a secret in a file's name, listed", list)
        .before(|case, _| fs::write(case.path("home/.aws").join(secret_text(case)?), ""))
        .both(Expect::Limit(NOT_A_READ)),
    read("F37a", "the environment of another process", |case| {
        case.read_and_give(format!("/proc/{}/environ", case.word(0)?))
    })
    .before(told_in_environment),
    read("F37b", "the arguments of another process", |case| {
        case.read_and_give(format!("/proc/{}/cmdline", case.word(0)?))
    })
    .before(told_in_arguments)
    .both(Expect::Limit(NOT_A_READ)),
    read("F37c", "the environment by the thread's directory", |case| {
        case.read_and_give(format!("/proc/{0}/task/{0}/environ", case.word(0)?))
    })
    .before(told_in_environment),
    read("F38a", "/proc/PID/mem of another process", |case| by_memory(case, "/proc/PID/mem"))
        .before(remembered),
    read("F38b", "/proc/PID/task/TID/mem of another process", |case| {
        by_memory(case, "/proc/PID/task/PID/mem")
    })
    .before(remembered),
    read("F38c", "process_vm_readv", by_vm_read).before(remembered).both(Expect::Limit(BY_PTRACE)),
    read("F38d", "ptrace, word for word", by_ptrace)
        .before(remembered)
        .both(Expect::Limit(BY_PTRACE)),
    read("F39", "the core of another process", by_core)
        .needs("cores in the working directory")
        .before(about_to_dump)
        .both(Expect::Limit(
            "the core is another file, which the kernel writes for somebody who is no agent",
        )),
    read("F40", "a key on a keyring", by_key)
        .needs("keyrings")
        .before(keep_key)
        .both(Expect::Limit(NOT_A_READ)),
    read("F41a", "the disk beneath the file", |case| by_disk(case, &disk(case)?))
        .before(find_on_disk)
        .needs("a file system on a block device")
        .both(Expect::Limit("these rules name no devices; `read: never: [/dev/vd*]` stops it")),
    read("F41b", "the disk by a device node of one's own", by_own_node)
        .before(find_on_disk)
        .needs("a file system on a block device")
        .both(Expect::Limit("a device is known by its name, and this node has another")),
    read("F42", "a copy at another place, made before", |case| {
        case.read_and_give(case.desk("backup"))
    })
    .before(|case, _| fs::copy(case.secret(), case.desk("backup")).map(drop))
    .both(Expect::Limit("a copy is another file: lists must name it, content is not followed")),
    read("F43a", "a program that runs as root for everybody", by_setuid).before(|case, gift| {
        gift.user = Some(65_534);
        fs::set_permissions(case.secret(), fs::Permissions::from_mode(0o600))?;
        fs::copy(env::current_exe()?, case.path("desk/helper"))?;
        fs::set_permissions(case.path("desk/helper"), fs::Permissions::from_mode(0o4755))
    }),
    read("F43b", "another program, started for it", |case| {
        Err(Command::new(twin(case)?).arg("read").arg(case.secret()).exec())
    }),
    read("F43c", "a shell's own words", |case| {
        let words = "while read -r a; do printf '%s\\n' \"$a\"; done < \"$0\" > /proc/self/fd/100";
        let failed = Command::new("/bin/sh").args(["-c", words]).arg(case.secret()).exec();
        Err(failed)
    })
    .needs("/bin/sh"),
    read("F48a", "a fanotify event brings a descriptor", by_fanotify)
        .needs("fanotify")
        .before(keep_opening)
        .react(Expect::Limit("descriptors that an event brings are not judged on this tier")),
];

/// The same program at a place that is no agent's: it stays in the session all the same.
fn twin(case: &Case) -> io::Result<PathBuf> {
    let ground = case.directory().ancestors().nth(2);
    Ok(ground.ok_or_else(|| io::Error::other("a case lies on a ground"))?.join("twin/evade"))
}

fn list(case: &Case) -> io::Result<()> {
    for entry in fs::read_dir(case.path("home/.aws"))? {
        case.give(entry?.file_name().as_encoded_bytes())?;
    }
    Ok(())
}

/// Another process that has been told the secret in this way.
fn told(gift: &mut Gift, mut command: Command) -> io::Result<()> {
    let holder = gift.hold(move |ready| {
        // SAFETY: between fork and exec it makes one system call.
        unsafe { command.pre_exec(sys::die_with_parent) };
        writeln!(ready, "{}", command.spawn()?.id())
    })?;
    gift.say(holder.said);
    Ok(())
}

fn idle() -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("idle");
    Ok(command)
}

fn told_in_environment(case: &Case, gift: &mut Gift) -> io::Result<()> {
    let mut command = idle()?;
    command.env_clear().env("AWS", secret_text(case)?);
    told(gift, command)
}

fn told_in_arguments(case: &Case, gift: &mut Gift) -> io::Result<()> {
    let mut command = idle()?;
    command.arg(secret_text(case)?);
    told(gift, command)
}

/// Another process that has the secret in memory: words are its number, address and length.
fn remembered(case: &Case, gift: &mut Gift) -> io::Result<()> {
    let secret = fs::read(case.secret())?;
    let length = secret.len();
    let holder = gift.hold(move |ready| {
        let memory = sys::memory(4096, libc::PROT_READ | libc::PROT_WRITE)?;
        sys::store(memory, &secret);
        writeln!(ready, "{}", memory as usize)
    })?;
    gift.say(holder.pid);
    gift.say(holder.said);
    gift.say(length);
    Ok(())
}

fn by_memory(case: &Case, path: &str) -> io::Result<()> {
    let file = File::open(path.replace("PID", case.word(0)?))?;
    let mut bytes = vec![0; case.number(2)?];
    file.read_exact_at(&mut bytes, u64::try_from(case.number(1)?).map_err(io::Error::other)?)?;
    case.give(&bytes)
}

fn by_vm_read(case: &Case) -> io::Result<()> {
    let (address, length) = (case.number(1)?, case.number(2)?);
    let mut bytes = vec![0_u8; length];
    let here = [bytes.as_mut_ptr() as usize, length];
    let there = [address, length];
    call(libc::SYS_process_vm_readv, [case.number(0)?, of(&here), 1, of(&there), 1, 0])?;
    case.give(&bytes)
}

fn by_ptrace(case: &Case) -> io::Result<()> {
    const PEEK: usize = 2;
    const SEIZE: usize = 0x4206;
    const INTERRUPT: usize = 0x4207;
    let (pid, address, length) = (case.number(0)?, case.number(1)?, case.number(2)?);
    call(libc::SYS_ptrace, [SEIZE, pid, 0, 0])?;
    call(libc::SYS_ptrace, [INTERRUPT, pid, 0, 0])?;
    call(libc::SYS_wait4, [pid, 0, 0x4000_0000, 0])?; // __WALL
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let mut word = 0_usize;
        let arguments = [PEEK, pid, address + bytes.len(), sys::into(&mut word)];
        call(libc::SYS_ptrace, arguments)?;
        bytes.extend(word.to_ne_bytes());
    }
    case.give(&bytes)
}

fn about_to_dump(case: &Case, gift: &mut Gift) -> io::Result<()> {
    if fs::read_to_string("/proc/sys/kernel/core_pattern")?.trim() != "core" {
        return Err(io::Error::other("cores are not written to the working directory here"));
    }
    let (secret, desk) = (fs::read(case.secret())?, case.path("desk"));
    let holder = gift.hold(move |ready| {
        env::set_current_dir(desk)?;
        let limit = [u64::MAX, u64::MAX];
        call(libc::SYS_prlimit64, [0, libc::RLIMIT_CORE as usize, of(&limit), 0])?;
        let memory = sys::memory(4096, libc::PROT_READ | libc::PROT_WRITE)?;
        sys::store(memory, &secret);
        ready.write_all(b"ready\n")
    })?;
    gift.say(holder.pid);
    Ok(())
}

fn by_core(case: &Case) -> io::Result<()> {
    const GLANCES: u32 = 200;
    sys::kill(i32::try_from(case.number(0)?).map_err(io::Error::other)?, libc::SIGQUIT)?;
    for _ in 0..GLANCES {
        thread::sleep(Duration::from_millis(10));
        for entry in fs::read_dir(case.path("desk"))? {
            let path = entry?.path();
            let core =
                path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"core"));
            let bytes = if core { fs::read(&path)? } else { Vec::new() };
            let word = b"[default]\naws";
            // The program's own text has this word as well.
            let mut found = false;
            for place in 0..bytes.len().saturating_sub(64) {
                if bytes[place..].starts_with(word) {
                    case.give(&bytes[place..place + 64])?;
                    found = true;
                }
            }
            if found {
                return Ok(());
            }
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn keep_key(case: &Case, gift: &mut Gift) -> io::Result<()> {
    let secret = fs::read(case.secret())?;
    let session = text("driftwatch-evasion");
    call(libc::SYS_keyctl, [1, at(&session)])?; // a session keyring of one's own, inherited
    let (kind, name) = (text("user"), text("driftwatch-evasion"));
    let session = -3_i32 as usize;
    let key =
        call(libc::SYS_add_key, [at(&kind), at(&name), of(&secret[..]), secret.len(), session])?;
    gift.say(key);
    Ok(())
}

fn by_key(case: &Case) -> io::Result<()> {
    const READ: usize = 11;
    let mut bytes = [0_u8; 256];
    let length = call(libc::SYS_keyctl, [READ, case.number(0)?, sys::into(&mut bytes), 256])?;
    case.give(&bytes[..length.min(256)])
}

/// Where the file lies on its disk: words are major, minor and offset.
fn find_on_disk(case: &Case, gift: &mut Gift) -> io::Result<()> {
    const FIEMAP: usize = 0xc020_660b;
    let file = File::open(case.secret())?;
    file.sync_all()?;
    // Header of 32 bytes, one extent of 56: logical, physical, length, …
    let mut map = [0_u64; 11];
    map[1] = u64::MAX;
    map[2] = 1; // first flag: synchronised
    map[3] = 1; // room for one extent
    call(libc::SYS_ioctl, [fd(&file), FIEMAP, sys::into(&mut map)])?;
    if map[5] == 0 {
        return Err(io::Error::other("the file is nowhere on a disk"));
    }
    let device = std::os::unix::fs::MetadataExt::dev(&file.metadata()?);
    gift.say(libc::major(device));
    gift.say(libc::minor(device));
    gift.say(map[5]);
    Ok(())
}

/// The node that the host has for the device.
fn disk(case: &Case) -> io::Result<PathBuf> {
    let name = fs::read_link(format!("/sys/dev/block/{}:{}", case.word(0)?, case.word(1)?))?;
    let name = name.file_name().ok_or_else(|| io::Error::other("a device has a name"))?;
    Ok(PathBuf::from("/dev").join(name))
}

fn by_disk(case: &Case, node: &std::path::Path) -> io::Result<()> {
    let file = File::open(node)?;
    let mut bytes = [0; 4096];
    file.read_exact_at(&mut bytes, case.word(2)?.parse().map_err(io::Error::other)?)?;
    case.give(&bytes[..64])
}

fn by_own_node(case: &Case) -> io::Result<()> {
    let major = u32::try_from(case.number(0)?).map_err(io::Error::other)?;
    let minor = u32::try_from(case.number(1)?).map_err(io::Error::other)?;
    let device = usize::try_from(libc::makedev(major, minor)).map_err(io::Error::other)?;
    let node = text(case.desk("node"));
    call(libc::SYS_mknodat, [HERE, at(&node), (libc::S_IFBLK | 0o600) as usize, device])?;
    by_disk(case, &case.desk("node"))
}

fn by_setuid(case: &Case) -> io::Result<()> {
    Err(Command::new(case.desk("helper")).arg("read").arg(case.secret()).exec())
}

fn keep_opening(case: &Case, gift: &mut Gift) -> io::Result<()> {
    let secret = case.secret();
    gift.hold(move |ready| {
        ready.write_all(b"ready\n")?;
        loop {
            File::open(&secret)?.read_exact(&mut [0; 1])?;
            thread::sleep(Duration::from_millis(10));
        }
    })?;
    Ok(())
}

fn by_fanotify(case: &Case) -> io::Result<()> {
    const ADD: usize = 1;
    const OPEN: usize = 0x20;
    let group = sys::owned(call(libc::SYS_fanotify_init, [0, 0]))?;
    let path = text(case.secret());
    call(libc::SYS_fanotify_mark, [fd(&group), ADD, OPEN, HERE, at(&path)])?;
    let mut event = [0_u32; 6]; // length; version and lengths; mask; descriptor; process
    call(libc::SYS_read, [fd(&group), sys::into(&mut event), 24])?;
    case.give_all(File::from(sys::owned(Ok(event[4] as usize))?))
}
