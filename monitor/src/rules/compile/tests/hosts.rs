//! Names of hosts in the plan: what it says of one is what the evaluator says, also of names that nobody can have.

use monitor_common::{Act, plan::header_flag};
use proptest::{collection::vec, prelude::*, sample::select, strategy::Union};

use super::making::{compiled, destinations, exception, rule, set};
use crate::rules::{
    evaluate::{Args, Attempt, Tier, evaluate},
    glob::Homes,
    model::{Moment, Object, Rule, RuleSet, Sense},
    plan::{KernelPlan, numbers},
    reach::{evaluate_here, needs_name},
};

/// Few labels, so that names meet often and miss narrowly.
const LABELS: &[&str] = &["a", "b", "ab", "ba", "a-b", "xn--a", "com", "co", "acom", "1"];

fn a_name() -> impl Strategy<Value = String> {
    vec(select(LABELS), 1..4).prop_map(|labels| labels.join("."))
}

/// As a rule has it.
pub(super) fn a_host_text() -> impl Strategy<Value = String> {
    // A number alone would be an address.
    let name = (select(&["", "*."][..]), a_name(), select(&[".com", ".a"][..]))
        .prop_map(|(below, name, end)| format!("{below}{name}{end}"));
    Union::new_weighted(vec![(20, name.boxed()), (1, Just(longest()).boxed())])
}

/// The longest name there is.
fn longest() -> String {
    let head = (0..249).map(|at| if at % 64 == 63 { '.' } else { 'a' });
    head.chain(".com".chars()).collect()
}

fn name_of_a_host() -> impl Strategy<Value = String> {
    Union::new_weighted(vec![
        (8, (a_name(), select(&[".com", ".a", ""][..])).prop_map(|(name, end)| name + end).boxed()),
        (1, "[ab.]{1,9}(\\.com)?".boxed()),
        (1, any::<String>().boxed()),
        (1, "\\PC{0,253}\\.a\\.com".boxed()),
        (1, "[\\x00-\\x20\u{7f}/@*]{1,4}(\\.a)?\\.com".boxed()),
        (
            1,
            (select(&["", ".", "b", "b."][..]))
                .prop_map(|head| head.to_owned() + &longest())
                .boxed(),
        ),
    ])
}

/// A host that somebody connects to.
pub(super) fn a_host() -> impl Strategy<Value = Object> {
    (name_of_a_host(), select(&[80, 443, 0, 81, 0x5000][..]), select(&[6, 17, 0, 1, 132, 262][..]))
        .prop_map(|(name, port, protocol)| Object::Host { name, port, protocol })
}

fn connect(sense: Sense, texts: &[&str]) -> Rule {
    rule("rule", Act::Connect, sense, destinations(texts))
}

fn plan(rules: &RuleSet) -> KernelPlan {
    compiled(rules, &Tier::PREVENT).unwrap()
}

fn host(name: &str, port: u16, protocol: u16) -> Object {
    Object::Host { name: name.to_owned(), port, protocol }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_name_is_in_the_lists_that_it_fits(
        texts in vec((a_host_text(), select(&["", " 80", " 443", " * tcp", " 443 udp", " 20480"][..])), 1..8),
        hosts in vec(a_host(), 1..24),
    ) {
        // Each is a rule of its own, in the order of the plan.
        let rules = texts.iter().map(|(name, end)| connect(Sense::Never, &[&format!("{name}{end}")]));
        let rules = set(rules.collect());
        let plan = plan(&rules);
        prop_assert!(plan.hosts <= texts.len());
        for object in hosts {
            let Object::Host { name, port, protocol } = &object else { unreachable!() };
            let bits = plan.classify_host(name.as_bytes(), *port, *protocol);
            let attempt = Attempt::new(&[0], Act::Connect, &object, Moment::UNIX_EPOCH);
            let alone = |index: usize| RuleSet { rules: vec![rules.rules[index].clone()], ..rules.clone() };
            let hit = |index: &usize| {
                evaluate(&alone(*index), &Tier::PREVENT, &Homes::default(), &attempt).rule.is_some()
            };
            let meant: Vec<_> = (0..texts.len()).filter(hit).collect();
            prop_assert_eq!(numbers(&bits.rules).collect::<Vec<_>>(), meant, "{:?}", object);
        }
    }
}

