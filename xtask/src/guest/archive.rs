//! The archive: a directory tree as the kernel unpacks it at boot (cpio, the form `newc`).
//!
//! Collected first and written in the order of the names, so that a directory comes before what is in it. Every
//! file belongs to root. Knows nothing of what the files are for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// Type bits of a mode, as `stat` has them.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// What there is under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A directory.
    Directory,
    /// The target of a symbolic link.
    Link(PathBuf),
    /// These bytes, with these permissions.
    Text(Vec<u8>, u32),
    /// What is in this file of the host when the archive is written, with these permissions.
    Copy(PathBuf, u32),
}

/// A tree. Names are relative, and each directory on the way to one is there.
#[derive(Debug, Default, Clone)]
pub(crate) struct Archive {
    entries: BTreeMap<PathBuf, Entry>,
}

impl Archive {
    /// Puts something under a name; what was there is replaced.
    pub(crate) fn put(&mut self, name: &Path, entry: Entry) {
        let name: PathBuf = name.components().filter(|c| *c != Component::RootDir).collect();
        for directory in name.ancestors().skip(1).filter(|name| !name.as_os_str().is_empty()) {
            self.entries.entry(directory.to_owned()).or_insert(Entry::Directory);
        }
        self.entries.insert(name, entry);
    }

    /// All of another tree, below a directory of this one.
    pub(crate) fn graft(&mut self, directory: &str, other: Self) {
        for (name, entry) in other.entries {
            self.put(&Path::new(directory).join(name), entry);
        }
    }

    /// Writes it.
    pub(crate) fn write(&self, to: &mut impl Write) -> Result<()> {
        for (number, (name, entry)) in (1..).zip(&self.entries) {
            one(to, number, name, entry)
                .with_context(|| format!("cannot put {} into the guest", name.display()))?;
        }
        header(to, 0, 0, 0, b"TRAILER!!!")?;
        Ok(())
    }
}

fn one<W: Write>(to: &mut W, number: u32, name: &Path, entry: &Entry) -> Result<()> {
    let name = name.as_os_str().as_encoded_bytes();
    let bytes = |to: &mut W, mode, bytes: &[u8]| -> Result<()> {
        let length = u32::try_from(bytes.len()).context("longer than 4 GiB")?;
        header(to, number, mode, length, name)?;
        to.write_all(bytes)?;
        Ok(pad(to, bytes.len())?)
    };
    match entry {
        Entry::Directory => bytes(to, DIRECTORY | 0o755, &[]),
        Entry::Link(target) => bytes(to, LINK | 0o777, target.as_os_str().as_encoded_bytes()),
        Entry::Text(text, mode) => bytes(to, REGULAR | mode, text),
        Entry::Copy(file, mode) => {
            let from = File::open(file).with_context(|| file.display().to_string())?;
            let length = u32::try_from(from.metadata()?.len()).context("longer than 4 GiB")?;
            header(to, number, REGULAR | mode, length, name)?;
            let copied = io::copy(&mut &from, to)?;
            ensure!(copied == u64::from(length), "{} changed meanwhile", file.display());
            Ok(pad(to, length as usize)?)
        }
    }
}

/// Magic, 13 numbers in hexadecimal, and the name.
fn header(to: &mut impl Write, number: u32, mode: u32, size: u32, name: &[u8]) -> io::Result<()> {
    const OWNER: u32 = 0;
    let links = if mode & DIRECTORY == 0 { 1 } else { 2 };
    let name_size = u32::try_from(name.len() + 1).map_err(io::Error::other)?;
    let mut text = String::from("070701");
    for field in [number, mode, OWNER, OWNER, links, 0, size, 0, 0, 0, 0, name_size, 0] {
        text += &format!("{field:08X}");
    }
    to.write_all(text.as_bytes())?;
    to.write_all(name)?;
    to.write_all(b"\0")?;
    pad(to, text.len() + name.len() + 1)
}

/// Whatever is next begins at a multiple of four.
fn pad(to: &mut impl Write, written: usize) -> io::Result<()> {
    to.write_all(&[0; 3][..written.wrapping_neg() % 4])
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn written(archive: &Archive) -> Vec<u8> {
        let mut bytes = Vec::new();
        archive.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn an_archive_is_what_the_kernel_expects() {
        let mut archive = Archive::default();
        archive.put(Path::new("/a/b"), Entry::Text(b"hello".to_vec(), 0o640));
        let fields = |number: u32, mode: u32, links: u32, size: u32, name: u32| {
            let zero = 0;
            format!(
                "070701{number:08X}{mode:08X}{zero:08X}{zero:08X}{links:08X}{zero:08X}{size:08X}\
                 {zero:08X}{zero:08X}{zero:08X}{zero:08X}{name:08X}{zero:08X}"
            )
        };
        let expected = [
            fields(1, 0o040_755, 2, 0, 2) + "a\0",
            fields(2, 0o100_640, 1, 5, 4) + "a/b\0\0\0" + "hello\0\0\0",
            fields(0, 0, 1, 0, 11) + "TRAILER!!!\0\0\0\0",
        ];
        assert_eq!(String::from_utf8(written(&archive)).unwrap(), expected.concat());
    }

    #[test]
    fn directories_come_before_what_is_in_them_and_nothing_twice() {
        let mut archive = Archive::default();
        archive.put(Path::new("z/y/x"), Entry::Text(vec![], 0o644));
        archive.put(Path::new("z/y"), Entry::Directory);
        archive.put(Path::new("a"), Entry::Link("z".into()));
        let names: Vec<_> = archive.entries.keys().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names, ["a", "z", "z/y", "z/y/x"]);
    }

    #[test]
    fn another_program_unpacks_it() {
        if !crate::command::exists("cpio") {
            eprintln!("no cpio here: nothing was compared");
            return;
        }
        let ground = std::env::temp_dir().join(format!("driftwatch-cpio-{}", std::process::id()));
        std::fs::create_dir(&ground).unwrap();
        let source = ground.join("source");
        std::fs::write(&source, [7; 1001]).unwrap();
        let mut archive = Archive::default();
        archive.put(Path::new("d/copy"), Entry::Copy(source, 0o755));
        archive.put(Path::new("d/link"), Entry::Link("copy".into()));
        archive.put(Path::new("text"), Entry::Text(b"abc".to_vec(), 0o600));
        let mut cpio = Command::new("cpio")
            .args(["-i", "--quiet", "--make-directories", "--no-preserve-owner"])
            .current_dir(&ground)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        archive.write(cpio.stdin.as_mut().unwrap()).unwrap();
        assert!(cpio.wait().unwrap().success());
        assert_eq!(std::fs::read(ground.join("d/link")).unwrap(), [7; 1001]);
        let mode = |name| std::fs::metadata(ground.join(name)).unwrap().permissions().mode();
        assert_eq!((mode("d/copy") & 0o777, mode("text") & 0o777), (0o755, 0o600));
        std::fs::remove_dir_all(ground).unwrap();
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let mut archive = Archive::default();
        archive.put(Path::new("x"), Entry::Copy("/nowhere/at/all".into(), 0o644));
        let error = format!("{:#}", archive.write(&mut Vec::new()).unwrap_err());
        assert!(error.starts_with("cannot put x into the guest: /nowhere/at/all"), "{error}");
    }
}
