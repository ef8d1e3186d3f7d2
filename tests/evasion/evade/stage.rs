//! The stage of one case: namespaces of its own, what must be prepared, the agent, and an end to all
//! that was started.
//!
//! It is no agent. Whatever an agent's descendants become, they end as children of this process, and it
//! leaves none behind. Of the network there is loopback, which nobody else has.

use std::{
    env, fs, io,
    os::{
        fd::AsRawFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use driftwatch_tests::child;
use serde_json::json;

use crate::{
    case::{Case, GIFTS},
    gift::Gift,
    sink, sys,
    trick::Trick,
};

/// For how long a technique may run, on a machine of ordinary speed.
const LIMIT: Duration = Duration::from_secs(10);
/// What is under way on loopback has arrived by then, where the agent was stopped.
const SETTLED: Duration = Duration::from_millis(150);
/// Where it says that it is done, the judge has heard of it by then, on a machine that has much else to do.
const HEARD: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_millis(3);

/// Sets the stage, lets the agent act, and prints how that ended.
pub(crate) fn run(trick: &Trick, case: &Case, program: &Path) -> io::Result<()> {
    sys::call(libc::SYS_prctl, [libc::PR_SET_CHILD_SUBREAPER as usize, 1])?;
    sys::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWNET)?;
    sys::mount("none", "/", "", libc::MS_REC | libc::MS_PRIVATE, "")?;
    let mut gift = Gift::default();
    let outcome = play(trick, case, program, &mut gift);
    sweep();
    drop(gift);
    println!("{}", outcome?);
    Ok(())
}

fn play(
    trick: &Trick,
    case: &Case,
    program: &Path,
    gift: &mut Gift,
) -> io::Result<serde_json::Value> {
    sink::set_up()?;
    gift.hold(sink::listen)?;
    env::set_current_dir(case.path("desk"))?;
    let prepared = trick.prepare(case, gift);
    prepared.map_err(|error| io::Error::other(format!("cannot prepare it: {error}")))?;
    let mut agent = begin(trick, case, program, gift)?;
    let ended = wait(&mut agent, case, &gift.holders)?;
    settle(case, ended.is_some_and(|status| status.success()));
    Ok(match ended {
        Some(status) => json!({
            "signal": status.signal().or_else(|| status.core_dumped().then_some(0)),
            "code": status.code(), "late": false,
        }),
        None => json!({ "signal": null, "code": null, "late": true }),
    })
}

/// Waits until the judge has heard a canary, or there is none that could sing any more.
fn settle(case: &Case, done: bool) {
    let patience = if done { HEARD } else { SETTLED } * child::slowness();
    let begun = Instant::now();
    while !case.path("heard").exists() && begun.elapsed() < patience {
        thread::sleep(GLANCE);
    }
}

fn begin(trick: &Trick, case: &Case, program: &Path, gift: &Gift) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(["act", trick.id]).arg(case.directory()).args(&gift.words);
    if let Some(user) = gift.user {
        command.uid(user).gid(user);
    }
    let gifts: Vec<i32> = gift.descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    // SAFETY: between fork and exec it makes system calls and touches no memory but its own.
    unsafe {
        command.pre_exec(move || {
            for (gift, place) in gifts.iter().zip(GIFTS..) {
                sys::call(libc::SYS_dup2, [*gift as usize, place as usize])?;
            }
            Ok(())
        });
    }
    command.spawn()
}

/// Waits until the agent and all that it started have ended, but not for ever.
fn wait(agent: &mut Child, case: &Case, holders: &[i32]) -> io::Result<Option<ExitStatus>> {
    let mut begun = Instant::now();
    let mut ended = None;
    loop {
        if !case.path("go").exists() {
            begun = Instant::now();
        }
        if ended.is_none() {
            ended = agent.try_wait()?;
        }
        if ended.is_some() {
            let left = children().into_iter().filter(|child| !holders.contains(child));
            if left.filter(|&child| !is_reaped(child)).count() == 0 {
                return Ok(ended);
            }
        }
        if begun.elapsed() > LIMIT * child::slowness() {
            return Ok(ended);
        }
        thread::sleep(GLANCE);
    }
}

/// Whether that child has ended and is now off the list.
fn is_reaped(child: i32) -> bool {
    let mut status = 0_i32;
    let arguments = [child as usize, sys::into(&mut status), libc::WNOHANG as usize, 0];
    sys::call(libc::SYS_wait4, arguments).is_ok_and(|answer| answer != 0)
}

/// Ends every child, and every child that then becomes one.
fn sweep() {
    const ROUNDS: u32 = 2_000;
    for _ in 0..ROUNDS {
        let left = children();
        for &child in &left {
            // One that has ended meanwhile is as good as killed.
            let _gone = sys::kill(child, libc::SIGKILL);
            is_reaped(child);
        }
        if left.is_empty() {
            return;
        }
        thread::sleep(GLANCE);
    }
}

fn children() -> Vec<i32> {
    let this = std::process::id();
    let listed = fs::read_to_string(format!("/proc/{this}/task/{this}/children"));
    listed.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
