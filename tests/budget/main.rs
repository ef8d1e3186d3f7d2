//! `budget`: what the daemon costs in instructions, held against what it may cost and what it has cost before.
//!
//! ```text
//! in a counted guest:  stand (a daemon, an actor) ──► count (every row) ──► measured, one line of JSON
//! on the host:         measured ──► compare (with the stored baseline) ──► table (a file, the README)
//! ```
//! It is right only where one instruction takes one nanosecond (`cargo xtask bench --guest`): elsewhere the numbers
//! are those of a clock, and mean nothing here.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod compare;
mod count;
mod flood;
mod measured;
mod row;
mod stand;
mod table;
mod verified;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::{compare::Comparison, measured::Measured};

/// Counts what the daemon costs, and judges it.
#[derive(Debug, Parser)]
#[command(name = "budget")]
struct Arguments {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// Measure every row, and print one line of JSON.
    Count,
    /// Read such a line, compare it with the stored one, and print the table.
    Judge {
        /// Where tables and stored numbers lie, by kernel.
        #[arg(long, value_name = "DIRECTORY")]
        results: PathBuf,
        /// The file with the block for all kernels.
        #[arg(long, value_name = "FILE")]
        readme: PathBuf,
        /// Store these numbers as what is compared with from now on, and write the tables.
        #[arg(long)]
        accept: bool,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().step {
        Step::Count => count::run().map(|measured| {
            println!("{}", measured.line());
            true
        }),
        Step::Judge { results, readme, accept } => judge(&results, &readme, accept),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("budget: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing is worse than what was stored.
fn judge(results: &Path, readme: &Path, accept: bool) -> anyhow::Result<bool> {
    let measured = Measured::read(&io::read_to_string(io::stdin())?)?;
    let [numbers, page] =
        ["json", "md"].map(|ending| results.join(format!("{}.{ending}", measured.version())));
    let before = match fs::read_to_string(&numbers) {
        Ok(text) => Some(Measured::read(&text).with_context(|| numbers.display().to_string())?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| numbers.display().to_string()),
    };
    print!("{}", table::table(&measured));
    if let Some(before) = &before {
        let comparison = Comparison::of(before, &measured);
        print!("\n{comparison}");
        if !accept {
            return Ok(comparison.is_good());
        }
    } else if !accept {
        anyhow::bail!(
            "nothing to compare with: {} is not there; store these numbers with --accept",
            numbers.display()
        );
    }
    let old = fs::read_to_string(&page).unwrap_or_default();
    write(&numbers, &measured.text())?;
    write(&page, &table::page(&measured, table::notes(&old)))?;
    let said = fs::read_to_string(readme).with_context(|| readme.display().to_string())?;
    write(readme, &table::with_block(&said, &stored(results)?)?)?;
    Ok(true)
}

/// What is stored, of every kernel, the newest kernel first.
fn stored(results: &Path) -> anyhow::Result<Vec<Measured>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(results)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let text = fs::read_to_string(&path)?;
            all.push(Measured::read(&text).with_context(|| path.display().to_string())?);
        }
    }
    all.sort_by_key(|measured| std::cmp::Reverse(measured.order()));
    Ok(all)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    eprintln!("budget: written: {}", path.display());
    Ok(())
}
