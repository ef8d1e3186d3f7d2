//! Tests of the whole line: from recordings to a file that loads, covers and keeps secrets.

use proptest::prelude::*;

use super::*;
use crate::{
    recording::{Deed, Entry, Heading, Recording, Text, read},
    rules::{
        Users,
        evaluate::{Attempt, Tier, evaluate},
        model::{Moment, Privilege, RuleSet},
    },
};

const NOW: Moment = Moment::UNIX_EPOCH;
const WORKER: &str = include_str!("../../tests/recordings/worker.jsonl");

fn seen(recordings: &[(&str, &Recording)]) -> Seen {
    let mut seen = Seen::default();
    recordings.iter().for_each(|(name, recording)| seen.add("worker", name, recording));
    seen
}

fn proposed(recording: &Recording, choices: &Choices) -> (Learned, String, RuleSet) {
    let seen = seen(&[("worker.jsonl", recording)]);
    let learned = learn("worker", seen, choices, &Secrets::shipped()).unwrap();
    let text = learned.text(false);
    let rules = learned.check(&text, &[], &Users::default(), NOW);
    let rules = rules.unwrap_or_else(|flaw| panic!("{flaw}\n{text}"));
    (learned, text, rules)
}

/// Whether an act goes through.
fn is_allowed(rules: &RuleSet, act: Act, object: &Object) -> bool {
    let homes = Homes(vec![b"/root".to_vec()]);
    let attempt = Attempt::new(&[0], act, object, NOW);
    evaluate(rules, &Tier::PREVENT, &homes, &attempt).rule.is_none()
}

fn path(path: &str) -> Object {
    Object::Path(path.as_bytes().to_vec())
}

#[test]
fn a_learned_file_reads_like_one_that_a_person_wrote() {
    let (_, text, _) = proposed(&read(WORKER).unwrap(), &Choices::default());
    insta::assert_snapshot!(text);
}

#[test]
fn what_differs_from_one_time_to_the_next_is_allowed_and_its_neighbours_are_not() {
    let (_, _, rules) = proposed(&read(WORKER).unwrap(), &Choices::default());
    for (act, object) in [
        (Act::Read, "/home/bob/src/shop/deep/down/x.rs"),
        (Act::Read, "/proc/99/status"),
        (Act::Write, "/tmp/npm-99-Zz0Yy1/x"),
        (Act::Write, "/home/ana/.npm/_cacache/other"),
        (Act::Exec, "/home/ana/.nvm/versions/node/v22.0.0/bin/node"),
    ] {
        assert!(is_allowed(&rules, act, &path(object)), "{object}");
    }
    for (act, object) in [
        (Act::Read, "/home/ana/src/other/x.rs"),
        (Act::Read, "/home/ana/src/shop/.env"),
        (Act::Read, "/home/ana/.aws/credentials"),
        (Act::Read, "/proc/99/environ"),
        (Act::Read, "/etc/passwd"),
        (Act::Write, "/usr/lib/x86_64-linux-gnu/libc.so.6"),
        (Act::Write, "/tmp/other/x"),
        (Act::Exec, "/home/ana/src/shop/dropped"),
        (Act::Exec, "/tmp/npm-99-Zz0Yy1/x"),
    ] {
        assert!(!is_allowed(&rules, act, &path(object)), "{object}");
    }
}

#[test]
fn what_was_left_out_can_be_let_in() {
    let choices = Choices { allow_secrets: true, ..Choices::default() };
    let (learned, text, rules) = proposed(&read(WORKER).unwrap(), &choices);
    assert!(is_allowed(&rules, Act::Read, &path("/home/ana/.aws/credentials")), "{text}");
    assert!(is_allowed(&rules, Act::Read, &path("/home/ana/src/shop/.env")), "{text}");
    assert!(!is_allowed(&rules, Act::Read, &path("/home/ana/.aws/config")), "{text}");
    assert!(!is_allowed(&rules, Act::Read, &path("/home/ana/src/shop/.envrc")), "{text}");
    // What was stopped, and what could not be known.
    assert_eq!(learned.left_out.len(), 2);
}

#[test]
fn a_project_that_is_named_is_one() {
    let entry = entry(Deed::Read { path: Some("/srv/data/x".into()) });
    let recording = recording(vec![entry]);
    let choices = Choices { projects: vec![b"/srv/data/".to_vec()], ..Choices::default() };
    let (_, _, rules) = proposed(&recording, &choices);
    assert!(is_allowed(&rules, Act::Read, &path("/srv/data/y/z")));
    for broad in ["/srv", "/home/ana", "/", "relative/x", "/home"] {
        let choices = Choices { projects: vec![broad.as_bytes().to_vec()], ..Choices::default() };
        let error = learn("worker", seen(&[("x", &recording)]), &choices, &Secrets::shipped());
        assert_eq!(error.unwrap_err(), LearnError::TooBroad(broad.to_owned()));
    }
}

