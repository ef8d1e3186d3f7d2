//! Ten thousand items, as a large set of rules might have them.

use monitor_common::Act;

use super::making::{compiled, paths, rule, set};
use crate::rules::{evaluate::Tier, model::Sense, plan::KernelPlan};

const WORDS: &[&str] = &[
    "secret",
    "token",
    "config",
    "cache",
    "session",
    "backup",
    "deploy",
    "service",
    "account",
    "billing",
    "report",
    "archive",
    "private",
    "public",
    "release",
    "staging",
    "vault",
    "key",
    "credential",
    "wallet",
    "history",
    "profile",
    "cookie",
    "login",
    "agent",
    "tunnel",
    "bridge",
    "kernel",
    "module",
    "driver",
    "runner",
    "worker",
];

/// Draws numbers without a random generator, the same ones every time.
struct Draw(u64);

impl Draw {
    fn word(&mut self) -> String {
        let word = WORDS[self.below(WORDS.len())];
        match self.below(3) {
            0 => word.to_owned(),
            1 => format!("{word}-{}", WORDS[self.below(WORDS.len())]),
            _ => format!("{word}{}", self.below(100)),
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn literal(&mut self) -> String {
        let (a, b, c) = (self.word(), self.word(), self.word());
        match self.below(6) {
            0 => format!("/etc/{a}/{b}"),
            1 => format!("/var/lib/{a}/{b}/**"),
            2 => format!("~/.{a}/{b}/**"),
            3 => format!("~/.config/{a}/{b}.json"),
            4 => format!("**/{a}.{b}"),
            _ => format!("/opt/{a}/{b}/{c}"),
        }
    }

    fn glob(&mut self) -> String {
        let (a, b) = (self.word(), self.word());
        match self.below(8) {
            0 => format!("/var/log/{a}/*.{b}"),
            1 => format!("~/.{a}/*_{b}"),
            2 => format!("~/.{a}*"),
            3 => format!("/srv/*/{a}/**"),
            4 => format!("**/{a}_*"),
            5 => format!("**/*{a}*"),
            6 => format!("**/.{a}/**"),
            _ => format!("**/.{a}/*.{}.bak", ["json", "yaml", "conf"][self.below(3)]),
        }
    }
}

fn plan(items: usize, globs: usize, rules: usize) -> KernelPlan {
    let mut draw = Draw(1);
    let mut lists = vec![vec![]; rules];
    for item in 0..items {
        let text = if item % items < globs { draw.glob() } else { draw.literal() };
        lists[item % rules].push(text);
    }
    let list = |list: &Vec<String>| paths(&list.iter().map(String::as_str).collect::<Vec<_>>());
    let rules = lists.iter().map(|items| rule("rule", Act::Read, Sense::Never, list(items)));
    let rules = set(rules.collect());
    compiled(&rules, &Tier::PREVENT).unwrap_or_else(|errors| panic!("{}", errors[0]))
}

#[test]
fn ten_thousand_items_fit() {
    let plan = plan(10_000, 400, 16);
    assert!(plan.literals.len() > 5000, "{} literals", plan.literals.len());
    assert!(plan.classes.len() < 200, "{} classes", plan.classes.len());
    assert!(plan.sizes.iter().all(|size| size.cells < 300_000), "{:?}", plan.sizes);
}

/// Six kinds in equal parts, as the benchmark has them. What is anchored shares its tail within a rule, what
/// floats has a directory and an ending of its own each: that is what takes the states.
#[test]
fn ten_thousand_items_of_every_kind_fit() {
    let mut lists = vec![vec![]; 8];
    for item in 0..10_000 {
        let n = item / 5;
        lists[n % 8].push(match item % 5 {
            0 => format!("/srv/a{n}/*/conf.d/**"),
            1 => format!("**/x{n}/*.y{n}"),
            2 => format!("/srv/e{n}/secret"),
            3 => format!("/srv/p{n}/**"),
            _ => format!("**/*.z{n}"),
        });
    }
    let list = |list: &Vec<String>| paths(&list.iter().map(String::as_str).collect::<Vec<_>>());
    let rules = lists.iter().map(|items| rule("rule", Act::Read, Sense::Never, list(items)));
    let plan = compiled(&set(rules.collect()), &Tier::PREVENT).expect("room");
    assert!(plan.sizes[0].states < 1_000, "{:?}", plan.sizes);
    assert!(plan.sizes[1].states < 12_000, "{:?}", plan.sizes);
}
