//! Names that are made, taken away and given to other files, and files that are changed without being opened.
//!
//! The `path_*` hooks know the mount that a name is on, so the whole path is known. They are not called for what a
//! file system does inside itself.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use monitor_common::file::Origin;

use super::{PASS, answer};
use crate::{
    field::{self, Address},
    name::{self, Name},
    scratch::NAME_ROOM,
    task,
};

/// `S_IFMT` and `S_IFREG`, as in inode(7).
const FORMAT: u64 = 0o170_000;
const REGULAR: u64 = 0o100_000;

/// Judges a name in a directory, which is a `struct path`.
#[inline(always)]
fn named(directory: Address, dentry: Address, origin: Origin, quiet: u64) -> i32 {
    let Some(tag) = task::tag(task::current()) else { return PASS };
    if quiet != 0 && is_too_long(dentry) {
        return PASS;
    }
    let mount = field::read(directory, &field::PATH_MNT).unwrap_or(0);
    answer(name::judge(&Name { tag, mount, dentry, origin, goes_on: 0, quiet }))
}

/// Whether a name is longer than any path can hold, and than most file systems allow. Before an open makes a file the
/// hook is called, and then the file system is asked, which says `ENAMETOOLONG`. Where it says nothing of the kind, the
/// file is made, empty, and its open is judged: nothing is known of it, so it is shut.
#[inline(always)]
fn is_too_long(dentry: Address) -> bool {
    let name = field::within(dentry, &field::DENTRY_NAME);
    field::read::<u32>(name, &field::QSTR_LEN).is_ok_and(|len| len >= NAME_ROOM as u32)
}

/// Judges a file by its own `struct path`.
#[inline(always)]
fn itself(path: Address, origin: Origin) -> i32 {
    named(path, field::read(path, &field::PATH_DENTRY).unwrap_or(0), origin, 0)
}

/// proto: `int path_unlink(const struct path *dir, struct dentry *dentry)`
#[lsm(hook = "path_unlink")]
pub(crate) fn path_unlink(ctx: LsmContext) -> i32 {
    named(ctx.arg(0), ctx.arg(1), Origin::Unlinked, 0)
}

/// proto: `int path_rmdir(const struct path *dir, struct dentry *dentry)`
#[lsm(hook = "path_rmdir")]
pub(crate) fn path_rmdir(ctx: LsmContext) -> i32 {
    named(ctx.arg(0), ctx.arg(1), Origin::Unlinked, 0)
}

/// proto: `int path_mkdir(const struct path *dir, struct dentry *dentry, umode_t mode)`
#[lsm(hook = "path_mkdir")]
pub(crate) fn path_mkdir(ctx: LsmContext) -> i32 {
    named(ctx.arg(0), ctx.arg(1), Origin::Made, 0)
}

/// Devices, and every file that an open is about to make.
///
/// proto: `int path_mknod(const struct path *dir, struct dentry *dentry, umode_t mode, unsigned int dev)`
#[lsm(hook = "path_mknod")]
pub(crate) fn path_mknod(ctx: LsmContext) -> i32 {
    let mode: u64 = ctx.arg(2);
    let is_to_be_opened = mode & FORMAT == REGULAR;
    named(ctx.arg(0), ctx.arg(1), Origin::Made, u64::from(is_to_be_opened))
}

/// proto: `int path_symlink(const struct path *dir, struct dentry *dentry, const char *old_name)`
#[lsm(hook = "path_symlink")]
pub(crate) fn path_symlink(ctx: LsmContext) -> i32 {
    named(ctx.arg(0), ctx.arg(1), Origin::Made, 0)
}

/// proto: `int path_truncate(const struct path *path)`
#[lsm(hook = "path_truncate")]
pub(crate) fn path_truncate(ctx: LsmContext) -> i32 {
    itself(ctx.arg(0), Origin::Truncated)
}

/// proto: `int path_chmod(const struct path *path, umode_t mode)`
#[lsm(hook = "path_chmod")]
pub(crate) fn path_chmod(ctx: LsmContext) -> i32 {
    itself(ctx.arg(0), Origin::Changed)
}

/// proto: `int path_chown(const struct path *path, kuid_t uid, kgid_t gid)`
#[lsm(hook = "path_chown")]
pub(crate) fn path_chown(ctx: LsmContext) -> i32 {
    itself(ctx.arg(0), Origin::Changed)
}

/// What a file is called, which goes on under another name, and then what the other name is.
#[inline(always)]
fn two(old: (Address, Address, Origin), new: (Address, Address, Origin)) -> i32 {
    let Some(tag) = task::tag(task::current()) else { return PASS };
    let (mount, dentry, origin) = old;
    let answered = answer(name::judge(&Name { tag, mount, dentry, origin, goes_on: 1, quiet: 0 }));
    if answered != PASS {
        return answered;
    }
    let (mount, dentry, origin) = new;
    answer(name::judge(&Name { tag, mount, dentry, origin, goes_on: 0, quiet: 0 }))
}

/// proto: `int path_rename(const struct path *old_dir, struct dentry *old_dentry, const struct path *new_dir, struct
/// dentry *new_dentry, ...)`
#[lsm(hook = "path_rename")]
pub(crate) fn path_rename(ctx: LsmContext) -> i32 {
    // On the same mount, or the kernel would have refused it.
    let mount = field::read(ctx.arg(0), &field::PATH_MNT).unwrap_or(0);
    let (old, new) = (ctx.arg(1), ctx.arg(3));
    two((mount, old, Origin::Renamed), (mount, new, Origin::Renamed))
}

/// proto: `int path_link(struct dentry *old_dentry, const struct path *new_dir, struct dentry *new_dentry)`
#[lsm(hook = "path_link")]
pub(crate) fn path_link(ctx: LsmContext) -> i32 {
    // On the same mount, as above.
    let mount = field::read(ctx.arg(1), &field::PATH_MNT).unwrap_or(0);
    let (old, new) = (ctx.arg(0), ctx.arg(2));
    two((mount, old, Origin::Alias), (mount, new, Origin::Linked))
}
