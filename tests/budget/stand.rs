//! A stand: a place to measure in, with a daemon or without, and what an actor counts there.

use std::{
    ffi::OsStr,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, ensure};
use driftwatch_tests::{
    Act, Ended, Ground, Outcome, Scenario,
    child::{Running, wait_until},
    daemon::Daemon,
    programs,
};
use rustix::process::Signal;

/// Where an agent may connect to, and where somebody is told of it.
pub(crate) const OPEN_PEER: &str = "127.0.0.1:7000";
pub(crate) const TOLD_PEER: &str = "127.0.0.1:7001";

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// A process of no agent.
    None,
    /// An agent.
    Agent,
}

/// What is counted: an operation, in bursts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    /// As the actor calls it.
    pub(crate) operation: &'static str,
    /// Operations of a burst.
    pub(crate) each: u32,
    /// The first one only warms up, where there are several.
    pub(crate) bursts: u32,
    /// With the work of everybody who is told of it, who gets done in so many milliseconds; without one, what the
    /// process sees.
    pub(crate) rest: Option<u64>,
    /// The objects that somebody is told of, or others.
    pub(crate) told: bool,
}

/// A place to measure in.
pub(crate) enum Stand {
    /// No daemon runs.
    Bare(Ground),
    /// A daemon runs, and this is the name of the agent.
    Watched(Scenario, &'static str),
}

impl Stand {
    pub(crate) fn bare() -> anyhow::Result<Self> {
        Ok(Self::Bare(ground()?))
    }

    /// A daemon with this rule file and an agent of this name.
    pub(crate) fn with_rules(
        text: impl FnOnce(&Ground) -> String,
        agent: &'static str,
    ) -> anyhow::Result<Self> {
        let ground = ground()?;
        let text = text(&ground);
        Ok(Self::Watched(Scenario::start_file(ground, &text)?, agent))
    }

    /// The same with the rule files of a directory.
    pub(crate) fn with_rules_in(directory: &Path, agent: &'static str) -> anyhow::Result<Self> {
        let ground = ground()?;
        let [alerts, socket] = ["alerts.jsonl", "control.sock"].map(|name| ground.path(name));
        let daemon = Daemon::start(directory, &alerts, &socket)?;
        Ok(Self::Watched(Scenario { daemon, ground }, agent))
    }

    pub(crate) fn ground(&self) -> &Ground {
        match self {
            Self::Bare(ground) => ground,
            Self::Watched(scenario, _) => &scenario.ground,
        }
    }

    /// Where the daemon is, if there is one.
    pub(crate) fn scenario(&self) -> anyhow::Result<&Scenario> {
        match self {
            Self::Bare(_) => anyhow::bail!("no daemon here"),
            Self::Watched(scenario, _) => Ok(scenario),
        }
    }

    /// What one operation takes: the median of the bursts.
    pub(crate) fn count(&self, who: Who, counted: Counted) -> anyhow::Result<f64> {
        // Not by those who look again and again whether it has ended: they would be counted.
        let output = self.command(who, &self.act(counted))?.output()?;
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        result(&Ended { status: output.status, stdout, stderr }, counted)
    }

    /// The same while the daemon is stopped: what the hooks do, and nobody else.
    pub(crate) fn count_unheard(&self, counted: Counted) -> anyhow::Result<f64> {
        const SOON: Duration = Duration::from_secs(10);
        let scenario = self.scenario()?;
        let go = self.ground().path("go");
        let mut command = self.command(Who::Agent, &self.act(counted).after(&go))?;
        let agent = Running::start(&mut command)?;
        let exe = PathBuf::from(format!("/proc/{}/exe", agent.pid()));
        let is_actor =
            || Ok(fs::read_link(&exe).is_ok_and(|exe| exe.ends_with("actor")).then_some(()));
        wait_until(SOON, is_actor)?.context("the agent has not begun")?;
        scenario.daemon.signal(Signal::STOP)?;
        fs::write(&go, "")?;
        let ended = agent.wait();
        scenario.daemon.signal(Signal::CONT)?;
        fs::remove_file(&go)?;
        result(&ended?, counted)
    }

