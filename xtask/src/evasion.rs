//! `evasion`: the evasion suite on the running kernel, and its table for the README.
//!
//! Builds the daemon and the suite, and hands over to the judge. What is judged, and how, is the judge's
//! (`tests/evasion/`).

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::build;
use crate::checkout::Checkout;
use crate::command;
use crate::setup::{self, Scope};

/// Where the tables lie, one for each kernel and tier.
const RESULTS: &str = "tests/evasion/results";

/// Runs the techniques whose ids begin with one of `ids`, or all, which also writes the table.
pub(crate) fn run(checkout: &Checkout, json: bool, ids: &[String]) -> Result<ExitCode> {
    let toolchain = setup::ensure(checkout, Scope::Everything)?;
    build::build(build::cargo(checkout, toolchain), &["driftwatch", "driftwatch-tests"], false)?;
    let mut judge = Command::new(checkout.program("evasion", false));
    if json {
        judge.arg("--json");
    }
    if ids.is_empty() {
        judge.arg("--write").arg(checkout.root().join(RESULTS));
    }
    Ok(command::exit_code(command::status(judge.args(ids))?))
}
