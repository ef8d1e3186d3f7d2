//! An alert as one JSON object on one line: `driftwatch.alert/v1`. Written straight from the alert: where alerts come by
//! the ten thousand, a tree of values between the two would cost more than all the rest.

use monitor_common::Act;
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{Alert, Object, RuleFacts, address_text, protocol_name, redact};
use crate::{
    agent::Process,
    event::{ProcessId, shown},
};

/// The name and version of the form.
pub const SCHEMA: &str = "driftwatch.alert/v1";

/// The line, with its end.
#[must_use]
pub fn line(alert: &Alert) -> String {
    let mut text = serde_json::to_string(&Line::of(alert)).expect("every key is a text");
    text.push('\n');
    text
}

/// Bytes as harmless text.
struct Text<'a>(&'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&shown(self.0))
    }
}

fn text(bytes: Option<&Vec<u8>>) -> Option<Text<'_>> {
    bytes.map(|bytes| Text(bytes))
}

#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    id: &'a str,
    time: jiff::Timestamp,
    host: &'a str,
    agent: &'a str,
    session: String,
    act: &'static str,
    object: ObjectLine<'a>,
    process: ProcessLine<'a>,
    ancestry: Vec<AncestorLine<'a>>,
    ancestry_complete: bool,
    rule: Option<RuleLine<'a>>,
    asked: &'static str,
    done: &'static str,
    because: Option<&'static str>,
    tier: &'static str,
    unknown: bool,
    count: u32,
}

impl<'a> Line<'a> {
    fn of(alert: &'a Alert) -> Self {
        Self {
            schema: SCHEMA,
            id: &alert.id,
            time: alert.time,
            host: &alert.host,
            agent: &alert.agent,
            session: alert.session.to_string(),
            act: alert.act.name(),
            object: ObjectLine::of(&alert.object, alert.act),
            process: ProcessLine::of(alert),
            ancestry: alert.ancestry.iter().map(AncestorLine::of).collect(),
            ancestry_complete: alert.ancestry_complete,
            rule: alert.rule.as_ref().map(RuleLine::of),
            asked: alert.asked.name(),
            done: alert.done.name(),
            because: alert.because,
            tier: alert.tier,
            unknown: alert.unknown,
            count: 1,
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum ObjectLine<'a> {
    File {
        kind: &'static str,
        path: Option<Text<'a>>,
        device: u32,
        inode: u64,
        unlinked: bool,
        way: Option<&'static str>,
    },
    Peer {
        kind: &'static str,
        address: String,
        port: u16,
        protocol: String,
        sent: bool,
    },
    Privilege {
        kind: &'static str,
        privilege: &'static str,
        way: Option<&'static str>,
    },
}

impl<'a> ObjectLine<'a> {
    fn of(object: &'a Object, act: Act) -> Self {
        match object {
            Object::File { path, inode: (device, inode), unlinked, way } => Self::File {
                kind: if act == Act::Exec { "executable" } else { "file" },
                path: text(path.as_ref()),
                device: *device,
                inode: *inode,
                unlinked: *unlinked,
                way: *way,
            },
            Object::Peer { address, port, protocol, sent } => Self::Peer {
                kind: "peer",
                address: address_text(*address),
                port: *port,
                protocol: protocol_name(*protocol),
                sent: *sent,
            },
            Object::Privilege { privilege, way } => {
                Self::Privilege { kind: "privilege", privilege: privilege.name(), way: *way }
            }
        }
    }
}

#[derive(Serialize)]
struct ProcessLine<'a> {
    pid: u32,
    tid: u32,
    uid: Option<u32>,
    user: Option<&'a str>,
    exe: Option<Text<'a>>,
    argv: Option<&'a [String]>,
    argv_cut: bool,
    cwd: Option<Text<'a>>,
}

impl<'a> ProcessLine<'a> {
    fn of(alert: &'a Alert) -> Self {
        let process = alert.ancestry.first().map(|(_, process)| process);
        let image = process.map(|process| &*process.image);
        Self {
            pid: alert.process.pid,
            tid: alert.tid,
            uid: process.map(|process| process.uid),
            user: alert.user.as_deref(),
            exe: image.and_then(|image| text(image.exe.as_ref())),
            argv: image.map(redact::command_line),
            argv_cut: image.is_some_and(|image| image.argv_cut),
            cwd: image.and_then(|image| text(image.cwd.as_ref())),
        }
    }
}

#[derive(Serialize)]
struct AncestorLine<'a> {
    pid: u32,
    exe: Option<Text<'a>>,
    argv: &'a [String],
}

