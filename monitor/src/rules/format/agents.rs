//! The section `agents`: whom the rules are about.

use super::{Field, Holds, samples};

/// The signs, of which a line has exactly one.
const SIGNS: [&str; 10] =
    ["exe", "script", "args", "unit", "cgroup", "container", "user", "launched-as", "env", "agent"];
const CONTAINER: [&str; 4] = ["id", "image", "name", "label"];

pub(super) fn fields() -> Vec<Field> {
    let mut fields = vec![
        Field::new(
            "agents",
            Holds::Named(&Holds::Map),
            "Whom the rules are about: a process with the signs of an agent, and everything it ever starts. \
             Names are known to all files of a set.",
        )
        .one_of(&["any", "all"])
        .sample(samples::AGENTS)
        .see(&["agents.any", "agents.all", "rules.agents"]),
    ];
    fields.extend(lines(
        "agents.any",
        "Lines with one sign each, one of which is enough.",
        &["agents.all", "agents.any.exe"],
    ));
    fields.extend(lines(
        "agents.all",
        "Lines with one sign each, all of which a process must show.",
        &["agents.any", "agents.any.exe"],
    ));
    fields
}

fn lines(path: &str, meaning: &'static str, see: &'static [&'static str]) -> Vec<Field> {
    let is_any = path == "agents.any";
    // A group is made of agents, any of which is enough.
    let signs: &'static [&'static str] = if is_any { &SIGNS } else { SIGNS.split_at(9).0 };
    let lines = Field::new(path.to_owned(), Holds::List(1, &Holds::Map), meaning)
        .one_of(signs)
        .sample(samples::AGENTS)
        .see(see);
    let mut fields = vec![lines];
    for sign in signs {
        fields.push(self::sign(path, sign));
        if *sign == "container" {
            let container = format!("{path}.container");
            fields.extend(CONTAINER.iter().map(|key| of_container(&container, key)));
        }
    }
    fields
}

fn sign(line: &str, sign: &str) -> Field {
    let (holds, meaning, see) = kernel_sign(sign).or_else(|| weak_sign(sign)).unwrap_or((
        Holds::Name,
        "Another agent. Lines of this kind make a group, and a group has no other lines.",
        &[],
    ));
    let field = Field::new(format!("{line}.{sign}"), holds, meaning).see(see);
    let field = if sign == "container" { field.one_of(&CONTAINER) } else { field };
    field.sample(samples::AGENTS)
}

type Sign = (Holds, &'static str, &'static [&'static str]);

/// What the kernel knows while a program is being started.
fn kernel_sign(sign: &str) -> Option<Sign> {
    Some(match sign {
        "exe" => (
            Holds::PathGlob,
            "The path of the executable as the kernel resolved it, links followed. A name without a slash \
             is a file name, at any depth. The kernel knows it while the program is started.",
            &["agents.any.script"],
        ),
        "unit" => (
            Holds::UnitGlob,
            "The name of a service or scope of systemd: the last component of the cgroup's path, or of one \
             above it. The kernel knows it while the program is started.",
            &["agents.any.cgroup"],
        ),
        "cgroup" => (
            Holds::PathGlob,
            "The path of the cgroup, from the root of the hierarchy. The kernel knows it while the program \
             is started.",
            &["agents.any.unit", "agents.any.container"],
        ),
        "container" => (
            Holds::Map,
            "The container by one thing that is known of it. Its id the kernel knows while the program is \
             started; the others the daemon asks its engine for, and tells the kernel.",
            &["agents.any.cgroup"],
        ),
        "user" => (
            Holds::List(1, &Holds::User),
            "Users, by name or by id, one of which the process runs as. The kernel knows it while the \
             program is started.",
            &[],
        ),
        "launched-as" => (
            Holds::Name,
            "A name that `driftwatch run --agent NAME` may be given for this agent. The agent's own name \
             always works. No other sign is as strong.",
            &[],
        ),
        _ => return None,
    })
}

/// What whoever starts a program can choose.
fn weak_sign(sign: &str) -> Option<Sign> {
    Some(match sign {
        "script" => (
            Holds::PathGlob,
            "The path of the file that an interpreter was started on: the one that begins with `#!`, or the \
             first argument of a known interpreter that is no option, joined with the working directory. It \
             is the name that was given: no link is followed. A weak sign: whoever starts the program chooses it.",
            &["agents.any.exe", "agents.any.args"],
        ),
        "args" => (
            Holds::Arguments,
            "The arguments after the program's name, first to last. Each word is a glob over one argument; \
             the word `**` stands for any number of them. A weak sign: whoever starts the program chooses \
             them.",
            &["agents.any.script", "rules.exec.never.args"],
        ),
        "env" => (
            Holds::List(1, &Holds::Variable),
            "Variables of the environment, one of which is enough: NAME where it only has to be there, \
             NAME=GLOB where its value counts. A weak sign: whoever starts the program chooses it. What an \
             agent starts inherits it, and so does what a shell starts that has it.",
            &["agents.any.launched-as"],
        ),
        _ => return None,
    })
}

fn of_container(container: &str, key: &str) -> Field {
    let path = format!("{container}.{key}");
    let (holds, meaning) = match key {
        "id" => (
            Holds::TextGlob,
            "The container's id, read from the path of the cgroup. The kernel knows it while the program is \
             started.",
        ),
        "image" => (
            Holds::TextGlob,
            "The image, as it was named when the container was made. As its engine says.",
        ),
        "name" => (Holds::TextGlob, "The name of the container. As its engine says."),
        _ => (
            Holds::Keyed(&Holds::TextGlob),
            "One label of the container: its key and its value. As its engine says.",
        ),
    };
    Field::new(path, holds, meaning).sample(samples::CONTAINERS).see(&["agents.any.cgroup"])
}
