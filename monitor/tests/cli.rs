//! The command line as people see it: every console block of the documents, help, and exit codes.
//!
//! Nothing here needs root. What needs it stands in the documents as `text`, which is not run. After a
//! wanted change of the output: `TRYCMD=overwrite cargo test -p driftwatch --test cli`.

use std::{
    env,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Output},
};

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

/// Without root it has no such capability; with root it is not given it.
fn daemon_without_cap_bpf() -> Output {
    let mut daemon = Command::new(DRIFTWATCH);
    daemon.current_dir(top()).args(["daemon", "--rules", "rules/demo"]);
    daemon.args(["--socket", "rules/no-daemon-here.sock"]);
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
