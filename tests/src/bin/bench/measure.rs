//! One measurement, with or without a daemon around it.

use std::fmt::Write;

use anyhow::{Context, ensure};
use driftwatch_tests::{AGENT, Act, Ground, Outcome, Scenario, twin};

/// Who does the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Untagged,
    Agent,
}

/// A place to measure in.
pub(crate) enum Bench {
    Bare(Ground),
    Daemon(Scenario),
}

impl Bench {
    /// No daemon runs.
    pub(crate) fn bare() -> anyhow::Result<Self> {
        Ok(Self::Bare(Ground::new()?))
    }

    /// A daemon runs whose rules have so many list items for each act.
    pub(crate) fn with_daemon(items: usize) -> anyhow::Result<Self> {
        Ok(Self::Daemon(Scenario::start(Ground::new()?, &rules(items)?)?))
    }

    /// What one operation costs.
    pub(crate) fn nanoseconds(
        &self,
        operation: &'static str,
        times: u32,
        who: Who,
    ) -> anyhow::Result<f64> {
        let mut act = Act::op(operation, times);
        if operation != "exec" {
            act = act.option("--path", self.ground().notes());
        }
        let ended = match (self, who) {
            (Self::Daemon(scenario), Who::Agent) => scenario.agent(&act)?,
            _ => twin(&act)?,
        };
        ensure!(ended.outcome() == Outcome::Done, "{operation}: {ended:?}");
        ended.stdout.trim().parse().with_context(|| format!("{operation}: {}", ended.stdout))
    }

    fn ground(&self) -> &Ground {
        match self {
            Self::Bare(ground) => ground,
            Self::Daemon(scenario) => &scenario.ground,
        }
    }
}

/// One rule an act, none of which is hit: what is measured is the looking.
fn rules(items: usize) -> anyhow::Result<String> {
    let mut rules = String::new();
    for act in ["read", "write", "exec", "connect"] {
        write!(
            rules,
            "
  - id: bench-{act}
    title: Not hit by the benchmark
    agents: [{AGENT}]
    action: kill
    severity: info
    {act}:
      never:
"
        )?;
        for item in 0..items {
            match act {
                "connect" => writeln!(rules, "        - 10.{}.{}.0/24", item / 256, item % 256)?,
                _ => writeln!(rules, "        - {}", path_item(item))?,
            }
        }
    }
    Ok(rules)
}

/// Literals, prefixes and names, as real lists have them.
fn path_item(item: usize) -> String {
    match item % 3 {
        0 => format!("/srv/bench/{item}/secret"),
        1 => format!("/srv/bench/{item}/**"),
        _ => format!("\"**/bench-{item}.pem\""),
    }
}
