//! F19 to F26, F33, F45: what was open before, what others open and pass on, and ways to read that are
//! not `read`.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    thread,
    time::Duration,
};

use crate::{
    case::{COLLECTOR, Case},
    gift::Gift,
    sys::{self, HERE, at, call, fd, of, text},
    trick::{Expect, Trick, read},
};

const PASSED: &str = "descriptors that others pass on are not judged on this tier";
const TAKEN: &str = "descriptors that are taken from others are not judged on this tier, unless \
                     `privilege: never: [ptrace]` is";

pub(crate) const TRICKS: &[Trick] = &[
    read("F19a", "a descriptor from before", |case| case.give_all(File::from(case.gift(0))))
        .before(leave_open),
    read("F19b", "a descriptor from before, mapped", |case| map_and_give(case, &case.gift(0)))
        .before(leave_open),
    read("F19c", "an O_PATH descriptor from before, opened again", |case| {
        let gift = case.gift(0);
        case.read_and_give(format!("/proc/self/fd/{}", fd(&gift)))
    })
    .before(|case, gift| {
        gift.leave(sys::open(case.secret(), libc::O_PATH)?);
        Ok(())
    }),
    read("F19d", "a directory's descriptor from before, openat", |case| {
        let file = sys::open_below(fd(&case.gift(0)), "credentials", libc::O_RDONLY)?;
        case.give_all(File::from(file))
    })
    .before(|case, gift| {
        gift.leave(sys::open(case.path("home/.aws"), libc::O_RDONLY | libc::O_DIRECTORY)?);
        Ok(())
    }),
    read("F19e", "a descriptor from before, opened again by /proc", |case| {
        let gift = case.gift(0);
        case.read_and_give(format!("/proc/self/fd/{}", fd(&gift)))
    })
    .before(leave_open),
    read("F20", "a mapping from before", map_early)
        .early()
        .both(Expect::Limit("memory that was mapped before the session began cannot be seen")),
    read("F21a", "a descriptor passed by SCM_RIGHTS, socket from before", |case| {
        case.give_all(File::from(receive(&case.gift(0))?))
    })
    .before(pass_by_pair)
    .react(Expect::Limit(PASSED)),
    read("F21b", "a descriptor passed by SCM_RIGHTS, socket by name", |case| {
        let socket = UnixStream::connect(case.desk("socket"))?;
        case.give_all(File::from(receive(&socket)?))
    })
    .before(pass_by_name)
    .react(Expect::Limit(PASSED)),
    read("F21c", "a descriptor put in by a seccomp supervisor", by_seccomp).before(supervise),
    read("F22", "pidfd_getfd", by_pidfd).before(hold_open).react(Expect::Limit(TAKEN)),
    read("F23a", "/proc/PID/fd of another process", |case| {
        case.read_and_give(format!("/proc/{}/fd/{}", case.word(0)?, case.word(1)?))
    })
    .before(hold_open),
    read("F23b", "/proc/PID/map_files of another process", |case| {
        case.read_and_give(format!("/proc/{}/map_files/{}", case.word(0)?, case.word(1)?))
    })
    .before(hold_mapped),
    read("F24a", "mmap", |case| map_and_give(case, &File::open(case.secret())?)),
    read("F24b", "mmap, populated, executable", |case| {
        let file = File::open(case.secret())?;
        let flags = libc::MAP_PRIVATE | libc::MAP_POPULATE;
        case.give(sys::seen(sys::map(&file, 64, libc::PROT_READ | libc::PROT_EXEC, flags)?, 64))
    }),
    read("F25a", "sendfile", |case| {
        let file = File::open(case.secret())?;
        call(libc::SYS_sendfile, [COLLECTOR as usize, fd(&file), 0, 4096]).map(drop)
    }),
    read("F25b", "splice", |case| {
        let file = File::open(case.secret())?;
        call(libc::SYS_splice, [fd(&file), 0, COLLECTOR as usize, 0, 4096, 0]).map(drop)
    }),
    read("F25c", "copy_file_range, then the copy", |case| {
        let (file, copy) = (File::open(case.secret())?, File::create(case.desk("copy"))?);
        call(libc::SYS_copy_file_range, [fd(&file), 0, fd(&copy), 0, 4096, 0])?;
        case.read_and_give(case.desk("copy"))
    }),
    read("F25d", "splice and tee through a pipe of one's own", by_tee),
    read("F26", "native asynchronous I/O", by_aio),
    read("F33a", "open by the gate of 32-bit programs", by_int80)
        .needs("the gate of 32-bit programs"),
    read("F45a", "the path changes in memory while it is opened", flip_memory),
    read("F45b", "a link changes while it is opened", flip_link),
    read("F45c", "a directory is exchanged while it is opened", flip_directory),
];

