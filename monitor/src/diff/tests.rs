//! Tests of diff: pairs of small rule files, and what is said of them.

use super::*;
use crate::{
    replay::{
        enforced,
        tests::{recorded, replay},
    },
    rules::{SourceFile, Users, load, model::Moment},
};

/// 2026-11-22, noon.
const NOW: Moment = Moment::constant(1_795_348_800, 0);

const OLD: &str = r#"version: 1
mode: monitor
agents:
  one: { any: [{ exe: /opt/one }, { launched-as: first }] }
  two: { any: [{ exe: /opt/two }] }
lists:
  hosts: [192.0.2.7, a.example, b.example]
rules:
  - id: egress
    title: t
    agents: [one, two]
    connect: { only: ["@hosts:443", localhost] }
    action: deny
    fallback: kill
  - id: secrets
    title: t
    agents: [one]
    read:
      never: ["~/.ssh/*", "**/.env"]
      except:
        - { path: ["~/.ssh/config"], reason: it has no secrets }
        - { path: ["~/.ssh/id_ci"], exe: [/usr/bin/ssh], reason: deploy, until: 2026-12-30 }
    action: ask
    ask: { then: deny, hold: 5s }
  - id: story
    title: t
    agents: [one]
    sequence: { within: 60s, steps: [{ read: ["**/.env"] }, { connect: { not: [localhost] } }] }
    action: alert
  - { id: old, title: t, agents: [two], exec: { never: [curl] }, action: kill }
grants:
  - { id: G-1, rule: secrets, agents: [one], read: ["/x/.env"], until: 2026-11-25, reason: r, by: ana }
"#;

fn rules(text: &str) -> RuleSet {
    let file = SourceFile { name: "r.yaml".to_owned(), text: text.as_bytes().to_vec() };
    load(&[file], &Users::default(), NOW)
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

/// The old text with replacements.
fn edited(edits: &[(&str, &str)]) -> RuleSet {
    let edit = |text: String, (from, to): &(&str, &str)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    };
    rules(&edits.iter().fold(OLD.to_owned(), edit))
}

/// The effects, and the text of all of it.
fn diff(edits: &[(&str, &str)]) -> (Vec<&'static str>, String) {
    let diff = Diff::between(&rules(OLD), &edited(edits));
    (diff.changes.iter().map(|change| change.effect.name()).collect(), diff.to_string())
}

