//! An alert as one JSON object on one line: `driftwatch.alert/v1`.

use serde_json::{Map, Value, json};

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
    let mut text = value(alert).to_string();
    text.push('\n');
    text
}

fn value(alert: &Alert) -> Value {
    let process = alert.ancestry.first();
    json!({
        "schema": SCHEMA,
        "id": alert.id,
        "time": alert.time.to_string(),
        "host": alert.host,
        "agent": alert.agent,
        "session": alert.session.to_string(),
        "act": alert.act.name(),
        "object": object(&alert.object, alert.act == monitor_common::Act::Exec),
        "process": this_process(alert, process),
        "ancestry": alert.ancestry.iter().map(ancestor).collect::<Vec<_>>(),
        "ancestry_complete": alert.ancestry_complete,
        "rule": alert.rule.as_ref().map(rule),
        "asked": alert.asked.name(),
        "done": alert.done.name(),
        "because": alert.because,
        "tier": alert.tier,
        "unknown": alert.unknown,
        "count": 1,
    })
}

fn bytes(bytes: &[u8]) -> String {
    shown(bytes).to_string()
}

fn optional(value: Option<&Vec<u8>>) -> Option<String> {
    value.map(|value| bytes(value))
}

fn arguments(process: &Process) -> Vec<String> {
    redact::arguments(&process.image.argv).iter().map(|argument| bytes(argument)).collect()
}

fn object(object: &Object, is_program: bool) -> Value {
    match object {
        Object::File { path, inode: (device, inode), unlinked, way } => json!({
            "kind": if is_program { "executable" } else { "file" },
            "path": optional(path.as_ref()),
            "device": device,
            "inode": inode,
            "unlinked": unlinked,
            "way": way,
        }),
        Object::Peer { address, port, protocol, sent } => json!({
            "kind": "peer",
            "address": address_text(*address),
            "port": port,
            "protocol": protocol_name(*protocol),
            "sent": sent,
        }),
        Object::Privilege { privilege, way } => json!({
            "kind": "privilege",
            "privilege": privilege.name(),
            "way": way,
        }),
    }
}

fn this_process(alert: &Alert, known: Option<&(ProcessId, Process)>) -> Value {
    let process = known.map(|(_, process)| process);
    json!({
        "pid": alert.process.pid,
        "tid": alert.tid,
        "uid": process.map(|process| process.uid),
        "user": alert.user,
        "exe": optional(process.and_then(|process| process.image.exe.as_ref())),
        "argv": process.map(arguments),
        "argv_cut": process.is_some_and(|process| process.image.argv_cut),
        "cwd": optional(process.and_then(|process| process.image.cwd.as_ref())),
    })
}

fn ancestor((id, process): &(ProcessId, Process)) -> Value {
    json!({
        "pid": id.pid,
        "exe": optional(process.image.exe.as_ref()),
        "argv": arguments(process),
    })
}

fn rule(rule: &RuleFacts) -> Value {
    let tags: Map<String, Value> =
        rule.tags.iter().map(|(vocabulary, ids)| (vocabulary.clone(), json!(ids))).collect();
    json!({
        "id": rule.id,
        "title": rule.title,
        "severity": rule.severity,
        "file": rule.file,
        "line": rule.line,
        "matched": rule.matched,
        "help": rule.help,
        "runbook": rule.runbook,
        "tags": tags,
    })
}
