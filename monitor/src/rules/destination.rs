//! Destination: the text of a `connect` or `listen` item becomes the places it stands for.
//!
//! `1.2.3.4`, `10.0.0.0/8:53/udp`, `[::1]:443`, `localhost:*`, `*:443`, `api.example.com:443`,
//! `*.example.com`, `unix:/run/x.sock`, `unix:@name`. IPv4 is held in its mapped form.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};

use super::{
    glob::Glob,
    host_name::{self, HostPattern},
    model::{Destination, Object, Protocol, To},
    words::TextGlob,
};

/// Bits of `::ffff:0:0/96`, which all of IPv4 is mapped into.
const MAPPED_BITS: u8 = 96;
/// What a UNIX socket begins with.
const UNIX: &str = "unix:";

/// Why a text is not a destination, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DestinationError {
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub help: Option<String>,
}

impl DestinationError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// The part of a destination that says where at the address: `:443`, `:*/udp`, `/tcp`, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Suffix {
    /// `Some(None)` is `:*`, any port, said aloud.
    port: Option<Option<u16>>,
    protocol: Option<Protocol>,
}

impl Suffix {
    /// Whether nothing was said.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.port.is_none() && self.protocol.is_none()
    }

    /// Reads `:PORT/PROTOCOL`, of which each half may be left out.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the port or the protocol.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        let (port, protocol) = match text.split_once('/') {
            Some((port, protocol)) => (port, Some(protocol)),
            None => (text, None),
        };
        let port = match port.strip_prefix(':') {
            Some("*") => Some(None),
            Some(port) => Some(Some(parse_port(port)?)),
            None if port.is_empty() => None,
            None => {
                let error = DestinationError::new("something follows the address");
                return Err(error.help("a port is written `:443`, a protocol `/udp`"));
            }
        };
        let protocol = protocol.map(parse_protocol).transpose()?;
        Ok(Self { port, protocol })
    }
}

/// Whose address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer's: it may be a name.
    Peer,
    /// The own, at which somebody listens.
    Own,
}

/// The destinations that `text` stands for, with what `appended` adds to it (`@list:443`).
///
/// # Errors
///
/// Says why it is none.
pub fn parse(text: &str, appended: Suffix, end: End) -> Result<Vec<Destination>, DestinationError> {
    if let Some(socket) = text.strip_prefix(UNIX) {
        return parse_socket(socket, appended);
    }
    let (address, suffix) = split(text)?;
    let suffix = Suffix::parse(suffix)?;
    if !suffix.is_silent() && !appended.is_silent() {
        let message = "a port or protocol is added to an item that has one already";
        return Err(
            DestinationError::new(message).help("leave it out here or where the list is used")
        );
    }
    let suffix = if suffix.is_silent() { appended } else { suffix };
    let places = match address {
        "*" => vec![To::Net(Ipv6Net::default())],
        "localhost" => vec![
            To::Net(map(IpNet::new_assert(Ipv4Addr::new(127, 0, 0, 0).into(), 8))),
            To::Net(map(IpAddr::V6(Ipv6Addr::LOCALHOST).into())),
        ],
        address if address.contains('/') => vec![To::Net(parse_net(address)?)],
        address if is_name(address) && end == End::Own => {
            let error = DestinationError::new(format!("`{address}` is a host name"));
            return Err(error.help("a program listens at an address: write it, or `*:8080`"));
        }
        address if is_name(address) => vec![To::Host(HostPattern::parse(address)?)],
        address => vec![To::Net(map(parse_address(address, end)?.into()))],
    };
    let (port, protocol) = (suffix.port.flatten(), suffix.protocol);
    Ok(places.into_iter().map(|to| Destination { to, port, protocol }).collect())
}

