//! Recordings: every act of a session as it happened, in a file that can be read again.
//!
//! One JSON object a line: a [`Heading`], then an [`Entry`] for each act and each program start, in the order in
//! which they came. What is replayed, learned from and compared is always this, never records of the kernel half:
//! a recording outlives the version that made it. Pure: [`read`] and [`Entry::of`] do no I/O.

mod lines;
mod text;

pub use self::{
    lines::{ReadError, Recording, entry, heading, read},
    text::Text,
};

use std::net::IpAddr;

use jiff::SignedDuration;
use monitor_common::{Act, Verdict, net::Call, tag::NO_AGENT};
use serde::{Deserialize, Serialize};

use crate::{
    agent::Agents,
    event::{Event, ProcessId, What},
    rules::model::{self, How, Moment, Privilege, Trait, Traits},
};

/// The only version there is.
pub const SCHEMA: &str = "driftwatch.recording/v1";

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heading {
    /// [`SCHEMA`].
    pub schema: String,
    /// The program that made it, `0.1.0`.
    pub version: String,
    /// The host that it was made on.
    pub host: String,
    /// When it begins.
    pub started: Moment,
    /// Home directories of that host: what `~` means.
    pub homes: Vec<Text>,
}

/// One act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Nanoseconds since the recording began.
    pub time: u64,
    /// The run, in hexadecimal.
    pub session: String,
    /// The agents whose rules hold, outermost first; the last is the one that the session is a run of.
    pub agents: Vec<String>,
    /// The process that acts.
    pub pid: u32,
    /// When that was started, in hundredths of a second since boot: with `pid` its identity.
    pub start: u64,
    /// Its parent's pid, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
    /// Its real user.
    pub uid: u32,
    /// Its executable, where it is known; of an exec, the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<Text>,
    /// What it does, and to what.
    #[serde(flatten)]
    pub deed: Deed,
    /// What was done about it: allow, alert, ask, deny or kill.
    pub verdict: String,
}

/// What is done, and to what. An object that is left out could not be known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "lowercase")]
pub enum Deed {
    /// A program is started, or code loaded.
    Exec {
        /// Its path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<Text>,
        /// Arguments, the program's name first.
        #[serde(default)]
        argv: Vec<Text>,
        /// These are not all of the arguments: to rules they are unknown.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        argv_cut: bool,
        /// The working directory.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cwd: Option<Text>,
        /// The session begins with it: it is not judged by the rules of its last agent.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        root: bool,
        /// What is special about the program, in the words of rules: memfd, deleted, setuid, writable.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        is: Vec<String>,
        /// It is mapped as code and not started: then there are no arguments.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        load: bool,
    },
    /// A file is opened so that it can be read.
    Read {
        /// Its path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<Text>,
    },
    /// A file is opened so that it can be changed.
    Write {
        /// Its path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<Text>,
    },
    /// A peer is named.
    Connect {
        /// Its address, IPv4 as IPv4.
        address: IpAddr,
        /// Its port.
        port: u16,
        /// `IPPROTO_*`.
        protocol: u16,
        /// The name that it was looked up by, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// A socket is given an own address.
    Listen {
        /// The address, IPv4 as IPv4.
        address: IpAddr,
        /// The port, 0 where the kernel is to choose.
        port: u16,
        /// `IPPROTO_*`.
        protocol: u16,
    },
    /// A right is used.
    Privilege {
        /// Which, in the words of rules.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        right: Option<String>,
    },
}

impl Entry {
    /// What an event tells, if it is an act. `agents` must not have learned of the event yet: of a program start,
    /// the executable is the one before. `began` is the nanosecond of `CLOCK_BOOTTIME` at which the recording
    /// began.
    #[must_use]
    pub fn of(event: &Event, agents: &Agents, began: u64) -> Option<Self> {
        let (_, decision) = event.act()?;
        let known = agents.processes.get(event.process);
        let name = |number: &u32| agents.names.name(*number).unwrap_or("unknown").to_owned();
        let numbers = event.agents.iter().take_while(|number| **number != NO_AGENT);
        Some(Self {
            time: event.time.saturating_sub(began),
            session: event.session.to_string(),
            agents: numbers.map(name).collect(),
            pid: event.process.pid,
            start: event.process.start,
            parent: parent(event)
                .or_else(|| known.and_then(|process| process.parent))
                .map(|id| id.pid),
            uid: event.uid,
            exe: known.and_then(|process| process.image.exe.clone()).map(Text),
            deed: Deed::of(event)?,
            verdict: decision.done.name().to_owned(),
        })
    }

