//! A package: built, installed with its scripts into a root of its own, changed by hand, upgraded, purged.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use driftwatch_tests::programs;

use super::{said, tree};

/// What its programs find in the root that it is installed into, all of it busybox.
const TOOLS: [&str; 9] = ["sh", "id", "cat", "chmod", "chown", "mkdir", "rm", "sed", "echo"];
const CONTROL: &str = "Package: stranger\nVersion: VERSION\nArchitecture: all\nMaintainer: A <a@example.com>\n\
                       Description: what a test installs\n";
const SCRIPTS: [(&str, &str); 4] = [
    ("preinst", "echo before $1\n"),
    (
        "postinst",
        "echo stranger:x:900:900::/:/bin/false >>/etc/passwd\nmkdir -p /var/lib/stranger\n\
         chown 900:900 /var/lib/stranger\nchmod 4755 /usr/bin/stranger\n/usr/bin/stranger\n",
    ),
    ("prerm", "echo going $1\n"),
    (
        "postrm",
        "sed -i /^stranger:/d /etc/passwd\n[ \"$1\" != purge ] || rm -r /var/lib/stranger\n",
    ),
];

/// All of it; what was said, and what was there after each step.
pub(super) fn install(place: &Path) -> anyhow::Result<String> {
    let root = root(place)?;
    let mut all = String::new();
    for version in ["1.0", "2.0"] {
        let package = build(place, version)?;
        all += &dpkg(&root, &["--install"], &package)?;
        all += &tree_without_times(&root)?;
    }
    fs::write(root.join("etc/stranger.conf"), "changed by hand\n")?;
    all += &dpkg(&root, &["--verify"], Path::new("stranger"))?;
    all += &dpkg(&root, &["--remove"], Path::new("stranger"))?;
    all += &dpkg(&root, &["--purge"], Path::new("stranger"))?;
    all += &tree_without_times(&root)?;
    if let Some(package) = of_this_host()? {
        all += &dpkg(&root, &["--force-depends", "--unpack"], &package)?;
        all += &tree_without_times(&root)?;
    }
    Ok(all)
}

/// dpkg on this root. Its own advice is that no program of the host is looked for.
fn dpkg(root: &Path, arguments: &[&str], what: &Path) -> anyhow::Result<String> {
    let mut dpkg = Command::new("dpkg");
    dpkg.arg("--root").arg(root).args(["--force-bad-path", "--force-confold", "--no-triggers"]);
    said(dpkg.args(arguments).arg(what))
}

/// Without what dpkg writes times into.
fn tree_without_times(root: &Path) -> anyhow::Result<String> {
    let log = root.join("var/log/dpkg.log");
    if log.exists() {
        fs::remove_file(log)?;
    }
    tree(root)
}

fn root(place: &Path) -> anyhow::Result<PathBuf> {
    let root = place.join("root");
    for name in ["bin", "usr/bin", "etc", "var/log", "var/lib/dpkg/updates", "var/lib/dpkg/info"] {
        fs::create_dir_all(root.join(name))?;
    }
    fs::write(root.join("var/lib/dpkg/status"), "")?;
    fs::write(root.join("var/lib/dpkg/available"), "")?;
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    let busybox = programs::named("busybox").context("it was looked for")?;
    fs::copy(busybox, root.join("bin/busybox"))?;
    for tool in TOOLS {
        symlink("busybox", root.join("bin").join(tool))?;
    }
    Ok(root)
}

/// The package in this version.
fn build(place: &Path, version: &str) -> anyhow::Result<PathBuf> {
    let tree = place.join(format!("stranger-{version}"));
    for name in ["DEBIAN", "usr/bin", "usr/share/doc/stranger", "etc"] {
        fs::create_dir_all(tree.join(name))?;
    }
    fs::write(tree.join("DEBIAN/control"), CONTROL.replace("VERSION", version))?;
    fs::write(tree.join("DEBIAN/conffiles"), "/etc/stranger.conf\n")?;
    for (name, text) in SCRIPTS {
        program(&tree.join("DEBIAN").join(name), &format!("set -e\n{text}"))?;
    }
    program(&tree.join("usr/bin/stranger"), &format!("echo version {version}\nid -u\n"))?;
    symlink("stranger", tree.join("usr/bin/strange"))?;
    fs::write(tree.join("etc/stranger.conf"), "as it comes\n")?;
    for number in 0..50 {
        let page = tree.join(format!("usr/share/doc/stranger/page-{number}"));
        fs::write(page, format!("page {number} of {version}\n").repeat(100))?;
    }
    let package = tree.with_extension("deb");
    said(
        Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&tree).arg(&package),
    )?;
    Ok(package)
}

fn program(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, format!("#!/bin/sh\n{text}"))?;
    Ok(fs::set_permissions(file, Permissions::from_mode(0o755))?)
}

/// The smallest package that apt has kept.
fn of_this_host() -> anyhow::Result<Option<PathBuf>> {
    let Ok(entries) = fs::read_dir("/var/cache/apt/archives") else { return Ok(None) };
    let files = entries.flatten().map(|entry| entry.path());
    let packages =
        files.filter(|file| file.extension().is_some_and(|extension| extension == "deb"));
    let smallest =
        packages.min_by_key(|file| fs::metadata(file).map_or(u64::MAX, |about| about.len()));
    if smallest.is_none() {
        eprintln!("apt has kept no package here: only the test's own is installed");
    }
    Ok(smallest)
}
