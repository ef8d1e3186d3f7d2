//! `build`: the `driftwatch` program, with the eBPF half built and embedded by its build script.
//!
//! Here stands the one place that tells cargo which toolchain builds the eBPF half.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::checkout::Checkout;
use crate::setup::{self, Scope, Toolchain};
use crate::{command, progress};

/// Sets up and builds `driftwatch`.
pub(crate) fn run(checkout: &Checkout, release: bool) -> Result<ExitCode> {
    let toolchain = setup::ensure(checkout, Scope::Build)?;
    build(cargo(checkout, toolchain), &["driftwatch"], release)?;
    let program = checkout.program("driftwatch", release);
    eprintln!("build: {}: {}", progress::good("ok"), program.display());
    Ok(ExitCode::SUCCESS)
}

/// Cargo, told which toolchain builds the eBPF half.
pub(crate) fn cargo(checkout: &Checkout, toolchain: Toolchain) -> Command {
    let mut cargo = checkout.cargo();
    // The build script sets RUSTC_BOOTSTRAP for the eBPF half alone. Set here it would reach
    // every crate, and those that probe for it would be rebuilt on each change between
    // `cargo build` and `cargo xtask build`.
    cargo.env("DRIFTWATCH_BPF_TOOLCHAIN", toolchain.name());
    cargo
}

/// Builds the programs of `packages`.
pub(crate) fn build(mut cargo: Command, packages: &[&str], release: bool) -> Result<()> {
    cargo.args(["build", "--bins"]);
    for package in packages {
        cargo.args(["--package", package]);
    }
    if release {
        cargo.arg("--release");
    }
    command::succeed(&mut cargo)
}
