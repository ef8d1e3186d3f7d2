//! Sockets: connected, sent from, given an address, listened on. The address is the kernel's own copy, in whatever
//! spelling; families that are no IP, and sockets whose packets are made by whoever sends them, have a peer that
//! nobody knows. UNIX sockets and netlink are no peers.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use monitor_common::net::Call;

use super::{PASS, answer};
use crate::{
    field::{self, Address},
    miss::{self, Missed},
    net::{self, KNOWN, Peer},
    task,
};

// include/linux/socket.h
const AF_UNSPEC: u16 = 0;
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const AF_NETLINK: u16 = 16;
const AF_ALG: u16 = 38;
/// `MSG_FASTOPEN`, the same: data goes out with the first packet, and no connect comes before.
const FAST_OPEN: u32 = 0x2000_0000;
/// `SOCK_RAW`, `SOCK_SEQPACKET` and `SOCK_PACKET`, include/linux/net.h.
const RAW: u16 = 3;
const SEQPACKET: u16 = 5;
const PACKET: u16 = 10;
/// `IPPROTO_*`, include/uapi/linux/in.h.
const TCP: u32 = 6;
const UDP: u32 = 17;
const MPTCP: u32 = 262;

/// What is asked of a socket.
struct Socket {
    sock: Address,
    family: u16,
    kind: u16,
    protocol: u32,
}

impl Socket {
    #[inline(always)]
    fn of(socket: Address) -> Missed<Self> {
        let kind = field::read(socket, &field::SOCKET_TYPE)?;
        Self::of_sock(field::read(socket, &field::SOCKET_SK)?, kind)
    }

    #[inline(always)]
    fn of_sock(sock: Address, kind: u16) -> Missed<Self> {
        let family = field::read(sock, &field::SOCK_FAMILY)?;
        let protocol = u32::from(field::read::<u16>(sock, &field::SOCK_PROTOCOL)?);
        Ok(Self { sock, family, kind, protocol })
    }

    /// Whether it speaks to nobody beyond this host's kernel.
    #[inline(always)]
    const fn is_no_net(&self) -> bool {
        matches!(self.family, AF_UNIX | AF_NETLINK | AF_ALG)
    }

    /// Whether what is sent from it goes where its bytes say, or nobody knows where.
    #[inline(always)]
    const fn is_opaque(&self) -> bool {
        !matches!(self.family, AF_INET | AF_INET6) || matches!(self.kind, RAW | PACKET)
    }

    #[inline(always)]
    const fn is_tcp(&self) -> bool {
        matches!(self.protocol, TCP | MPTCP)
    }
}

/// What a look at a socket comes to.
type Look = Missed<Found>;

/// Whether somebody is reached.
#[derive(Clone, Copy)]
enum Found {
    /// Nobody, or somebody who was judged before.
    Nobody,
    /// The peer is in its place.
    Somebody,
}

/// Puts a `sockaddr` in kernel memory into its place. One without a family has that of its socket.
#[inline(always)]
fn put(place: *mut Peer, socket: &Socket, address: Address) -> Look {
    let mut family: u16 = field::at(address)?;
    if family == AF_UNSPEC {
        family = socket.family;
    }
    // SAFETY: in a claimed slot; here and below.
    let peer = unsafe { &mut *place };
    peer.protocol = socket.protocol;
    peer.port = u16::from_be(field::at(address + 2)?);
    peer.known = KNOWN;
    match family {
        AF_INET => peer.address = net::mapped(field::at(address + 4)?),
        AF_INET6 => peer.address = field::at(address + 8)?,
        _ => peer.known = 0,
    }
    Ok(Found::Somebody)
}

/// The same of a peer: the unspecified address is the host itself.
#[inline(always)]
fn put_peer(place: *mut Peer, socket: &Socket, address: Address) -> Look {
    let found = put(place, socket, address)?;
    // SAFETY: as in `put`.
    unsafe { (*place).address = net::no_unspecified((*place).address) };
    Ok(found)
}

/// A peer that nobody knows.
#[inline(always)]
fn put_unknown(place: *mut Peer, protocol: u32) -> Look {
    // SAFETY: as in `put`.
    unsafe { *place = Peer { address: [0; 16], port: 0, protocol, known: 0 } };
    Ok(Found::Somebody)
}

/// Judges a call by what a look at its socket comes to. What cannot be read is a peer that nobody knows.
#[inline(always)]
fn settle(call: Call, look: impl FnOnce(*mut Peer) -> Look) -> i32 {
    let Some(tag) = task::tag(task::current()) else { return PASS };
    answer(net::with_peer(tag, call, |place| match look(place) {
        Ok(Found::Nobody) => false,
        Ok(Found::Somebody) => true,
        Err(why) => {
            miss::note(why);
            put_unknown(place, 0).is_ok()
        }
    }))
}

/// proto: `int socket_connect(struct socket *sock, struct sockaddr *address, int addrlen)`
#[lsm(hook = "socket_connect")]
pub(crate) fn socket_connect(ctx: LsmContext) -> i32 {
    settle(Call::Connect, |place| connected(place, ctx.arg(0), ctx.arg(1)))
}

