//! Peers: a connection that was seen as a rule writes it.
//!
//! Exactly what was seen: the name where it is known, or else the address, and the port. Addresses are never
//! taken together to networks: who else lives there is not known. Loopback is one host however it is spelt.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
};

use crate::rules::{
    destination::{self, End, Suffix},
    glob::Homes,
    model::{Destination, Object},
};

/// From so many ports of this host on, they are taken for ports that are different each time.
const MANY: usize = 4;
/// `IPPROTO_UDP`.
const UDP: u16 = 17;

/// Ports of this host that were connected to, and whether by UDP.
#[derive(Debug, Default)]
pub(super) struct Ports(BTreeSet<(bool, u16)>);

impl Ports {
    /// Takes in a peer that was seen.
    pub(super) fn add(&mut self, object: &Object) {
        if let Object::Peer { address, port, protocol } = object
            && is_loopback(*address)
        {
            self.0.insert((*protocol == UDP, *port));
        }
    }

    fn are_many(&self, udp: bool) -> bool {
        self.0.range((udp, 0)..=(udp, u16::MAX)).count() >= MANY
    }

    /// A peer as a rule writes it, and what that means. None where no rule can name it.
    pub(super) fn item(
        &self,
        object: &Object,
        homes: &Homes,
    ) -> Option<(String, Vec<Destination>)> {
        let (place, port, protocol) = match object {
            Object::Host { name, port, protocol } => (vec![name.clone()], *port, *protocol),
            Object::Peer { address, port, protocol } => (spellings(*address), *port, *protocol),
            _ => return None,
        };
        let is_local = place[0] == "localhost";
        let any = port == 0 || is_local && self.are_many(protocol == UDP);
        let port = if any { "*".to_owned() } else { port.to_string() };
        let udp = if protocol == UDP { "/udp" } else { "" };
        place.iter().find_map(|place| {
            let text = format!("{place}:{port}{udp}");
            let means = destination::parse(&text, Suffix::default(), End::Peer).ok()?;
            means.iter().any(|one| one.covers(object, homes)).then_some((text, means))
        })
    }
}

fn is_loopback(address: Ipv6Addr) -> bool {
    IpAddr::V6(address).to_canonical().is_loopback()
}

/// How an address may be written. The kernel takes the unspecified address for this host, and rules name that,
/// like what nobody has, only as a network.
fn spellings(address: Ipv6Addr) -> Vec<String> {
    match IpAddr::V6(address).to_canonical() {
        address if address.is_loopback() => vec!["localhost".to_owned()],
        IpAddr::V4(v4) => vec![v4.to_string(), format!("{v4}/31")],
        IpAddr::V6(v6) => vec![format!("[{v6}]"), format!("[{v6}/128]"), format!("[{v6}/127]")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str, port: u16, protocol: u16) -> Object {
        let address = match address.parse().unwrap() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        Object::Peer { address, port, protocol }
    }

    fn item(objects: &[Object]) -> String {
        let mut ports = Ports::default();
        objects.iter().for_each(|object| ports.add(object));
        ports.item(objects.last().unwrap(), &Homes::default()).unwrap().0
    }

    #[test]
    fn a_peer_is_written_as_it_was_seen() {
        assert_eq!(item(&[peer("192.0.2.1", 443, 6)]), "192.0.2.1:443");
        assert_eq!(item(&[peer("192.0.2.1", 443, 262)]), "192.0.2.1:443");
        assert_eq!(item(&[peer("192.0.2.53", 53, 17)]), "192.0.2.53:53/udp");
        assert_eq!(item(&[peer("2001:db8::1", 443, 6)]), "[2001:db8::1]:443");
        let name = "api.example.com".to_owned();
        assert_eq!(item(&[Object::Host { name, port: 443, protocol: 6 }]), "api.example.com:443");
    }

    #[test]
    fn this_host_is_one_however_it_is_spelt() {
        assert_eq!(item(&[peer("127.0.0.1", 8080, 6)]), "localhost:8080");
        assert_eq!(item(&[peer("127.9.9.9", 53, 17)]), "localhost:53/udp");
        assert_eq!(item(&[peer("::1", 8080, 6)]), "localhost:8080");
        let ports: Vec<Object> = (1..=4).map(|port| peer("127.0.0.1", port, 6)).collect();
        assert_eq!(item(&ports), "localhost:*");
        assert_eq!(item(&ports[..3]), "localhost:3");
        let udp = [&ports[..], &[peer("127.0.0.1", 5, 17)]].concat();
        assert_eq!(item(&udp), "localhost:5/udp");
    }

    #[test]
    fn what_has_no_plain_spelling_is_written_as_a_network() {
        assert_eq!(item(&[peer("0.0.0.0", 80, 6)]), "0.0.0.0/31:80");
        assert_eq!(item(&[peer("::", 80, 6)]), "[::/127]:80");
        assert_eq!(item(&[peer("::5", 80, 6)]), "[::5/128]:80");
        assert_eq!(item(&[peer("192.0.2.1", 0, 17)]), "192.0.2.1:*/udp");
    }

    #[test]
    fn what_no_host_is_called_is_not_written() {
        let name = "a b".to_owned();
        let object = Object::Host { name, port: 443, protocol: 6 };
        assert!(Ports::default().item(&object, &Homes::default()).is_none());
    }
}
