//! What was written: the content of a rule file after it was read, before any name was looked up.
//!
//! Between [`super::parse`], which makes it of YAML, and [`super::resolve`], which makes a
//! [`super::model::RuleSet`] of it. Every text still knows where it stands.

use monitor_common::{Act, Verdict};

use super::{
    model::{Ask, By, How, Mode, Moment, Sense, Severity, Trait},
    source::{At, Span},
};

/// One file.
#[derive(Debug, Default)]
pub(super) struct File {
    /// It is one of ours, whose names somebody may use.
    pub(super) shipped: bool,
    pub(super) mode: Mode,
    pub(super) agents: Vec<Agent>,
    pub(super) lists: Vec<List>,
    pub(super) rules: Vec<Rule>,
    pub(super) grants: Vec<Grant>,
    /// Ids of rules that were refused: a test that names one has no problem of its own.
    pub(super) refused: Vec<At<String>>,
    pub(super) tests: Vec<Test>,
}

/// An entry of `agents:`.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) name: At<String>,
    /// Whether every line must hold (`all:`) or one is enough (`any:`).
    pub(super) all: bool,
    pub(super) lines: Vec<Line>,
    /// The entry has a problem: nothing more needs to be said about it.
    pub(super) refused: bool,
}

/// One line of an agent.
#[derive(Debug)]
pub(super) enum Line {
    Exe(At<String>),
    Script(At<String>),
    Args(Vec<At<String>>),
    Unit(At<String>),
    Cgroup(At<String>),
    Container(ContainerKey, At<String>),
    User(Vec<At<String>>),
    Env(Vec<At<String>>),
    LaunchedAs(At<String>),
    Agent(At<String>),
}

/// What is said of a container.
#[derive(Debug)]
pub(super) enum ContainerKey {
    Id,
    Image,
    Name,
    Label(String),
}

/// An entry of `lists:`.
#[derive(Debug)]
pub(super) struct List {
    pub(super) name: At<String>,
    pub(super) items: Vec<Item>,
}

/// An entry of a list of objects.
#[derive(Debug)]
pub(super) struct Item {
    /// The text, or the `path` of a program with arguments.
    pub(super) text: At<String>,
    /// The arguments, where there is `args`.
    pub(super) args: Option<Vec<At<String>>>,
}

/// An entry of `rules:`.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) id: At<String>,
    pub(super) title: String,
    pub(super) agents: Vec<At<String>>,
    pub(super) body: Body,
    pub(super) action: Verdict,
    pub(super) ask: Ask,
    pub(super) fallback: Option<Verdict>,
    pub(super) severity: Severity,
    pub(super) mode: Option<Mode>,
    pub(super) help: Option<String>,
    pub(super) runbook: Option<String>,
    pub(super) tags: Vec<(String, Vec<String>)>,
}

/// The value of the act in a rule.
#[derive(Debug)]
pub(super) struct Body {
    /// The act; of a sequence, that of its last step.
    pub(super) act: Act,
    pub(super) sense: Sense,
    pub(super) objects: Vec<Item>,
    pub(super) exceptions: Vec<Exception>,
    pub(super) before: Option<Before>,
}

/// A sequence without its last step.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) within: u64,
    pub(super) by: By,
    pub(super) steps: Vec<Step>,
}

/// An entry of `steps:`.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) act: Act,
    pub(super) sense: Sense,
    pub(super) objects: Vec<Item>,
}

/// An entry of `except:`.
#[derive(Debug)]
pub(super) struct Exception {
    pub(super) objects: Vec<Item>,
    pub(super) exe: Vec<Item>,
    pub(super) reason: String,
    pub(super) until: Option<At<Moment>>,
    pub(super) span: Span,
}

/// An entry of `grants:`.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) id: At<String>,
    pub(super) rule: At<String>,
    pub(super) agents: Vec<At<String>>,
    pub(super) act: At<Act>,
    pub(super) objects: Vec<Item>,
    pub(super) until: At<Moment>,
    pub(super) uses: Option<u16>,
    pub(super) reason: String,
    pub(super) by: String,
}

/// An entry of `tests:`.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) name: At<String>,
    pub(super) agent: At<String>,
    pub(super) act: Act,
    pub(super) object: At<String>,
    pub(super) exe: Option<At<String>>,
    pub(super) how: How,
    pub(super) args: Vec<At<String>>,
    pub(super) traits: Vec<At<Trait>>,
    pub(super) after: Vec<(Act, At<String>)>,
    pub(super) expect: At<Verdict>,
    pub(super) rule: Option<At<String>>,
}
