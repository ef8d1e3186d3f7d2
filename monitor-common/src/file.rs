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
}

impl TryFrom<u32> for Origin {
    type Error = u32;

    fn try_from(raw: u32) -> Result<Self, u32> {
        match raw {
            0 => Ok(Self::Call),
            1 => Ok(Self::Uring),
            2 => Ok(Self::Load),
            other => Err(other),
        }
    }
}
