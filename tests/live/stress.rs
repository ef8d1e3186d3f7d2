//! Stress: Debian's `stress-ng`, which strangers wrote to find out what breaks, as an agent that may do everything it
//! does. Every act of it is judged, and it ends as it does without a daemon.
//!
//! It has namespaces, a user namespace among them, and a small file system of its own: what it tries to change belongs to
//! it, and the clock and modules of the host are out of its reach. What may have the kernel load a module, and what only
//! root of the whole host can do, is tried in guests.

use std::{collections::BTreeSet, path::PathBuf, process::Command};

use anyhow::{Context, ensure};
use driftwatch_tests::{AGENT, Alert, Ground, Scenario, child, kernel_log::KernelLog, programs};

use crate::claims::{alone, same};

/// Stressors that run at the same time, one of each, and how many operations each is stopped after.
struct Family {
    name: &'static str,
    who: Who,
    options: &'static str,
    stressors: &'static [(&'static str, u32)],
}

/// What the stressors are to themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Root of a user namespace.
    Root,
    /// Somebody else in one: some refuse to run as root.
    Somebody,
    /// Root of the whole host, which is tried in guests alone.
    RootOfAll,
}

/// All that have something to do with what the hooks look at.
const FAMILIES: [Family; 8] = [
    Family {
        name: "files",
        who: Who::Root,
        options: "--dir-dirs 64",
        stressors: &[
            ("open", 500),
            ("dentry", 500),
            ("rename", 200),
            ("chmod", 20),
            ("chown", 20),
            ("mknod", 20),
            ("xattr", 2),
            ("utime", 200),
            ("touch", 100),
            ("file-ioctl", 10),
            ("handle", 100),
            ("dir", 10),
            ("access", 5),
            ("filename", 20),
            ("getdent", 20),
        ],
    },
    // Some ten thousand names each time.
    Family {
        name: "links",
        who: Who::Root,
        options: "",
        stressors: &[("link", 1), ("symlink", 1)],
    },
    Family {
        name: "places",
        who: Who::Root,
        options: "--chdir-dirs 64",
        stressors: &[
            ("lockf", 50),
            ("fifo", 200),
            ("inotify", 1),
            ("chdir", 10),
            ("chroot", 10),
            ("landlock", 5),
            ("seal", 20),
            ("umount", 2),
            ("revio", 20),
            ("dirdeep", 20),
        ],
    },
    Family {
        name: "processes",
        who: Who::Root,
        options: "--clone-max 8 --fork-max 4 --vfork-max 4",
        stressors: &[
            ("fork", 100),
            ("clone", 20),
            ("vfork", 100),
            ("daemon", 20),
            ("exit-group", 10),
            ("pidfd", 50),
            ("kill", 50),
            ("session", 20),
            ("personality", 50),
        ],
    },
    Family {
        name: "programs",
        who: Who::Somebody,
        options: "--exec-max 4",
        stressors: &[("exec", 40), ("spawn", 10)],
    },
    Family {
        name: "memory",
        who: Who::Root,
        options: "--mmap-bytes 1m --memfd-bytes 2m --memfd-fds 8 --shm-bytes 1m --shm-objs 4 --vm-splice-bytes 64k \
                  --splice-bytes 64k --sendfile-size 64k",
        stressors: &[
            ("mmap", 2),
            ("mprotect", 500),
            ("memfd", 4),
            ("mmapaddr", 50),
            ("mlock", 10),
            ("splice", 100),
            ("sendfile", 100),
            ("vm-splice", 100),
            ("shm", 2),
        ],
    },
    Family {
        name: "sockets",
        who: Who::Root,
        options: "",
        stressors: &[
            ("sock", 20),
            ("udp", 100),
            ("udp-flood", 200),
            ("sockpair", 200),
            ("sockfd", 200),
            ("epoll", 20),
            ("sockabuse", 5),
            ("sockmany", 20),
            ("netlink-task", 20),
        ],
    },
    Family {
        name: "rights",
        who: Who::Root,
        options: "",
        stressors: &[
            ("ptrace", 200),
            ("prctl", 10),
            ("cap", 10),
            ("set", 10),
            ("seccomp", 5),
            ("key", 2),
            ("unshare", 2),
        ],
    },
];
/// What ends with an error on newer kernels whoever runs it, for reasons of its own; and what only a guest may do.
const ALONE: [Family; 2] = [
    Family { name: "io_uring", who: Who::Root, options: "", stressors: &[("io-uring", 50)] },
    Family {
        name: "whole host",
        who: Who::RootOfAll,
        options: "",
        stressors: &[
            ("bind-mount", 2),
            ("mknod", 20),
            ("chown", 20),
            ("fanotify", 20),
            ("sctp", 20),
            ("dccp", 20),
            ("tun", 2),
        ],
    },
];

