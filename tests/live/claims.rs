//! The sentences that the tests are made of.

use std::{
    fmt::Display,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{bail, ensure};
use driftwatch_tests::{AGENT, Act, Alert, Scenario, Tally, Trace, twin};

/// Repetitions of every claim: 200, or as many as `DRIFTWATCH_TIMES` says when the tests are built, for machines on
/// which one takes a hundred times as long (`cargo xtask guest`).
pub(crate) const TIMES: u32 = match option_env!("DRIFTWATCH_TIMES") {
    Some(number) => match u32::from_str_radix(number, 10) {
        Ok(number) if number > 0 => number,
        _ => panic!("DRIFTWATCH_TIMES is how often a claim is tried: a number from 1"),
    },
    None => 200,
};
/// An alert that has not come by then does not come.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Nobody may read what is planted as a credential.
pub(crate) const SECRETS_KILL: &str = "
  - id: secrets-are-shut
    title: Agent read a planted credential
    agents: [test-agent]
    read: { never: ['**/.aws/credentials'] }
    action: kill
    severity: critical
    help: Ask for a short-lived credential instead.
";

/// The same act is seen and let through.
pub(crate) const SECRETS_ALERT: &str = "
  - id: secrets-are-watched
    title: Agent read a planted credential
    agents: [test-agent]
    read: { never: ['**/.aws/credentials'] }
    action: alert
    severity: low
";

/// Each test has a daemon, and the daemons of two tests would see each other's programs.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Two things are the same; both are said where they are not.
pub(crate) fn same<T: PartialEq + Display>(what: &str, is: T, must_be: T) -> anyhow::Result<()> {
    ensure!(is == must_be, "{what}: {is}, must be {must_be}");
    Ok(())
}

/// Whether this host is of the prevent tier: what its daemon says of itself.
pub(crate) fn prevents(scenario: &Scenario) -> anyhow::Result<bool> {
    match scenario.daemon.status()?["tier"].as_str() {
        Some("prevent") => Ok(true),
        Some("react") => Ok(false),
        other => bail!("no tier is called {other:?}"),
    }
}

/// Every attempt of the agent ends as the tally says.
pub(crate) fn agent_ends(scenario: &Scenario, act: &Act, tally: Tally) -> anyhow::Result<()> {
    same("the agent", scenario.agent(&act.clone().times(TIMES))?.tally()?, tally)
}

/// Every attempt of an untagged twin is done.
pub(crate) fn twin_is_left_alone(act: &Act) -> anyhow::Result<()> {
    same("the twin", twin(&act.clone().times(TIMES))?.tally()?, Tally::all_done(TIMES))
}

/// Nothing was given away, and no call came back to user space.
pub(crate) fn nothing_came_of_it(trace: &Trace) -> anyhow::Result<()> {
    same("bytes given away", trace.leaked_bytes()?, 0)?;
    same("calls that came back", trace.returns()?, 0)
}

/// There is an alert for each of the acts, and each tells the story.
pub(crate) fn alerts_tell(
    scenario: &Scenario,
    acts: u32,
    act: &str,
    rule: &str,
    done: &str,
) -> anyhow::Result<Vec<Alert>> {
    let alerts = scenario.wait_for_alerts(u64::from(acts), SOON)?;
    for alert in &alerts {
        same("agent", alert.agent(), AGENT)?;
        same("act", alert.act(), act)?;
        same("rule", alert.rule(), rule)?;
        same("done", alert.done(), done)?;
        ensure!(alert.number("/rule/line") > 0, "an alert without the line of its rule");
        let ancestry = alert.ancestry();
        let first = ancestry.first().map(|(pid, _)| *pid);
        ensure!(first == Some(alert.pid()), "{ancestry:?} starts elsewhere than {}", alert.pid());
    }
    Ok(alerts)
}
