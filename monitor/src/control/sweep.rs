//! What takes the socket's file away when the daemon no longer can.
//!
//! A daemon that is killed removes nothing. So [`super::server::bind`] starts a child that holds the reading
//! end of a pipe whose writing end only the daemon has: the pipe ends with the daemon, however that ends, and
//! the child removes the file if it is still the one that was made. It does nothing else.

use std::{
    fs, io,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The word that makes the program a sweeper; not for people.
pub const WORD: &str = "sweep-socket";

/// A file by what it is and not by its name: device and inode number.
pub type Identity = (u64, u64);

/// What is at a path now.
///
/// # Errors
///
/// Where nothing is.
pub fn identity(path: &Path) -> io::Result<Identity> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// The running child. It ends, and is waited for, when this is dropped.
#[derive(Debug)]
pub struct Sweeper(Child);

impl Sweeper {
    /// Starts it for the file at `path`, and for its directory where that was made for it.
    ///
    /// # Errors
    ///
    /// Where there is no such file, or no process can be started.
    pub fn start(path: &Path, made: Option<&Path>) -> io::Result<Self> {
        let (device, inode) = identity(path)?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("driftwatch").arg(WORD).arg(path);
        command.arg(device.to_string()).arg(inode.to_string()).args(made);
        // A group of its own: what a terminal sends to the daemon's is not meant for it.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        command.spawn().map(Self)
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        match self.0.wait() {
            Ok(status) if status.success() => {}
            Ok(status) => log::warn!("the sweeper of the control socket: {status}"),
            Err(error) => log::warn!("the sweeper of the control socket: {error}"),
        }
    }
}

/// What the child is told.
#[derive(Debug, clap::Args)]
pub struct Sweep {
    /// The socket's file
    path: PathBuf,
    /// Its device number
    device: u64,
    /// Its inode number
    inode: u64,
    /// The directory that was made for it
    made: Option<PathBuf>,
}

impl Sweep {
    /// Waits for the end of standard input and sweeps. A file that is gone, or is another by now (the next
    /// daemon's), is left; so is a directory that has something in it.
    ///
    /// # Errors
    ///
    /// Where the file is the one that was made and cannot be removed.
    pub fn run(&self) -> io::Result<()> {
        outlive_the_daemon();
        io::copy(&mut io::stdin().lock(), &mut io::sink())?;
        if identity(&self.path).is_ok_and(|found| found == (self.device, self.inode)) {
            fs::remove_file(&self.path)?;
        }
        match self.made.as_ref().map(fs::remove_dir) {
            Some(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
            _ => Ok(()),
        }
    }
}

/// Who stops the daemon by name or by cgroup signals the sweeper too; it ends when the daemon has.
fn outlive_the_daemon() {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
        // SAFETY: SIG_IGN is a disposition that runs no code of ours; there is one thread.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}
