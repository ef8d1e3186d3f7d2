//! A question that the daemon asks the kernel half: what would become of an act that nobody does? It
//! goes down through one map, and the answer comes back through another as a
//! [`crate::record::Decision`].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::tag::LIMITS;

/// Room for a path: [`crate::record::PATH_BYTES`] and one.
pub const ROOM: usize = 4096;
/// Room for an argument area: [`crate::plan::LIST_BYTES`] and one.
pub const LIST_ROOM: usize = 16_384;

/// The question. Paths stand at the end of their room, as hooks have them.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Question {
    /// Whose rules hold, as in [`crate::tag::Tag`].
    pub agents: [u32; LIMITS],
    /// Of a [`PEER`]: its address, as in [`crate::net::Net`].
    pub address: [u8; 16],
    /// The bank of the plan that is asked, in force or not.
    pub bank: u32,
    /// An [`crate::Act`].
    pub act: u32,
    /// [`UNKNOWN`], [`PATH`], [`PEER`], [`HOST`] or [`PRIVILEGE`].
    pub object: u32,
    /// Of a peer or host: `IPPROTO_*`.
    pub protocol: u32,
    /// Bytes of the path or name.
    pub path_len: u32,
    /// Bytes of the path of the executable that acts, 0 where it is not known.
    pub exe_len: u32,
    /// Of a peer or host: its port, in host order.
    pub port: u32,
    /// Of a program start: the [`crate::process::exec_flag::TRAITS`] of the program.
    pub traits: u32,
    /// Of a program start: bytes of its argument area, 0 where it is not known.
    pub args_len: u32,
    /// Of a program: 1 where its code is mapped and it is not started.
    pub loaded: u32,
    /// Of a right: a [`crate::privilege::Privilege`].
    pub privilege: u32,
    /// Always zero.
    pub reserved: u32,
    /// The path; of a [`HOST`] its name, in lower case and without a dot at the end.
    pub path: [u8; ROOM],
    /// The path of the executable that acts.
    pub exe: [u8; ROOM],
    /// The argument area, from the beginning of its room: the program's name, then its arguments, each closed by NUL.
    pub args: [u8; LIST_ROOM],
}

/// [`Question::object`]: one that could not be known.
pub const UNKNOWN: u32 = 0;
/// [`Question::object`]: a file.
pub const PATH: u32 = 1;
/// [`Question::object`]: a peer.
pub const PEER: u32 = 2;
/// [`Question::object`]: a right.
pub const PRIVILEGE: u32 = 4;

/// [`Question::object`]: a peer by its name.
pub const HOST: u32 = 3;

/// What the program that answers returns: the answer is in its map.
pub const ANSWERED: u32 = 0;
/// What it returns where it could not answer, and has written none.
pub const UNANSWERED: u32 = 1;
