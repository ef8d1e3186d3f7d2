//! N10 to N13, N25 to N27: connections that no `connect` makes, rings, and sockets of others.

use std::{
    io,
    net::{Ipv4Addr, TcpStream, UdpSocket},
    os::fd::OwnedFd,
};

use io_uring::{opcode, types};

use super::{connect, message, option, payload, send, send_to, socket, tcp, udp, v4, v6};
use crate::{
    case::{Case, PAYLOAD},
    file::{receive_descriptor, send_descriptor, take_descriptor},
    gift::Gift,
    ring::{self, Who},
    sink::{APPROVED, FAR, FAR6, PORT},
    sys::{self, call, fd, of},
    trick::{Expect, Trick, reach},
};

const FROM_BEFORE: Expect =
    Expect::Limit("a socket that was connected before the session began is not judged");
const PASSED: Expect = Expect::Limit("sockets that others pass on are not judged");
const MPTCP: i32 = 262;

pub(crate) const TRICKS: &[Trick] = &[
    reach("N10a", "TCP Fast Open by sendto", |_| fast(&tcp()?)),
    reach("N10b", "TCP Fast Open over IPv6", |_| {
        let socket = socket(libc::AF_INET6, libc::SOCK_STREAM, 0)?;
        send_to(&socket, libc::MSG_FASTOPEN, &v6(FAR6, PORT))
    }),
    reach("N10c", "TCP Fast Open by sendmsg", |_| {
        let (vector, address) = (payload(), v4(FAR, PORT));
        let message = message(&vector, &address);
        call(libc::SYS_sendmsg, [fd(&tcp()?), of(&message), libc::MSG_FASTOPEN as usize]).map(drop)
    }),
    reach("N10d", "TCP Fast Open by io_uring", |_| {
        let (vector, address) = (payload(), v4(FAR, PORT));
        let message = message(&vector, &address);
        let flags = libc::MSG_FASTOPEN as u32;
        ring_send(&tcp()?, &message, flags, Who::Submitter)
    }),
    reach("N10e", "TCP Fast Open by sendmmsg", |_| {
        let (vector, address) = (payload(), v4(FAR, PORT));
        let messages = [libc::mmsghdr { msg_hdr: message(&vector, &address), msg_len: 0 }];
        let flags = libc::MSG_FASTOPEN as usize;
        call(libc::SYS_sendmmsg, [fd(&tcp()?), of(&messages), 1, flags]).map(drop)
    }),
    reach("N11", "TCP Fast Open at connect", |_| {
        let socket = tcp()?;
        option(&socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, 1)?;
        connect(&socket, &v4(FAR, PORT))?;
        send(&socket)
    }),
    reach("N12a", "MPTCP", |_| {
        let socket = socket(libc::AF_INET, libc::SOCK_STREAM, MPTCP)?;
        connect(&socket, &v4(FAR, PORT))?;
        send(&socket)
    })
    .needs("MPTCP"),
    reach("N12b", "MPTCP over IPv6", |_| {
        let socket = socket(libc::AF_INET6, libc::SOCK_STREAM, MPTCP)?;
        connect(&socket, &v6(FAR6, PORT))?;
        send(&socket)
    })
    .needs("MPTCP"),
    reach("N13", "MPTCP with Fast Open", |_| {
        fast(&socket(libc::AF_INET, libc::SOCK_STREAM, MPTCP)?)
    })
    .needs("MPTCP, Linux 6.2"),
    reach("N25a", "io_uring connect", |_| ring_connect(Who::Submitter)),
    reach("N25b", "io_uring connect by a worker", |_| ring_connect(Who::Worker)),
    reach("N25c", "io_uring connect by a polling thread", |_| ring_connect(Who::Poller)),
    reach("N25d", "io_uring sendmsg", |_| ring_message(Who::Submitter)),
    reach("N25e", "io_uring sendmsg by a worker", |_| ring_message(Who::Worker)),
    reach("N25f", "io_uring sendmsg by a polling thread", |_| ring_message(Who::Poller)),
    reach("N25g", "io_uring send with an address, no copy", |_| {
        let (socket, address) = (udp()?, v4(FAR, PORT));
        let length = u32::try_from(PAYLOAD.len()).map_err(io::Error::other)?;
        let entry = opcode::SendZc::new(types::Fd(number(&socket)), PAYLOAD.as_ptr(), length)
            .dest_addr((&raw const address).cast())
            .dest_addr_len(16)
            .build();
        ring::submit(&mut ring::ring(Who::Submitter)?, &[entry]).map(drop)
    })
    .needs("Linux 6.0"),
    reach("N25h", "io_uring makes the socket and connects it", by_ring_alone).needs("Linux 5.19"),
    reach("N26a", "a connected TCP socket from before", |case| send(&case.gift(0)))
        .before(leave_stream)
        .payload()
        .both(FROM_BEFORE),
    reach("N26b", "a connected UDP socket from before", |case| send(&case.gift(0)))
        .before(|_, gift| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect((FAR, PORT))?;
            gift.leave(socket);
            Ok(())
        })
        .both(FROM_BEFORE),
    reach("N26c", "splice into a connected socket from before", |case| {
        let (reader, writer) = sys::pipe()?;
        call(libc::SYS_write, [fd(&writer), of(PAYLOAD), PAYLOAD.len()])?;
        let socket = case.gift(0);
        let arguments = [fd(&reader), 0, fd(&socket), 0, PAYLOAD.len(), 0];
        call(libc::SYS_splice, arguments).map(drop)
    })
    .before(leave_stream)
    .payload()
    .both(FROM_BEFORE),
    reach("N26d", "an unconnected UDP socket from before", |case| {
        send_to(&case.gift(0), 0, &v4(FAR, PORT))
    })
    .before(|_, gift| {
        gift.leave(UdpSocket::bind("0.0.0.0:0")?);
        Ok(())
    }),
    reach("N26e", "an unconnected TCP socket from before", |case| {
        let socket = case.gift(0);
        connect(&socket, &v4(FAR, PORT))?;
        send(&socket)
    })
    .before(|_, gift| {
        gift.leave(tcp()?);
        Ok(())
    }),
    reach("N26f", "a socket connected to an approved peer from before, connected anew", |case| {
        let socket = case.gift(0);
        let mut nowhere = v4(Ipv4Addr::UNSPECIFIED, 0);
        nowhere.sin_family = 0;
        connect(&socket, &nowhere)?;
        connect(&socket, &v4(FAR, PORT))?;
        send(&socket)
    })
    .before(|_, gift| {
        gift.leave(TcpStream::connect((Ipv4Addr::LOCALHOST, APPROVED))?);
        Ok(())
    }),
    reach("N27a", "a connected socket passed by SCM_RIGHTS", |case| {
        send(&receive_descriptor(&case.gift(0))?)
    })
    .before(pass_stream)
    .payload()
    .both(PASSED),
    reach("N27b", "a connected socket taken by pidfd_getfd", |case| {
        send(&take_descriptor(case.number(0)?, case.number(1)?)?)
    })
    .before(hold_stream)
    .payload()
    .both(PASSED),
];

