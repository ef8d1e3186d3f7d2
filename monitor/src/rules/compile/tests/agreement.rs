//! Random rules and random acts: what the plan says is what the evaluator says.

use std::net::IpAddr;

use monitor_common::{Act, Verdict};
use proptest::{collection::vec, option, prelude::*, sample::select, strategy::Union};

use super::{
    hosts::{a_host, a_host_text},
    making::{
        a_word, agent, compiled, destinations, exception, glob, homes, paths, programs, rights,
        rule, set,
    },
};
use crate::rules::{
    evaluate::{Args, Attempt, Tier},
    glob::Homes,
    model::{
        Exception, How, Mode, Moment, Object, Objects, Privilege, Rule, RuleSet, Sense, Severity,
        Sign, Trait, Traits,
    },
    plan::{KernelPlan, numbers},
    reach::evaluate_here,
    recognise::Start,
};

/// No arguments.
const NONE: Args<'_> = Args::Known(&[]);

/// The acts that hooks see.
const SEEN: [Act; 4] = [Act::Exec, Act::Read, Act::Write, Act::Connect];

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2000,
        max_global_rejects: cases / 10,
        ..ProptestConfig::default()
    }
}

/// Few names, so that globs and paths meet often and miss narrowly.
const NAMES: &[&str] =
    &["a", "b", "ab", "ba", ".a", "a.b", "a.b.a", "b.a", "ac.a", "b.", "home", "root", "~", "@"];
const PATTERNS: &[&str] = &[
    "a", "b", "ab", ".a", "a.b", "home", "root", "*", "?", "a*", "*a", "*a*", "*ab*", "*.a", "*.b",
    "*.b.a", "*.", "[ab]", "[!a]", "a?", "?b*", "*[.b]*", "**",
];

fn glob_text() -> impl Strategy<Value = String> {
    let anchor = Union::new_weighted(vec![(3, Just("")), (1, Just("~")), (2, Just("/**"))]);
    (anchor, vec(select(PATTERNS), 1..4), option::weighted(0.25, Just("**"))).prop_map(
        |(anchor, parts, below)| {
            let parts = parts.into_iter().chain(below).collect::<Vec<_>>();
            format!("{anchor}/{}", parts.join("/"))
        },
    )
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    let home = select(&["", "", "", "/home/u", "/root", "/home", "/a/b", "/home/u/home/v"][..]);
    let name = Union::new_weighted(vec![
        (24, select(NAMES).prop_map(str::to_owned).boxed()),
        (1, "[ab.]{0,5}[ab]".boxed()),
    ]);
    (home, vec(name, 0..5)).prop_map(|(home, names)| {
        let path = names.iter().fold(home.to_owned(), |path, name| path + "/" + name);
        if path.is_empty() { b"/".to_vec() } else { path.into_bytes() }
    })
}

fn path_objects(items: std::ops::Range<usize>) -> impl Strategy<Value = Objects> {
    vec(glob_text(), items)
        .prop_map(|texts| paths(&texts.iter().map(String::as_str).collect::<Vec<_>>()))
}

fn destination_objects(items: std::ops::Range<usize>) -> impl Strategy<Value = Objects> {
    let net = select(
        &[
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.2.3/32",
            "10.1.2.2/31",
            "0.0.0.0/0",
            "::/0",
            "fd00::/8",
            "fd00:1::1/128",
        ][..],
    );
    let net = Union::new_weighted(vec![
        (2, net.prop_map(str::to_owned).boxed()),
        (1, a_host_text().boxed()),
    ]);
    let item = (net, select(&["", " 80", " 443"][..]), select(&["", " tcp", " udp"][..])).prop_map(
        |(net, port, protocol)| match (port, protocol) {
            ("", "") => net,
            ("", protocol) => format!("{net} *{protocol}"),
            (port, protocol) => format!("{net}{port}{protocol}"),
        },
    );
    vec(item, items)
        .prop_map(|texts| destinations(&texts.iter().map(String::as_str).collect::<Vec<_>>()))
}

