//! Body of the net record: a connect or a send that hit a rule, or any where every act is recorded
//! ([`crate::plan::header_flag::WATCH`]).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::Decision;

/// A peer was named. An IPv4 address is always in its mapped form, `::ffff:a.b.c.d`, however the
/// caller spelt it; the unspecified address is the loopback address, as it is for the kernel.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Net {
    /// The peer, in network order.
    pub address: [u8; 16],
    /// What the rules say of it.
    pub decision: Decision,
    /// The peer's port, in host order; 0 for a protocol without ports.
    pub port: u16,
    /// `IPPROTO_*`: 6 TCP, 17 UDP, and whatever else the socket speaks.
    pub protocol: u16,
    /// [`CONNECT`] or [`SEND`].
    pub call: u32,
}

/// [`Net::call`]: the socket was connected.
pub const CONNECT: u32 = 0;
/// [`Net::call`]: a datagram was sent with an address.
pub const SEND: u32 = 1;
