//! The network: reaching what may not be reached.

mod calls;
mod listen;
mod others;
mod plain;
mod raw;

use std::{
    io, mem,
    net::{Ipv4Addr, Ipv6Addr},
    os::fd::{AsRawFd, OwnedFd},
};

use crate::{
    case::PAYLOAD,
    sys::{self, call, fd, of},
    trick::Trick,
};

/// All of them.
pub(crate) const TRICKS: &[&[Trick]] =
    &[plain::TRICKS, calls::TRICKS, raw::TRICKS, others::TRICKS, listen::TRICKS];

/// An IPv4 address as the kernel has it.
pub(crate) fn v4(address: Ipv4Addr, port: u16) -> libc::sockaddr_in {
    // SAFETY: all zeroes is a valid address of no family.
    let mut raw: libc::sockaddr_in = unsafe { mem::zeroed() };
    raw.sin_family = family(libc::AF_INET);
    raw.sin_port = port.to_be();
    raw.sin_addr.s_addr = u32::from(address).to_be();
    raw
}

/// An IPv6 address as the kernel has it.
pub(crate) fn v6(address: Ipv6Addr, port: u16) -> libc::sockaddr_in6 {
    // SAFETY: all zeroes is a valid address of no family.
    let mut raw: libc::sockaddr_in6 = unsafe { mem::zeroed() };
    raw.sin6_family = family(libc::AF_INET6);
    raw.sin6_port = port.to_be();
    raw.sin6_addr.s6_addr = address.octets();
    raw
}

/// A family as addresses have it.
fn family(number: i32) -> libc::sa_family_t {
    libc::sa_family_t::try_from(number).expect("families are small numbers")
}

/// `socket` by number.
pub(crate) fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    let kind = kind | libc::SOCK_CLOEXEC;
    sys::owned(call(libc::SYS_socket, [family as usize, kind as usize, protocol as usize]))
}

/// `connect` by number.
fn connect<T>(socket: &impl AsRawFd, address: &T) -> io::Result<()> {
    call(libc::SYS_connect, [fd(socket), of(address), size_of::<T>()]).map(drop)
}

/// `bind` by number.
fn bind<T>(socket: &impl AsRawFd, address: &T) -> io::Result<()> {
    call(libc::SYS_bind, [fd(socket), of(address), size_of::<T>()]).map(drop)
}

/// `sendto` by number, of these bytes.
fn send_bytes<T>(socket: &impl AsRawFd, bytes: &[u8], flags: i32, address: &T) -> io::Result<()> {
    let arguments =
        [fd(socket), of(bytes), bytes.len(), flags as usize, of(address), size_of::<T>()];
    call(libc::SYS_sendto, arguments).map(drop)
}

/// `sendto` by number, of what the judge knows again.
fn send_to<T>(socket: &impl AsRawFd, flags: i32, address: &T) -> io::Result<()> {
    send_bytes(socket, PAYLOAD, flags, address)
}

/// `send` on what is connected.
fn send(socket: &impl AsRawFd) -> io::Result<()> {
    call(libc::SYS_sendto, [fd(socket), of(PAYLOAD), PAYLOAD.len(), 0, 0, 0]).map(drop)
}

/// `setsockopt` of a number.
fn option(socket: &impl AsRawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let arguments = [fd(socket), level as usize, name as usize, of(&value), 4];
    call(libc::SYS_setsockopt, arguments).map(drop)
}

/// A message of the bytes that the judge knows again; what it points to must outlive it.
fn message<T>(vector: &libc::iovec, address: &T) -> libc::msghdr {
    // SAFETY: all zeroes is a valid message of nothing.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = std::ptr::from_ref(address).cast_mut().cast();
    message.msg_namelen = libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0);
    message.msg_iov = std::ptr::from_ref(vector).cast_mut();
    message.msg_iovlen = 1;
    message
}

/// Where those bytes are.
fn payload() -> libc::iovec {
    libc::iovec { iov_base: PAYLOAD.as_ptr().cast_mut().cast(), iov_len: PAYLOAD.len() }
}

/// A TCP socket.
fn tcp() -> io::Result<OwnedFd> {
    socket(libc::AF_INET, libc::SOCK_STREAM, 0)
}

/// A UDP socket.
fn udp() -> io::Result<OwnedFd> {
    socket(libc::AF_INET, libc::SOCK_DGRAM, 0)
}

/// The same for IPv6.
fn udp6() -> io::Result<OwnedFd> {
    socket(libc::AF_INET6, libc::SOCK_DGRAM, 0)
}
