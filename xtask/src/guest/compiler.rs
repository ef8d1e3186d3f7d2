//! The compiler of this machine, as much of it as it takes to compile a few sources: it is asked itself what that is.
//!
//! All of it would be several hundred megabytes. The programs that are called by their names, `cc`, `as` and `ld`, are
//! none of this module's.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::command;

/// Programs that `cc` calls.
const PROGRAMS: [&str; 2] = ["cc1", "collect2"];
/// What it hands the linker, and what the libraries' scripts name. Not every platform has all of it.
const FILES: [&str; 20] = [
    "liblto_plugin.so",
    "crt1.o",
    "Scrt1.o",
    "crti.o",
    "crtn.o",
    "crtbegin.o",
    "crtbeginS.o",
    "crtend.o",
    "crtendS.o",
    "libgcc.a",
    "libgcc_s.so",
    "libgcc_s.so.1",
    "libc.so",
    "libc.so.6",
    "libc_nonshared.a",
    "libm.so",
    "libm.so.6",
    "libmvec.so",
    "libmvec.so.1",
    "ld-linux-x86-64.so.2",
];

/// Parts of a compiler, under their names on this machine.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Programs, which need their libraries.
    pub(super) programs: Vec<PathBuf>,
    /// Headers, objects, archives, libraries.
    pub(super) files: Vec<PathBuf>,
}

/// What it takes to compile the C sources of a directory. Nothing where there is no compiler.
pub(super) fn parts(sources: &Path) -> Result<Parts> {
    let mut parts = Parts::default();
    for name in PROGRAMS {
        parts.programs.extend(ask(&format!("-print-prog-name={name}"))?);
    }
    for name in FILES {
        parts.files.extend(ask(&format!("-print-file-name={name}"))?);
    }
    // Optimised as the test has it, since some headers are read only then.
    let mut cc = Command::new("cc");
    let entries = sources.read_dir().with_context(|| sources.display().to_string())?;
    let entries: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    let sources = entries.iter().filter(|file| file.extension() == Some(OsStr::new("c")));
    if let Some(said) = command::answer(cc.args(["-O2", "-M"]).args(sources)) {
        parts.files.extend(depends_on(&said).filter(|header| !entries.contains(header)));
        ensure!(!parts.files.is_empty(), "cc says of no header that it needs it: {said}");
    }
    Ok(parts)
}

/// The file that the compiler names, where it has it: what it has not it names without a place.
fn ask(question: &str) -> Result<Option<PathBuf>> {
    let said = command::answer(Command::new("cc").arg(question)).unwrap_or_default();
    let file = PathBuf::from(said.trim());
    if !file.is_absolute() || !file.exists() {
        return Ok(None);
    }
    // Its names lead through directories that would have to be there: `/usr/lib/gcc/../x86_64-linux-gnu/crt1.o`.
    let place = file.parent().context("a file has a directory")?.canonicalize()?;
    Ok(Some(place.join(file.file_name().context("a file has a name")?)))
}

/// The files behind the colons of rules for make.
fn depends_on(said: &str) -> impl Iterator<Item = PathBuf> {
    let words = said.split_whitespace().filter(|word| word.starts_with('/'));
    words.map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_from_what_the_compiler_says() {
        let said = "main.o: main.c /usr/include/stdio.h \\\n /usr/include/features.h words.h\n";
        let found: Vec<_> = depends_on(said).collect();
        assert_eq!(found, ["/usr/include/stdio.h", "/usr/include/features.h"].map(PathBuf::from));
    }
}
