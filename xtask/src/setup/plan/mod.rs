//! The plan: from the facts of a machine to the steps that are missing on it.
//!
//! Pure. Prefers a nightly that carries its sources; else the matching set of compiler,
//! sources and LLVM that Debian keeps for its browsers; else says exactly what is missing.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::setup::facts::{Compiler, Facts};

/// The linker that turns LLVM bitcode into an eBPF object, pinned.
pub(crate) const LINKER_VERSION: &str = "0.13.0";
/// The LLVM of Debian's compiler.
const DEBIAN_LLVM: u32 = 22;
/// The LLVMs that this linker can be built with.
const LINKER_LLVMS: std::ops::RangeInclusive<u32> = 21..=23;
/// The compiler, its sources and its cargo, as Debian packages them.
const COMPILER_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
/// Every package that some plan may want.
pub(crate) const PACKAGES: [&str; 10] = [
    COMPILER_PACKAGES[0],
    COMPILER_PACKAGES[1],
    COMPILER_PACKAGES[2],
    "llvm-21-dev",
    "llvm-22-dev",
    "llvm-23-dev",
    "bpftool",
    GUEST_PACKAGES[0],
    GUEST_PACKAGES[1],
    STRESS,
];
/// The emulator, and what brings a guest up.
const GUEST_PACKAGES: [&str; 2] = ["qemu-system-x86", "busybox-static"];
/// What strangers wrote and live tests run as an agent.
const STRESS: &str = "stress-ng";
/// The oldest compiler that the workspace accepts (`rust-version`).
const OLDEST_COMPILER: (u32, u32) = (1, 95);

/// For what the machine is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// To build and run.
    Build,
    /// To run the live tests as well.
    Everything,
    /// To run them on other kernels, too.
    Guest,
}

/// The rustup toolchain that builds the eBPF half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// A nightly with rust-src.
    Nightly,
    /// The one linked as `bpf`.
    Bpf,
}

impl Toolchain {
    /// As rustup and the build script know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nightly => "nightly",
            Self::Bpf => "bpf",
        }
    }
}

/// What will be done, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What builds the eBPF half in the end.
    pub(crate) toolchain: Toolchain,
    /// What it takes, with the steps that need nothing done.
    pub(crate) steps: Vec<Step>,
}

/// One thing that must be there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// As it stands in the progress lines.
    pub(crate) name: String,
    /// How to get it, if it is not there.
    pub(crate) action: Option<Action>,
}

/// A change to the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Install these Debian packages.
    Packages(Vec<String>),
    /// Let rustup know Debian's compiler as the toolchain `bpf`.
    Link,
    /// Build and install the linker with this LLVM.
    Linker {
        /// Its major version.
        llvm: u32,
        /// Where it lies.
        prefix: PathBuf,
    },
}

impl Action {
    /// The action, for a person who wants to know before it happens.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Packages(names) => names.join(" "),
            Self::Link => "rustup toolchain link bpf /usr".to_owned(),
            Self::Linker { llvm, prefix } => format!(
                "cargo install bpf-linker --version {LINKER_VERSION}, with LLVM {llvm} from {}",
                prefix.display()
            ),
        }
    }
}

impl Plan {
    /// Whether packages are wanted that the lists, possibly old or absent, do not offer.
    pub(crate) fn wants_package_lists(&self, facts: &Facts) -> bool {
        let mut wanted = self.steps.iter().filter_map(|step| match &step.action {
            Some(Action::Packages(names)) => Some(names),
            _ => None,
        });
        !facts.fresh_lists && wanted.any(|names| names.iter().any(|name| !offers(facts, name)))
    }
}

/// Decides what to do on a machine with these facts.
pub(crate) fn plan(facts: &Facts, scope: Scope) -> Result<Plan> {
    if !facts.rustup {
        bail!(
            "rustup is missing, and the eBPF half needs a toolchain of its own: \
             install rustup (https://rustup.rs), then run this again"
        );
    }
    let mut plan = choose(facts)?;
    if scope != Scope::Build {
        plan.steps.push(bpftool(facts)?);
        plan.steps.push(strangers(facts, scope));
    }
    if scope == Scope::Guest {
        plan.steps.push(emulator(facts)?);
    }
    Ok(plan)
}

