//! F10 to F16: the same file by another mount, another root, a handle.
//!
//! Every stage has a mount namespace of its own, so nothing of this is seen outside.

use std::{
    env,
    fs::{self, File},
    io,
    os::{fd::OwnedFd, unix::fs::chroot},
    path::Path,
};

use crate::{
    case::Case,
    gift::Gift,
    sys::{self, HERE, at, call, fd, mount, of, text},
    trick::{Expect, Trick, read},
};

const COPIED: Expect = Expect::Limit(
    "what is opened for writing is a copy by then, which is another file; on this tier nothing shows that the kernel \
     opens the file beneath to make it",
);

const CLONE: usize = 1; // OPEN_TREE_CLONE

pub(crate) const TRICKS: &[Trick] = &[
    read("F10a", "open_by_handle_at, handle taken by the agent", by_handle)
        .needs("a file system with handles"),
    read("F10b", "open_by_handle_at, handle from before", by_handle_from_before)
        .needs("a file system with handles")
        .before(take_handle),
    read("F10c", "open_by_handle_at after the name is gone", by_handle_of_nameless)
        .needs("a file system with handles")
        .before(take_handle),
    read("F11a", "a bind mount of the file", bind_file),
    read("F11b", "a bind mount of the directory", bind_directory),
    read("F11c", "a bind mount over a file that may be read", bind_over),
    read("F11d", "a recursive bind mount of the root", bind_root),
    read("F11e", "a bind mount that is moved", bind_and_move),
    read("F11f", "a bind mount made before", |case| {
        case.read_and_give(case.desk("bound/credentials"))
    })
    .before(|case, _| {
        fs::create_dir(case.desk("bound"))?;
        mount(case.path("home/.aws"), case.desk("bound"), "", libc::MS_BIND, "")
    }),
    read("F12a", "open_tree, detached, openat inside", by_detached),
    read("F12b", "open_tree and move_mount", by_moved_tree),
    read("F12c", "open_tree of the whole root, detached", by_detached_root),
    read("F12d", "open_tree without a copy, as O_PATH", by_plain_tree),
    read("F12e", "open_tree of the file itself", by_detached_file),
    read("F12f", "a detached tree with other attributes (mount_setattr)", by_changed_tree),
    read("F13a", "chroot into the directory", |case| {
        chroot(case.path("home/.aws"))?;
        case.read_and_give("/credentials")
    }),
    read("F13b", "chroot, descriptor from outside", by_chroot_and_descriptor),
    read("F14", "pivot_root", by_pivot),
    read("F15a", "a user and a mount namespace, bind mount inside", |case| {
        sys::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
        bind_directory(case)
    }),
    read("F15b", "the same as nobody", |case| {
        sys::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
        bind_directory(case)
    })
    .before(|_, gift| {
        gift.user = Some(65_534);
        Ok(())
    }),
    read("F16a", "an overlay over the directory", overlay).needs("overlay"),
    read("F16b", "an overlay that copies up on write", overlay_copies_up)
        .needs("overlay")
        .react(COPIED),
    read("F16c", "an overlay in a user namespace", |case| {
        sys::own_users()?;
        sys::unshare(libc::CLONE_NEWNS)?;
        overlay(case)
    })
    .needs("overlay"),
    read("F16d", "an overlay over an overlay", overlay_twice).needs("overlay"),
    read("F16e", "an overlay over a hard link's directory", overlay_of_link).needs("overlay"),
];

/// A file handle as the kernel writes it.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    data: [u8; 128],
}

fn handle_of(path: &Path) -> io::Result<Handle> {
    let (path, mut number) = (text(path), 0_i32);
    let mut handle = Handle { bytes: 128, kind: 0, data: [0; 128] };
    let arguments = [HERE, at(&path), sys::into(&mut handle), sys::into(&mut number), 0];
    call(libc::SYS_name_to_handle_at, arguments)?;
    Ok(handle)
}

fn open_handle(case: &Case, handle: &Handle) -> io::Result<()> {
    let mounted = sys::open(case.desk(""), libc::O_RDONLY | libc::O_DIRECTORY)?;
    let file = sys::owned(call(libc::SYS_open_by_handle_at, [fd(&mounted), of(handle), 0]))?;
    case.give_all(File::from(file))
}

