//! Kernel modules: which files hold them, and which must be there before them.
//!
//! A package that is only unpacked has no list of dependencies; each module names its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// A module, ready for the kernel.
#[derive(Debug)]
pub(crate) struct Module {
    /// Its name, `-` written as `_`.
    pub(crate) name: String,
    /// Its ELF file, not compressed.
    pub(crate) bytes: Vec<u8>,
}

/// The modules of these names and all that they need, in the order in which they are loaded; and the names of those
/// that this kernel has in no way.
pub(crate) fn with_dependencies(
    directory: &Path,
    names: &[&str],
) -> Result<(Vec<Module>, Vec<String>)> {
    let mut files = BTreeMap::new();
    index(directory, &mut files).with_context(|| format!("cannot list {}", directory.display()))?;
    let (mut found, mut absent) = (Vec::new(), Vec::new());
    for name in names {
        if files.contains_key(*name) {
            add(&files, name, &mut found)?;
        } else if !is_built_in(directory, name) {
            absent.push((*name).to_owned());
        }
    }
    Ok((found, absent))
}

/// Whether the list of what is in the kernel itself has this name.
fn is_built_in(directory: &Path, name: &str) -> bool {
    let list = fs::read_to_string(directory.join("modules.builtin")).unwrap_or_default();
    let names = list.lines().filter_map(|line| line.rsplit('/').next()?.strip_suffix(".ko"));
    names.map(|built_in| built_in.replace('-', "_")).any(|built_in| built_in == name)
}

fn add(files: &BTreeMap<String, PathBuf>, name: &str, found: &mut Vec<Module>) -> Result<()> {
    if found.iter().any(|module| module.name == name) {
        return Ok(());
    }
    // What is not among the files is built in.
    let Some(file) = files.get(name) else { return Ok(()) };
    let bytes = read(file)?;
    for needed in depends(&bytes) {
        add(files, &needed, found)?;
    }
    found.push(Module { name: name.to_owned(), bytes });
    Ok(())
}

/// Every module below the directory, by its name.
fn index(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            index(&entry.path(), files)?;
        } else if let Some((name, _)) = entry.file_name().to_string_lossy().split_once(".ko") {
            files.insert(name.replace('-', "_"), entry.path());
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    let tool = match file.extension().and_then(|ending| ending.to_str()) {
        Some("xz") => "xz",
        Some("gz") => "gzip",
        Some("zst") => "zstd",
        _ => return Ok(bytes),
    };
    let mut unpack = Command::new(tool);
    let output = unpack.args(["-dc"]).arg(file).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run `{tool}`, for {}", file.display()))?;
    ensure!(output.status.success(), "{tool} cannot unpack {}", file.display());
    Ok(output.stdout)
}

/// The names after `depends=` in what the module says about itself.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|bytes| bytes == KEY) else {
        return Vec::new();
    };
    let value = module[at + KEY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value);
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_names_what_it_needs() {
        let module = b"\x7fELF\0license=GPL\0depends=vsock,virtio-transport\0retpoline=Y\0";
        assert_eq!(depends(module), ["vsock", "virtio_transport"]);
        assert_eq!(depends(b"\0depends=\0name=x\0"), [""; 0]);
        assert_eq!(depends(b"nothing"), [""; 0]);
    }

    #[test]
    fn needed_modules_come_first_and_once() {
        let ground = std::env::temp_dir().join(format!("driftwatch-ko-{}", std::process::id()));
        fs::create_dir_all(ground.join("net")).unwrap();
        let put = |name: &str, needs: &str| {
            fs::write(ground.join(name), format!("\0depends={needs}\0")).unwrap();
        };
        put("net/a-one.ko", "b,built-in");
        put("b.ko", "c");
        put("net/c.ko", "");
        put("d.ko", "c");
        fs::write(ground.join("modules.builtin"), "kernel/fs/in-side.ko\n").unwrap();
        let wanted = ["a_one", "d", "in_side", "nowhere"];
        let (found, absent) = with_dependencies(&ground, &wanted).unwrap();
        let names: Vec<_> = found.iter().map(|module| &*module.name).collect();
        assert_eq!(names, ["c", "b", "a_one", "d"]);
        assert_eq!(absent, ["nowhere"]);
        fs::remove_dir_all(ground).unwrap();
    }
}
