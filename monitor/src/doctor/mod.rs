//! Doctor: what this host can do, what it cannot, and what is worth doing about it.
//!
//! ```text
//! look (kernel half, /proc, /sys) ─► Facts ─► advice ─► text or JSON
//! ```
//! Only [`look`] looks. It finds out by doing: it loads the kernel half as the daemon does, attaches none of its hooks,
//! and lets go of it. The rest makes sentences of facts, and does no I/O. It changes nothing on the host, and asks no
//! daemon.

mod advice;
mod known;
pub mod look;
mod text;

use monitor_common::Act;
use serde::Serialize;

pub use self::advice::{Advice, advice};
use crate::{
    kernel::{Fault, Rung},
    rules::reach::here::Report,
};

/// What was found out about this host.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// The kernel's release, as `uname -r` says it.
    pub kernel: String,
    /// Why the kernel's type information (BTF) cannot be used; none where it can.
    pub without_types: Option<String>,
    /// The security modules in use; none where the list cannot be read.
    pub modules: Option<Vec<String>>,
    /// Whether BPF can be one of them (`CONFIG_BPF_LSM`); none where that is not known.
    pub built_with_lsm: Option<bool>,
    /// Where the cgroup v2 hierarchy is mounted.
    pub cgroup: Option<String>,
    /// Capabilities that this process would have to have, and has not.
    pub missing_capabilities: Vec<&'static str>,
    /// The kernel half; none where it is not known what would become of it.
    pub half: Option<Half>,
    /// Why there is none.
    pub without_half: Option<String>,
    /// Agents on this host.
    pub agents: Vec<Known>,
    /// What becomes of each rule, where rules were given.
    pub rules: Option<Report>,
}

/// The kernel half as it could be loaded.
#[derive(Clone, Debug, Serialize)]
pub struct Half {
    /// `prevent` or `react`.
    pub tier: &'static str,
    /// In which way acts are seen.
    #[serde(serialize_with = "by_name")]
    pub rung: Rung,
    /// The better ways, which this kernel does not have.
    pub broken: Vec<Step>,
    /// Hooks that the rung has.
    pub wanted: usize,
    /// Of those, the ones that this kernel does not have.
    pub missing: Vec<Missing>,
    /// What becomes of each act.
    pub acts: Vec<Ability>,
}

/// A rung that does not bear.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Which one.
    #[serde(serialize_with = "by_name")]
    pub rung: Rung,
    /// What is wrong with it.
    #[serde(skip)]
    pub fault: Fault,
    /// What the kernel answered, or that nothing came.
    pub why: String,
}

/// A hook that is not there.
#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    /// Its name.
    pub hook: &'static str,
    /// The acts that it would see.
    pub acts: Vec<&'static str>,
    /// Why it is not there.
    pub why: String,
}

/// What can be done about an act on this host.
#[derive(Clone, Debug, Serialize)]
pub struct Ability {
    /// The act.
    pub act: &'static str,
    /// What is done at most.
    pub can: Can,
    /// What of the act no hook sees.
    pub unseen: Option<&'static str>,
}

/// What can be done about an act at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Can {
    /// It fails before it happens.
    Refuse,
    /// The process is killed once it has happened.
    Kill,
    /// No hook sees it.
    Nothing,
}

/// An agent on this host.
#[derive(Clone, Debug, Serialize)]
pub struct Known {
    /// Its name.
    pub agent: String,
    /// How many processes are the start of it now. What they have started is the agent's, too, and not counted.
    pub running: usize,
    /// The kinds of signs that it is known by: for each process those that take most to feign, `+` between such as
    /// must all be there.
    pub by: Vec<String>,
    /// Whether whoever starts some of it could choose not to be known.
    pub weak: bool,
    /// A file that it was found by, where it is installed and does not run.
    pub installed: Option<String>,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// There is nothing to do.
    Well,
    /// Something is worth doing.
    Advised,
    /// It cannot be known: a right is missing.
    NotPermitted,
    /// Nothing can be watched on this kernel.
    Incapable,
}

impl Facts {
    /// How it stands, by the strongest of what was found.
    #[must_use]
    pub fn health(&self) -> Health {
        match () {
            () if self.without_types.is_some() => Health::Incapable,
            () if !self.missing_capabilities.is_empty() => Health::NotPermitted,
            () if self.half.is_none() => Health::Incapable,
            () if !advice(self).is_empty() => Health::Advised,
            () => Health::Well,
        }
    }
}

impl Half {
    /// Whether the hooks of cgroups are what sees the network here.
    #[must_use]
    pub fn needs_cgroup(&self) -> bool {
        !self.rung.prevents()
    }

    /// What missing hooks leave unseen of the acts that somebody asks about, a line for each.
    pub fn gaps(&self, is_asked: impl Fn(&str) -> bool) -> Vec<String> {
        let asked = |missing: &&Missing| missing.acts.iter().any(|act| is_asked(act));
        let line = |Missing { hook, acts, why }: &Missing| {
            format!("{}: what `{hook}` would see ({why})", acts.join(", "))
        };
        self.missing.iter().filter(asked).map(line).collect()
    }

    fn can(&self, act: Act) -> Can {
        let of = self.acts.iter().find(|ability| ability.act == act.name());
        of.map_or(Can::Nothing, |ability| ability.can)
    }

    fn broken(&self, rung: Rung) -> Option<&Step> {
        self.broken.iter().find(|step| step.rung == rung)
    }
}

/// The facts and what follows from them, as one JSON object.
#[must_use]
pub fn json(facts: &Facts) -> serde_json::Value {
    let mut value = serde_json::to_value(facts).expect("plain data");
    value["schema"] = "driftwatch.doctor/v1".into();
    value["advice"] = serde_json::to_value(advice(facts)).expect("plain data");
    value["remarks"] = advice::remarks(facts).into();
    value
}

fn by_name<S: serde::Serializer>(rung: &Rung, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(rung.name())
}

#[cfg(test)]
mod tests;
