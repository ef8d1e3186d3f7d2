//! The benchmark: what an operation costs with the daemon, as a ratio to what it costs without.
//!
//! One round measures without a daemon, then with one that has few list items, then with one that
//! has many, so that whatever else the host does weighs on all three alike. A ratio is taken within a
//! round; the table shows the median over the rounds and the range.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod flat;
mod late;
mod measure;
mod table;

use std::process::ExitCode;

use clap::Parser;
use measure::{Bench, Who};

/// List items of the two daemons.
const ITEMS: [usize; 2] = [10, 1_000];

/// An operation and how often one measurement repeats it.
const OPERATIONS: [(&str, u32); 5] =
    [("getppid", 300_000), ("stat", 60_000), ("open", 40_000), ("exec", 150), ("connect", 60_000)];

/// Measures system calls with and without the daemon, interleaved.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Rounds; the first one only warms up.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(2..=100))]
    rounds: u32,

    /// Measure instead what 10, 1,000 and 10,000 list items cost, to compile and to ask.
    #[arg(long)]
    flat: bool,

    /// Count instead how many acts have their effect where a process kills on reading an alert, and where the kernel
    /// does.
    #[arg(long, conflicts_with = "flat")]
    late: bool,

    /// How often each act is tried with `--late`.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    times: u32,

    #[arg(long, hide = true)]
    compile_only: Option<usize>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(items) = arguments.compile_only {
        return flat::compile_only(items);
    }
    if arguments.flat {
        return flat::run();
    }
    if arguments.late {
        return late::run(arguments.times);
    }
    let mut table = table::Table::default();
    for round in 0..arguments.rounds {
        eprintln!("round {} of {}", round + 1, arguments.rounds);
        let measured = one_round()?;
        if round > 0 {
            table.add(measured);
        }
    }
    table.print();
    Ok(())
}

/// One measurement: which operation, under what, nanoseconds.
type Measured = (&'static str, Option<(usize, Who)>, f64);

fn one_round() -> anyhow::Result<Vec<Measured>> {
    let mut measured = Vec::new();
    let bare = Bench::bare()?;
    for (operation, times) in OPERATIONS {
        measured.push((operation, None, bare.nanoseconds(operation, times, Who::Untagged)?));
    }
    for items in ITEMS {
        let bench = Bench::with_daemon(items)?;
        for (operation, times) in OPERATIONS {
            for who in [Who::Untagged, Who::Agent] {
                let nanoseconds = bench.nanoseconds(operation, times, who)?;
                measured.push((operation, Some((items, who)), nanoseconds));
            }
        }
    }
    Ok(measured)
}
