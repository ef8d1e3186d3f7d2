//! The KernelPlan's layout: the rules as keys and values of maps.
//!
//! There is room for two plans, `bank` 0 and 1. A new plan is written into the idle bank and then
//! switched to by one write; a hook reads the active bank once and uses nothing else. Every key
//! therefore begins with its bank, and every array is indexed through [`row`].
//!
//! From object to verdict:
//!
//! 1. The object is looked up, and every look-up that finds something gives the number of a
//!    **class**, a row of [`Bits`]. The bits of all of them are added together.
//! 2. Bits 0..[`RULES`] are rules: bit *i* says that the object is in the list of rule *i*. Bits from
//!    [`RULES`] on are **aux** sets: objects of exceptions, executables of exceptions, signs of agents.
//! 3. Rules with `only` are hit by what is *not* in their list: [`Header::only`] turns those bits over.
//!    The [`Mask`] of the session's agents and the act leaves the rules that hold here.
//! 4. Aux bits of exceptions clear the bit of their rule ([`Aux`]).
//! 5. Rules are numbered strongest first: the lowest bit left is the winner, its [`Rule`] the verdict.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Act, privilege::Privilege};

/// Plans that there is room for.
pub const BANKS: u32 = 2;
/// Rules of a plan at most.
pub const RULES: usize = RULE_ROWS as usize;
/// The same, as rows of the rule table.
pub const RULE_ROWS: u32 = 256;
/// Aux sets of a plan at most.
pub const AUX: usize = AUX_ROWS as usize;
/// The same, as rows of the aux table.
pub const AUX_ROWS: u32 = 256;
/// Words of a rule mask.
pub const RULE_WORDS: usize = RULES / 64;
/// Words of an aux mask.
pub const AUX_WORDS: usize = AUX / 64;
/// Agents that the daemon can have numbered while it runs.
pub const AGENTS: u32 = 256;
/// Classes of a plan at most. Class 0 is the empty one.
pub const CLASSES: u32 = 4096;
/// Clauses of all agents at most.
pub const CLAUSES: usize = CLAUSE_ROWS as usize;
/// The same, as rows of the clause table.
pub const CLAUSE_ROWS: u32 = 256;
/// Literal paths and names of both banks at most.
pub const LITERALS: u32 = 131_072;
/// Address ranges of both banks at most.
pub const RANGES: u32 = 131_072;
/// User ids of both banks at most.
pub const USERS: u32 = 4096;
/// Files that are known by their inode, of both banks at most.
pub const LABELS: u32 = 131_072;
/// Sessions that can be adopted at once, at most.
pub const ADOPTED: u32 = 4096;
/// Grants whose uses are counted at most: room for those of two plans.
pub const USES: u32 = 512;
/// Words of a mask of them.
pub const USES_WORDS: usize = USES as usize / 64;
/// Cells of one automaton: 512 Ki states × byte classes, one MiB.
pub const CELLS: usize = 512 * 1024;

/// Index of row `row` of bank `bank` in an array that holds `rows` rows a bank.
#[must_use]
pub const fn row(bank: u32, rows: u32, row: u32) -> u32 {
    bank * rows + row
}

/// Acts, as rows of the mask table.
#[expect(clippy::cast_possible_truncation, reason = "there are six acts")]
const ACT_ROWS: u32 = Act::COUNT as u32;
/// Rows of the mask table of a bank.
pub const MASK_ROWS: u32 = AGENTS * ACT_ROWS;

/// Row of the mask of `agent` and `act` within a bank.
#[must_use]
pub const fn mask_row(agent: u32, act: Act) -> u32 {
    agent * ACT_ROWS + act as u32
}

/// Which rules and aux sets an object belongs to.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Bits {
    /// Bit *i* % 64 of word *i* / 64 is rule *i*.
    pub rules: [u64; RULE_WORDS],
    /// Bit *i* % 64 of word *i* / 64 is aux set *i*.
    pub aux: [u64; AUX_WORDS],
}

