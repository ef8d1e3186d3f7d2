//! Watch: with it every act of a session is recorded, without it only those that hit a rule.

use std::{fs, net::UdpSocket, path::Path};

use anyhow::ensure;
use driftwatch_tests::{
    Ground,
    half::{self, Half},
    scenario::rule_file,
};
use monitor::event::{Decision, Event, What};
use monitor_common::{Act, Verdict};

use crate::claims::{alone, same};

/// No rule holds for a read or a connect; one holds for a write and is not hit.
const RULES: &str = "
  - id: elsewhere
    title: Agent wrote elsewhere
    agents: [test-agent]
    write: { never: [/nowhere/at/all] }
    action: kill
";

const NOT_HIT: Decision =
    Decision { rule: None, done: Verdict::Allow, unknown: false, by_label: false };

fn acted(half: &Half, read: &Path, written: &Path) -> anyhow::Result<u16> {
    let peer = UdpSocket::bind("127.0.0.1:0")?;
    let port = peer.local_addr()?.port();
    let done = half.as_agents(&[1], || -> std::io::Result<()> {
        fs::read(read)?;
        fs::OpenOptions::new().read(true).append(true).open(written)?;
        UdpSocket::bind("127.0.0.1:0")?.connect(("127.0.0.1", port))
    })?;
    done?;
    Ok(port)
}

fn opens(events: &[Event], path: &Path) -> Vec<(Act, Decision)> {
    use std::os::unix::ffi::OsStrExt as _;
    let is_it = |event: &Event| match &event.what {
        What::File(file) if file.path.as_deref() == Some(path.as_os_str().as_bytes()) => {
            Some((file.act, file.decision))
        }
        _ => None,
    };
    events.iter().filter_map(is_it).collect()
}

#[test]
fn every_act_is_recorded_and_only_then() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let (read, written) = (ground.notes(), ground.secret());
    let rules = half::rules(&rule_file(RULES))?;
    let mut half = Half::load()?;
    let quiet = half.compile(&rules, false)?;
    let watching = half.compile(&rules, true)?;
    half.install(&quiet)?;
    half.attach()?;

    acted(&half, &read, &written)?;
    let events = half.acts()?;
    ensure!(opens(&events, &read).is_empty() && opens(&events, &written).is_empty(), "{events:?}");
    same("recorded", half.counter("activity_seen")?, 0)?;

    half.install(&watching)?;
    let port = acted(&half, &read, &written)?;
    let events = half.acts()?;
    ensure!(opens(&events, &read) == [(Act::Read, NOT_HIT)], "{events:?}");
    ensure!(
        opens(&events, &written) == [(Act::Read, NOT_HIT), (Act::Write, NOT_HIT)],
        "{events:?}"
    );
    let reached = |event: &Event| match &event.what {
        What::Net(net) => net.port == port && net.decision == NOT_HIT,
        _ => false,
    };
    same("connects", events.iter().filter(|event| reached(event)).count(), 1)?;
    same("lost", half.counter("activity_lost")?, 0)?;

    // Nobody else is watched.
    fs::read(&read)?;
    ensure!(half.acts()?.is_empty(), "an act of no session was recorded");

    half.install(&quiet)?;
    acted(&half, &read, &written)?;
    ensure!(half.acts()?.is_empty(), "still recorded");
    Ok(())
}
