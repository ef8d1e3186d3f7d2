//! The steps of the set-up, done: packages, toolchain link, linker.
//!
//! Each failure is one sentence that says what failed, why, and what to try. What the
//! programs print is not shown unless they fail.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::checkout::Checkout;
use crate::command;
use crate::progress::Outcome;

use super::facts::{Facts, Linker};
use super::plan::{Action, LINKER_VERSION};

/// Does one action.
pub(crate) fn install(checkout: &Checkout, action: &Action, facts: &Facts) -> Result<Outcome> {
    match action {
        Action::Packages(names) => packages(names, facts.fresh_lists)?,
        Action::Link => link()?,
        Action::Linker { llvm, prefix } => linker(checkout, *llvm, prefix, facts.linker.as_ref())?,
    }
    Ok(Outcome::Done)
}

/// Fetches the package lists.
pub(crate) fn package_lists() -> Result<Outcome> {
    // A source that cannot be reached is a warning to apt-get, which then keeps old lists.
    command::silent(apt_get().arg("update"))
        .context("cannot fetch the package lists (is this machine online?)")?;
    Ok(Outcome::Done)
}

fn packages(names: &[String], fresh_lists: bool) -> Result<()> {
    let install = || command::silent(apt_get().args(["install", "--yes"]).args(names));
    let installed = match install() {
        // Old lists name versions that the servers no longer keep.
        Err(_) if !fresh_lists => package_lists().and_then(|_| install()),
        result => result,
    };
    installed.with_context(|| {
        format!("cannot install the packages {} (is this machine online?)", names.join(", "))
    })
}

fn apt_get() -> Command {
    let mut apt_get = Command::new("apt-get");
    apt_get
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C")
        .args(["--quiet", "--no-install-recommends"])
        // Another apt-get may be at work; wait for it rather than fail.
        .args(["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]);
    apt_get
}

fn link() -> Result<()> {
    command::silent(Command::new("rustup").args(["toolchain", "link", "bpf", "/usr"]))
        .context("cannot link Debian's compiler as the rustup toolchain `bpf`")?;
    let compiler = Facts::gather().bpf;
    ensure!(
        compiler.is_some_and(|compiler| compiler.sources),
        "the compiler in /usr has no sources beside it: reinstall the packages rustc-web and \
         rust-web-src, then run this again"
    );
    Ok(())
}

fn linker(checkout: &Checkout, llvm: u32, prefix: &Path, old: Option<&Linker>) -> Result<()> {
    ensure!(
        prefix.join("lib").is_dir(),
        "no LLVM in {}: install its development files or set LLVM_PREFIX",
        prefix.display()
    );
    let mut cargo = checkout.cargo();
    cargo
        // Into a directory that cargo throws away: the linker is no part of the checkout.
        .env_remove("CARGO_TARGET_DIR")
        .env("LLVM_PREFIX", prefix)
        .args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked"])
        .args(["--no-default-features", "--features", &format!("llvm-{llvm}")]);
    if old.is_some() {
        // The same version with another LLVM counts as installed to cargo.
        cargo.arg("--force");
    }
    command::silent(&mut cargo).with_context(|| {
        format!("cannot build bpf-linker {LINKER_VERSION} (is this machine online?)")
    })?;
    let found = Facts::gather().linker;
    ensure!(
        found.is_some_and(|found| found.version == LINKER_VERSION),
        "bpf-linker {LINKER_VERSION} was installed but another one, or none, is on the path: put \
         cargo's bin directory (usually ~/.cargo/bin) first in PATH, then run this again"
    );
    Ok(())
}
