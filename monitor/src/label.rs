//! Label: finds the files that rules shut, so that a hard link, a bind mount or another name does not
//! open them.
//!
//! Done when a plan is made, so a file that comes later has its label from the next reload on. The search
//! is bounded, and what it leaves out is counted. It follows no symbolic link at the end of a path and none
//! below the place where a glob begins.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::CString,
    fmt, fs, io,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use monitor_common::plan::LabelKey;
use rustix::fs::{AtFlags, CWD, FileType, StatxFlags, statx};

use crate::rules::{
    glob::Homes,
    labels::{Search, Start, Wanted},
    model::RuleIndex,
};

/// Entries of directories that one search looks at.
const ENTRIES: usize = 100_000;
/// Directories below the place where a glob begins.
const DEPTH: usize = 16;
/// What is in here is no file that anybody keeps.
const CLOSED: [&str; 3] = ["/proc", "/sys", "/dev"];

/// The files that were found.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// The name that each had, and the rules that name it.
    pub files: BTreeMap<LabelKey, (Vec<u8>, Vec<RuleIndex>)>,
    /// What was not.
    pub left_out: LeftOut,
}

/// What a search does not do, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Globs that could be anywhere.
    pub floating: usize,
    /// Directories that were beyond one of the bounds.
    pub directories: usize,
    /// Files whose file system does not tell what makes an inode the same one for ever.
    pub unnamed: usize,
    /// Files that there was no room for.
    pub no_room: usize,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.floating, "globs that begin with a wildcard"),
            (self.directories, "directories beyond 100,000 entries or 16 levels"),
            (self.unnamed, "files whose inodes cannot be told apart for ever"),
            (self.no_room, "files beyond what a plan has room for"),
        ];
        let said = parts.iter().filter(|(count, _)| *count > 0);
        let said: Vec<_> = said.map(|(count, what)| format!("{count} {what}")).collect();
        f.write_str(&said.join(", "))
    }
}

/// Looks for everything.
#[must_use]
pub fn find(search: &Search<'_>, homes: &Homes) -> Labels {
    let mut walk = Walk { labels: Labels::default(), entries: 0, homes, devices: devices() };
    walk.labels.left_out.floating = search.floating;
    let directories = home_directories(homes);
    for (start, wanted) in &search.wanted {
        if start.home {
            directories.iter().for_each(|home| walk.begin(home, start, wanted));
        } else {
            walk.begin(b"", start, wanted);
        }
    }
    walk.labels
}

/// Every home directory: those that were given, and all in `/home`.
fn home_directories(homes: &Homes) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = homes.directories().map(<[u8]>::to_vec).collect();
    for entry in fs::read_dir("/home").into_iter().flatten().flatten() {
        all.push(entry.path().into_os_string().into_vec());
    }
    all.sort_unstable();
    all.dedup();
    all
}

struct Walk<'a> {
    labels: Labels,
    entries: usize,
    homes: &'a Homes,
    /// `s_dev` of each mount, by its id.
    devices: HashMap<u64, u32>,
}

impl Walk<'_> {
    fn begin(&mut self, below: &[u8], start: &Start, wanted: &Wanted<'_>) {
        let path = PathBuf::from(std::ffi::OsString::from_vec([below, &start.path].concat()));
        if start.whole {
            return self.file(&path, wanted);
        }
        let mut waiting = vec![(path, 0)];
        while let Some((directory, depth)) = waiting.pop() {
            if CLOSED.iter().any(|closed| directory.starts_with(closed)) {
                continue;
            }
            if depth > DEPTH || self.entries >= ENTRIES {
                self.labels.left_out.directories += 1;
                continue;
            }
            // What is not there, is no directory or may not be read has nothing to be found in it.
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                self.entries += 1;
                match entry.file_type() {
                    Ok(kind)
                        if kind.is_dir() && wanted.levels.is_none_or(|levels| depth < levels) =>
                    {
                        waiting.push((entry.path(), depth + 1));
                    }
                    Ok(kind) if kind.is_file() => self.file(&entry.path(), wanted),
                    _ => {}
                }
            }
        }
    }

    fn file(&mut self, path: &Path, wanted: &Wanted<'_>) {
        let name = path.as_os_str().as_bytes();
        let rules = wanted.rules(name, self.homes);
        if rules.is_empty() {
            return;
        }
        match self.identify(path) {
            Ok(Some(key)) => {
                let known = self.labels.files.entry(key).or_insert((name.to_vec(), Vec::new()));
                known.1.extend(rules);
                known.1.sort_unstable();
                known.1.dedup();
            }
            Ok(None) => self.labels.left_out.unnamed += 1,
            Err(_) => {} // it is not there, or not a regular file
        }
    }

    /// What makes a regular file the same one under every name. `None` where that cannot be known.
    fn identify(&self, path: &Path) -> io::Result<Option<LabelKey>> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
        let stat = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, wanted)?;
        if FileType::from_raw_mode(u32::from(stat.stx_mode)) != FileType::RegularFile {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let device = self.devices.get(&stat.stx_mnt_id).copied();
        let generation = generation(path, stat.stx_ino);
        Ok(device.zip(generation).map(|(device, generation)| LabelKey {
            inode: stat.stx_ino,
            device,
            generation,
            ..LabelKey::default()
        }))
    }
}

