//! The network: reaching what may not be reached.

use std::{
    io, mem,
    net::{Ipv4Addr, Ipv6Addr},
    os::fd::OwnedFd,
};

use crate::{
    sys::{self, call},
    trick::Trick,
};

/// All of them.
pub(crate) const TRICKS: &[&[Trick]] = &[];

/// An IPv4 address as the kernel has it.
pub(crate) fn v4(address: Ipv4Addr, port: u16) -> libc::sockaddr_in {
    // SAFETY: all zeroes is a valid address of no family.
    let mut raw: libc::sockaddr_in = unsafe { mem::zeroed() };
    raw.sin_family = libc::AF_INET as libc::sa_family_t;
    raw.sin_port = port.to_be();
    raw.sin_addr.s_addr = u32::from(address).to_be();
    raw
}

/// An IPv6 address as the kernel has it.
pub(crate) fn v6(address: Ipv6Addr, port: u16) -> libc::sockaddr_in6 {
    // SAFETY: all zeroes is a valid address of no family.
    let mut raw: libc::sockaddr_in6 = unsafe { mem::zeroed() };
    raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
    raw.sin6_port = port.to_be();
    raw.sin6_addr.s6_addr = address.octets();
    raw
}

/// `socket` by number.
pub(crate) fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    let kind = kind | libc::SOCK_CLOEXEC;
    sys::owned(call(libc::SYS_socket, [family as usize, kind as usize, protocol as usize]))
}
