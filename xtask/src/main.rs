//! `cargo xtask`: the chores of this repository, each one a command of its own.
//!
//! Stands beside the product and is never part of it. Every command that needs the eBPF
//! half runs `setup` first, so that a fresh machine needs no step by hand. Progress and
//! failures go to standard error, results to standard output.

#![expect(clippy::print_stdout, reason = "a command-line program")]

mod bench;
mod build;
mod checkout;
mod ci;
mod command;
mod evasion;
mod fuzz;
mod guest;
mod launch;
mod progress;
mod setup;
mod test;
mod tidy;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::checkout::Checkout;

/// The chores of the Driftwatch repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask demo                        see a drifting agent being stopped, on this kernel
  cargo xtask test                        every test there is; live tests need root
  cargo xtask guest --kernel 6.1          the live tests on another kernel, emulated
  cargo xtask run -- check rules/         the daemon's own commands, built and run
  cargo xtask setup --list                what the set-up would install, without doing it";

#[derive(Debug, Subcommand)]
enum Chore {
    /// Install what the eBPF half needs to be built; does nothing when it is all there.
    #[command(after_help = "Examples:\n  cargo xtask setup\n  cargo xtask setup --list")]
    Setup {
        /// Print what would be installed, and install nothing.
        #[arg(long)]
        list: bool,
    },
    /// Build the `driftwatch` program with the eBPF half inside.
    #[command(after_help = "Examples:\n  cargo xtask build\n  cargo xtask build --release")]
    Build {
        /// Build with optimisations.
        #[arg(long)]
        release: bool,
    },
    /// Build `driftwatch` with optimisations and become it.
    #[command(after_help = "Examples:\n  cargo xtask run -- check rules/starter\n  \
                            cargo xtask run -- daemon --rules rules/")]
    Run {
        /// Passed to `driftwatch` as they are.
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Run the real daemon against a scripted agent and show what happened.
    #[command(after_help = "Examples:\n  sudo -E cargo xtask demo\n  cargo xtask demo -- --help")]
    Demo {
        /// Passed to the demo as they are.
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Run every test: format, pure tests, live tests on this kernel, and some of those on other kernels in guests.
    #[command(after_help = "Examples:\n  cargo xtask test\n  \
                            cargo xtask test --no-live\n  cargo xtask test connect ipv6")]
    Test {
        /// Leave out the tests that load programs into this kernel, and the guests.
        #[arg(long)]
        no_live: bool,
        /// Run only the tests whose name contains one of these.
        filter: Vec<String>,
    },
    /// Run the live tests, or a command, on another kernel, in an emulated machine.
    #[command(after_help = "Examples:\n  cargo xtask guest connect ipv6\n  \
                            cargo xtask guest --kernel 6.1 --lsm landlock,lockdown,capability\n  \
                            cargo xtask guest --kernel 6.12 -- driftwatch --version")]
    Guest(guest::Options),
    /// Measure what the daemon costs: on this machine in time, or in a guest in instructions, where a row that is
    /// worse than stored fails.
    #[command(after_help = "Examples:\n  cargo xtask bench\n  cargo xtask bench --flat\n  \
                            cargo xtask bench --guest --kernel 6.1\n  \
                            cargo xtask bench --guest --accept\n  cargo xtask bench -- --help")]
    Bench(bench::Options),
    /// Try every technique of evasion against the daemon on this kernel; a row that is worse than stated
    /// fails.
    #[command(after_help = "Examples:\n  sudo -E cargo xtask evasion\n  \
                            cargo xtask evasion F16 N10\n  cargo xtask evasion --json N")]
    Evasion(evasion::Options),
    /// Feed rule files, records or recordings that nobody wrote to the code that reads them.
    #[command(after_help = "Examples:\n  cargo xtask fuzz rules\n  \
                            cargo xtask fuzz record --seconds 3600")]
    Fuzz {
        /// What is fed: rules, record or recording.
        #[arg(default_value = "rules")]
        target: String,
        /// For how long.
        #[arg(long, default_value_t = 300)]
        seconds: u32,
    },
    /// All that must hold before a merge: format, clippy, tests, tidy, dependencies.
    #[command(after_help = "Examples:\n  cargo xtask ci\n  cargo xtask ci --no-live")]
    Ci {
        /// Leave out the tests that load programs into this kernel, and the guests.
        #[arg(long)]
        no_live: bool,
    },
    /// Check what no compiler checks: sizes, headers, layers, names, words.
    #[command(after_help = "Example:\n  cargo xtask tidy")]
    Tidy,
}

fn main() -> ExitCode {
    match obey(Arguments::parse().chore) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn obey(chore: Chore) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    match chore {
        Chore::Setup { list: true } => setup::list(),
        Chore::Setup { list: false } => setup::run(&checkout),
        Chore::Build { release } => build::run(&checkout, release),
        Chore::Run { arguments } => launch::driftwatch(&checkout, &arguments),
        Chore::Demo { arguments } => launch::demo(&checkout, &arguments),
        Chore::Test { no_live, filter } => test::run(&checkout, no_live, &filter),
        Chore::Guest(options) => guest::run(&checkout, &options),
        Chore::Bench(options) => bench::run(&checkout, &options),
        Chore::Evasion(options) => evasion::run(&checkout, &options),
        Chore::Fuzz { target, seconds } => fuzz::run(&checkout, &target, seconds),
        Chore::Ci { no_live } => ci::run(&checkout, no_live),
        Chore::Tidy => tidy::run(&checkout),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_chore_has_a_line_of_help_and_an_example() {
        let arguments = Arguments::command();
        arguments.clone().debug_assert();
        for chore in arguments.get_subcommands() {
            let name = chore.get_name();
            assert!(chore.get_about().is_some(), "{name} has no line of help");
            let examples = chore.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.contains(&format!("cargo xtask {name}")), "{name} has no example");
        }
    }
}