/// `s_dev` of every mount of this process, by id (proc(5), `mountinfo`: `ID PARENT MAJOR:MINOR …`). Not
/// `st_dev`, which is another number on some file systems.
fn devices() -> HashMap<u64, u32> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let of = |line: &str| {
        let mut words = line.split(' ');
        let id = words.next()?.parse().ok()?;
        let (major, minor) = words.nth(1)?.split_once(':')?;
        // `MKDEV`, include/linux/kdev_t.h.
        Some((id, major.parse::<u32>().ok()? << 20 | minor.parse::<u32>().ok()?))
    };
    table.lines().filter_map(of).collect()
}

/// Bytes of a file handle at most (`MAX_HANDLE_SZ`).
const HANDLE: usize = 128;

/// `struct file_handle`, include/linux/fs.h.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    handle: [u8; HANDLE],
}

/// The inode's generation, out of its file handle: there is no call that gives it on every file system.
fn generation(path: &Path, inode: u64) -> Option<u32> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let room = u32::try_from(HANDLE).expect("128");
    let mut handle = Handle { bytes: room, kind: 0, handle: [0; HANDLE] };
    let mut mount = 0_i32;
    // SAFETY: a closed string, a handle with the room that it says, and an int.
    let failed = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw mut handle,
            &raw mut mount,
            0,
        )
    };
    if failed != 0 {
        return None;
    }
    generation_of(handle.handle.get(..handle.bytes as usize)?, inode)
}

/// Reads a handle of one of the known forms. All of them have the inode's number, which tells whether it is
/// that form.
fn generation_of(handle: &[u8], inode: u64) -> Option<u32> {
    let words: Vec<u32> = handle
        .chunks_exact(4)
        .map(|word| u32::from_ne_bytes(word.try_into().expect("four bytes")))
        .collect();
    let wide = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    match *words {
        // `FILEID_INO32_GEN`, include/linux/exportfs.h: ext4, f2fs, and whoever has no other.
        [number, generation] if u64::from(number) == inode => Some(generation),
        // mm/shmem.c, `shmem_encode_fh`: tmpfs.
        [generation, low, high] if wide(low, high) == inode => Some(generation),
        // fs/xfs/xfs_export.h, `struct xfs_fid64`; `FILEID_INO64_GEN`.
        [low, high, generation] if wide(low, high) == inode => Some(generation),
        // fs/btrfs/export.h, `struct btrfs_fid`: number, root, generation.
        [low, high, _, _, generation] if wide(low, high) == inode => Some(generation),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn a_generation_is_read_from_every_known_form_of_handle_and_no_other() {
        assert_eq!(generation_of(&handle(&[77, 5]), 77), Some(5));
        assert_eq!(generation_of(&handle(&[5, 77, 1]), 77 | 1 << 32), Some(5));
        assert_eq!(generation_of(&handle(&[77, 1, 5]), 77 | 1 << 32), Some(5));
        assert_eq!(generation_of(&handle(&[77, 0, 256, 0, 5]), 77), Some(5));
        assert_eq!(generation_of(&handle(&[78, 5]), 77), None);
        assert_eq!(generation_of(&handle(&[77]), 77), None);
        assert_eq!(generation_of(b"", 0), None);
    }
}
