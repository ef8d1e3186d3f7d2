//! The run: every row is measured, first without a daemon, then with one daemon after the other.

use std::{collections::BTreeMap, fs, io::Read as _, path::Path, time::Duration};

use anyhow::{Context, ensure};
use driftwatch_tests::{
    AGENT, Ground, Scenario, alert::acts_in, items, scenario::rule_file, used::Used,
};

use crate::{
    flood,
    measured::{Measured, Number},
    stand::{Counted, Stand, TOLD_PEER, Who, objects},
    verified,
};

/// The agent of [`items::rules`].
const LISTED: &str = "a";
/// An agent of `rules/starter`.
const CODING: &str = "claude";
/// In this time, in milliseconds, whoever is told of a burst gets done. Who rests is not counted.
const REST: u64 = 500;
/// What is counted by the process itself: its name, the actor's word for it, how many in a burst, how many bursts.
const OWN: [(&str, &str, u32, u32); 6] = [
    ("getppid", "getppid", 1_000, 11),
    ("stat", "stat", 300, 11),
    ("read", "read", 300, 11),
    ("open", "open", 100, 21),
    ("exec", "spawn", 1, 201),
    ("connect", "tcp", 1, 201),
];
/// What is counted by all who are told.
const TOLD: [(&str, &str, u32, u32); 3] =
    [("open", "open", 200, 11), ("exec", "spawn", 50, 11), ("connect", "tcp", 100, 11)];

/// Measures every row.
pub(crate) fn run() -> anyhow::Result<Measured> {
    wait_for_randomness()?;
    let mut run = Run::default();
    progress("without a daemon");
    run.bare()?;
    progress("10 list items");
    let (rung, verified) = run.few()?;
    progress("10,000 list items");
    run.many()?;
    progress("rules/starter");
    run.starter()?;
    progress("alerts and flood");
    run.told()?;
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    Ok(Measured { kernel, rung, numbers: run.numbers, verified })
}

/// Until the kernel has gathered enough of it, every connection and every program start pays for random numbers that are
/// cheap ever after.
fn wait_for_randomness() -> anyhow::Result<()> {
    let mut byte = [0];
    fs::File::open("/dev/random")?.read_exact(&mut byte).context("random numbers")
}

fn progress(what: &str) {
    eprintln!("budget: {what}");
}

/// What was measured so far.
#[derive(Default)]
struct Run {
    /// Without a daemon: by operation, and whether it was counted by all.
    without: BTreeMap<(&'static str, bool), f64>,
    numbers: BTreeMap<String, Number>,
}

impl Run {
    fn bare(&mut self) -> anyhow::Result<()> {
        let stand = Stand::bare()?;
        for (name, ..) in OWN {
            self.without.insert((name, false), stand.count(Who::None, own(name, false)?)?);
        }
        for (name, ..) in TOLD {
            self.without.insert((name, true), stand.count(Who::None, by_all(name, false)?)?);
        }
        Ok(())
    }

    /// Puts down what an operation takes more than without a daemon.
    fn put(&mut self, id: &str, name: &'static str, by_all: bool, with: f64) -> anyhow::Result<()> {
        let without = *self.without.get(&(name, by_all)).context("measured without a daemon")?;
        self.whole(id, Some(without), with - without);
        Ok(())
    }

    fn whole(&mut self, id: &str, without: Option<f64>, added: f64) {
        progress(&format!("{id} {added:.0}"));
        self.numbers.insert(id.to_owned(), Number { without, added });
    }

    fn own(&mut self, id: &str, name: &'static str, who: Who, stand: &Stand) -> anyhow::Result<()> {
        self.put(id, name, false, stand.count(who, own(name, false)?)?)
    }

    /// A daemon with few list items, which also knows an agent by its path.
    fn few(&mut self) -> anyhow::Result<(String, BTreeMap<String, u64>)> {
        let sign = "{ launched-as: a }, { exe: /opt/somewhere/agent }";
        let text = items::rules(10).replace("{ launched-as: a }", sign);
        ensure!(text.contains(sign), "the agent of the rules has another sign");
        let used = Used::open()?;
        let moment = Duration::from_millis(REST);
        let before = used.after_a_rest(moment)?;
        let stand = Stand::with_rules(|_| text, LISTED)?;
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of some seconds")]
        self.whole("start", None, (used.after_a_rest(moment)? - before) as f64);
        let daemon = &stand.scenario()?.daemon;
        self.whole("memory.idle", None, kib(daemon.resident_kib()?));
        for (name, ..) in OWN {
            self.own(&format!("{name}.none"), name, Who::None, &stand)?;
        }
        for name in ["getppid", "stat", "read"] {
            self.own(&format!("{name}.agent"), name, Who::Agent, &stand)?;
        }
        self.own("open.agent.10", "open", Who::Agent, &stand)?;
        self.own("connect.agent", "connect", Who::Agent, &stand)?;
        let (rung, verified) = verified::of(daemon)?;
        ensure!(rung.prevents(), "there are no budgets for this tier: {}", rung.name());
        Ok((rung.name().to_owned(), verified))
    }

