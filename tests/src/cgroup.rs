//! A cgroup of one's own, wherever this host has cgroup v2.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;

/// A directory in the cgroup v2 hierarchy that is removed when this is dropped.
#[derive(Debug)]
pub struct ScratchCgroup {
    path: PathBuf,
}

impl ScratchCgroup {
    /// Creates it below the root of the hierarchy.
    pub fn new() -> anyhow::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let name = format!("driftwatch-test-{}-{now}", std::process::id());
        let path = mount_point()?.join(name);
        fs::create_dir(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self { path })
    }

    /// Creates one of this name below it.
    pub fn below(&self, name: &str) -> anyhow::Result<Self> {
        let path = self.path.join(name);
        fs::create_dir(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self { path })
    }

    /// Its name from the root of the hierarchy, as the kernel has it.
    pub fn name(&self) -> anyhow::Result<String> {
        Ok(format!("/{}", self.path.strip_prefix(mount_point()?)?.display()))
    }

    /// The command, after its process has gone into the cgroup.
    #[must_use]
    pub fn inside(&self, command: &Command) -> Command {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", r#"echo $$ > "$0/cgroup.procs" && exec "$@""#]).arg(&self.path);
        shell.arg(command.get_program()).args(command.get_args());
        shell
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchCgroup {
    fn drop(&mut self) {
        const TRIES: u32 = 100;
        // Busy until the last process in it has been reaped.
        for _ in 0..TRIES {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Where cgroup v2 is mounted. Hosts differ, so the type decides and not the path.
pub fn mount_point() -> anyhow::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    mounts
        .lines()
        .filter_map(|line| line.split_once(" - "))
        .find(|(_, kind)| kind.starts_with("cgroup2 "))
        .and_then(|(place, _)| place.split(' ').nth(4))
        .map(PathBuf::from)
        .context("no cgroup v2 is mounted on this host")
}

/// Every cgroup there is, to compare before with after.
pub fn all() -> anyhow::Result<Vec<PathBuf>> {
    let mut found = vec![mount_point()?];
    let mut next = 0;
    while let Some(directory) = found.get(next).cloned() {
        next += 1;
        // A cgroup that has gone since it was listed has no children either.
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}
