//! `fuzz`: what reads bytes from outside is fed with bytes that nobody chose, by libFuzzer.
//!
//! Built with the compiler of the checkout: coverage needs no nightly, only a sanitizer would. What is found is
//! left in the build directory, and the next run goes on from there.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::checkout::Checkout;
use crate::setup::{self, Scope};
use crate::{build, command};

/// As `cargo fuzz --sanitizer none` has them.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Named, so that build scripts and macros are built without these flags.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Builds the target and runs it for so many seconds. Fails where something was found.
pub(crate) fn run(checkout: &Checkout, target: &str, seconds: u32) -> Result<ExitCode> {
    let toolchain = setup::ensure(checkout, Scope::Build)?;
    let package = checkout.root().join("monitor/fuzz");
    let mut cargo = build::cargo(checkout, toolchain);
    cargo.current_dir(&package).env("RUSTFLAGS", FLAGS);
    cargo.args(["build", "--release", "--locked", "--target", TRIPLE, "--bin", target]);
    command::succeed(&mut cargo)?;
    // <target>/release/NAME is what a program without --target would be.
    let built = checkout.program(&format!("../{TRIPLE}/release/{target}"), true);
    let ground = checkout.program(&format!("../fuzz/{target}"), true);
    std::fs::create_dir_all(ground.join("corpus")).context("no room in the build directory")?;
    let mut fuzzer = Command::new(built);
    fuzzer.current_dir(&ground).args(["-timeout=20", "-rss_limit_mb=1024", "-max_len=8192"]);
    fuzzer.args([format!("-max_total_time={seconds}"), "-print_final_stats=1".to_owned()]);
    fuzzer.arg("corpus");
    if target == "rules" {
        fuzzer.arg(format!("-dict={}", package.join("rules.dict").display()));
        // The first directory takes what is found; from the others is only read.
        let seeds = ["rules", "monitor/src/rules/format/samples", "monitor/tests/broken"];
        fuzzer.args(seeds.map(|seeds| checkout.root().join(seeds)));
    }
    Ok(command::exit_code(command::status(&mut fuzzer)?))
}
