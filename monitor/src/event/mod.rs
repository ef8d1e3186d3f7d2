//! Events: what the kernel half told, in words that the rest of the user half can use.
//!
//! [`decode()`] makes an event of a record. An event holds nothing that was not in its record: names of
//! agents, ancestors and rules come later. Pure: no I/O, no clock.

mod bytes;
mod decode;

pub use self::{
    bytes::{Shown, shown},
    decode::{DecodeError, decode},
};

use std::{fmt, net::Ipv6Addr};

use monitor_common::{
    Act, Verdict,
    file::Origin,
    net::Call,
    privilege::Privilege,
    tag::{LIMITS, NO_AGENT},
};

use crate::rules::model::{How, Traits};

/// A process, once and for all: the pid and when it was started, in the hundredths of a second that
/// `/proc/PID/stat` counts in, for both the kernel half and `/proc` must lead to the same identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    /// Thread group id in the initial PID namespace.
    pub pid: u32,
    /// Hundredths of a second since boot (`USER_HZ`, always 100 for user space).
    pub start: u64,
}

impl ProcessId {
    /// From the nanoseconds of a record.
    #[must_use]
    pub const fn at(pid: u32, nanoseconds: u64) -> Self {
        Self { pid, start: nanoseconds / 10_000_000 }
    }
}

/// One run of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A decoded record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in nanoseconds of `CLOCK_BOOTTIME`.
    pub time: u64,
    /// Its place among the records of its CPU and ring.
    pub sequence: u64,
    /// The CPU.
    pub cpu: u32,
    /// The process that acted; of a fork, the child.
    pub process: ProcessId,
    /// The thread.
    pub tid: u32,
    /// Its real user.
    pub uid: u32,
    /// Its session.
    pub session: SessionId,
    /// The numbers of the agents whose rules hold, outermost first, 0 after the last.
    pub agents: [u32; LIMITS],
    /// The serial of the plan that was asked, 0 where none was.
    pub plan: u32,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A session has a new process.
    Fork {
        /// Who made it.
        parent: ProcessId,
    },
    /// A process has a new program.
    Exec(Exec),
    /// A process is gone.
    Exit {
        /// As `wait` gives it.
        status: u32,
    },
    /// A file was opened, or mapped as code.
    File(File),
    /// A peer was named, or an own address.
    Net(Net),
    /// A right was used.
    Privilege(Use),
}

/// What the kernel half decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The winning rule's number in its plan.
    pub rule: Option<u32>,
    /// What was done.
    pub done: Verdict,
    /// The object could not be known.
    pub unknown: bool,
    /// The rule names the file by its inode, and not by the name that it was opened under.
    pub by_label: bool,
}

/// A program start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The parent.
    pub parent: ProcessId,
    /// Path of the executable, none where it is unknown.
    pub exe: Option<Vec<u8>>,
    /// Working directory, none where it is unknown.
    pub cwd: Option<Vec<u8>>,
    /// Arguments.
    pub argv: Vec<Vec<u8>>,
    /// There were more arguments.
    pub argv_cut: bool,
    /// The kernel half did not know the arguments either, and judged them as unknown.
    pub argv_unknown: bool,
    /// What is special about the executable.
    pub traits: Traits,
    /// The process became the root of its session by this.
    pub root: bool,
    /// `s_dev` and number of the executable's inode.
    pub inode: (u32, u64),
    /// What the rules say of it.
    pub decision: Decision,
}

/// An open, or a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Read or write; exec of a load.
    pub act: Act,
    /// The path, none where it is unknown.
    pub path: Option<Vec<u8>>,
    /// `s_dev` and number of the inode.
    pub inode: (u32, u64),
    /// How it was opened, or that it was mapped.
    pub origin: Origin,
    /// Of a load: what is special about the file.
    pub traits: Traits,
    /// What the rules say of it.
    pub decision: Decision,
}

impl File {
    /// In what way the act is done.
    const fn how(&self) -> How {
        match self.origin {
            Origin::Load | Origin::Script => How::Load,
            Origin::Start => How::Start,
            Origin::Alias => How::Alias,
            Origin::Layer => How::Layer,
            Origin::Inherited => How::Inherited,
            Origin::Held => How::Held,
            Origin::Renamed => How::Rename,
            Origin::Linked => How::Link,
            Origin::Unlinked => How::Unlink,
            Origin::Truncated => How::Truncate,
            Origin::Changed => How::Chmod,
            Origin::Call | Origin::Uring | Origin::Passed | Origin::Made => How::Usual,
        }
    }
}

/// A connect, a send or a bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    /// The peer, or the own address; IPv4 in its mapped form.
    pub address: Ipv6Addr,
    /// Its port.
    pub port: u16,
    /// `IPPROTO_*`.
    pub protocol: u16,
    /// What was done with the socket.
    pub call: Call,
    /// What the rules say of it.
    pub decision: Decision,
}

/// The use of a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Which.
    pub privilege: Privilege,
    /// Its process had it already when it was adopted.
    pub held: bool,
    /// What the rules say of it.
    pub decision: Decision,
}

impl Event {
    /// The number of the innermost agent: the one that the session is a run of.
    #[must_use]
    pub fn agent(&self) -> u32 {
        self.agents.into_iter().rfind(|agent| *agent != NO_AGENT).unwrap_or(NO_AGENT)
    }

    /// The act and what the kernel half decided of it, if this is an act.
    #[must_use]
    pub const fn act(&self) -> Option<(Act, Decision)> {
        match &self.what {
            What::Exec(exec) => Some((Act::Exec, exec.decision)),
            What::File(file) => Some((file.act, file.decision)),
            What::Net(net) => Some((net.call.act(), net.decision)),
            What::Privilege(used) => Some((Act::Privilege, used.decision)),
            What::Fork { .. } | What::Exit { .. } => None,
        }
    }

    /// In what way the act is done.
    #[must_use]
    pub const fn how(&self) -> How {
        match &self.what {
            What::File(file) => file.how(),
            What::Privilege(Use { held: true, .. }) => How::Held,
            _ => How::Usual,
        }
    }

    /// Of a program that is started or loaded: what is special about it.
    #[must_use]
    pub const fn traits(&self) -> Traits {
        match &self.what {
            What::Exec(exec) => exec.traits,
            What::File(file) => file.traits,
            _ => Traits::NONE,
        }
    }
}
