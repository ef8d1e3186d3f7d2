//! The live tests in a guest, and any other command: the programs of this machine, optimised a little.
//!
//! They are linked as ever, and the image brings their libraries: what looks up a name, loads a library or is loaded as
//! one is the same as on any host. They are built with a profile of their own, so that the ordinary build stays as it
//! is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::boot::Errand;
use super::compiler;
use super::image::Luggage;
use crate::checkout::Checkout;
use crate::setup::Toolchain;
use crate::{build, command, test};

/// Where the programs lie in the guest.
const PLACE: &str = "/opt/driftwatch";
/// The test program.
const TESTS: &str = "live";
/// Programs beside the tests, which the tests find there.
const BESIDE: [&str; 6] = ["driftwatch", "actor", "panicker", "evade", "evasion", "bench"];
/// What tests read from the checkout, where that lies on this machine.
const FILES: [&str; 4] = ["rules", "monitor/tests/broken", "tests/live/snapshots", PROGRAM];
/// What a test compiles.
const PROGRAM: &str = "tests/live/strangers/program";
/// How often a claim is tried where all of them are: on an emulated processor each takes some twenty times as long.
pub(crate) const TIMES: &str = "20";
/// Variables that tests heed, and what they are where they are not set.
const VARIABLES: [(&str, &str); 3] =
    [("DRIFTWATCH_GUEST", "1"), ("DRIFTWATCH_SLOWNESS", "10"), ("RUST_BACKTRACE", "0")];

/// The profile of what runs on an emulated processor: quick to build, and not slow.
const QUICK: &str = "guest";
/// The profile of what is handed out, where it is the program itself that is measured.
pub(crate) const RELEASE: &str = "release";

/// Builds the programs and the tests, in which each claim is tried so many times.
pub(crate) fn build(checkout: &Checkout, toolchain: Toolchain, times: &str) -> Result<Luggage> {
    let mut luggage = programs(checkout, toolchain, QUICK, &BESIDE)?;
    let mut tests = test::live_tests(build::cargo(checkout, toolchain));
    tests.arg("--no-run").env("DRIFTWATCH_TIMES", times);
    let said = said(tests, QUICK)?;
    luggage.programs.push((built(&said, "test", TESTS)?, Path::new(PLACE).join(TESTS)));
    luggage.trees.extend(FILES.map(|name| checkout.root().join(name)));
    let compiler = compiler::parts(&checkout.root().join(PROGRAM))?;
    luggage.programs.extend(compiler.programs.into_iter().map(|file| (file.clone(), file)));
    luggage.trees.extend(compiler.files);
    // Where cargo would start them.
    luggage.directories.push(checkout.root().join("tests"));
    Ok(luggage)
}

/// Builds programs of this repository, with one of its profiles.
pub(crate) fn programs(
    checkout: &Checkout,
    toolchain: Toolchain,
    profile: &str,
    names: &[&str],
) -> Result<Luggage> {
    let mut cargo = build::cargo(checkout, toolchain);
    cargo.args(["build", "--package", "driftwatch", "--package", "driftwatch-tests"]);
    for name in names {
        cargo.args(["--bin", name]);
    }
    let said = said(cargo, profile)?;
    let mut luggage = Luggage::default();
    for name in names {
        luggage.programs.push((built(&said, "bin", name)?, Path::new(PLACE).join(name)));
    }
    Ok(luggage)
}

/// How often a claim is tried: as `DRIFTWATCH_TIMES` says, or else this.
pub(crate) fn times(otherwise: &str) -> String {
    std::env::var("DRIFTWATCH_TIMES").unwrap_or_else(|_| otherwise.to_owned())
}

/// Builds, and passes on what cargo says in JSON.
fn said(mut cargo: Command, profile: &str) -> Result<String> {
    cargo.args(["--profile", profile, "--message-format", "json-render-diagnostics"]);
    let output = cargo.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot run `{}`", command::words(&cargo)))?;
    ensure!(output.status.success(), "`{}` failed", command::words(&cargo));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn built(said: &str, kind: &str, name: &str) -> Result<PathBuf> {
    executable(said, kind, name).with_context(|| format!("cargo has built no `{name}`"))
}

/// The file of a program, from what cargo says in JSON, a line for each thing that it has built.
fn executable(said: &str, kind: &str, name: &str) -> Option<PathBuf> {
    let (kind, name) = (format!("\"kind\":[\"{kind}\"]"), format!("\"name\":\"{name}\""));
    let mut files = said.lines().filter_map(|line| {
        let (before, file) = line.split_once("\"executable\":\"")?;
        file.split('"').next().filter(|_| before.contains(&kind) && before.contains(&name))
    });
    files.next().map(PathBuf::from)
}

/// The live tests whose names contain one of `filter`, or all.
pub(crate) fn tests(checkout: &Checkout, filter: &[String]) -> Errand {
    // A test that finds something missing and does without says so, and would not be heard where it passes.
    let mut command = vec![format!("{PLACE}/{TESTS}"), "--show-output".to_owned()];
    command.extend_from_slice(filter);
    let directory = Some(checkout.root().join("tests"));
    let mut environment = environment();
    // Snapshots are looked for below this, without cargo, and none that is written there would be seen again.
    let root = checkout.root().display().to_string();
    environment.push(("INSTA_WORKSPACE_ROOT".to_owned(), root));
    environment.push(("INSTA_UPDATE".to_owned(), "no".to_owned()));
    Errand { command, environment, directory }
}

/// The live tests with these names.
pub(crate) fn exactly(checkout: &Checkout, names: &[String]) -> Errand {
    let mut errand = tests(checkout, names);
    errand.command.push("--exact".to_owned());
    errand
}

/// Another command, which finds the programs by their names.
pub(crate) fn command(words: &[String]) -> Errand {
    let path = ("PATH".to_owned(), format!("{PLACE}:/usr/sbin:/usr/bin:/sbin:/bin"));
    let environment = environment().into_iter().chain([path]).collect();
    Errand { command: words.to_vec(), environment, directory: None }
}

fn environment() -> Vec<(String, String)> {
    let value =
        |name, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    VARIABLES.map(|(name, otherwise)| (name.to_owned(), value(name, otherwise))).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_among_what_cargo_has_built() {
        let said = "{\"target\":{\"kind\":[\"bin\"],\"name\":\"actor\"},\"executable\":\
                    \"/t/guest/actor\"}\n\
                    {\"target\":{\"kind\":[\"test\"],\"name\":\"live\"},\"executable\":null}\n\
                    {\"target\":{\"kind\":[\"test\"],\"name\":\"live\"},\"executable\":\
                    \"/t/guest/deps/live-1a\",\"fresh\":true}\n";
        assert_eq!(executable(said, "test", "live"), Some("/t/guest/deps/live-1a".into()));
        assert_eq!(executable(said, "bin", "actor"), Some("/t/guest/actor".into()));
        assert_eq!(executable(said, "bin", "live"), None);
    }

    #[test]
    fn a_command_finds_the_programs_by_name_and_tests_stand_in_their_directory() {
        let errand = command(&["driftwatch".to_owned(), "--version".to_owned()]);
        let path = errand.environment.iter().find(|(name, _)| name == "PATH");
        assert!(path.is_some_and(|(_, value)| value.starts_with("/opt/driftwatch:")));
        assert!(errand.environment.iter().any(|(name, _)| name == "DRIFTWATCH_SLOWNESS"));
    }
}
