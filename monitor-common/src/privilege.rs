//! Privileges: the rights that reach beyond a process, and the body of the record of one that was used.

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::Decision;

/// A right that reaches beyond the process. The number is a place in [`crate::plan::Header::privileges`] and in
/// records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Privilege {
    /// Another user or group is taken on; a call that leaves all of them as they were is none.
    Setuid = 0,
    /// Capabilities are added, to what the process may do or to what it hands on. Giving some up is none.
    Capabilities = 1,
    /// Another process is attached to, read, written or steered, or gives a descriptor away.
    Ptrace = 2,
    /// File systems are mounted, moved or taken off, or what is mounted is changed.
    Mount = 3,
    /// Namespaces are made or entered.
    Namespaces = 4,
    /// The kernel's own programs and maps: everything that `bpf` does.
    Bpf = 5,
    /// A kernel module is loaded or taken out, or another kernel loaded.
    Module = 6,
    /// An `io_uring` is set up.
    IoUring = 7,
}

impl Privilege {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// The words that rules use, by number.
    pub const WORDS: [(&'static str, Self); Self::COUNT] = [
        ("setuid", Self::Setuid),
        ("capabilities", Self::Capabilities),
        ("ptrace", Self::Ptrace),
        ("mount", Self::Mount),
        ("namespaces", Self::Namespaces),
        ("bpf", Self::Bpf),
        ("module", Self::Module),
        ("io_uring", Self::IoUring),
    ];

    /// The word that rules use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::WORDS[self as usize].0
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl TryFrom<u32> for Privilege {
    type Error = u32;

    fn try_from(raw: u32) -> Result<Self, u32> {
        Self::WORDS.get(raw as usize).map(|(_, one)| *one).ok_or(raw)
    }
}

/// A right was used, and the use hit a rule or every act is recorded ([`crate::plan::header_flag::WATCH`]).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Use {
    /// What the rules say of it.
    pub decision: Decision,
    /// A [`Privilege`].
    pub privilege: u32,
    /// 1 where it was not used just now: its process had it already when it was adopted.
    pub held: u32,
}
