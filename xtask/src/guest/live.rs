//! The live tests in a guest: the same programs as on this machine, without what only a debugger reads.
//!
//! They are linked as ever, and the image brings their libraries: a second build for the guest would take minutes, and
//! would test other programs than those of this machine's own tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::boot::Errand;
use super::image::Image;
use crate::checkout::Checkout;
use crate::setup::Toolchain;
use crate::{build, command, test};

/// Where the programs lie in the guest.
const PLACE: &str = "/opt/driftwatch";
/// Programs beside the tests, which the tests find there.
const BESIDE: [&str; 3] = ["driftwatch", "actor", "panicker"];
/// What tests read from the checkout, where that lies on this machine.
const FILES: [&str; 2] = ["rules", "monitor/tests/broken"];
/// Variables that tests heed, passed on where they are set.
const VARIABLES: [&str; 2] = ["DRIFTWATCH_TIMES", "RUST_BACKTRACE"];

/// What was built, in this machine's files.
#[derive(Debug)]
pub(crate) struct Built {
    tests: PathBuf,
    beside: Vec<PathBuf>,
}

/// Builds the programs and the tests.
pub(crate) fn build(checkout: &Checkout, toolchain: Toolchain) -> Result<Built> {
    build::build(build::cargo(checkout, toolchain), &["driftwatch", "driftwatch-tests"], false)?;
    let mut cargo = test::live_tests(build::cargo(checkout, toolchain));
    cargo.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let output = cargo.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot run `{}`", command::words(&cargo)))?;
    ensure!(output.status.success(), "`{}` failed", command::words(&cargo));
    let tests = executable(&String::from_utf8_lossy(&output.stdout))
        .context("cargo does not say where the live tests are")?;
    let beside = BESIDE.map(|name| checkout.program(name, false)).to_vec();
    Ok(Built { tests, beside })
}

/// The file of the only test program, from what cargo says in JSON, a line for each thing that it has built.
fn executable(said: &str) -> Option<PathBuf> {
    let mut files = said.lines().filter_map(|line| {
        let (_, rest) = line.split_once("\"executable\":\"")?;
        let test = line.contains("\"kind\":[\"test\"]") && line.contains("\"name\":\"live\"");
        rest.split('"').next().filter(|_| test)
    });
    files.next().map(PathBuf::from)
}

impl Built {
    /// Puts the programs and what they read into the image. `ground` takes smaller copies.
    pub(crate) fn put_into(
        &self,
        image: &mut Image,
        checkout: &Checkout,
        ground: &Path,
    ) -> Result<()> {
        let tests = std::iter::once(("live", &self.tests));
        for (name, file) in tests.chain(BESIDE.into_iter().zip(&self.beside)) {
            // Half of the memory of a guest would be what only debuggers read.
            let small = ground.join(name);
            let mut strip = Command::new("strip");
            command::silent(strip.args(["--strip-debug", "-o"]).arg(&small).arg(file))?;
            image.program_as(&small, &Path::new(PLACE).join(name))?;
        }
        FILES.iter().try_for_each(|name| image.tree(&checkout.root().join(name)))?;
        // Where cargo would start them.
        image.directory(&checkout.root().join("tests"));
        Ok(())
    }
}

impl Built {
    /// Removes the smaller copies.
    pub(crate) fn tidy_up(&self, ground: &Path) -> Result<()> {
        let mut names = BESIDE.into_iter().chain(["live"]);
        let removed = names.try_for_each(|name| fs::remove_file(ground.join(name)));
        removed.context("cannot remove copies of programs")
    }
}

/// The live tests whose names contain one of `filter`, or all.
pub(crate) fn tests(checkout: &Checkout, filter: &[String]) -> Errand {
    let mut command = vec![format!("{PLACE}/live")];
    command.extend_from_slice(filter);
    let set =
        VARIABLES.iter().filter_map(|&name| Some((name.to_owned(), std::env::var(name).ok()?)));
    Errand { command, environment: set.collect(), directory: Some(checkout.root().join("tests")) }
}

/// Another command, which finds the programs by their names.
pub(crate) fn command(words: &[String]) -> Errand {
    let path = format!("{PLACE}:/usr/sbin:/usr/bin:/sbin:/bin");
    let environment = vec![("PATH".to_owned(), path)];
    Errand { command: words.to_vec(), environment, directory: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_program_is_found_among_what_cargo_has_built() {
        let said = "{\"reason\":\"compiler-artifact\",\"target\":{\"kind\":[\"bin\"],\"name\":\
                    \"actor\"},\"executable\":\"/t/debug/actor\"}\n\
                    {\"target\":{\"kind\":[\"test\"],\"name\":\"live\"},\"executable\":null}\n\
                    {\"target\":{\"kind\":[\"test\"],\"name\":\"live\"},\"executable\":\
                    \"/t/debug/deps/live-1a\",\"fresh\":true}\n";
        assert_eq!(executable(said), Some("/t/debug/deps/live-1a".into()));
        assert_eq!(executable("{\"reason\":\"build-finished\"}"), None);
    }
}
