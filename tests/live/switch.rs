//! Switch: a thousand plans come into force while agents act, and no act is judged by parts of two.

use std::{
    fs::OpenOptions,
    net::UdpSocket,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use anyhow::{Context, bail, ensure};
use driftwatch_tests::{
    Ground,
    half::{self, Half},
    scenario::rule_file,
};
use monitor::{
    event::{Event, What},
    rules::plan::KernelPlan,
};
use monitor_common::{Act, Verdict};
use rustix::time::{ClockId, clock_gettime};

use crate::claims::{alone, same};

const SWITCHES: u32 = 1000;
/// One that opens and one that connects for each of two CPUs.
const ACTORS: usize = 4;

/// Each plan hits one of the two acts of an open to read and write, and every connect: by rules of
/// different numbers and classes, found in different tables. A mixture of the two would hit both, none, or
/// a wrong one.
const ODD: &str = "
  - { id: a, title: t, agents: [test-agent], action: alert, severity: critical, write: { never: ['/srv/a*', '**/b?c/*', /srv/x] } }
  - { id: b, title: t, agents: [test-agent], action: alert, severity: high, read: { never: ['G/home/n*s.txt'] } }
  - { id: c, title: t, agents: [test-agent], action: alert, severity: medium, connect: { never: [10.0.0.0/8, 'fd00::/8'] } }
  - { id: d, title: t, agents: [test-agent], action: alert, severity: low, connect: { never: [127.0.0.0/8] } }
  - { id: e, title: t, agents: [test-agent], action: alert, severity: info, read: { never: ['**/c/d*'] } }
";
const EVEN: &str = "
  - { id: a, title: t, agents: [test-agent], action: alert, severity: critical, connect: { never: ['127.0.0.1:*/udp'] } }
  - { id: b, title: t, agents: [test-agent], action: alert, severity: high, read: { never: ['/srv/a*/c', '**/n?tes'] } }
  - { id: c, title: t, agents: [test-agent], action: alert, severity: medium, write: { never: ['**/ho?e/*.txt'] } }
";

/// What the records of an act must be, by whether the serial of the plan is odd.
const OPENED: [(Act, u32); 2] = [(Act::Write, 2), (Act::Read, 1)];
const CONNECTED: [u32; 2] = [0, 3];

/// What came of it.
#[derive(Default)]
struct Came {
    opens: u64,
    connects: u64,
    /// By parity of the plan.
    by_plan: [u64; 2],
    /// When each plan had given way to the next, in nanoseconds since boot, by serial.
    over: Vec<u64>,
}

fn now() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let part = |part: i64| u64::try_from(part).expect("after boot");
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

impl Came {
    fn check(&mut self, event: &Event, path: &Path, port: u16) -> anyhow::Result<()> {
        use std::os::unix::ffi::OsStrExt as _;
        let odd = event.plan as usize % 2;
        let (right, decision) = match &event.what {
            What::File(file) => {
                if file.path.as_deref() != Some(path.as_os_str().as_bytes()) {
                    bail!("a file that no rule names: {event:?}");
                }
                self.opens += 1;
                let (act, rule) = OPENED[odd];
                (file.act == act && file.decision.rule == Some(rule), file.decision)
            }
            What::Net(net) => {
                self.connects += u64::from(net.port == port);
                (net.decision.rule == Some(CONNECTED[odd]), net.decision)
            }
            _ => return Ok(()),
        };
        ensure!(right && decision.done == Verdict::Alert, "of two plans: {event:?}");
        self.by_plan[odd] += 1;
        ensure!((1..=SWITCHES).contains(&event.plan), "no such plan: {event:?}");
        if let Some(&over) = self.over.get(event.plan as usize) {
            let late = event.time.saturating_sub(over);
            ensure!(late == 0, "{late} ns after the plan had given way: {event:?}");
        }
        Ok(())
    }
}

/// Opens or connects until it is told to stop; counts what was done.
fn act(number: usize, file: &Path, port: u16, stop: &AtomicBool, done: &[AtomicU64; 2]) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port of its own");
    let kind = number % 2;
    while !stop.load(Ordering::Relaxed) {
        match kind {
            0 => drop(OpenOptions::new().read(true).append(true).open(file).expect("a file")),
            _ => socket.connect(("127.0.0.1", port)).expect("only an alert"),
        }
        done[kind].fetch_add(1, Ordering::Relaxed);
        (0..200).for_each(|_| std::hint::spin_loop());
    }
}

fn plans(half: &mut Half, ground: &Ground) -> anyhow::Result<[KernelPlan; 2]> {
    let directory = ground.directory().display().to_string();
    let mut plan = |text: &str| {
        let rules = half::rules(&rule_file(&text.replace("'G/", &format!("'{directory}/"))))?;
        half.compile(&rules, false)
    };
    Ok([plan(EVEN)?, plan(ODD)?])
}

fn switch(
    half: &mut Half,
    plans: &mut [KernelPlan; 2],
    came: &mut Came,
    file: &Path,
    port: u16,
) -> anyhow::Result<()> {
    came.over = vec![0]; // of no plan at all
    for serial in 1..=SWITCHES {
        let plan = &mut plans[serial as usize % 2];
        plan.header.serial = serial;
        half.install(plan)?;
        if serial > 1 {
            came.over.push(now());
        }
        // Not until the ring is empty, which may never be.
        half.some_events(8, |event| came.check(&event, file, port))?;
    }
    Ok(())
}

#[test]
fn no_act_is_judged_by_parts_of_two_plans_in_1000_switches() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let file: PathBuf = ground.notes();
    let far = UdpSocket::bind("127.0.0.1:0")?;
    let port = far.local_addr()?.port();
    let mut half = Half::load()?;
    let mut plans = plans(&mut half, &ground)?;
    let (stop, done) = (AtomicBool::new(false), [const { AtomicU64::new(0) }; 2]);
    let mut came = Came::default();

    plans[1].header.serial = 1;
    half.install(&plans[1])?;
    half.attach()?;
    thread::scope(|scope| -> anyhow::Result<()> {
        let mut actors = Vec::new();
        for number in 0..ACTORS {
            let (file, stop, done) = (&file, &stop, &done);
            actors.push(half.actor(scope, &[1], move || act(number, file, port, stop, done))?);
        }
        actors.iter().try_for_each(|actor| actor.go.send(()))?;
        let switched = switch(&mut half, &mut plans, &mut came, &file, port);
        stop.store(true, Ordering::Relaxed);
        switched
    })?;
    half.some_events(usize::MAX, |event| came.check(&event, &file, port))?;

    let lost = half.counter("activity_lost")?;
    let [opened, connected] = done.map(|count| count.load(Ordering::Relaxed));
    let Came { opens, connects, by_plan, .. } = came;
    eprintln!(
        "{opened} opens, {connected} connects, {by_plan:?} by even and odd plans, {lost} lost"
    );
    same("records", opens + connects + lost, opened + connected)?;
    ensure!(lost < (opened + connected) / 100, "{lost} records were lost");
    let fewest = by_plan.into_iter().min().context("two plans")?;
    ensure!(fewest > u64::from(SWITCHES) * 10, "hardly anything was done: {by_plan:?}");
    Ok(())
}
