//! A technique as `evade` lists it: what it is called and what must come of it.

use anyhow::{Context, ensure};
use driftwatch_tests::{child, programs};
use serde_json::Value;

/// A technique.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) title: String,
    /// secret, mark, arrival, payload or changed.
    pub(crate) canary: String,
    pub(crate) needs: String,
    pub(crate) prevent: Expect,
    pub(crate) react: Expect,
    /// Begins before the daemon.
    pub(crate) early: bool,
    pub(crate) guest_only: bool,
}

/// What must come of it, at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// No canary sings.
    Stopped,
    /// There is an alert; and why it is not stopped.
    Seen(String),
    /// Nothing need come of it, for this reason.
    Limit(String),
}

/// A row of the catalogue that is not tried.
#[derive(Clone, Debug)]
pub(crate) struct Later {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) why: String,
}

/// All that `evade` lists.
pub(crate) fn all() -> anyhow::Result<(Vec<Row>, Vec<Later>)> {
    let ended = child::run(std::process::Command::new(programs::evade()?).arg("list"))?;
    ensure!(ended.status.success(), "evade list: {}: {}", ended.status, ended.stderr);
    let (mut rows, mut later) = (Vec::new(), Vec::new());
    for line in ended.stdout.lines() {
        let value: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        if value["later"].is_string() {
            later.push(Later { id: text("id"), title: text("title"), why: text("later") });
        } else {
            rows.push(Row {
                id: text("id"),
                title: text("title"),
                canary: text("canary"),
                needs: text("needs"),
                prevent: expect(&value["prevent"])?,
                react: expect(&value["react"])?,
                early: value["early"] == true,
                guest_only: value["guest_only"] == true,
            });
        }
    }
    rows.sort_by_key(|row| place(&row.id));
    later.sort_by_key(|row| place(&row.id));
    Ok((rows, later))
}

/// Where an id stands: files, changes of files, programs, the network, scope, and what is not tried.
fn place(id: &str) -> (usize, String) {
    const FAMILIES: &str = "FWXNSDM";
    let family = id.chars().next().and_then(|letter| FAMILIES.find(letter));
    (family.unwrap_or(FAMILIES.len()), id.to_owned())
}

fn expect(value: &Value) -> anyhow::Result<Expect> {
    let why = value["why"].as_str().unwrap_or_default().to_owned();
    match value["is"].as_str() {
        Some("stopped") => Ok(Expect::Stopped),
        Some("seen") => Ok(Expect::Seen(why)),
        Some("limit") => Ok(Expect::Limit(why)),
        _ => anyhow::bail!("not an expectation: {value}"),
    }
}
