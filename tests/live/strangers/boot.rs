//! A boot: busybox as the first process of namespaces of its own, from its inittab to the end of the machine.
//!
//! What it mounts, makes and sets belongs to its namespaces. In a guest it also loads a module.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context, ensure};
use driftwatch_tests::{child, programs};

/// Moves into the root and becomes the first program of the machine.
const ENTER: &str = r#"set -e
"$1" mount --bind "$0" "$0"
cd "$0"
mkdir -p old
"$1" pivot_root . old
/bin/busybox umount -l /old
exec /bin/init
"#;
/// Files of the root, and whether each is a program.
const FILES: [(&str, bool, &str); 8] = [
    (
        "etc/inittab",
        false,
        "::sysinit:/etc/rc.start\n::wait:/etc/rc.service\n::wait:/bin/poweroff\n::shutdown:/etc/rc.stop\n",
    ),
    (
        "etc/fstab",
        false,
        "devpts /dev/pts devpts mode=620 0 0\nshm /dev/shm tmpfs size=1m 0 0\nrun /run tmpfs size=1m 0 0\n",
    ),
    ("etc/passwd", false, "root:x:0:0:root:/:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/sh\n"),
    ("etc/group", false, "root:x:0:\ndaemon:x:1:\n"),
    ("srv/page", false, "served\n"),
    (
        "etc/rc.start",
        true,
        "mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t tmpfs -o size=1m dev /dev\n\
         mkdir /dev/pts /dev/shm && mount -a && mount | cut -d ' ' -f 3 | grep -v old\n\
         mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/zero c 1 5 && mknod /dev/console c 5 1\n\
         dd if=/dev/zero of=/dev/null bs=1 count=10 2>&1 && mdev -s && [ -c /dev/urandom ] && echo devices\n\
         hostname strange && hostname && ip link set lo up && sysctl net.ipv4.ip_forward=1\n\
         if [ -e /module.ko ]; then rmmod squashfs; insmod /module.ko && grep -c ^squashfs /proc/modules; fi\n\
         chown 1:1 /srv/page && su daemon -s /bin/sh -c 'id -u && cat /srv/page'\n",
    ),
    (
        "etc/rc.service",
        true,
        "start-stop-daemon -S -b -m -p /run/log.pid -x /bin/syslogd -- -n -O /run/messages\n\
         for i in $(seq 30); do [ -S /dev/log ] || sleep 1; done; logger -t boot ready\n\
         for i in $(seq 30); do grep -q ready /run/messages || sleep 1; done; grep -c ready /run/messages\n\
         start-stop-daemon -S -b -m -p /run/web.pid -x /bin/httpd -- -f -p 127.0.0.1:80 -h /srv\n\
         for i in $(seq 30); do wget -q -O - http://127.0.0.1/page 2>/dev/null && break; sleep 1; done\n\
         start-stop-daemon -K -q -p /run/web.pid && echo stopped\n",
    ),
    (
        "etc/rc.stop",
        true,
        "start-stop-daemon -K -q -p /run/log.pid\numount -a -t tmpfs 2>/dev/null\necho down\n",
    ),
];
/// What stands in the log of a boot that went well, in this order.
const MILESTONES: [&str; 9] = [
    "/proc\n",
    "devices\n",
    "strange\n",
    "ip_forward = 1\n",
    "1\nserved\n",
    "1\nserved\n",
    "stopped\n",
    "down\n",
    "end ",
];

/// Boots, and returns what the machine said and how it ended.
pub(super) fn boot(place: &Path) -> anyhow::Result<String> {
    let busybox = programs::named("busybox").context("it was looked for")?;
    let root = place.join("root");
    prepare(&root, &busybox)?;
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--pid", "--fork", "--kill-child", "--net", "--uts", "--ipc"]);
    unshare
        .args(["/bin/sh", "-c", ENTER])
        .arg(&root)
        .arg(&busybox)
        .env("PATH", "/bin:/usr/bin:/sbin");
    let ended = child::run(&mut unshare)?;
    let log = fs::read_to_string(root.join("log")).unwrap_or_default();
    let all = format!("{log}end {}\n{}", ended.status, without_times(&ended.stdout));
    let mut rest = &*all;
    for milestone in MILESTONES {
        let found = rest.split_once(milestone);
        rest = found.with_context(|| format!("no {milestone:?}: {all}{}", ended.stderr))?.1;
    }
    ensure!(!programs::in_a_guest() || all.contains("1\n1\nserved"), "no module was loaded: {all}");
    Ok(all)
}

fn prepare(root: &Path, busybox: &Path) -> anyhow::Result<()> {
    for name in ["bin", "etc", "proc", "sys", "dev", "run", "srv"] {
        fs::create_dir_all(root.join(name))?;
    }
    fs::copy(busybox, root.join("bin/busybox"))?;
    let applets = child::run(Command::new(busybox).arg("--list"))?;
    for applet in applets.stdout.lines().filter(|name| *name != "busybox") {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    for (name, is_program, text) in FILES {
        let text = match is_program {
            true => format!("#!/bin/sh\nexport PATH=/bin\nexec >>/log 2>&1\n{text}"),
            false => text.to_owned(),
        };
        fs::write(root.join(name), text)?;
        let mode = if is_program { 0o755 } else { 0o644 };
        fs::set_permissions(root.join(name), std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    }
    if programs::in_a_guest() {
        let modules = fs::read_dir("/lib/modules/guest")?.flatten().map(|entry| entry.path());
        let mut modules = modules.filter(|file| file.to_string_lossy().ends_with("-squashfs.ko"));
        fs::copy(modules.next().context("a guest has modules")?, root.join("module.ko"))?;
    }
    Ok(())
}

/// What init says, without its version and times.
fn without_times(said: &str) -> String {
    let lines =
        said.lines().filter(|line| line.starts_with("The system") || line.starts_with("Sent"));
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}
