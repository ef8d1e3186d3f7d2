//! What the rules mean, after every name has been looked up: the noun that the evaluator, the compiler
//! and the alerts share.
//!
//! [`super::parse`] reads what was written, [`super::resolve`] makes this of it. Nothing here is
//! looked up by name any more, nothing has a default left open, and everything knows its [`Place`].

use std::{fmt, net::Ipv6Addr, sync::Arc};

use ipnet::Ipv6Net;
use monitor_common::{Act, Verdict};

use super::glob::Glob;

/// Where in which file something was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, as it was named to us.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A complete, checked set of rules. An error anywhere means that there is none.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// Every agent that is not merely a group of others.
    pub agents: Vec<Agent>,
    /// Every rule, in the order of files and lines. The order has no meaning.
    pub rules: Vec<Rule>,
    /// Every test.
    pub tests: Vec<Example>,
    /// How many files there were.
    pub files: usize,
    /// How many lists there were.
    pub lists: usize,
}

/// Index into [`RuleSet::agents`].
pub type AgentIndex = usize;
/// Index into [`RuleSet::rules`].
pub type RuleIndex = usize;

/// A named kind of workload, and how one is recognised.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The name that rules use.
    pub name: String,
    /// A process that shows all signs of one clause is this agent.
    pub clauses: Vec<Vec<Sign>>,
    /// Names under which `driftwatch run --agent` may start it: its own, and those of `launched-as`.
    pub launched_as: Vec<String>,
    /// The name in `agents:`.
    pub place: Place,
}

/// One thing to recognise an agent by, all of it known to the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sign {
    /// Path of the executable.
    Exe(Glob),
    /// Path of the cgroup, from the root of the hierarchy.
    Cgroup(Glob),
    /// Real user id.
    User(u32),
}

/// One thought: these agents may do this only to that, or never to that.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique in the set.
    pub id: String,
    /// What an alert says happened, in a few words.
    pub title: String,
    /// The agents it holds for, groups resolved, sorted, each once.
    pub agents: Vec<AgentIndex>,
    /// The act.
    pub act: Act,
    /// Whether the objects are all that is allowed, or all that is not.
    pub sense: Sense,
    /// The objects, lists resolved.
    pub objects: Objects,
    /// What the rule does not hold for.
    pub exceptions: Vec<Exception>,
    /// What it asks for: alert, deny or kill.
    pub action: Verdict,
    /// What is done where the tier cannot refuse the act: alert or kill.
    pub fallback: Verdict,
    /// Whether it does what it asks for, or only says that it would.
    pub mode: Mode,
    /// How bad a hit is.
    pub severity: Severity,
    /// For whoever was stopped: what to do instead.
    pub help: Option<String>,
    /// For the analyst: where the procedure is.
    pub runbook: Option<String>,
    /// Vocabulary and ids, in the order written: `("attack", ["T1552.001"])`.
    pub tags: Vec<(String, Vec<String>)>,
    /// The rule's id in its file.
    pub place: Place,
}

/// Which objects hit a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sense {
    /// Everything that is not in the list.
    Only,
    /// Everything that is.
    Never,
}

/// Whether a rule refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Nothing is refused; alerts say what would have been.
    #[default]
    Monitor,
    /// The rule does what it asks for.
    Enforce,
}

/// How bad a hit is, as OCSF counts it (`severity_id`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// 1
    Info = 1,
    /// 2
    Low = 2,
    /// 3
    #[default]
    Medium = 3,
    /// 4
    High = 4,
    /// 5
    Critical = 5,
}

impl Severity {
    /// The word that rules and alerts use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// The objects of a rule or an exception, each with the text it was written as.
#[derive(Clone, Debug)]
pub enum Objects {
    /// Of exec, read and write.
    Paths(Vec<Item<Glob>>),
    /// Of connect.
    Destinations(Vec<Item<Destination>>),
}

impl Objects {
    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Paths(items) => items.len(),
            Self::Destinations(items) => items.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An item of a list, and how it came to be in it.
#[derive(Clone, Debug)]
pub struct Item<T> {
    /// What it matches.
    pub is: T,
    /// What was written, `~/.ssh/id_*`.
    pub text: String,
    /// The list it came through, without the `@`.
    pub list: Option<String>,
    /// Where it was written.
    pub place: Place,
}

/// What a rule does not hold for.
#[derive(Clone, Debug)]
pub struct Exception {
    /// Its objects.
    pub objects: Objects,
    /// The executables it holds for, none for every one.
    pub exe: Vec<Item<Glob>>,
    /// Why.
    pub reason: String,
    /// The exception, in its file.
    pub place: Place,
}

/// Where a connection may go: a range of addresses, and maybe one port and one protocol.
///
/// IPv4 is held in its mapped form, `::ffff:0:0/96`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// The addresses.
    pub net: Ipv6Net,
    /// The port, none for any.
    pub port: Option<u16>,
    /// The protocol, none for any.
    pub protocol: Option<Protocol>,
}

impl Destination {
    /// Whether a connection to `peer` goes there. `protocol` is an `IPPROTO_*` number.
    #[must_use]
    pub fn covers(&self, peer: Ipv6Addr, port: u16, protocol: u16) -> bool {
        self.net.contains(&peer)
            && self.port.is_none_or(|wanted| wanted == port)
            && self.protocol.is_none_or(|wanted| wanted as u16 == carrier(protocol))
    }
}

/// MPTCP (262) is TCP to whoever writes a rule, and on the wire.
const fn carrier(protocol: u16) -> u16 {
    if protocol == 262 { Protocol::Tcp as u16 } else { protocol }
}

/// A transport protocol that has ports, by its `IPPROTO_*` number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// 6
    Tcp = 6,
    /// 17
    Udp = 17,
}

/// A test that a rule file carries.
#[derive(Clone, Debug)]
pub struct Example {
    /// What it shows.
    pub name: String,
    /// The agent that acts.
    pub agent: AgentIndex,
    /// The act.
    pub act: Act,
    /// The object.
    pub object: Object,
    /// The executable of the process that acts, where it is said.
    pub exe: Option<Vec<u8>>,
    /// What must come of it, were every rule enforced.
    pub expect: Verdict,
    /// The id of the rule that must decide it, where it is said.
    pub rule: Option<String>,
    /// The test, in its file.
    pub place: Place,
}

/// The object of one act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A path from the root, as the kernel resolved it.
    Path(Vec<u8>),
    /// A peer; IPv4 in its mapped form.
    Peer {
        /// The address.
        address: Ipv6Addr,
        /// The port.
        port: u16,
        /// An `IPPROTO_*` number.
        protocol: u16,
    },
    /// The kernel could not tell: it matches every `never` list, no `only` list and no exception.
    Unknown,
}
