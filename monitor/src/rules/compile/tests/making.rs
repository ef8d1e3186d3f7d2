//! Rule sets made by hand, for tests: nothing here is read from a file.

use std::{fmt::Debug, sync::Arc};

use monitor_common::{Act, Verdict};
use proptest::{prelude::*, sample::select};

use crate::rules::{
    compile::{CompileError, Ground, compile},
    evaluate::Tier,
    glob::{Glob, Homes},
    host_name::HostPattern,
    model::{
        Agent, Ask, Destination, Exception, Item, Mode, Objects, Place, Privilege, Program,
        Protocol, Rule, RuleSet, Sense, Severity, Sign, To, Trait,
    },
    plan::KernelPlan,
};

pub(super) const SECRET: u64 = 0x5eed_0123_4567_89ab;

pub(super) fn homes() -> Homes {
    Homes(vec![b"/root".to_vec(), b"/a/b".to_vec(), b"/".to_vec()])
}

pub(super) fn place(line: usize) -> Place {
    Place { file: Arc::from("test.yaml"), line: u32::try_from(line).unwrap(), column: 1 }
}

pub(super) fn items<T: Clone>(texts: &[&str], read: impl Fn(&str) -> Vec<T>) -> Vec<Item<T>> {
    let items = texts.iter().enumerate().flat_map(|(line, text)| {
        let item = |is| Item { is, text: (*text).to_owned(), list: None, place: place(line + 1) };
        read(text).into_iter().map(item).collect::<Vec<_>>()
    });
    items.collect()
}

pub(super) fn paths(texts: &[&str]) -> Objects {
    Objects::Paths(globs(texts))
}

pub(super) fn globs(texts: &[&str]) -> Vec<Item<Glob>> {
    items(texts, |text| Glob::parse(text).expect(text))
}

/// `10.0.0.0/8` or `*.example.com`, then maybe a port, then maybe a protocol.
pub(super) fn destinations(texts: &[&str]) -> Objects {
    Objects::Destinations(items(texts, |text| {
        let mut words = text.split(' ');
        let place = words.next().unwrap();
        let to = match place.parse() {
            Ok(ipnet::IpNet::V4(net)) => To::Net(
                ipnet::Ipv6Net::new(net.addr().to_ipv6_mapped(), net.prefix_len() + 96).unwrap(),
            ),
            Ok(ipnet::IpNet::V6(net)) => To::Net(net),
            Err(_) => To::Host(HostPattern::parse(place).expect(place)),
        };
        let port = words.next().filter(|&port| port != "*").map(|port| port.parse().unwrap());
        let protocol =
            words.next().map(|name| if name == "tcp" { Protocol::Tcp } else { Protocol::Udp });
        vec![Destination { to, port, protocol }]
    }))
}

/// One of the words of rules.
pub(super) fn a_word<T: Copy + Debug + 'static>(
    words: &[(&str, T)],
) -> impl Strategy<Value = T> + use<T> {
    select(words.iter().map(|(_, one)| *one).collect::<Vec<_>>())
}

pub(super) fn programs((paths, traits): (Objects, Vec<Trait>)) -> Objects {
    let Objects::Paths(paths) = paths else { panic!("paths") };
    let item = |is, text: String| Item { is, text, list: None, place: place(1) };
    let files = paths.into_iter().map(|glob| item(Program::File(glob.is), glob.text));
    let traits = traits.into_iter().map(|one| item(Program::Is(one), one.name().to_owned()));
    Objects::Programs(files.chain(traits).collect())
}

pub(super) fn rights(rights: &[Privilege]) -> Objects {
    let item = |is: &Privilege| Item { is: *is, text: is.to_string(), list: None, place: place(1) };
    Objects::Privileges(rights.iter().map(item).collect())
}

pub(super) fn rule(id: &str, act: Act, sense: Sense, objects: Objects) -> Rule {
    Rule {
        id: id.to_owned(),
        title: String::new(),
        agents: vec![0],
        act,
        sense,
        objects,
        exceptions: vec![],
        before: None,
        action: Verdict::Deny,
        ask: Ask::default(),
        fallback: Verdict::Alert,
        mode: Mode::Enforce,
        severity: Severity::Medium,
        help: None,
        runbook: None,
        tags: vec![],
        place: place(1),
    }
}

pub(super) fn exception(objects: Objects, exe: &[&str]) -> Exception {
    Exception {
        objects,
        exe: globs(exe),
        reason: "test".to_owned(),
        until: None,
        grant: None,
        place: place(1),
    }
}

pub(super) fn agent(name: &str, clauses: Vec<Vec<Sign>>) -> Agent {
    Agent { name: name.to_owned(), clauses, launched_as: vec![], place: place(1) }
}

pub(super) fn glob(text: &str) -> Glob {
    Glob::parse(text).expect(text).remove(0)
}

pub(super) fn set(rules: Vec<Rule>) -> RuleSet {
    RuleSet { agents: vec![agent("agent", vec![])], rules, ..RuleSet::default() }
}

/// Agents are numbered from 1.
pub(super) fn compiled(rules: &RuleSet, tier: &Tier) -> Result<KernelPlan, Vec<CompileError>> {
    let agent_numbers = (1..).take(rules.agents.len()).collect::<Vec<_>>();
    let ground = Ground {
        secret: SECRET,
        homes: &homes(),
        tier,
        serial: 7,
        agent_numbers: &agent_numbers,
        watch: false,
    };
    compile(rules, &ground)
}