fn leave_open(case: &Case, gift: &mut Gift) -> io::Result<()> {
    gift.leave(File::open(case.secret())?);
    Ok(())
}

fn map_and_give(case: &Case, file: &impl AsRawFd) -> io::Result<()> {
    case.give(sys::seen(sys::map(file, 64, libc::PROT_READ, libc::MAP_PRIVATE)?, 64))
}

/// The daemon comes when the mapping is there already.
fn map_early(case: &Case) -> io::Result<()> {
    let file = File::open(case.secret())?;
    let memory = sys::map(&file, 64, libc::PROT_READ, libc::MAP_SHARED)?;
    drop(file);
    case.wait_for_go()?;
    case.give(sys::seen(memory, 64))
}

/// A message with one descriptor, as the kernel has it on 64-bit machines.
#[repr(C)]
struct Passed {
    length: usize,
    level: i32,
    kind: i32,
    descriptor: i32,
    end: i32,
}

impl Passed {
    fn new(descriptor: i32) -> Self {
        Self { length: 20, level: libc::SOL_SOCKET, kind: libc::SCM_RIGHTS, descriptor, end: 0 }
    }
}

/// Sends a descriptor over a UNIX socket, or takes one, by this call.
fn pass(number: i64, socket: &impl AsRawFd, passed: &mut Passed) -> io::Result<()> {
    let mut byte = [0_u8];
    let vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // SAFETY: all zeroes is a valid message of nothing.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = std::ptr::from_ref(&vector).cast_mut();
    message.msg_iovlen = 1;
    message.msg_control = std::ptr::from_mut(passed).cast();
    message.msg_controllen = size_of::<Passed>();
    call(number, [fd(socket), sys::into(&mut message), 0]).map(drop)
}

/// Passes a descriptor on.
pub(crate) fn send(socket: &impl AsRawFd, descriptor: &impl AsRawFd) -> io::Result<()> {
    pass(libc::SYS_sendmsg, socket, &mut Passed::new(descriptor.as_raw_fd()))
}

