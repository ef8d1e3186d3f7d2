//! Boot: a kernel and an image in QEMU, one errand run in it, and what came of that.
//!
//! ```text
//! ttyS0  what the kernel says ──► a file, looked through at the end
//! ttyS1  what the errand prints ──► line by line to whoever asked; its exit code in the last line
//! ttyS2  what it complains of ──► our standard error
//! ```
//! The processor is emulated. A boot that never reaches our first program is tried again, and so is an errand in which
//! the emulator was wrong ([`is_phantom`]); whatever else happens after it has spoken is a fault. QEMU ends with this
//! process, however that ends.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::image::Image;
use super::kernel::Kernel;
use crate::test::Tally;

/// An ordinary boot takes 4 to 8 s. On a machine that has much else to do it may take longer.
const BOOT: Duration = Duration::from_secs(180);
/// How often a boot is tried that does not reach our first program, or in which the emulator was wrong.
const TRIES: u32 = 3;
/// How long the last complaints may take to arrive after the exit code.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// The kernel says this where it has found a fault in itself.
const FAULTS: [&str; 8] = [
    "WARNING:",
    "BUG:",
    "Oops",
    BREAKPOINT,
    "Kernel panic",
    "general protection fault",
    "detected stall",
    "blocked for more than",
];

/// The kernel came to a breakpoint that nobody set.
const BREAKPOINT: &str = "int3:";

/// What the kernel is booted on.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Words on the kernel's command line, beside those for consoles.
    pub(crate) words: Vec<String>,
    /// How many processors.
    pub(crate) processors: u32,
    /// Mebibytes of memory.
    pub(crate) memory: u32,
    /// One instruction is one nanosecond, and nothing waits for the clock outside: counts repeat.
    pub(crate) counted: bool,
}

impl Machine {
    /// One processor that carries out one instruction in a nanosecond.
    pub(crate) fn counted() -> Self {
        Self { processors: 1, counted: true, ..Self::default() }
    }
}

impl Default for Machine {
    /// Two processors and 3 GiB.
    fn default() -> Self {
        Self { words: Vec::new(), processors: 2, memory: 3072, counted: false }
    }
}

/// What is run in the guest, as root.
#[derive(Debug, Default)]
pub(crate) struct Errand {
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// Variables, beside PATH and HOME.
    pub(crate) environment: Vec<(String, String)>,
    /// The working directory; `/` if none is named.
    pub(crate) directory: Option<PathBuf>,
}

/// How an errand ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// What it printed.
    pub(crate) stdout: String,
    /// Its exit code, or 128 and the signal.
    pub(crate) code: u8,
}

impl Ended {
    /// Where it was tests that ran.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.stdout.lines().for_each(|line| tally.add(line));
        tally.ok = self.code == 0;
        tally
    }
}

