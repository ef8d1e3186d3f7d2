//! Connecting and sending in every way, with the canary word as the cargo.

use std::{
    io,
    mem::MaybeUninit,
    net::{IpAddr, SocketAddr, SocketAddrV6},
    os::fd::{AsRawFd, OwnedFd},
};

use crate::{
    arguments::{ConnectHow, SendHow},
    call::{check, descriptor},
    uring::{self, Ring},
};

const WORD: &[u8] = b"canary";

/// `AF_INET` and `AF_INET6` as an address spells them, and how long the two addresses are.
const FAMILY_V4: libc::sa_family_t = 2;
const FAMILY_V6: libc::sa_family_t = 10;
const LENGTH_V4: libc::socklen_t = 16;
const LENGTH_V6: libc::socklen_t = 28;

/// Connects a socket and sends the canary word through it.
pub(crate) fn connect(peer: SocketAddr, how: ConnectHow) -> io::Result<()> {
    let (kind, peer) = match how {
        ConnectHow::Udp => (libc::SOCK_DGRAM, peer),
        ConnectHow::Mapped => (libc::SOCK_STREAM, mapped(peer)),
        ConnectHow::MappedUdp => (libc::SOCK_DGRAM, mapped(peer)),
        ConnectHow::Nonblock => (libc::SOCK_STREAM | libc::SOCK_NONBLOCK, peer),
        _ => (libc::SOCK_STREAM, peer),
    };
    let socket = socket(&peer, kind)?;
    let name = Name::of(peer);
    match how {
        ConnectHow::Fastopen => return send_to(&socket, Some(&name), libc::MSG_FASTOPEN),
        ConnectHow::Uring => {
            uring::connect(&socket, name.pointer(), name.length, Ring::Plain)?;
        }
        ConnectHow::UringAsync => {
            uring::connect(&socket, name.pointer(), name.length, Ring::Async)?;
        }
        ConnectHow::Nonblock => patiently(&socket, connect_socket(&socket, &name))?,
        _ => connect_socket(&socket, &name)?,
    }
    send_to(&socket, None, 0)
}

/// Sends one datagram that carries the canary word.
pub(crate) fn send(
    peer: SocketAddr,
    how: SendHow,
    elsewhere: Option<SocketAddr>,
) -> io::Result<()> {
    let peer = if how == SendHow::V4OnV6 { mapped(peer) } else { peer };
    let socket = socket(&peer, libc::SOCK_DGRAM)?;
    let name = Name::of(peer);
    match how {
        SendHow::Sendto | SendHow::V4OnV6 => send_to(&socket, Some(&name), 0),
        SendHow::ConnectedElsewhere => {
            let elsewhere = elsewhere.ok_or_else(|| io::Error::other("needs --elsewhere"))?;
            connect_socket(&socket, &Name::of(elsewhere))?;
            send_to(&socket, Some(&name), 0)
        }
        SendHow::Sendmsg | SendHow::Sendmmsg | SendHow::Uring => send_message(&socket, &name, how),
    }
}

fn send_message(socket: &OwnedFd, name: &Name, how: SendHow) -> io::Result<()> {
    let mut cargo = libc::iovec { iov_base: WORD.as_ptr().cast_mut().cast(), iov_len: WORD.len() };
    // SAFETY: all zeroes is an empty message.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_name = name.pointer().cast_mut().cast();
    message.msg_namelen = name.length;
    message.msg_iov = &raw mut cargo;
    message.msg_iovlen = 1;
    match how {
        SendHow::Uring => uring::send(socket, &raw const message),
        SendHow::Sendmmsg => {
            let mut several = [libc::mmsghdr { msg_hdr: message, msg_len: 0 }];
            // SAFETY: one message, whose parts live until the call returns.
            check(unsafe { libc::sendmmsg(socket.as_raw_fd(), several.as_mut_ptr(), 1, 0) })
                .map(drop)
        }
        // SAFETY: the parts of the message live until the call returns.
        _ => check(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, 0) } as i64)
            .map(drop),
    }
}

/// A socket of the peer's family.
pub(crate) fn socket(peer: &SocketAddr, kind: i32) -> io::Result<OwnedFd> {
    let family = if peer.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: three numbers.
    descriptor(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, 0) })
}

/// `connect`, as the kernel knows it.
pub(crate) fn connect_socket(socket: &OwnedFd, name: &Name) -> io::Result<()> {
    // SAFETY: the name is as long as it says.
    check(unsafe { libc::connect(socket.as_raw_fd(), name.pointer(), name.length) }).map(drop)
}

/// Waits at most two seconds for a connection that was begun.
fn patiently(socket: &OwnedFd, begun: io::Result<()>) -> io::Result<()> {
    const MILLISECONDS: i32 = 2_000;
    match begun {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        other => return other,
    }
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one entry.
    if check(unsafe { libc::poll(&raw mut poll, 1, MILLISECONDS) })? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(())
}

fn send_to(socket: &OwnedFd, name: Option<&Name>, flags: i32) -> io::Result<()> {
    let (pointer, length) =
        name.map_or((std::ptr::null(), 0), |name| (name.pointer(), name.length));
    // SAFETY: word and name are as long as we say; a null name has length 0.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            WORD.as_ptr().cast(),
            WORD.len(),
            flags | libc::MSG_NOSIGNAL,
            pointer,
            length,
        )
    };
    check(sent as i64).map(drop)
}

fn mapped(peer: SocketAddr) -> SocketAddr {
    match peer.ip() {
        IpAddr::V4(address) => {
            SocketAddr::V6(SocketAddrV6::new(address.to_ipv6_mapped(), peer.port(), 0, 0))
        }
        IpAddr::V6(_) => peer,
    }
}

/// A peer's address as the kernel wants it.
pub(crate) struct Name {
    storage: Storage,
    length: libc::socklen_t,
}

enum Storage {
    V4(libc::sockaddr_in),
    V6(libc::sockaddr_in6),
}

impl Name {
    /// Spells the address out.
    pub(crate) fn of(peer: SocketAddr) -> Self {
        match peer {
            SocketAddr::V4(peer) => {
                // SAFETY: all zeroes is a valid address.
                let mut name: libc::sockaddr_in = unsafe { std::mem::zeroed() };
                name.sin_family = FAMILY_V4;
                name.sin_port = peer.port().to_be();
                name.sin_addr.s_addr = u32::from_ne_bytes(peer.ip().octets());
                Self { storage: Storage::V4(name), length: LENGTH_V4 }
            }
            SocketAddr::V6(peer) => {
                // SAFETY: all zeroes is a valid address.
                let mut name: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
                name.sin6_family = FAMILY_V6;
                name.sin6_port = peer.port().to_be();
                name.sin6_addr.s6_addr = peer.ip().octets();
                name.sin6_scope_id = peer.scope_id();
                Self { storage: Storage::V6(name), length: LENGTH_V6 }
            }
        }
    }

    fn pointer(&self) -> *const libc::sockaddr {
        match &self.storage {
            Storage::V4(name) => (&raw const *name).cast(),
            Storage::V6(name) => (&raw const *name).cast(),
        }
    }
}
