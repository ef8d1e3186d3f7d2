//! Alerts: what leaves the daemon. One alert tells the whole of one act.
//!
//! [`Alert::of`] puts a finding together with what the host knows: names of users, the time of day.
//! [`json`] and [`text`] are its two forms, [`redact`] keeps secrets out of both, [`sink`] takes them away.

pub mod json;
pub mod redact;
pub mod sink;
pub mod text;

use std::net::Ipv6Addr;

use jiff::Timestamp;
use monitor_common::{Act, Verdict, file::Origin, net::Call};

use crate::{
    agent::Process,
    event::{ProcessId, SessionId, What},
    pipeline::Finding,
    rules::model::{How, Mode, Privilege, Rule, Trait},
};

/// What the host knows and a finding does not.
pub trait HostFacts {
    /// The name of this host.
    fn host_name(&self) -> &str;
    /// The name of a user.
    fn user_name(&self, uid: u32) -> Option<&str>;
    /// The time of day at a moment of `CLOCK_BOOTTIME`, in nanoseconds.
    fn time_of_day(&self, boot_time: u64) -> Timestamp;
}

/// One act that hit a rule.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Unique, and in the order of time (UUID version 7).
    pub id: String,
    /// When it happened.
    pub time: Timestamp,
    /// Where.
    pub host: String,
    /// Name of the agent.
    pub agent: String,
    /// Its run.
    pub session: SessionId,
    /// What was done.
    pub act: Act,
    /// To what.
    pub object: Object,
    /// By which thread.
    pub tid: u32,
    /// The user's name, where it has one.
    pub user: Option<String>,
    /// The process and its ancestors up to the root of the session, the process first.
    pub ancestry: Vec<(ProcessId, Process)>,
    /// Whether the root is among them.
    pub ancestry_complete: bool,
    /// The process itself, where no lifecycle record told of it.
    pub process: ProcessId,
    /// The rule.
    pub rule: Option<RuleFacts>,
    /// What the rule asks for.
    pub asked: Verdict,
    /// What was done.
    pub done: Verdict,
    /// Why less was done than asked.
    pub because: Option<&'static str>,
    /// What this host can do: `react` or `prevent`.
    pub tier: &'static str,
    /// The object could not be known.
    pub unknown: bool,
}

/// What it was done to.
#[derive(Clone, Debug)]
pub enum Object {
    /// A file was opened, or a program started or loaded.
    File {
        /// Its path, none where it is unknown.
        path: Option<Vec<u8>>,
        /// `s_dev` and number of its inode.
        inode: (u32, u64),
        /// It has no name any more.
        unlinked: bool,
        /// In what way, where that is not the usual one ([`way`]).
        way: Option<&'static str>,
    },
    /// A peer was named.
    Peer {
        /// Its address, IPv4 in its mapped form.
        address: Ipv6Addr,
        /// Its port.
        port: u16,
        /// `IPPROTO_*`.
        protocol: u16,
        /// A datagram was sent; otherwise a socket was connected.
        sent: bool,
    },
    /// A right was used.
    Privilege {
        /// Which.
        privilege: Privilege,
        /// In what way, where that is not the usual one ([`way`]).
        way: Option<&'static str>,
    },
}

/// The rule, as far as an alert tells of it.
#[derive(Clone, Debug)]
pub struct RuleFacts {
    /// Its id.
    pub id: String,
    /// What it says happened.
    pub title: String,
    /// How bad that is.
    pub severity: &'static str,
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: u32,
    /// The item that the object matched.
    pub matched: Option<String>,
    /// What to do instead.
    pub help: Option<String>,
    /// Where the procedure is.
    pub runbook: Option<String>,
    /// Vocabularies and ids.
    pub tags: Vec<(String, Vec<String>)>,
}

