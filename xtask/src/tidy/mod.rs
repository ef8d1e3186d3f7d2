//! `tidy`: what no compiler checks, checked on the text of the tree.
//!
//! Each check is a pure function from the tree to its findings, and each finding names the
//! file, the line, and what to do. `the_tree_is_tidy` runs them all as a test.

mod layers;
mod maps;
mod rust;
mod source;
mod text;
mod tree;

use std::fmt;
use std::process::ExitCode;

use anyhow::Result;

use crate::checkout::Checkout;
use crate::progress;

use tree::Tree;

/// A place where the tree is not tidy.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    line: usize,
    advice: String,
}

impl Finding {
    fn new(path: &str, line: usize, advice: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, advice: advice.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.advice)
    }
}

/// Every check there is.
const CHECKS: [fn(&Tree) -> Vec<Finding>; 9] = [
    source::short_files,
    source::headed_files,
    source::no_unwrap,
    source::nothing_unfinished,
    layers::pure_layers,
    maps::names_in_two_places,
    text::inherited_lints,
    text::complete_code_map,
    text::no_forbidden_words,
];

/// Prints the findings.
pub(crate) fn run(checkout: &Checkout) -> Result<ExitCode> {
    let findings = findings(&Tree::read(checkout.root())?);
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        eprintln!("tidy: {}", progress::good("ok"));
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("tidy: {}: {} to put right", progress::bad("failed"), findings.len());
    Ok(ExitCode::FAILURE)
}

fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<_> = CHECKS.iter().flat_map(|check| check(tree)).collect();
    findings.sort();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let checkout = Checkout::find().unwrap();
        let findings = findings(&Tree::read(checkout.root()).unwrap());
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "not tidy:\n{}", lines.join("\n"));
    }

    #[test]
    fn a_finding_names_file_line_and_advice() {
        let finding = Finding::new("monitor/src/main.rs", 3, "do this");
        assert_eq!(finding.to_string(), "monitor/src/main.rs:3: do this");
    }
}
