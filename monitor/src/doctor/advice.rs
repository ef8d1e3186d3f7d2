//! Advice: what follows from the facts. What somebody can do is advice; what nobody can is a remark.

use monitor_common::Act;
use serde::Serialize;

use super::{Can, Facts, Half};
use crate::kernel::{Fault, Rung};

/// Something that is worth doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: String,
}

/// What is worth doing on this host, most urgent first.
#[must_use]
pub fn advice(facts: &Facts) -> Vec<Advice> {
    let mut advice = Vec::new();
    let mut add = |what: &str, fix: &str| {
        advice.push(Advice { what: what.to_owned(), fix: fix.to_owned() });
    };
    if let Some(why) = &facts.without_types {
        add(why, "boot a kernel that was built with CONFIG_DEBUG_INFO_BTF=y");
    }
    if !facts.missing_capabilities.is_empty() {
        let what = format!("what this kernel can do is not known without {}", all(facts));
        add(&what, "run `driftwatch doctor` as root, or with these capabilities");
    }
    if let Some(why) = &facts.without_half
        && facts.without_types.is_none()
        && facts.missing_capabilities.is_empty()
    {
        add(
            &format!("the kernel half cannot be loaded: {why}"),
            "boot Linux 6.16 or newer, or one from 6.1 on that runs BPF LSM programs",
        );
    }
    if let Some(half) = &facts.half {
        if let Some((what, fix)) = modules(facts, half).filter(|_| gains(half)) {
            add(&what, &fix);
        }
        network(facts, half, &mut add);
    }
    rules(facts, &mut add);
    advice
}

fn all(facts: &Facts) -> String {
    facts.missing_capabilities.join(", ")
}

/// Whether BPF LSM would see or refuse more.
fn gains(half: &Half) -> bool {
    !half.rung.prevents() || !half.missing.is_empty()
}

/// Where BPF is built in and not in use: what is wrong, and which boot parameter would change that.
fn modules(facts: &Facts, half: &Half) -> Option<(String, String)> {
    let silent = half.broken(Rung::Lsm)?.fault == Fault::Silent;
    match &facts.modules {
        _ if !silent => None,
        Some(modules) if modules.iter().any(|module| module == "bpf") => None,
        Some(modules) => Some((
            "`bpf` is not among the security modules that this kernel uses".to_owned(),
            format!("boot with `lsm={},bpf`", modules.join(",")),
        )),
        None => Some((
            "`bpf` seems not to be among the security modules, and their list cannot be read"
                .to_owned(),
            "mount it with `mount -t securityfs securityfs /sys/kernel/security`, and look again"
                .to_owned(),
        )),
    }
}

fn network(facts: &Facts, half: &Half, add: &mut impl FnMut(&str, &str)) {
    if half.rung.prevents() {
        return;
    }
    if half.can(Act::Connect) == Can::Nothing {
        add(
            "this kernel takes none of the hooks of cgroups, so connections are not seen",
            "boot Linux 6.16 or newer, or a kernel that runs BPF LSM programs",
        );
    } else if facts.cgroup.is_none() {
        add(
            "no cgroup v2 hierarchy is mounted, whose hooks are all that sees connections here",
            "mount one: `mount -t cgroup2 none DIR`",
        );
    }
}

fn rules(facts: &Facts, add: &mut impl FnMut(&str, &str)) {
    let Some(report) = &facts.rules else { return };
    for agent in &report.agents {
        add(agent, "start its container engine, or name its socket with --engine");
    }
    for line in &report.rules {
        let Some(why) = line.why.first() else { continue };
        let fix = match (line.here, line.asks) {
            (None, _) => "rewrite the rule; until then it does nothing here",
            (Some("alert"), "deny" | "ask") => {
                "write `fallback: kill`, or run it on a host that can refuse this act"
            }
            (Some("deny"), "ask") => {
                "nothing, if refusing is enough; a grant permits what was approved"
            }
            _ => "nothing, if this is enough; else run it on a host that can do what the rule asks",
        };
        let what = format!("{} rule `{}`: {why}", line.place, line.rule);
        add(&what, fix);
    }
}

/// What is so, and cannot be changed on this host or need not be.
#[must_use]
pub(super) fn remarks(facts: &Facts) -> Vec<String> {
    let mut remarks = Vec::new();
    let Some(half) = &facts.half else { return remarks };
    if let Some((what, fix)) = modules(facts, half).filter(|_| !gains(half)) {
        remarks.push(format!(
            "{what}; all hooks are there without it ({fix} to have it all the same)"
        ));
    }
    if half.rung == Rung::Tracepoints {
        let refused = half.broken.iter().all(|step| step.fault == Fault::Refused);
        match facts.built_with_lsm {
            Some(false) => remarks.push(
                "this kernel was built without BPF LSM: one with CONFIG_BPF_LSM=y could refuse acts before they happen"
                    .to_owned(),
            ),
            _ if refused => remarks.push(
                "this kernel forbids the programs that could refuse acts before they happen: nothing on this host can change that"
                    .to_owned(),
            ),
            _ => {}
        }
    }
    if !half.missing.is_empty() && half.broken(Rung::Lsm).is_none() {
        remarks.push(
            "hooks that are missing are not in this kernel: only another kernel has them"
                .to_owned(),
        );
    }
    let weak = facts.agents.iter().filter(|known| known.weak).map(|known| &*known.agent);
    let weak: Vec<&str> = weak.collect();
    if !weak.is_empty() {
        remarks.push(format!(
            "known by what whoever starts them can choose: {}; `driftwatch run`, `exe`, `cgroup` and `user` are stronger",
            weak.join(", ")
        ));
    }
    remarks
}
