//! What the verifier goes through of each program of a running daemon.
//!
//! The kernel says it of each descriptor (`/proc/PID/fdinfo`, `bpf_prog_show_fdinfo` in kernel/bpf/syscall.c), and no
//! name with it. The daemon loads in the order of its table, and the kernel numbers as they come.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, ensure};
use driftwatch_tests::daemon::Daemon;
use monitor::kernel::{attach::TABLE, rung::Rung};

/// The way in which the daemon refuses acts, and instructions by program.
pub(crate) fn of(daemon: &Daemon) -> anyhow::Result<(Rung, BTreeMap<String, u64>)> {
    let status = daemon.status()?;
    let name = status["kernel"]["rung"].as_str().context("a daemon has a rung")?;
    let rung = Rung::ALL.into_iter().find(|rung| rung.name() == name);
    let rung = rung.with_context(|| format!("no such rung: {name}"))?;
    let missing = status["kernel"]["hooks"]["missing"].as_array().context("a list of hooks")?;
    let is_there = |program: &str| missing.iter().all(|lost| lost["hook"] != program);
    let rows = TABLE.iter().filter(|row| row.is_on(rung) && is_there(row.program));
    let names: Vec<&str> = rows.map(|row| row.program).collect();
    let counts = by_number(daemon.pid())?;
    ensure!(
        counts.len() == names.len(),
        "{} programs of the daemon, {} in its table",
        counts.len(),
        names.len()
    );
    let names = names.into_iter().map(ToOwned::to_owned);
    Ok((rung, names.zip(counts.into_values()).collect()))
}

/// Instructions by the kernel's number of the program.
fn by_number(pid: u32) -> anyhow::Result<BTreeMap<u64, u64>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        // The daemon goes on working: a descriptor that is gone by now was no program.
        let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
        if let Some((number, count)) = program(&text) {
            found.insert(number, count);
        }
    }
    Ok(found)
}

/// Number and instructions, where the descriptor is a program. A link has only the number.
fn program(text: &str) -> Option<(u64, u64)> {
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
    Some((field("prog_id")?.parse().ok()?, field("verified_insns")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_told_from_a_link() {
        let text = "pos:\t0\nprog_type:\t29\nprog_jited:\t1\nprog_id:\t31\nverified_insns:\t4711\n";
        assert_eq!(program(text), Some((31, 4711)));
        assert_eq!(program("pos:\t0\nlink_type:\ttracing\nprog_id:\t31\n"), None);
    }
}
