//! Rows of the catalogue that are not tried, each with the reason.

use serde_json::{Value, json};

/// Ids, what they are about, and why they are not tried.
pub(crate) const LATER: &[(&str, &str, &str)] = &[
    ("F32", "O_TMPFILE", "names a new file, never one that is shut"),
    ("F35", "an attempt that permissions refuse", "has no effect that a canary could show"),
    (
        "F44",
        "network and FUSE file systems",
        "need a server; inodes that change are a limit of the README",
    ),
    ("F46", "case-folding directories", "need a file system made for it"),
    (
        "F47",
        "a file system image with a copy",
        "a copy is another file, as X03b shows for programs",
    ),
    (
        "X12",
        "shell builtins and sockets of interpreters",
        "no exec is needed, and none is judged: F and N are about the acts",
    ),
    ("X14", "AT_EXECVE_CHECK", "starts nothing; a trap for the daemon and no evasion"),
    (
        "D01-D10",
        "somebody else does it: engines, systemd, cron, ssh, D-Bus",
        "UNIX sockets and what was written by an agent come later",
    ),
    ("N02", "NAT64 and 6to4 addresses", "need a translator on the way"),
    (
        "N21",
        "netlink: routes, address translation",
        "an approved address then leads elsewhere, as by the proxy of N30",
    ),
    ("N22-N24", "UNIX sockets by link, by name, by datagram", "UNIX sockets come later"),
    ("N31", "domain fronting", "cannot be told from addresses"),
    ("N32-N33", "DNS rebinding and tunnels", "names of hosts come later"),
    ("N34", "a leak through an approved service", "cannot be told from addresses"),
    ("N36", "odd families (AF_ALG, TIPC, RDS)", "need modules; no data leaves by AF_ALG"),
    ("N37", "QUIC", "the datagrams of N05"),
    (
        "N38",
        "packets by the kernel's own programs",
        "needs a program to load; self-protection comes later",
    ),
    (
        "S04",
        "pid reuse",
        "tags lie on tasks, no number is compared; see S03b for numbers of one's choosing",
    ),
    ("M01-M17", "attacks on the monitor", "self-protection comes later"),
];

/// As the judge reads it.
pub(crate) fn row(&(id, title, why): &(&str, &str, &str)) -> Value {
    json!({ "id": id, "title": title, "later": why })
}
