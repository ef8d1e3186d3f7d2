//! `test`: format, every pure test, every live test, some of those in guests, and one line that sums it up.
//!
//! Live tests load programs into the running kernel. Where they cannot run, that is a failure
//! unless it was asked for: a green line must not hide that half was left out. The same holds for guests.

use std::io::{BufRead as _, BufReader};
use std::iter;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::build;
use crate::checkout::Checkout;
use crate::setup::{self, Scope};
use crate::{command, guest, progress};

/// What one run of `cargo test` came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u32,
    failed: u32,
    ignored: u32,
    /// Tests that passed since they could not run here, and said so.
    not_run: u32,
    /// Cargo itself, or the test program, reported success.
    pub(crate) ok: bool,
}

/// Sets up and runs the tests whose names contain one of `filter`, or all.
pub(crate) fn run(checkout: &Checkout, no_live: bool, filter: &[String]) -> Result<ExitCode> {
    let start = Instant::now();
    let live = Live::decide(no_live);
    let scope = if live == Live::Run { Scope::Everything } else { Scope::Build };
    let toolchain = setup::ensure(checkout, scope)?;

    let format = command::succeed(checkout.cargo().args(["fmt", "--all", "--check"]));
    if format.is_err() {
        eprintln!("test: {}: not formatted: run `cargo fmt --all`", progress::bad("failed"));
    }
    let pure = tally(pure_tests(build::cargo(checkout, toolchain)), filter)?;
    let live_tally = if live == Live::Run && pure.compiled() {
        // The real program, which `cargo test` of another package does not build.
        build::build(build::cargo(checkout, toolchain), &["driftwatch"], false)?;
        // A test that finds something missing and does without says so, and would not be heard where it passes.
        let filter: Vec<_> =
            iter::once("--show-output".to_owned()).chain(filter.iter().cloned()).collect();
        Some(tally(live_tests(build::cargo(checkout, toolchain)), &filter)?)
    } else {
        None
    };
    let guests = (live == Live::Run && pure.compiled()).then(|| guests(checkout, filter));
    if let Live::Obstacle(obstacle) = live {
        eprintln!("\n{}: the live tests were LEFT OUT: {obstacle}", progress::bad("test"));
        eprintln!("      pass --no-live to accept that: `cargo xtask test --no-live`\n");
    }

    let good = format.is_ok() && pure.ok && live.is_good(live_tally) && live.is_good(guests);
    println!(
        "test: {}. format: {}; pure: {}; live: {}; guests: {}; {:.1} s",
        if good { progress::good("ok") } else { progress::bad("FAILED") },
        if format.is_ok() { "ok" } else { "failed" },
        pure.describe(),
        live_tally.map_or_else(|| live.absence().to_owned(), Tally::describe),
        guests.map_or_else(|| live.absence().to_owned(), Tally::describe),
        start.elapsed().as_secs_f64()
    );
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Some of the live tests on other kernels. What keeps them from running is a failure, and is said.
fn guests(checkout: &Checkout, filter: &[String]) -> Tally {
    guest::chosen::run(checkout, filter).unwrap_or_else(|error| {
        eprintln!("test: guests: {}: {error:#}", progress::bad("failed"));
        Tally::default()
    })
}

/// Whether the live tests run, here and in guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Live {
    /// They do.
    Run,
    /// They were asked to be left out.
    Unwanted,
    /// They cannot, for this reason.
    Obstacle(&'static str),
}

impl Live {
    fn decide(no_live: bool) -> Self {
        if no_live {
            Self::Unwanted
        } else if setup::effective_user() != Some(0) {
            Self::Obstacle("they need root (`sudo -E cargo xtask test`)")
        } else if !Path::new("/sys/kernel/btf/vmlinux").exists() {
            Self::Obstacle("this kernel has no BTF (/sys/kernel/btf/vmlinux)")
        } else {
            Self::Run
        }
    }

    /// Only what was asked for may be absent from a good run.
    fn is_good(self, tally: Option<Tally>) -> bool {
        match self {
            Self::Run => tally.is_some_and(|tally| tally.ok),
            Self::Unwanted => true,
            Self::Obstacle(_) => false,
        }
    }

    fn absence(self) -> &'static str {
        match self {
            Self::Run => "not run, the pure tests did not build",
            Self::Unwanted => "left out, as asked",
            Self::Obstacle(_) => "LEFT OUT",
        }
    }
}

