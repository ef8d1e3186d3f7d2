//! The far end: the peers that the agent may not reach, and what reached them.

use std::net::SocketAddr;

use driftwatch_tests::{TcpCanary, UdpCanary};

/// IPv6 has one address on loopback, so the rules name a port of it: one that the kernel does not give
/// to whoever asks for any port.
const PORT_V6: u16 = 24_700;

/// Listeners for both protocols on both families.
pub(crate) struct FarEnd {
    tcp_v4: TcpCanary,
    tcp_v6: TcpCanary,
    udp_v4: UdpCanary,
    udp_v6: UdpCanary,
}

/// A listener at the far end.
#[derive(Clone, Copy)]
pub(crate) enum Peer {
    TcpV4,
    TcpV6,
    UdpV4,
    UdpV6,
}

impl FarEnd {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            tcp_v4: TcpCanary::bind("127.66.0.1:0")?,
            tcp_v6: TcpCanary::bind(&format!("[::1]:{PORT_V6}"))?,
            udp_v4: UdpCanary::bind("127.66.0.1:0")?,
            udp_v6: UdpCanary::bind(&format!("[::1]:{PORT_V6}"))?,
        })
    }

    pub(crate) fn address(&self, peer: Peer) -> SocketAddr {
        match peer {
            Peer::TcpV4 => self.tcp_v4.address(),
            Peer::TcpV6 => self.tcp_v6.address(),
            Peer::UdpV4 => self.udp_v4.address(),
            Peer::UdpV6 => self.udp_v6.address(),
        }
    }

    /// Connections or datagrams that have arrived so far.
    pub(crate) fn arrived(&self, peer: Peer) -> u64 {
        match peer {
            Peer::TcpV4 => self.tcp_v4.accepted(),
            Peer::TcpV6 => self.tcp_v6.accepted(),
            Peer::UdpV4 => self.udp_v4.arrived(),
            Peer::UdpV6 => self.udp_v6.arrived(),
        }
    }
}