impl Alert {
    /// Makes an alert of a finding.
    #[must_use]
    pub fn of(finding: Finding, host: &impl HostFacts) -> Self {
        let rule = finding.rule();
        let asked = rule.map_or(finding.decision.done, |rule| rule.action);
        let because = rule.and_then(|rule| {
            let held = finding.event.how() == How::Held;
            why_less(rule, asked, finding.decision.done, held)
        });
        let facts = rule.map(|rule| RuleFacts::of(rule, finding.matched.clone()));
        let time = host.time_of_day(finding.event.time);
        let act = finding.event.act().map_or(Act::Read, |(act, _)| act);
        Self {
            id: id(time),
            time,
            host: host.host_name().to_owned(),
            agent: finding.agent,
            session: finding.event.session,
            act,
            object: Object::of(&finding.event.what),
            tid: finding.event.tid,
            user: host.user_name(finding.event.uid).map(str::to_owned),
            ancestry: finding.ancestry,
            ancestry_complete: finding.complete,
            process: finding.event.process,
            rule: facts,
            asked,
            done: finding.decision.done,
            because,
            tier: finding.in_force.tier.name(),
            unknown: finding.decision.unknown,
        }
    }
}

fn id(time: Timestamp) -> String {
    let seconds = u64::try_from(time.as_second()).unwrap_or(0);
    let nanoseconds = u32::try_from(time.subsec_nanosecond()).unwrap_or(0);
    let at = uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanoseconds);
    uuid::Uuid::new_v7(at).to_string()
}

/// Why a rule that asks for more did less.
fn why_less(rule: &Rule, asked: Verdict, done: Verdict, held: bool) -> Option<&'static str> {
    if asked == done {
        return None;
    }
    Some(match rule.mode {
        Mode::Monitor => "the rule is in monitor mode",
        Mode::Enforce if held => "it was so before the process was known to be an agent's",
        Mode::Enforce => {
            "this host cannot refuse this act before it happens; the rule's fallback was taken"
        }
    })
}

impl RuleFacts {
    fn of(rule: &Rule, matched: Option<String>) -> Self {
        Self {
            id: rule.id.clone(),
            title: rule.title.clone(),
            severity: rule.severity.name(),
            file: rule.place.file.to_string(),
            line: rule.place.line,
            matched,
            help: rule.help.clone(),
            runbook: rule.runbook.clone(),
            tags: rule.tags.clone(),
        }
    }
}

impl Object {
    fn of(what: &What) -> Self {
        match what {
            What::Exec(exec) => Self::File {
                path: exec.exe.clone(),
                inode: exec.inode,
                unlinked: exec.traits.has(Trait::Deleted),
                way: None,
            },
            What::File(file) => Self::File {
                path: file.path.clone(),
                inode: file.inode,
                unlinked: file.traits.has(Trait::Deleted),
                way: way(file.origin),
            },
            What::Privilege(used) => Self::Privilege {
                privilege: used.privilege,
                way: used.held.then_some(Origin::Held).and_then(way),
            },
            What::Net(net) => Self::Peer {
                address: net.address,
                port: net.port,
                protocol: net.protocol,
                sent: net.call == Call::Send,
            },
            What::Fork { .. } | What::Exit { .. } => {
                Self::File { path: None, inode: (0, 0), unlinked: false, way: None }
            }
        }
    }
}

/// The word for the way in which an act was done, none for the usual one.
const fn way(origin: Origin) -> Option<&'static str> {
    Some(match origin {
        Origin::Call | Origin::Start => return None,
        Origin::Uring => "io_uring",
        Origin::Load => "loaded",
        Origin::Passed => "passed",
        Origin::Script => "script",
        Origin::Made => "made",
        Origin::Renamed => "renamed",
        Origin::Linked => "linked",
        Origin::Unlinked => "unlinked",
        Origin::Truncated => "truncated",
        Origin::Changed => "changed",
        Origin::Layer => "layer",
        Origin::Alias => "alias",
        Origin::Inherited => "inherited",
        Origin::Held => "held",
    })
}

/// The name of a protocol as rules write it, else its number.
#[must_use]
pub fn protocol_name(protocol: u16) -> String {
    match protocol {
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        other => other.to_string(),
    }
}

/// An address as people write it: mapped IPv4 as IPv4.
#[must_use]
pub fn address_text(address: Ipv6Addr) -> String {
    address.to_ipv4_mapped().map_or_else(|| address.to_string(), |v4| v4.to_string())
}
