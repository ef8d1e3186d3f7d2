//! The table holds together: what it says is in its samples, what it names is there.

use std::collections::{BTreeMap, BTreeSet};

use super::{Answer, Holds, below, explain, field, fields, find, holds, keys, samples, schema};
use crate::rules::{
    Users, examples, load,
    model::{Moment, Privilege, Trait},
    parse::{ACTS, FILE, TEST},
    parse_agent::{CONTAINER, LINE},
    parse_rule::{ASK, BODY, EXCEPTION, GRANT, PROGRAM, RULE, SEQUENCE},
    source::{SourceFile, Sources, Span},
    yaml::{self, Kind, Node},
};

fn tree(text: &str) -> Node {
    let file = SourceFile { name: "sample.yaml".into(), text: text.into() };
    let mut sources = Sources::default();
    let number = sources.add(&file);
    let source = sources.of(Span { file: number, start: 0, end: 0 });
    yaml::read(&file, source, number).expect("samples are YAML")
}

/// Whether a value has the field at `path` somewhere; names that people choose are passed over.
fn has(node: &Node, path: &[&str]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    match &node.kind {
        Kind::List(items) => items.iter().any(|item| has(item, path)),
        Kind::Map(entries) => entries.iter().any(|(key, value)| {
            let is_key = matches!(&key.kind, Kind::Text(key) if key == first);
            has(value, if is_key { rest } else { path })
        }),
        _ => false,
    }
}

#[test]
fn every_field_is_in_its_sample() {
    for field in fields() {
        assert!(samples::ALL.contains(&field.sample), "{}", field.path);
        // Lines are the same under `any` and `all`, steps are the same for every act.
        let path = field.path.replace("agents.all.container", "agents.any.container");
        let mut parts: Vec<&str> = path.split('.').collect();
        if path.starts_with("tests.after.")
            || path.ends_with(".not")
            || path.starts_with("agents.all.agent")
        {
            parts.truncate(2);
        }
        if path.starts_with("agents.any.") || path.starts_with("agents.all.") {
            parts.remove(1);
        }
        assert!(has(&tree(field.sample), &parts), "{} is not in\n{}", field.path, field.sample);
    }
}

/// A moment at which the grants of the samples are neither spent nor too long.
fn now() -> Moment {
    "2026-11-20T12:00:00Z".parse().expect("it is a time")
}

#[test]
fn every_sample_loads_and_its_tests_pass() {
    let users = Users(BTreeMap::from([("root".to_owned(), 0)]));
    for sample in samples::ALL {
        let file = SourceFile { name: "sample.yaml".into(), text: sample.into() };
        let rules = load(&[file], &users, now());
        let rules = rules.unwrap_or_else(|problems| panic!("{problems}\n{sample}"));
        for outcome in examples::run(&rules, now()) {
            let name = &rules.tests[outcome.test].name;
            assert!(outcome.passed, "{name}: got {}\n{sample}", outcome.got.name());
        }
    }
}

#[test]
fn the_parser_takes_the_keys_of_the_table_and_no_others() {
    fn set<'a>(keys: &[&'a str]) -> BTreeSet<&'a str> {
        keys.iter().copied().collect()
    }
    let same = |of: &str, taken: &[&str]| assert_eq!(set(&keys(of)), set(taken), "keys of `{of}`");
    same("", &FILE);
    same("agents", &["any", "all"]);
    same("agents.any", &LINE);
    same("agents.any.container", &CONTAINER);
    same("agents.all.container", &CONTAINER);
    same("rules", &RULE);
    same("rules.ask", &ASK);
    same("rules.sequence", &SEQUENCE);
    same("rules.sequence.steps", &ACTS);
    same("grants", &GRANT);
    same("tests", &TEST);
    same("tests.after", &ACTS);
    for act in ACTS {
        same(&format!("rules.{act}"), &BODY);
        same(&format!("rules.sequence.steps.{act}"), &["not"]);
        assert!(set(&EXCEPTION).is_superset(&set(&keys(&format!("rules.{act}.except")))));
    }
    for list in ["only", "never"] {
        same(&format!("rules.exec.{list}"), &PROGRAM);
    }
    // A group is a choice between agents.
    let mut all = LINE.to_vec();
    all.retain(|key| *key != "agent");
    same("agents.all", &all);
    assert_eq!(holds::PRIVILEGES, Privilege::WORDS.map(|(word, _)| word));
    let is = Holds::List(1, &Holds::Word(&["memfd", "deleted", "setuid", "writable"]));
    assert_eq!(field("tests.is").map(|field| field.holds), Some(is));
    assert_eq!(Trait::WORDS.map(|(word, _)| word), ["memfd", "deleted", "setuid", "writable"]);
}

