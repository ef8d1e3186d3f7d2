//! The image: all files of the guest, in the form that the kernel unpacks at boot.
//!
//! Programs are those of this machine, each with its libraries and under its own name, so that a test meets the same
//! ones in the guest: where all are one file, as in busybox, rules about programs mean something else. busybox is
//! only what brings the guest up. Knows nothing of what will be run.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::archive::{Archive, Entry};
use super::kernel::Kernel;
use super::module;
use crate::command;

/// Ordinary programs that tests and agents call.
const PROGRAMS: &str = "sh bash as awk base64 basename bpftool cat cc chmod chown chroot cmp cp cut date dd df dirname \
     dpkg dpkg-deb dpkg-split du echo env expr false find git grep head hostname id ip kill ld ln losetup ls mkdir mkfifo mkfs.ext4 mknod mktemp \
     mount mv nproc nsenter od printf ps pwd readlink realpath rm rmdir sed seq setpriv setsid sleep sort split \
     stat stdbuf strace stress-ng sync tail tar tee test timeout touch tr true truncate umount uname unshare wc which xargs";
/// What some tests call, too large to be copied at each boot. They say themselves that they do without.
const LEFT_OUT: [&str; 3] = ["cargo", "npm", "python3"];
/// What tests want that kernels for virtual machines have as modules.
const MODULES: [&str; 11] = [
    "overlay",
    "loop",
    "sctp",
    "vsock",
    "vsock_loopback",
    "binfmt_misc",
    "tun",
    "veth",
    "dummy",
    "fuse",
    "squashfs",
];
/// Where a program is looked for by its name; not in PATH, which may lead to a person's own wrappers.
const PLACES: [&str; 4] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];

/// What is put into a guest beside what every guest has.
#[derive(Debug, Default)]
pub(crate) struct Luggage {
    /// Programs: the file on this machine, and its name in the guest. Their libraries come with them.
    pub(crate) programs: Vec<(PathBuf, PathBuf)>,
    /// Files and directories of this machine that have the same name in the guest, with all that is in them.
    pub(crate) trees: Vec<PathBuf>,
    /// Directories with nothing in them.
    pub(crate) directories: Vec<PathBuf>,
}

/// The files of a guest.
#[derive(Debug)]
pub(crate) struct Image {
    root: Archive,
    /// Programs and modules that were wanted and are not there.
    absent: Vec<String>,
    copied: BTreeSet<PathBuf>,
}

impl Image {
    /// What every guest has, and the luggage.
    pub(crate) fn new(kernel: &Kernel, luggage: &Luggage) -> Result<Self> {
        let (root, copied) = (Archive::default(), BTreeSet::new());
        let mut image = Self { root, absent: Vec::new(), copied };
        image.settings();
        for name in PROGRAMS.split_whitespace() {
            match PLACES.iter().map(|place| Path::new(place).join(name)).find(|file| file.exists())
            {
                Some(file) => image.program(&file)?,
                None => image.absent.push(name.to_owned()),
            }
        }
        image.modules(kernel)?;
        image.load(luggage)?;
        Ok(image)
    }

    fn load(&mut self, luggage: &Luggage) -> Result<()> {
        for (file, name) in &luggage.programs {
            self.root.put(name, Entry::Copy(file.clone(), 0o755));
            self.libraries(file)?;
        }
        for name in &luggage.directories {
            self.root.put(name, Entry::Directory);
        }
        luggage.trees.iter().try_for_each(|place| self.tree(place))
    }

    fn settings(&mut self) {
        let texts = [
            (
                "etc/passwd",
                "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n\
              worker:x:1000:1000:worker:/home/worker:/bin/sh\n",
            ),
            ("etc/group", "root:x:0:\nnogroup:x:65534:\nworker:x:1000:\n"),
            ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 guest\n"),
            ("etc/hostname", "guest\n"),
            ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
            ("etc/shadow", "root:*:1::::::\n"),
        ];
        for (name, text) in texts {
            let mode = if name == "etc/shadow" { 0o600 } else { 0o644 };
            self.text(Path::new(name), text, mode);
        }
        // As a distribution has them that has one tree of programs.
        for name in ["bin", "sbin", "lib", "lib64"] {
            self.root.put(&Path::new("usr").join(name), Entry::Directory);
            self.root.put(Path::new(name), Entry::Link(Path::new("usr").join(name)));
        }
        for name in
            ["etc", "home/worker", "mnt", "opt", "root", "srv", "var/lib", "var/log", "var/tmp"]
        {
            self.root.put(Path::new(name), Entry::Directory);
        }
    }

