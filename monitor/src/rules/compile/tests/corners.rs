//! Corners of the plan that random rules seldom come to, each by hand.

use std::net::Ipv6Addr;

use monitor_common::Act;

use super::{
    agreement::listed,
    making::{agent, compiled, destinations, exception, glob, paths, rule, set},
};
use crate::rules::{
    compile::{Ground, compile},
    evaluate::{Args, Tier},
    glob::Homes,
    model::{Object, Rule, RuleSet, Sense, Sign},
    plan::numbers,
    recognise::Start,
};

/// No arguments.
const NONE: Args<'_> = Args::Known(&[]);

#[test]
fn a_suffix_is_the_whole_name_of_some_files() {
    let rules =
        set(vec![rule("pem", Act::Read, Sense::Never, paths(&["**/*.pem", "**/*.tar.gz"]))]);
    let plan = compiled(&rules, &Tier::PREVENT).unwrap();
    for (path, hit) in [
        ("/.pem", true),
        ("/a/.pem", true),
        ("/a/b.pem", true),
        ("/a/b.c.pem", true),
        ("/a/pem", false),
        ("/a.pem/b", false),
        ("/a/b.tar.gz", true),
        ("/a/.tar.gz", true),
        ("/a/b.gz", false),
        ("/a/tar.gz", false),
    ] {
        let object = Object::Path(path.as_bytes().to_vec());
        assert_eq!(
            plan.verdict(&[1], Act::Read, &object, None, NONE, Default::default()).is_some(),
            hit,
            "{path}"
        );
        assert_eq!(
            glob("**/*.pem").matches(path.as_bytes(), &Homes::default()),
            hit && !path.ends_with("gz")
        );
    }
}

#[test]
fn an_agent_that_rules_name_by_another_number_is_not_meant() {
    let rules = set(vec![rule("any", Act::Read, Sense::Only, paths(&[]))]);
    let plan = compiled(&rules, &Tier::PREVENT).unwrap();
    let object = Object::Path(b"/a".to_vec());
    assert_eq!(plan.verdict(&[1], Act::Read, &object, None, NONE, Default::default()), Some(0));
    assert_eq!(plan.verdict(&[2], Act::Read, &object, None, NONE, Default::default()), None);
    assert_eq!(plan.verdict(&[2, 1], Act::Read, &object, None, NONE, Default::default()), Some(0));
    assert_eq!(
        plan.verdict(&[0, 1], Act::Read, &object, None, NONE, Default::default()),
        None,
        "0 ends the list"
    );
    assert_eq!(plan.verdict(&[1], Act::Exec, &object, None, NONE, Default::default()), None);
}

#[test]
fn what_is_within_a_network_is_within_those_around_it() {
    let texts = [
        &["10.0.0.0/8"][..],
        &["10.1.0.0/16", "10.1.2.0/24 80"],
        &["10.1.2.3/32"],
        &["0.0.0.0/0 80 tcp"],
    ];
    let rules =
        texts.iter().map(|texts| rule("rule", Act::Connect, Sense::Never, destinations(texts)));
    let plan = compiled(&set(rules.collect()), &Tier::PREVENT).unwrap();
    let address: Ipv6Addr = "::ffff:10.1.2.3".parse().unwrap();
    let found = |port, protocol| {
        numbers(&plan.classify_peer(address, port, protocol).rules).collect::<Vec<_>>()
    };
    assert_eq!(found(80, 6), [0, 1, 2, 3]);
    assert_eq!(found(80, 17), [0, 1, 2]);
    assert_eq!(found(80, 262), [0, 1, 2, 3], "MPTCP is TCP");
}

#[test]
fn the_directory_of_homes_may_be_a_home_itself() {
    let homes = Homes(vec![b"/home".to_vec()]);
    let rules = set(vec![rule("r", Act::Read, Sense::Never, paths(&["~/u/a", "~/u/b*"]))]);
    let ground = Ground {
        secret: 1,
        homes: &homes,
        tier: &Tier::PREVENT,
        serial: 1,
        agent_numbers: &[1],
        watch: false,
    };
    let plan = compile(&rules, &ground).unwrap();
    for (path, hit) in [("/home/u/a", true), ("/home/u/bc", true), ("/home/x/u/a", false)] {
        let object = Object::Path(path.as_bytes().to_vec());
        assert_eq!(
            plan.verdict(&[1], Act::Read, &object, None, NONE, Default::default()).is_some(),
            hit,
            "{path}"
        );
        assert_eq!(!listed(&plan, &rules, &object, &homes).is_empty(), hit, "{path}");
    }
}

#[test]
fn numbers_beyond_the_first_word() {
    let rules = (0..200).map(|n| Rule {
        exceptions: if n % 2 == 0 {
            vec![exception(paths(&[&format!("/{n}/x")]), &[])]
        } else {
            vec![]
        },
        ..rule("rule", Act::Read, Sense::Never, paths(&[&format!("/{n}/*")]))
    });
    let clauses = (0..100).map(|uid| agent("agent", vec![vec![Sign::User(uid)]])).collect();
    let rules = RuleSet { agents: clauses, rules: rules.collect(), ..RuleSet::default() };
    let plan = compiled(&rules, &Tier::PREVENT).unwrap();
    for n in 0..200 {
        for name in ["x", "y"] {
            let object = Object::Path(format!("/{n}/{name}").into_bytes());
            let meant = (n % 2 == 1 || name == "y").then_some(n);
            let winner = plan.verdict(&[1], Act::Read, &object, None, NONE, Default::default());
            assert_eq!(winner.map(|rule| plan.order[rule]), meant, "{n} {name}");
        }
    }
    (0..100)
        .for_each(|uid| assert_eq!(plan.recognise(&Start { uid, ..Start::default() }), [uid + 1]));
}
