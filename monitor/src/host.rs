//! The host as plain data, so that the pure half need not look: rule files, users, home directories,
//! running processes, the time of day.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsStr,
    fs,
    io::{self, Read as _},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    agent::{Image, Process},
    alert::HostFacts,
    event::ProcessId,
    rules::{SourceFile, Users, glob::Homes, source::FILE_BYTES},
};

/// Rule files could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", .path.display())]
pub struct FileError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Bytes that all rule files together may have.
const SET_BYTES: usize = 16 * FILE_BYTES;

/// Reads rule files: each path is one, or a directory whose `*.yaml` files are, in the order of names. Of a
/// file that is too large only so much is read as shows it.
///
/// # Errors
///
/// Where one of them cannot be read, or all of them are too large together.
pub fn rule_files(paths: &[PathBuf]) -> Result<Vec<SourceFile>, FileError> {
    let mut files = Vec::new();
    let mut bytes = 0;
    for path in rule_paths(paths)? {
        let failed = |source| FileError { path: path.clone(), source };
        let text = beginning(&path).map_err(failed)?;
        bytes += text.len();
        if bytes > SET_BYTES {
            let mib = SET_BYTES >> 20;
            let message =
                format!("up to this file, the rule files are larger than {mib} MiB together");
            return Err(failed(io::Error::other(message)));
        }
        files.push(SourceFile { name: path.display().to_string(), text });
    }
    Ok(files)
}

/// A rule file, or of one that is too large, or has no end, one byte more than it may have.
fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let most = u64::try_from(FILE_BYTES).map_or(u64::MAX, |most| most + 1);
    fs::File::open(path)?.take(most).read_to_end(&mut text)?;
    Ok(text)
}

/// The paths of rule files, as [`rule_files`] takes them.
///
/// # Errors
///
/// Where a directory cannot be read.
pub fn rule_paths(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FileError> {
    let mut files = Vec::new();
    for path in paths {
        files.extend(expand(path)?);
    }
    Ok(files)
}

fn expand(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |source| FileError { path: path.to_owned(), source };
    let entries = fs::read_dir(path).map_err(failed)?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension() == Some(OsStr::new("yaml")) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The facts that alerts and rules need, read once.
#[derive(Clone, Debug, Default)]
pub struct Host {
    name: String,
    names: HashMap<u32, String>,
    /// Users by name.
    pub users: Users,
    /// Home directories that are not below `/home`.
    pub homes: Homes,
}

/// User ids from here on are people's (`UID_MIN`, login.defs(5)).
const FIRST_PERSON: u32 = 1000;

impl Host {
    /// Reads the facts. What cannot be read is missing from alerts and nothing else.
    #[must_use]
    pub fn read() -> Self {
        let passwd = fs::read("/etc/passwd").unwrap_or_default();
        let entries: Vec<Entry> =
            passwd.split(|byte| *byte == b'\n').filter_map(Entry::parse).collect();
        let by_name: BTreeMap<String, u32> =
            entries.iter().map(|entry| (entry.name.clone(), entry.uid)).collect();
        let mut names = HashMap::new();
        for entry in &entries {
            names.entry(entry.uid).or_insert_with(|| entry.name.clone());
        }
        Self {
            name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            names,
            users: Users(by_name),
            homes: homes(&entries),
        }
    }
}

/// One line of passwd(5).
struct Entry {
    name: String,
    uid: u32,
    home: Vec<u8>,
}

impl Entry {
    fn parse(line: &[u8]) -> Option<Self> {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let name = std::str::from_utf8(fields.first()?).ok()?.to_owned();
        let uid = std::str::from_utf8(fields.get(2)?).ok()?.parse().ok()?;
        Some(Self { name, uid, home: fields.get(5)?.to_vec() })
    }
}

/// Root's, and people's that are neither in `/home` nor the root of everything.
fn homes(entries: &[Entry]) -> Homes {
    let mut homes: Vec<Vec<u8>> = entries
        .iter()
        .filter(|entry| entry.uid == 0 || (FIRST_PERSON..65_534).contains(&entry.uid))
        .map(|entry| entry.home.clone())
        .chain([b"/root".to_vec()])
        .filter(|home| home.starts_with(b"/") && home.len() > 1 && !home.ends_with(b"/"))
        .filter(|home| !home.starts_with(b"/home/"))
        .collect();
    homes.sort();
    homes.dedup();
    Homes(homes)
}

impl HostFacts for Host {
    fn host_name(&self) -> &str {
        &self.name
    }

    fn user_name(&self, uid: u32) -> Option<&str> {
        self.names.get(&uid).map(String::as_str)
    }

    fn time_of_day(&self, boot_time: u64) -> Timestamp {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let now = SignedDuration::new(now.tv_sec, i32::try_from(now.tv_nsec).unwrap_or(0));
        let then = SignedDuration::from_nanos(i64::try_from(boot_time).unwrap_or(i64::MAX));
        Timestamp::now() - (now - then)
    }
}

/// A process that runs, as `/proc` tells of it.
#[derive(Clone, Debug)]
pub struct Running {
    /// Which one.
    pub id: ProcessId,
    /// Its parent's pid.
    pub parent: u32,
    /// Path of its cgroup v2.
    pub cgroup: Vec<u8>,
    /// The rest.
    pub process: Process,
}

/// Every process that can be looked at. One that ends meanwhile is left out.
#[must_use]
pub fn processes() -> Vec<Running> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(process)
        .collect()
}

/// One process.
#[must_use]
pub fn process(pid: u32) -> Option<Running> {
    let base = PathBuf::from(format!("/proc/{pid}"));
    let (parent, start) = stat(&fs::read(base.join("stat")).ok()?)?;
    let exe = executable(&base.join("exe"));
    let argv = fs::read(base.join("cmdline")).unwrap_or_default();
    let argv = argv.strip_suffix(b"\0").unwrap_or(&argv);
    let uid = real_user(&fs::read(base.join("status")).ok()?)?;
    let image = Image {
        exe,
        argv: argv.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect(),
        argv_cut: false,
        cwd: fs::read_link(base.join("cwd")).ok().map(|path| path.into_os_string().into_vec()),
        command_line: OnceLock::new(),
    };
    let process = Process { parent: None, image: Arc::new(image), uid };
    let cgroup = cgroup(&fs::read(base.join("cgroup")).unwrap_or_default());
    Some(Running { id: ProcessId { pid, start }, parent, cgroup, process })
}

/// The environment that a process was started with, as far as it has not written over it; empty where it may not be
/// read.
#[must_use]
pub fn environment(pid: u32) -> Vec<Vec<u8>> {
    let area = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let entries = area.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
    entries.map(<[u8]>::to_vec).collect()
}

/// Path of the cgroup v2 of a process; empty where it cannot be read.
#[must_use]
pub fn cgroup_of(pid: u32) -> Vec<u8> {
    cgroup(&fs::read(format!("/proc/{pid}/cgroup")).unwrap_or_default())
}

/// The processes of cgroups and of those below them, as the hierarchy mounted at `root` has them.
#[must_use]
pub fn processes_in(root: &Path, cgroups: &[Vec<u8>]) -> Vec<u32> {
    let below =
        |path: &Vec<u8>| root.join(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)));
    let mut waiting: Vec<PathBuf> = cgroups.iter().map(below).collect();
    let mut pids = Vec::new();
    while let Some(directory) = waiting.pop() {
        let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
            }
        }
    }
    pids
}

