//! The facts: what this machine has of what the eBPF half needs.
//!
//! Looks and asks, changes nothing, decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command;

use super::plan::PACKAGES;

/// What was found on this machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// `rustup` can be run.
    pub(crate) rustup: bool,
    /// The toolchain named `nightly`.
    pub(crate) nightly: Option<Compiler>,
    /// The toolchain named `bpf`.
    pub(crate) bpf: Option<Compiler>,
    /// The `bpf-linker` on the path.
    pub(crate) linker: Option<Linker>,
    /// `bpftool` can be run.
    pub(crate) bpftool: bool,
    /// QEMU for this architecture can be run.
    pub(crate) qemu: bool,
    /// There is a busybox that needs no libraries.
    pub(crate) busybox: bool,
    /// `stress-ng` can be run.
    pub(crate) stress: bool,
    /// `apt-get` can be run: Debian or a descendant.
    pub(crate) debian: bool,
    /// This process may install packages.
    pub(crate) root: bool,
    /// Of the packages that may be needed, those that are installed.
    pub(crate) installed: BTreeSet<String>,
    /// Of those that are not, what the package lists offer, and in which version.
    pub(crate) offered: BTreeMap<String, String>,
    /// The package lists were fetched a moment ago: what they do not offer, there is not.
    pub(crate) fresh_lists: bool,
    /// Where the caller says that LLVM lies (`LLVM_PREFIX`).
    pub(crate) llvm_prefix: Option<PathBuf>,
}

/// A Rust compiler that may build the eBPF half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compiler {
    /// The major version of its LLVM.
    pub(crate) llvm: u32,
    /// The sources of `core` lie where cargo looks for them.
    pub(crate) sources: bool,
}

/// An installed `bpf-linker`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Linker {
    /// Its own version.
    pub(crate) version: String,
    /// The major version of the LLVM it is linked with, unless that is inside it.
    pub(crate) llvm: Option<u32>,
}

impl Facts {
    /// Looks at this machine.
    pub(crate) fn gather() -> Self {
        let toolchains = command::answer(Command::new("rustup").args(["toolchain", "list"]));
        let names = toolchains.as_deref().map(toolchain_names).unwrap_or_default();
        let debian = command::exists("apt-get");
        let installed = if debian { installed_packages() } else { BTreeSet::new() };
        let absent: Vec<_> = PACKAGES.into_iter().filter(|p| !installed.contains(*p)).collect();
        Self {
            rustup: toolchains.is_some(),
            nightly: compiler(&names, "nightly"),
            bpf: compiler(&names, "bpf"),
            linker: linker(),
            bpftool: find_program("bpftool").is_some(),
            qemu: find_program("qemu-system-x86_64").is_some(),
            busybox: find_program("busybox").is_some_and(|program| is_static(&program)),
            stress: find_program("stress-ng").is_some(),
            debian,
            root: effective_user() == Some(0),
            offered: if debian { offered_packages(&absent) } else { BTreeMap::new() },
            installed,
            fresh_lists: false,
            llvm_prefix: std::env::var_os("LLVM_PREFIX").map(PathBuf::from),
        }
    }
}

/// The names `rustup toolchain list` prints, as `rustup run` accepts them: without the host.
fn toolchain_names(list: &str) -> BTreeSet<&str> {
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    names.map(|name| if is_plain_nightly(name) { "nightly" } else { name }).collect()
}

/// `nightly-x86_64-…` is what `rustup run nightly` takes; `nightly-2026-01-02-…` is not.
fn is_plain_nightly(name: &str) -> bool {
    name.strip_prefix("nightly-")
        .is_some_and(|rest| !rest.starts_with(|first: char| first.is_ascii_digit()))
}

fn compiler(names: &BTreeSet<&str>, name: &str) -> Option<Compiler> {
    if !names.contains(name) {
        return None;
    }
    let ask = |arguments: &[&str]| {
        command::answer(Command::new("rustup").args(["run", name, "rustc"]).args(arguments))
    };
    let sysroot = ask(&["--print", "sysroot"])?;
    let core = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/src/lib.rs");
    Some(Compiler { llvm: llvm_version(&ask(&["-vV"])?)?, sources: core.is_file() })
}

/// The major version after `LLVM version:` in the output of `rustc -vV`.
fn llvm_version(verbose: &str) -> Option<u32> {
    let version = verbose.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    version.split('.').next()?.parse().ok()
}

fn linker() -> Option<Linker> {
    let program = find_program("bpf-linker")?;
    let said = command::answer(Command::new(&program).arg("--version"))?;
    let version = said.split_whitespace().last()?.to_owned();
    Some(Linker { version, llvm: linked_llvm(&std::fs::read(&program).unwrap_or_default()) })
}