/// The one row of a bank that is not a table.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Header {
    /// Rules that are hit by what is not in their list.
    pub only: [u64; RULE_WORDS],
    /// Rules that hold only where the peer's name is known: by its address alone nobody can say whether they
    /// are hit.
    pub named: [u64; RULE_WORDS],
    /// Rules that look at the arguments of programs, which can be read when a program is in place and not before.
    pub late: [u64; RULE_WORDS],
    /// Aux sets that are objects of exceptions.
    pub exceptions: [u64; AUX_WORDS],
    /// Aux sets that are signs of agents.
    pub signs: [u64; AUX_WORDS],
    /// Aux sets that are programs whose arguments rules look at: [`Aux::start`].
    pub programs: [u64; AUX_WORDS],
    /// Those of the signs that are scripts: paths, and nothing to the path of an executable.
    pub scripts: [u64; AUX_WORDS],
    /// Class of every program with each of [`crate::process::exec_flag::TRAITS`], 0 for none.
    pub traits: [u32; 4],
    /// Class of each [`Privilege`], by number, 0 for none.
    pub privileges: [u32; Privilege::COUNT],
    /// Counts the plans of one daemon, from 1.
    pub serial: u32,
    /// [`Clause`]s in use.
    pub clauses: u32,
    /// A sum of [`header_flag`]s: look-ups that this plan has no use for are left out.
    pub flags: u32,
    /// `log2` of the byte classes of each automaton: a state's row begins at `state << shift`.
    pub shifts: [u8; AUTOMATA as usize],
    /// Always zero.
    pub reserved: u8,
    /// State of the automaton of lists before the arguments of any program, whose signs it finds.
    pub arguments: u32,
    /// State of the automaton of lists before a variable of the environment.
    pub environment: u32,
    /// Always zero.
    pub reserved_too: u32,
    /// The aux set of the programs that have a script, where agents are recognised by one.
    pub interpreters: u32,
}

/// Bits of [`Header::flags`].
pub mod header_flag {
    /// There are literals of the [`super::Space::Name`] space.
    pub const NAMES: u32 = 1;
    /// There are literals of the [`super::Space::Suffix`] space.
    pub const SUFFIXES: u32 = 2;
    /// There is a forward automaton.
    pub const FORWARD: u32 = 4;
    /// There is a backward automaton.
    pub const BACKWARD: u32 = 8;
    /// Agents are recognised by their cgroup.
    pub const CGROUPS: u32 = 16;
    /// Agents are recognised by their user.
    pub const USERS: u32 = 32;
    /// Address ranges name a port of TCP or UDP (look-up with protocol and port).
    pub const PROTOCOL_PORT: u32 = 64;
    /// Address ranges name a protocol and any port.
    pub const PROTOCOL: u32 = 128;
    /// Address ranges name a port of any protocol.
    pub const PORT: u32 = 256;
    /// Address ranges name neither.
    pub const ADDRESS: u32 = 512;
    /// Every act of a session is recorded, also where no rule is hit or even holds.
    pub const WATCH: u32 = 1024;
    /// Some files are known by their inode.
    pub const LABELS: u32 = 2048;
    /// Hosts of the [`super::Space::Host`] space have a protocol and a port.
    pub const HOST_PROTOCOL_PORT: u32 = 1 << 12;
    /// Hosts have a protocol and any port.
    pub const HOST_PROTOCOL: u32 = 1 << 13;
    /// Hosts have a port of any protocol.
    pub const HOST_PORT: u32 = 1 << 14;
    /// Hosts have neither.
    pub const HOST: u32 = 1 << 15;
    /// Rules look at the arguments of some programs: [`super::Header::programs`].
    pub const PROGRAMS: u32 = 1 << 16;
    /// Agents are recognised by the arguments of any program.
    pub const ARGUMENTS: u32 = 1 << 17;
    /// Agents are recognised by the file that an interpreter is started on.
    pub const SCRIPTS: u32 = 1 << 18;
    /// Agents are recognised by their environment.
    pub const ENVIRONMENT: u32 = 1 << 19;
}

