//! Tests of replay: small recordings, written out, under small rule sets.

use super::*;
use crate::{
    recording::{self, Recording},
    rules::{SourceFile, Users, load, model::Moment},
};

/// 2026-11-22, noon: when the recordings begin.
const NOW: Moment = Moment::constant(1_795_348_800, 0);

/// A rule set of one agent, and these rules.
pub(crate) fn rules(rules: &str) -> RuleSet {
    let text =
        format!("version: 1\nagents:\n  one: {{ any: [{{ exe: /opt/one }}] }}\nrules:\n{rules}");
    let file = SourceFile { name: "r.yaml".to_owned(), text: text.into_bytes() };
    load(&[file], &Users::default(), NOW)
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

/// A recording: of each act the second, the session, and the rest as JSON.
pub(crate) fn recorded(acts: &[(u64, &str, &str)]) -> Recording {
    let mut text = r#"{"schema":"driftwatch.recording/v1","version":"0.1.0","host":"h","started":"2026-11-22T12:00:00Z","homes":["/root"]}"#.to_owned();
    for (second, session, act) in acts {
        let time = second * 1_000_000_000;
        text += &format!(
            "\n{{\"time\":{time},\"session\":\"{session}\",\"agents\":[\"one\"],\"pid\":7,\"start\":8,\"uid\":0,\
             \"exe\":\"/usr/bin/tool\",\"verdict\":\"allow\",{act}}}"
        );
    }
    recording::read(&text).expect("a recording")
}

/// What a replay of one recording finds.
pub(crate) fn replay(
    rules: &RuleSet,
    against: Option<&RuleSet>,
    Recording { heading, entries }: &Recording,
) -> Report {
    let mut replay = Replay::new(rules, against);
    replay.begin("r.jsonl", heading);
    entries.iter().for_each(|entry| replay.take(entry));
    replay.finish()
}

const READ: &str = r#""act":"read","path":"/s""#;
const NEVER: &str = "  - { id: shut, title: t, agents: [one], read: { never: [/s] }, action: deny, mode: enforce }\n";

fn peer(address: &str, name: Option<&str>) -> String {
    let name = name.map(|name| format!(",\"name\":\"{name}\"")).unwrap_or_default();
    format!("\"act\":\"connect\",\"address\":\"{address}\",\"port\":443,\"protocol\":6{name}")
}

/// The ids of the sessions that would be stopped.
fn stopped(report: &Report) -> Vec<&str> {
    report.stopped.first.iter().map(|stop| stop.act.session.as_str()).collect()
}

#[test]
fn arguments_that_are_not_all_there_are_unknown() {
    let rules = rules(
        "  - { id: push, title: t, agents: [one], exec: { never: [{ path: git, args: 'push **' }] }, action: kill, mode: enforce }\n",
    );
    let start = |cut: bool| {
        format!(r#""act":"exec","path":"/usr/bin/git","argv":["git","log"],"argv_cut":{cut}"#)
    };
    let (whole, cut) = (start(false), start(true));
    let report = replay(&rules, None, &recorded(&[(1, "01", &whole), (2, "02", &cut)]));
    assert_eq!(stopped(&report), ["02"]);
}

#[test]
fn what_is_loaded_is_stopped_by_never_and_not_by_only() {
    let load = r#""act":"exec","path":"/tmp/x.so","load":true"#;
    let start = r#""act":"exec","path":"/tmp/x.so","argv":["x"]"#;
    let recording = recorded(&[(1, "01", load), (2, "02", start)]);
    let rule = |sense: &str| {
        enforced(rules(&format!(
            "  - {{ id: r, title: t, agents: [one], exec: {{ {sense} }}, action: deny }}\n"
        )))
    };
    assert_eq!(stopped(&replay(&rule("never: [/tmp/**]"), None, &recording)), ["01", "02"]);
    assert_eq!(stopped(&replay(&rule("only: [/usr/**]"), None, &recording)), ["02"]);
}

#[test]
fn a_right_that_is_shut_is_stopped() {
    let used = |right: &str| format!(r#""act":"privilege","right":"{right}""#);
    let recording = recorded(&[(1, "01", &used("bpf")), (2, "02", &used("mount"))]);
    let shut =
        "  - { id: r, title: t, agents: [one], privilege: { never: [mount] }, action: deny }\n";
    assert_eq!(stopped(&replay(&enforced(rules(shut)), None, &recording)), ["02"]);
}

fn egress(hosts: &str) -> RuleSet {
    enforced(rules(&format!(
        "  - {{ id: egress, title: t, agents: [one], connect: {{ only: [{hosts}] }}, action: deny }}\n"
    )))
}

#[test]
fn a_host_that_is_taken_off_the_list_names_the_sessions_that_would_stop() {
    for (list, less, stopping, staying) in [
        ("192.0.2.7, 192.0.2.8", "192.0.2.8", peer("192.0.2.7", None), peer("192.0.2.8", None)),
        (
            "a.example, b.example",
            "b.example",
            peer("192.0.2.7", Some("a.example")),
            peer("192.0.2.8", Some("b.example")),
        ),
    ] {
        let (old, new) = (egress(list), egress(less));
        let recording = recorded(&[
            (1, "a1", &staying),
            (2, "a2", &staying),
            (3, "a2", &stopping),
            (4, "a2", &stopping),
            (5, "a3", &stopping),
        ]);
        let before = replay(&old, None, &recording);
        assert_eq!((before.differing, before.stopped.count), (0, 0), "{before:?}");
        for against in [None, Some(&old)] {
            let report = replay(&new, against, &recording);
            assert_eq!(stopped(&report), ["a2", "a3"], "{report:?}");
            assert_eq!((report.differing, report.differences.len()), (3, 1), "{report:?}");
            assert_eq!(report.stopped.first[0].act.time, NOW + std::time::Duration::from_secs(3));
        }
        let report = replay(&old, Some(&new), &recording);
        assert_eq!((report.stopped.count, report.released.count), (0, 2), "{report:?}");
    }
}

#[test]
fn an_agent_that_nobody_knows_is_counted_and_not_judged() {
    let mut recording = recorded(&[(1, "a1", READ), (2, "a1", READ)]);
    recording.entries[1].agents = vec!["old-bot".to_owned()];
    recording.entries[1].verdict = "alert".to_owned();
    let report = replay(&rules(NEVER), None, &recording);
    assert_eq!((report.acts, report.judged, report.differing), (2, 1, 1), "{report:?}");
    assert_eq!(report.unknown_agents.get("old-bot"), Some(&1));
    // To other rules that know it, it is an agent that is allowed everything now.
    recording.entries[1].agents = vec!["one".to_owned()];
    let nobody = RuleSet::default();
    let report = replay(&nobody, Some(&rules(NEVER)), &recording);
    assert_eq!((report.judged, report.released.count), (2, 1), "{report:?}");
}

#[test]
fn being_started_as_the_root_is_not_the_agent_s_act() {
    let only = rules(
        "  - { id: o, title: t, agents: [one], exec: { only: [git] }, action: kill, mode: enforce }\n",
    );
    let start =
        |root| format!("\"act\":\"exec\",\"path\":\"/opt/one\",\"argv\":[\"one\"],\"root\":{root}");
    let report = replay(&only, None, &recorded(&[(1, "a1", &start(true))]));
    assert_eq!(report.differing, 0, "{report:?}");
    let report = replay(&only, None, &recorded(&[(1, "a1", &start(false))]));
    assert_eq!(report.differing, 1, "{report:?}");
    // An agent inside an agent: the outer one's rules hold for the start of the inner one.
    let mut inside = recorded(&[(1, "a1", &start(true))]);
    inside.entries[0].agents = vec!["one".to_owned(), "inner".to_owned()];
    assert_eq!(replay(&only, None, &inside).differing, 1);
}

#[test]
fn exceptions_end_by_the_time_of_the_recording() {
    let excepted = |until: &str| {
        enforced(rules(&format!(
            "  - {{ id: x, title: t, agents: [one], read: {{ never: [/s], except: [{{ path: [/s], reason: r, \
             until: \"{until}\" }}] }}, action: deny }}\n"
        )))
    };
    let recording = recorded(&[(30, "a1", READ), (90, "a2", READ)]);
    let report = replay(&excepted("2026-11-22T12:01:00Z"), None, &recording);
    assert_eq!(stopped(&report), ["a2"]);
    assert_eq!(replay(&excepted("2026-11-22T12:02:00Z"), None, &recording).differing, 0);
}

#[test]
fn a_sequence_is_one_of_one_recording() {
    let story = rules(
        "  - { id: s, title: t, agents: [one], sequence: { within: 10s, steps: [{ read: [/s] }, { connect: \
         [\"*\"] }] }, action: deny, mode: enforce }\n",
    );
    let connect = peer("192.0.2.7", None);
    let whole = recorded(&[(1, "a1", READ), (5, "a1", &connect), (20, "a1", &connect)]);
    let report = replay(&story, None, &whole);
    assert_eq!((report.differing, stopped(&report)), (1, vec!["a1"]), "{report:?}");
    let mut two = Replay::new(&story, None);
    for half in [recorded(&[(1, "a1", READ)]), recorded(&[(2, "a1", &connect)])] {
        two.begin("half", &half.heading);
        half.entries.iter().for_each(|entry| two.take(entry));
    }
    assert_eq!(two.finish().differing, 0);
}

#[test]
fn an_object_that_is_not_known_hits() {
    let unknown = r#""act":"read""#;
    let report = replay(&rules(NEVER), None, &recorded(&[(1, "a1", unknown)]));
    assert_eq!(report.differences[0].group.object, "(unknown)");
}

#[test]
fn what_cannot_be_described_is_counted() {
    let many: Vec<(u64, String, String)> = (0..10_050)
        .map(|n| (1, format!("{n:x}"), format!("\"act\":\"read\",\"path\":\"/s/{n}\"")))
        .collect();
    let acts: Vec<(u64, &str, &str)> = many.iter().map(|(t, s, a)| (*t, &**s, &**a)).collect();
    let all = rules(
        "  - { id: x, title: t, agents: [one], read: { never: [/s/**] }, action: deny, mode: enforce }\n",
    );
    let report = replay(&all, None, &recorded(&acts));
    assert_eq!(
        (report.differing, report.not_described, report.stopped.count),
        (10_050, 50, 10_050)
    );
    assert_eq!((report.differences.len(), report.stopped.first.len()), (10_000, 10_000));
}

#[test]
fn secrets_in_arguments_are_masked_and_text_does_no_harm() {
    let odd = r#""act":"exec","path":"/bin/\u001b[31m","argv":["x","--password","hunter2"]"#;
    let only = rules(
        "  - { id: o, title: t, agents: [one], exec: { only: [git] }, action: kill, mode: enforce }\n",
    );
    let report = replay(&only, None, &recorded(&[(1, "a\\u001b", odd)]));
    let text = Shown { report: &report, how: "judged" }.to_string();
    assert!(!text.contains('\x1b') && !text.contains("hunter2"), "{text}");
    insta::assert_snapshot!(text);
}
