//! The flood: program starts and opens of an agent, as fast as it can, with an alert for each. What becomes of
//! every one of them is added up.

use anyhow::{Context, ensure};
use driftwatch_tests::Scenario;

use crate::stand::{Counted, Stand, Who};

/// Program starts.
const STARTS: u32 = 2_000;
/// Opens that belong to each; the actor's number.
const OPENS: u32 = 10;
/// In this time, in milliseconds, all of them are delivered.
const REST: u64 = 30_000;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Flood {
    /// Events that were delivered in a second.
    pub(crate) per_second: f64,
    /// Records that the kernel half could not hand over and alerts that the daemon could not deliver, and counted.
    pub(crate) lost: f64,
    /// Those that nobody knows of.
    pub(crate) uncounted: f64,
}

/// What the daemon has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    acts_seen: u64,
    acts_submitted: u64,
    acts_lost: u64,
    lives_seen: u64,
    lives_submitted: u64,
    lives_lost: u64,
    decoded: u64,
    written: u64,
    dropped: u64,
}

/// Lets an agent do it, once.
pub(crate) fn run(stand: &Stand) -> anyhow::Result<Flood> {
    let scenario = stand.scenario()?;
    let before = Counts::of(scenario)?;
    let rest = Some(REST);
    let counted = Counted { operation: "flood", each: STARTS, bursts: 1, rest, told: true };
    let nanoseconds = stand.count(Who::Agent, counted)? * f64::from(STARTS);
    let counts = Counts::of(scenario)?.since(before);
    Ok(flood(counts, nanoseconds))
}

/// Adds up.
#[expect(clippy::cast_precision_loss, reason = "some thousand events")]
fn flood(counts: Counts, nanoseconds: f64) -> Flood {
    let Counts { acts_seen, acts_submitted, acts_lost, .. } = counts;
    let Counts { lives_seen, lives_submitted, lives_lost, decoded, written, dropped, .. } = counts;
    let known = [
        (u64::from(STARTS * OPENS), acts_seen),
        (acts_seen, acts_submitted + acts_lost),
        (lives_seen, lives_submitted + lives_lost),
        (acts_submitted + lives_submitted, decoded),
    ];
    let mut uncounted: u64 = known.iter().map(|(one, other)| one.abs_diff(*other)).sum();
    // A program start is told of by the record of its life. Of those that were lost, nobody knows which were starts.
    let alerts = acts_submitted + u64::from(STARTS);
    uncounted += alerts.abs_diff(written + dropped).saturating_sub(lives_lost);
    Flood {
        per_second: written as f64 * 1e9 / nanoseconds,
        lost: (acts_lost + lives_lost + dropped) as f64,
        uncounted: uncounted as f64,
    }
}

impl Counts {
    fn of(scenario: &Scenario) -> anyhow::Result<Self> {
        let status = scenario.daemon.status()?;
        let number = |pointer: &str| {
            status
                .pointer(pointer)
                .and_then(serde_json::Value::as_u64)
                .with_context(|| pointer.to_owned())
        };
        let counter = |name: &str| number(&format!("/kernel/counters/{name}"));
        let waiting = number("/alerts/waiting")?;
        ensure!(waiting == 0, "{waiting} alerts are still on their way");
        Ok(Self {
            acts_seen: counter("activity_seen")?,
            acts_submitted: counter("activity_submitted")?,
            acts_lost: counter("activity_lost")?,
            lives_seen: counter("lifecycle_seen")?,
            lives_submitted: counter("lifecycle_submitted")?,
            lives_lost: counter("lifecycle_lost")?,
            decoded: number("/events/decoded")?,
            written: number("/alerts/written")?,
            dropped: number("/alerts/dropped")?,
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            acts_seen: self.acts_seen - before.acts_seen,
            acts_submitted: self.acts_submitted - before.acts_submitted,
            acts_lost: self.acts_lost - before.acts_lost,
            lives_seen: self.lives_seen - before.lives_seen,
            lives_submitted: self.lives_submitted - before.lives_submitted,
            lives_lost: self.lives_lost - before.lives_lost,
            decoded: self.decoded - before.decoded,
            written: self.written - before.written,
            dropped: self.dropped - before.dropped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything is delivered.
    fn all() -> Counts {
        Counts {
            acts_seen: 20_000,
            acts_submitted: 20_000,
            lives_seen: 6_002,
            lives_submitted: 6_002,
            decoded: 26_002,
            written: 22_000,
            ..Counts::default()
        }
    }

    #[test]
    fn what_is_delivered_is_delivered_in_time() {
        let flood = flood(all(), 2e9);
        assert_eq!(flood, Flood { per_second: 11_000.0, lost: 0.0, uncounted: 0.0 });
    }

    #[test]
    fn what_is_lost_and_counted_is_known() {
        let lost = Counts {
            acts_submitted: 19_000,
            acts_lost: 1_000,
            lives_submitted: 6_000,
            lives_lost: 2,
            decoded: 25_000,
            written: 20_000,
            dropped: 999,
            ..all()
        };
        let flood = flood(lost, 1e9);
        assert_eq!((flood.lost, flood.uncounted), (2_001.0, 0.0));
    }

    #[test]
    fn what_nobody_knows_of_is_found_out() {
        let uncounted = |counts| flood(counts, 1e9).uncounted;
        assert_eq!(uncounted(Counts { acts_seen: 19_999, ..all() }), 2.0);
        assert_eq!(uncounted(Counts { lives_lost: 1, ..all() }), 1.0);
        assert_eq!(uncounted(Counts { decoded: 26_000, ..all() }), 2.0);
        assert_eq!(uncounted(Counts { written: 21_995, ..all() }), 5.0);
    }
}
