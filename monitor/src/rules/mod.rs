//! Rules: from the texts of rule files to what the kernel is told.
//!
//! ```text
//! source ─► yaml ─► parse ─► resolve ─► model ─► evaluate
//!                                         └────► reach ─► compile ─► plan
//! ```
//!
//! [`load`] takes all files at once and gives a complete [`model::RuleSet`] or every problem there is,
//! never something in between. Everything in here is pure: no I/O, no clock, no kernel. The same
//! functions serve the daemon, `check`, `test` and `why`.

// What is written: a text, its tree, its fields, its entries.
pub mod source;

mod yaml;

mod fields;

mod parse;
mod parse_agent;
mod parse_rule;
mod parse_time;
mod vocabulary;
mod written;

// What it means: every name looked up.
mod resolve;
mod resolve_test;

mod agents;
mod cycle;
mod grants;
mod lists;

pub mod destination;
pub mod glob;
pub mod host_name;
pub mod model;
pub mod shipped;
pub mod show;
pub mod words;

// What is said about it.
mod near;
pub mod problem;

// What may be written, as a table.
pub mod format;
pub mod style;

// What it says of an act.
pub mod evaluate;
pub mod examples;
pub mod sequence;

// What the kernel is told.
pub mod contained;

pub mod reach;

pub mod plan;

pub mod compile;

pub mod labels;
pub mod lookup;
pub mod recognise;
pub mod script;
pub mod uses;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(crate) use self::parse_time::seconds;
use self::{
    model::{Moment, RuleSet},
    problem::Found,
    source::Sources,
};
pub use self::{
    problem::{Problem, Problems},
    source::SourceFile,
};

/// The users of this host by name, as rules may name them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users(pub BTreeMap<String, u32>);

impl Users {
    /// The id of a user.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u32> {
        self.0.get(name).copied()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Makes one rule set of all files, as they are to be read at the moment `now`: grants must end soon, and what
/// has ended is noted.
///
/// # Errors
///
/// Every problem of every file. Then there is no rule set at all.
pub fn load(files: &[SourceFile], users: &Users, now: Moment) -> Result<RuleSet, Problems> {
    load_with(&[], files, users, now)
}

/// The same, with the agents and lists of `shipped` to be used by name.
///
/// # Errors
///
/// As [`load`].
pub fn load_with(
    shipped: &[SourceFile],
    files: &[SourceFile],
    users: &Users,
    now: Moment,
) -> Result<RuleSet, Problems> {
    let mut sources = Sources::default();
    let mut found = Found::default();
    let mut written = Vec::new();
    let theirs = files.iter().map(|file| (file, false));
    for (file, shipped) in theirs.chain(shipped.iter().map(|file| (file, true))) {
        let number = sources.add(file);
        let start = source::Span { file: number, start: 0, end: 0 };
        let file = parse::parse(file, sources.of(start), number, &mut found);
        written.push(written::File { shipped, ..file });
    }
    found.shipped = shipped::reduce(&mut written);
    let mut rules = resolve::resolve(&written, &sources, users, now, &mut found);
    rules.files = files.len();
    found.or(rules, sources, files.len())
}
