//! Counters of the kernel half: per CPU, only ever added to.
//!
//! The identity that must always close, per ring: `seen == submitted + lost`.

/// A place in the counter array. Map values are `u64`, one a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Counter {
    /// Records that a hook had for the lifecycle ring. Doubles as that ring's sequence number.
    LifecycleSeen = 0,
    /// Lifecycle records that the ring took.
    LifecycleSubmitted = 1,
    /// Lifecycle records that found the ring full.
    LifecycleLost = 2,
    /// Records that a hook had for the activity ring. Doubles as that ring's sequence number.
    ActivitySeen = 3,
    /// Activity records that the ring took.
    ActivitySubmitted = 4,
    /// Activity records that found the ring full.
    ActivityLost = 5,
}

impl Counter {
    /// Every counter that is not a [`Miss`], by number.
    pub const ALL: [Self; 6] = [
        Self::LifecycleSeen,
        Self::LifecycleSubmitted,
        Self::LifecycleLost,
        Self::ActivitySeen,
        Self::ActivitySubmitted,
        Self::ActivityLost,
    ];

    /// The name in `driftwatch status`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LifecycleSeen => "lifecycle_seen",
            Self::LifecycleSubmitted => "lifecycle_submitted",
            Self::LifecycleLost => "lifecycle_lost",
            Self::ActivitySeen => "activity_seen",
            Self::ActivitySubmitted => "activity_submitted",
            Self::ActivityLost => "activity_lost",
        }
    }
}

/// Why a hook could not do its whole work. No hook gives up without counting one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Miss {
    /// A child could not be given its parent's tag: it is outside its session.
    TagNotInherited = 0,
    /// A process was recognised as an agent and could not be given a tag.
    TagNotSet = 1,
    /// A task was already under [`crate::tag::LIMITS`] agents.
    LimitsFull = 2,
    /// Every scratch buffer of this CPU was in use: the object is unknown.
    NoScratch = 3,
    /// A path was longer or deeper than the buffer: the object is unknown.
    PathTooLong = 4,
    /// Kernel memory that describes the object could not be read: the object is unknown.
    ObjectUnreadable = 5,
    /// The plan has no row where one must be: the act was let through.
    NoPlan = 6,
    /// The signal of a kill could not be sent.
    SignalNotSent = 7,
    /// The argument area of a new program could not be read: its arguments are unknown, and the exec record has
    /// none. Counted for each of the two.
    ArgumentsUnreadable = 8,
    /// The working directory of a new program could not be walked; the exec record has none.
    CwdUnreadable = 9,
    /// An `io_uring` open went into a direct descriptor, which this tier cannot look into: the
    /// object is unknown.
    DirectDescriptor = 10,
    /// An `io_uring` open could not be remembered until the next submission: what is submitted behind it
    /// may be done before it is judged.
    PendingNotKept = 12,
    /// The argument area of a new program was longer than [`crate::plan::LIST_BYTES`]: its arguments are unknown.
    ArgumentsTooLong = 13,
    /// The environment of a new program could not be read to its end, or has more than
    /// [`crate::plan::ENVIRONMENT_PIECES`]: what was not read is no sign.
    EnvironmentUnknown = 14,
    /// What a process made executable could not be looked up, for another of its threads was changing its memory
    /// all the while, or it was in too many pieces: it was let through.
    MappingUnreadable = 15,
    /// An `io_uring` open was submitted whose success nobody is told (`IOSQE_CQE_SKIP_SUCCESS`): its file is unknown.
    UntoldOpen = 16,
    /// The root of a new session has more descriptors than are looked at: those beyond were not.
    DescriptorsUnseen = 17,
    /// A record did not fit its scratch buffer and was sent without its bytes.
    RecordCut = 11,
}

impl Miss {
    /// Every miss, by number.
    pub const ALL: [Self; 18] = [
        Self::TagNotInherited,
        Self::TagNotSet,
        Self::LimitsFull,
        Self::NoScratch,
        Self::PathTooLong,
        Self::ObjectUnreadable,
        Self::NoPlan,
        Self::SignalNotSent,
        Self::ArgumentsUnreadable,
        Self::CwdUnreadable,
        Self::DirectDescriptor,
        Self::RecordCut,
        Self::PendingNotKept,
        Self::ArgumentsTooLong,
        Self::EnvironmentUnknown,
        Self::MappingUnreadable,
        Self::UntoldOpen,
        Self::DescriptorsUnseen,
    ];

    /// The place in the counter array: after [`Counter::ALL`].
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a short list")]
    pub const fn index(self) -> u32 {
        Counter::ALL.len() as u32 + self as u32
    }

    /// The name in `driftwatch status`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TagNotInherited => "tag_not_inherited",
            Self::TagNotSet => "tag_not_set",
            Self::LimitsFull => "limits_full",
            Self::NoScratch => "no_scratch",
            Self::PathTooLong => "path_too_long",
            Self::ObjectUnreadable => "object_unreadable",
            Self::NoPlan => "no_plan",
            Self::SignalNotSent => "signal_not_sent",
            Self::ArgumentsUnreadable => "arguments_unreadable",
            Self::CwdUnreadable => "cwd_unreadable",
            Self::DirectDescriptor => "direct_descriptor",
            Self::RecordCut => "record_cut",
            Self::PendingNotKept => "pending_not_kept",
            Self::ArgumentsTooLong => "arguments_too_long",
            Self::EnvironmentUnknown => "environment_unknown",
            Self::MappingUnreadable => "mapping_unreadable",
            Self::UntoldOpen => "untold_open",
            Self::DescriptorsUnseen => "descriptors_unseen",
        }
    }
}

/// Length of the counter array.
#[expect(clippy::cast_possible_truncation, reason = "two short lists")]
pub const COUNTERS: u32 = (Counter::ALL.len() + Miss::ALL.len()) as u32;
