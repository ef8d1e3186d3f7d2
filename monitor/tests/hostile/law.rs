//! What must hold of every text that may be handed in as a rule file, whatever is in it.
//!
//! One law for two sources of texts: the mutations of `tests/hostile.rs` and the fuzz target `rules`. A text is
//! refused with problems that a person can read, or it is loaded and means the same after `driftwatch fmt`.

use std::collections::BTreeMap;

use monitor::rules::{
    Problems, SourceFile, Users,
    compile::{Ground, compile},
    evaluate::{Attempt, Tier, evaluate},
    examples,
    format::{self, Holds},
    glob::Homes,
    load,
    model::{Moment, Object, RuleSet},
    reach::within,
    show::Show,
    style,
};
use monitor_common::Act;
use serde_json::Value;

/// 2026-11-22, noon: the day of the data in the files that come with Driftwatch.
pub(crate) const NOW: Moment = Moment::constant(1_795_348_800, 0);
/// What the text is called.
pub(crate) const NAME: &str = "hostile.yaml";
/// Bytes of a report besides what it repeats of the file: some thousand for each problem that is shown.
const REPORT: usize = 1 << 20;

/// Reads `text` as the daemon would, and panics where something does not hold. Gives what was loaded.
pub(crate) fn hold(text: &[u8]) -> Option<RuleSet> {
    let file = SourceFile { name: NAME.into(), text: text.to_vec() };
    match read(&file) {
        Ok(rules) => {
            is_fixed(&file, &rules);
            let text = std::str::from_utf8(text).expect("only UTF-8 is loaded");
            keys_are_known(text);
            Some(rules)
        }
        Err(problems) => {
            is_told(&problems, text);
            None
        }
    }
}

fn read(file: &SourceFile) -> Result<RuleSet, Problems> {
    let users = Users(BTreeMap::from([("root".into(), 0), ("svc-support".into(), 1200)]));
    load(std::slice::from_ref(file), &users, NOW)
}

/// Every problem is at a place that is there, and the report can be shown on a terminal.
fn is_told(problems: &Problems, text: &[u8]) {
    assert!(problems.len() > 0, "refused without a problem");
    let lines: Vec<usize> =
        String::from_utf8_lossy(text).split('\n').map(|line| line.chars().count()).collect();
    for (place, problem) in problems.iter().filter(|(place, _)| &*place.file == NAME) {
        let line = usize::try_from(place.line).expect("lines are few");
        let column = usize::try_from(place.column).expect("columns are few");
        let width = lines.get(line.wrapping_sub(1));
        let is_inside =
            text.len() > 1 << 20 || width.is_some_and(|width| (1..=width + 1).contains(&column));
        assert!(is_inside, "{place} is not in the file: {}", problem.message);
    }
    let report = problems.render(false);
    assert!(report.len() <= REPORT, "a report of {} bytes", report.len());
    if let Some(bad) = report.chars().find(|&c| is_harmful(c)) {
        panic!("{bad:?} in a report:\n{report:?}");
    }
}

/// What a report must not send to a terminal.
fn is_harmful(c: char) -> bool {
    c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Formatted, the file means what it means, and is not formatted again.
fn is_fixed(file: &SourceFile, rules: &RuleSet) {
    let text = match style::format(file) {
        Ok(text) => text,
        Err(problems) => {
            let said = problems.render(false);
            assert!(said.contains("cannot be formatted"), "{said}");
            return;
        }
    };
    let formatted = SourceFile { name: NAME.into(), text: text.clone().into_bytes() };
    let again = read(&formatted)
        .unwrap_or_else(|problems| panic!("refused when formatted: {problems}\n{text}"));
    assert_eq!(
        without_places(rules),
        without_places(&again),
        "formatted, it means something else:\n{text}"
    );
    let sizes = |rules: &RuleSet| (rules.tests.len(), rules.grants, rules.lists, rules.notes.len());
    assert_eq!(sizes(rules), sizes(&again));
    assert_eq!(examples::run(rules, NOW), examples::run(&again, NOW));
    match style::format(&formatted) {
        Ok(twice) => assert_eq!(twice, text, "formatted twice"),
        Err(problems) => panic!("formatted, it cannot be formatted: {problems}\n{text}"),
    }
}

/// The rules as they were understood, without where they are written.
fn without_places(rules: &RuleSet) -> String {
    let shown = Show { rules, only: None }.to_string();
    let mut parts = shown.split(NAME);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text += part.trim_start_matches(|c: char| c == ':' || c.is_ascii_digit());
    }
    text
}