/// The path behind `/proc/PID/exe`, without the mark of a file that has no name any more, which is in the way
/// of comparing it. A file may really be called so: only a link count of 0 tells.
fn executable(link: &Path) -> Option<Vec<u8>> {
    let path = fs::read_link(link).ok()?.into_os_string().into_vec();
    let is_unlinked = fs::metadata(link).is_ok_and(|data| data.nlink() == 0);
    match path.strip_suffix(b" (deleted)") {
        Some(name) if is_unlinked => Some(name.to_vec()),
        _ => Some(path),
    }
}

/// The first number of the line `Uid:` of proc_pid_status(5).
fn real_user(status: &[u8]) -> Option<u32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().next()?.parse().ok()
}

/// Fields 4 (parent) and 22 (start) of proc_pid_stat(5). The name before them may hold anything.
fn stat(line: &[u8]) -> Option<(u32, u64)> {
    let end = line.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(line.get(end + 2..)?).ok()?;
    let mut fields = fields.split(' ');
    let parent = fields.nth(1)?.parse().ok()?;
    let start = fields.nth(17)?.parse().ok()?;
    Some((parent, start))
}

/// The line of the unified hierarchy, cgroups(7): `0::/path`.
fn cgroup(lines: &[u8]) -> Vec<u8> {
    lines
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"0::"))
        .map(<[u8]>::to_vec)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_move_the_fields() {
        let line = b"42 (a) b) c) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 99";
        assert_eq!(stat(line), Some((7, 12345)));
    }

    #[test]
    fn a_line_that_ends_early_is_no_process() {
        assert_eq!(stat(b"42 (a) S 7"), None);
        assert_eq!(stat(b"42 (a)"), None);
        assert_eq!(stat(b""), None);
    }

    #[test]
    fn the_real_user_is_taken() {
        assert_eq!(real_user(b"Name:\ta\nUid:\t61234\t0\t0\t0\nGid:\t1\n"), Some(61234));
        assert_eq!(real_user(b"Name:\ta\n"), None);
    }

    #[test]
    fn the_unified_cgroup_is_taken() {
        assert_eq!(cgroup(b"1:cpu:/a\n0::/b/c\n"), b"/b/c");
        assert_eq!(cgroup(b"1:cpu:/a\n"), b"");
    }

    #[test]
    fn homes_are_those_of_root_and_of_people() {
        let passwd = "root:x:0:0::/root:/bin/sh\nbin:x:2:2::/bin:/x\nana:x:1000:1000::/home/ana:/x\n\
                      bo:x:1001:1001::/srv/bo:/x\nodd:x:1002:1002::/:/x\n";
        let entries: Vec<Entry> =
            passwd.lines().filter_map(|line| Entry::parse(line.as_bytes())).collect();
        assert_eq!(homes(&entries).0, [b"/root".to_vec(), b"/srv/bo".to_vec()]);
    }
}
