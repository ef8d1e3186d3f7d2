//! Hosts of every kind, and what is said of them. A change here is one that people see.

use super::*;
use crate::rules::{
    SourceFile, Users,
    evaluate::Tier,
    load,
    model::{Moment, RuleSet},
    reach::blind_to,
};

/// 2026-11-22, noon.
const NOW: Moment = Moment::constant(1_795_348_800, 0);

const RULES: &str = r#"version: 1
mode: enforce
agents:
  worker: { any: [{ exe: /opt/worker }] }
rules:
  - { id: secrets, title: t, agents: [worker], read: { never: [/s/**] }, action: deny }
  - { id: peers, title: t, agents: [worker], connect: { only: ["10.0.0.0/8:*"] }, action: deny }
  - { id: tools, title: t, agents: [worker], exec: { never: [nc] }, action: kill }
  - { id: named, title: t, agents: [worker], connect: { only: ["api.example:443"] }, action: deny }
"#;

fn rules() -> RuleSet {
    let file = SourceFile { name: "r.yaml".to_owned(), text: RULES.as_bytes().to_vec() };
    load(&[file], &Users::default(), NOW).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What could be loaded on a host of this tier, but for these rungs and hooks.
fn half(rung: Rung, tier: &Tier, broken: &[(Rung, Fault, &str)], missing: &[Missing]) -> Half {
    let step =
        |&(rung, fault, why): &(Rung, Fault, &str)| Step { rung, fault, why: why.to_owned() };
    let ability = |act| Ability {
        act: Act::name(act),
        can: match (tier.can_refuse(act), tier.can_see(act)) {
            (true, _) => Can::Refuse,
            (false, true) => Can::Kill,
            (false, false) => Can::Nothing,
        },
        unseen: blind_to(act, tier),
    };
    Half {
        tier: tier.name(),
        rung,
        broken: broken.iter().map(step).collect(),
        wanted: if rung.prevents() { 34 } else { 12 },
        missing: missing.to_vec(),
        acts: Act::ALL.into_iter().map(ability).collect(),
    }
}

fn host(half: Half, modules: &str) -> Facts {
    Facts {
        kernel: "6.12.1-test".to_owned(),
        without_types: None,
        modules: Some(modules.split(',').map(ToOwned::to_owned).collect()),
        built_with_lsm: Some(true),
        cgroup: Some("/sys/fs/cgroup".to_owned()),
        missing_capabilities: Vec::new(),
        half: Some(half),
        without_half: None,
        agents: Vec::new(),
        rules: None,
    }
}

/// A tier on which the hooks of cgroups were refused.
fn without_network() -> Tier {
    let mut tier = Tier::REACT;
    for act in [Act::Connect, Act::Listen] {
        (tier.sees[act as usize], tier.refuses[act as usize]) = (false, false);
    }
    tier
}

fn known() -> Vec<Known> {
    let known = |agent: &str, running, by: &[&str], weak, installed: Option<&str>| Known {
        agent: agent.to_owned(),
        running,
        by: by.iter().map(|by| (*by).to_owned()).collect(),
        weak,
        installed: installed.map(ToOwned::to_owned),
    };
    vec![
        known("claude-code", 3, &["exe", "script"], true, None),
        known("codex", 0, &["its file"], false, Some("/usr/local/bin/codex")),
        known("worker", 1, &["exe+user"], false, None),
    ]
}

const FORBIDDEN: &str =
    "cannot load `tried`: the kernel refused it: Operation not permitted (os error 1)";
const SILENT: &str = "the program was attached and never ran";

fn forbids() -> Facts {
    let broken =
        [(Rung::Lsm, Fault::Refused, FORBIDDEN), (Rung::ModifyReturn, Fault::Refused, FORBIDDEN)];
    let half = half(Rung::Tracepoints, &Tier::REACT, &broken, &[]);
    Facts {
        rules: Some(Report::new(&rules(), &Tier::REACT, NOW)),
        agents: known(),
        ..host(half, "lockdown,capability,bpf")
    }
}

fn silent(rung: Rung, tier: &Tier, missing: &[Missing]) -> Half {
    let refused = (Rung::ModifyReturn, Fault::Refused, FORBIDDEN);
    let broken = [(Rung::Lsm, Fault::Silent, SILENT), refused];
    half(rung, tier, if rung.prevents() { &broken[..1] } else { &broken }, missing)
}

fn hook(hook: &'static str, act: &'static str) -> Missing {
    Missing {
        hook,
        acts: vec![act],
        why: format!("cannot load `{hook}`: this kernel has no such hook"),
    }
}

#[test]
fn a_kernel_that_forbids_such_programs() {
    insta::assert_snapshot!(forbids());
    assert_eq!(forbids().health(), Health::Advised, "two rules do less than they ask for");
    let without_rules = Facts { rules: None, ..forbids() };
    assert_eq!(without_rules.health(), Health::Well, "nothing on this host can change it");
}

#[test]
fn a_kernel_that_forbids_such_programs_in_json() {
    insta::assert_snapshot!(format!("{:#}", json(&forbids())));
}

#[test]
fn bpf_lsm_whole() {
    let facts = host(half(Rung::Lsm, &Tier::PREVENT, &[], &[]), "lockdown,capability,bpf");
    insta::assert_snapshot!(facts);
    assert_eq!(facts.health(), Health::Well);
}

#[test]
fn bpf_lsm_with_hooks_that_this_kernel_has_not() {
    let missing = [hook("path_chown", "write"), hook("userns_create", "privilege")];
    let facts = host(half(Rung::Lsm, &Tier::PREVENT, &[], &missing), "lockdown,capability,bpf");
    insta::assert_snapshot!(facts);
    assert_eq!(facts.health(), Health::Well);
    let gaps = facts.half.map(|half| half.gaps(|act| act == "write")).unwrap_or_default();
    let why = "cannot load `path_chown`: this kernel has no such hook";
    assert_eq!(gaps, [format!("write: what `path_chown` would see ({why})")]);
}

#[test]
fn fmod_ret_where_bpf_is_not_in_use() {
    let whole = host(silent(Rung::ModifyReturn, &Tier::PREVENT, &[]), "lockdown,capability");
    insta::assert_snapshot!("fmod_ret_whole", whole);
    assert_eq!(whole.health(), Health::Well);
    let missing = [hook("path_chown", "write")];
    let holed = host(silent(Rung::ModifyReturn, &Tier::PREVENT, &missing), "lockdown,capability");
    insta::assert_snapshot!("fmod_ret_with_a_missing_hook", holed);
    assert_eq!(holed.health(), Health::Advised);
}

#[test]
fn react_where_bpf_is_not_in_use_and_the_list_cannot_be_read() {
    let half = silent(Rung::Tracepoints, &Tier::REACT, &[]);
    let facts = host(half, "lockdown,capability");
    let fixes = |facts: &Facts| advice(facts).into_iter().map(|a| a.fix).collect::<Vec<_>>();
    assert_eq!(fixes(&facts), ["boot with `lsm=lockdown,capability,bpf`"]);
    let unread = Facts { modules: None, ..facts.clone() };
    insta::assert_snapshot!(unread);
    let lying = Facts { modules: Some(vec!["bpf".to_owned()]), ..facts };
    assert_eq!(fixes(&lying), [""; 0], "it is there already");
}

#[test]
fn react_on_a_kernel_without_its_hooks_of_cgroups() {
    let tier = without_network();
    let missing = [hook("connect4", "connect"), hook("bind4", "listen")];
    let broken =
        [(Rung::Lsm, Fault::Refused, "no such type"), (Rung::ModifyReturn, Fault::Refused, "no")];
    let facts = Facts {
        built_with_lsm: Some(false),
        rules: Some(Report::new(&rules(), &tier, NOW)),
        ..host(half(Rung::Tracepoints, &tier, &broken, &missing), "lockdown,capability")
    };
    insta::assert_snapshot!(facts);
    assert_eq!(facts.health(), Health::Advised);
}

#[test]
fn react_without_cgroup_v2() {
    let facts = Facts { cgroup: None, rules: None, ..forbids() };
    insta::assert_snapshot!(facts);
    assert_eq!(facts.health(), Health::Advised);
    let prevents = host(half(Rung::Lsm, &Tier::PREVENT, &[], &[]), "bpf");
    assert_eq!(Facts { cgroup: None, ..prevents }.health(), Health::Well, "not needed there");
}

/// Nothing could be loaded.
fn nothing() -> Facts {
    Facts { half: None, ..host(half(Rung::Lsm, &Tier::PREVENT, &[], &[]), "capability,bpf") }
}

#[test]
fn a_kernel_without_type_information() {
    let why = "this kernel has no type information (/sys/kernel/btf/vmlinux: No such file or directory \
               (os error 2)): it must be built with CONFIG_DEBUG_INFO_BTF=y";
    let facts = Facts {
        without_types: Some(why.to_owned()),
        without_half: Some(why.to_owned()),
        built_with_lsm: None,
        ..nothing()
    };
    insta::assert_snapshot!(facts);
    assert_eq!(facts.health(), Health::Incapable);
}

#[test]
fn not_root() {
    let report = Report::new(&rules(), &Tier::REACT, NOW);
    let facts = Facts {
        missing_capabilities: vec!["CAP_BPF", "CAP_PERFMON"],
        modules: None,
        rules: Some(report),
        ..nothing()
    };
    insta::assert_snapshot!(facts);
    assert_eq!(facts.health(), Health::NotPermitted);
}

#[test]
fn a_kernel_that_takes_nothing_at_all() {
    let why = "cannot load `sched_process_exec`: it is too new";
    let facts = Facts { without_half: Some(why.to_owned()), ..nothing() };
    insta::assert_snapshot!(facts);
    assert_eq!(facts.health(), Health::Incapable);
}