/// What a literal is compared with. The number is part of the hash: spaces never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Space {
    /// The path from the root, `/etc/shadow`.
    Absolute = 1,
    /// The path from a home directory, without it: `/.ssh/config`.
    Home = 2,
    /// The last component: `.env`.
    Name = 3,
    /// The last component from its last dot: `.pem`.
    Suffix = 4,
    /// The path of a cgroup, from the root of the hierarchy: `/system.slice/a.service`.
    Cgroup = 5,
    /// The name of a host from its last byte to its first, then [`HOST_SUFFIX`] bytes: the protocol, 0 for any,
    /// and the port, high byte first, 0 for any. What is below a name ends with a dot and the name
    /// (`*.example.com`); what is below the empty one is everything (`*`).
    Host = 6,
}

/// First byte that an automaton is fed, so that one automaton serves several spaces.
impl Space {
    /// The byte, or `None` for a space that has no globs.
    #[must_use]
    pub const fn lead(self) -> Option<u8> {
        match self {
            Self::Absolute => Some(b'/'),
            Self::Home => Some(b'~'),
            Self::Cgroup => Some(b'@'),
            Self::Name | Self::Suffix | Self::Host => None,
        }
    }
}

/// Bytes of a literal of [`Space::Host`] behind the name.
pub const HOST_SUFFIX: u32 = 3;

/// Key of the literal map.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct LiteralKey {
    /// [`hash_start`], then [`hash_step`] for each byte.
    pub hash: u64,
    /// Bytes hashed.
    pub len: u32,
    /// Bank.
    pub bank: u32,
}

/// Value of the literal map.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Literal {
    /// Class of the object that is spelt so, 0 for none.
    pub exact: u32,
    /// Class of every object below it (`/etc/ssl/**`), 0 for none.
    pub below: u32,
    /// A sum of [`literal_flag`]s.
    pub flags: u32,
    /// Always zero.
    pub reserved: u32,
}

/// Bits of [`Literal::flags`].
pub mod literal_flag {
    /// A home directory: what is below it is also looked up in [`super::Space::Home`].
    pub const HOME: u32 = 1;
    /// Every directory in it is a home directory (`/home`).
    pub const HOMES: u32 = 2;
}

/// First value of the hash of a literal. `secret` is drawn by the daemon when it starts: whoever
/// chooses a path must not be able to choose its hash.
#[must_use]
#[inline(always)]
pub const fn hash_start(secret: u64, space: Space) -> u64 {
    secret ^ (space as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Takes one byte into the hash of a literal: the FNV-1a step with a secret odd multiplier, and a
/// fold, without which the low bits would never hear of the high ones.
#[must_use]
#[inline(always)]
pub const fn hash_step(hash: u64, secret: u64, byte: u8) -> u64 {
    let mixed = (hash ^ byte as u64).wrapping_mul(secret | 1);
    mixed ^ (mixed >> 32)
}

/// One automaton of a bank, as the value of an array of `BANKS * AUTOMATA` rows.
///
/// A step is `cells[(state << shift) + classes[byte]]`. State 0 is dead. `accept[state]` is the class of
/// every object whose reading comes to the state, on its way or at its end; 0 for none. The forward one
/// reads a NUL behind the last byte, so that it can tell the end.
///
/// The one of lists reads the argument area of a new program, and each variable of its environment by itself.
/// Behind the NUL that closes an argument it reads [`MORE`]
/// if another text follows, and [`LAST`] if none does, so that it can tell an empty text from the end. It begins
/// in a state of its own for every program whose arguments rules look at, and finds the rules themselves.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Automaton {
    /// Class of each byte.
    pub classes: [u8; 256],
    /// State before the first byte.
    pub start: u32,
    /// Always zero.
    pub reserved: u32,
    /// Class by state.
    pub accept: [u16; STATES],
    /// Next states, a row of `1 << shift` cells a state.
    pub cells: [u16; CELLS],
}

/// States of an automaton at most.
pub const STATES: usize = 65_536;

/// Rows of the automaton array of a bank.
pub const AUTOMATA: u32 = 3;
/// Row of the automaton that reads from the first byte on.
pub const FORWARD: u32 = 0;
/// Row of the automaton that reads from the last byte back.
pub const BACKWARD: u32 = 1;
/// Row of the automaton that reads lists of texts.
pub const LISTS: u32 = 2;

/// Bytes of an argument area at most, the program's name among it. A longer one is unknown.
pub const LIST_BYTES: usize = 16_383;
/// Pieces of an environment at most, of nearly [`LIST_BYTES`] each. What is beyond them is unknown.
pub const ENVIRONMENT_PIECES: u32 = 8;
/// What the automaton of lists reads between two texts.
pub const MORE: u8 = 1;
/// What it reads behind the last text.
pub const LAST: u8 = 0;

/// Row of the rule table.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Rule {
    /// A [`crate::Verdict`]: what is done, as mode and tier allow.
    pub done: u8,
    /// The same of a program that is in place already, and can only be ended.
    pub late: u8,
    /// Always zero.
    pub reserved: [u8; 6],
}

