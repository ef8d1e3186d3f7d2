//! The JSON Schema of the rule format: what is good is valid, and what is broken in shape is not.
//!
//! What a schema cannot see, such as an unknown name, is not tried here.

use std::{fs, path::Path};

use jsonschema::{Validator, draft202012};
use monitor::rules::format::{samples, schema};
use serde_json::Value;

fn validator() -> Validator {
    let schema = schema::schema();
    assert!(draft202012::meta::is_valid(&schema), "the schema itself is not a schema");
    draft202012::new(&schema).expect("its patterns are patterns")
}

fn json(text: &str) -> Value {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options)
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn crate_file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rule files of a folder and of those in it.
fn files_in(folder: &str) -> Vec<(String, String)> {
    let (mut files, mut folders) =
        (Vec::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder is part of the repository") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "yaml") {
                let text = fs::read_to_string(&path).expect("rule files are text");
                files.push((path.display().to_string(), text));
            }
        }
    }
    files
}

/// What the schema has against a file.
fn complaints(validator: &Validator, text: &str) -> Vec<String> {
    let value = json(text);
    validator
        .iter_errors(&value)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect()
}

#[test]
fn good_files_are_valid() {
    let validator = validator();
    let mut files: Vec<(String, String)> =
        ["../rules", "tests/format"].into_iter().flat_map(files_in).collect();
    files.extend(samples::ALL.map(|sample| ("a sample".to_owned(), sample.to_owned())));
    assert!(files.len() >= 60, "only {} files", files.len());
    for (name, text) in files {
        assert_eq!(complaints(&validator, &text), Vec::<String>::new(), "{name}\n{text}");
    }
}

/// Files of `tests/broken` that are wrong in shape.
const BROKEN: &str = "
agent-any-and-all agent-container-empty agent-container-key agent-container-labels
agent-container-two agent-group-of-all agent-two-signs-a-line agent-without-signs args-in-read
args-key args-without-path args-without-words ask-key ask-then ask-without-action bad-attack-id
bad-id bad-owasp-id bare-name-read bool-for-text duration-no-unit duration-odd empty-list empty-text
empty except-bare-exe except-to-of-read exception-exe-of-exec exception-listen-to
exception-privilege-path fallback-deny fallback-of-kill grant-id grant-no-by grant-no-until
grant-uses grant-uses-many grant-uses-text home-unquoted item-twice list-for-text list-name neither-only-nor-never no-act no-action
no-id no-reason no-version not-a-map number-for-text only-a-comment only-and-never
port-on-list-of-paths privilege-port privilege-unknown relative-path sequence-and-act sequence-by
sequence-empty-steps sequence-except sequence-no-steps sequence-no-within sequence-one-step
sequence-step-map sequence-step-two test-after-relative test-after-two test-allow-by-rule
test-args-of-read test-how-of-read test-how-unknown test-is-of-write test-is-unknown test-privilege
test-relative-path test-unknown-expectation text-for-list too-deep two-acts unknown-action
unknown-key-far unknown-key-rule unknown-key-top unknown-mode unknown-severity unknown-vocabulary
until-odd url version-2
";

#[test]
fn broken_files_are_not() {
    let validator = validator();
    assert!(BROKEN.split_whitespace().count() >= 75);
    let valid = BROKEN.split_whitespace().filter(|name| {
        let text = crate_file(&format!("tests/broken/{name}.yaml"));
        complaints(&validator, &text).is_empty()
    });
    assert_eq!(
        valid.collect::<Vec<_>>(),
        Vec::<&str>::new(),
        "the schema finds nothing wrong with these"
    );
}

/// A rule and a test, each with one thing in place of another.
#[test]
fn conditions_between_keys_are_part_of_it() {
    let validator = validator();
    let changes = [
        (samples::ASK, "action: ask", "action: deny"),
        (samples::RULE, "action: deny", "action: alert"),
        (samples::EXEC, "how: load", "how: sideways"),
        (samples::EXEC, "    exec: /tmp/inject.so", "    connect: 192.0.2.1:443"),
        (samples::SEQUENCE, "within: 10m", "within: 10 minutes"),
        (samples::SEQUENCE, "        - read: [~/.aws/credentials]\n", ""),
        (samples::SEQUENCE, "by: session", "by: host"),
        (samples::GRANTS, "until: 2026-11-23T18:00:00Z", "until: tomorrow"),
        (samples::GRANTS, "    reason: INC-4411 the new embedding model\n", ""),
        (samples::GRANTS, "id: G-0042", "id: G_0042"),
        (samples::PRIVILEGE, "[setuid, ptrace, bpf, module]", "[root]"),
        (samples::LISTEN, "- at:", "- to:"),
        (samples::CONTAINERS, "{ name: rag-* }", "{ name: rag-*, id: 8d* }"),
        (samples::AGENTS, "user: [root, 1200]", "user: []"),
        (samples::EXEC, "          args: \"** -R **\"\n", ""),
        (samples::FILE, "mode: monitor", "mode: watch"),
    ];
    for (sample, from, to) in changes {
        assert!(sample.contains(from), "`{from}` is not in\n{sample}");
        let text = sample.replacen(from, to, 1);
        assert!(
            !complaints(&validator, &text).is_empty(),
            "valid with `{to}` for `{from}`:\n{text}"
        );
    }
}
