//! F01 to F09: other names and other calls for the file itself.

use std::{
    env, fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crate::{
    case::Case,
    gift::Gift,
    sys::{self, HERE, at, call, fd, of, text},
    trick::{Expect, Trick, read},
};

const NO_READ: &str =
    "reads are ruled, and this opens nothing: attributes and lists are not file contents";

pub(crate) const TRICKS: &[Trick] = &[
    read("F00", "the file by its own name", |case| case.read_and_give(case.secret())),
    read("F01a", "a symbolic link to the file", by_link),
    read("F01b", "a symbolic link to the directory, and `..`", by_linked_directory),
    read("F01c", "a chain of relative links", by_chain),
    read("F02a", "a hard link made before", |case| case.read_and_give(case.desk("linked")))
        .before(linked_before),
    read("F02b", "a hard link beside the file, made before", |case| {
        case.read_and_give(case.path("home/.aws/other"))
    })
    .before(|case, _| fs::hard_link(case.secret(), case.path("home/.aws/other"))),
    read("F03a", "a hard link of the agent's", by_own_link),
    read("F03b", "a hard link by descriptor (AT_EMPTY_PATH)", by_link_of_descriptor),
    read("F03c", "a hard link by /proc/self/fd", by_link_of_proc),
    read("F04a", "`..` in the path", |case| {
        case.read_and_give(case.desk("../home/.aws/../.aws/credentials"))
    }),
    read("F04b", "`//` and `/./` in the path", by_slashes),
    read("F04c", "a relative path after chdir", by_relative),
    read("F04d", "openat below a directory's descriptor", by_openat),
    read("F05a", "/proc/self/root", |case| under("/proc/self/root", case)),
    read("F05b", "/proc/self/cwd", |case| {
        case.read_and_give("/proc/self/cwd/../home/.aws/credentials")
    }),
    read("F05c", "/proc/thread-self/root", |case| under("/proc/thread-self/root", case)),
    read("F06a", "/proc/PID/root of another process", |case| {
        under(&format!("/proc/{}/root", case.word(0)?), case)
    })
    .before(neighbour),
    read("F06b", "/proc/PID/cwd of another process", |case| {
        case.read_and_give(format!("/proc/{}/cwd/credentials", case.word(0)?))
    })
    .before(neighbour),
    read("F07a", "O_PATH, then /proc/self/fd", by_path_descriptor),
    read("F07b", "O_PATH of the directory, then openat", by_path_directory),
    read("F07c", "O_PATH, then /dev/fd", by_dev_fd),
    read("F08a", "a secret in an extended attribute", by_attribute)
        .needs("extended attributes")
        .before(|case, _| set_attribute(&case.secret()))
        .both(Expect::Limit(NO_READ)),
    read("F08b", "a secret in the target of a symbolic link", |case| {
        case.give(fs::read_link(case.path("home/.aws/link"))?.as_os_str().as_encoded_bytes())
    })
    .before(|case, _| symlink(secret_text(case)?, case.path("home/.aws/link")))
    .both(Expect::Limit(NO_READ)),
    read("F09a", "openat2", |case| by_openat2(case, HERE, &case.secret(), 0)),
    read("F09b", "openat2, a directory as root", by_openat2_below),
    read("F30a", "a link whose name has a newline and escapes", |case| {
        by_odd_name(case, b"a\n\x1b[2K\"}{\\ b")
    }),
    read("F30b", "a link whose name is not UTF-8", |case| by_odd_name(case, b"\xff\xfe\x80")),
];

/// The bytes of the secret as text: for what keeps them elsewhere.
pub(crate) fn secret_text(case: &Case) -> io::Result<String> {
    Ok(fs::read_to_string(case.secret())?.trim().to_owned())
}

fn under(root: &str, case: &Case) -> io::Result<()> {
    let below = case.secret();
    let below = below.strip_prefix("/").map_err(io::Error::other)?;
    case.read_and_give(Path::new(root).join(below))
}

fn by_link(case: &Case) -> io::Result<()> {
    symlink(case.secret(), case.desk("link"))?;
    case.read_and_give(case.desk("link"))
}

fn by_linked_directory(case: &Case) -> io::Result<()> {
    fs::create_dir_all(case.path("home/.aws/deep"))?;
    symlink(case.path("home/.aws/deep"), case.desk("link"))?;
    case.read_and_give(case.desk("link/../credentials"))
}

fn by_chain(case: &Case) -> io::Result<()> {
    symlink("../home", case.desk("a"))?;
    symlink("a/.aws", case.desk("b"))?;
    symlink("b/credentials", case.desk("c"))?;
    case.read_and_give(case.desk("c"))
}

fn linked_before(case: &Case, _: &mut Gift) -> io::Result<()> {
    fs::hard_link(case.secret(), case.desk("linked"))
}

fn by_own_link(case: &Case) -> io::Result<()> {
    fs::hard_link(case.secret(), case.desk("linked"))?;
    case.read_and_give(case.desk("linked"))
}

fn by_link_of_descriptor(case: &Case) -> io::Result<()> {
    let (path, empty, new) =
        (sys::open(case.secret(), libc::O_PATH)?, text(""), text(case.desk("linked")));
    let arguments = [fd(&path), at(&empty), HERE, at(&new), libc::AT_EMPTY_PATH as usize];
    call(libc::SYS_linkat, arguments)?;
    case.read_and_give(case.desk("linked"))
}

fn by_link_of_proc(case: &Case) -> io::Result<()> {
    let path = sys::open(case.secret(), libc::O_PATH)?;
    let (old, new) = (text(format!("/proc/self/fd/{}", fd(&path))), text(case.desk("linked")));
    call(libc::SYS_linkat, [HERE, at(&old), HERE, at(&new), libc::AT_SYMLINK_FOLLOW as usize])?;
    case.read_and_give(case.desk("linked"))
}

fn by_slashes(case: &Case) -> io::Result<()> {
    let path = case.secret().to_string_lossy().replace('/', "/.//./");
    case.read_and_give(path)
}

fn by_relative(case: &Case) -> io::Result<()> {
    env::set_current_dir(case.path("home/.aws"))?;
    case.read_and_give("credentials")
}

fn by_openat(case: &Case) -> io::Result<()> {
    let directory = sys::open(case.path("home"), libc::O_RDONLY | libc::O_DIRECTORY)?;
    let file = sys::open_below(fd(&directory), ".aws/credentials", libc::O_RDONLY)?;
    case.give_all(fs::File::from(file))
}

fn neighbour(case: &Case, gift: &mut Gift) -> io::Result<()> {
    let place = case.path("home/.aws");
    let holder = gift.hold(|ready| {
        env::set_current_dir(place)?;
        io::Write::write_all(ready, b"ready\n")
    })?;
    gift.say(holder.pid);
    Ok(())
}

fn by_path_descriptor(case: &Case) -> io::Result<()> {
    let path = sys::open(case.secret(), libc::O_PATH)?;
    case.read_and_give(format!("/proc/self/fd/{}", fd(&path)))
}

fn by_path_directory(case: &Case) -> io::Result<()> {
    let directory = sys::open(case.path("home/.aws"), libc::O_PATH)?;
    let file = sys::open_below(fd(&directory), "credentials", libc::O_RDONLY)?;
    case.give_all(fs::File::from(file))
}

fn by_dev_fd(case: &Case) -> io::Result<()> {
    let path = sys::open(case.secret(), libc::O_PATH)?;
    case.read_and_give(format!("/dev/fd/{}", fd(&path)))
}

fn set_attribute(path: &Path) -> io::Result<()> {
    let value = fs::read(path)?;
    let (path, name) = (text(path), text("trusted.key"));
    let arguments = [at(&path), at(&name), of(&value[..]), value.len(), 0];
    call(libc::SYS_setxattr, arguments).map(drop)
}

fn by_attribute(case: &Case) -> io::Result<()> {
    let (path, name, mut value) = (text(case.secret()), text("trusted.key"), [0_u8; 256]);
    let arguments = [at(&path), at(&name), sys::into(&mut value), value.len()];
    let length = call(libc::SYS_getxattr, arguments)?;
    case.give(&value[..length])
}

/// How `openat2` is told.
#[repr(C)]
struct How {
    flags: u64,
    mode: u64,
    resolve: u64,
}

fn by_openat2(case: &Case, directory: usize, path: &Path, resolve: u64) -> io::Result<()> {
    let (path, how) = (text(path), How { flags: 0, mode: 0, resolve });
    let arguments = [directory, at(&path), of(&how), size_of::<How>()];
    let file = sys::owned(call(libc::SYS_openat2, arguments))?;
    case.give_all(fs::File::from(file))
}

fn by_openat2_below(case: &Case) -> io::Result<()> {
    let directory = sys::open(case.path("home"), libc::O_PATH)?;
    by_openat2(case, fd(&directory), Path::new("/../.aws/credentials"), libc::RESOLVE_IN_ROOT)
}

fn by_odd_name(case: &Case, name: &[u8]) -> io::Result<()> {
    let name = std::os::unix::ffi::OsStrExt::from_bytes(name);
    let odd: PathBuf = case.path("desk").join::<&std::ffi::OsStr>(name);
    fs::hard_link(case.secret(), &odd)?;
    case.read_and_give(odd)
}
