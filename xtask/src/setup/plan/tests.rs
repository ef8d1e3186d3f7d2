//! The plan, on machines that exist only here.

use super::*;
use crate::setup::facts::Linker;

fn compiler(llvm: u32, sources: bool) -> Option<Compiler> {
    Some(Compiler { llvm, sources })
}

fn linker_with(llvm: u32) -> Option<Linker> {
    Some(Linker { version: LINKER_VERSION.to_owned(), llvm: Some(llvm) })
}

fn offering(packages: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    packages.iter().map(|&(name, version)| (name.to_owned(), version.to_owned())).collect()
}

/// A fresh Debian with rustup, root, and package lists.
fn debian() -> Facts {
    let offered = offering(&[
        ("rustc-web", "1.96.0+dfsg1-1~deb12u2"),
        ("cargo-web", "1.96.0+dfsg1-1~deb12u2"),
        ("rust-web-src", "1.96.0+dfsg1-1~deb12u2"),
        ("llvm-22-dev", "1:22.1.8-1~deb12u1"),
        ("bpftool", "7.1.0"),
        ("qemu-system-x86", "1:7.2+dfsg-7+deb12u18"),
        ("busybox-static", "1:1.35.0-4+b1"),
        ("stress-ng", "0.15.06-2"),
    ]);
    Facts { rustup: true, debian: true, root: true, offered, ..Facts::default() }
}

/// Everything the set-up installs on Debian, installed.
fn complete() -> Facts {
    Facts {
        bpf: compiler(22, true),
        linker: linker_with(22),
        bpftool: true,
        qemu: true,
        busybox: true,
        stress: true,
        installed: PACKAGES.map(ToOwned::to_owned).into_iter().collect(),
        ..debian()
    }
}

fn actions(plan: &Plan) -> Vec<String> {
    plan.steps.iter().filter_map(|step| step.action.as_ref()).map(Action::describe).collect()
}

fn error(facts: &Facts) -> String {
    plan(facts, Scope::Build).unwrap_err().to_string()
}

#[test]
fn a_complete_machine_needs_nothing() {
    let plan = plan(&complete(), Scope::Everything).unwrap();
    assert_eq!(plan.toolchain, Toolchain::Bpf);
    assert_eq!(plan.steps.len(), 5);
    assert_eq!(actions(&plan), [""; 0]);
}

#[test]
fn a_fresh_debian_gets_packages_link_linker_and_bpftool() {
    let plan = plan(&debian(), Scope::Everything).unwrap();
    assert_eq!(plan.toolchain, Toolchain::Bpf);
    assert!(!plan.wants_package_lists(&debian()));
    assert_eq!(
        actions(&plan),
        [
            "rustc-web cargo-web rust-web-src llvm-22-dev",
            "rustup toolchain link bpf /usr",
            "cargo install bpf-linker --version 0.13.0, with LLVM 22 from /usr/lib/llvm-22",
            "bpftool",
            "stress-ng busybox-static",
        ]
    );
}

#[test]
fn a_debian_without_package_lists_fetches_them_first() {
    let bare = Facts { offered: Default::default(), ..debian() };
    assert!(plan(&bare, Scope::Build).unwrap().wants_package_lists(&bare));
    let fetched_in_vain = Facts { fresh_lists: true, ..bare };
    assert!(error(&fetched_in_vain).contains("offer no rustc-web"));
}

#[test]
fn a_compiler_too_old_for_the_workspace_is_not_offered() {
    let mut old = Facts { fresh_lists: true, ..debian() };
    old.offered.insert("rustc-web".to_owned(), "1.85.0+dfsg3-1~deb12u3".to_owned());
    assert!(error(&old).contains("offer no rustc-web of at least 1.95"));
}

#[test]
fn a_nightly_with_sources_comes_first() {
    let facts = Facts { nightly: compiler(22, true), ..complete() };
    assert_eq!(plan(&facts, Scope::Build).unwrap().toolchain, Toolchain::Nightly);
}

#[test]
fn a_nightly_without_sources_is_passed_over() {
    let facts = Facts { nightly: compiler(22, false), ..complete() };
    assert_eq!(plan(&facts, Scope::Build).unwrap().toolchain, Toolchain::Bpf);
}

#[test]
fn a_nightly_whose_llvm_debian_lacks_is_passed_over() {
    let facts = Facts { nightly: compiler(23, true), fresh_lists: true, ..debian() };
    assert_eq!(plan(&facts, Scope::Build).unwrap().toolchain, Toolchain::Bpf);
}