/// Takes a descriptor that is passed on.
pub(crate) fn receive(socket: &impl AsRawFd) -> io::Result<OwnedFd> {
    let mut passed = Passed::new(-1);
    pass(libc::SYS_recvmsg, socket, &mut passed)?;
    if passed.descriptor < 0 {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    // SAFETY: the kernel has just put it into our table.
    Ok(unsafe { OwnedFd::from_raw_fd(passed.descriptor) })
}

fn pass_by_pair(case: &Case, gift: &mut Gift) -> io::Result<()> {
    let (ours, theirs) = sys::socket_pair()?;
    let secret = case.secret();
    gift.hold(move |ready| {
        send(&ours, &File::open(secret)?)?;
        // Kept open: what is under way would be lost with it.
        std::mem::forget(ours);
        ready.write_all(b"ready\n")
    })?;
    gift.leave(theirs);
    Ok(())
}

fn pass_by_name(case: &Case, gift: &mut Gift) -> io::Result<()> {
    let (place, secret) = (case.desk("socket"), case.secret());
    gift.hold(move |ready| {
        let listener = UnixListener::bind(place)?;
        ready.write_all(b"ready\n")?;
        let (socket, _) = listener.accept()?;
        send(&socket, &File::open(secret)?)?;
        thread::sleep(Duration::from_secs(60));
        Ok(())
    })?;
    Ok(())
}

fn hold_open(case: &Case, gift: &mut Gift) -> io::Result<()> {
    let secret = case.secret();
    let holder = gift.hold(move |ready| {
        let file = File::open(secret)?;
        writeln!(ready, "{}", fd(&file))?;
        std::mem::forget(file);
        Ok(())
    })?;
    gift.say(holder.pid);
    gift.say(holder.said);
    Ok(())
}

/// A descriptor of another process's, taken.
pub(crate) fn take(pid: usize, number: usize) -> io::Result<OwnedFd> {
    let process = sys::owned(call(libc::SYS_pidfd_open, [pid, 0]))?;
    sys::owned(call(libc::SYS_pidfd_getfd, [fd(&process), number, 0]))
}

fn by_pidfd(case: &Case) -> io::Result<()> {
    case.give_all(File::from(take(case.number(0)?, case.number(1)?)?))
}

fn hold_mapped(case: &Case, gift: &mut Gift) -> io::Result<()> {
    let secret = case.secret();
    let holder = gift.hold(move |ready| {
        let memory = sys::map(&File::open(secret)?, 64, libc::PROT_READ, libc::MAP_PRIVATE)?;
        let begin = memory as usize;
        writeln!(ready, "{begin:x}-{:x}", begin + 4096)
    })?;
    gift.say(holder.pid);
    gift.say(holder.said);
    Ok(())
}

fn by_tee(case: &Case) -> io::Result<()> {
    let file = File::open(case.secret())?;
    let (reader, writer) = sys::pipe()?;
    call(libc::SYS_splice, [fd(&file), 0, fd(&writer), 0, 4096, 0])?;
    call(libc::SYS_tee, [fd(&reader), COLLECTOR as usize, 4096, 0]).map(drop)
}

fn by_aio(case: &Case) -> io::Result<()> {
    let (file, mut context) = (File::open(case.secret())?, 0_usize);
    call(libc::SYS_io_setup, [1, sys::into(&mut context)])?;
    let mut bytes = [0_u8; 64];
    // Data, key and flags; operation 0 is a read; descriptor; buffer, length, offset; the rest.
    let number = u64::try_from(fd(&file)).map_err(io::Error::other)?;
    let buffer = sys::into(&mut bytes) as u64;
    let request = [0_u64, 0, number << 32, buffer, 64, 0, 0, 0];
    let requests = [of(&request)];
    call(libc::SYS_io_submit, [context, 1, of(&requests)])?;
    let mut event = [0_u64; 4];
    call(libc::SYS_io_getevents, [context, 1, 1, sys::into(&mut event), 0])?;
    case.give(&bytes)
}

fn by_int80(case: &Case) -> io::Result<()> {
    const OPEN_OF_32_BIT: usize = 5;
    let path = text(case.secret());
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
    let low = call(libc::SYS_mmap, [0, 4096, 3, flags as usize, usize::MAX, 0])?;
    sys::store(low as *mut u8, path.as_bytes_with_nul());
    let mut answer = OPEN_OF_32_BIT;
    // SAFETY: the path lies below 4 GiB; rbx is put back; the gate may clear r8 to r11.
    unsafe {
        std::arch::asm!(
            "xchg rbx, r12", "int 0x80", "xchg rbx, r12",
            inout("r12") low => _, inout("rax") answer, in("rcx") 0_usize, in("rdx") 0_usize,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    let file =
        sys::owned(i32::try_from(answer).map(|number| number as usize).map_err(io::Error::other))?;
    case.give_all(File::from(file))
}

/// Opens the flickering path again and again until it was the secret.
fn until_secret(case: &Case, mut open: impl FnMut() -> io::Result<OwnedFd>) -> io::Result<()> {
    const TRIES: u32 = 50_000;
    for _ in 0..TRIES {
        let mut text = String::new();
        if open().is_ok_and(|file| File::from(file).read_to_string(&mut text).is_ok())
            && text.contains("AKIA")
        {
            return case.give(text.as_bytes());
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn flip_memory(case: &Case) -> io::Result<()> {
    // Two names of one length: a glance at the memory finds the one, the kernel the other.
    std::os::unix::fs::symlink(case.secret(), case.desk("bad"))?;
    std::os::unix::fs::symlink(case.path("home/notes.txt"), case.desk("odd"))?;
    let path = text(case.desk("bad")).into_bytes_with_nul();
    let memory = sys::memory(4096, libc::PROT_READ | libc::PROT_WRITE)?;
    sys::store(memory, &path);
    let (place, name) = (memory as usize, path.len() - 4);
    thread::spawn(move || {
        loop {
            for word in [b"odd", b"bad"] {
                sys::store((place + name) as *mut u8, word);
            }
        }
    });
    until_secret(case, || sys::owned(call(libc::SYS_openat, [HERE, place, 0, 0])))
}

fn flip_link(case: &Case) -> io::Result<()> {
    let (link, other) = (case.desk("link"), case.desk("other"));
    std::os::unix::fs::symlink(case.secret(), &other)?;
    std::os::unix::fs::symlink(case.path("home/notes.txt"), &link)?;
    flip(&link, &other);
    until_secret(case, || sys::open(&link, 0))
}

fn flip_directory(case: &Case) -> io::Result<()> {
    let (place, other) = (case.desk("place"), case.path("home/.aws"));
    fs::create_dir(&place)?;
    fs::write(place.join("credentials"), "nothing of interest\n")?;
    flip(&place, &other);
    until_secret(case, || sys::open(place.join("credentials"), 0))
}

/// Exchanges two names for ever.
fn flip(one: &Path, other: &Path) {
    let (one, other) = (text(one), text(other));
    thread::spawn(move || {
        loop {
            let flags = libc::RENAME_EXCHANGE as usize;
            // One that fails is followed by the next.
            let _next = call(libc::SYS_renameat2, [HERE, at(&one), HERE, at(&other), flags]);
        }
    });
}

/// A supervisor that is no agent waits for the listener of the agent's filter, and answers its `openat`
/// with a descriptor of its own.
fn supervise(case: &Case, gift: &mut Gift) -> io::Result<()> {
    let (ours, theirs) = sys::socket_pair()?;
    let secret = case.secret();
    gift.hold(move |ready| {
        ready.write_all(b"ready\n")?;
        let listener = receive(&ours)?;
        let mut request = [0_u64; 10]; // struct seccomp_notif: id, pid and flags, data
        call(libc::SYS_ioctl, [fd(&listener), 0xc050_2100, sys::into(&mut request)])?;
        let file = File::open(secret)?;
        // struct seccomp_notif_addfd: id, flags (2: and answer with it), source, new number, its flags.
        let source = u64::try_from(fd(&file)).map_err(io::Error::other)?;
        let answer = [request[0], 2 | (source << 32), 0];
        call(libc::SYS_ioctl, [fd(&listener), 0x4018_2103, of(&answer)]).map(drop)
    })?;
    gift.leave(theirs);
    Ok(())
}

fn by_seccomp(case: &Case) -> io::Result<()> {
    const SYS_OPEN: u32 = 2;
    // Load the number; `open` waits for the supervisor; all else is allowed.
    let filter = [
        libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 },
        libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: SYS_OPEN },
        libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_USER_NOTIF },
        libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_ptr().cast_mut() };
    let listen = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let listen = usize::try_from(listen).map_err(io::Error::other)?;
    let listener = sys::owned(call(libc::SYS_seccomp, [1, listen, of(&program)]))?;
    send(&case.gift(0), &listener)?;
    let path = text(case.path("home/notes.txt"));
    let file = sys::owned(call(libc::SYS_open, [at(&path), 0, 0]))?;
    case.give_all(File::from(file))
}
