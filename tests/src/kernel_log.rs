//! The kernel's log, from now on: whether the kernel reports a fault in itself while a test runs.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
};

use anyhow::Context;

/// The kernel says this where it has found a fault in itself.
const FAULTS: [&str; 6] = [
    "WARNING:",
    "BUG:",
    "Oops",
    "general protection fault",
    "detected stall",
    "blocked for more than",
];
/// Longer than any line of the log can be.
const LINE: usize = 8192;

/// A reader that stands at the end of the log.
#[derive(Debug)]
pub struct KernelLog {
    file: File,
}

impl KernelLog {
    /// Goes to the end of the log; root only.
    pub fn from_now() -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg");
        let mut file = file.context("open the kernel's log")?;
        file.seek(SeekFrom::End(0)).context("go to the end of the kernel's log")?;
        Ok(Self { file })
    }

    /// Lines since the last time in which the kernel reports a fault in itself, whoever has caused it.
    pub fn faults(&mut self) -> anyhow::Result<Vec<String>> {
        let (mut faults, mut line) = (Vec::new(), [0; LINE]);
        loop {
            match self.file.read(&mut line) {
                Ok(0) => return Ok(faults),
                Ok(length) => {
                    let text = String::from_utf8_lossy(&line[..length]);
                    faults.extend(is_fault(&text).then(|| text.trim_end().to_owned()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(faults),
                // Lines that were overwritten before they were read: the reader stands at the oldest that is left.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(error) => return Err(error).context("read the kernel's log"),
            }
        }
    }
}

/// Whether a line of the kernel's own says so. What user space writes into the log is of another facility than 0.
fn is_fault(line: &str) -> bool {
    let priority = line.split_once(',').and_then(|(priority, _)| priority.parse::<u32>().ok());
    let alone = |before: &str| !before.ends_with(|c: char| c.is_ascii_alphanumeric());
    let says = |fault: &str| line.match_indices(fault).any(|(at, _)| alone(&line[..at]));
    priority.is_some_and(|priority| priority < 8) && FAULTS.iter().any(|fault| says(fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_what_the_kernel_says_of_itself() {
        assert!(is_fault("4,1,2,-;WARNING: CPU: 0 PID: 1 at x.c:1\n"));
        assert!(is_fault("6,1,2,-;rcu: INFO: rcu_preempt self-detected stall\n"));
        assert!(!is_fault("6,1,2,-;DEBUG: x\n"));
        assert!(!is_fault("12,1,2,-;WARNING: said by a program\n"));
    }
}