    fn modules(&mut self, kernel: &Kernel) -> Result<()> {
        let (modules, absent) = module::with_dependencies(&kernel.modules, &MODULES)?;
        for (number, module) in (1..).zip(modules) {
            let name = format!("lib/modules/guest/{number:02}-{}.ko", module.name);
            self.root.put(&Path::new("usr").join(name), Entry::Text(module.bytes, 0o644));
        }
        self.absent.extend(absent.into_iter().map(|name| format!("{name}.ko")));
        Ok(())
    }

    fn text(&mut self, name: &Path, text: &str, mode: u32) {
        self.root.put(name, Entry::Text(text.as_bytes().to_vec(), mode));
    }

    /// A program or library of this machine under its own name, with the libraries that it is linked with.
    fn program(&mut self, file: &Path) -> Result<()> {
        self.same_name(file)?;
        self.libraries(file)
    }

    /// A file or directory of this machine with all that is in it, under its own name.
    fn tree(&mut self, place: &Path) -> Result<()> {
        if !place.is_dir() || place.is_symlink() {
            return self.same_name(place);
        }
        self.root.put(place, Entry::Directory);
        let entries = fs::read_dir(place).with_context(|| place.display().to_string())?;
        for entry in entries {
            self.tree(&entry?.path())?;
        }
        Ok(())
    }

    /// One file. A symbolic link is one in the guest, too, and what it leads to is there.
    fn same_name(&mut self, file: &Path) -> Result<()> {
        let place = file.parent().context("a file has a directory")?;
        let place = place.canonicalize().with_context(|| file.display().to_string())?;
        let name = place.join(file.file_name().context("a file has a name")?);
        if !self.copied.insert(name.clone()) {
            return Ok(());
        }
        let about = fs::symlink_metadata(&name).with_context(|| name.display().to_string())?;
        if about.is_symlink() {
            let target = fs::read_link(&name)?;
            self.same_name(&place.join(&target))?;
            self.root.put(&name, Entry::Link(target));
        } else {
            let mode = about.permissions().mode() & 0o7777;
            self.root.put(&name, Entry::Copy(name.clone(), mode));
        }
        Ok(())
    }

    fn libraries(&mut self, file: &Path) -> Result<()> {
        // What is no ELF file, or a static one, has none, and the answer is an error.
        let said = command::answer(Command::new("ldd").arg(file)).unwrap_or_default();
        for library in linked(&said) {
            let library = library.with_context(|| file.display().to_string())?;
            self.same_name(Path::new(library))?;
        }
        Ok(())
    }

    /// What tests may look for in vain; those that do say so.
    pub(crate) fn absent(&self) -> String {
        let names = self.absent.iter().map(String::as_str).chain(LEFT_OUT);
        names.collect::<Vec<_>>().join(", ")
    }

    /// Writes it all to a file: the first program, busybox for it, and the tree that it moves to.
    pub(crate) fn write(&self, to: &Path, mark: &str, errand: &str) -> Result<()> {
        let busybox = PLACES.iter().map(|place| Path::new(place).join("busybox"));
        let Some(busybox) = busybox.into_iter().find(|file| file.exists()) else {
            bail!("busybox is missing, which brings the guest up: install busybox-static");
        };
        let mut root = self.root.clone();
        let init = Entry::Text(include_bytes!("init.sh").to_vec(), 0o755);
        let busybox = Entry::Copy(busybox, 0o755);
        root.put(Path::new("init"), init.clone());
        root.put(Path::new("usr/bin/busybox"), busybox.clone());
        root.put(Path::new("etc/guest"), Entry::Text(format!("mark={mark}\n").into(), 0o644));
        root.put(Path::new("etc/errand"), Entry::Text(errand.into(), 0o644));
        let mut whole = Archive::default();
        whole.graft("guest", root);
        whole.put(Path::new("init"), init);
        whole.put(Path::new("bin/busybox"), busybox);
        let file = fs::File::create(to).with_context(|| format!("cannot make {}", to.display()))?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        whole.write(&mut file)?;
        file.flush().with_context(|| format!("cannot write {}", to.display()))
    }
}

/// The files that `ldd` names; an error for one that it cannot find.
fn linked(said: &str) -> impl Iterator<Item = Result<&str>> {
    said.lines().filter_map(|line| {
        let line = line.trim();
        if line.ends_with("not found") {
            return Some(Err(anyhow::anyhow!("a library is missing: {line}")));
        }
        let path = line.split_once(" => ").map_or(line, |(_, path)| path);
        path.split(' ').next().filter(|path| path.starts_with('/')).map(Ok)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_what_ldd_says() {
        let said = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 \
                    (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found: Result<Vec<_>> = linked(said).collect();
        assert_eq!(
            found.unwrap(),
            ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]
        );
        let broken: Result<Vec<_>> = linked("\tlibx.so.1 => not found\n").collect();
        assert!(broken.unwrap_err().to_string().contains("libx.so.1"));
        assert_eq!(linked("\tstatically linked\n").count(), 0);
    }
}
