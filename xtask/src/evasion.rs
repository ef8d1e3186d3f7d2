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

/// What is asked of `evasion`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// One JSON object a technique instead of the table.
    #[arg(long)]
    json: bool,
    /// Only which techniques work on this kernel where nothing guards it.
    #[arg(long, conflicts_with = "json")]
    unguarded: bool,
    /// Leave the README's table as it is; only a run of all techniques writes it.
    #[arg(long)]
    no_table: bool,
    /// Only techniques whose id begins with one of these.
    ids: Vec<String>,
}

impl Options {
    /// All techniques, and the table stays as it is.
    pub(crate) fn without_table() -> Self {
        Self { no_table: true, ..Self::default() }
    }
}

/// Tries what is asked for on the running kernel, and passes the verdict on.
pub(crate) fn run(checkout: &Checkout, options: &Options) -> Result<ExitCode> {
    let toolchain = setup::ensure(checkout, Scope::Everything)?;
    build::build(build::cargo(checkout, toolchain), &["driftwatch", "driftwatch-tests"], false)?;
    let mut judge = Command::new(checkout.program("evasion", false));
    if options.json {
        judge.arg("--json");
    }
    if options.unguarded {
        judge.arg("--unguarded");
    } else if options.ids.is_empty() && !options.no_table && !options.json {
        judge.arg("--write").arg(checkout.root().join(RESULTS));
    }
    Ok(command::exit_code(command::status(judge.args(&options.ids))?))
}
