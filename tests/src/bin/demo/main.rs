//! The demo: an agent goes astray on this host, and Driftwatch stops it. Beside it an untagged twin
//! does the same and is left alone.
//!
//! The daemon, the kernel, the files and the connections are real; loopback stands in for the outside
//! world. Ends with 0 if everything happened as it must, with 1 if anything did not.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod far;
mod stage;
mod step;
mod tell;

use std::process::ExitCode;

use clap::Parser;

/// Runs an agent that goes astray, under the real daemon, and tells what happened.
#[derive(Parser)]
#[command(name = "demo")]
struct Arguments {
    /// The rules; the demo knows what these must stop.
    #[arg(long, default_value_t = stage::default_rules())]
    rules: String,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let stage = stage::Stage::set(arguments.rules.as_ref())?;
    tell::opening(&stage);
    let mut results = Vec::new();
    for (number, step) in step::all(&stage).iter().enumerate() {
        let result = step.play(&stage)?;
        tell::scene(number + 1, &result);
        results.push(result);
    }
    Ok(tell::ending(&results))
}