fn by_handle(case: &Case) -> io::Result<()> {
    open_handle(case, &handle_of(&case.secret())?)
}

/// The handle travels in a file: kind, length, bytes.
fn take_handle(case: &Case, _: &mut Gift) -> io::Result<()> {
    let handle = handle_of(&case.secret())?;
    let head = [handle.bytes.to_ne_bytes(), handle.kind.to_ne_bytes()].concat();
    fs::write(case.desk("handle"), [&head, &handle.data[..]].concat())
}

fn handle_from_before(case: &Case) -> io::Result<Handle> {
    let bytes = fs::read(case.desk("handle"))?;
    let short = || io::Error::other("a short handle");
    let (length, rest) = bytes.split_first_chunk().ok_or_else(short)?;
    let (kind, rest) = rest.split_first_chunk().ok_or_else(short)?;
    let data = *rest.first_chunk().ok_or_else(short)?;
    Ok(Handle { bytes: u32::from_ne_bytes(*length), kind: i32::from_ne_bytes(*kind), data })
}

fn by_handle_from_before(case: &Case) -> io::Result<()> {
    open_handle(case, &handle_from_before(case)?)
}

fn by_handle_of_nameless(case: &Case) -> io::Result<()> {
    let handle = handle_from_before(case)?;
    // Held by a link, so that it has no name where anybody looks.
    fs::hard_link(case.secret(), case.desk("x"))?;
    fs::remove_file(case.secret())?;
    open_handle(case, &handle)
}

fn bind(case: &Case, source: &Path) -> io::Result<()> {
    fs::create_dir(case.desk("bound"))?;
    mount(source, case.desk("bound"), "", libc::MS_BIND | libc::MS_REC, "")
}

fn bind_file(case: &Case) -> io::Result<()> {
    fs::write(case.desk("bound"), "")?;
    mount(case.secret(), case.desk("bound"), "", libc::MS_BIND, "")?;
    case.read_and_give(case.desk("bound"))
}

fn bind_directory(case: &Case) -> io::Result<()> {
    bind(case, &case.path("home/.aws"))?;
    case.read_and_give(case.desk("bound/credentials"))
}

fn bind_over(case: &Case) -> io::Result<()> {
    mount(case.secret(), case.path("home/notes.txt"), "", libc::MS_BIND, "")?;
    case.read_and_give(case.path("home/notes.txt"))
}

fn bind_root(case: &Case) -> io::Result<()> {
    bind(case, Path::new("/"))?;
    let secret = case.secret();
    let below = secret.strip_prefix("/").map_err(io::Error::other)?;
    case.read_and_give(case.desk("bound").join(below))
}

fn bind_and_move(case: &Case) -> io::Result<()> {
    bind(case, &case.path("home/.aws"))?;
    fs::create_dir(case.desk("moved"))?;
    mount(case.desk("bound"), case.desk("moved"), "", libc::MS_MOVE, "")?;
    case.read_and_give(case.desk("moved/credentials"))
}

fn tree(path: impl AsRef<Path>, flags: usize) -> io::Result<OwnedFd> {
    let path = text(path);
    sys::owned(call(libc::SYS_open_tree, [HERE, at(&path), flags]))
}

fn read_below(case: &Case, directory: &OwnedFd, path: impl AsRef<Path>) -> io::Result<()> {
    case.give_all(File::from(sys::open_below(fd(directory), path, libc::O_RDONLY)?))
}

fn by_detached(case: &Case) -> io::Result<()> {
    read_below(case, &tree(case.path("home/.aws"), CLONE)?, "credentials")
}

fn by_moved_tree(case: &Case) -> io::Result<()> {
    const EMPTY_PATH: usize = 4; // MOVE_MOUNT_F_EMPTY_PATH
    let tree = tree(case.path("home"), CLONE)?;
    fs::create_dir(case.desk("bound"))?;
    let (empty, target) = (text(""), text(case.desk("bound")));
    let arguments = [fd(&tree), at(&empty), HERE, at(&target), EMPTY_PATH];
    call(libc::SYS_move_mount, arguments)?;
    case.read_and_give(case.desk("bound/.aws/credentials"))
}