#[test]
fn of_an_agent_that_did_nothing_nothing_is_learned() {
    let mut seen = Seen::default();
    seen.add("nobody", "x", &read(WORKER).unwrap());
    let error = learn("nobody", seen, &Choices::default(), &Secrets::shipped()).unwrap_err();
    let said = "there is no act of `nobody` in the recordings; there are acts of reviewer, worker";
    assert_eq!(error.to_string(), said);
}

#[test]
fn a_directory_with_a_secret_in_it_is_taken_in_parts() {
    let read = |path: &str| entry(Deed::Read { path: Some(path.into()) });
    let seen =
        ["/root/.cache/huggingface/hub/x", "/root/.cache/huggingface/y", "/root/.cache/pip/z"];
    let (learned, ..) = proposed(&recording(seen.map(read).to_vec()), &Choices::default());
    let lines: Vec<&String> = learned.lines[&Act::Read].keys().collect();
    assert_eq!(lines, ["~/.cache/huggingface/hub/**", "~/.cache/huggingface/y", "~/.cache/pip/**"]);
}

#[test]
fn a_secret_that_looks_drawn_by_lot_is_shut() {
    let python = Some("/usr/bin/python3.11".into());
    let deed = Deed::Read { path: Some("/tmp/dn_zpbiy".into()) };
    let (_, text, rules) =
        proposed(&recording(vec![Entry { exe: python, ..entry(deed) }]), &Choices::default());
    assert!(is_allowed(&rules, Act::Read, &path("/tmp/x8sdf_3k")), "{text}");
    assert!(!is_allowed(&rules, Act::Read, &path("/tmp/krb5cc_0")), "{text}");
}

#[test]
fn an_act_that_was_never_seen_is_not_allowed() {
    let entry = entry(Deed::Read { path: Some("/srv/data/x".into()) });
    let (_, text, rules) = proposed(&recording(vec![entry]), &Choices::default());
    assert!(!is_allowed(&rules, Act::Write, &path("/srv/data/x")), "{text}");
    assert!(!is_allowed(&rules, Act::Exec, &path("/usr/bin/git")), "{text}");
    let address = "::ffff:192.0.2.1".parse().unwrap();
    assert!(!is_allowed(&rules, Act::Connect, &Object::Peer { address, port: 1, protocol: 6 }));
}

#[test]
fn rights_that_were_used_are_told_and_all_others_are_shut() {
    let used = |right: &str| entry(Deed::Privilege { right: Some(right.to_owned()) });
    let stopped = Entry { verdict: "kill".to_owned(), ..used("bpf") };
    let (_, text, rules) =
        proposed(&recording(vec![used("mount"), used("mount"), stopped]), &Choices::default());
    let allowed = |right| is_allowed(&rules, Act::Privilege, &Object::Privilege(right));
    for (_, right) in Privilege::WORDS {
        assert_eq!(allowed(right), right == Privilege::Mount, "{right}\n{text}");
    }
    assert!(text.contains("# Used, and so not shut: mount (2 times, by"), "{text}");
}

#[test]
fn what_is_loaded_is_no_program_that_was_started() {
    let load = |path: &str| {
        entry(Deed::Exec {
            path: Some(path.into()),
            argv: Vec::new(),
            argv_cut: false,
            cwd: None,
            root: false,
            is: Vec::new(),
            load: true,
        })
    };
    let read = entry(Deed::Read { path: Some("/srv/a/x".into()) });
    let (_, text, _) =
        proposed(&recording(vec![load("/usr/lib/libssl.so.3"), read]), &Choices::default());
    assert!(!text.contains("libssl"), "{text}");
}

#[test]
fn a_file_name_writes_no_rules() {
    let name = "/srv/a/x\n        - /**\nrules:\n  # \u{2028}'\"";
    let entries = vec![
        Entry { exe: Some(name.into()), ..entry(Deed::Read { path: Some(name.into()) }) },
        Entry { verdict: "deny".to_owned(), ..entry(Deed::Write { path: Some(name.into()) }) },
        entry(Deed::Read { path: Some("/home/ana/.aws/sso/cache/x\n  - '/**'".into()) }),
    ];
    let (_, text, rules) = proposed(&recording(entries), &Choices::default());
    assert!(!is_allowed(&rules, Act::Read, &path("/etc/passwd")), "{text}");
    assert_eq!(rules.rules.len(), 5, "{text}");
}

fn heading() -> Heading {
    Heading {
        schema: crate::recording::SCHEMA.to_owned(),
        version: "0.1.0".to_owned(),
        host: "h\n# x".to_owned(),
        started: NOW,
        homes: vec!["/root".into()],
    }
}

fn recording(entries: Vec<Entry>) -> Recording {
    Recording { heading: heading(), entries }
}

fn entry(deed: Deed) -> Entry {
    Entry {
        time: 5,
        session: "01".to_owned(),
        agents: vec!["worker".to_owned()],
        pid: 4711,
        start: 8,
        parent: Some(4710),
        uid: 0,
        exe: Some("/usr/bin/cat".into()),
        deed,
        verdict: "allow".to_owned(),
    }
}