#[test]
fn a_suffix_is_no_domain() {
    let texts = ["*.github.com", "github.com", "*.com 443", "b.github.com * udp", "::/0 22"];
    let rules = set(texts.iter().map(|text| connect(Sense::Never, &[text])).collect());
    let plan = plan(&rules);
    for (name, port, protocol, lists) in [
        ("api.github.com", 80, 6, &[0][..]),
        ("a.b.github.com", 443, 6, &[0, 2]),
        ("github.com", 443, 6, &[1, 2]),
        ("notgithub.com", 80, 6, &[]),
        ("notgithub.com", 443, 262, &[2]),
        (".github.com", 80, 6, &[]),
        ("..github.com", 80, 6, &[0]),
        ("github.com.", 80, 6, &[]),
        ("github.com.evil.org", 443, 6, &[]),
        ("b.github.com", 53, 17, &[0, 3]),
        ("b.github.com", 53, 6, &[0]),
        ("com", 443, 6, &[]),
        ("com", 22, 6, &[4]),
        ("GITHUB.com", 80, 6, &[]),
        ("github.com\0", 80, 6, &[]),
        ("g", 1, 0, &[]),
    ] {
        let found: Vec<_> =
            numbers(&plan.classify_host(name.as_bytes(), port, protocol).rules).collect();
        assert_eq!(found, lists, "{name}:{port}/{protocol}");
    }
    let host_flags = header_flag::HOST
        | header_flag::HOST_PORT
        | header_flag::HOST_PROTOCOL
        | header_flag::HOST_PROTOCOL_PORT;
    assert_eq!(plan.header.flags & host_flags, host_flags & !header_flag::HOST_PROTOCOL_PORT);
    assert_eq!(plan.hosts, 3, "a host and what is below it are one literal, and `*` is no name");
}

#[test]
fn rules_that_need_a_name_wait_for_one() {
    let lifted = Rule {
        exceptions: vec![exception(destinations(&["a.example"]), &[])],
        ..connect(Sense::Never, &["10.1.0.0/16"])
    };
    let rules = set(vec![
        connect(Sense::Only, &["10.0.0.0/8", "a.example"]),
        connect(Sense::Never, &["b.example", "192.0.2.1/32"]),
        connect(Sense::Never, &["c.example"]),
        lifted,
        connect(Sense::Never, &["192.0.2.2/32"]),
    ]);
    assert_eq!(
        rules.rules.iter().map(needs_name).collect::<Vec<_>>(),
        [true, false, true, true, false]
    );
    let plan = plan(&rules);
    assert_eq!(numbers(&plan.header.named).collect::<Vec<_>>(), [0, 2, 3]);
    let peer = |address: &str| {
        let address: std::net::Ipv4Addr = address.parse().unwrap();
        Object::Peer { address: address.to_ipv6_mapped(), port: 443, protocol: 6 }
    };
    for (object, winner) in [
        (peer("198.51.100.1"), None),
        (peer("10.1.0.1"), None),
        (peer("192.0.2.1"), Some(1)),
        (peer("192.0.2.2"), Some(4)),
        (host("a.example", 443, 6), None),
        (host("b.example", 443, 6), Some(0)),
        (host("d.example", 443, 6), Some(0)),
        (Object::Unknown, Some(1)),
    ] {
        let said =
            plan.verdict(&[1], Act::Connect, &object, None, Args::Known(&[]), Default::default());
        assert_eq!(said.map(|rule| plan.order[rule]), winner, "{object:?}");
        let attempt = Attempt::new(&[0], Act::Connect, &object, Moment::UNIX_EPOCH);
        let meant = evaluate_here(&rules, &Tier::PREVENT, &Homes::default(), &attempt);
        assert_eq!(meant.rule, winner, "{object:?}");
    }
}