/// The LLVM a program is linked with, from the library names inside it: `libLLVM.so.22.1`
/// or, as older ones are called, `libLLVM-19.so`.
fn linked_llvm(program: &[u8]) -> Option<u32> {
    let name = b"libLLVM";
    let at = program.windows(name.len()).enumerate().filter(|(_, bytes)| bytes == name);
    let mut numbers = at.filter_map(|(index, _)| {
        let rest = &program[index + name.len()..];
        let rest = rest.strip_prefix(b".so.").or_else(|| rest.strip_prefix(b"-"))?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    });
    numbers.next()
}

/// Debian's administration programs lie outside an ordinary user's path.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let administration = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut directories = std::env::split_paths(&path).chain(administration);
    directories.find_map(|directory| Some(directory.join(name)).filter(|file| file.is_file()))
}

/// `ldd` fails on what is linked with nothing.
fn is_static(program: &Path) -> bool {
    let output = Command::new("ldd").env("LC_ALL", "C").arg(program).output();
    output.is_ok_and(|output| {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        said.contains("not a dynamic executable") || said.contains("statically linked")
    })
}

fn installed_packages() -> BTreeSet<String> {
    let mut ask = Command::new("dpkg-query");
    ask.args(["-W", "-f", "${Package} ${db:Status-Status}\n"]).args(PACKAGES);
    // It fails when one of the packages is unknown, and still names those that it knows.
    let known = ask.output().map(|output| output.stdout).unwrap_or_default();
    installed(&String::from_utf8_lossy(&known))
}

fn installed(known: &str) -> BTreeSet<String> {
    let packages = known.lines().filter_map(|line| line.strip_suffix(" installed"));
    packages.map(ToOwned::to_owned).collect()
}

fn offered_packages(absent: &[&str]) -> BTreeMap<String, String> {
    if absent.is_empty() {
        return BTreeMap::new();
    }
    let mut ask = Command::new("apt-cache");
    ask.env("LC_ALL", "C").arg("policy").args(absent);
    command::answer(&mut ask).map(|policy| offered(&policy)).unwrap_or_default()
}

/// Package and candidate version, from the output of `apt-cache policy`.
fn offered(policy: &str) -> BTreeMap<String, String> {
    let mut offered = BTreeMap::new();
    let mut package = "";
    for line in policy.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with(' ')) {
            package = name;
        } else if let Some(version) = line.trim().strip_prefix("Candidate: ")
            && version != "(none)"
        {
            offered.insert(package.to_owned(), version.to_owned());
        }
    }
    offered
}

/// The effective user, as the kernel tells it.
pub(crate) fn effective_user() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_undated_nightly_is_nightly() {
        let names = toolchain_names(
            "stable-x86_64-unknown-linux-gnu (active, default)\n\
             nightly-2026-01-02-x86_64-unknown-linux-gnu\nbpf\n",
        );
        assert!(!names.contains("nightly") && names.contains("bpf"), "{names:?}");
        assert!(toolchain_names("nightly-aarch64-unknown-linux-gnu\n").contains("nightly"));
    }

    #[test]
    fn the_llvm_of_a_compiler_is_its_major_version() {
        assert_eq!(llvm_version("rustc 1.96.0\nrelease: 1.96.0\nLLVM version: 22.1.8\n"), Some(22));
        assert_eq!(llvm_version("rustc 1.96.0\n"), None);
    }

    #[test]
    fn the_llvm_of_a_linker_is_read_from_its_library_names() {
        assert_eq!(linked_llvm(b"\0libLLVMCore\0libLLVM.so.22.1\0libc.so.6\0"), Some(22));
        assert_eq!(linked_llvm(b"\0libLLVM-19.so\0"), Some(19));
        assert_eq!(linked_llvm(b"\x7fELF, all of it inside"), None);
    }

    #[test]
    fn removed_packages_are_not_installed() {
        let known = "rustc-web installed\ncargo-web config-files\n";
        assert_eq!(installed(known), BTreeSet::from(["rustc-web".to_owned()]));
    }

    #[test]
    fn a_package_without_candidate_is_not_offered() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1\n  Version \
                      table:\n     1.96.0+dfsg1-1 500\nllvm-22-dev:\n  Installed: (none)\n  \
                      Candidate: (none)\n  Version table:\n";
        let offered = offered(policy);
        assert_eq!(offered.get("rustc-web").map(String::as_str), Some("1.96.0+dfsg1-1"));
        assert!(!offered.contains_key("llvm-22-dev"), "{offered:?}");
    }
}