    fn many(&mut self) -> anyhow::Result<()> {
        let stand = Stand::with_rules(|_| items::rules(10_000), LISTED)?;
        self.own("open.agent.10000", "open", Who::Agent, &stand)
    }

    fn starter(&mut self) -> anyhow::Result<()> {
        let starter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/starter");
        let stand = Stand::with_rules_in(&starter, CODING)?;
        self.own("exec.none.starter", "exec", Who::None, &stand)?;
        self.own("open.agent.starter", "open", Who::Agent, &stand)
    }

    /// A daemon whose rules tell of one object of each act.
    fn told(&mut self) -> anyhow::Result<()> {
        let stand = Stand::with_rules(telling, AGENT)?;
        self.own("exec.none.launched", "exec", Who::None, &stand)?;
        for (name, _, each, bursts) in TOLD {
            let scenario = stand.scenario()?;
            let before = threads(scenario)?;
            let with = stand.count(Who::Agent, by_all(name, true)?)?;
            let after = threads(scenario)?;
            self.put(&format!("{name}.alert"), name, true, with)?;
            let acts = each * bursts;
            delivered(scenario, name, u64::from(acts))?;
            if name == "open" {
                for (part, spent) in ["open.loop", "open.sink"].iter().zip(after.since(before)) {
                    self.whole(part, None, spent / f64::from(acts));
                }
            }
        }
        self.put("exec.agent", "exec", true, stand.count(Who::Agent, by_all("exec", false)?)?)?;
        for (name, told) in [("open", true), ("connect", true), ("exec", false)] {
            let with = stand.count_unheard(own(name, told)?)?;
            self.put(&format!("{name}.told"), name, false, with)?;
        }
        let flood = flood::run(&stand)?;
        self.whole("flood.delivered", None, flood.per_second);
        self.whole("flood.uncounted", None, flood.uncounted);
        self.whole("flood.lost", None, flood.lost);
        self.whole("memory.flood", None, kib(stand.scenario()?.daemon.resident_kib()?));
        Ok(())
    }
}

fn own(name: &str, told: bool) -> anyhow::Result<Counted> {
    of(&OWN, name, None, told)
}

fn by_all(name: &str, told: bool) -> anyhow::Result<Counted> {
    of(&TOLD, name, Some(REST), told)
}

fn of(
    list: &[(&'static str, &'static str, u32, u32)],
    name: &str,
    rest: Option<u64>,
    told: bool,
) -> anyhow::Result<Counted> {
    let found = list.iter().find(|operation| operation.0 == name);
    let &(_, operation, each, bursts) = found.with_context(|| format!("no operation {name}"))?;
    Ok(Counted { operation, each, bursts, rest, told })
}

#[expect(clippy::cast_precision_loss, reason = "kibibytes of a process")]
fn kib(number: u64) -> f64 {
    number as f64
}

/// A rule about one object that tells and refuses nothing.
fn rule(id: &str, act: &str, object: &str) -> String {
    format!(
        "  - id: {id}\n    title: Told\n    agents: [{AGENT}]\n    action: alert\n    {act}:\n      \
         never: [\"{object}\"]\n"
    )
}

fn telling(ground: &Ground) -> String {
    let [file, program] = objects(ground, true);
    let rules = [
        rule("open", "read", &file.display().to_string()),
        rule("exec", "exec", &program.display().to_string()),
        rule("connect", "connect", TOLD_PEER),
    ];
    rule_file(&rules.concat())
}

/// Every act of a rule must have been told of, once.
fn delivered(scenario: &Scenario, rule: &str, acts: u64) -> anyhow::Result<()> {
    let alerts = scenario.alerts()?;
    let own: Vec<_> = alerts.into_iter().filter(|alert| alert.rule() == rule).collect();
    let told = acts_in(&own);
    ensure!(
        told == acts,
        "{acts} acts of the rule {rule}, {told} told of: {}",
        scenario.daemon.status()?
    );
    Ok(())
}

/// Nanoseconds that the daemon's first thread was on a processor, and all others.
#[derive(Clone, Copy, Debug, Default)]
struct Threads {
    first: u64,
    others: u64,
}

impl Threads {
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a moment")]
    fn since(self, before: Self) -> [f64; 2] {
        [(self.first - before.first) as f64, (self.others - before.others) as f64]
    }
}

fn threads(scenario: &Scenario) -> anyhow::Result<Threads> {
    let pid = scenario.daemon.pid();
    let mut threads = Threads::default();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let entry = entry?;
        let text = fs::read_to_string(entry.path().join("schedstat"))?;
        let spent: u64 = text.split_whitespace().next().context("three numbers")?.parse()?;
        if entry.file_name() == *pid.to_string() {
            threads.first += spent;
        } else {
            threads.others += spent;
        }
    }
    Ok(threads)
}
