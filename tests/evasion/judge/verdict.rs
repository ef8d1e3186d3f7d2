//! What came of a technique, held against what must come of it.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use anyhow::{Context, ensure};
use driftwatch_tests::{alert::Alert, child::wait_until, daemon::Daemon};

use crate::{
    attempt::{Attempt, Outcome, Role},
    ground::{AGENT, Ground},
    row::{Expect, Row},
};

/// An alert that comes later is none.
const PATIENCE: Duration = Duration::from_secs(2);
/// Agents that wait have been found by then.
const ADOPTED: Duration = Duration::from_secs(10);

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// No canary sang.
    Stopped,
    /// One did, and there was an alert.
    Seen,
    /// One did, and nobody was told.
    Missed,
    /// None did, but it was neither refused nor killed, and nobody was told: it failed by itself.
    Unclear,
    /// Not even the twin got through, for this reason.
    CannotRun(String),
}

/// A row with what came of it.
pub(crate) struct Judged {
    pub(crate) row: Row,
    pub(crate) class: Class,
    /// How the agent ended.
    pub(crate) ended: String,
    /// Rule and what was done, of each alert.
    pub(crate) alerts: Vec<String>,
}

/// How that is, compared with what was stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    Better,
    AsStated,
    Worse,
}

impl Judged {
    /// Compares.
    pub(crate) fn compared(&self, expect: &Expect) -> Compared {
        match (&self.class, expect) {
            // What needs nothing runs everywhere: if it does not, the suite is broken.
            (Class::CannotRun(_), _) if self.row.needs.is_empty() && !self.row.guest_only => {
                Compared::Worse
            }
            (Class::CannotRun(_), _)
            | (Class::Stopped, Expect::Stopped)
            | (Class::Seen, Expect::Seen(_))
            | (Class::Seen | Class::Missed, Expect::Limit(_)) => Compared::AsStated,
            (Class::Stopped, Expect::Seen(_) | Expect::Limit(_)) => Compared::Better,
            (Class::Seen | Class::Missed, Expect::Stopped)
            | (Class::Missed, Expect::Seen(_))
            | (Class::Unclear, _) => Compared::Worse,
        }
    }
}

impl Row {
    /// What becomes of a row that this host is spared.
    pub(crate) fn not_here(self, why: &str) -> Judged {
        let class = Class::CannotRun(why.to_owned());
        Judged { row: self, class, ended: String::new(), alerts: Vec::new() }
    }
}

/// The daemon and what it has written so far.
pub(crate) struct Judge {
    daemon: Daemon,
    alerts: PathBuf,
    read: usize,
    sessions: BTreeSet<String>,
}

impl Judge {
    /// Starts the daemon on the ground's rules.
    pub(crate) fn start(ground: &Ground) -> anyhow::Result<Self> {
        let (rules, alerts) = (ground.path("rules.yaml"), ground.path("alerts.jsonl"));
        let daemon = Daemon::start(&rules, &alerts, &ground.path("control.sock"))?;
        Ok(Self { daemon, alerts, read: 0, sessions: BTreeSet::new() })
    }

    /// What this kernel can do, as the daemon says: `react`, `prevent`, or `prevent by fmod_ret`.
    pub(crate) fn tier(&self) -> anyhow::Result<String> {
        let status = self.daemon.status()?;
        let tier = status["tier"].as_str().context("status says the tier")?;
        let rung = status["kernel"]["rung"].as_str().context("status says the rung")?;
        Ok(if rung == "fmod_ret" { format!("{tier} by {rung}") } else { tier.to_owned() })
    }