    fn command(&self, who: Who, act: &Act) -> anyhow::Result<Command> {
        let words = self.ground().path("act");
        let lines: Vec<_> = act.arguments().map(OsStr::to_string_lossy).collect();
        fs::write(&words, lines.join("\n"))?;
        // Of an agent's command line every word is told, and costs.
        let mut command = Command::new(programs::actor()?);
        command.arg(format!("@{}", words.display()));
        match (self, who) {
            (Self::Watched(scenario, agent), Who::Agent) => scenario.command_as(agent, &command),
            _ => Ok(command),
        }
    }

    fn act(&self, counted: Counted) -> Act {
        let Counted { operation, each, bursts, rest, told } = counted;
        let [path, program] = objects(self.ground(), told);
        let act = Act::count(operation, each, bursts)
            .option("--path", path)
            .option("--program", program)
            .option("--peer", if told { TOLD_PEER } else { OPEN_PEER });
        match rest {
            Some(rest) => act.option("--rest", rest.to_string()),
            None => act,
        }
    }
}

/// The file and the program that somebody is told of, or others.
pub(crate) fn objects(ground: &Ground, told: bool) -> [PathBuf; 2] {
    let names = if told { ["told.txt", "told"] } else { ["notes.txt", "tool"] };
    names.map(|name| ground.path(name))
}

fn ground() -> anyhow::Result<Ground> {
    let ground = Ground::new()?;
    for told in [false, true] {
        let [file, program] = objects(&ground, told);
        fs::write(file, "nothing of interest\n")?;
        fs::write(&program, tiny_program())?;
        fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    }
    Ok(ground)
}

fn result(ended: &Ended, counted: Counted) -> anyhow::Result<f64> {
    ensure!(ended.outcome() == Outcome::Done, "{counted:?}: {ended:?}");
    let bursts: Result<Vec<u64>, _> = ended.stdout.split_whitespace().map(str::parse).collect();
    let bursts = bursts.with_context(|| format!("not numbers: {}", ended.stdout))?;
    ensure!(bursts.len() == counted.bursts as usize, "{} bursts of {counted:?}", bursts.len());
    median(&bursts).map(|burst| burst / f64::from(counted.each)).context("no burst")
}

/// The one in the middle, of all but the first where there are several.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a moment")]
fn median(bursts: &[u64]) -> Option<f64> {
    let mut bursts = bursts.get(usize::from(bursts.len() > 1)..)?.to_vec();
    bursts.sort_unstable();
    bursts.get(bursts.len() / 2).map(|burst| *burst as f64)
}

/// A program that ends with 0 and has no libraries: an ELF header, one segment, and `exit(0)` (elf(5)).
fn tiny_program() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    // xor edi, edi; mov eax, exit; syscall
    let code = [0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
    let length = HEADERS + code.len() as u64;
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [2_u16, 62] {
        bytes.extend(half.to_le_bytes()); // an executable, of x86_64
    }
    bytes.extend(1_u32.to_le_bytes());
    for word in [BASE + HEADERS, 64, 0] {
        bytes.extend(word.to_le_bytes()); // entry, program headers, no sections
    }
    bytes.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    for word in [1_u32, 5] {
        bytes.extend(word.to_le_bytes()); // loaded, readable and executable
    }
    for word in [0, BASE, BASE, length, length, 0x1000] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(code);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_burst_only_warms_up() {
        assert_eq!(median(&[900, 10, 30, 20]), Some(20.0));
        assert_eq!(median(&[7]), Some(7.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn the_tiny_program_runs_and_ends() {
        // Pure tests run before the programs are built that a `Ground` has in it.
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("tiny");
        fs::write(&program, tiny_program()).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        assert!(Command::new(&program).status().unwrap().success());
    }
}
