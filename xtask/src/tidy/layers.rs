//! The pure layers: `event`, `agent`, `rules`, `pipeline`, `learn` and `drift` do no I/O, read no clock and
//! know nothing of aya (invariant 2 of the README).
//!
//! Looks at every path in the code, also those that a `use` spreads over braces.

use super::Finding;
use super::rust::product_code;
use super::source::is_test;
use super::tree::Tree;

const PURE: [&str; 6] = ["event", "agent", "rules", "pipeline", "learn", "drift"];

/// What a pure layer must not name, by the beginning of its path.
const IMPURE: [&str; 16] = [
    "aya",
    "aya_log",
    "tokio",
    "std::fs",
    "std::process",
    "std::thread",
    "std::os::unix::net",
    "std::os::unix::fs",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::time::Instant",
    "std::time::SystemTime",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
];

/// Calls that read the clock under whatever name their type was imported.
const CLOCKS: [&str; 4] = ["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now"];

/// No path in a pure layer leads outside.
pub(crate) fn pure_layers(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let layer = |path: &str| PURE.into_iter().find(|layer| belongs(path, layer));
    for file in tree.sources().filter(|file| !is_test(&file.path)) {
        let Some(layer) = layer(&file.path) else { continue };
        for (line, path) in paths(&product_code(&file.text)) {
            if is_impure(&path) {
                let advice = format!(
                    "`{path}` in `{layer}`, which does no I/O and reads no clock: take what it \
                     gives as an argument, or move the code out of `{layer}`"
                );
                findings.push(Finding::new(&file.path, line, advice));
            }
        }
    }
    findings
}

fn belongs(path: &str, layer: &str) -> bool {
    let rest = path.strip_prefix("monitor/src/").and_then(|rest| rest.strip_prefix(layer));
    rest.is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

fn is_impure(path: &str) -> bool {
    let path = path.trim_start_matches("::");
    let under = |prefix: &str, path: &str| {
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    // A glob reaches whatever lies below it.
    let globbed = path.strip_suffix("::*");
    IMPURE
        .iter()
        .any(|impure| under(impure, path) || globbed.is_some_and(|glob| under(glob, impure)))
        || CLOCKS.iter().any(|clock| path == *clock || path.ends_with(&format!("::{clock}")))
}

/// Every path of more than one part, and every imported one, with its line.
fn paths(code: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    // What the enclosing braces of a `use` put in front, and whether each belongs to a `use`.
    let mut prefixes: Vec<String> = Vec::new();
    let mut in_use = false;
    let mut line = 1;
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = word_length(rest);
        let word = &rest[..length];
        if length == 0 {
            match first {
                '\n' => line += 1,
                ';' => (in_use, prefixes) = (false, Vec::new()),
                '}' if in_use => drop(prefixes.pop()),
                '{' if in_use && prefixes.is_empty() => prefixes.push(String::new()),
                _ => {}
            }
            rest = &rest[first.len_utf8()..];
            continue;
        }
        rest = &rest[length..];
        let outer = prefixes.last().cloned().unwrap_or_default();
        if word == "use" {
            in_use = true;
        } else if in_use && word.ends_with("::") && rest.starts_with('{') {
            prefixes.push(format!("{outer}{word}"));
            rest = &rest[1..];
        } else if in_use || word.contains("::") {
            paths.push((line, format!("{outer}{word}")));
        }
    }
    paths
}

/// The length of the path that `text` opens with, 0 if it opens with something else.
fn word_length(text: &str) -> usize {
    let mut length = 0;
    loop {
        let rest = &text[length..];
        let name = rest.chars().take_while(|&c| c.is_alphanumeric() || c == '_');
        let step = name.map(char::len_utf8).sum::<usize>();
        let step = match step {
            0 if rest.starts_with("::") => 2,
            0 if rest.starts_with('*') && text[..length].ends_with("::") => 1,
            step => step,
        };
        if step == 0 {
            return length;
        }
        length += step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<usize> {
        pure_layers(&Tree::of(&[(path, text)])).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_pure_layer_that_reaches_outside_is_found() {
        for impure in [
            "use aya::Ebpf;",
            "use aya::{maps::RingBuf, Ebpf};",
            "use std::{collections::BTreeMap, fs};",
            "use std::{\n    fmt,\n    fs::{self, File},\n};",
            "use std::net::{IpAddr, TcpStream};",
            "use std::time::*;",
            "use tokio::sync::mpsc;",
            "fn f() { std::fs::read(p); }",
            "fn f() { ::std::process::exit(1); }",
            "fn f() -> std::time::Instant { g() }",
            "fn f() { let now = Timestamp::now(); }",
            "fn f() { let now = jiff::Zoned::now(); }",
        ] {
            assert!(!found("monitor/src/rules/parse.rs", impure).is_empty(), "passed: {impure}");
        }
    }

    #[test]
    fn a_pure_layer_may_name_what_is_pure() {
        for pure in [
            "use std::net::{IpAddr, Ipv6Addr, SocketAddr};",
            "use std::time::Duration;",
            "use std::{collections::BTreeMap, fmt};\nfn f() { fs(tokio); }",
            "use crate::rules::{Rule, fs::Shape};",
            "// std::fs is not used\nconst S: &str = \"std::fs::read\";",
            "#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n",
        ] {
            assert_eq!(found("monitor/src/rules/parse.rs", pure), [0; 0], "found: {pure}");
        }
    }

    #[test]
    fn only_the_pure_layers_are_looked_at() {
        let text = "use std::fmt;\nuse std::fs;\n";
        assert_eq!(found("monitor/src/agent.rs", text), [2]);
        assert_eq!(found("monitor/src/event/mod.rs", text), [2]);
        assert_eq!(found("monitor/src/sink/file.rs", text), [0; 0]);
        assert_eq!(found("monitor/src/rules/tests.rs", text), [0; 0]);
        assert_eq!(found("tests/src/rules/mod.rs", text), [0; 0]);
    }

    #[test]
    fn the_line_is_that_of_the_name() {
        assert_eq!(found("monitor/src/agent.rs", "use std::{\n    fmt,\n    fs,\n};\n"), [3]);
    }
}
