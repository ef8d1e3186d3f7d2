//! What does not fit is refused at its place, each limit once.

use monitor_common::{Act, plan};

use super::making::{
    agent, compiled, destinations, exception, glob, globs, paths, place, rule, set,
};
use crate::rules::{
    compile::{CompileError, Ground, compile, refusal::USERS},
    evaluate::Tier,
    glob::Homes,
    model::{RuleSet, Sense, Sign},
};

fn refused(rules: &RuleSet) -> CompileError {
    let mut errors = compiled(rules, &Tier::PREVENT).expect_err("more than fits");
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

fn texts(count: usize, text: impl Fn(usize) -> String) -> Vec<String> {
    (0..count).map(text).collect()
}

fn str_of(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

#[test]
fn rules() {
    let mut rules = set(vec![rule("r", Act::Read, Sense::Never, paths(&[])); plan::RULES]);
    assert!(compiled(&rules, &Tier::PREVENT).is_ok());
    rules.rules.push(rule("r", Act::Read, Sense::Never, paths(&[])));
    rules.rules.last_mut().unwrap().place = place(999);
    assert_eq!(refused(&rules).to_string(), "test.yaml:999:1: more than 256 rules");
}

#[test]
fn aux_sets() {
    let one = exception(paths(&["/a"]), &["/b"]);
    let mut rule = rule("r", Act::Read, Sense::Never, paths(&[]));
    rule.exceptions = vec![one.clone(); plan::AUX / 2];
    assert!(compiled(&set(vec![rule.clone()]), &Tier::PREVENT).is_ok());
    rule.exceptions.push(one);
    rule.exceptions.last_mut().unwrap().place = place(999);
    assert_eq!(refused(&set(vec![rule])).place, place(999));
}

#[test]
fn clauses_share_signs() {
    let sign = |n| if n % 2 == 0 { Sign::User(1) } else { Sign::Exe(glob("/a")) };
    let clauses = (0..plan::CLAUSES).map(|n| vec![sign(n)]).collect::<Vec<_>>();
    let mut rules = RuleSet { agents: vec![agent("a", clauses)], ..RuleSet::default() };
    let plan = compiled(&rules, &Tier::PREVENT).unwrap();
    assert_eq!((plan.aux.len(), plan.clauses.len(), plan.header.clauses), (2, 256, 256));
    rules.agents[0].clauses.push(vec![sign(0)]);
    assert_eq!(refused(&rules).message, "more than 256 ways to recognise agents");
}

#[test]
fn a_clause_without_signs_would_be_everybody() {
    let rules = RuleSet { agents: vec![agent("a", vec![vec![]])], ..RuleSet::default() };
    assert_eq!(refused(&rules).message, "a way to recognise this agent that fits every process");
}

#[test]
fn agents_have_numbers_that_there_is_room_for() {
    let rules = set(vec![rule("r", Act::Read, Sense::Never, paths(&["/a"]))]);
    for (numbers, fits) in
        [(&[1][..], true), (&[255], true), (&[0], false), (&[256], false), (&[], false)]
    {
        let homes = Homes::default();
        let ground = Ground {
            secret: 1,
            homes: &homes,
            tier: &Tier::REACT,
            serial: 1,
            agent_numbers: numbers,
            watch: false,
        };
        assert_eq!(compile(&rules, &ground).is_ok(), fits, "{numbers:?}");
    }
}

#[test]
fn literals_and_their_place() {
    let many = texts(65_537, |n| format!("/x/{n}"));
    let full = set(vec![rule("r", Act::Read, Sense::Never, paths(&str_of(&many[..65_536])))]);
    assert!(compiled(&full, &Tier::PREVENT).is_ok());
    let over = set(vec![rule("r", Act::Read, Sense::Never, paths(&str_of(&many)))]);
    assert_eq!(refused(&over).place, place(65_537));
}

#[test]
fn host_names_are_literals() {
    let many = texts(65_537, |n| format!("h{n}.example {}", 1 + n % 2));
    let hosts = |texts: &[String]| {
        set(vec![rule("r", Act::Connect, Sense::Never, destinations(&str_of(texts)))])
    };
    let plan = compiled(&hosts(&many[..65_536]), &Tier::PREVENT).unwrap();
    assert_eq!((plan.hosts, plan.literals.len()), (65_536, 65_536));
    let error = refused(&hosts(&many));
    assert_eq!(error.place, place(65_537));
    assert_eq!(error.message, "more than 65536 paths without wildcards and host names");
    assert_eq!(refused(&hosts(&["a.example 0".to_owned()])).message, "port 0 is no port");
}

#[test]
fn home_directories_take_room_as_well() {
    let many = texts(65_536, |n| format!("~/{n}"));
    let over = set(vec![rule("r", Act::Read, Sense::Never, paths(&str_of(&many)))]);
    let message = "more than 65536 paths without wildcards and host names";
    assert_eq!(refused(&over).message, message);
}

#[test]
fn ranges() {
    let many = texts(65_537, |n| format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255));
    let over = set(vec![rule("r", Act::Connect, Sense::Never, destinations(&str_of(&many)))]);
    assert_eq!(refused(&over).place, place(65_537));
    let none = set(vec![rule("r", Act::Connect, Sense::Never, destinations(&["10.0.0.0/8 0"]))]);
    assert_eq!(refused(&none).message, "port 0 is no port");
}

#[test]
fn users() {
    // More users than aux sets would need more signs than fit: that limit is met first.
    const { assert!(USERS > plan::AUX) };
    let clause = (0..257).map(Sign::User).collect();
    let rules = RuleSet { agents: vec![agent("a", vec![clause])], ..RuleSet::default() };
    assert_eq!(refused(&rules).message, "more than 256 exceptions and signs of agents");
}

#[test]
fn classes() {
    // Every pair of 128 rules shares a path of its own: 8,128 combinations.
    let mut lists = vec![vec![]; 128];
    for one in 0..128 {
        for other in one + 1..128 {
            let path = format!("/{one}/{other}");
            lists[one].push(path.clone());
            lists[other].push(path);
        }
    }
    let rule = |list: &Vec<String>| rule("r", Act::Read, Sense::Never, paths(&str_of(list)));
    let error = refused(&set(lists.iter().map(rule).collect()));
    assert_eq!(error.message, "more than 4095 combinations of rules that an object can be in");
}

#[test]
fn the_glob_that_is_too_many_is_named() {
    // The first one sees to it that rows are long.
    let mut many = vec!["/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz*".to_owned()];
    many.extend(texts(2_499, |n| format!("/d{n}/x{}*", n * 7)));
    let globs =
        |count| set(vec![rule("r", Act::Read, Sense::Never, paths(&str_of(&many[..count])))]);
    let error = refused(&globs(2_500));
    let line = usize::try_from(error.place.line).unwrap();
    assert!(compiled(&globs(line - 1), &Tier::PREVENT).is_ok());
    assert_eq!(refused(&globs(line)).place, place(line));
    let message = "with this one the 2500 paths with wildcards inside are too many: ";
    assert!(error.message.starts_with(message), "{error}");
}

#[test]
fn floating_directories_of_many_rules_fit() {
    // Each rule looks for a directory of its own, at any depth: a path can have all of them.
    let floating = |n| rule("r", Act::Read, Sense::Never, paths(&[&format!("**/d{n}x/**")]));
    let plan = compiled(&set((0..200).map(floating).collect()), &Tier::PREVENT).unwrap();
    assert!(plan.sizes[1].states < 2000, "{plan}");
}

#[test]
fn a_cgroup_has_no_home() {
    let clauses = vec![vec![Sign::Cgroup(glob("~/a"))]];
    let rules = RuleSet { agents: vec![agent("a", clauses)], ..RuleSet::default() };
    assert_eq!(refused(&rules).message, "`~` in the path of a cgroup");
    assert_eq!(globs(&["/a"]).len(), 1);
}