#[test]
fn a_linker_older_than_the_compiler_is_built_anew() {
    let facts = Facts { linker: linker_with(21), ..complete() };
    let plan = plan(&facts, Scope::Build).unwrap();
    assert_eq!(actions(&plan).len(), 1);
    assert!(actions(&plan)[0].starts_with("cargo install bpf-linker"));
}

#[test]
fn another_version_of_the_linker_is_replaced() {
    let linker = Some(Linker { version: "0.9.15".to_owned(), llvm: None });
    let facts = Facts { linker, ..complete() };
    assert_eq!(actions(&plan(&facts, Scope::Build).unwrap()).len(), 1);
}

#[test]
fn llvm_prefix_stands_in_for_packages() {
    let facts = Facts {
        rustup: true,
        nightly: compiler(22, true),
        llvm_prefix: Some("/opt/llvm".into()),
        ..Facts::default()
    };
    let plan = plan(&facts, Scope::Build).unwrap();
    assert_eq!(plan.toolchain, Toolchain::Nightly);
    assert!(actions(&plan)[0].ends_with("with LLVM 22 from /opt/llvm"));
}

#[test]
fn elsewhere_everything_missing_is_named() {
    let elsewhere = Facts { rustup: true, ..Facts::default() };
    let said = error(&elsewhere);
    assert!(said.contains("no nightly toolchain: run `rustup toolchain install"), "{said}");
    assert!(said.contains("no bpf-linker 0.13.0"), "{said}");
    let no_source = Facts { nightly: compiler(22, false), linker: linker_with(22), ..elsewhere };
    let said = error(&no_source);
    assert!(said.contains("rustup component add rust-src"), "{said}");
    assert!(!said.contains("no bpf-linker"), "{said}");
}

#[test]
fn without_root_the_command_for_root_is_named() {
    let said = error(&Facts { root: false, ..debian() });
    assert!(
        said.contains("apt-get install rustc-web cargo-web rust-web-src llvm-22-dev"),
        "{said}"
    );
}

#[test]
fn an_llvm_that_no_linker_takes_is_named() {
    let facts = Facts { rustup: true, nightly: compiler(24, true), ..Facts::default() };
    assert!(error(&facts).contains("has LLVM 24, bpf-linker 0.13.0 takes 21 to 23"));
}

#[test]
fn without_rustup_there_is_no_set_up() {
    assert!(error(&Facts::default()).contains("rustup is missing"));
}

#[test]
fn bpftool_is_only_for_the_live_tests() {
    let facts = Facts { bpftool: false, root: false, ..complete() };
    assert!(plan(&facts, Scope::Build).is_ok());
    let said = plan(&facts, Scope::Everything).unwrap_err().to_string();
    assert!(said.contains("bpftool is missing"), "{said}");
}

#[test]
fn what_strangers_wrote_is_wanted_where_it_can_be_had() {
    let bare = Facts { stress: false, ..complete() };
    assert!(actions(&plan(&bare, Scope::Build).unwrap()).is_empty());
    assert_eq!(actions(&plan(&bare, Scope::Everything).unwrap()), ["stress-ng"]);
    let elsewhere = Facts { debian: false, ..bare };
    assert!(actions(&plan(&elsewhere, Scope::Guest).unwrap()).is_empty());
}

#[test]
fn a_guest_needs_an_emulator_and_nothing_else_does() {
    assert!(actions(&plan(&complete(), Scope::Guest).unwrap()).is_empty());
    let bare = Facts { qemu: false, busybox: false, ..complete() };
    // Live tests boot a busybox in namespaces of its own.
    assert_eq!(actions(&plan(&bare, Scope::Everything).unwrap()), ["busybox-static"]);
    let guest = plan(&bare, Scope::Guest).unwrap();
    assert_eq!(actions(&guest), ["qemu-system-x86 busybox-static"]);
    // With a busybox that is linked with libraries, the other one is installed.
    let linked = Facts { busybox: false, ..complete() };
    assert_eq!(actions(&plan(&linked, Scope::Guest).unwrap()), ["busybox-static"]);
    let elsewhere = Facts { debian: false, ..bare };
    let said = plan(&elsewhere, Scope::Guest).unwrap_err().to_string();
    assert!(said.contains("Debian: qemu-system-x86, busybox-static"), "{said}");
}