impl<'a> AncestorLine<'a> {
    fn of((id, process): &'a (ProcessId, Process)) -> Self {
        let image = &process.image;
        Self { pid: id.pid, exe: text(image.exe.as_ref()), argv: redact::command_line(image) }
    }
}

#[derive(Serialize)]
struct RuleLine<'a> {
    id: &'a str,
    title: &'a str,
    severity: &'static str,
    file: &'a str,
    line: u32,
    matched: Option<&'a str>,
    help: Option<&'a str>,
    runbook: Option<&'a str>,
    tags: Tags<'a>,
}

impl<'a> RuleLine<'a> {
    fn of(rule: &'a RuleFacts) -> Self {
        Self {
            id: &rule.id,
            title: &rule.title,
            severity: rule.severity,
            file: &rule.file,
            line: rule.line,
            matched: rule.matched.as_deref(),
            help: rule.help.as_deref(),
            runbook: rule.runbook.as_deref(),
            tags: Tags(&rule.tags),
        }
    }
}

/// Vocabularies, each with its ids.
struct Tags<'a>(&'a [(String, Vec<String>)]);

impl Serialize for Tags<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (vocabulary, ids) in self.0 {
            map.serialize_entry(vocabulary, ids)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use monitor_common::Verdict;
    use serde_json::Value;

    use super::*;
    use crate::{agent::Image, event::SessionId};

    fn alert() -> Alert {
        let image = Image {
            exe: Some(b"/usr/bin/c\nat".to_vec()),
            argv: vec![b"cat".to_vec(), b"--token=abc".to_vec(), b"\xff\"".to_vec()],
            cwd: Some(b"/home/ana".to_vec()),
            ..Image::default()
        };
        let process = Process { parent: None, image: Arc::new(image), uid: 1000 };
        let rule = RuleFacts {
            id: "secrets".to_owned(),
            title: "Agent read \"credentials\"".to_owned(),
            severity: "high",
            file: "rules/a.yaml".to_owned(),
            line: 7,
            matched: Some("**/credentials".to_owned()),
            help: None,
            runbook: None,
            tags: vec![("attack".to_owned(), vec!["T1552.001".to_owned()])],
        };
        let id = ProcessId { pid: 42, start: 7 };
        Alert {
            id: "01a2048e-60e1-77cd-9f7f-34c7d97c18eb".to_owned(),
            time: "2026-11-22T18:39:29.505809456Z".parse().unwrap(),
            host: "vm".to_owned(),
            agent: "coder".to_owned(),
            session: SessionId(0xbf7c_7939_45e2_7125),
            act: Act::Read,
            object: Object::File {
                path: Some(b"/home/ana/.aws/credentials".to_vec()),
                inode: (2049, 77),
                unlinked: false,
                way: Some("linked"),
            },
            process: id,
            tid: 43,
            user: Some("ana".to_owned()),
            ancestry: vec![(id, process)],
            ancestry_complete: true,
            rule: Some(rule),
            asked: Verdict::Kill,
            done: Verdict::Alert,
            because: Some("the rule is in monitor mode"),
            tier: "prevent",
            unknown: false,
        }
    }

    #[test]
    fn an_alert_is_one_object_on_one_line() {
        let line = line(&alert());
        assert_eq!(line.matches('\n').count(), 1);
        let value: Value = serde_json::from_str(&line).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());
    }

    #[test]
    fn what_is_not_known_is_null() {
        let bare = Alert {
            object: Object::File { path: None, inode: (0, 0), unlinked: false, way: None },
            ancestry: Vec::new(),
            rule: None,
            user: None,
            because: None,
            ..alert()
        };
        let value: Value = serde_json::from_str(&line(&bare)).unwrap();
        for pointer in
            ["/object/path", "/object/way", "/process/argv", "/process/exe", "/rule", "/because"]
        {
            assert_eq!(value.pointer(pointer), Some(&Value::Null), "{pointer}");
        }
        assert_eq!(value["ancestry"], Value::Array(Vec::new()));
    }
}