fn choose(facts: &Facts) -> Result<Plan> {
    let candidates = [
        (Toolchain::Nightly, &facts.nightly, "nightly with rust-src"),
        (Toolchain::Bpf, &facts.bpf, "bpf toolchain"),
    ];
    for (toolchain, compiler, name) in candidates {
        if let Some(compiler) = compiler.as_ref().filter(|compiler| compiler.sources)
            && let Some(steps) = with_compiler(facts, compiler, name)
        {
            return Ok(Plan { toolchain, steps });
        }
    }
    if let Some(steps) = with_debian(facts) {
        return Ok(Plan { toolchain: Toolchain::Bpf, steps });
    }
    bail!("{}", missing(facts))
}

/// A compiler that is there needs only a linker.
fn with_compiler(facts: &Facts, compiler: &Compiler, name: &str) -> Option<Vec<Step>> {
    let (packages, linker) = linker(facts, compiler.llvm)?;
    let found = Step { name: name.to_owned(), action: None };
    Some([package_step(facts, packages), Some(found), Some(linker)].into_iter().flatten().collect())
}

/// Debian's compiler, installed and linked as `bpf`.
fn with_debian(facts: &Facts) -> Option<Vec<Step>> {
    let (llvm, linker) = linker(facts, DEBIAN_LLVM)?;
    let wanted = COMPILER_PACKAGES.map(ToOwned::to_owned).into_iter();
    let wanted: Vec<_> =
        wanted.filter(|name| !facts.installed.contains(name)).chain(llvm).collect();
    if !facts.debian || !wanted.iter().all(|name| obtainable(facts, name)) {
        return None;
    }
    let link = Step { name: "bpf toolchain".to_owned(), action: Some(Action::Link) };
    Some([package_step(facts, wanted), Some(link), Some(linker)].into_iter().flatten().collect())
}

/// The step that gets a linker for bitcode of `llvm`, and the packages it wants first.
fn linker(facts: &Facts, llvm: u32) -> Option<(Vec<String>, Step)> {
    let name = format!("bpf-linker {LINKER_VERSION}");
    // A linker reads the bitcode of its own LLVM and of older ones.
    let fits = facts.linker.as_ref().is_some_and(|linker| {
        linker.version == LINKER_VERSION && linker.llvm.is_none_or(|own| own >= llvm)
    });
    if fits {
        return Some((Vec::new(), Step { name, action: None }));
    }
    if !LINKER_LLVMS.contains(&llvm) {
        return None;
    }
    if let Some(prefix) = facts.llvm_prefix.clone() {
        return Some((Vec::new(), Step { name, action: Some(Action::Linker { llvm, prefix }) }));
    }
    let package = format!("llvm-{llvm}-dev");
    let prefix = PathBuf::from(format!("/usr/lib/llvm-{llvm}"));
    let linker = Step { name, action: Some(Action::Linker { llvm, prefix }) };
    if facts.installed.contains(&package) {
        return Some((Vec::new(), linker));
    }
    obtainable(facts, &package).then(|| (vec![package], linker))
}

/// Whether the package can be installed here, as far as is known before the lists are fresh.
fn obtainable(facts: &Facts, package: &str) -> bool {
    facts.debian && facts.root && (offers(facts, package) || !facts.fresh_lists)
}

/// Whether the package lists carry the package, new enough.
fn offers(facts: &Facts, package: &str) -> bool {
    let new_enough = |version: &str| {
        let mut numbers = version.split(['.', '+', '-']).map(|number| number.parse().ok());
        let version = (numbers.next().flatten(), numbers.next().flatten());
        matches!(version, (Some(major), Some(minor)) if (major, minor) >= OLDEST_COMPILER)
    };
    let offered = facts.offered.get(package);
    offered.is_some_and(|version| package != COMPILER_PACKAGES[0] || new_enough(version))
}

/// The package step; on a machine without Debian's packages there is none.
fn package_step(facts: &Facts, missing: Vec<String>) -> Option<Step> {
    let action = (!missing.is_empty()).then_some(Action::Packages(missing));
    facts.debian.then(|| Step { name: "Debian packages".to_owned(), action })
}

