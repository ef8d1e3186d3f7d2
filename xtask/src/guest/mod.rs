//! `guest`: the live tests, or any command, on another kernel than this machine's, in an emulated machine.
//!
//! ```text
//! kernel (download, unpack) ─┐
//! image (programs, modules) ─┴─► boot (QEMU, one errand) ──► what it printed, how it ended
//! ```
//! Nothing is installed but QEMU and busybox, by the set-up. Whoever wants something else run than the live tests
//! asks for a [`kernel`] and calls [`visit`].

mod archive;
mod boot;
pub(crate) mod chosen;
mod compiler;
mod image;
mod kernel;
mod live;
mod module;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::checkout::Checkout;
use crate::progress;
use crate::setup::{self, Scope};

pub(crate) use boot::{Ended, Errand, Machine};
use image::Image;
pub(crate) use image::Luggage;
pub(crate) use kernel::Kernel;

/// What is asked of `guest`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The kernel: the newest release that begins like this, of those that Debian has for virtual machines.
    #[arg(long, default_value = "6.12", value_name = "VERSION")]
    kernel: String,
    /// The kernel's security modules, as its boot parameter `lsm=` has them, instead of the kernel's own choice.
    #[arg(long, value_name = "WORDS")]
    lsm: Option<String>,
    /// Another word for the kernel's command line; may be given more than once.
    #[arg(long, value_name = "WORD")]
    word: Vec<String>,
    /// One instruction takes one nanosecond, on one processor: what is counted comes out the same each time.
    #[arg(long)]
    counted: bool,
    /// Ends the guest after so many minutes.
    #[arg(long, default_value_t = 240)]
    minutes: u64,
    /// Run only the tests whose name contains one of these.
    filter: Vec<String>,
    /// Run this command instead of the tests; `driftwatch` and `actor` are on its path.
    #[arg(last = true)]
    command: Vec<String>,
}

/// Builds what is needed, boots, runs the live tests or the command, and passes the verdict on.
pub(crate) fn run(checkout: &Checkout, options: &Options) -> Result<ExitCode> {
    let start = Instant::now();
    let toolchain = setup::ensure(checkout, Scope::Guest)?;
    let kernel = kernel(checkout, &options.kernel)?;
    let times = live::times(live::TIMES);
    let luggage = live::build(checkout, toolchain, &times)?;
    let mut machine = if options.counted { Machine::counted() } else { Machine::default() };
    machine.words.extend(options.lsm.iter().map(|words| format!("lsm={words}")));
    machine.words.extend(options.word.iter().cloned());
    let errand = match &*options.command {
        [] => live::tests(checkout, &options.filter),
        command => live::command(command),
    };
    if options.command.is_empty() {
        eprintln!("guest: each claim is tried {times} times (DRIFTWATCH_TIMES)");
    }
    let limit = Duration::from_secs(options.minutes * 60);
    let print = |line: &str| println!("{line}");
    let ended = visit(checkout, &kernel, &machine, &luggage, &errand, limit, print)?;
    if !options.command.is_empty() {
        return Ok(ExitCode::from(ended.code));
    }
    let tally = ended.tally();
    println!(
        "guest: {}. live on {}, {times} times each: {}; {:.1} s",
        if tally.ok { progress::good("ok") } else { progress::bad("FAILED") },
        kernel.release,
        tally.describe(),
        start.elapsed().as_secs_f64()
    );
    Ok(if tally.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds what a guest runs, boots a kernel, lets it run a command, and returns what that printed and how it ended.
pub(crate) fn errand(
    checkout: &Checkout,
    version: &str,
    lsm: Option<&str>,
    command: &[String],
    tell: impl FnMut(&str),
) -> Result<Ended> {
    let toolchain = setup::ensure(checkout, Scope::Guest)?;
    let kernel = kernel(checkout, version)?;
    let luggage = live::build(checkout, toolchain, &live::times(live::TIMES))?;
    let mut machine = Machine::default();
    machine.words.extend(lsm.map(|words| format!("lsm={words}")));
    visit(checkout, &kernel, &machine, &luggage, &live::command(command), LIMIT, tell)
}

/// Lets a program of this repository, as it is handed out, run a command on a machine that counts instructions, beside
/// other programs and files of the checkout; returns what it printed and how it ended.
pub(crate) fn counted(
    checkout: &Checkout,
    version: &str,
    programs: &[&str],
    files: &[&str],
    command: &[&str],
) -> Result<Ended> {
    let toolchain = setup::ensure(checkout, Scope::Guest)?;
    let kernel = kernel(checkout, version)?;
    let mut luggage = live::programs(checkout, toolchain, live::RELEASE, programs)?;
    luggage.trees.extend(files.iter().map(|name| checkout.root().join(name)));
    // Where a program finds those files by the place that it was built in.
    luggage.directories.push(checkout.root().join("tests"));
    let mut machine = Machine::counted();
    machine.words.extend(COUNTED_WORDS.map(ToOwned::to_owned));
    let command: Vec<_> = command.iter().map(|word| (*word).to_owned()).collect();
    visit(checkout, &kernel, &machine, &luggage, &live::command(&command), LIMIT, |_| {})
}

/// Of what the kernel does against faults of real processors an emulated one has nothing, and places in memory that
/// change with each start make counts differ.
const COUNTED_WORDS: [&str; 3] = ["mitigations=off", "nokaslr", "norandmaps"];

/// Time for one errand: an emulated machine takes some twenty times as long as this one.
const LIMIT: Duration = Duration::from_secs(90 * 60);

/// The newest kernel whose release begins with `version`, fetched if need be.
pub(crate) fn kernel(checkout: &Checkout, version: &str) -> Result<Kernel> {
    kernel::get(&checkout.guest("kernels"), version)
}

/// Boots the kernel on the machine with the luggage, runs the errand, and takes it all down. Each line that the errand
/// prints is given to `tell` as it comes. Needs [`Scope::Guest`]. An error where the guest does not come up, does not
/// end within `limit`, or its kernel reports a fault in itself; what the errand itself says of its success is in
/// [`Ended`].
pub(crate) fn visit(
    checkout: &Checkout,
    kernel: &Kernel,
    machine: &Machine,
    luggage: &Luggage,
    errand: &Errand,
    limit: Duration,
    tell: impl FnMut(&str),
) -> Result<Ended> {
    let ground = ground(checkout)?;
    let image = Image::new(kernel, luggage)?;
    eprintln!("guest: {} boots; not in it: {}", kernel.release, image.absent());
    boot::run(kernel, machine, &image, errand, &ground, limit, tell)
}

/// A directory of this run's own. Those of runs that have ended go away; until then their logs can be read.
fn ground(checkout: &Checkout) -> Result<PathBuf> {
    let runs = checkout.guest("runs");
    let ground = runs.join(std::process::id().to_string());
    fs::create_dir_all(&runs).with_context(|| format!("cannot make {}", runs.display()))?;
    for entry in fs::read_dir(&runs)?.flatten() {
        let running = Path::new("/proc").join(entry.file_name());
        if !running.exists() || entry.path() == ground {
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    fs::create_dir(&ground).with_context(|| format!("cannot make {}", ground.display()))?;
    Ok(ground)
}
