//! The head of every record, and which ring carries which kind.
//!
//! A record is a [`Header`], then the body of its kind, then bytes whose lengths the body gives. It
//! is exactly as long as what it says. All numbers are in the byte order of the host.

use crate::tag::LIMITS;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of a path at most, as in the kernel (`PATH_MAX`, without the closing NUL).
pub const PATH_BYTES: usize = 4095;
/// Steps from a file up to the root at most: one for each component, one for each mount point. A longer path is
/// unknown ([`crate::counter::Miss::PathTooLong`]).
pub const PATH_STEPS: u32 = 512;
/// Bytes of an argument area that an exec record carries at most.
pub const ARGV_BYTES: usize = 4096;
/// Bytes of the lifecycle ring: 2 MiB hold about 8,000 execs with ordinary command lines.
pub const LIFECYCLE_RING_BYTES: u32 = 2 << 20;
/// Bytes of the activity ring: 4 MiB hold about 20,000 file records with ordinary paths.
pub const ACTIVITY_RING_BYTES: u32 = 4 << 20;

/// What a record tells of. The number decides the ring: below 16 lifecycle, from 16 activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Kind {
    /// [`crate::process::Fork`]: a session has a new process.
    Fork = 1,
    /// [`crate::process::Exec`]: a process of a session has a new program, or is the root of a new
    /// session.
    Exec = 2,
    /// [`crate::process::Exit`]: the last thread of a process of a session is gone.
    Exit = 3,
    /// [`crate::file::File`]: a rule was hit by an open, or every act is recorded.
    File = 16,
    /// [`crate::net::Net`]: a rule was hit by a connect or a send, or every act is recorded.
    Net = 17,
    /// [`crate::privilege::Use`]: a rule was hit by the use of a right, or every act is recorded.
    Privilege = 18,
}

impl TryFrom<u32> for Kind {
    type Error = u32;

    fn try_from(raw: u32) -> Result<Self, u32> {
        match raw {
            1 => Ok(Self::Fork),
            2 => Ok(Self::Exec),
            3 => Ok(Self::Exit),
            16 => Ok(Self::File),
            17 => Ok(Self::Net),
            18 => Ok(Self::Privilege),
            other => Err(other),
        }
    }
}

/// Starts every record.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Header {
    /// Counts the records that this CPU had for this ring, lost ones too; the first is 1. A gap is a
    /// loss.
    pub sequence: u64,
    /// When, in nanoseconds of `CLOCK_BOOTTIME`.
    pub time: u64,
    /// When the process was started, in nanoseconds of `CLOCK_BOOTTIME`
    /// (`task_struct::group_leader->start_boottime`): with `pid` the identity of the process.
    pub start: u64,
    /// The session of the task, as in [`crate::tag::Tag`].
    pub session: u64,
    /// A [`Kind`].
    pub kind: u32,
    /// Bytes of the whole record.
    pub size: u32,
    /// The CPU that `sequence` counts on.
    pub cpu: u32,
    /// Thread group id in the initial PID namespace: what people call the pid.
    pub pid: u32,
    /// Thread id in the initial PID namespace.
    pub tid: u32,
    /// Real user id in the initial user namespace.
    pub uid: u32,
    /// The agents whose rules hold for the task, as in [`crate::tag::Tag`].
    pub agents: [u32; LIMITS],
    /// [`crate::plan::Header::serial`] of the plan that was asked, 0 where none was.
    pub plan: u32,
    /// Always zero.
    pub reserved: u32,
}

/// What the plan said of an act, in every record of one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Decision {
    /// Place of the winning rule in the plan, [`NO_RULE`] where none was hit.
    pub rule: u32,
    /// A [`crate::Verdict`]: what was done.
    pub done: u8,
    /// 1 where the object could not be known, and so counted as matching every `never` rule.
    pub unknown: u8,
    /// 1 where the winning rule names the file by its inode and not by the name that it was opened under;
    /// means nothing where no rule was hit.
    pub by_label: u8,
    /// Always zero.
    pub reserved: u8,
}

/// [`Decision::rule`] of an act that hit no rule.
pub const NO_RULE: u32 = u32::MAX;
