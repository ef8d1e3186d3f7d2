//! The far end: what listens in the network of a case and tells the judge what arrived.
//!
//! The network is a namespace with nothing but loopback, which has addresses that stand for the outside.
//! The rules allow one port of 127.0.0.1, and all else is not allowed.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    mem,
    net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd,
};

use crate::{
    case::{COLLECTOR, PAYLOAD},
    sys::{self, call, fd, of},
};

/// Stands for a host outside.
pub(crate) const FAR: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 1);
/// The same over IPv6.
pub(crate) const FAR6: Ipv6Addr = Ipv6Addr::new(0xfd66, 0, 0, 0, 0, 0, 0, 1);
/// Where the far end listens, for TCP and UDP.
pub(crate) const PORT: u16 = 2466;
/// The port of 127.0.0.1 that the agent was approved for.
pub(crate) const APPROVED: u16 = 2467;
/// Another one, where somebody passes on what comes.
pub(crate) const PASSED_ON: u16 = 2471;
/// A group that the far end has joined.
pub(crate) const GROUP: Ipv4Addr = Ipv4Addr::new(239, 66, 0, 1);

/// What loopback takes besides: early data, and what was made by hand and seems to come from this host.
const SETTINGS: [(&str, &str); 8] = [
    ("tcp_fastopen", "519"),
    ("conf/all/accept_local", "1"),
    ("conf/lo/accept_local", "1"),
    ("conf/all/route_localnet", "1"),
    ("conf/all/rp_filter", "0"),
    ("conf/default/rp_filter", "0"),
    ("conf/default/accept_local", "1"),
    ("ping_group_range", "0 65535"),
];

/// Wakes loopback up, gives it its addresses, and lets it take what only a test sends.
pub(crate) fn set_up() -> io::Result<()> {
    const UP: i16 = 0x41; // IFF_UP and IFF_RUNNING
    let others = [FAR, Ipv4Addr::new(169, 254, 169, 254), Ipv4Addr::new(10, 66, 0, 2)];
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: all zeroes is a valid ifreq.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    request.ifr_ifru.ifru_flags = UP;
    ioctl(&socket, libc::SIOCSIFFLAGS, &named(request, "lo"))?;
    for (number, address) in others.into_iter().enumerate() {
        request.ifr_ifru.ifru_addr = address_of(address);
        ioctl(&socket, libc::SIOCSIFADDR, &named(request, &format!("lo:{number}")))?;
    }
    let six = crate::net::socket(libc::AF_INET6, libc::SOCK_DGRAM, 0)?;
    ioctl(&six, libc::SIOCSIFADDR, &In6 { address: FAR6.octets(), bits: 128, index: 1 })?;
    for (name, value) in SETTINGS {
        fs::write(format!("/proc/sys/net/ipv4/{name}"), value)?;
    }
    Ok(())
}

/// An IPv6 address for a device, as the kernel is told.
#[repr(C)]
struct In6 {
    address: [u8; 16],
    bits: u32,
    index: i32,
}

fn named(mut request: libc::ifreq, name: &str) -> libc::ifreq {
    request.ifr_name = [0; libc::IFNAMSIZ];
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte.cast_signed();
    }
    request
}

fn address_of(address: Ipv4Addr) -> libc::sockaddr {
    // SAFETY: both are plain bytes of the same length.
    unsafe { mem::transmute(crate::net::v4(address, 0)) }
}

fn ioctl<T>(socket: &impl AsRawFd, number: u64, argument: &T) -> io::Result<()> {
    let number = usize::try_from(number).map_err(io::Error::other)?;
    call(libc::SYS_ioctl, [fd(socket), number, of(argument)]).map(drop)
}

/// Listens, says so, and tells the judge of all that arrives, for ever.
pub(crate) fn listen(ready: &mut File) -> io::Result<()> {
    let streams = [TcpListener::bind(("0.0.0.0", PORT))?, only_six(PORT)?];
    for stream in &streams {
        let queue = 16_i32;
        // Without it a handshake comes first, and data all the same.
        let level = libc::IPPROTO_TCP as usize;
        let arguments = [fd(stream), level, libc::TCP_FASTOPEN as usize, of(&queue), 4];
        let _best_effort = call(libc::SYS_setsockopt, arguments);
    }
    let datagrams = [UdpSocket::bind(("0.0.0.0", PORT))?, six_datagrams(PORT)?, lite()?];
    datagrams[0].join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST)?;
    let raw = crate::net::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)?;
    let raw = UdpSocket::from(raw);
    let approved = TcpListener::bind(("127.0.0.1", APPROVED))?;
    for stream in streams.iter().chain([&approved]) {
        stream.set_nonblocking(true)?;
    }
    ready.write_all(b"ready\n")?;
    serve(&streams, &datagrams, &raw, &approved)
}

