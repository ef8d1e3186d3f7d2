//! The stage: planted things, peers that listen, and the daemon with the demo's rules.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context;
use driftwatch_tests::{
    Act, Alert, Ended, Ground,
    alert::acts_in,
    child::{self, wait_until},
    daemon::Daemon,
    programs,
};

use crate::far::FarEnd;

/// The agent of the demo's rules.
pub(crate) const AGENT: &str = "demo-agent";

/// Everything that the demo needs; dropped in this order.
pub(crate) struct Stage {
    daemon: Daemon,
    pub(crate) far: FarEnd,
    pub(crate) ground: Ground,
    pub(crate) rules: PathBuf,
}

/// The rules in this repository, as somebody at its top would name them.
pub(crate) fn default_rules() -> String {
    const FROM_THE_TOP: &str = "rules/demo/demo.yaml";
    if Path::new(FROM_THE_TOP).is_file() {
        return FROM_THE_TOP.to_owned();
    }
    concat!(env!("CARGO_MANIFEST_DIR"), "/../rules/demo/demo.yaml").to_owned()
}

impl Stage {
    /// Plants, listens, starts the daemon.
    pub(crate) fn set(rules: &Path) -> anyhow::Result<Self> {
        let ground = Ground::with_prefix("driftwatch-demo-")?;
        let far = FarEnd::listen()?;
        let daemon =
            Daemon::start(rules, &ground.path("alerts.jsonl"), &ground.path("control.sock"))?;
        Ok(Self { daemon, far, ground, rules: rules.to_owned() })
    }

    /// Does the act as the agent.
    pub(crate) fn agent(&self, act: &Act) -> anyhow::Result<Ended> {
        let mut command = Command::new(programs::driftwatch()?);
        command.args(["run", "--agent", AGENT, "--socket"]).arg(self.daemon.socket());
        child::run(command.arg("--").arg(programs::actor()?).args(act.arguments()))
    }

    /// Alerts so far.
    pub(crate) fn alerts(&self) -> anyhow::Result<Vec<Alert>> {
        let file = self.ground.path("alerts.jsonl");
        if file.exists() { Alert::read_all(&file) } else { Ok(Vec::new()) }
    }

    /// The first alert behind those already there.
    pub(crate) fn next_alert(&self, seen: usize) -> anyhow::Result<Option<Alert>> {
        const PATIENCE: Duration = Duration::from_secs(5);
        wait_until(PATIENCE, || Ok(self.alerts()?.into_iter().nth(seen)))
    }

    /// How many acts the daemon has told of.
    pub(crate) fn told(&self) -> anyhow::Result<u64> {
        self.alerts().map(|alerts| acts_in(&alerts)).context("count the alerts")
    }
}
