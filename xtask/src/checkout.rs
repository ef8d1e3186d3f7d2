//! The checkout: where the repository lies and where cargo puts what it builds.
//!
//! Known from what cargo says and from where this program itself lies.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// A checkout of the repository and its build directory.
#[derive(Debug)]
pub(crate) struct Checkout {
    root: PathBuf,
    target: PathBuf,
}

impl Checkout {
    /// The checkout this program was built from.
    pub(crate) fn find() -> Result<Self> {
        // Cargo says where it runs this from; that holds even after the checkout was moved.
        let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let package = package.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        let root = package
            .parent()
            .context("xtask does not lie inside a checkout: run it as `cargo xtask`")?;
        // This program is <target>/<profile>/xtask, whatever chose <target>.
        let program = std::env::current_exe().context("cannot find the xtask program itself")?;
        let target = program
            .parent()
            .and_then(Path::parent)
            .context("xtask lies outside a build directory: run it as `cargo xtask`")?;
        Ok(Self { root: root.to_owned(), target: target.to_owned() })
    }

    /// The top level of the repository.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The program `name` as built with or without optimisations.
    pub(crate) fn program(&self, name: &str, release: bool) -> PathBuf {
        self.target.join(if release { "release" } else { "debug" }).join(name)
    }

    /// A directory for what guests are made of, beside what cargo builds.
    pub(crate) fn guest(&self, name: &str) -> PathBuf {
        self.target.join("guests").join(name)
    }

    /// Cargo, at the top level, building into the same directory as this program.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        cargo
    }
}
