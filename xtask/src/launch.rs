//! `run`, `demo`, `bench`: build, then hand over to a program of this repository.
//!
//! The program keeps its exit code. The demo and the benchmark find `driftwatch` beside
//! themselves, in the same build directory.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::build;
use crate::checkout::Checkout;
use crate::command;
use crate::setup::{self, Scope};

/// Becomes `driftwatch`, so that signals and the exit code are its own.
pub(crate) fn driftwatch(checkout: &Checkout, arguments: &[OsString]) -> Result<ExitCode> {
    let toolchain = setup::ensure(checkout, Scope::Build)?;
    build::build(build::cargo(checkout, toolchain), &["driftwatch"], true)?;
    let program = checkout.program("driftwatch", true);
    let error = Command::new(&program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}

/// Runs the demo and passes its verdict on.
pub(crate) fn demo(checkout: &Checkout, arguments: &[OsString]) -> Result<ExitCode> {
    companion(checkout, "demo", false, arguments)
}

/// Runs the benchmark, on the optimised program.
pub(crate) fn bench(checkout: &Checkout, arguments: &[OsString]) -> Result<ExitCode> {
    companion(checkout, "bench", true, arguments)
}

fn companion(
    checkout: &Checkout,
    name: &str,
    release: bool,
    arguments: &[OsString],
) -> Result<ExitCode> {
    let toolchain = setup::ensure(checkout, Scope::Build)?;
    build::build(build::cargo(checkout, toolchain), &["driftwatch", "driftwatch-tests"], release)?;
    let mut program = Command::new(checkout.program(name, release));
    program.args(arguments).current_dir(checkout.root());
    Ok(command::exit_code(command::status(&mut program)?))
}