fn objects(act: Act, items: std::ops::Range<usize>) -> BoxedStrategy<Objects> {
    match act {
        Act::Connect => destination_objects(items).boxed(),
        Act::Privilege => {
            vec(a_word(&Privilege::WORDS), items).prop_map(|these| rights(&these)).boxed()
        }
        Act::Exec => {
            (path_objects(items), vec(a_word(&Trait::WORDS), 0..2)).prop_map(programs).boxed()
        }
        _ => path_objects(items).boxed(),
    }
}

fn an_exception(act: Act) -> impl Strategy<Value = Exception> {
    (objects(act, 0..3), vec(glob_text(), 0..2)).prop_map(|(objects, exe)| {
        exception(objects, &exe.iter().map(String::as_str).collect::<Vec<_>>())
    })
}

fn a_rule() -> impl Strategy<Value = Rule> {
    select(&[Act::Exec, Act::Read, Act::Read, Act::Connect, Act::Privilege][..]).prop_flat_map(
        |act| {
            (
                (
                    select(&[Sense::Only, Sense::Never, Sense::Never][..]),
                    objects(act, 0..6),
                    vec(an_exception(act), 0..3),
                ),
                select(vec![vec![0], vec![1], vec![0, 1]]),
                select(&[Verdict::Alert, Verdict::Deny, Verdict::Kill][..]),
                select(&[Verdict::Alert, Verdict::Kill][..]),
                select(&[Mode::Monitor, Mode::Enforce][..]),
                select(&[Severity::Info, Severity::Medium, Severity::Critical][..]),
            )
                .prop_map(
                    move |(
                        (sense, objects, exceptions),
                        agents,
                        action,
                        fallback,
                        mode,
                        severity,
                    )| {
                        Rule {
                            agents,
                            exceptions,
                            action,
                            fallback,
                            mode,
                            severity,
                            ..rule("rule", act, sense, objects)
                        }
                    },
                )
        },
    )
}

fn rule_set() -> impl Strategy<Value = RuleSet> {
    vec(a_rule(), 1..8).prop_map(|rules| RuleSet {
        agents: vec![agent("one", vec![]), agent("other", vec![])],
        rules,
        ..RuleSet::default()
    })
}

fn peer() -> impl Strategy<Value = Object> {
    let address = select(
        &[
            "10.1.2.3",
            "10.1.2.2",
            "10.1.2.4",
            "10.2.0.1",
            "11.0.0.1",
            "fd00:1::1",
            "fd00:1::2",
            "fe80::1",
            "::1",
        ][..],
    );
    (address, select(&[80, 443, 0, 81][..]), select(&[6, 17, 0, 1, 132][..])).prop_map(
        |(address, port, protocol)| {
            let address = match address.parse().unwrap() {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => address,
            };
            Object::Peer { address, port, protocol }
        },
    )
}

#[derive(Clone, Debug)]
struct Try {
    agents: Vec<usize>,
    act: Act,
    object: Object,
    exe: Option<Vec<u8>>,
    how: How,
    traits: Traits,
}

fn a_try() -> impl Strategy<Value = Try> {
    let object = Union::new_weighted(vec![
        (12, (select(&SEEN[..]).boxed(), path().prop_map(Object::Path).boxed())),
        (6, (Just(Act::Connect).boxed(), peer().boxed())),
        (6, (Just(Act::Connect).boxed(), a_host().boxed())),
        (
            3,
            (
                Just(Act::Privilege).boxed(),
                a_word(&Privilege::WORDS).prop_map(Object::Privilege).boxed(),
            ),
        ),
        (1, (select(&SEEN[..]).boxed(), Just(Object::Unknown).boxed())),
    ]);
    let traits = vec(a_word(&Trait::WORDS), 0..3)
        .prop_map(|traits| traits.into_iter().fold(Traits::NONE, Traits::with));
    let agents = select(vec![vec![0], vec![1], vec![1, 0], vec![]]);
    let how = (select(&[How::Usual, How::Load][..]), traits);
    (object, agents, option::weighted(0.8, path()), how).prop_map(
        |((act, object), agents, exe, how)| {
            let (how, traits) = if act == Act::Exec { how } else { Default::default() };
            Try { agents, act, object, exe, how, traits }
        },
    )
}

