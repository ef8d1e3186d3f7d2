//! `evasion`: the judge. Lets every technique be tried twice, by an untagged twin and by an agent under
//! rules that somebody would write, and says which were stopped, seen or missed.
//!
//! It believes canaries and the daemon's alerts alone, never what a technique says of itself. Needs the
//! programs `driftwatch` and `evade`, root, and nothing else: no shell, no compiler.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod attempt;
mod ground;
mod report;
mod row;
mod verdict;

use std::{collections::BTreeMap, fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, ensure};
use clap::Parser;

use crate::{
    attempt::{Attempt, Role},
    ground::Ground,
    report::Report,
    row::{Later, Row},
    verdict::Judge,
};

/// Tries every technique of evasion against the daemon on this kernel.
#[derive(Debug, Parser)]
struct Arguments {
    /// Also what changes something that the whole host has: for a guest, never for a host.
    #[arg(long)]
    guest: bool,
    /// Only which techniques work on this kernel where nothing guards it: the twins alone, no daemon.
    #[arg(long, conflicts_with_all = ["write", "json"])]
    unguarded: bool,
    /// Print one JSON object a technique instead of the table.
    #[arg(long)]
    json: bool,
    /// Write the table as Markdown into this directory, under the kernel's name.
    #[arg(long, conflicts_with = "ids")]
    write: Option<PathBuf>,
    /// Only techniques whose id begins with one of these.
    ids: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("evasion: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether no row was worse than stated.
fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    ensure!(rustix::process::geteuid().is_root(), "this needs root: namespaces, and the daemon");
    attempt::adopt_orphans()?;
    let (rows, later) = row::all()?;
    let rows: Vec<Row> = rows.into_iter().filter(|row| arguments.wants(&row.id)).collect();
    let later: Vec<Later> = later.into_iter().filter(|row| arguments.wants(&row.id)).collect();
    ensure!(!rows.is_empty(), "no technique's id begins with any of {:?}", arguments.ids);
    let ground = Ground::plant(&rows)?;
    let here = |row: &&Row| arguments.guest || !row.guest_only;
    if arguments.unguarded {
        return unguarded(&ground, rows.iter().filter(here));
    }
    let early = rows.iter().filter(here).filter(|row| row.early);
    let mut waiting = early
        .map(|row| Ok((row.id.clone(), Attempt::begin(&ground, row, Role::Agent)?)))
        .collect::<anyhow::Result<BTreeMap<_, _>>>()?;
    let mut judge = Judge::start(&ground)?;
    let mut report = Report::new(judge.tier()?, later);
    for row in rows {
        let judged = if here(&&row) {
            let early = waiting.remove(&row.id);
            let others: Vec<u32> = waiting.values().map(Attempt::pid).collect();
            judge.judge(&ground, row, early, &others)?
        } else {
            row.not_here("changes the whole host: tried in a guest alone")
        };
        report.add(judged, arguments.json);
    }
    if !arguments.json {
        println!("{}", report.summary());
    }
    if let Some(directory) = &arguments.write {
        fs::create_dir_all(directory)?;
        let file = directory.join(report.file_name());
        fs::write(&file, report.markdown()).with_context(|| format!("write {}", file.display()))?;
        eprintln!("evasion: written: {}", file.display());
    }
    judge.check_health()?;
    Ok(report.is_good())
}

/// Lets the twins try, and says which get through. False where none does: then something else is wrong.
fn unguarded<'a>(ground: &Ground, rows: impl Iterator<Item = &'a Row>) -> anyhow::Result<bool> {
    let (mut works, mut tried) = (0, 0);
    for row in rows {
        let outcome = Attempt::begin(ground, row, Role::Twin)?.finish(None, &[])?;
        tried += 1;
        works += usize::from(outcome.leaked);
        let word = if outcome.leaked { "works" } else { "cannot run" };
        println!("{:<5} {word:<10} {:<58} {}", row.id, row.title, outcome.ended);
    }
    println!("\n{works} of {tried} techniques work here");
    Ok(works > 0)
}

impl Arguments {
    fn wants(&self, id: &str) -> bool {
        self.ids.is_empty() || self.ids.iter().any(|start| id.starts_with(start.as_str()))
    }
}