#[test]
fn every_kind_of_change_is_said() {
    let (_, text) = diff(&[
        ("{ exe: /opt/one }", "{ exe: /opt/one/bin }"),
        ("launched-as: first", "launched-as: other"),
        ("hosts: [192.0.2.7, a.example,", "hosts: [192.0.2.0/24,"),
        ("agents: [one, two]", "agents: [one]"),
        ("\"@hosts:443\", localhost", "\"@hosts:8443\", localhost"),
        ("    fallback: kill\n", "    fallback: alert\n    mode: enforce\n    severity: high\n"),
        ("[\"~/.ssh/*\", ", "[\"~/.ssh/*\", \"~/.netrc\", "),
        ("        - { path: [\"~/.ssh/config\"], reason: it has no secrets }\n", ""),
        ("until: 2026-12-30", "until: 2027-01-30"),
        ("{ then: deny, hold: 5s }", "{ then: kill, hold: 9s }"),
        ("within: 60s", "within: 90s"),
        ("id: old, title: t,", "id: new, title: t,"),
        ("id: G-1", "id: G-2"),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn one_item_less_is_stricter_or_laxer_by_the_sense_of_its_rule() {
    for (from, to, effect) in [
        (", localhost] }\n    action", "] }\n    action", "stricter"),
        (", localhost] }\n    action", ", localhost, \"*:80\"] }\n    action", "laxer"),
        ("\"~/.ssh/*\", ", "", "laxer"),
        ("\"**/.env\"]\n", "\"**/.env\", /y]\n", "stricter"),
        ("action: deny\n    fallback: kill", "action: kill", "stricter"),
        ("action: kill", "action: alert", "laxer"),
        ("mode: monitor", "mode: enforce", "stricter"),
        ("agents: [one, two]", "agents: [one]", "laxer"),
        ("within: 60s", "within: 30s", "laxer"),
        ("until: 2026-12-30", "until: 2026-12-31", "laxer"),
        (", until: 2026-12-30", "", "laxer"),
        ("reason: deploy", "reason: other", "neither"),
        ("until: 2026-11-25", "until: 2026-11-25, uses: 3", "stricter"),
        ("then: deny", "then: allow", "laxer"),
    ] {
        let (effects, text) = diff(&[(from, to)]);
        assert!(!effects.is_empty() && effects.iter().all(|is| *is == effect), "{from}\n{text}");
    }
}

#[test]
fn how_it_is_written_does_not_matter() {
    let (effects, text) = diff(&[
        (
            "\"@hosts:443\", localhost",
            "localhost, \"192.0.2.7:443\", \"a.example:443\", \"@hosts:443\"",
        ),
        ("[one, two]", "[two, one]"),
        ("version: 1", "# A comment.\nversion: 1"),
    ]);
    assert_eq!(effects, Vec::<&str>::new(), "{text}");
    assert!(Diff::between(&rules(OLD), &rules(OLD)).is_empty());
}

#[test]
fn a_list_that_lost_a_host_is_said_where_it_is_used_and_names_the_sessions() {
    for (gone, peer) in [
        ("192.0.2.7, ", r#""act":"connect","address":"192.0.2.7","port":443,"protocol":6"#),
        (
            "a.example, ",
            r#""act":"connect","address":"198.51.100.9","port":443,"protocol":6,"name":"a.example""#,
        ),
    ] {
        let (old, new) = (rules(OLD), edited(&[(gone, "")]));
        let diff = Diff::between(&old, &new);
        let said: Vec<String> = diff
            .changes
            .iter()
            .map(|change| format!("{} {} {}", change.what, change.name, change.effect.name()))
            .collect();
        assert_eq!(said, ["list hosts either", "rule egress stricter"], "{diff}");
        let recording = recorded(&[(1, "a1", r#""act":"read","path":"/x""#), (2, "a2", peer)]);
        let report = replay(&enforced(new), Some(&enforced(old)), &recording);
        let sessions: Vec<_> = report.stopped.first.iter().map(|stop| &*stop.act.session).collect();
        assert_eq!((sessions, report.differing), (vec!["a2"], 1), "{report:?}");
    }
}

mod laws {
    use proptest::prelude::*;

    use super::*;

    fn connects(items: &BTreeSet<u8>) -> RuleSet {
        let items: Vec<String> = items.iter().map(|n| format!("192.0.2.{n}")).collect();
        let items = items.join(", ");
        rules(&format!(
            "version: 1\nagents:\n  one: {{ any: [{{ exe: /opt/one }}] }}\nrules:\n  - {{ id: e, title: t, agents: \
             [one], connect: {{ only: [{items}] }}, action: kill, mode: enforce }}\n"
        ))
    }

    fn any_items() -> impl Strategy<Value = BTreeSet<u8>> {
        prop::collection::btree_set(0..8_u8, 1..8)
    }

    proptest! {
        /// Where every change is `stricter`, no recorded act is let through that was not; and nothing differs where
        /// nothing is different.
        #[test]
        fn stricter_lets_nothing_more_through(old in any_items(), new in any_items()) {
            let (before, after) = (connects(&old), connects(&new));
            let diff = Diff::between(&before, &after);
            prop_assert_eq!(diff.is_empty(), old == new);
            let acts: Vec<String> = (0..8_u8)
                .map(|n| format!(r#""act":"connect","address":"192.0.2.{n}","port":1,"protocol":6"#))
                .collect();
            let acts: Vec<(u64, &str, &str)> = acts.iter().map(|act| (1, "a", &**act)).collect();
            let report = replay(&after, Some(&before), &recorded(&acts));
            let all = |effect| diff.changes.iter().all(|change| change.effect == effect);
            prop_assert!(!all(Effect::Stricter) || report.released.count == 0);
            prop_assert!(!all(Effect::Laxer) || report.stopped.count == 0);
            prop_assert_eq!(report.differing, diff.changes.len() as u64);
        }
    }
}
