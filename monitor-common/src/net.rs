//! Body of the net record: a connect, a send or a bind that hit a rule, or any where every act is recorded
//! ([`crate::plan::header_flag::WATCH`]).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Act, record::Decision};

/// A peer was named, or an address of the host's own. An IPv4 address is always in its mapped form,
/// `::ffff:a.b.c.d`, however the caller spelt it. The unspecified address of a peer is the loopback address, as it
/// is for the kernel; of the host's own it is every address.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Net {
    /// The peer or the own address, in network order.
    pub address: [u8; 16],
    /// What the rules say of it.
    pub decision: Decision,
    /// Its port, in host order; 0 for a protocol without ports, and for an own port that the kernel is to choose.
    pub port: u16,
    /// `IPPROTO_*`: 6 TCP, 17 UDP, and whatever else the socket speaks.
    pub protocol: u16,
    /// A [`Call`].
    pub call: u32,
}

/// What was done with the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Call {
    /// It was connected.
    Connect = 0,
    /// A datagram was sent with an address.
    Send = 1,
    /// It was given an own address, at which others can reach it.
    Bind = 2,
}

impl Call {
    /// The act that it is.
    #[must_use]
    pub const fn act(self) -> Act {
        match self {
            Self::Connect | Self::Send => Act::Connect,
            Self::Bind => Act::Listen,
        }
    }
}

impl TryFrom<u32> for Call {
    type Error = u32;

    fn try_from(raw: u32) -> Result<Self, u32> {
        match raw {
            0 => Ok(Self::Connect),
            1 => Ok(Self::Send),
            2 => Ok(Self::Bind),
            other => Err(other),
        }
    }
}
