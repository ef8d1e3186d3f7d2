//! Becoming another program in every way the kernel knows.

use std::{
    ffi::{CStr, CString, OsString},
    fs, io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::PermissionsExt},
    },
    path::{Path, PathBuf},
};

use crate::{
    arguments::ExecHow,
    call::{check, descriptor, terminated},
};

/// Becomes the program; comes back only with the reason why not.
pub(crate) fn become_program(path: &Path, arguments: &[OsString], how: ExecHow) -> io::Result<()> {
    let program = match how {
        ExecHow::Script => script_of(path, arguments)?,
        _ => path.to_owned(),
    };
    let name = terminated(&program)?;
    let mut words = vec![name.clone()];
    for argument in arguments {
        words.push(CString::new(argument.as_bytes()).map_err(io::Error::other)?);
    }
    match how {
        ExecHow::Execve | ExecHow::Script => execveat(libc::AT_FDCWD, &name, &words, 0),
        ExecHow::Execveat => {
            let directory = fs::File::open(path.parent().unwrap_or_else(|| Path::new("/")))?;
            let last = path.file_name().map_or(path, Path::new);
            execveat(directory.as_raw_fd(), &terminated(last)?, &words, 0)
        }
        ExecHow::Fexecve => {
            let flags = libc::O_PATH | libc::O_CLOEXEC;
            // SAFETY: a terminated string.
            let file = descriptor(unsafe { libc::open(name.as_ptr(), flags) })?;
            execveat(file.as_raw_fd(), c"", &words, libc::AT_EMPTY_PATH)
        }
        ExecHow::Memfd => {
            let copy = in_memory(path)?;
            execveat(copy.as_raw_fd(), c"", &words, libc::AT_EMPTY_PATH)
        }
        ExecHow::Deleted => {
            let copy = deleted(path)?;
            execveat(copy.as_raw_fd(), c"", &words, libc::AT_EMPTY_PATH)
        }
    }
}

fn execveat(directory: i32, name: &CStr, words: &[CString], flags: i32) -> io::Result<()> {
    let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(std::ptr::null());
    let environment = [std::ptr::null::<libc::c_char>()];
    let answer = if directory == libc::AT_FDCWD {
        // SAFETY: terminated strings in terminated lists, all alive until the call returns.
        unsafe {
            libc::syscall(libc::SYS_execve, name.as_ptr(), pointers.as_ptr(), environment.as_ptr())
        }
    } else {
        // SAFETY: as above.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                directory,
                name.as_ptr(),
                pointers.as_ptr(),
                environment.as_ptr(),
                flags,
            )
        }
    };
    check(answer).map(drop)
}

/// A copy of the program that has no name in any directory.
fn in_memory(path: &Path) -> io::Result<OwnedFd> {
    // SAFETY: a terminated string.
    let copy = descriptor(unsafe { libc::memfd_create(c"notes".as_ptr(), libc::MFD_CLOEXEC) })?;
    let mut file = fs::File::from(copy);
    io::copy(&mut fs::File::open(path)?, &mut file)?;
    Ok(file.into())
}

/// A copy of the program beside it that is called like one in memory, until it has no name any more.
fn deleted(path: &Path) -> io::Result<OwnedFd> {
    let name = path.with_file_name(format!("memfd:notes-{}", std::process::id()));
    fs::copy(path, &name)?;
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: a terminated string.
    let copy = descriptor(unsafe { libc::open(terminated(&name)?.as_ptr(), flags) });
    fs::remove_file(&name)?;
    copy
}

/// A script whose interpreter is the program, in the directory that holds the program's own; left
/// behind for whoever made the directory. A script passes on one word and its own path.
fn script_of(program: &Path, arguments: &[OsString]) -> io::Result<PathBuf> {
    let home = program.ancestors().nth(2).unwrap_or_else(|| Path::new("/tmp"));
    let script = home.join(format!("script-{}", std::process::id()));
    let mut text = b"#!".to_vec();
    text.extend(program.as_os_str().as_bytes());
    if let Some(first) = arguments.first() {
        text.push(b' ');
        text.extend(first.as_bytes());
    }
    text.push(b'\n');
    fs::write(&script, text)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(script)
}