fn bpftool(facts: &Facts) -> Result<Step> {
    let name = "bpftool".to_owned();
    if facts.bpftool {
        return Ok(Step { name, action: None });
    }
    if !obtainable(facts, &name) {
        bail!(
            "bpftool is missing, which the live tests look into the kernel with: install it \
             (Debian and Fedora: package bpftool; Arch: bpf), or leave them out with --no-live"
        );
    }
    let action = Some(Action::Packages(vec![name.clone()]));
    Ok(Step { name, action })
}

/// What live tests call that others wrote. Where it cannot be installed those tests say that they are not run.
fn strangers(facts: &Facts, scope: Scope) -> Step {
    // Guests ask for busybox themselves, and cannot do without.
    let wanted =
        [(STRESS, facts.stress), (GUEST_PACKAGES[1], facts.busybox || scope == Scope::Guest)];
    let missing = wanted.into_iter().filter(|(name, there)| !there && obtainable(facts, name));
    let missing: Vec<_> = missing.map(|(name, _)| name.to_owned()).collect();
    let action = (!missing.is_empty()).then_some(Action::Packages(missing));
    Step { name: "tools of others".to_owned(), action }
}

/// What the guests need. Their kernels are packages of Debian, too.
fn emulator(facts: &Facts) -> Result<Step> {
    let there = [facts.qemu, facts.busybox];
    let missing = GUEST_PACKAGES.iter().zip(there).filter(|(_, there)| !there);
    let missing: Vec<_> = missing.map(|(&name, _)| name.to_owned()).collect();
    if !missing.iter().all(|name| obtainable(facts, name)) {
        bail!(
            "guests need QEMU for x86_64 and a busybox that needs no libraries: install what is \
             missing (Debian: {}), then run this again",
            missing.join(", ")
        );
    }
    let action = (!missing.is_empty()).then_some(Action::Packages(missing));
    Ok(Step { name: "emulator".to_owned(), action })
}

/// Names everything that is missing and how to get it.
fn missing(facts: &Facts) -> String {
    let mut lines = vec!["the eBPF half cannot be built on this machine yet".to_owned()];
    let llvm = match &facts.nightly {
        None => {
            lines.push(
                "no nightly toolchain: run `rustup toolchain install nightly --profile minimal \
                 --component rust-src`"
                    .to_owned(),
            );
            None
        }
        Some(nightly) => {
            if !nightly.sources {
                lines.push(
                    "the nightly toolchain has no rust-src: run `rustup component add rust-src \
                     --toolchain nightly`"
                        .to_owned(),
                );
            }
            Some(nightly.llvm)
        }
    };
    if let Some(without_linker) = missing_linker(facts, llvm) {
        lines.push(without_linker);
    }
    if facts.debian && !facts.root {
        let packages = [&COMPILER_PACKAGES[..], &["llvm-22-dev"]].concat().join(" ");
        lines.push(format!(
            "on Debian, instead of all that: run `apt-get install {packages}` as root"
        ));
    } else if facts.debian {
        lines.push(format!(
            "the package lists, as far as they could be fetched, offer no rustc-web of at least {}.{} with llvm-{DEBIAN_LLVM}-dev, \
             which would do instead",
            OLDEST_COMPILER.0, OLDEST_COMPILER.1
        ));
    }
    lines.push("then run this again".to_owned());
    lines.join("\n  - ")
}

fn missing_linker(facts: &Facts, llvm: Option<u32>) -> Option<String> {
    let wanted = match llvm {
        Some(llvm) if linker(facts, llvm).is_some() => return None,
        Some(llvm) if !LINKER_LLVMS.contains(&llvm) => {
            return Some(format!(
                "the nightly toolchain has LLVM {llvm}, bpf-linker {LINKER_VERSION} takes {} to \
                 {}: use a nightly with one of those",
                LINKER_LLVMS.start(),
                LINKER_LLVMS.end()
            ));
        }
        Some(llvm) => format!("LLVM {llvm}"),
        None => "the LLVM of that nightly".to_owned(),
    };
    Some(format!(
        "no bpf-linker {LINKER_VERSION}: install the development files of {wanted} and say where \
         they lie with LLVM_PREFIX=/path/to/llvm"
    ))
}

#[cfg(test)]
mod tests;
