//! The rows: what is measured, what it may cost, and how much of a difference means nothing.

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Instructions that one operation takes more than without a daemon.
    Instructions,
    /// Instructions that something takes as a whole.
    Whole,
    /// Events in a second of a processor that carries out a thousand million instructions in it. More is better.
    PerSecond,
    /// Events.
    Events,
    /// Kibibytes.
    KiB,
}

/// A difference that means nothing: so much, or such a share of the number, whichever is more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Noise {
    /// In the unit of the row.
    pub(crate) least: f64,
    /// 0.03 is 3 %.
    pub(crate) share: f64,
}

impl Noise {
    /// By how much another measurement of the same may differ.
    pub(crate) fn of(self, number: f64) -> f64 {
        self.least.max(number.abs() * self.share)
    }
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    /// Its name in the stored numbers.
    pub(crate) id: &'static str,
    /// What is done, by whom.
    pub(crate) what: &'static str,
    /// What it counts.
    pub(crate) unit: Unit,
    /// What it may come to, or must where more is better.
    pub(crate) budget: Option<f64>,
    /// What changes it by nothing.
    pub(crate) noise: Noise,
}

/// Of system calls that nobody is told of: they repeat to some instructions.
const CALL: Noise = Noise { least: 12.0, share: 0.03 };
/// Of what several processes have a part in.
const COMPANY: Noise = Noise { least: 300.0, share: 0.1 };
/// Of what must be as it is.
const NONE: Noise = Noise { least: 0.0, share: 0.0 };

const fn call(id: &'static str, what: &'static str, budget: f64) -> Row {
    Row { id, what, unit: Unit::Instructions, budget: Some(budget), noise: CALL }
}

const fn told(id: &'static str, what: &'static str, budget: f64) -> Row {
    Row { noise: COMPANY, ..call(id, what, budget) }
}

const fn part(id: &'static str, what: &'static str) -> Row {
    Row { id, what, unit: Unit::Instructions, budget: None, noise: COMPANY }
}

/// What there is a budget for, in the order of the table.
pub(crate) const ROWS: &[Row] = &[
    call("getppid.none", "getppid, by a process of no agent", 0.0),
    call("getppid.agent", "getppid, by an agent", 0.0),
    call("stat.none", "stat, by a process of no agent", 0.0),
    call("stat.agent", "stat, by an agent", 0.0),
    call("read.none", "read of an open file, by a process of no agent", 0.0),
    call("read.agent", "read of an open file, by an agent", 0.0),
    call("open.none", "open, by a process of no agent", 300.0),
    call("open.agent.10", "open, by an agent, in no list, 10 list items", 2_500.0),
    call("open.agent.10000", "open, by an agent, in no list, 10,000 list items", 2_600.0),
    told("open.alert", "open, by an agent, alert delivered", 10_000.0),
    told("exec.none", "exec, by no agent, agents known by a path", 1_500.0),
    told("exec.none.starter", "exec, by no agent, agents of rules/starter", 1_500.0),
    told("exec.agent", "exec, by an agent, event read by the daemon", 20_000.0),
    told("exec.alert", "exec, by an agent, alert delivered", 20_000.0),
    told("connect.none", "connect, by a process of no agent", 500.0),
    told("connect.alert", "connect, by an agent, alert delivered", 12_000.0),
    Row {
        id: "flood.delivered",
        what: "flood of 1 exec and 10 opens: events delivered a second",
        unit: Unit::PerSecond,
        budget: Some(20_000.0),
        noise: COMPANY,
    },
    Row {
        id: "flood.uncounted",
        what: "the same: events that were neither delivered nor counted as lost",
        unit: Unit::Events,
        budget: Some(0.0),
        noise: NONE,
    },
    Row {
        id: "memory.idle",
        what: "memory of the daemon, idle, 10 list items",
        unit: Unit::KiB,
        budget: Some(15.0 * 1024.0),
        noise: Noise { least: 512.0, share: 0.1 },
    },
    Row {
        id: "memory.flood",
        what: "memory of the daemon after the flood",
        unit: Unit::KiB,
        budget: Some(64.0 * 1024.0),
        noise: Noise { least: 512.0, share: 0.25 },
    },
];

/// Of what those are made up, and what else is worth knowing.
pub(crate) const PARTS: &[Row] = &[
    part("open.agent.starter", "open, by an agent of rules/starter, in no list"),
    part("open.told", "open, of what `alert delivered` costs: the hook and its record"),
    part("open.loop", "the same: the daemon's loop"),
    part("open.sink", "the same: the thread that writes alerts"),
    part("connect.agent", "connect, by an agent, in no list"),
    part("connect.told", "connect, of `alert delivered`: the hook and its record"),
    part("exec.none.launched", "exec, by no agent, agents known by `driftwatch run` alone"),
    part("exec.told", "exec, of `event read`: the hooks and their records"),
    Row {
        id: "flood.lost",
        what: "flood: records and alerts that were lost and counted",
        unit: Unit::Events,
        budget: None,
        noise: Noise { least: 20_000.0, share: 0.0 },
    },
    Row {
        id: "start",
        what: "from the start of the daemon until its hooks are attached",
        unit: Unit::Whole,
        budget: None,
        noise: Noise { least: 0.0, share: 0.1 },
    },
];

/// Every row.
pub(crate) fn all() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().chain(PARTS)
}

impl Row {
    /// Whether a number is within the budget. Of a budget of nothing, what counting itself adds is no part.
    pub(crate) fn is_met(&self, number: f64) -> Option<bool> {
        /// Instructions by which two measurements of the same differ.
        const NOTHING: f64 = 3.0;
        let budget = self.budget?;
        Some(match self.unit {
            Unit::PerSecond => number >= budget,
            Unit::Instructions => number <= budget + NOTHING,
            Unit::Whole | Unit::Events | Unit::KiB => number <= budget,
        })
    }

    /// By how much a number is worse than it was, where that is more than noise.
    pub(crate) fn worse(&self, before: f64, now: f64) -> Option<f64> {
        let more = if self.unit == Unit::PerSecond { before - now } else { now - before };
        (more > self.noise.of(before)).then_some(more)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn row(id: &str) -> &'static Row {
        all().find(|row| row.id == id).unwrap()
    }

    #[test]
    fn every_row_has_a_name_of_its_own() {
        assert_eq!(all().map(|row| row.id).collect::<BTreeSet<_>>().len(), all().count());
    }

    #[test]
    fn a_budget_of_nothing_is_met_by_nothing() {
        assert_eq!(row("getppid.none").is_met(1.0), Some(true));
        assert_eq!(row("getppid.none").is_met(8.0), Some(false));
        assert_eq!(row("open.none").is_met(-20.0), Some(true));
        assert_eq!(row("flood.uncounted").is_met(1.0), Some(false));
        assert_eq!(row("start").is_met(1.0), None);
    }

    #[test]
    fn more_is_worse_but_for_what_is_delivered() {
        let open = row("open.agent.10");
        assert_eq!(open.worse(2_000.0, 2_061.0), Some(61.0));
        assert_eq!(open.worse(2_000.0, 2_059.0), None);
        assert_eq!(open.worse(2_000.0, 1_000.0), None);
        assert_eq!(row("getppid.none").worse(0.0, 11.0), None);
        assert_eq!(row("getppid.none").worse(0.0, 13.0), Some(13.0));
        let flood = row("flood.delivered");
        assert_eq!(flood.worse(30_000.0, 26_000.0), Some(4_000.0));
        assert_eq!(flood.worse(30_000.0, 40_000.0), None);
        assert_eq!(flood.is_met(19_999.0), Some(false));
    }
}
