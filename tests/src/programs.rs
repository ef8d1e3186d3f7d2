//! Where the programs are that a test starts.
//!
//! A build puts them into one directory; test executables are in `deps` below it.

use std::{env, path::PathBuf};

use anyhow::{Context, ensure};

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