/// The sockets behind `unix:`.
fn parse_socket(text: &str, appended: Suffix) -> Result<Vec<Destination>, DestinationError> {
    if !appended.is_silent() {
        return Err(DestinationError::new("a port is added to a UNIX socket")
            .help("use a list without UNIX sockets, or leave the port out"));
    }
    let places = if let Some(name) = text.strip_prefix('@') {
        let glob = TextGlob::parse(name);
        let glob = glob.map_err(|error| DestinationError::new(error.message).help(error.help))?;
        vec![To::Abstract(glob)]
    } else {
        let globs = Glob::parse(text).map_err(|error| {
            DestinationError::new(error.message)
                .help("write `unix:/run/x.sock`, or `unix:@name` for an abstract one")
        })?;
        globs.into_iter().map(To::Socket).collect()
    };
    Ok(places.into_iter().map(|to| Destination { to, port: None, protocol: None }).collect())
}

impl From<host_name::HostNameError> for DestinationError {
    fn from(error: host_name::HostNameError) -> Self {
        Self::new(error.message).help(error.help)
    }
}

/// The peer that `text` names, for a test: one address and one port. TCP, if nothing is said.
///
/// # Errors
///
/// Says why it is none.
pub fn parse_peer(text: &str, end: End) -> Result<Object, DestinationError> {
    if let Some(socket) = text.strip_prefix(UNIX) {
        return parse_bound(socket);
    }
    let (address, suffix) = split(text)?;
    let suffix = Suffix::parse(suffix)?;
    let address = match address {
        "localhost" => Ipv4Addr::LOCALHOST.to_ipv6_mapped(),
        "*" if end == End::Own => Ipv6Addr::UNSPECIFIED,
        name if is_name(name) && end == End::Peer => {
            let (port, protocol) = a_port(suffix)?;
            return Ok(Object::Host { name: host_name::name(name)?, port, protocol });
        }
        address if address == "*" || address.contains('/') => {
            let error = DestinationError::new("a test connects to one address");
            return Err(error.help("write an address and a port, `192.0.2.1:443`"));
        }
        address => map(parse_address(address, end)?.into()).addr(),
    };
    let (port, protocol) = a_port(suffix)?;
    Ok(Object::Peer { address, port, protocol })
}

/// The port and the `IPPROTO_*` number of a test.
fn a_port(suffix: Suffix) -> Result<(u16, u16), DestinationError> {
    let Some(Some(port)) = suffix.port else {
        let error = DestinationError::new("a test connects to one port");
        return Err(
            error.help("write an address and a port, `192.0.2.1:443` or `[2001:db8::1]:443`")
        );
    };
    Ok((port, suffix.protocol.unwrap_or(Protocol::Tcp) as u16))
}

/// The one socket of a test.
fn parse_bound(text: &str) -> Result<Object, DestinationError> {
    let is_path =
        text.len() > 1 && !text[1..].split('/').any(|part| matches!(part, "" | "." | ".."));
    if text.starts_with('@') && text.len() > 1 || text.starts_with('/') && is_path {
        return Ok(Object::Socket(text.as_bytes().to_vec()));
    }
    Err(DestinationError::new(format!("`{text}` is not the name of a UNIX socket"))
        .help("write where it is bound, `unix:/run/docker.sock` or `unix:@name`"))
}

/// Cuts `text` into the address, maybe with a prefix length, and what follows.
fn split(text: &str) -> Result<(&str, &str), DestinationError> {
    if let Some(inner) = text.strip_prefix('[') {
        let unclosed =
            || DestinationError::new("the bracket is not closed").help("write `[::1]:443`");
        return inner.split_once(']').ok_or_else(unclosed);
    }
    if text.starts_with(['/', '~']) {
        return Err(DestinationError::new("a path is not a destination"));
    }
    if text.contains("://") {
        let error = DestinationError::new("this is a URL");
        return Err(error.help("write a host and a port, `api.example.com:443`"));
    }
    let slash = text.find('/');
    let head = &text[..slash.unwrap_or(text.len())];
    // A head with several colons is IPv6 without brackets and cannot have a port.
    let colons = head.bytes().filter(|&byte| byte == b':').count();
    if colons == 1 {
        return Ok(text.split_at(head.find(':').unwrap_or(head.len())));
    }
    let tail = slash.map_or("", |slash| &text[slash + 1..]);
    if !tail.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(text.split_at(head.len()));
    }
    let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
    Ok(text.split_at(head.len() + 1 + digits))
}

