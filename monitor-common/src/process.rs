//! Bodies of the lifecycle records: fork, exec, exit.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::Decision;

/// A process of a session has a child. The header tells of the child; threads are not recorded.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Fork {
    /// `start` of the parent, as in [`crate::record::Header`].
    pub parent_start: u64,
    /// `pid` of the parent.
    pub parent_pid: u32,
    /// Always zero.
    pub reserved: u32,
}

/// A program was started. Behind it: `exe_len` bytes of the executable's path, `cwd_len` bytes of
/// the working directory, `argv_len` bytes of arguments, each closed by NUL.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Exec {
    /// `start` of the parent, as in [`crate::record::Header`].
    pub parent_start: u64,
    /// Inode number of the executable.
    pub inode: u64,
    /// `s_dev` of the executable's file system.
    pub device: u32,
    /// `pid` of the parent.
    pub parent_pid: u32,
    /// What the rules say of it.
    pub decision: Decision,
    /// A sum of [`exec_flag`]s.
    pub flags: u32,
    /// Bytes of the path.
    pub exe_len: u32,
    /// Bytes of the working directory.
    pub cwd_len: u32,
    /// Bytes of the argument area.
    pub argv_len: u32,
}

/// Bits of [`Exec::flags`].
pub mod exec_flag {
    /// This exec made the process the root of a new session.
    pub const ROOT: u32 = 1;
    /// The argument area was longer than [`crate::record::ARGV_BYTES`].
    pub const ARGV_CUT: u32 = 2;
    /// The executable is memory that never had a name: [`DELETED`], and its file system is one that the
    /// kernel mounted for itself.
    pub const MEMFD: u32 = 4;
    /// The executable has no name (any more): its link count is 0.
    pub const DELETED: u32 = 8;
    /// The executable is set-user-id, or set-group-id and executable by the group.
    pub const SETUID: u32 = 16;
    /// Somebody else than root may write the executable or the directory that it is in.
    pub const WRITABLE: u32 = 32;
    /// The argument area could not be read, or is longer than [`crate::plan::LIST_BYTES`], and the plan looks at
    /// arguments: they counted as unknown.
    pub const ARGUMENTS_UNKNOWN: u32 = 64;
    /// The four that say what is special about the executable. [`crate::plan::Header::traits`] is in the
    /// order of their bits.
    pub const TRAITS: [u32; 4] = [MEMFD, DELETED, SETUID, WRITABLE];
}

/// The last thread of a process has ended.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Exit {
    /// As `wait` would give it: the low 7 bits are the signal, the next byte the code.
    pub status: u32,
    /// Always zero.
    pub reserved: u32,
}
