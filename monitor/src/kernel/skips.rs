//! Skips: how often the kernel left out a hook because the same program was running on that CPU already.
//!
//! The kernel's own miss, which no counter of ours can hold: the program did not run. It is read from
//! `/proc/self/fdinfo/N` of every program (`bpf_prog_show_fdinfo`, kernel/bpf/syscall.c), where kernels since 5.12
//! tell it. Nothing here says which act was missed; nobody knows.

use std::{
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

use aya::Ebpf;

/// The line of it.
const LINE: &str = "recursion_misses:";

/// Added up over all programs.
pub(super) fn read(ebpf: &Ebpf, others: &[(&str, OwnedFd)]) -> io::Result<u64> {
    let mut sum = 0;
    // A program of another rung has no descriptor.
    let own = ebpf.programs().filter_map(|(_, program)| program.fd().ok());
    let own = own.map(|fd| fd.as_fd().as_raw_fd());
    for fd in own.chain(others.iter().map(|(_, fd)| fd.as_raw_fd())) {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}"))?;
        sum += told(&info).unwrap_or(0);
    }
    Ok(sum)
}

/// What the text of one `fdinfo` says; none where the kernel does not tell.
fn told(info: &str) -> Option<u64> {
    info.lines().find_map(|line| line.strip_prefix(LINE)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found_among_the_others() {
        let info =
            "pos:\t0\nprog_type:\t26\nrun_cnt:\t9\nrecursion_misses:\t7\nverified_insns:\t836\n";
        assert_eq!(told(info), Some(7));
        assert_eq!(told("pos:\t0\nprog_type:\t26\n"), None);
    }
}
