//! N01 to N09, N35: addresses: other families, other spellings, other ways to name one.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{
    bind, connect, message, option, payload, send, send_to, socket, tcp, udp, udp6, v4, v6,
};
use crate::{
    sink::{APPROVED, FAR, FAR6, GROUP, PORT},
    sys::{call, fd, of},
    trick::{Trick, reach},
};

pub(crate) const TRICKS: &[Trick] = &[
    reach("N00", "TCP over IPv4", |_| tcp_to(FAR)),
    reach("N01a", "TCP over IPv6", |_| tcp6_to(FAR6)),
    reach("N01b", "UDP over IPv6", |_| send_to(&udp6()?, 0, &v6(FAR6, PORT))),
    reach("N02a", "TCP to an IPv4 address written as IPv6", |_| tcp6_to(FAR.to_ipv6_mapped())),
    reach("N02b", "UDP to an IPv4 address written as IPv6", |_| {
        send_to(&udp6()?, 0, &v6(FAR.to_ipv6_mapped(), PORT))
    }),
    reach("N02c", "UDP connected to an IPv4 address written as IPv6", |_| {
        let socket = udp6()?;
        connect(&socket, &v6(FAR.to_ipv6_mapped(), PORT))?;
        send(&socket)
    }),
    reach("N03a", "TCP to 0.0.0.0", |_| tcp_to(Ipv4Addr::UNSPECIFIED)),
    reach("N03b", "TCP to ::", |_| tcp6_to(Ipv6Addr::UNSPECIFIED)),
    reach("N03c", "UDP to 0.0.0.0", |_| send_to(&udp()?, 0, &v4(Ipv4Addr::UNSPECIFIED, PORT))),
    reach("N03d", "UDP to ::", |_| send_to(&udp6()?, 0, &v6(Ipv6Addr::UNSPECIFIED, PORT))),
    reach("N03e", "TCP to ::ffff:0.0.0.0", |_| tcp6_to(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped())),
    reach("N03f", "another port of the approved address", |_| tcp_to(Ipv4Addr::LOCALHOST)),
    reach("N04", "UDP, connected", |_| {
        let socket = udp()?;
        connect(&socket, &v4(FAR, PORT))?;
        send(&socket)
    }),
    reach("N05a", "UDP by sendto", |_| send_to(&udp()?, 0, &v4(FAR, PORT))),
    reach("N05b", "UDP by sendmsg", |_| {
        let (vector, address) = (payload(), v4(FAR, PORT));
        let message = message(&vector, &address);
        call(libc::SYS_sendmsg, [fd(&udp()?), of(&message), 0]).map(drop)
    }),
    reach("N05c", "UDP from a bound port", |_| {
        let socket = udp()?;
        bind(&socket, &v4(Ipv4Addr::LOCALHOST, 2468))?;
        send_to(&socket, 0, &v4(FAR, PORT))
    }),
    reach("N05d", "UDP to a group", |_| {
        let socket = udp()?;
        let by = i32::from_ne_bytes(Ipv4Addr::LOCALHOST.octets());
        option(&socket, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, by)?;
        send_to(&socket, 0, &v4(GROUP, PORT))
    }),
    reach("N05e", "UDP-Lite", |_| {
        let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE)?;
        send_to(&socket, 0, &v4(FAR, PORT))
    })
    .needs("UDP-Lite"),
    reach("N05f", "UDP, corked, then sent", |_| {
        let socket = udp()?;
        let more = send_to(&socket, libc::MSG_MORE, &v4(FAR, PORT));
        more.and_then(|()| send_to(&socket, 0, &v4(FAR, PORT)))
    }),
    reach("N06a", "UDP by sendmmsg, twice the same", |_| two_messages(FAR, FAR)),
    reach("N06b", "UDP by sendmmsg, the first approved", |_| {
        two_messages(Ipv4Addr::LOCALHOST, FAR)
    }),
    reach("N07", "connected to an approved peer, then sent elsewhere", |_| {
        let socket = udp()?;
        connect(&socket, &v4(Ipv4Addr::LOCALHOST, APPROVED))?;
        send_to(&socket, 0, &v4(FAR, PORT))
    }),
    reach("N08", "an IPv4 address on an IPv6 socket", |_| send_to(&udp6()?, 0, &v4(FAR, PORT))),
    reach("N09a", "an address of no family", |_| {
        let mut address = v4(FAR, PORT);
        address.sin_family = 0;
        send_to(&udp()?, 0, &address)
    }),
    reach("N09b", "connected elsewhere after it was disconnected", |_| {
        let socket = udp()?;
        connect(&socket, &v4(Ipv4Addr::LOCALHOST, APPROVED))?;
        let mut nowhere = v4(Ipv4Addr::UNSPECIFIED, 0);
        nowhere.sin_family = 0;
        connect(&socket, &nowhere)?;
        connect(&socket, &v4(FAR, PORT))?;
        send(&socket)
    }),
    reach("N09c", "an IPv6 socket that became one of IPv4 (IPV6_ADDRFORM)", |_| {
        let socket = udp6()?;
        connect(&socket, &v6(Ipv4Addr::LOCALHOST.to_ipv6_mapped(), APPROVED))?;
        option(&socket, libc::IPPROTO_IPV6, 1, libc::AF_INET)?;
        send_to(&socket, 0, &v4(FAR, PORT))
    }),
    reach("N35", "the cloud's metadata address", |_| tcp_to(Ipv4Addr::new(169, 254, 169, 254))),
];

fn tcp_to(address: Ipv4Addr) -> io::Result<()> {
    let socket = tcp()?;
    connect(&socket, &v4(address, PORT))?;
    send(&socket)
}

fn tcp6_to(address: Ipv6Addr) -> io::Result<()> {
    let socket = socket(libc::AF_INET6, libc::SOCK_STREAM, 0)?;
    connect(&socket, &v6(address, PORT))?;
    send(&socket)
}

fn two_messages(first: Ipv4Addr, second: Ipv4Addr) -> io::Result<()> {
    let vector = payload();
    let addresses = [v4(first, if first == FAR { PORT } else { APPROVED }), v4(second, PORT)];
    let messages = addresses
        .each_ref()
        .map(|address| libc::mmsghdr { msg_hdr: message(&vector, address), msg_len: 0 });
    call(libc::SYS_sendmmsg, [fd(&udp()?), of(&messages), 2, 0]).map(drop)
}
