//! The kernel: which of the distribution's is meant, and where its files lie once it was fetched.
//!
//! The package is downloaded and unpacked beside what cargo builds. Nothing is installed.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::command;
use crate::progress::{self, Outcome};

/// What every package of a kernel for virtual machines ends in; the first holds the same files and is preferred.
const ENDINGS: [&str; 2] = ["-cloud-amd64-unsigned", "-cloud-amd64"];

/// A kernel, unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// As `uname -r` says it.
    pub(crate) release: String,
    /// What is booted.
    pub(crate) image: PathBuf,
    /// Where its modules lie, in directories by subject.
    pub(crate) modules: PathBuf,
}

/// The newest kernel of `version` (`6.1`, or more of a release) that the package lists offer, unpacked below
/// `directory`. Where that cannot be had, the newest that was unpacked before.
pub(crate) fn get(directory: &Path, version: &str) -> Result<Kernel> {
    let names = command::answer(Command::new("apt-cache").args([
        "search",
        "--names-only",
        "^linux-image-[0-9].*-cloud-amd64",
    ]));
    let offered = names.as_deref().and_then(|names| newest(names, version));
    let before = newest(&unpacked(directory).join("\n"), version);
    let package = match (offered, before) {
        (Some(package), _) if directory.join(&package).is_dir() => package,
        (Some(package), before) => {
            let fetched = progress::step("guest", (1, 1), &package, || fetch(directory, &package));
            match (fetched, before) {
                (Err(error), Some(before)) => {
                    eprintln!("guest: {error:#}\nguest: {before} is taken, which is here");
                    before
                }
                (fetched, _) => fetched.map(|_| package)?,
            }
        }
        (None, Some(before)) => before,
        (None, None) => bail!(
            "no kernel {version} to boot: the package lists offer no linux-image-{version}*{} \
             (Debian has them; run `apt-get update` as root, or choose another with --kernel)",
            ENDINGS[1]
        ),
    };
    open(&directory.join(package))
}

/// Downloads into a directory of its own, which gets its name when all of it is there.
fn fetch(directory: &Path, package: &str) -> Result<Outcome> {
    let begun = directory.join(format!("begun-{}", std::process::id()));
    fs::create_dir_all(&begun).with_context(|| format!("cannot make {}", begun.display()))?;
    let result = (|| {
        let mut download = Command::new("apt-get");
        command::silent(download.current_dir(&begun).args(["--quiet", "download", package]))
            .context("cannot download it (is this machine online? are the package lists old?)")?;
        let files = fs::read_dir(&begun)?.filter_map(|entry| Some(entry.ok()?.path()));
        let files: Vec<_> = files.collect();
        ensure!(files.len() == 1, "{} files were downloaded, not one", files.len());
        let (archive, tree) = (&files[0], begun.join("tree"));
        command::silent(Command::new("dpkg").arg("-x").arg(archive).arg(&tree))?;
        match fs::rename(&tree, directory.join(package)) {
            // Somebody else was quicker.
            Err(_) if directory.join(package).is_dir() => Ok(Outcome::Done),
            moved => Ok(moved.map(|()| Outcome::Done)?),
        }
    })();
    fs::remove_dir_all(&begun).context("cannot tidy up behind the download")?;
    result
}

/// Packages that were unpacked before.
fn unpacked(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with("linux-image-")).collect()
}

fn open(place: &Path) -> Result<Kernel> {
    let entries = fs::read_dir(place.join("boot")).with_context(|| place.display().to_string())?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let release = names.filter_map(|name| name.strip_prefix("vmlinuz-").map(ToOwned::to_owned));
    let release = release.max().with_context(|| {
        format!("no kernel in {}: remove that directory, and try again", place.display())
    })?;
    let modules = [place.join("lib/modules"), place.join("usr/lib/modules")];
    let modules = modules.into_iter().map(|directory| directory.join(&release));
    let modules = modules.rev().find(|directory| directory.is_dir());
    Ok(Kernel {
        image: place.join(format!("boot/vmlinuz-{release}")),
        modules: modules.with_context(|| format!("no modules in {}", place.display()))?,
        release,
    })
}

/// The newest package for this version, from what `apt-cache search` prints.
fn newest(listing: &str, version: &str) -> Option<String> {
    let names = listing.lines().filter_map(|line| line.split_whitespace().next());
    let names = names.filter(|name| belongs(name, version));
    names.max_by(|one, other| by_numbers(one, other)).map(ToOwned::to_owned)
}

/// Whether the package holds a kernel of this version: `6.1` is not `6.12`.
fn belongs(package: &str, version: &str) -> bool {
    let Some(rest) = package.strip_prefix("linux-image-") else { return false };
    let ends = ENDINGS.iter().any(|ending| rest.ends_with(ending));
    let release = ENDINGS.iter().find_map(|ending| rest.strip_suffix(ending)).unwrap_or(rest);
    // A package without a number after the version is one that names the newest.
    let behind = release.strip_prefix(version).filter(|_| release.split('.').count() > 2);
    ends && behind.is_some_and(|behind| !behind.starts_with(|next: char| next.is_ascii_digit()))
}

/// Numbers in names by their value; of the same number, the preferred ending comes last.
fn by_numbers(one: &str, other: &str) -> Ordering {
    let numbers = |name: &str| -> Vec<u64> {
        let parts = name.split(|next: char| !next.is_ascii_digit());
        parts.filter_map(|part| part.parse().ok()).collect()
    };
    let preferred = |name: &str| name.ends_with(ENDINGS[0]);
    numbers(one).cmp(&numbers(other)).then(preferred(one).cmp(&preferred(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "\
linux-image-6.1.0-47-cloud-amd64-dbg - Debug symbols for linux-image-6.1.0-47-cloud-amd64
linux-image-6.1.0-9-cloud-amd64-unsigned - Linux 6.1 for x86-64 cloud
linux-image-6.1.0-53-cloud-amd64-unsigned - Linux 6.1 for x86-64 cloud
linux-image-6.1.0-53-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)
linux-image-6.12-cloud-amd64 - Linux for x86-64 cloud (meta-package)
linux-image-6.12.100+deb12-cloud-amd64 - Linux 6.12 for x86-64 cloud (signed)
linux-image-6.12.99+deb12-cloud-amd64-unsigned - Linux 6.12 for x86-64 cloud
linux-image-cloud-amd64 - Linux for x86-64 cloud (meta-package)
";

    #[test]
    fn the_newest_kernel_of_a_version_is_chosen() {
        let newest = |version| newest(LISTING, version).unwrap_or_default();
        assert_eq!(newest("6.1"), "linux-image-6.1.0-53-cloud-amd64-unsigned");
        assert_eq!(newest("6.12"), "linux-image-6.12.100+deb12-cloud-amd64");
        assert_eq!(newest("6.12.99"), "linux-image-6.12.99+deb12-cloud-amd64-unsigned");
        assert_eq!(newest("6.1.0-9"), "linux-image-6.1.0-9-cloud-amd64-unsigned");
        assert_eq!(newest("6.18"), "");
        assert_eq!(newest("6"), "linux-image-6.12.100+deb12-cloud-amd64");
    }

    #[test]
    fn a_version_that_nobody_offers_is_named_with_what_to_do() {
        let error = get(Path::new("/nowhere/at/all"), "2.4").unwrap_err().to_string();
        assert!(error.contains("linux-image-2.4*-cloud-amd64"), "{error}");
        assert!(error.contains("apt-get update") && error.contains("--kernel"), "{error}");
    }
}