fn parse_port(text: &str) -> Result<u16, DestinationError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(DestinationError::new(format!("`{text}` is not a port"))
            .help("a port is a number from 1 to 65535, or `*` for any")),
    }
}

fn parse_protocol(text: &str) -> Result<Protocol, DestinationError> {
    match text {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        _ => Err(DestinationError::new(format!("`{text}` is not a protocol"))
            .help("a protocol is `tcp` or `udp`; without one, both are meant")),
    }
}

fn parse_address(text: &str, end: End) -> Result<IpAddr, DestinationError> {
    let Ok(address) = text.parse::<IpAddr>() else { return Err(not_an_address(text)) };
    let canonical = address.to_canonical();
    if canonical.is_unspecified() && end == End::Own {
        return Ok(canonical);
    }
    if canonical.is_unspecified() {
        let message = format!("`{text}` means this host to the kernel, not any address");
        return Err(DestinationError::new(message)
            .help("write `localhost` for this host, `*` for any address"));
    }
    // `::1:443` is an address, but never the one that was meant.
    if let IpAddr::V6(v6) = canonical
        && v6.segments()[..4] == [0; 4]
        && v6 != Ipv6Addr::LOCALHOST
    {
        let error = DestinationError::new(format!("no host has the address `{text}`"));
        let meant =
            text.rsplit_once(':').filter(|(address, _)| address.parse::<Ipv6Addr>().is_ok());
        return Err(match meant {
            Some((address, port)) => error.help(format!("did you mean `[{address}]:{port}`?")),
            None => error,
        });
    }
    Ok(canonical)
}

fn parse_net(text: &str) -> Result<Ipv6Net, DestinationError> {
    let (address, _) = text.split_once('/').unwrap_or((text, ""));
    if address.parse::<IpAddr>().is_err() {
        return Err(not_an_address(address));
    }
    let Ok(net) = text.parse::<IpNet>() else {
        return Err(DestinationError::new(format!("`{text}` has a prefix that is too long"))
            .help("at most 32 bits of IPv4, 128 of IPv6"));
    };
    if net.trunc() != net {
        return Err(DestinationError::new(format!("`{text}` has bits beyond its prefix"))
            .help(format!("did you mean `{}` or `{}`?", net.trunc(), net.addr())));
    }
    if net.addr().to_canonical().is_unspecified() && net.prefix_len() == net.max_prefix_len() {
        return Err(parse_address(address, End::Peer)
            .err()
            .unwrap_or_else(|| not_an_address(address)));
    }
    let all_of_v4 = Ipv6Net::new_assert(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), MAPPED_BITS);
    if let IpNet::V6(v6) = net
        && v6.prefix_len() < MAPPED_BITS
        && v6.contains(&all_of_v4)
    {
        return Err(DestinationError::new(format!("`{text}` covers all of IPv4 as well"))
            .help("write `*` for any address, `2000::/3` for every public IPv6 address"));
    }
    Ok(map(net))
}

/// Whether a text can be meant as the name of a host: some of it is a letter, and no address has it.
fn is_name(text: &str) -> bool {
    let number = text.bytes().all(|byte| byte.is_ascii_digit() || b"./".contains(&byte));
    let wildcard = text == "*" || text == "localhost";
    !text.is_empty() && !number && !wildcard && !text.contains([':', '/'])
}