/// Boots the machine with the image, runs the errand, and ends the machine. Each line that the errand prints is
/// given to `tell` as it comes; its complaints go to standard error. `ground` is a directory of this run's own, where
/// the kernel's words are left in `kernel.log`. An error where the guest does not come up, does not end within
/// `limit`, or its kernel reports a fault in itself. Where the emulator was wrong, all of it is done again, and `tell`
/// hears it again.
pub(crate) fn run(
    kernel: &Kernel,
    machine: &Machine,
    image: &Image,
    errand: &Errand,
    ground: &Path,
    limit: Duration,
    mut tell: impl FnMut(&str),
) -> Result<Ended> {
    let mark = fs::read_to_string("/proc/sys/kernel/random/uuid").context("a random word")?;
    let mark = format!("guest-{}", mark.trim());
    let (archive, log) = (ground.join("initramfs.cpio"), ground.join("kernel.log"));
    image.write(&archive, &mark, &errand.script())?;
    let arguments = machine.arguments(kernel, &archive, &log);
    let mut tries = 1..=TRIES;
    let (result, said) = loop {
        tries.next();
        let result = once(&arguments, &mark, limit, &mut tell);
        let said = fs::read(&log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let why = match &result {
            Ok(None) => "it did not boot",
            _ if is_phantom(&said) => "the emulator ran an instruction that was no longer there",
            _ => break (result, said),
        };
        eprintln!("guest: {why}{}", if tries.is_empty() { "" } else { ": once more" });
        if tries.is_empty() {
            break (result, said);
        }
    };
    fs::remove_file(&archive).context("cannot remove the guest's image")?;
    let result = result
        .and_then(|ended| ended.with_context(|| format!("the guest did not boot in {TRIES} tries")))
        .map_err(|error| anyhow::anyhow!("{error:#}\n{}", last_words(&said, &log)));
    let faults: Vec<_> = faults(&said).collect();
    ensure!(
        faults.is_empty(),
        "the guest's kernel reports a fault in itself, all of it is in {}:\n{}{}",
        log.display(),
        faults.join("\n"),
        result.err().map(|error| format!("\n{error:#}")).unwrap_or_default()
    );
    result
}

/// One boot. Nothing where our first program was never reached.
fn once(
    arguments: &[String],
    mark: &str,
    limit: Duration,
    tell: &mut impl FnMut(&str),
) -> Result<Option<Ended>> {
    let mut qemu = Qemu::start(arguments)?;
    let lines = qemu.printed()?;
    let complaints = qemu.complaints(mark)?;
    let start = Instant::now();
    let (begin, exit) = (format!("{mark} begin"), format!("{mark} exit "));
    let mut begun = false;
    let mut stdout = String::new();
    loop {
        let patience = if begun { limit } else { BOOT };
        let line = match lines.recv_timeout(patience.saturating_sub(start.elapsed())) {
            Ok(line) => line,
            Err(_) if !begun => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                bail!("the guest was ended: not done within {} s", limit.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => {
                bail!("the guest ended before what it was to run")
            }
        };
        if line.trim_end() == begin {
            begun = true;
        } else if let Some((before, code)) = line.split_once(&exit) {
            keep(before, &mut stdout, tell);
            let code = code.trim().parse().context("the guest's exit code is no number")?;
            // All that was said before has come by then, or never comes.
            let _last = complaints.recv_timeout(LAST_WORDS);
            return Ok(Some(Ended { stdout, code }));
        } else if begun {
            keep(&line, &mut stdout, tell);
        }
    }
}

fn keep(line: &str, stdout: &mut String, tell: &mut impl FnMut(&str)) {
    if !line.is_empty() {
        stdout.push_str(line);
        tell(line.strip_suffix('\n').unwrap_or(line));
    }
}

/// A running QEMU, killed when this is dropped.
struct Qemu {
    child: Child,
}

impl Qemu {
    fn start(arguments: &[String]) -> Result<Self> {
        // The kernel ends it when we end, also where we are killed.
        let mut qemu = Command::new("setpriv");
        qemu.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"]);
        qemu.args(arguments);
        qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = qemu.spawn().context("cannot run `setpriv`, of util-linux, and QEMU")?;
        Ok(Self { child })
    }

    /// The lines of ttyS1, with their ends, as they come.
    fn printed(&mut self) -> Result<Receiver<String>> {
        let stdout = self.child.stdout.take().context("standard output was asked to be piped")?;
        Ok(lines_of(stdout))
    }

    /// Passes on ttyS2 and QEMU's own complaints; says so when the guest has no more.
    fn complaints(&mut self, mark: &str) -> Result<Receiver<()>> {
        let stderr = self.child.stderr.take().context("standard error was asked to be piped")?;
        let (lines, exit) = (lines_of(stderr), format!("{mark} exit "));
        let (done, end) = channel();
        thread::spawn(move || {
            for line in lines {
                let said = line.split_once(&exit).map_or(&*line, |(before, _)| before);
                eprint!("{said}");
                if said.len() < line.len() && done.send(()).is_err() {
                    return;
                }
            }
        });
        Ok(end)
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // An error means that it has ended by itself, which is as good.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn lines_of(from: impl Read + Send + 'static) -> Receiver<String> {
    let (to, lines) = channel();
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            if to.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    lines
}

impl Machine {
    /// QEMU's arguments. KVM is never used: not every machine has it, and on some it is there and hangs.
    fn arguments(&self, kernel: &Kernel, archive: &Path, log: &Path) -> Vec<String> {
        let acceleration = if self.counted { "tcg,thread=single" } else { "tcg,thread=multi" };
        let mut arguments: Vec<String> = ["-accel", acceleration, "-cpu", "qemu64"]
            .into_iter()
            .chain(["-display", "none", "-monitor", "none", "-no-reboot", "-nic", "none"])
            .map(ToOwned::to_owned)
            .collect();
        let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        add("-smp", self.processors.to_string());
        add("-m", self.memory.to_string());
        if self.counted {
            add("-icount", "shift=0,sleep=off".to_owned());
        }
        add("-kernel", kernel.image.display().to_string());
        add("-initrd", archive.display().to_string());
        add("-append", self.boot_words());
        // A comma in a name is written twice.
        add("-serial", format!("file:{}", log.display().to_string().replace(',', ",,")));
        // Opened through /proc, and not as QEMU's own console: that one would take what is typed.
        add("-serial", "file:/proc/self/fd/1".to_owned());
        add("-serial", "file:/proc/self/fd/2".to_owned());
        arguments
    }

    /// The kernel's command line. Warnings must be written, since a fault may be one; no more than that.
    fn boot_words(&self) -> String {
        let fixed = ["console=ttyS0", "loglevel=5", "panic=-1", "rdinit=/init"];
        let words = fixed.into_iter().chain(self.words.iter().map(String::as_str));
        words.collect::<Vec<_>>().join(" ")
    }
}

impl Errand {
    /// What the guest's shell is given.
    fn script(&self) -> String {
        let mut script = String::from("export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root\n");
        for (name, value) in &self.environment {
            writeln!(script, "export {name}={}", quoted(value)).expect("a string takes all");
        }
        if let Some(directory) = &self.directory {
            let place = quoted(&directory.display().to_string());
            writeln!(script, "cd {place} || exit 126").expect("a string takes all");
        }
        let words: Vec<_> = self.command.iter().map(|word| quoted(word)).collect();
        script + "exec " + &words.join(" ") + "\n"
    }
}

/// A word that a shell takes as it is.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Lines in which the kernel reports a fault in itself.
fn faults(log: &str) -> impl Iterator<Item = &str> {
    log.lines().map(str::trim_end).filter(|line| FAULTS.iter().any(|fault| says(line, fault)))
}

/// Whether the kernel's first fault is a breakpoint where its memory holds none. The kernel changes its own code behind
/// a breakpoint (`text_poke_bp_batch` in arch/x86/kernel/alternative.c), at every program that is attached; QEMU 7.2 and
/// 8.0, when they emulate several processors at once, may translate it once more while it is taken away, and run it later.
fn is_phantom(log: &str) -> bool {
    let code_before = || {
        let (_, after) = log.split_once(BREAKPOINT)?;
        let (_, code) = after.split_once("Code: ")?;
        // The instruction pointer is behind the breakpoint, and at the byte in `<>`.
        code.lines().next()?.split_once(" <")?.0.rsplit(' ').next()
    };
    faults(log).next().is_some_and(|fault| fault.contains(BREAKPOINT))
        && code_before().is_some_and(|byte| byte != "cc")
}

/// Whether the fault stands there as a word of its own: `DEBUG:` is none.
fn says(line: &str, fault: &str) -> bool {
    let alone = |before: &str| !before.ends_with(|c: char| c.is_ascii_alphanumeric());
    line.match_indices(fault).any(|(at, _)| alone(&line[..at]))
}

/// What the kernel said at the end.
fn last_words(log: &str, file: &Path) -> String {
    const MANY: usize = 12;
    let lines: Vec<_> = log.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(MANY)..];
    format!("The end of {}:\n{}", file.display(), last.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel() -> Kernel {
        let image = "/k/boot/vmlinuz-6.12".into();
        Kernel { release: "6.12".to_owned(), image, modules: "/k/lib/modules/6.12".into() }
    }

    #[test]
    fn a_machine_is_emulated_and_its_words_are_passed_on() {
        let kernel = kernel();
        let mut machine = Machine::default();
        machine.words.push("lsm=landlock,bpf".to_owned());
        let said = machine.arguments(&kernel, Path::new("/r/i"), Path::new("/r/a,b.log")).join(" ");
        assert!(said.starts_with("-accel tcg,thread=multi -cpu qemu64 "), "{said}");
        assert!(said.contains("-append console=ttyS0 loglevel=5 panic=-1 "), "{said}");
        assert!(said.contains(" lsm=landlock,bpf "), "{said}");
        assert!(said.contains("-serial file:/r/a,,b.log -serial file:/proc/self/fd/1 "), "{said}");
        assert!(!said.contains("icount") && !said.contains("kvm"), "{said}");
        let said =
            Machine::counted().arguments(&kernel, Path::new("/r/i"), Path::new("/r/l")).join(" ");
        assert!(said.contains("-smp 1 ") && said.contains("-icount shift=0,sleep=off "), "{said}");
    }

    #[test]
    fn words_of_an_errand_arrive_as_they_are() {
        let errand = Errand {
            command: ["/bin/echo", "it's $HOME", "*"].map(ToOwned::to_owned).to_vec(),
            environment: vec![("TIMES".to_owned(), "1 2".to_owned())],
            directory: Some("/".into()),
        };
        let mut shell = Command::new("sh");
        let output = shell.args(["-c", &(errand.script() + "echo not reached")]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "it's $HOME *\n");
        assert!(errand.script().contains("export TIMES='1 2'\ncd '/' || exit 126\n"));
    }

    #[test]
    fn a_breakpoint_is_the_emulators_where_memory_holds_none_and_nothing_went_wrong_before() {
        let log = |before: &str, byte: &str| {
            format!(
                "[    1.0] {before}\r\n[    2.0] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI\r\n\
                 [    2.1] RIP: 0010:bpf_lsm_file_mprotect+0x5/0x10\r\n\
                 [    2.2] Code: 90 f3 0f 1e fa {byte} <d7> 2e c2 1b 31 c0 c3 cc cc\r\n\
                 [    2.3] Code: 73 01 c3 cc <48> 3d\r\n[    2.4] Kernel panic - not syncing\r\n"
            )
        };
        assert!(is_phantom(&log("all is well", "e8")));
        assert!(!is_phantom(&log("all is well", "cc")));
        assert!(!is_phantom(&log("WARNING: CPU: 0", "e8")));
        assert!(!is_phantom("[    1.0] int3: 0000 [#1]"));
        assert!(!is_phantom("[    1.0] Kernel panic - not syncing\n Code: e8 <d7>"));
    }

    #[test]
    fn faults_of_the_kernel_are_found_and_nothing_else() {
        let log = "[    1.0] 9p: Installing v9fs\r\n[    2.0] WARNING: CPU: 0 PID: 1 at x.c:1\r\n\
                   [    3.0] rcu: INFO: rcu_preempt self-detected stall\r\n[    3.5] DEBUG: x\r\n\
                   [    4.0] all is well\r\n";
        let found: Vec<_> = faults(log).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].ends_with("at x.c:1"));
        assert!(last_words(log, Path::new("/l")).ends_with("all is well"));
    }
}