    /// Lets twin and agent try, in this order.
    pub(crate) fn judge(
        &mut self,
        ground: &Ground,
        row: Row,
        early: Option<Attempt>,
        others: &[u32],
    ) -> anyhow::Result<Judged> {
        let daemon = Some(self.daemon.pid());
        let waiting: Vec<u32> =
            early.iter().map(Attempt::pid).chain(others.iter().copied()).collect();
        let twin = Attempt::begin(ground, &row, Role::Twin)?.finish(daemon, &waiting)?;
        if !twin.leaked {
            return Ok(row.not_here(&format!("the twin does not get through: {}", twin.ended)));
        }
        self.skip()?;
        let agent = match early {
            Some(attempt) => {
                let waits = wait_until(ADOPTED, || Ok(attempt.is_waiting().then_some(())))?;
                waits.with_context(|| format!("{} does not wait", row.id))?;
                attempt
            }
            None => Attempt::begin(ground, &row, Role::Agent)?,
        };
        let Outcome { leaked, ended } = agent.finish(daemon, others)?;
        ensure!(!ended.starts_with("no stage"), "{}: {ended}", row.id);
        let alerts = self.alerts_now()?;
        let class = match (leaked, alerts.is_empty()) {
            (false, true) if !matches!(ended.as_str(), "killed" | "refused") => Class::Unclear,
            (false, _) => Class::Stopped,
            (true, false) => Class::Seen,
            (true, true) => Class::Missed,
        };
        Ok(Judged { row, class, ended, alerts })
    }

    /// What is written by now is about others.
    fn skip(&mut self) -> anyhow::Result<()> {
        let alerts = self.all()?;
        self.read = alerts.len();
        self.sessions.extend(alerts.iter().map(|alert| alert.text("/session").to_owned()));
        Ok(())
    }

    /// The alerts of sessions that are new, as soon as there is one.
    fn alerts_now(&mut self) -> anyhow::Result<Vec<String>> {
        wait_until(PATIENCE, || Ok((!self.fresh()?.is_empty()).then_some(())))?;
        let alerts: BTreeSet<String> = self.fresh()?.iter().map(told).collect();
        Ok(alerts.into_iter().collect())
    }

    fn fresh(&self) -> anyhow::Result<Vec<Alert>> {
        let alerts = self.all()?.into_iter().skip(self.read);
        let ours = |alert: &Alert| {
            alert.agent() == AGENT && !self.sessions.contains(alert.text("/session"))
        };
        Ok(alerts.filter(ours).collect())
    }

    fn all(&self) -> anyhow::Result<Vec<Alert>> {
        if self.alerts.exists() { Alert::read_all(&self.alerts) } else { Ok(Vec::new()) }
    }

    /// A verdict is worth something where kernel and evaluator agree and no record was lost.
    pub(crate) fn check_health(&self) -> anyhow::Result<()> {
        let status = self.daemon.status()?;
        let disagreements = status["events"]["disagreements"].as_u64();
        ensure!(disagreements == Some(0), "kernel and evaluator disagree: {status}");
        let lost = status["kernel"]["counters"]["activity_lost"].as_u64();
        ensure!(lost == Some(0), "records were lost: {status}");
        Ok(())
    }
}

fn told(alert: &Alert) -> String {
    format!("{} {} by {}", alert.done(), alert.act(), alert.rule())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(class: Class) -> Judged {
        let row = Row {
            id: "F00".to_owned(),
            title: "the file by its own name".to_owned(),
            canary: "secret".to_owned(),
            needs: "a ring".to_owned(),
            prevent: Expect::Stopped,
            react: Expect::Stopped,
            early: false,
            guest_only: false,
        };
        Judged { row, class, ended: "done".to_owned(), alerts: Vec::new() }
    }

    #[test]
    fn less_than_stated_is_worse_and_more_is_better() {
        use Compared::{AsStated, Better, Worse};
        let (seen, limit) = (Expect::Seen("late".to_owned()), Expect::Limit("blind".to_owned()));
        let cannot = Class::CannotRun("no such call".to_owned());
        for (class, compared) in [
            (Class::Stopped, [AsStated, Better, Better]),
            (Class::Seen, [Worse, AsStated, AsStated]),
            (Class::Missed, [Worse, Worse, AsStated]),
            (Class::Unclear, [Worse, Worse, Worse]),
            (cannot, [AsStated, AsStated, AsStated]),
        ] {
            let judged = judged(class.clone());
            let found = [&Expect::Stopped, &seen, &limit].map(|expect| judged.compared(expect));
            assert_eq!(found, compared, "{class:?}");
        }
    }

    #[test]
    fn what_needs_nothing_must_run() {
        let mut judged = judged(Class::CannotRun("the twin was refused".to_owned()));
        judged.row.needs.clear();
        assert_eq!(judged.compared(&Expect::Stopped), Compared::Worse);
        judged.row.guest_only = true;
        assert_eq!(judged.compared(&Expect::Stopped), Compared::AsStated);
    }
}