#[test]
fn every_sample_is_used() {
    for sample in samples::ALL {
        assert!(fields().iter().any(|field| field.sample == sample), "{sample}");
    }
}

#[test]
fn what_a_field_names_is_there() {
    for field in fields() {
        for see in field.see {
            assert!(super::field(see).is_some(), "{} of {}", see, field.path);
        }
        for key in field.one_of {
            assert!(keys(&field.path).contains(key), "{key} of {}", field.path);
        }
        let is_known = field.parent().is_empty() || super::field(field.parent()).is_some();
        assert!(is_known, "{} hangs in the air", field.path);
        let twice = fields().iter().filter(|other| other.path == field.path).count();
        assert_eq!(twice, 1, "{}", field.path);
        assert!(field.meaning.ends_with('.'), "{}", field.path);
    }
    assert!(field("rules.connect.only").is_some());
    assert_eq!(below("rules.ask").count(), 5);
}

#[test]
fn keys_stand_in_the_order_of_style() {
    assert_eq!(keys(""), ["version", "mode", "agents", "lists", "rules", "grants", "tests"]);
    let rule = keys("rules");
    let place = |key: &str| rule.iter().position(|known| *known == key);
    assert!(place("agents") < place("exec") && place("sequence") < place("action"));
    assert!(place("action") < place("ask") && place("mode") < place("severity"));
    assert_eq!(keys("rules.exec.except"), ["path", "reason", "until"]);
    assert_eq!(keys("rules.connect.except"), ["to", "exe", "reason", "until"]);
    assert_eq!(keys("rules.severity"), Vec::<&str>::new());
}

#[test]
fn parts_of_a_path_may_be_left_out() {
    let one = |asked: &str| match find(asked) {
        Answer::One(field) => field.path.to_string(),
        other => format!("{other:?}"),
    };
    assert_eq!(one("agents.exe"), "agents.any.exe");
    assert_eq!(one("agents.all.exe"), "agents.all.exe");
    assert_eq!(one("severity"), "rules.severity");
    assert_eq!(one("grants.until"), "grants.until");
    assert_eq!(one("image"), "agents.any.container.image");
    let Answer::Several(found) = find("rules.only") else { panic!("every act has `only`") };
    assert_eq!(found.len(), 6);
    let meant = |asked: &str| match find(asked) {
        Answer::Unknown(near) => near,
        other => panic!("{other:?}"),
    };
    assert_eq!(meant("rules.conect.only"), Some("rules.connect.only"));
    assert_eq!(meant("severty"), Some("severity"));
    assert_eq!(meant("rules.severity.x"), Some("rules.severity"));
    assert_eq!(meant("unheard-of-thing"), None);
    assert_eq!(meant(""), None);
}

#[test]
fn fields_are_explained() {
    let text = |path: &str| explain::text(field(path).expect("it is in the table"));
    insta::assert_snapshot!("explain_tree", explain::tree());
    insta::assert_snapshot!("explain_field", text("rules.connect.only"));
    insta::assert_snapshot!("explain_map", text("grants"));
    insta::assert_snapshot!("explain_condition", text("rules.ask"));
    let json = explain::json(field("rules.fallback").expect("it is in the table"));
    insta::assert_snapshot!("explain_json", format!("{json:#}"));
}

#[test]
fn the_schema_is_made_of_the_table() {
    insta::assert_snapshot!("schema", format!("{:#}", schema::schema()));
}
