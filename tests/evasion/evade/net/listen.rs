//! N28: the agent does not call: it is called.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::fd::OwnedFd,
    thread,
    time::Duration,
};

use super::{bind, option, raw::ANY6, send, socket, tcp, v4, v6};
use crate::{
    case::Case,
    gift::Gift,
    sink::FAR,
    sys::{self, call, fd},
    trick::{Expect, Trick, reach},
};

/// Where the agent waits to be called.
const DOOR: u16 = 2470;

pub(crate) const TRICKS: &[Trick] = &[
    reach("N28a", "called on every address", |case| {
        let socket = tcp()?;
        bind(&socket, &v4(Ipv4Addr::UNSPECIFIED, DOOR))?;
        be_called(case, &socket)
    })
    .before(caller),
    reach("N28b", "called on an address of the host's", |case| {
        let socket = tcp()?;
        bind(&socket, &v4(FAR, DOOR))?;
        be_called(case, &socket)
    })
    .before(caller),
    reach("N28c", "called over IPv6 and IPv4 at once", |case| {
        let socket = socket(libc::AF_INET6, libc::SOCK_STREAM, 0)?;
        bind(&socket, &v6(ANY6, DOOR))?;
        be_called(case, &socket)
    })
    .before(caller),
    reach("N28d", "called where the kernel chooses the port", |case| be_called(case, &tcp()?))
        .before(caller)
        .react(Expect::Limit(
            "a socket that listens without an address of its own gets any port, and no hook is asked",
        )),
    reach("N28e", "called on an MPTCP socket", |case| {
        let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 262)?;
        bind(&socket, &v4(Ipv4Addr::UNSPECIFIED, DOOR))?;
        be_called(case, &socket)
    })
    .before(caller)
    .needs("MPTCP"),
    reach("N28f", "a listening socket from before", |case| be_called(case, &case.gift(0)))
        .before(|case, gift| {
            let socket = tcp()?;
            bind(&socket, &v4(Ipv4Addr::UNSPECIFIED, DOOR))?;
            gift.leave(socket);
            caller(case, gift)
        })
        .both(Expect::Limit("a socket that was bound before the session began is not judged")),
    reach("N28g", "called after binding with any address allowed (IP_FREEBIND)", |case| {
        let socket = tcp()?;
        option(&socket, libc::IPPROTO_IP, libc::IP_FREEBIND, 1)?;
        bind(&socket, &v4(FAR, DOOR))?;
        be_called(case, &socket)
    })
    .before(caller),
];

/// Listens, says where, and speaks to whoever calls.
fn be_called(case: &Case, socket: &OwnedFd) -> io::Result<()> {
    call(libc::SYS_listen, [fd(socket), 4])?;
    let (mut address, mut length) = (v4(Ipv4Addr::UNSPECIFIED, 0), 16_u32);
    let arguments = [fd(socket), sys::into(&mut address), sys::into(&mut length)];
    call(libc::SYS_getsockname, arguments)?;
    let port = u16::from_be(address.sin_port);
    fs::write(case.desk("port.new"), port.to_string())?;
    fs::rename(case.desk("port.new"), case.desk("port"))?;
    send(&sys::owned(call(libc::SYS_accept4, [fd(socket), 0, 0, 0]))?)
}

/// Somebody outside who calls as soon as he knows where, and tells the judge that he was answered.
fn caller(case: &Case, gift: &mut Gift) -> io::Result<()> {
    let case = case.clone();
    gift.hold(move |ready| {
        io::Write::write_all(ready, b"ready\n")?;
        loop {
            thread::sleep(Duration::from_millis(5));
            let Ok(port) = fs::read_to_string(case.desk("port")) else { continue };
            let port: u16 = port.parse().map_err(io::Error::other)?;
            let mut stream = TcpStream::connect(SocketAddr::from((FAR, port)))?;
            let mut answer = [0; 64];
            if io::Read::read(&mut stream, &mut answer)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            return case.give(b"arrival by a call\n");
        }
    })?;
    Ok(())
}
