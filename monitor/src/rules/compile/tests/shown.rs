//! A small plan, as people see it.

use monitor_common::{Act, Verdict};

use super::making::{agent, compiled, destinations, exception, glob, paths, rule};
use crate::rules::{
    evaluate::Tier,
    model::{Mode, Rule, RuleSet, Sense, Severity, Sign},
};

#[test]
fn a_small_plan() {
    let keys = Rule {
        exceptions: vec![exception(paths(&["~/.ssh/known_hosts"]), &["/usr/bin/ssh"])],
        severity: Severity::High,
        agents: vec![0, 1],
        ..rule(
            "ssh-keys",
            Act::Read,
            Sense::Never,
            paths(&["~/.ssh/**", "**/*.pem", "**/id_*", "/etc/ssh/*_key"]),
        )
    };
    let out = Rule {
        action: Verdict::Kill,
        ..rule(
            "network",
            Act::Connect,
            Sense::Only,
            destinations(&["10.0.0.0/8", "10.1.0.0/16 443 tcp"]),
        )
    };
    let hosts = Rule {
        agents: vec![1],
        ..rule(
            "hosts",
            Act::Connect,
            Sense::Only,
            destinations(&["api.example.com 443 tcp", "*.example.com", "example.com", "fd00::/8"]),
        )
    };
    let shells = Rule {
        mode: Mode::Monitor,
        ..rule("shells", Act::Exec, Sense::Never, paths(&["/bin/sh", "/usr/bin/sh", "**/*.pem"]))
    };
    let clauses = vec![
        vec![Sign::Exe(glob("**/claude")), Sign::User(1000)],
        vec![Sign::Cgroup(glob("/ai.slice/**"))],
    ];
    let rules = RuleSet {
        agents: vec![agent("claude", clauses), agent("other", vec![])],
        rules: vec![shells, keys, out, hosts],
        ..RuleSet::default()
    };
    insta::assert_snapshot!(compiled(&rules, &Tier::PREVENT).unwrap());
}