    /// What was done about it.
    #[must_use]
    pub fn done(&self) -> Option<Verdict> {
        let all = [Verdict::Allow, Verdict::Alert, Verdict::Ask, Verdict::Deny, Verdict::Kill];
        all.into_iter().find(|verdict| verdict.name() == self.verdict)
    }

    /// The agents by whose rules the act is judged. Being started as the root of a session is not judged by the
    /// rules of the agent that begins.
    #[must_use]
    pub fn judges(&self) -> &[String] {
        match (&self.deed, self.agents.split_last()) {
            (Deed::Exec { root: true, .. }, Some((_, outer))) => outer,
            _ => &self.agents,
        }
    }

    /// When it was done, in a recording that began then.
    #[must_use]
    pub fn moment(&self, started: Moment) -> Moment {
        let since = SignedDuration::from_nanos(i64::try_from(self.time).unwrap_or(i64::MAX));
        started.checked_add(since).unwrap_or(Moment::MAX)
    }

    /// The process that acts.
    #[must_use]
    pub const fn process(&self) -> ProcessId {
        ProcessId { pid: self.pid, start: self.start }
    }
}

fn parent(event: &Event) -> Option<ProcessId> {
    match &event.what {
        What::Exec(exec) => Some(exec.parent),
        _ => None,
    }
}

fn words(traits: Traits) -> Vec<String> {
    traits.iter().map(|one| one.name().to_owned()).collect()
}

/// A right by its word; none for a word that nobody knows.
fn privilege(word: &str) -> Option<Privilege> {
    Privilege::WORDS.into_iter().find(|(known, _)| *known == word).map(|(_, right)| right)
}

impl Deed {
    fn of(event: &Event) -> Option<Self> {
        // What was judged as unknown is unknown, even if something of its name came.
        let known = event.act().is_some_and(|(_, decision)| !decision.unknown);
        let text = |bytes: &Option<Vec<u8>>| bytes.clone().filter(|_| known).map(Text);
        match &event.what {
            What::Exec(exec) => Some(Self::Exec {
                path: text(&exec.exe),
                argv: exec.argv.iter().cloned().map(Text).collect(),
                argv_cut: exec.argv_cut || exec.argv_unknown,
                cwd: exec.cwd.clone().map(Text),
                root: exec.root,
                is: words(exec.traits),
                load: false,
            }),
            What::File(file) if file.act == Act::Exec => Some(Self::Exec {
                path: text(&file.path),
                argv: Vec::new(),
                argv_cut: false,
                cwd: None,
                root: false,
                is: words(file.traits),
                load: true,
            }),
            What::File(file) if file.act == Act::Write => {
                Some(Self::Write { path: text(&file.path) })
            }
            What::File(file) => Some(Self::Read { path: text(&file.path) }),
            What::Net(net) if net.call == Call::Bind => Some(Self::Listen {
                address: IpAddr::V6(net.address).to_canonical(),
                port: net.port,
                protocol: net.protocol,
            }),
            What::Net(net) => Some(Self::Connect {
                address: IpAddr::V6(net.address).to_canonical(),
                port: net.port,
                protocol: net.protocol,
                name: None,
            }),
            What::Privilege(used) => {
                Some(Self::Privilege { right: known.then(|| used.privilege.name().to_owned()) })
            }
            What::Fork { .. } | What::Exit { .. } => None,
        }
    }

    /// The act.
    #[must_use]
    pub const fn act(&self) -> Act {
        match self {
            Self::Exec { .. } => Act::Exec,
            Self::Read { .. } => Act::Read,
            Self::Write { .. } => Act::Write,
            Self::Connect { .. } => Act::Connect,
            Self::Listen { .. } => Act::Listen,
            Self::Privilege { .. } => Act::Privilege,
        }
    }

    /// The object, as rules look at it.
    #[must_use]
    pub fn object(&self) -> model::Object {
        match self {
            Self::Exec { path, .. } | Self::Read { path } | Self::Write { path } => {
                path.clone().map_or(model::Object::Unknown, |path| model::Object::Path(path.0))
            }
            Self::Connect { name: Some(name), port, protocol, .. } => {
                model::Object::Host { name: name.clone(), port: *port, protocol: *protocol }
            }
            Self::Listen { address, port, protocol }
            | Self::Connect { address, port, protocol, name: None } => {
                let address = match address {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    IpAddr::V6(v6) => *v6,
                };
                model::Object::Peer { address, port: *port, protocol: *protocol }
            }
            Self::Privilege { right } => right
                .as_deref()
                .and_then(privilege)
                .map_or(model::Object::Unknown, model::Object::Privilege),
        }
    }

