//! `bench`: what the daemon costs, on this machine in time, or in a guest in instructions.
//!
//! In time, that is the benchmark's (`tests/src/bin/bench/`). In instructions, `budget` counts in the guest and judges
//! here (`tests/budget/`): what it prints there is what it reads here.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::checkout::Checkout;
use crate::{command, guest, launch};

/// Where tables and stored numbers lie, by kernel.
const RESULTS: &str = "tests/budget/results";
/// Where the block for all kernels stands.
const README: &str = "README.md";
/// What counts and judges.
const BUDGET: &str = "budget";
/// Programs that are in the guest: what counts, what is measured, and what acts.
const PROGRAMS: [&str; 3] = [BUDGET, "driftwatch", "actor"];
/// Rules of the checkout that are measured.
const FILES: [&str; 1] = ["rules/starter"];

/// What is asked of `bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Measure what 10, 1,000 and 10,000 list items cost, to compile and to ask.
    #[arg(long, conflicts_with = "guest")]
    flat: bool,
    /// Count instructions in an emulated machine, compare them with the stored ones and with the budgets.
    #[arg(long)]
    guest: bool,
    /// The kernel of that machine: the newest release that begins like this.
    #[arg(long, default_value = "6.12", value_name = "VERSION", requires = "guest")]
    kernel: String,
    /// Store what was counted, to be compared with from now on, and write the tables.
    #[arg(long, requires = "guest")]
    accept: bool,
    /// Passed to the benchmark as they are.
    #[arg(last = true, conflicts_with = "guest")]
    arguments: Vec<OsString>,
}

/// Measures, and passes the verdict on.
pub(crate) fn run(checkout: &Checkout, options: &Options) -> Result<ExitCode> {
    if options.guest {
        return in_guest(checkout, options);
    }
    let mut arguments = options.arguments.clone();
    arguments.extend(options.flat.then(|| "--flat".into()));
    launch::bench(checkout, &arguments)
}

fn in_guest(checkout: &Checkout, options: &Options) -> Result<ExitCode> {
    let ended = guest::counted(checkout, &options.kernel, &PROGRAMS, &FILES, &[BUDGET, "count"])?;
    ensure!(ended.code == 0, "`{BUDGET} count` failed in the guest (exit code {})", ended.code);
    let mut judge = Command::new(checkout.program(BUDGET, true));
    judge.arg("judge").arg("--results").arg(checkout.root().join(RESULTS));
    judge.arg("--readme").arg(checkout.root().join(README));
    judge.args(options.accept.then_some("--accept"));
    let mut judge = judge
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{}`", command::words(&judge)))?;
    let mut stdin = judge.stdin.take().context("it was asked to be piped")?;
    // Who does not read to the end says why itself.
    let _unread = stdin.write_all(ended.stdout.as_bytes());
    drop(stdin);
    Ok(command::exit_code(judge.wait().context("cannot wait for the judge")?))
}