/// Names that mean something to somebody in the line, and some that mean nothing.
const NAMES: [&str; 49] = [
    "home",
    "root",
    "ana",
    "src",
    "tmp",
    "var",
    "usr",
    "lib",
    "share",
    "etc",
    "ssl",
    "private",
    "certs",
    "proc",
    "dev",
    "shm",
    "4711",
    "12",
    "status",
    "environ",
    ".git",
    "config",
    ".config",
    "gcloud",
    ".cache",
    "huggingface",
    "token",
    ".npm",
    ".npmrc",
    ".env",
    ".env.local",
    ".aws",
    "credentials",
    ".ssh",
    "id_rsa",
    "package.json",
    "Cargo.toml",
    "1.2.3",
    "v20.11.1",
    "tmp.AbCdEfGhIj",
    "x-1a2b3c4d5e",
    "dn_zpbiy",
    "a b#c",
    "*",
    "[x]{y,z}",
    "\n- x",
    "\u{2028}é",
    "credentials.json-sa-key.json",
    "x",
];

fn any_path() -> impl Strategy<Value = Text> {
    let name = prop_oneof![
        8 => prop::sample::select(NAMES.to_vec()).prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::collection::vec(1_u8.., 1..6),
    ];
    let free = prop::collection::vec(name, 1..6).prop_map(|names| {
        let names = names.into_iter().map(|name| [b"/".to_vec(), name].concat());
        Text(names.collect::<Vec<_>>().concat())
    });
    let samples = Secrets::shipped().samples();
    let secret = prop::sample::select(samples).prop_map(Text);
    let beside = (secret.clone(), "[a-z]{1,3}").prop_map(|(Text(path), name)| {
        let top = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Text([&path[..=top], name.as_bytes()].concat())
    });
    prop_oneof![6 => free, 1 => secret, 3 => beside]
}

fn any_deed() -> impl Strategy<Value = Deed> {
    let address = prop_oneof![
        any::<u32>().prop_map(|bits| std::net::IpAddr::V4(bits.into())),
        any::<u128>().prop_map(|bits| std::net::IpAddr::V6(bits.into())),
        prop::sample::select(vec!["127.0.0.1", "::1", "0.0.0.0", "::", "::7", "169.254.169.254"])
            .prop_map(|text| text.parse().unwrap()),
    ];
    let protocol = prop::sample::select(vec![6_u16, 17, 262]);
    let name = prop::option::of(prop::sample::select(vec!["a.example.com", "x y", "-", "1e5"]));
    let connect =
        (address, any::<u16>(), protocol, name).prop_map(|(address, port, protocol, name)| {
            Deed::Connect { address, port, protocol, name: name.map(str::to_owned) }
        });
    let path = || prop::option::weighted(0.95, any_path());
    prop_oneof![
        5 => path().prop_map(|path| Deed::Read { path }),
        3 => path().prop_map(|path| Deed::Write { path }),
        1 => path().prop_map(|path| Deed::Exec { path, argv: Vec::new(), argv_cut: false, cwd: None, root: false, is: Vec::new(), load: false }),
        1 => connect,
    ]
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let verdict = prop::sample::select(vec!["allow", "allow", "allow", "alert", "deny", "kill"]);
    let exe = prop_oneof![any_path(), Just(Text::from("/usr/bin/python3.11"))];
    (any_deed(), verdict, prop::option::of(exe)).prop_map(|(deed, verdict, exe)| Entry {
        verdict: verdict.to_owned(),
        exe,
        ..entry(deed)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_proposal_loads_covers_what_was_seen_and_lets_no_secret_through(
        entries in prop::collection::vec(any_entry(), 1..60),
        crowd in prop::collection::vec((0_usize..4, 0_u8..20), 0..40),
    ) {
        let mut entries = entries;
        let tops = ["/usr/lib/x", "/etc/ssl", "/root/.cache/huggingface", "/home/ana/.pyenv/versions"];
        entries.extend(crowd.into_iter().map(|(top, name)| {
            entry(Deed::Read { path: Some(Text(format!("{}/{name}", tops[top]).into_bytes())) })
        }));
        let recording = recording(entries);
        // It loads, and stops nothing that was not left out: `check` says so, and so do we.
        let (learned, text, rules) = proposed(&recording, &Choices::default());
        let left_out: Vec<&Object> = learned.left_out.iter().map(|one| &one.key.object).collect();
        for entry in &recording.entries {
            let object = entry.deed.object();
            let is_fine = is_allowed(&rules, entry.deed.act(), &object);
            prop_assert!(is_fine || left_out.contains(&&object), "{:?}\n{}", object, text);
        }
        let secrets = Secrets::shipped();
        for path in secrets.samples() {
            for act in [Act::Read, Act::Write] {
                let object = Object::Path(path.clone());
                prop_assert!(!is_allowed(&rules, act, &object), "{:?}\n{}", object, text);
            }
        }
        let homes = Homes(vec![b"/root".to_vec()]);
        for entry in &recording.entries {
            let (act, object) = (entry.deed.act(), entry.deed.object());
            let is_secret = act != Act::Exec && secrets.matched(&object, &homes).is_some();
            prop_assert!(!is_secret || !is_allowed(&rules, act, &object), "{:?}\n{}", object, text);
        }
    }
}
