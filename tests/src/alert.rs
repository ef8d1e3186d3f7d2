//! Reading alerts: one JSON object a line, as the daemon writes them.

use std::{fs, path::Path};

use anyhow::{Context, ensure};
use serde_json::Value;

/// One alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert(Value);

impl Alert {
    /// Every alert in the file; the unfinished last line is not one yet.
    pub fn read_all(file: &Path) -> anyhow::Result<Vec<Self>> {
        let bytes = fs::read(file).with_context(|| format!("read {}", file.display()))?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let lines = bytes[..whole].split(|&byte| byte == b'\n');
        lines.filter(|line| !line.is_empty()).map(Self::parse).collect()
    }

    fn parse(line: &[u8]) -> anyhow::Result<Self> {
        let shown = || format!("not an alert: {}", String::from_utf8_lossy(line));
        let value: Value = serde_json::from_slice(line).with_context(shown)?;
        ensure!(value["schema"] == "driftwatch.alert/v1", shown());
        Ok(Self(value))
    }

    /// The text at a JSON pointer (`/rule/id`), empty where there is none.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The number at a JSON pointer, 0 where there is none.
    #[must_use]
    pub fn number(&self, pointer: &str) -> u64 {
        self.0.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
    }

    /// Text or number at a JSON pointer, as a person would want to see it.
    #[must_use]
    pub fn show(&self, pointer: &str) -> String {
        match self.0.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => "unknown".to_owned(),
        }
    }

    /// The agent.
    #[must_use]
    pub fn agent(&self) -> &str {
        self.text("/agent")
    }

    /// The act.
    #[must_use]
    pub fn act(&self) -> &str {
        self.text("/act")
    }

    /// The rule's id.
    #[must_use]
    pub fn rule(&self) -> &str {
        self.text("/rule/id")
    }

    /// The process that acted.
    #[must_use]
    pub fn pid(&self) -> u64 {
        self.number("/process/pid")
    }

    /// What was done.
    #[must_use]
    pub fn done(&self) -> &str {
        self.text("/done")
    }

    /// How many acts this alert stands for.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.number("/count").max(1)
    }

    /// Processes from the one that acted up to the agent's root: pid and executable.
    #[must_use]
    pub fn ancestry(&self) -> Vec<(u64, String)> {
        let Some(Value::Array(processes)) = self.0.get("ancestry") else {
            return Vec::new();
        };
        let one = |process: &Value| {
            let exe = process["exe"].as_str().unwrap_or("?");
            (process["pid"].as_u64().unwrap_or_default(), exe.to_owned())
        };
        processes.iter().map(one).collect()
    }
}

/// How many acts the alerts stand for.
#[must_use]
pub fn acts_in(alerts: &[Alert]) -> u64 {
    alerts.iter().map(Alert::count).sum()
}
