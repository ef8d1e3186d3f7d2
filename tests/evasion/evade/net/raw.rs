//! N14 to N20: what is neither TCP nor UDP to the kernel, and frames made by hand.

use std::{
    fs::File,
    io::{self, Write},
    mem,
    net::{Ipv4Addr, Ipv6Addr},
    os::fd::{AsRawFd, OwnedFd},
};

use super::{bind, connect, family, option, send, send_bytes, send_to, socket, v4, v6};
use crate::{
    case::{Case, PAYLOAD},
    sink::{FAR, FAR6, PORT},
    sys::{self, call, fd, of},
    trick::{Expect, Trick, reach},
};

const OTHER_KIND: Expect =
    Expect::Limit("only TCP and UDP are ruled on this tier: raw, packet and SCTP sockets are not");
const BY_HAND: Expect = Expect::Limit(
    "a frame that is made by hand names its peer where no hook looks; these rules leave such devices \
     to the agent",
);
const SCTP: i32 = 132;
/// Whom frames made by hand come from: another address of the same host.
const OWN: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 2);

pub(crate) const TRICKS: &[Trick] = &[
    reach("N14", "SCTP", |_| {
        let socket = socket(libc::AF_INET, libc::SOCK_STREAM, SCTP)?;
        connect(&socket, &v4(FAR, PORT))?;
        send(&socket)
    })
    .before(|_, gift| gift.hold(listen_sctp).map(drop))
    .needs("SCTP")
    .react(OTHER_KIND),
    reach("N15", "SCTP by sendto", |_| {
        send_to(&socket(libc::AF_INET, libc::SOCK_SEQPACKET, SCTP)?, 0, &v4(FAR, PORT))
    })
    .before(|_, gift| gift.hold(listen_sctp).map(drop))
    .needs("SCTP")
    .react(OTHER_KIND),
    reach("N16", "SCTP by setsockopt (connectx)", |_| {
        const CONNECTX: usize = 110;
        let socket = socket(libc::AF_INET, libc::SOCK_SEQPACKET, SCTP)?;
        let address = v4(FAR, PORT);
        let arguments = [fd(&socket), SCTP as usize, CONNECTX, of(&address), size_of_val(&address)];
        call(libc::SYS_setsockopt, arguments).map(drop)
    })
    .before(|_, gift| gift.hold(listen_sctp).map(drop))
    .needs("SCTP")
    .react(OTHER_KIND),
    reach("N17a", "a raw ICMP socket", |_| {
        let socket = socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)?;
        send_bytes(&socket, &echo(), 0, &v4(FAR, 0))
    })
    .react(OTHER_KIND),
    reach("N17b", "a ping socket", |_| {
        let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP)?;
        send_bytes(&socket, &echo(), 0, &v4(FAR, 0))
    })
    .react(OTHER_KIND),
    reach("N17c", "a raw socket with a header of one's own", |_| {
        let socket = socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW)?;
        send_bytes(&socket, &packet(), 0, &v4(FAR, 0))
    })
    .react(OTHER_KIND),
    reach("N17d", "a raw socket of UDP", |_| {
        let socket = socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_UDP)?;
        send_bytes(&socket, &datagram(), 0, &v4(FAR, 0))
    })
    .react(OTHER_KIND),
    reach("N17e", "a raw socket of UDP over IPv6", |_| {
        const CHECKSUM: i32 = 7;
        let socket = socket(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_UDP)?;
        option(&socket, libc::IPPROTO_IPV6, CHECKSUM, 6)?;
        send_bytes(&socket, &datagram(), 0, &v6(FAR6, 0))
    })
    .react(OTHER_KIND),
    reach("N17f", "a raw socket that is connected", |_| {
        let socket = socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_UDP)?;
        connect(&socket, &v4(FAR, 0))?;
        let bytes = datagram();
        call(libc::SYS_sendto, [fd(&socket), of(&bytes[..]), bytes.len(), 0, 0, 0]).map(drop)
    })
    .react(OTHER_KIND),
    reach("N18a", "a packet socket", |_| {
        let socket = socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?;
        send_bytes(&socket, &frame(), 0, &loopback())
    })
    .react(OTHER_KIND),
    reach("N18b", "a packet socket that makes the head", |_| {
        let socket = socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0)?;
        send_bytes(&socket, &packet(), 0, &loopback())
    })
    .react(OTHER_KIND),
    reach("N18c", "a packet socket that is bound, and write", |_| {
        let socket = socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?;
        bind(&socket, &loopback())?;
        File::from(socket).write_all(&frame())
    })
    .react(OTHER_KIND),
    reach("N19a", "a TUN device", |_| by_device(libc::IFF_TUN | libc::IFF_NO_PI, &packet()))
        .needs("/dev/net/tun")
        .both(BY_HAND),
    reach("N19b", "a TAP device", by_tap).needs("/dev/net/tun").both(BY_HAND),
    reach("N20", "vsock", |_| {
        let socket = socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)?;
        connect(&socket, &vsock())?;
        send(&socket)
    })
    .before(|_, gift| gift.hold(listen_vsock).map(drop))
    .needs("vsock_loopback")
    .react(Expect::Limit("vsock is not ruled on this tier")),
];

