//! The section `tests`: acts, and what the rules must say of them.

use super::{Field, Holds, With, acts::ACTS, samples};

pub(super) fn fields() -> Vec<Field> {
    let mut fields = vec![
        Field::new(
            "tests",
            Holds::List(1, &Holds::Map),
            "Acts, and what must come of them. `driftwatch test` runs them without root and without a \
             kernel. Every rule counts as enforced, on a host that can refuse everything.",
        )
        .one_of(&ACTS)
        .sample(samples::READ),
        Field::new("tests.name", Holds::Line, "What the test shows. There is one of that name in a set.")
            .required()
            .sample(samples::READ),
        Field::new("tests.agent", Holds::Name, "The agent that acts. A group is not one agent.")
            .required()
            .sample(samples::READ)
            .see(&["agents"]),
    ];
    fields.extend(ACTS.map(act));
    fields.extend(conditions());
    fields.extend([
        Field::new(
            "tests.expect",
            Holds::Word(&["allow", "alert", "ask", "deny", "kill"]),
            "What must come of it: the strongest result of all rules.",
        )
        .required()
        .sample(samples::READ)
        .see(&["rules.action"]),
        Field::new(
            "tests.rule",
            Holds::Name,
            "The id of the rule that must decide. What no rule hits no rule decides, so there is none where \
             `allow` is expected.",
        )
        .with(With::Word("expect", &["alert", "ask", "deny", "kill"]))
        .default("any rule")
        .sample(samples::READ)
        .see(&["rules.id"]),
    ]);
    fields
}

fn act(act: &str) -> Field {
    let (holds, meaning) = object(act);
    let sample = match act {
        "exec" => samples::EXEC,
        "read" => samples::READ,
        "write" => samples::WRITE,
        "connect" => samples::CONNECT,
        "listen" => samples::LISTEN,
        _ => samples::PRIVILEGE,
    };
    Field::new(format!("tests.{act}"), holds, meaning).sample(sample)
}

/// What an act in a test is done to.
fn object(act: &str) -> (Holds, &'static str) {
    match act {
        "exec" => (Holds::Path, "The program that is started."),
        "read" => (Holds::Path, "The file that is read."),
        "write" => (Holds::Path, "The file that is changed."),
        "connect" => (
            Holds::Peer,
            "Where the connection goes: `address:port`, `[v6]:port`, `host.name:port`, with `/udp` if it is \
             a datagram, or `unix:/path`.",
        ),
        "listen" => {
            (Holds::LocalPeer, "The local address and port: `address:port`, with `/udp` if so.")
        }
        _ => (Holds::Word(&super::holds::PRIVILEGES), "The privilege that is reached for."),
    }
}

fn conditions() -> Vec<Field> {
    let mut fields = vec![
        Field::new("tests.exe", Holds::Path, "The program of the process that acts.")
            .default("a program that is not known, for which no exception with `exe` holds")
            .sample(samples::READ)
            .see(&["rules.read.except.exe"]),
        Field::new(
            "tests.args",
            Holds::List(1, &Holds::Argument),
            "The arguments after the program's name.",
        )
        .with(With::Key(&["exec"]))
        .default("none")
        .sample(samples::EXEC)
        .see(&["rules.exec.never.args"]),
        Field::new(
            "tests.how",
            Holds::Word(&["load", "rename", "link", "unlink", "truncate", "chmod"]),
            "In what way: `load` with `exec`, for code that is loaded and not started; the others with \
             `write`.",
        )
        .with(With::Key(&["exec", "write"]))
        .default("started, or opened for writing")
        .sample(samples::EXEC),
        Field::new(
            "tests.is",
            Holds::List(1, &Holds::Word(&["memfd", "deleted", "setuid", "writable"])),
            "What is so about the program.",
        )
        .with(With::Key(&["exec"]))
        .default("none of it")
        .sample(samples::EXEC)
        .see(&["rules.exec.never"]),
        Field::new(
            "tests.after",
            Holds::List(1, &Holds::Map),
            "Acts of the same session before this one, a second apart, each with its object.",
        )
        .one_of(&ACTS)
        .sample(samples::SEQUENCE)
        .see(&["rules.sequence"]),
    ];
    fields.extend(ACTS.map(|act| {
        let (holds, meaning) = object(act);
        let path = format!("tests.after.{act}");
        Field::new(path, holds, format!("An act before. {meaning}")).sample(samples::SEQUENCE)
    }));
    fields
}