/// Every key of a text that was loaded is one of the format's.
fn keys_are_known(text: &str) {
    let options = serde_saphyr::options! { strict_booleans: true };
    let value: Value = serde_saphyr::from_str_with_options(text, options)
        .unwrap_or_else(|error| panic!("loaded, and yet no YAML: {error}\n{text}"));
    keys_below(&value, Holds::Map, "");
}

fn keys_below(value: &Value, holds: Holds, path: &str) {
    match (value, holds) {
        (Value::Object(map), Holds::Named(each) | Holds::Lists(each) | Holds::Keyed(each)) => {
            map.values().for_each(|value| keys_below(value, *each, path));
        }
        (Value::Object(map), _) => {
            let of = if matches!(holds, Holds::Program | Holds::Any) {
                "rules.exec.never"
            } else {
                path
            };
            for (key, value) in map {
                let below = if of.is_empty() { key.clone() } else { format!("{of}.{key}") };
                let field = format::field(&below)
                    .unwrap_or_else(|| panic!("loaded, and `{below}` is not in the format"));
                keys_below(value, field.holds, &below);
            }
        }
        (Value::Array(items), Holds::List(_, item)) => {
            items.iter().for_each(|value| keys_below(value, *item, path));
        }
        (Value::Array(_), Holds::Either(Holds::List(..), _))
        | (Value::Array(_), Holds::Either(_, Holds::List(..))) => {
            let Holds::Either(first, second) = holds else { return };
            let list = if matches!(first, Holds::List(..)) { first } else { second };
            keys_below(value, *list, path);
        }
        (Value::Array(items), _) => {
            items.iter().for_each(|item| assert!(!item.is_object(), "a map in `{path}`"));
        }
        _ => {}
    }
}

/// What was loaded can be evaluated, and compiled or refused.
pub(crate) fn can_be_used(rules: &RuleSet) {
    let homes = Homes(vec![b"/root".to_vec()]);
    let peer = |port| Object::Peer { address: std::net::Ipv6Addr::LOCALHOST, port, protocol: 6 };
    let acts = [
        (Act::Exec, Object::Path(b"/usr/bin/curl".to_vec())),
        (Act::Read, Object::Path(b"/root/.aws/credentials".to_vec())),
        (Act::Write, Object::Path([&b"/a"[..], &[b'a'; 300]].concat())),
        (Act::Connect, peer(443)),
        (Act::Listen, peer(0)),
        (Act::Read, Object::Unknown),
    ];
    for agent in 0..rules.agents.len().min(2) {
        for (act, object) in &acts {
            let agents = [agent];
            let attempt = Attempt::new(&agents, *act, object, NOW);
            let ruling = evaluate(rules, &Tier::PREVENT, &homes, &attempt);
            assert!(ruling.rule.is_none_or(|rule| rule < rules.rules.len()));
        }
    }
    let agent_numbers: Vec<u32> = (1..).take(rules.agents.len()).collect();
    let ground = Ground {
        secret: 0x5ca1_ab1e_0ddb_a115,
        homes: &homes,
        tier: &Tier::REACT,
        serial: 1,
        agent_numbers: &agent_numbers,
        watch: false,
    };
    if let Err(errors) = compile(&within(rules, NOW).rules, &ground) {
        assert!(!errors.is_empty(), "not compiled, and nothing said");
    }
}
