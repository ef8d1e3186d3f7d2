//! Flat: what a question costs the kernel half with few list items and with many, and what it takes to
//! compile them.
//!
//! All sizes are loaded at once, each with a kernel half of its own that is attached to nothing, and are
//! asked in turn. The time is the kernel's own (`BPF_ENABLE_STATS`). Memory is that of a process that does
//! nothing but compile.

use std::{
    collections::BTreeSet,
    fs, io,
    os::fd::{FromRawFd as _, OwnedFd, RawFd},
    process::Command,
    time::Instant,
};

use anyhow::{Context, ensure};
use driftwatch_tests::{
    half::{self, Half},
    items,
};
use monitor::kernel::judge::{Question, Subject};
use monitor_common::Act;

use crate::table::{median, range};

/// Items of all lists together.
const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// How often everything is loaded anew: where it comes to lie in memory makes a difference of some percent.
const LOADS: usize = 6;
/// How often each size is then measured.
const ROUNDS: usize = 7;
/// Questions of one measurement.
const BATCH: u32 = 2_000;

/// What is asked: objects in no list, some of which nearly are.
const PATHS: [&str; 4] = [
    "/home/ana/work/project/src/main.rs",
    "/usr/lib/x86_64-linux-gnu/libc.so.6",
    "/srv/a1/web/conf.e/site.y1",
    "/srv/p/deep/x1/name.y",
];
const PEERS: [&str; 3] = ["::ffff:192.0.2.7", "2001:db8::7", "::ffff:10.200.1.7"];
const HOSTS: [&str; 3] = ["packages.example.net", "api.h1.example.org", "a.b.c.d.e.w1.example.com"];

/// Compiles, and says how long that took and how much memory there was in use at most.
pub(crate) fn compile_only(items: usize) -> anyhow::Result<()> {
    let rules = half::rules(&items::rules(items))?;
    let before = memory("VmRSS")?;
    let started = Instant::now();
    let plan = half::compiled(&rules)?;
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    let [forward, backward, _] = plan.sizes.map(|size| size.states);
    println!("{milliseconds:.0} {before} {} {forward} {backward}", memory("VmHWM")?);
    Ok(())
}

/// In KiB.
fn memory(what: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.context("a running process has these lines")?.parse()?)
}

pub(crate) fn run() -> anyhow::Result<()> {
    println!("items   compile   memory before   at most   states forward   backward");
    for items in SIZES {
        let mut command = Command::new(std::env::current_exe()?);
        let said = command.args(["--compile-only", &items.to_string()]).output()?;
        ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let said = String::from_utf8(said.stdout)?;
        let mut words = said.split_whitespace();
        let mut word = || words.next().unwrap_or_default();
        let (time, before, most) = (word(), word(), word());
        println!(
            "{items:>6} {time:>6} ms {:>11} KiB {:>6} KiB {:>15} {:>10}",
            before,
            most,
            word(),
            word()
        );
    }
    println!();
    ask()
}

/// A kernel half with a plan of one size.
struct Size {
    half: Half,
    /// The descriptor of its program that answers.
    program: RawFd,
}

impl Size {
    fn new(items: usize) -> anyhow::Result<Self> {
        let before = programs()?;
        let mut half = Half::load()?;
        let program = programs()?.difference(&before).next().copied();
        let rules = half::rules(&items::rules(items))?;
        let plan = half.compile(&rules, false)?;
        half.install(&plan)?;
        Ok(Self { half, program: program.context("a program that answers")? })
    }

    /// Nanoseconds of one question.
    fn measure(&mut self, act: Act, subject: Subject<'_>) -> anyhow::Result<f64> {
        let bank = self.half.kernel.plans.active()?;
        let question = Question::new(bank, &[1], act, subject);
        let mut judge = self.half.kernel.judge()?;
        ensure!(judge.ask(&question)?.rule.is_none(), "{subject:?} is in a list");
        let before = spent(self.program)?;
        for _ in 0..BATCH {
            judge.ask(&question)?;
        }
        let after = spent(self.program)?;
        ensure!(after.1 - before.1 == u64::from(BATCH), "somebody else asks");
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a moment")]
        let spent = (after.0 - before.0) as f64;
        Ok(spent / f64::from(BATCH))
    }
}