fn number(socket: &OwnedFd) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(socket)
}

fn fast(socket: &OwnedFd) -> io::Result<()> {
    send_to(socket, libc::MSG_FASTOPEN, &v4(FAR, PORT))
}

fn ring_connect(who: Who) -> io::Result<()> {
    let (socket, address) = (tcp()?, v4(FAR, PORT));
    let target = types::Fd(number(&socket));
    let entry = opcode::Connect::new(target, (&raw const address).cast(), 16).build();
    ring::submit(&mut ring::ring(who)?, &[entry.flags(ring::flags(who))])?;
    send(&socket)
}

fn ring_message(who: Who) -> io::Result<()> {
    let (vector, address) = (payload(), v4(FAR, PORT));
    ring_send(&udp()?, &message(&vector, &address), 0, who)
}

fn ring_send(socket: &OwnedFd, message: &libc::msghdr, flags: u32, who: Who) -> io::Result<()> {
    let target = types::Fd(number(socket));
    let entry = opcode::SendMsg::new(target, std::ptr::from_ref(message)).flags(flags).build();
    ring::submit(&mut ring::ring(who)?, &[entry.flags(ring::flags(who))]).map(drop)
}

fn by_ring_alone(_: &Case) -> io::Result<()> {
    let mut ring = ring::ring(Who::Submitter)?;
    let make = opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0).build();
    let socket = sys::owned(Ok(ring::submit(&mut ring, &[make])? as usize))?;
    let (address, target) = (v4(FAR, PORT), types::Fd(number(&socket)));
    let go = opcode::Connect::new(target, (&raw const address).cast(), 16).build();
    ring::submit(&mut ring, &[go])?;
    let length = u32::try_from(PAYLOAD.len()).map_err(io::Error::other)?;
    let say = opcode::Send::new(target, PAYLOAD.as_ptr(), length).build();
    ring::submit(&mut ring, &[say]).map(drop)
}

fn leave_stream(_: &Case, gift: &mut Gift) -> io::Result<()> {
    gift.leave(TcpStream::connect((FAR, PORT))?);
    Ok(())
}

fn pass_stream(_: &Case, gift: &mut Gift) -> io::Result<()> {
    let (ours, theirs) = sys::socket_pair()?;
    gift.hold(move |ready| {
        send_descriptor(&ours, &TcpStream::connect((FAR, PORT))?)?;
        std::mem::forget(ours);
        io::Write::write_all(ready, b"ready\n")
    })?;
    gift.leave(theirs);
    Ok(())
}

fn hold_stream(_: &Case, gift: &mut Gift) -> io::Result<()> {
    let holder = gift.hold(|ready| {
        let socket = TcpStream::connect((FAR, PORT))?;
        io::Write::write_all(ready, format!("{}\n", fd(&socket)).as_bytes())?;
        std::mem::forget(socket);
        Ok(())
    })?;
    gift.say(holder.pid);
    gift.say(holder.said);
    Ok(())
}
