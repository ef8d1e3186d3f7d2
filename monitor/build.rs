//! Compiles the kernel half with a toolchain that can build `core` for BPF, into `OUT_DIR/monitor`, without what only
//! a debugger reads. From there `kernel/mod.rs` embeds it.
//!
//! `DRIFTWATCH_BPF_TOOLCHAIN` names the toolchain for `rustup run`; without it, a nightly that has
//! rust-src is taken, else the toolchain called `bpf`. `cargo xtask setup` provides one of them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use aya_build::{Package, Toolchain};
use object::build::elf::{Builder, SectionData};

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-env-changed=DRIFTWATCH_BPF_TOOLCHAIN");
    let toolchain = match env::var("DRIFTWATCH_BPF_TOOLCHAIN") {
        Ok(name) => name,
        Err(_) => find_toolchain()?,
    };
    if env::var_os("RUSTC_BOOTSTRAP").is_none() {
        // SAFETY: a build script has one thread.
        unsafe { env::set_var("RUSTC_BOOTSTRAP", "1") }; // `-Z build-std` on a released compiler
    }
    let root =
        PathBuf::from(env::var("CARGO_MANIFEST_DIR").context("cargo sets CARGO_MANIFEST_DIR")?)
            .join("../monitor-ebpf");
    println!("cargo:rerun-if-changed=../monitor-common/src");
    let root = root.to_str().context("the checkout's path is not UTF-8")?;
    let package = Package { name: "monitor-ebpf", root_dir: root, ..Package::default() };
    aya_build::build_ebpf([package], Toolchain::Custom(&toolchain))?;
    let built = PathBuf::from(env::var("OUT_DIR").context("cargo sets OUT_DIR")?).join("monitor");
    strip(&built).with_context(|| format!("cannot strip {}", built.display()))
}

/// Leaves out what only a debugger reads, which is four fifths of the file: it would be part of the daemon and in its
/// memory. What the kernel is given (`.BTF`, `.BTF.ext`) stays.
fn strip(file: &Path) -> anyhow::Result<()> {
    let whole = fs::read(file)?;
    let mut builder = Builder::read(&*whole)?;
    for section in &mut builder.sections {
        let name = section.name.as_slice();
        section.delete = name.starts_with(b".debug_") || name.starts_with(b".rel.debug_");
    }
    builder.delete_orphans();
    // LLVM keeps names of sections among those of symbols, which cannot be written here.
    let names = builder.sections.add();
    names.name = b".shstrtab"[..].into();
    names.sh_type = object::elf::SHT_STRTAB;
    names.sh_addralign = 1;
    names.data = SectionData::SectionString;
    let mut rest = Vec::new();
    builder.write(&mut rest)?;
    Ok(fs::write(file, rest)?)
}

/// A toolchain that has the sources of `core`.
fn find_toolchain() -> anyhow::Result<String> {
    for name in ["nightly", "bpf"] {
        let sysroot =
            Command::new("rustup").args(["run", name, "rustc", "--print", "sysroot"]).output();
        let Ok(sysroot) = sysroot else { break };
        let path = String::from_utf8_lossy(&sysroot.stdout);
        let core = PathBuf::from(path.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml");
        if sysroot.status.success() && core.exists() {
            return Ok(name.to_owned());
        }
    }
    bail!("no toolchain can build `core` for BPF: run `cargo xtask setup`")
}