fn sum(words: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in words.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

/// An echo request with the bytes that the judge knows again.
fn echo() -> Vec<u8> {
    let mut bytes = [&[8, 0, 0, 0, 0, 1, 0, 1], PAYLOAD].concat();
    let sum = sum(&bytes).to_be_bytes();
    bytes[2..4].copy_from_slice(&sum);
    bytes
}

/// A UDP datagram from port 2469 without a checksum, as IPv4 allows it.
fn datagram() -> Vec<u8> {
    let length = u16::try_from(PAYLOAD.len() + 8).expect("it is short");
    [&2469_u16.to_be_bytes(), &PORT.to_be_bytes(), &length.to_be_bytes(), &[0, 0][..], PAYLOAD]
        .concat()
}

/// That in an IPv4 packet.
fn packet() -> Vec<u8> {
    let datagram = datagram();
    let length = u16::try_from(datagram.len() + 20).expect("it is short").to_be_bytes();
    let mut head = vec![0x45, 0, length[0], length[1], 0, 1, 0, 0, 64, 17, 0, 0];
    head.extend(OWN.octets());
    head.extend(FAR.octets());
    let sum = sum(&head).to_be_bytes();
    head[10..12].copy_from_slice(&sum);
    [head, datagram].concat()
}

/// That in an Ethernet frame for whoever takes it.
fn frame() -> Vec<u8> {
    [&[0; 12], &[8, 0][..], &packet()].concat()
}

/// Loopback as a packet socket knows it.
fn loopback() -> libc::sockaddr_ll {
    // SAFETY: all zeroes is a valid address of no family.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = family(libc::AF_PACKET);
    address.sll_protocol = 0x0800_u16.to_be();
    address.sll_ifindex = 1;
    address.sll_halen = 6;
    address
}

/// What is written to such a device comes in as if it came from outside.
fn by_device(flags: i32, bytes: &[u8]) -> io::Result<()> {
    let device = open_device(flags)?;
    File::from(device).write_all(bytes)
}

fn by_tap(_: &Case) -> io::Result<()> {
    const GET_ADDRESS: usize = 0x8927;
    let device = open_device(libc::IFF_TAP | libc::IFF_NO_PI)?;
    // A frame is for this host if it bears the device's address.
    let asking = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let mut request = Request::new();
    call(libc::SYS_ioctl, [fd(&asking), GET_ADDRESS, sys::into(&mut request)])?;
    let mut frame = frame();
    frame[..6].copy_from_slice(&request.rest[2..8]);
    frame[6] = 2;
    File::from(device).write_all(&frame)
}

/// A request about a network device: its name, and what is asked.
#[repr(C)]
struct Request {
    name: [u8; 16],
    rest: [u8; 24],
}

impl Request {
    fn new() -> Self {
        let mut name = [0; 16];
        name[..5].copy_from_slice(b"evade");
        Self { name, rest: [0; 24] }
    }

    fn with(flags: i32) -> Self {
        let mut request = Self::new();
        request.rest[..4].copy_from_slice(&flags.to_ne_bytes());
        request
    }
}

fn open_device(flags: i32) -> io::Result<OwnedFd> {
    const SET_UP: usize = 0x4004_54ca;
    let device = sys::open("/dev/net/tun", libc::O_RDWR)?;
    call(libc::SYS_ioctl, [fd(&device), SET_UP, of(&Request::with(flags))])?;
    let asking = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let up = Request::with(libc::IFF_UP | libc::IFF_RUNNING);
    let number = usize::try_from(libc::SIOCSIFFLAGS).map_err(io::Error::other)?;
    call(libc::SYS_ioctl, [fd(&asking), number, of(&up)])?;
    Ok(device)
}

/// Tells the judge of whatever can be read there.
fn tell(socket: &impl AsRawFd) -> io::Result<()> {
    let mut bytes = [0_u8; 256];
    call(libc::SYS_read, [fd(socket), sys::into(&mut bytes), 256])?;
    Case::new("/", &[]).give(b"arrival by another protocol\n")
}

fn listen_sctp(ready: &mut File) -> io::Result<()> {
    let many = socket(libc::AF_INET, libc::SOCK_SEQPACKET, SCTP)?;
    bind(&many, &v4(Ipv4Addr::UNSPECIFIED, PORT))?;
    call(libc::SYS_listen, [fd(&many), 4])?;
    // An association counts as soon as it is there, with or without data: events tell of it.
    let events = [1_u8; 8];
    call(libc::SYS_setsockopt, [fd(&many), SCTP as usize, 11, of(&events), 8])?;
    ready.write_all(b"ready\n")?;
    tell(&many)
}

fn vsock() -> libc::sockaddr_vm {
    // SAFETY: all zeroes is a valid address of no family.
    let mut address: libc::sockaddr_vm = unsafe { mem::zeroed() };
    address.svm_family = family(libc::AF_VSOCK);
    address.svm_port = u32::from(PORT);
    address.svm_cid = 1; // this host
    address
}

fn listen_vsock(ready: &mut File) -> io::Result<()> {
    let listener = socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)?;
    let mut address = vsock();
    address.svm_cid = u32::MAX;
    bind(&listener, &address)?;
    call(libc::SYS_listen, [fd(&listener), 4])?;
    ready.write_all(b"ready\n")?;
    tell(&sys::owned(call(libc::SYS_accept4, [fd(&listener), 0, 0, 0]))?)
}

/// Every address of this host over IPv6.
pub(super) const ANY6: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