fn pure_tests(mut cargo: Command) -> Command {
    cargo.args(["test", "--workspace", "--exclude", "monitor-ebpf", "--no-fail-fast"]);
    cargo
}

/// The live tests, to be run by cargo.
pub(crate) fn live_tests(mut cargo: Command) -> Command {
    cargo.args(["test", "--package", "driftwatch-tests", "--features", "live", "--test", "live"]);
    cargo
}

/// Runs `cargo test`, passes on what it prints, and counts from its closing lines.
fn tally(mut cargo: Command, filter: &[String]) -> Result<Tally> {
    cargo.arg("--").args(filter).stdout(Stdio::piped());
    let mut child =
        cargo.spawn().with_context(|| format!("cannot run `{}`", command::words(&cargo)))?;
    let stdout = child.stdout.take().expect("it was asked to be piped");
    let mut tally = Tally::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("cannot read what the tests print")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.add(&line);
    }
    tally.ok = child.wait().context("cannot wait for the tests")?.success();
    Ok(tally)
}

impl Tally {
    /// Adds a closing line, `test result: ok. 3 passed; 0 failed; 1 ignored; …`, or what a test says that could not
    /// run, `not run: this host has no stress-ng`.
    pub(crate) fn add(&mut self, line: &str) {
        self.not_run += u32::from(line.starts_with("not run: "));
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|l| l.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else { continue };
            let number: u32 = number.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    /// Nothing has run, and nothing was to run.
    pub(crate) fn good() -> Self {
        Self { ok: true, ..Self::default() }
    }

    /// Adds another run.
    pub(crate) fn join(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.not_run += other.not_run;
        self.ok &= other.ok;
    }

    /// How many ran.
    pub(crate) fn tests(self) -> u32 {
        self.passed + self.failed
    }

    /// Whether tests ran at all, be it with failures.
    fn compiled(self) -> bool {
        self.ok || self.passed + self.failed > 0
    }

    /// The counts, for the last line.
    pub(crate) fn describe(self) -> String {
        if !self.compiled() {
            return "did not run".to_owned();
        }
        let mut line = format!("{} passed, {} failed", self.passed, self.failed);
        if self.ignored > 0 {
            line.push_str(&format!(", {} ignored", self.ignored));
        }
        if self.not_run > 0 {
            line.push_str(&format!(", {} of them not run", self.not_run));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.add(line));
        tally
    }

    #[test]
    fn closing_lines_are_summed() {
        let tally = counted(&[
            "test rules::parse ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished \
             in 0.01s",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            "not run: this host has no stress-ng",
        ]);
        assert_eq!(tally, Tally { passed: 7, failed: 2, ignored: 1, not_run: 1, ok: false });
        assert_eq!(tally.describe(), "7 passed, 2 failed, 1 ignored, 1 of them not run");
        assert_eq!(tally.tests(), 9);
        let mut both = Tally { passed: 1, ..Tally::good() };
        both.join(tally);
        assert_eq!(both, Tally { passed: 8, ..tally });
    }

    #[test]
    fn live_tests_that_cannot_run_are_a_failure_unless_unwanted() {
        let passed = Tally { passed: 1, ok: true, ..Tally::default() };
        assert!(Live::Run.is_good(Some(passed)));
        assert!(!Live::Run.is_good(Some(Tally { ok: false, ..passed })));
        assert!(!Live::Run.is_good(None));
        assert!(!Live::Obstacle("no root").is_good(None));
        assert!(Live::Unwanted.is_good(None));
        assert_eq!(Live::decide(true), Live::Unwanted);
    }

    #[test]
    fn no_closing_line_and_no_success_is_a_failed_build() {
        assert_eq!(counted(&["error: could not compile"]).describe(), "did not run");
        assert!(Tally { ok: true, ..Tally::default() }.compiled());
    }
}
