//! A scenario: a ground, rules for it, and the real daemon that enforces them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context;

use crate::{
    act::Act,
    alert::{Alert, acts_in},
    child::{self, Ended, Running, wait_until},
    daemon::Daemon,
    ground::Ground,
    programs,
};

/// The agent of every scenario: whoever is started as one.
pub const AGENT: &str = "test-agent";

/// A running daemon with everything around it. The daemon goes first, then the ground.
#[derive(Debug)]
pub struct Scenario {
    /// The daemon.
    pub daemon: Daemon,
    /// Where everything is.
    pub ground: Ground,
}

impl Scenario {
    /// Starts the daemon with these rules (the YAML list below `rules:`) for [`AGENT`].
    pub fn start(ground: Ground, rules: &str) -> anyhow::Result<Self> {
        let alerts = ground.path("alerts.jsonl");
        Self::start_with_alerts_in(ground, rules, alerts)
    }

    /// The same with the alerts elsewhere.
    pub fn start_with_alerts_in(
        ground: Ground,
        rules: &str,
        alerts: PathBuf,
    ) -> anyhow::Result<Self> {
        Self::start_on(ground, &rule_file(rules), alerts, &[])
    }

    /// Starts the daemon with this rule file, whatever its agents are.
    pub fn start_file(ground: Ground, text: &str) -> anyhow::Result<Self> {
        Self::start_beside(ground, text, &[])
    }

    /// The same, beside the container engines at these sockets.
    pub fn start_beside(ground: Ground, text: &str, engines: &[&Path]) -> anyhow::Result<Self> {
        let alerts = ground.path("alerts.jsonl");
        Self::start_on(ground, text, alerts, engines)
    }

    fn start_on(
        ground: Ground,
        text: &str,
        alerts: PathBuf,
        engines: &[&Path],
    ) -> anyhow::Result<Self> {
        let file = ground.path("rules.yaml");
        fs::write(&file, text)?;
        let socket = ground.path("control.sock");
        let daemon = Daemon::start_with(&file, &alerts, &socket, engines)?;
        Ok(Self { daemon, ground })
    }

    /// The command that does the act as the agent.
    pub fn command(&self, act: &Act) -> anyhow::Result<Command> {
        self.command_as(AGENT, &act.command()?)
    }

    /// The command as an agent of this name.
    pub fn command_as(&self, agent: &str, inner: &Command) -> anyhow::Result<Command> {
        let mut command = Command::new(programs::driftwatch()?);
        command.args(["run", "--agent", agent, "--socket"]).arg(self.daemon.socket());
        command.arg("--").arg(inner.get_program()).args(inner.get_args());
        Ok(command)
    }

    /// Runs the command as an agent of this name and waits for its end.
    pub fn run_as(&self, agent: &str, inner: &Command) -> anyhow::Result<Ended> {
        child::run(&mut self.command_as(agent, inner)?)
    }

    /// Does the act as the agent and waits for its end.
    pub fn agent(&self, act: &Act) -> anyhow::Result<Ended> {
        child::run(&mut self.command(act)?)
    }

    /// Starts the act as the agent.
    pub fn start_agent(&self, act: &Act) -> anyhow::Result<Running> {
        Running::start(&mut self.command(act)?)
    }

    /// The alerts so far.
    pub fn alerts(&self) -> anyhow::Result<Vec<Alert>> {
        match self.ground.path("alerts.jsonl") {
            file if file.exists() => Alert::read_all(&file),
            _ => Ok(Vec::new()),
        }
    }

    /// Waits until the alerts stand for so many acts.
    pub fn wait_for_alerts(&self, acts: u64, patience: Duration) -> anyhow::Result<Vec<Alert>> {
        let enough = wait_until(patience, || {
            let alerts = self.alerts()?;
            Ok((acts_in(&alerts) >= acts).then_some(alerts))
        })?;
        enough.with_context(|| match self.alerts() {
            Ok(alerts) => format!("{} acts in alerts, not {acts}", acts_in(&alerts)),
            Err(error) => format!("{error:#}"),
        })
    }
}

/// Does the act untagged, beside all agents, and waits for its end.
pub fn twin(act: &Act) -> anyhow::Result<Ended> {
    child::run(&mut act.command()?)
}

/// A whole rule file for the rules of [`AGENT`].
#[must_use]
pub fn rule_file(rules: &str) -> String {
    format!(
        "version: 1\nmode: enforce\n\nagents:\n  {AGENT}:\n    any:\n      - launched-as: {AGENT}\n\n\
         rules:\n{rules}"
    )
}