fn by_detached_root(case: &Case) -> io::Result<()> {
    let tree = tree("/", CLONE | libc::AT_RECURSIVE as usize)?;
    let secret = case.secret();
    read_below(case, &tree, secret.strip_prefix("/").map_err(io::Error::other)?)
}

fn by_plain_tree(case: &Case) -> io::Result<()> {
    read_below(case, &tree(case.path("home"), 0)?, ".aws/credentials")
}

fn by_detached_file(case: &Case) -> io::Result<()> {
    let tree = tree(case.secret(), CLONE)?;
    case.read_and_give(format!("/proc/self/fd/{}", fd(&tree)))
}

fn by_changed_tree(case: &Case) -> io::Result<()> {
    let tree = tree(case.path("home/.aws"), CLONE)?;
    let (empty, attributes) = (text(""), [libc::MOUNT_ATTR_RDONLY, 0, 0, 0]);
    let flags = libc::AT_EMPTY_PATH as usize;
    call(libc::SYS_mount_setattr, [fd(&tree), at(&empty), flags, of(&attributes), 32])?;
    read_below(case, &tree, "credentials")
}

fn by_chroot_and_descriptor(case: &Case) -> io::Result<()> {
    let outside = sys::open(case.path("home"), libc::O_PATH)?;
    chroot(case.path("desk"))?;
    env::set_current_dir("/")?;
    read_below(case, &outside, ".aws/credentials")
}

fn by_pivot(case: &Case) -> io::Result<()> {
    bind(case, &case.path("home"))?;
    fs::create_dir(case.path("home/old"))?;
    env::set_current_dir(case.desk("bound"))?;
    let (new, old) = (text("."), text("old"));
    call(libc::SYS_pivot_root, [at(&new), at(&old)])?;
    case.read_and_give("/.aws/credentials")
}

/// A file system of its own for what an overlay writes: it cannot lie on another overlay.
fn upper(case: &Case) -> io::Result<String> {
    let place = case.desk("upper");
    fs::create_dir(&place)?;
    mount("none", &place, "tmpfs", 0, "")?;
    for folder in ["up", "work", "up2", "work2"] {
        fs::create_dir(place.join(folder))?;
    }
    Ok(place.display().to_string())
}

fn lay_over(case: &Case, lower: &Path) -> io::Result<()> {
    let upper = upper(case)?;
    fs::create_dir(case.desk("merged"))?;
    let options = format!("lowerdir={},upperdir={upper}/up,workdir={upper}/work", lower.display());
    mount("overlay", case.desk("merged"), "overlay", 0, &options)
}

fn overlay(case: &Case) -> io::Result<()> {
    lay_over(case, &case.path("home/.aws"))?;
    case.read_and_give(case.desk("merged/credentials"))
}

fn overlay_copies_up(case: &Case) -> io::Result<()> {
    lay_over(case, &case.path("home/.aws"))?;
    let merged = case.desk("merged/credentials");
    let file = fs::OpenOptions::new().read(true).append(true).open(merged)?;
    case.give_all(file)
}

fn overlay_twice(case: &Case) -> io::Result<()> {
    lay_over(case, &case.path("home/.aws"))?;
    fs::create_dir(case.desk("again"))?;
    let upper = case.desk("upper");
    let options = format!(
        "lowerdir={},upperdir={}/up2,workdir={}/work2",
        case.desk("merged").display(),
        upper.display(),
        upper.display()
    );
    mount("overlay", case.desk("again"), "overlay", 0, &options)?;
    case.read_and_give(case.desk("again/credentials"))
}

fn overlay_of_link(case: &Case) -> io::Result<()> {
    fs::create_dir(case.desk("links"))?;
    fs::hard_link(case.secret(), case.desk("links/credentials"))?;
    lay_over(case, &case.desk("links"))?;
    case.read_and_give(case.desk("merged/credentials"))
}
