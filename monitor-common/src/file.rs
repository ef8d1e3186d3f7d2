//! Body of the file record: an open or a load that hit a rule, or any where every act is recorded
//! ([`crate::plan::header_flag::WATCH`]).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::Decision;

/// A file was opened, or mapped so that its code can run. Behind it: `path_len` bytes of the path, from the root of the mount tree.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct File {
    /// Inode number.
    pub inode: u64,
    /// `s_dev` of the file system.
    pub device: u32,
    /// An [`crate::Act`]: read or write, and exec of a file that was mapped.
    pub act: u32,
    /// What the rules say of it.
    pub decision: Decision,
    /// A [`Origin`].
    pub origin: u32,
    /// Bytes of the path; 0 where it is unknown.
    pub path_len: u32,
    /// Of a load: the [`crate::process::exec_flag::TRAITS`] of the file.
    pub traits: u32,
    /// Always zero.
    pub reserved: u32,
}

/// How the file was opened, or that it was mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Origin {
    /// open, openat, openat2, creat, `open_by_handle_at`.
    Call = 0,
    /// An `io_uring` submission.
    Uring = 1,
    /// mmap or mprotect with `PROT_EXEC`: the act is exec.
    Load = 2,
    /// Another process handed over its descriptor, or had it taken.
    Passed = 3,
    /// It was about to be started as a program: the act is exec, and did not happen.
    Start = 4,
    /// It was about to be started, and is a script: the act is exec.
    Script = 5,
    /// Not opened, as all that follow: its name was made, as a directory, a device or a symbolic link.
    Made = 6,
    /// It lost this name to another, or got it from another.
    Renamed = 7,
    /// It got one more name, or the name is that one.
    Linked = 8,
    /// It lost this name.
    Unlinked = 9,
    /// It was cut or made longer.
    Truncated = 10,
    /// Its mode or its owner were changed.
    Changed = 11,
    /// It lies behind one that is opened, in a layer of an overlay.
    Layer = 12,
    /// It is about to get another name: as good as read and written, for under that one no rule may know it.
    Alias = 13,
    /// It was open already when the session began, and its root got the descriptor.
    Inherited = 14,
    /// It was open already, or mapped, when its process was adopted.
    Held = 15,
}

impl TryFrom<u32> for Origin {
    type Error = u32;

    fn try_from(raw: u32) -> Result<Self, u32> {
        match raw {
            0 => Ok(Self::Call),
            1 => Ok(Self::Uring),
            2 => Ok(Self::Load),
            3 => Ok(Self::Passed),
            4 => Ok(Self::Start),
            5 => Ok(Self::Script),
            6 => Ok(Self::Made),
            7 => Ok(Self::Renamed),
            8 => Ok(Self::Linked),
            9 => Ok(Self::Unlinked),
            10 => Ok(Self::Truncated),
            11 => Ok(Self::Changed),
            12 => Ok(Self::Layer),
            13 => Ok(Self::Alias),
            14 => Ok(Self::Inherited),
            15 => Ok(Self::Held),
            other => Err(other),
        }
    }
}
