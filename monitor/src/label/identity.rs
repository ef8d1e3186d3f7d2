//! Identity: what makes a file the same one under every name.
//!
//! Device, inode and generation, of a file that is held by a descriptor, so that nobody puts another in its
//! place between two questions. It says nothing about names.

use std::{
    collections::HashMap,
    fs, io,
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
    path::Path,
};

use monitor_common::plan::LabelKey;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxFlags, openat, statx};

/// Takes hold of what has this name now, a link itself and not what it leads to.
pub(super) fn hold(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, Mode::empty())?)
}

/// Devices of mounts, read when they are first asked for.
#[derive(Debug, Default)]
pub(super) struct Devices(Option<HashMap<u64, u32>>);

impl Devices {
    /// Mounts may have changed.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }

    /// What makes a regular file the same one under every name. `None` where that cannot be known.
    pub(super) fn identify(&mut self, file: &OwnedFd) -> io::Result<Option<LabelKey>> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
        let stat = statx(file, c"", AtFlags::EMPTY_PATH, wanted)?;
        if FileType::from_raw_mode(u32::from(stat.stx_mode)) != FileType::RegularFile {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let device = self.0.get_or_insert_with(devices).get(&stat.stx_mnt_id).copied();
        let generation = generation(file, stat.stx_ino);
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
fn generation(file: &OwnedFd, inode: u64) -> Option<u32> {
    let room = u32::try_from(HANDLE).expect("128");
    let mut handle = Handle { bytes: room, kind: 0, handle: [0; HANDLE] };
    let mut mount = 0_i32;
    // SAFETY: an empty closed string, a handle with the room that it says, and an int.
    let failed = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            file.as_fd().as_raw_fd(),
            c"".as_ptr(),
            &raw mut handle,
            &raw mut mount,
            libc::AT_EMPTY_PATH,
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
