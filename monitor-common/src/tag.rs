//! The tag: what the kernel keeps on a task to know whose it is.
//!
//! A tag is set when a process becomes the root of a session, copied to every child at fork, and
//! kept over exec, `setsid`, namespaces and credentials. Nothing in user space can take it off.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How many agents' limits one task can be under at a time: an agent started by an agent keeps both
/// sets. A fifth is not taken on and counted ([`crate::counter::Miss::LimitsFull`]).
pub const LIMITS: usize = 4;

/// No agent: an unused place in [`Tag::agents`].
pub const NO_AGENT: u32 = 0;

/// The value of the task storage.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Tag {
    /// The run of the innermost agent: random, never 0 on a tagged task.
    pub session: u64,
    /// The agents whose rules hold, outermost first, [`NO_AGENT`] after the last. Numbers are given
    /// by the daemon, from 1, and never used again while it runs.
    pub agents: [u32; LIMITS],
    /// A sum of [`FRESH`], [`DOOMED`] and [`BEGUN`].
    pub flags: u32,
    /// What its users and groups were when they were last looked at, as one number: where it is another now,
    /// others were taken on. 0 where nobody has looked yet.
    pub identities: u32,
    /// The capabilities that it could use or hand on then, `1 << CAP_*`.
    pub capabilities: u64,
}

/// [`Tag::flags`]: tagged by `driftwatch run` and not yet the agent. The next exec makes it the root of
/// its session; that exec is nobody's act.
pub const FRESH: u32 = 1;

/// [`Tag::flags`]: born in namespaces that a rule forbids. The process ends at the exit of the call that made it,
/// before its first instruction.
pub const DOOMED: u32 = 2;

/// [`Tag::flags`]: the root of a session has just begun, and what it was given has not been looked at.
pub const BEGUN: u32 = 4;

impl Tag {
    /// Whether this is a tag at all: a task of no session has zeros here.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        self.session != 0
    }
}
