//! `ci`: everything that must hold before a merge, every part of it run even when one fails.
//!
//! The parts are the other chores and cargo's own checks. What cannot be run on a machine
//! is named, never left out in silence.

use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use crate::build;
use crate::checkout::Checkout;
use crate::setup::{self, Scope, Toolchain};
use crate::{command, evasion, progress, test, tidy};

/// Runs every part and says at the end which of them failed.
pub(crate) fn run(checkout: &Checkout, no_live: bool) -> Result<ExitCode> {
    let scope = if no_live { Scope::Build } else { Scope::Everything };
    let toolchain = setup::ensure(checkout, scope)?;
    // The format is the first thing that `test` checks.
    let parts: [(&str, &dyn Fn() -> Result<()>); 6] = [
        ("clippy", &|| clippy(build::cargo(checkout, toolchain))),
        ("clippy of the eBPF half", &|| clippy_of_ebpf(checkout, toolchain)),
        ("test", &|| passed(test::run(checkout, no_live, &[])?)),
        ("evasion", &|| evasion_suite(checkout, no_live)),
        ("tidy", &|| passed(tidy::run(checkout)?)),
        ("deny", &|| deny(checkout)),
    ];
    let mut failed = Vec::new();
    for (name, part) in parts {
        eprintln!("ci: {name}");
        if let Err(error) = part() {
            eprintln!("ci: {name}: {}: {error:#}", progress::bad("failed"));
            failed.push(name);
        }
    }
    ensure!(failed.is_empty(), "ci failed: {}", failed.join(", "));
    eprintln!("ci: {}", progress::good("ok"));
    Ok(ExitCode::SUCCESS)
}

/// The evasion suite on this kernel; the README's table stays as it is.
fn evasion_suite(checkout: &Checkout, no_live: bool) -> Result<()> {
    if no_live {
        eprintln!("ci: LEFT OUT: the evasion suite, as asked");
        return Ok(());
    }
    passed(evasion::run(checkout, &evasion::Options::without_table())?)
}

fn passed(code: ExitCode) -> Result<()> {
    ensure!(code == ExitCode::SUCCESS, "see above");
    Ok(())
}

fn clippy(mut cargo: Command) -> Result<()> {
    cargo.args(["clippy", "--workspace", "--exclude", "monitor-ebpf", "--all-targets"]);
    // The live tests are code like any other, also where they cannot be run.
    cargo.args(["--features", "driftwatch-tests/live", "--", "-D", "warnings"]);
    command::succeed(&mut cargo)
}

/// The kernel half by clippy of the toolchain that builds it, if that one carries clippy.
fn clippy_of_ebpf(checkout: &Checkout, toolchain: Toolchain) -> Result<()> {
    let name = toolchain.name();
    let rustup = || {
        let mut rustup = Command::new("rustup");
        rustup.current_dir(checkout.root()).args(["run", name]);
        rustup
    };
    let sysroot = command::answer(rustup().args(["rustc", "--print", "sysroot"]));
    let driver = sysroot.map(|sysroot| format!("{}/bin/clippy-driver", sysroot.trim()));
    if !driver.is_some_and(|driver| std::path::Path::new(&driver).is_file()) {
        eprintln!("ci: LEFT OUT: clippy of the eBPF half: the toolchain `{name}` has no clippy");
        return Ok(());
    }
    let mut cargo = rustup();
    cargo.args(["cargo", "clippy", "--package", "monitor-ebpf", "--release"]);
    cargo.args(["--target", "bpfel-unknown-none", "-Z", "build-std=core"]);
    cargo.args(["--", "-D", "warnings"]);
    command::succeed(cargo.env("RUSTC_BOOTSTRAP", "1"))
}

/// What comes in from outside, by `.deny.toml`, as far as this machine can check it.
fn deny(checkout: &Checkout) -> Result<()> {
    let deny = |arguments: &[&str]| {
        let mut cargo = checkout.cargo();
        cargo.arg("deny").args(arguments);
        cargo
    };
    if command::answer(&mut deny(&["--version"])).is_none() {
        eprintln!(
            "ci: LEFT OUT: licences, sources and advisories: cargo-deny is not installed \
             (`cargo install cargo-deny --locked`)"
        );
        return Ok(());
    }
    command::succeed(&mut deny(&["check", "bans", "licenses", "sources"]))?;
    // A list that cannot be fetched says nothing about the crates; one that can must be clean.
    if let Err(error) = command::silent(&mut deny(&["fetch", "db"])) {
        eprintln!("ci: LEFT OUT: advisories: their list cannot be fetched: {error:#}");
        return Ok(());
    }
    command::succeed(&mut deny(&["check", "advisories"]))
}