#[inline(always)]
fn connected(place: *mut Peer, socket: Address, address: Address) -> Look {
    let socket = Socket::of(socket)?;
    if socket.is_no_net() {
        return Ok(Found::Nobody);
    }
    if socket.is_opaque() {
        return put_unknown(place, socket.protocol);
    }
    if field::at::<u16>(address)? == AF_UNSPEC {
        return Ok(Found::Nobody); // disconnects
    }
    put_peer(place, &socket, address)
}

/// Datagrams with an address, and TCP that connects by sending. What goes over a connection was judged when it was
/// made.
///
/// proto: `int socket_sendmsg(struct socket *sock, struct msghdr *msg, int size)`
#[lsm(hook = "socket_sendmsg")]
pub(crate) fn socket_sendmsg(ctx: LsmContext) -> i32 {
    settle(Call::Send, |place| sent(place, ctx.arg(0), ctx.arg(1)))
}

#[inline(always)]
fn sent(place: *mut Peer, socket: Address, message: Address) -> Look {
    let socket = Socket::of(socket)?;
    if socket.is_no_net() {
        return Ok(Found::Nobody);
    }
    if socket.is_opaque() {
        return put_unknown(place, socket.protocol);
    }
    let address: Address = field::read(message, &field::MESSAGE_NAME)?;
    let length: i32 = field::read(message, &field::MESSAGE_NAME_LENGTH)?;
    let flags: u32 = field::read(message, &field::MESSAGE_FLAGS)?;
    if address == 0 || length < 2 || socket.is_tcp() && flags & FAST_OPEN == 0 {
        return Ok(Found::Nobody);
    }
    if socket.family == AF_INET6 && field::at::<u16>(address)? == AF_UNSPEC {
        return Ok(Found::Nobody); // counts as no address (net/ipv6/udp.c, udpv6_sendmsg)
    }
    put_peer(place, &socket, address)
}

/// proto: `int socket_bind(struct socket *sock, struct sockaddr *address, int addrlen)`
#[lsm(hook = "socket_bind")]
pub(crate) fn socket_bind(ctx: LsmContext) -> i32 {
    settle(Call::Bind, |place| bound(place, ctx.arg(0), ctx.arg(1)))
}

#[inline(always)]
fn bound(place: *mut Peer, socket: Address, address: Address) -> Look {
    let socket = Socket::of(socket)?;
    if socket.is_no_net() || socket.is_opaque() {
        return Ok(Found::Nobody); // judged when it sends
    }
    let found = put(place, &socket, address)?;
    // SAFETY: as in `put`.
    let port = unsafe { (*place).port };
    if port == 0 && socket.protocol == UDP {
        return Ok(Found::Nobody); // any port there is: nobody knows it before it speaks
    }
    Ok(found)
}

/// A socket that listens without having been given an address takes every one, at a port of the kernel's choice.
///
/// proto: `int socket_listen(struct socket *sock, int backlog)`
#[lsm(hook = "socket_listen")]
pub(crate) fn socket_listen(ctx: LsmContext) -> i32 {
    settle(Call::Bind, |place| listening(place, ctx.arg(0)))
}

#[inline(always)]
fn listening(place: *mut Peer, socket: Address) -> Look {
    let socket = Socket::of(socket)?;
    let number: u16 = field::read(socket.sock, &field::SOCK_NUMBER)?;
    if socket.is_no_net() || socket.is_opaque() || number != 0 {
        return Ok(Found::Nobody); // judged when it was bound
    }
    let address = if socket.family == AF_INET { net::mapped([0; 4]) } else { [0; 16] };
    // SAFETY: as in `put`.
    unsafe { *place = Peer { address, port: 0, protocol: socket.protocol, known: KNOWN } };
    Ok(Found::Somebody)
}

/// An association of SCTP is made by any of several calls, each of which comes here with a list of addresses. More
/// than one are a peer that nobody knows.
///
/// proto: `int sctp_bind_connect(struct sock *sk, int optname, struct sockaddr *address, int addrlen)`
#[lsm(hook = "sctp_bind_connect")]
pub(crate) fn sctp_bind_connect(ctx: LsmContext) -> i32 {
    // SCTP_SOCKOPT_CONNECTX and SCTP_SENDMSG_CONNECT, include/uapi/linux/sctp.h: the others name no new peer.
    if !matches!(ctx.arg::<u32>(1), 110 | 126) {
        return PASS;
    }
    settle(Call::Connect, |place| associated(place, ctx.arg(0), ctx.arg(2), ctx.arg(3)))
}

#[inline(always)]
fn associated(place: *mut Peer, sock: Address, address: Address, length: u32) -> Look {
    let socket = Socket::of_sock(sock, SEQPACKET)?;
    let one = if field::at::<u16>(address)? == AF_INET { 16 } else { 28 };
    if length > one {
        return put_unknown(place, socket.protocol);
    }
    put_peer(place, &socket, address)
}