    /// In what way it is done.
    #[must_use]
    pub const fn how(&self) -> How {
        match self {
            Self::Exec { load: true, .. } => How::Load,
            _ => How::Usual,
        }
    }

    /// What is special about a program that is started. Words that nobody knows are left out.
    #[must_use]
    pub fn traits(&self) -> Traits {
        let Self::Exec { is, .. } = self else { return Traits::NONE };
        let known = Trait::WORDS.into_iter().filter(|(word, _)| is.iter().any(|is| is == word));
        known.fold(Traits::NONE, |all, (_, one)| all.with(one))
    }

    /// Whether code is mapped and not started.
    #[must_use]
    pub const fn is_load(&self) -> bool {
        matches!(self, Self::Exec { load: true, .. })
    }

    /// The arguments after the program's name; none where they are not known, or not all of them.
    #[must_use]
    pub fn args(&self) -> Option<Vec<Vec<u8>>> {
        match self {
            Self::Exec { argv_cut: true, .. } => None,
            Self::Exec { argv, .. } => {
                Some(argv.iter().skip(1).map(|text| text.0.clone()).collect())
            }
            _ => Some(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = r#"{"schema":"driftwatch.recording/v1","version":"0.1.0","host":"h","started":"2026-11-22T12:00:00Z","homes":["/root"]}"#;
    const READ: &str = r#"{"time":5,"session":"01","agents":["one"],"pid":7,"start":8,"uid":0,"exe":"/bin/cat","act":"read","path":{"hex":"2fff"},"verdict":"allow"}"#;

    fn failure(text: &str) -> String {
        read(text).expect_err("it is none").to_string()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let recording = read(&format!("{HEADING}\n{READ}\n")).expect("a recording");
        assert_eq!(recording.entries[0].deed.object(), model::Object::Path(b"/\xff".to_vec()));
        assert_eq!(serde_json::to_string(&recording.heading).expect("text"), HEADING);
        assert_eq!(serde_json::to_string(&recording.entries[0]).expect("text"), READ);
    }

    #[test]
    fn a_load_and_a_right_are_told_apart_from_a_start() {
        let load = READ.replace(r#""act":"read""#, r#""act":"exec""#);
        let load = load.replace(r#"{"hex":"2fff"}"#, r#""/x.so","argv":[],"load":true"#);
        let right = READ.replace(r#""read","path":{"hex":"2fff"}"#, r#""privilege","right":"bpf""#);
        let odd = right.replace("bpf", "magic");
        let recording = read(&format!("{HEADING}\n{load}\n{right}\n{odd}")).expect("a recording");
        let deeds: Vec<&Deed> = recording.entries.iter().map(|entry| &entry.deed).collect();
        assert_eq!((deeds[0].act(), deeds[0].how()), (Act::Exec, How::Load));
        assert_eq!(deeds[1].object(), model::Object::Privilege(Privilege::Bpf));
        assert_eq!((deeds[1].act(), deeds[1].how()), (Act::Privilege, How::Usual));
        assert_eq!(deeds[2].object(), model::Object::Unknown);
        for (entry, line) in recording.entries.iter().zip([load, right, odd]) {
            assert_eq!(serde_json::to_string(entry).expect("text"), line);
        }
    }

    #[test]
    fn what_is_none_is_refused_with_its_line() {
        assert!(failure("").starts_with("line 1: the file is empty"));
        assert!(failure("{}").starts_with("line 1: this is not the beginning"));
        let other = HEADING.replace("/v1", "/v9");
        assert!(failure(&other).starts_with("line 1: `driftwatch.recording/v9` cannot be read"));
        let no_act = READ.replace("read", "reed");
        assert!(failure(&format!("{HEADING}\n{READ}\n{no_act}")).starts_with("line 3: "));
        let no_verdict = READ.replace("allow", "yes");
        assert!(failure(&format!("{HEADING}\n{no_verdict}")).contains("`yes` is not a verdict"));
        let odd = READ.replace("2fff", "2ff");
        assert!(failure(&format!("{HEADING}\n{odd}")).starts_with("line 2: "));
    }
}