/// What one round says of a question: nanoseconds by size.
type Round = Vec<f64>;

/// Everything that is asked, with the words for it.
fn questions() -> Vec<(&'static str, Act, Subject<'static>)> {
    let paths = PATHS.iter().map(|path| (*path, Act::Read, Subject::Path(path.as_bytes())));
    let peers = PEERS.iter().map(|text| {
        let address = text.parse().expect("an address");
        (*text, Act::Connect, Subject::Peer { address, port: 443, protocol: 6 })
    });
    let hosts = HOSTS.iter().map(|name| {
        let host = Subject::Host { name: name.as_bytes(), port: 443, protocol: 6 };
        (*name, Act::Connect, host)
    });
    paths.chain(peers).chain(hosts).collect()
}

/// All sizes in memory, those of many items first where `reversed`.
fn load(reversed: bool) -> anyhow::Result<Vec<Size>> {
    let mut order = SIZES;
    if reversed {
        order.reverse();
    }
    let mut sizes = order.into_iter().map(Size::new).collect::<anyhow::Result<Vec<_>>>()?;
    if reversed {
        sizes.reverse();
    }
    Ok(sizes)
}

fn ask() -> anyhow::Result<()> {
    let _statistics = enable_statistics()?;
    let questions = questions();
    let mut rounds: Vec<Vec<Round>> = vec![Vec::new(); questions.len()];
    for number in 0..LOADS {
        let mut sizes = load(number % 2 == 1)?;
        for _ in 0..ROUNDS {
            for ((_, act, subject), rounds) in questions.iter().zip(&mut rounds) {
                let round = sizes.iter_mut().map(|size| size.measure(*act, *subject));
                rounds.push(round.collect::<anyhow::Result<_>>()?);
            }
        }
    }
    print(&questions, &rounds);
    Ok(())
}

fn print(questions: &[(&str, Act, Subject<'_>)], rounds: &[Vec<Round>]) {
    let [few, _, many] = SIZES;
    println!(
        "nanoseconds in the kernel, medians of {} rounds of {BATCH} questions",
        LOADS * ROUNDS
    );
    print!("{:<38}", "question");
    SIZES.iter().for_each(|items| print!("{items:>8}"));
    println!("   {many} to {few} (min..max)");
    for ((text, ..), rounds) in questions.iter().zip(rounds) {
        print!("{text:<38}");
        for size in 0..SIZES.len() {
            print!("{:>8.0}", median(rounds.iter().map(|round| round[size]).collect()));
        }
        println!("   {}", range(rounds.iter().map(|round| round[2] / round[0]).collect()));
    }
}

/// Descriptors of this process that are programs of raw tracepoints.
fn programs() -> anyhow::Result<BTreeSet<RawFd>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc/self/fdinfo")? {
        let entry = entry?;
        // The descriptor of this very directory is gone by now.
        let Ok(info) = fs::read_to_string(entry.path()) else { continue };
        if info.lines().any(|line| line == "prog_type:\t17") {
            let name = entry.file_name().into_string().ok().context("a number")?;
            found.insert(name.parse()?);
        }
    }
    Ok(found)
}

/// Nanoseconds and runs of a program.
fn spent(program: RawFd) -> anyhow::Result<(u64, u64)> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{program}"))?;
    let field = |name: &str| -> anyhow::Result<u64> {
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        Ok(line.context("statistics of a program")?.trim().parse()?)
    };
    Ok((field("run_time_ns:")?, field("run_cnt:")?))
}

/// The kernel keeps statistics while the descriptor is open.
fn enable_statistics() -> anyhow::Result<OwnedFd> {
    /// `BPF_ENABLE_STATS`, include/uapi/linux/bpf.h; its one type, `BPF_STATS_RUN_TIME`, is 0.
    const ENABLE_STATS: libc::c_int = 32;
    let run_time = 0_u32;
    // SAFETY: the command reads four bytes.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, ENABLE_STATS, &raw const run_time, 4) };
    if fd < 0 {
        return Err(io::Error::last_os_error()).context("statistics of programs");
    }
    // SAFETY: the kernel has just opened it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(RawFd::try_from(fd)?) })
}
