//! Acts and verdicts: the two words that a rule, a hook and an alert have in common.

/// What a session does to an object. The number is part of the map layout ([`crate::plan`]) and of
/// records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Act {
    /// A program starts in this process; the object is the executable file.
    Exec = 0,
    /// A file is opened so that it can be read.
    Read = 1,
    /// A file is opened so that it can be changed.
    Write = 2,
    /// A socket is given a peer, or a datagram is sent to an address.
    Connect = 3,
    /// A socket is given a local address at which others can reach it.
    Listen = 4,
    /// A right is used or changed that reaches beyond the process; the object is which.
    Privilege = 5,
}

impl Act {
    /// How many acts there are: the length of a table that has one row an act.
    pub const COUNT: usize = 6;
    /// Every act, by number.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Exec, Self::Read, Self::Write, Self::Connect, Self::Listen, Self::Privilege];

    /// The word that rules and alerts use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Read => "read",
            Self::Write => "write",
            Self::Connect => "connect",
            Self::Listen => "listen",
            Self::Privilege => "privilege",
        }
    }
}

impl TryFrom<u32> for Act {
    type Error = u32;

    fn try_from(raw: u32) -> Result<Self, u32> {
        match raw {
            0 => Ok(Self::Exec),
            1 => Ok(Self::Read),
            2 => Ok(Self::Write),
            3 => Ok(Self::Connect),
            4 => Ok(Self::Listen),
            5 => Ok(Self::Privilege),
            other => Err(other),
        }
    }
}

/// What is to become of an act, weakest first: where several rules are hit, the greatest wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Verdict {
    /// The act goes on and nobody is told.
    #[default]
    Allow = 0,
    /// The act goes on and an alert says so.
    Alert = 1,
    /// The act waits for a person's answer.
    Ask = 2,
    /// The act is refused with `EPERM`.
    Deny = 3,
    /// The act is refused where the hook can refuse, and the process is sent `SIGKILL` in the hook.
    Kill = 4,
}

impl Verdict {
    /// The word that rules and alerts use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Alert => "alert",
            Self::Ask => "ask",
            Self::Deny => "deny",
            Self::Kill => "kill",
        }
    }
}

impl TryFrom<u8> for Verdict {
    type Error = u8;

    fn try_from(raw: u8) -> Result<Self, u8> {
        match raw {
            0 => Ok(Self::Allow),
            1 => Ok(Self::Alert),
            2 => Ok(Self::Ask),
            3 => Ok(Self::Deny),
            4 => Ok(Self::Kill),
            other => Err(other),
        }
    }
}
