//! What is special about a program: has it a name, whose rights does it take on, who may write it? Read from
//! the inodes of the file and of its directory; nothing here says what follows from it.

use monitor_common::process::exec_flag;

use crate::{
    field::{self, Address},
    miss::{self, Missed},
    scratch::Scratch,
};

/// `super_block::s_flags` of a file system that the kernel mounted for itself, as it does for memory files
/// (include/linux/fs.h). `mount` does not let anybody set it.
const SB_KERNMOUNT: u64 = 1 << 22;
/// Bits of `inode::i_mode`, as in inode(7).
const S_ISUID: u32 = 0o4000;
const S_ISGID: u32 = 0o2000;
const S_IWGRP: u32 = 0o0020;
const S_IXGRP: u32 = 0o0010;
const S_IWOTH: u32 = 0o0002;

/// What is special about the new program, to what is in the scratch. What cannot be read is counted, and not special.
#[inline(never)]
pub(crate) fn find(scratch: *mut Scratch, file: Address) {
    // SAFETY: a claimed slot.
    let traits = unsafe { &mut (*scratch).traits };
    if let Err(why) = add(traits, file) {
        miss::note(why);
    }
}

#[inline(always)]
fn add(traits: &mut u32, file: Address) -> Missed<()> {
    let inode: Address = field::read(file, &field::FILE_INODE)?;
    if field::read::<u32>(inode, &field::INODE_NLINK)? == 0 {
        *traits |= exec_flag::DELETED;
        if is_kernels_own(inode)? {
            *traits |= exec_flag::MEMFD;
        }
    }
    let mode = u32::from(field::read::<u16>(inode, &field::INODE_MODE)?);
    if mode & S_ISUID != 0 || mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP {
        *traits |= exec_flag::SETUID;
    }
    let dentry: Address = field::read(field::within(file, &field::FILE_PATH), &field::PATH_DENTRY)?;
    let directory: Address = field::read(dentry, &field::DENTRY_PARENT)?;
    let directory: Address = field::read(directory, &field::DENTRY_INODE)?;
    if is_writable(inode)? || is_writable(directory)? {
        *traits |= exec_flag::WRITABLE;
    }
    Ok(())
}

/// Whether an inode lies on no file system that anybody mounted: pipes, sockets, memory files and the like.
#[inline(always)]
pub(crate) fn is_kernels_own(inode: Address) -> Missed<bool> {
    let file_system: Address = field::read(inode, &field::INODE_SB)?;
    Ok(field::read::<u64>(file_system, &field::SB_FLAGS)? & SB_KERNMOUNT != 0)
}

/// Whether somebody else than root may write a file or a directory, by its owner, its group and its mode.
#[inline(always)]
fn is_writable(inode: Address) -> Missed<bool> {
    let mode = u32::from(field::read::<u16>(inode, &field::INODE_MODE)?);
    let owner: u32 = field::read(inode, &field::INODE_UID)?;
    let group: u32 = field::read(inode, &field::INODE_GID)?;
    Ok(owner != 0 || mode & S_IWOTH != 0 || mode & S_IWGRP != 0 && group != 0)
}
