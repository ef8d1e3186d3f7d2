//! What lies beneath a file of an overlay: the same bytes, under another name on another file system, which a rule may
//! mean. Labels are looked up for it too ([`crate::file::label`]).
//!
//! The kernel opens the file beneath together with the one of the overlay and keeps it there (fs/overlayfs/file.c,
//! `ovl_open`). Before that, in the open itself, there is nothing to be found here: then the file beneath is judged as
//! it is opened, which is an open as well.

use monitor_common::field::ABSENT;

use crate::{
    field::{self, Address, Offset},
    miss::{self, Missed},
};

/// `OVERLAYFS_SUPER_MAGIC`, include/uapi/linux/magic.h.
const OVERLAY: u64 = 0x794c_7630;

/// The file beneath a file of an overlay; 0 for every other file, and where nothing is open beneath it.
#[inline(never)]
pub(crate) fn beneath(file: Address) -> Address {
    of(file).unwrap_or_else(|why| {
        miss::note(why);
        0
    })
}

#[inline(always)]
fn of(file: Address) -> Missed<Address> {
    let inode: Address = field::read(file, &field::FILE_INODE)?;
    let file_system: Address = field::read(inode, &field::INODE_SB)?;
    match field::read::<u64>(file_system, &field::SB_MAGIC)? {
        OVERLAY => find(file),
        _ => Ok(0),
    }
}

#[inline(always)]
fn find(file: Address) -> Missed<Address> {
    let private: Address = field::read(file, &field::FILE_PRIVATE)?;
    if private == 0 {
        return Ok(0);
    }
    let dentry = asked_for(file, &field::FILE_PATH)?;
    // A structure that begins with the file beneath (`struct ovl_file`, since 6.13), or that file itself.
    for candidate in [field::at::<Address>(private)?, private] {
        let known_as = match field::BACKING_PATH.load() {
            ABSENT => asked_for(candidate, &field::FILE_PATH),
            _ => asked_for(candidate, &field::BACKING_PATH),
        };
        if known_as == Ok(dentry) {
            return Ok(candidate);
        }
    }
    Ok(0) // a directory, a pipe or a device: no bytes of its own are beneath
}

/// The name that a file was opened by: one beneath bears that of the file of the overlay (include/linux/fs.h,
/// `file_user_path`; before 6.5 it has no other).
#[inline(always)]
fn asked_for(file: Address, path: &Offset) -> Missed<Address> {
    field::read(field::within(file, path), &field::PATH_DENTRY)
}
