//! The command line as people see it: every console block of the documents, help, and exit codes.
//!
//! Nothing here needs root. What needs it stands in the documents as `text`, which is not run. After a
//! wanted change of the output: `TRYCMD=overwrite cargo test -p driftwatch --test cli`.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Output},
};

use monitor::rules::{SourceFile, Users, examples, load, model::Moment};

const DRIFTWATCH: &str = env!("CARGO_BIN_EXE_driftwatch");

/// Blocks are run at the top of the checkout, where their reader is.
fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the checkout")
}

#[test]
fn console_blocks_say_what_they_say() {
    env::set_current_dir(top()).expect("the checkout is there");
    trycmd::TestCases::new()
        .register_bin("driftwatch", Path::new(DRIFTWATCH))
        .case("README.md")
        .case("rules/README.md")
        .case("monitor/tests/cmd/*.trycmd");
}

#[test]
fn without_a_capability_the_daemon_says_which_and_ends_with_4() {
    let output = daemon_without_cap_bpf();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("CAP_BPF is missing: run as root, or with CAP_BPF, "), "{said}");
    assert!(!said.contains("ready"), "{said}");
}

#[test]
fn without_a_capability_doctor_says_which_and_ends_with_4() {
    let output = without_cap_bpf(&["doctor"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("\nrights     MISSING CAP_BPF"), "{said}");
    assert!(said.contains("\ntier       not known\n"), "{said}");
}

#[test]
fn without_a_capability_check_says_that_the_tier_is_assumed() {
    let output = without_cap_bpf(&["check", "--on-this-host", "rules/demo"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("tier react, assumed: CAP_BPF is missing: run as root"), "{said}");
}

fn daemon_without_cap_bpf() -> Output {
    without_cap_bpf(&["daemon", "--rules", "rules/demo", "--socket", "rules/no-daemon-here.sock"])
}

/// Without root it has no such capability; with root it is not given it.
fn without_cap_bpf(arguments: &[&str]) -> Output {
    let mut daemon = Command::new(DRIFTWATCH);
    daemon.current_dir(top()).args(arguments);
    // SAFETY: one system call on plain numbers, between fork and exec. Only root may, and only root needs it.
    unsafe {
        daemon.pre_exec(|| {
            const CAP_BPF: libc::c_ulong = 39;
            let _only_root_may = libc::prctl(libc::PR_CAPBSET_DROP, CAP_BPF, 0, 0, 0);
            Ok(())
        });
    }
    daemon.output().expect("the program was built with this test")
}

/// The first block of a language in a document.
fn block(document: &str, language: &str) -> String {
    let text = fs::read_to_string(top().join(document)).expect("the document is there");
    let (_, rest) = text.split_once(&format!("```{language}\n")).expect("it has such a block");
    let (block, _) = rest.split_once("```").expect("the block ends");
    block.to_owned()
}

#[test]
fn the_rule_file_of_the_format_s_document_is_good_and_its_tests_pass() {
    let text = block("rules/README.md", "yaml").into_bytes();
    let users = Users(BTreeMap::from([("svc-worker".to_owned(), 1200)]));
    let rules = load(&[SourceFile { name: "README.md".to_owned(), text }], &users, Moment::now());
    let rules = rules.unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let outcomes = examples::run(&rules, Moment::now());
    assert!(!outcomes.is_empty(), "the example has no test");
    assert!(outcomes.iter().all(|outcome| outcome.passed), "{outcomes:?}");
}

#[test]
fn the_rule_that_the_readme_shows_is_one_of_the_demo_s() {
    let demo = fs::read_to_string(top().join("rules/demo/demo.yaml")).expect("the file is there");
    assert!(demo.contains(&block("README.md", "yaml")), "rules/demo/demo.yaml has another one");
}
