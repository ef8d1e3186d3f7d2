//! Look: the facts, from the kernel half and from `/proc` and `/sys`.
//!
//! The kernel half is loaded, and let go of before this returns. None of its hooks is attached but the one that counts
//! whether such programs run here at all, for as long as it takes to open a file.

use std::{fs, path::PathBuf};

use monitor_common::Act;

use super::{Ability, Can, Facts, Half, Missing, Step, known};
use crate::{
    engine,
    host::Host,
    kernel::{
        Broken, Kernel, KernelError, Lost, attach::cgroup_root, is_built_with_lsm,
        missing_capabilities,
    },
    rules::{
        contained,
        evaluate::Tier,
        model::{Agent, Moment, RuleSet},
        reach::{blind_to, here::Report},
    },
};

/// The security modules in use, with commas.
const MODULES: &str = "/sys/kernel/security/lsm";

/// Finds out what this host can do, with the agents that rules know or, without rules, those that come with
/// Driftwatch. `engines` are sockets of container engines, empty for the usual ones.
#[must_use]
pub fn look(rules: Option<&RuleSet>, agents: &[Agent], engines: &[PathBuf]) -> Facts {
    let host = Host::read();
    let found = half();
    let without_types = match &found {
        Err(error @ (KernelError::Offsets(_) | KernelError::Btf(_))) => Some(error.to_string()),
        Err(KernelError::Capability { .. }) => types_cannot_be_read(),
        _ => None,
    };
    let tier = found.as_ref().map_or(Tier::REACT, |(_, tier)| *tier);
    let assumed = found.as_ref().err().map(KernelError::brief);
    let (settled, asked) = match rules {
        Some(rules) => settled(rules, engines),
        None => (RuleSet { agents: agents.to_vec(), ..RuleSet::default() }, Vec::new()),
    };
    let report = rules.is_some().then(|| {
        let report = Report::new(&settled, &tier, Moment::now());
        Report { engines: asked, assumed, ..report }
    });
    let (half, without_half) = match found {
        Ok((half, _)) => (Some(half), None),
        Err(KernelError::Capability { .. }) => (None, None),
        Err(error) => (None, Some(error.brief())),
    };
    Facts {
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        without_types,
        modules: modules(),
        built_with_lsm: is_built_with_lsm(),
        cgroup: cgroup_root().ok().map(|place| place.display().to_string()),
        missing_capabilities: missing_capabilities(),
        half,
        without_half,
        agents: known::find(&settled.agents, &host),
        rules: report,
    }
}

/// Loads the kernel half, to see what it comes to.
///
/// # Errors
///
/// Where this process may not, or this kernel cannot.
pub fn half() -> Result<(Half, Tier), KernelError> {
    let kernel = Kernel::load(1, false)?; // a key: nobody is to be hashed by it
    let tier = kernel.tier();
    let half = Half {
        tier: tier.name(),
        rung: kernel.rung(),
        broken: kernel.broken().iter().map(step).collect(),
        wanted: kernel.wanted(),
        missing: kernel.lost().iter().map(missing).collect(),
        acts: Act::ALL.into_iter().map(|act| ability(act, &tier)).collect(),
    };
    Ok((half, tier))
}

/// The rules with what container engines say, and how it stands with each of those, where the rules must ask any.
pub(crate) fn settled(rules: &RuleSet, engines: &[PathBuf]) -> (RuleSet, Vec<String>) {
    let mut settled = rules.clone();
    if !contained::asks_engines(rules) {
        return (settled, Vec::new());
    }
    let report = engine::ask_once(engines);
    if let Some(containers) = report.containers() {
        contained::settle(&mut settled, containers);
    }
    (settled, report.lines())
}

fn step(broken: &Broken) -> Step {
    Step { rung: broken.rung, fault: broken.fault, why: broken.why.clone() }
}

fn missing(lost: &Lost) -> Missing {
    let acts = lost.acts.iter().map(|act| act.name()).collect();
    Missing { hook: lost.program, acts, why: lost.why.clone() }
}

fn ability(act: Act, tier: &Tier) -> Ability {
    let can = match (tier.can_refuse(act), tier.can_see(act)) {
        (true, _) => Can::Refuse,
        (false, true) => Can::Kill,
        (false, false) => Can::Nothing,
    };
    Ability { act: act.name(), can, unseen: blind_to(act, tier) }
}

fn modules() -> Option<Vec<String>> {
    let text = fs::read_to_string(MODULES).ok()?;
    Some(text.trim().split(',').map(ToOwned::to_owned).collect())
}

/// For who may not load anything: whether it is there to be read.
fn types_cannot_be_read() -> Option<String> {
    crate::kernel::offsets::find().err().map(|error| error.to_string())
}