/// The winner, by evaluating every rule that can be judged.
fn meant(rules: &RuleSet, tier: &Tier, a_try: &Try) -> (Option<usize>, Verdict) {
    let Try { agents, act, object, exe, how, traits } = a_try;
    let attempt = Attempt {
        exe: exe.as_deref(),
        how: *how,
        traits: *traits,
        ..Attempt::new(agents, *act, object, Moment::UNIX_EPOCH)
    };
    let ruling = evaluate_here(rules, tier, &homes(), &attempt);
    (ruling.rule, ruling.done)
}

/// The winner, by the plan.
fn planned(plan: &KernelPlan, a_try: &Try) -> (Option<usize>, Verdict) {
    let agents =
        a_try.agents.iter().map(|&agent| u32::try_from(agent + 1).unwrap()).collect::<Vec<_>>();
    let Try { act, object, exe, how, traits, .. } = a_try;
    let winner = plan.verdict(&agents, *act, object, exe.as_deref(), NONE, (*how, *traits));
    let done = winner.map_or(Verdict::Allow, |rule| plan.rules[rule].done.try_into().unwrap());
    (winner.map(|rule| plan.order[rule]), done)
}

/// The rules whose list an object is in, by asking every item.
pub(super) fn listed(
    plan: &KernelPlan,
    rules: &RuleSet,
    object: &Object,
    homes: &Homes,
) -> Vec<usize> {
    let is_listed = |&number: &usize| match (&rules.rules[plan.order[number]].objects, object) {
        (Objects::Paths(items), Object::Path(path)) => {
            items.iter().any(|item| item.is.matches(path, homes))
        }
        (Objects::Programs(items), Object::Path(path)) => {
            items.iter().any(|item| item.is.matches(path, NONE, false, Traits::NONE, homes))
        }
        (Objects::Destinations(items), peer) => {
            items.iter().any(|item| item.is.covers(peer, homes))
        }
        _ => false,
    };
    (0..plan.rules.len()).filter(is_listed).collect()
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn plan_and_evaluator_agree(rules in rule_set(), tries in vec(a_try(), 40), react in any::<bool>()) {
        let tier = if react { Tier::REACT } else { Tier::PREVENT };
        let plan = compiled(&rules, &tier);
        // Too many states: that is an answer as well, and a rare one.
        prop_assume!(plan.is_ok());
        let plan = plan.unwrap();
        for a_try in tries {
            prop_assert_eq!(planned(&plan, &a_try), meant(&rules, &tier, &a_try), "{:?}\n{}", a_try, plan);
            let bits = match &a_try.object {
                Object::Path(path) => plan.classify_path(path),
                Object::Peer { address, port, protocol } => plan.classify_peer(*address, *port, *protocol),
                Object::Host { name, port, protocol } => plan.classify_host(name.as_bytes(), *port, *protocol),
                _ => continue,
            };
            prop_assert_eq!(
                numbers(&bits.rules).collect::<Vec<_>>(),
                listed(&plan, &rules, &a_try.object, &homes()),
                "{:?}", a_try
            );
        }
    }
}