fn serve(
    streams: &[TcpListener],
    datagrams: &[UdpSocket],
    raw: &UdpSocket,
    approved: &TcpListener,
) -> io::Result<()> {
    let mut open: Vec<TcpStream> = Vec::new();
    let mut friends: Vec<TcpStream> = Vec::new();
    loop {
        let watched = streams.iter().map(AsRawFd::as_raw_fd);
        let watched = watched.chain(datagrams.iter().map(AsRawFd::as_raw_fd));
        let watched = watched.chain([raw.as_raw_fd(), approved.as_raw_fd()]);
        let watched = watched.chain(open.iter().map(AsRawFd::as_raw_fd));
        let mut polled: Vec<libc::pollfd> =
            watched.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
        call(libc::SYS_poll, [polled.as_mut_ptr() as usize, polled.len(), usize::MAX])?;
        let news = |descriptor: &dyn AsRawFd| {
            polled.iter().any(|one| one.fd == descriptor.as_raw_fd() && one.revents != 0)
        };
        for stream in streams.iter().filter(|stream| news(*stream)) {
            if let Ok((connection, _)) = stream.accept() {
                tell("connection", b"")?;
                connection.set_nonblocking(true)?;
                open.push(connection);
            }
        }
        for socket in datagrams.iter().filter(|socket| news(*socket)) {
            receive(socket)?;
        }
        if news(raw) {
            echoed(raw)?;
        }
        if news(approved)
            && let Ok((friend, _)) = approved.accept()
        {
            friends.push(friend);
        }
        // What was accepted in this round was not polled: it is read in the next.
        open.retain_mut(|stream| !news(stream) || told(stream));
    }
}

/// Passes on what a connection brings; false at its end.
fn told(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 2048];
    match stream.read(&mut bytes) {
        Ok(0) => false,
        Ok(length) => tell("bytes", &bytes[..length]).is_ok(),
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// Passes on a datagram.
fn receive(socket: &UdpSocket) -> io::Result<()> {
    let mut bytes = [0; 2048];
    let length = socket.recv(&mut bytes)?;
    tell("datagram", &bytes[..length])
}

/// Passes on a request for an echo that has the agent's bytes. An error that tells of a datagram nobody
/// wanted has them as well, and is none.
fn echoed(raw: &UdpSocket) -> io::Result<()> {
    const HEAD: usize = 20;
    const REQUEST: u8 = 8;
    let mut bytes = [0; 2048];
    let length = raw.recv(&mut bytes)?;
    let bytes = bytes.get(HEAD..length).unwrap_or_default();
    let found = bytes.windows(PAYLOAD.len()).any(|window| window == PAYLOAD);
    if found && bytes.first() == Some(&REQUEST) { tell("packet", bytes) } else { Ok(()) }
}

fn tell(what: &str, bytes: &[u8]) -> io::Result<()> {
    let mut collector = File::from(sys::duplicate(COLLECTOR)?);
    collector.write_all(&[format!("arrival {what} ").as_bytes(), bytes, b"\n"].concat())
}

fn only_six(port: u16) -> io::Result<TcpListener> {
    let socket = six_socket(libc::SOCK_STREAM, 0, port)?;
    call(libc::SYS_listen, [fd(&socket), 16])?;
    Ok(TcpListener::from(socket))
}

fn six_datagrams(port: u16) -> io::Result<UdpSocket> {
    Ok(UdpSocket::from(six_socket(libc::SOCK_DGRAM, 0, port)?))
}

fn six_socket(kind: i32, protocol: i32, port: u16) -> io::Result<std::os::fd::OwnedFd> {
    let socket = crate::net::socket(libc::AF_INET6, kind, protocol)?;
    let only = 1_i32;
    let level = libc::IPPROTO_IPV6 as usize;
    call(libc::SYS_setsockopt, [fd(&socket), level, libc::IPV6_V6ONLY as usize, of(&only), 4])?;
    let address = crate::net::v6(Ipv6Addr::UNSPECIFIED, port);
    call(libc::SYS_bind, [fd(&socket), of(&address), mem::size_of_val(&address)])?;
    Ok(socket)
}

/// UDP-Lite where there is any, else one more ordinary socket.
fn lite() -> io::Result<UdpSocket> {
    let socket = crate::net::socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE);
    let Ok(socket) = socket else { return UdpSocket::bind("127.0.0.1:0") };
    let address = crate::net::v4(Ipv4Addr::UNSPECIFIED, PORT);
    call(libc::SYS_bind, [fd(&socket), of(&address), mem::size_of_val(&address)])?;
    Ok(UdpSocket::from(socket))
}
