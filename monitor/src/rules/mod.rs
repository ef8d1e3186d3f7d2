//! Rules: from the texts of rule files to what the kernel is told.
//!
//! ```text
//! source ─► yaml ─► parse ─► resolve ─► model ─► evaluate
//!                                         └────► compile ─► plan
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
mod parse_rule;
mod vocabulary;
mod written;

// What it means: every name looked up.
mod resolve;

mod agents;
mod cycle;
mod lists;

pub mod destination;
pub mod glob;
pub mod model;

// What is said about it.
mod near;
pub mod problem;

// What it says of an act.
pub mod evaluate;
pub mod examples;

// What the kernel is told.
pub mod plan;

pub mod compile;

pub mod labels;
pub mod lookup;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::{model::RuleSet, problem::Found, source::Sources};
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

/// Makes one rule set of all files.
///
/// # Errors
///
/// Every problem of every file. Then there is no rule set at all.
pub fn load(files: &[SourceFile], users: &Users) -> Result<RuleSet, Problems> {
    let mut sources = Sources::default();
    let mut found = Found::default();
    let mut written = Vec::new();
    for file in files {
        let number = sources.add(file);
        let start = source::Span { file: number, start: 0, end: 0 };
        written.push(parse::parse(file, sources.of(start), number, &mut found));
    }
    let rules = resolve::resolve(&written, &sources, users, &mut found);
    found.or(rules, sources)
}