/// Packets that their sender makes go to peers that nobody knows: where it can be refused, every rule about peers shuts
/// them to an agent. So these are tried untagged alone.
const RAW: Family = Family {
    name: "raw sockets",
    who: Who::Root,
    options: "",
    stressors: &[("rawsock", 200), ("rawudp", 200), ("rawpkt", 100)],
};

/// Something that is not there, in every act and in every way to name it; and every right, excepted for what uses it.
/// None of it is hit, all of it is looked at.
const RULES: &str = r#"
  - { id: programs, title: t, agents: [test-agent], exec: { never: ["/no/such/*", "**/no-such-*", no-such, deleted] }, action: kill }
  - { id: arguments, title: t, agents: [test-agent], exec: { never: [{ path: stress-ng, args: "** --no-such **" }] }, action: kill }
  - { id: reads, title: t, agents: [test-agent], read: { never: ["/no/such/**", "**/no-such-*", "/proc/*/no-such", "**/*.no-such"] }, action: kill }
  - { id: writes, title: t, agents: [test-agent], write: { never: ["/no/such/**", "**/no-such-*", "/proc/*/no-such", "**/*.no-such"] }, action: kill }
  - { id: peers, title: t, agents: [test-agent], connect: { never: ["192.0.2.0/24", "2001:db8::/32"] }, action: kill }
  - { id: addresses, title: t, agents: [test-agent], listen: { never: ["192.0.2.0/24", "2001:db8::/32"] }, action: kill }
  - id: rights
    title: t
    agents: [test-agent]
    privilege:
      never: [setuid, capabilities, ptrace, mount, namespaces, bpf, module, io_uring]
      except:
        - privilege: [setuid, capabilities, ptrace, mount, namespaces, io_uring]
          exe: ["**/stress-ng", "**/unshare", "**/mount"]
          reason: they use them
    action: kill
"#;
/// On an idle host most are done long before; on a slow one it may stop them, and then they must have done something.
const SECONDS: &str = "10";
/// In a small file system of its own, with few descriptors and a network that is up.
const SCRIPT: &str = r#"set -e
mount -t tmpfs -o size=64m own /mnt
cd /mnt
ip link set lo up
ulimit -n 1024
"$@"
exit $?
"#;

/// How it ended, and which stressors did anything at all.
#[derive(Debug, PartialEq, Eq)]
struct Passed {
    code: Option<i32>,
    did: BTreeSet<String>,
    /// What it complains of, without numbers of processes.
    failed: BTreeSet<String>,
}

impl Family {
    fn is_for_here(&self) -> bool {
        self.who != Who::RootOfAll || programs::in_a_guest()
    }

    fn command(&self) -> anyhow::Result<Command> {
        let stress: PathBuf = programs::named("stress-ng").context("it was looked for")?;
        let mut command = Command::new("unshare");
        if self.who != Who::RootOfAll {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--net", "--uts", "--ipc"]);
        command.args(["--mount-proc", "/bin/sh", "-c", SCRIPT, "sh"]);
        if self.who == Who::Somebody {
            command.args(["unshare", "--user", "--map-user=1000"]);
        }
        command.arg(stress).args(["--temp-path", "/mnt", "--timeout", SECONDS]);
        command
            .args(["--verify", "--metrics-brief", "--oomable"])
            .args(self.options.split_whitespace());
        for (name, operations) in self.stressors {
            command.args([format!("--{name}"), "1".to_owned()]);
            command.args([format!("--{name}-ops"), operations.to_string()]);
        }
        Ok(command)
    }

    /// Runs them as whoever the command becomes.
    fn run(&self, command: &mut Command) -> anyhow::Result<Passed> {
        let ended = child::run(command).context(self.name)?;
        let said = ended.stdout + &ended.stderr;
        let passed = passed(ended.status.code(), &said);
        // Otherwise it has not even begun.
        ensure!(
            passed.code.is_some() && !passed.did.is_empty(),
            "{}: {passed:?}\n{said}",
            self.name
        );
        Ok(passed)
    }
}

fn passed(code: Option<i32>, said: &str) -> Passed {
    let (mut did, mut failed) = (BTreeSet::new(), BTreeSet::new());
    for line in said.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        match *words {
            ["stress-ng:", "metrc:", _, name, operations, ..] => {
                did.extend(
                    operations.parse().is_ok_and(|count: u64| count > 0).then(|| name.to_owned()),
                );
            }
            ["stress-ng:", "fail:", _, ref rest @ ..] => drop(failed.insert(rest.join(" "))),
            _ => {}
        }
    }
    Passed { code, did, failed }
}