/// Row of the aux table: what the aux set of an exception does, or of a program whose arguments rules look at.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Aux {
    /// The rule whose bit is cleared.
    pub rule: u16,
    /// The aux set that the executable of the process must belong to, [`ANY_EXE`] for any.
    pub exe: u16,
    /// Of a program: the state of the automaton of lists before its arguments.
    pub start: u16,
    /// Of a program: the class that a start of it has whose arguments could not be known.
    pub unknown: u16,
    /// Of a grant that may be used a number of times: where its uses are counted, below [`USES`].
    pub slot: u16,
    /// How often it lifts its rule, 0 for as often as wanted.
    pub uses: u16,
}

/// [`Aux::exe`] of an exception that holds for every executable.
pub const ANY_EXE: u16 = u16::MAX;

/// Row of the mask table: the rules that hold for an agent and an act.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Mask {
    /// Bit *i* % 64 of word *i* / 64 is rule *i*.
    pub rules: [u64; RULE_WORDS],
}

/// One way to recognise an agent: a process that shows all these signs is one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Clause {
    /// Aux sets, all of which must hold.
    pub signs: [u64; AUX_WORDS],
    /// The agent's number, as in [`crate::tag::Tag`].
    pub agent: u32,
    /// Always zero.
    pub reserved: u32,
}

/// Data of the key of the address trie, in the order in which prefixes are compared.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Range {
    /// Bank.
    pub bank: u8,
    /// `IPPROTO_*`, 0 for any.
    pub protocol: u8,
    /// Port in network order, 0 for any.
    pub port: [u8; 2],
    /// Address in network order, IPv4 mapped.
    pub address: [u8; 16],
}

/// Bits of a [`Range`] before the address: all of them always count.
pub const RANGE_LEAD_BITS: u32 = 32;

/// Key of the user map.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct UserKey {
    /// Real user id.
    pub uid: u32,
    /// Bank.
    pub bank: u32,
}

/// Key of the label map: one file of this host, under whatever name.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct LabelKey {
    /// Inode number.
    pub inode: u64,
    /// `s_dev` of the file system.
    pub device: u32,
    /// `i_generation`: another one for every file that has had the number.
    pub generation: u32,
    /// Bank.
    pub bank: u32,
    /// Always zero.
    pub reserved: u32,
}

#[cfg(feature = "user")]
mod pod {
    //! Every type here is `IntoBytes + FromBytes`: any bytes are a value, and none are padding.
    macro_rules! pod {
        ($($type:ty),* $(,)?) => {$(
            // SAFETY: zerocopy has proved that the type is plain bytes without padding, and it is `Copy`.
            unsafe impl aya::Pod for $type {}
        )*};
    }

    pod! {
        super::Bits, super::Header, super::LiteralKey, super::Literal, super::Automaton, super::Rule,
        super::Aux, super::Mask, super::Clause, super::Range, super::UserKey, crate::tag::Tag,
        crate::question::Question, crate::record::Decision, super::LabelKey,
    }
}