fn not_an_address(text: &str) -> DestinationError {
    DestinationError::new(format!("`{text}` is not an address"))
        .help("write `192.0.2.1`, `10.0.0.0/8`, `\"[2001:db8::1]:443\"`, `localhost:*` or `*:443`")
}

fn map(net: IpNet) -> Ipv6Net {
    match net {
        IpNet::V4(v4) => {
            Ipv6Net::new_assert(v4.addr().to_ipv6_mapped(), MAPPED_BITS + v4.prefix_len())
        }
        IpNet::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net(destination: &Destination) -> Ipv6Net {
        let To::Net(net) = destination.to else { panic!("{destination:?}") };
        net
    }

    fn shown(text: &str) -> Vec<String> {
        let destinations = parse(text, Suffix::default(), End::Peer).unwrap();
        let show = |d: &Destination| format!("{} {:?} {:?}", net(d), d.port, d.protocol);
        destinations.iter().map(show).collect()
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(shown("1.2.3.4"), ["::ffff:1.2.3.4/128 None None"]);
        assert_eq!(shown("::ffff:1.2.3.4"), ["::ffff:1.2.3.4/128 None None"]);
        assert_eq!(shown("10.0.0.0/8"), ["::ffff:10.0.0.0/104 None None"]);
        assert_eq!(shown("10.0.0.0/8:53/udp"), ["::ffff:10.0.0.0/104 Some(53) Some(Udp)"]);
        assert_eq!(shown("10.0.0.0/8/tcp"), ["::ffff:10.0.0.0/104 None Some(Tcp)"]);
        assert_eq!(shown("::1"), ["::1/128 None None"]);
        assert_eq!(shown("::1/udp"), ["::1/128 None Some(Udp)"]);
        assert_eq!(shown("[::1]:443"), ["::1/128 Some(443) None"]);
        assert_eq!(shown("fd00::/8"), ["fd00::/8 None None"]);
        assert_eq!(shown("fd00::/8:443"), ["fd00::/8 Some(443) None"]);
        assert_eq!(shown("[fd00::/8]:443/udp"), ["fd00::/8 Some(443) Some(Udp)"]);
        assert_eq!(shown("*:53/udp"), ["::/0 Some(53) Some(Udp)"]);
        assert_eq!(shown("*"), ["::/0 None None"]);
        assert_eq!(shown("0.0.0.0/0:25"), ["::ffff:0.0.0.0/96 Some(25) None"]);
        assert_eq!(shown("localhost:*"), ["::ffff:127.0.0.0/104 None None", "::1/128 None None"]);
    }

    #[test]
    fn what_means_something_else_is_refused() {
        let message = |text| parse(text, Suffix::default(), End::Peer).unwrap_err().message;
        let help = |text| parse(text, Suffix::default(), End::Peer).unwrap_err().help.unwrap();
        assert!(message("0.0.0.0").contains("means this host"));
        assert!(message("[::]:80").contains("means this host"));
        assert!(message("::ffff:0.0.0.0").contains("means this host"));
        assert!(message("0.0.0.0/32").contains("means this host"));
        assert!(message("::/0").contains("covers all of IPv4"));
        assert_eq!(help("10.1.2.3/8"), "did you mean `10.0.0.0/8` or `10.1.2.3`?");
        assert_eq!(help("::1:443"), "did you mean `[::1]:443`?");
        for wrong in [
            "",
            "1.2.3",
            "1.2.3.4:0",
            "1.2.3.4:65536",
            "1.2.3.4:+5",
            "1.2.3.4/33",
            "[::1",
            "[::1]443",
            "1.2.3.4:https",
            "1.2.3.4:1/icmp",
            "1.2.3.4:",
            "https://1.2.3.4",
            "unix:",
            "unix:run/x",
            "unix:@[",
            "a.*.example.org",
            "-a.example.org:443",
            "01.2.3.4",
            "/udp",
        ] {
            assert!(parse(wrong, Suffix::default(), End::Peer).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_and_sockets_are_read() {
        let one = |text| parse(text, Suffix::default(), End::Peer).unwrap().remove(0);
        let host = one("*.GitHub.com:443");
        let To::Host(pattern) = &host.to else { panic!("{host:?}") };
        assert_eq!(
            (pattern.name(), pattern.is_below(), host.port),
            ("github.com", true, Some(443))
        );
        assert!(matches!(one("unix:/run/docker.sock").to, To::Socket(_)));
        assert!(matches!(one("unix:@/tmp/.X11-unix/X*").to, To::Abstract(_)));
        let sockets = parse("unix:/run/{a,b}.sock", Suffix::default(), End::Peer).unwrap();
        assert_eq!(sockets.len(), 2);
        let suffix = Suffix::parse(":443").unwrap();
        assert!(parse("unix:/run/x", suffix, End::Peer).is_err());
        assert!(parse("example.org:80", Suffix::default(), End::Own).is_err());
        assert!(parse("0.0.0.0:80", Suffix::default(), End::Own).is_ok());
        let name = "api.github.com".to_owned();
        let peer = Object::Host { name, port: 443, protocol: 6 };
        assert_eq!(parse_peer("API.github.com.:443", End::Peer).unwrap(), peer);
        let socket = Object::Socket(b"@x".to_vec());
        assert_eq!(parse_peer("unix:@x", End::Peer).unwrap(), socket);
    }

    #[test]
    fn a_suffix_is_added_once() {
        let suffix = Suffix::parse(":443").unwrap();
        assert_eq!(parse("1.2.3.4", suffix, End::Peer).unwrap()[0].port, Some(443));
        assert!(parse("1.2.3.4:80", suffix, End::Peer).is_err());
        assert!(parse("localhost:*", suffix, End::Peer).is_err());
    }

    #[test]
    fn a_peer_is_one_address_and_one_port() {
        let peer = parse_peer("192.0.2.1:443", End::Peer).unwrap();
        let address = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(peer, Object::Peer { address, port: 443, protocol: 6 });
        for wrong in ["192.0.2.1", "192.0.2.0/24:443", "*:443", "192.0.2.1:*", "example.org"] {
            assert!(parse_peer(wrong, End::Peer).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_destination_or_is_not(text in "[0-9a-f:./*\\[\\]udptcplohs@-]{0,24}") {
            for parsed in parse(&text, Suffix::default(), End::Peer).into_iter().flatten() {
                if let To::Net(net) = &parsed.to {
                    prop_assert_eq!(net.trunc(), *net);
                }
                let again = parse(&parsed.to_string(), Suffix::default(), End::Peer);
                prop_assert_eq!(again, Ok(vec![parsed.clone()]), "{}", parsed);
                prop_assert_ne!(parsed.port, Some(0));
            }
            if let Ok(Object::Peer { port, .. }) = parse_peer(&text, End::Peer) {
                prop_assert_ne!(port, 0);
            }
        }

        #[test]
        fn ipv4_is_one_thing_however_it_is_spelt(bits in any::<u32>(), port in 1_u16..) {
            let v4 = Ipv4Addr::from(bits);
            let plain = parse(&format!("{v4}:{port}"), Suffix::default(), End::Peer);
            let mapped = format!("[{}]:{port}", v4.to_ipv6_mapped());
            let mapped = parse(&mapped, Suffix::default(), End::Peer);
            if let (Ok(plain), Ok(mapped)) = (&plain, &mapped) {
                prop_assert_eq!(plain, mapped);
                let peer = Object::Peer { address: v4.to_ipv6_mapped(), port, protocol: 6 };
                prop_assert!(plain[0].covers(&peer, &crate::rules::glob::Homes::default()));
            }
            prop_assert_eq!(plain.is_err(), v4.is_unspecified());
            prop_assert_eq!(mapped.is_err(), v4.is_unspecified());
        }
    }
}