#[test]
fn a_tool_that_strangers_wrote_ends_as_an_agent_as_without_a_daemon() -> anyhow::Result<()> {
    let _alone = alone();
    if !programs::are_here(&["stress-ng", "unshare", "ip"])? {
        return Ok(());
    }
    let families = FAMILIES.iter().chain(&ALONE).chain([&RAW]);
    let families: Vec<_> = families.filter(|family| family.is_for_here()).collect();
    let mut bare = Vec::new();
    for family in &families {
        bare.push(family.run(&mut family.command()?)?);
    }
    let mut log = KernelLog::from_now()?;
    let scenario = Scenario::start(Ground::new()?, RULES)?;
    for (family, bare) in families.iter().zip(&bare) {
        let untagged = family.run(&mut family.command()?)?;
        ensure!(untagged == *bare, "{}, untagged: {untagged:?}, must be {bare:?}", family.name);
    }
    same("records of the untagged", scenario.daemon.counter("lifecycle_seen")?, 0)?;
    let mut otherwise = Vec::new();
    for (family, bare) in families.iter().zip(&bare).filter(|(family, _)| family.name != RAW.name) {
        let before = scenario.alerts()?.len();
        let tagged = family.run(&mut scenario.command_as(AGENT, &family.command()?)?)?;
        let alerts: Vec<_> = scenario.alerts()?.iter().skip(before).map(in_short).collect();
        if tagged != *bare || !alerts.is_empty() {
            otherwise.push(format!("{}: {tagged:?}, must be {bare:?}; {alerts:#?}", family.name));
        }
    }
    ensure!(otherwise.is_empty(), "as an agent it ends otherwise:\n{}", otherwise.join("\n"));
    eprintln!("{bare:#?}");
    nothing_was_missed(&scenario)?;
    what_is_shut_is_shut(&scenario)?;
    let faults = log.faults()?;
    ensure!(faults.is_empty(), "the kernel reports a fault in itself: {faults:#?}");
    Ok(())
}

fn in_short(alert: &Alert) -> String {
    let (act, done, rule) = (alert.act(), alert.done(), alert.rule());
    let (object, unknown) = (alert.show("/object"), alert.show("/unknown"));
    format!("{act} {done} {rule}, unknown {unknown}: {object}")
}

/// No act was recorded or given up, and every process was seen.
fn nothing_was_missed(scenario: &Scenario) -> anyhow::Result<()> {
    let status = scenario.daemon.status()?;
    for name in ["refused", "unknown_plans", "unknown_processes", "disagreements"] {
        same(name, status["events"][name].as_u64().unwrap_or(1), 0)?;
    }
    let counters = status["kernel"]["counters"].as_object().context("counters")?;
    for (name, count) in counters.iter().filter(|(name, _)| !name.starts_with("lifecycle_")) {
        ensure!(*count == 0, "{name}: {count}");
    }
    let of = |name: &str| counters[name].as_u64().unwrap_or_default();
    let (seen, submitted) = (of("lifecycle_seen"), of("lifecycle_submitted"));
    same("processes seen", seen, submitted + of("lifecycle_lost"))?;
    ensure!(seen > 1_000, "only {seen} of processes");
    Ok(())
}

/// The rules that were not hit are in force.
fn what_is_shut_is_shut(scenario: &Scenario) -> anyhow::Result<()> {
    let secret = scenario.ground.path("a.no-such");
    std::fs::write(&secret, "shut\n")?;
    let ended = scenario.run_as(AGENT, Command::new("cat").arg(secret))?;
    ensure!(!ended.status.success() && ended.stdout.is_empty(), "the agent got through: {ended:?}");
    same("acts recorded", scenario.daemon.counter("activity_seen")?, 1)
}
