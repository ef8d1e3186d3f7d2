//! Where the programs are that a test starts.
//!
//! A build puts them into one directory; test executables are in `deps` below it.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};

/// What a test says first that cannot run here; `cargo xtask test` counts these lines.
const NOT_RUN: &str = "not run: ";

/// The daemon and its commands; `DRIFTWATCH_BIN` names another one than the build's.
pub fn driftwatch() -> anyhow::Result<PathBuf> {
    find("driftwatch", "DRIFTWATCH_BIN")
}

/// The actor; `DRIFTWATCH_ACTOR` names another one than the build's.
pub fn actor() -> anyhow::Result<PathBuf> {
    find("actor", "DRIFTWATCH_ACTOR")
}

/// A daemon that panics once it is attached; `DRIFTWATCH_PANICKER` names another one.
pub fn panicker() -> anyhow::Result<PathBuf> {
    find("panicker", "DRIFTWATCH_PANICKER")
}

/// What carries out techniques of evasion; `DRIFTWATCH_EVADE` names another one than the build's.
pub fn evade() -> anyhow::Result<PathBuf> {
    find("evade", "DRIFTWATCH_EVADE")
}

/// Whether this is a guest (`DRIFTWATCH_GUEST`), where a test may change what the whole host has.
#[must_use]
pub fn in_a_guest() -> bool {
    env::var_os("DRIFTWATCH_GUEST").is_some()
}

/// The program of this name, if this host has it.
#[must_use]
pub fn named(name: &str) -> Option<PathBuf> {
    let places = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
    places.iter().map(|place| Path::new(place).join(name)).find(|file| file.is_file())
}

/// Whether this host has all of these programs. Where one is missing, the test that wants it is not run, and that is
/// said; in a guest and in CI, where nothing may be left out, it is an error.
pub fn are_here(names: &[&str]) -> anyhow::Result<bool> {
    let missing: Vec<_> = names.iter().copied().filter(|name| named(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(true);
    }
    let said = format!("{NOT_RUN}this host has no {}", missing.join(", "));
    ensure!(!in_a_guest() && env::var_os("CI").is_none(), "{said}");
    eprintln!("{said}");
    Ok(false)
}

fn find(name: &str, variable: &str) -> anyhow::Result<PathBuf> {
    if let Some(path) = env::var_os(variable) {
        let path = PathBuf::from(path);
        ensure!(path.is_file(), "{variable} names {}, which is not a file", path.display());
        return path.canonicalize().context("a file has a canonical path");
    }
    let running = env::current_exe().context("the path of this program")?;
    let near = running.ancestors().skip(1).take(2);
    near.map(|directory| directory.join(name)).find(|path| path.is_file()).with_context(|| {
        format!("no `{name}` beside {}: build it first, or set {variable}", running.display())
    })
}