/// A path that was made to fit a glob, or nearly so.
fn fitting(glob: &str, filling: &[&str], spoil: Option<usize>) -> Vec<u8> {
    let mut filling = filling.iter().cycle();
    let mut path = if glob.starts_with('~') { "/root".to_owned() } else { String::new() };
    for part in glob.trim_start_matches('~').split('/').skip(1) {
        let made = match part {
            "**" => ["", "/a", "/b/a"][filling.next().unwrap().len() % 3].to_owned(),
            "[ab]" | "?" => "/a".to_owned(),
            "[!a]" => "/b".to_owned(),
            part => {
                let set = part.replace("[.b]", ".").replace('?', "a");
                format!("/{}", set.replace('*', filling.next().unwrap()))
            }
        };
        path += if made == "/" { "/a" } else { &made };
    }
    // At the end `**` is at least one component.
    if glob.ends_with("/**") {
        path += "/b";
    }
    let mut path = path.into_bytes();
    if let Some(spoil) = spoil
        && !path.is_empty()
    {
        let at = spoil % path.len();
        if path[at] != b'/' {
            path[at] = b'c';
        }
    }
    if path.is_empty() { b"/".to_vec() } else { path }
}

proptest! {
    #![proptest_config(config(1500))]

    #[test]
    fn near_misses_are_told_apart(
        texts in vec(glob_text(), 1..12),
        filling in vec(select(&["", "a", "b", ".a", "ab"][..]), 4),
        spoil in option::of(0_usize..16),
    ) {
        // Each glob is a rule of its own, in the order of the plan.
        let rules = texts.iter().map(|text| rule("rule", Act::Read, Sense::Never, paths(&[text])));
        let rules = set(rules.collect());
        let plan = compiled(&rules, &Tier::PREVENT);
        prop_assume!(plan.is_ok());
        let plan = plan.unwrap();
        for text in &texts {
            let object = Object::Path(fitting(text, &filling, spoil));
            let Object::Path(path) = &object else { unreachable!() };
            let found = numbers(&plan.classify_path(path).rules).collect::<Vec<_>>();
            prop_assert_eq!(found, listed(&plan, &rules, &object, &homes()), "{}", String::from_utf8_lossy(path));
            if spoil.is_none() {
                prop_assert!(glob(text).matches(path, &homes()), "made to fit: {} {}", text, String::from_utf8_lossy(path));
            }
        }
    }
}

fn a_sign() -> impl Strategy<Value = Sign> {
    prop_oneof![
        glob_text().prop_map(|text| Sign::Exe(glob(&text))),
        glob_text().prop_map(|text| Sign::Cgroup(glob(text.trim_start_matches('~')))),
        (0_u32..4).prop_map(Sign::User),
    ]
}

fn shows(sign: &Sign, exe: &[u8], cgroup: &[u8], uid: u32) -> bool {
    match sign {
        Sign::Exe(glob) => glob.matches(exe, &homes()),
        Sign::Cgroup(glob) => glob.matches(cgroup, &Homes::default()),
        Sign::User(user) => *user == uid,
        weak => panic!("{weak:?} is not made here"),
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn agents_are_recognised(
        agents in vec(vec(vec(a_sign(), 1..4), 0..4), 1..6),
        processes in vec((path(), path(), 0_u32..5), 10),
    ) {
        let agents = agents.into_iter().map(|clauses| agent("agent", clauses)).collect::<Vec<_>>();
        let rules = RuleSet { agents, ..RuleSet::default() };
        let plan = compiled(&rules, &Tier::PREVENT);
        prop_assume!(plan.is_ok());
        let plan = plan.unwrap();
        for (exe, cgroup, uid) in processes {
            let is = |clause: &Vec<Sign>| clause.iter().all(|sign| shows(sign, &exe, &cgroup, uid));
            let meant = (1_u32..).zip(&rules.agents).filter(|(_, agent)| agent.clauses.iter().any(is));
            let meant = meant.map(|(number, _)| number).collect::<Vec<_>>();
            prop_assert_eq!(plan.recognise(&Start { exe: &exe, cgroup: &cgroup, uid, ..Start::default() }), meant);
        }
    }
}
