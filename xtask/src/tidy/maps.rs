//! Map names: each is written in two places only, one on each side of the kernel boundary
//! (invariant 4 of the README).
//!
//! Takes the names from the string literals of the user half's file.

use super::Finding;
use super::rust::{code, contains_word, strings};
use super::tree::Tree;

const USER_SIDE: &str = "monitor/src/kernel/maps.rs";
const KERNEL_SIDE: &str = "monitor-ebpf/src/maps.rs";

/// No map name is written, and no map declared, in a third place.
pub(crate) fn names_in_two_places(tree: &Tree) -> Vec<Finding> {
    let Some(user_side) = tree.file(USER_SIDE) else { return Vec::new() };
    let names: Vec<&str> =
        strings(&user_side.text).into_iter().map(|(_, text)| text).filter(|t| is_name(t)).collect();
    let mut findings = Vec::new();
    for file in tree.sources().filter(|file| ![USER_SIDE, KERNEL_SIDE].contains(&&*file.path)) {
        for (line, text) in strings(&file.text) {
            if names.contains(&text) {
                let advice = format!("the map name {text}: take it from {USER_SIDE}");
                findings.push(Finding::new(&file.path, line, advice));
            }
        }
        if file.path.starts_with("monitor-ebpf/") {
            let code = code(&file.text);
            for (index, line) in code.lines().enumerate() {
                let declared = names.iter().find(|name| {
                    contains_word(line, &format!("static {name}:"))
                        || contains_word(line, &format!("static mut {name}:"))
                });
                if let Some(name) = declared {
                    let advice = format!("the map {name}: declare it in {KERNEL_SIDE}");
                    findings.push(Finding::new(&file.path, index + 1, advice));
                }
            }
        }
    }
    findings
}

/// Maps are statics in the kernel half: `SESSIONS`, `RING_LIFECYCLE`.
fn is_name(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "const SESSIONS: &str = \"SESSIONS\";\nerror(\"no such map\");\n";

    fn found(path: &str, text: &str) -> Vec<usize> {
        let tree =
            Tree::of(&[(USER_SIDE, MAPS), (KERNEL_SIDE, "static SESSIONS: Map"), (path, text)]);
        names_in_two_places(&tree).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_name_in_a_third_place_is_found() {
        assert_eq!(found("monitor/src/daemon.rs", "\nebpf.map(\"SESSIONS\");\n"), [2]);
        assert_eq!(found("tests/live/main.rs", "f(\"SESSIONS\")"), [1]);
        assert_eq!(found("monitor-ebpf/src/exec.rs", "static SESSIONS: Map = m();"), [1]);
    }

    #[test]
    fn the_kernel_half_may_use_its_maps() {
        assert_eq!(found("monitor-ebpf/src/exec.rs", "maps::SESSIONS.get(key)"), [0; 0]);
        assert_eq!(found("monitor/src/daemon.rs", "// \"SESSIONS\"\nf(\"no such map\")"), [0; 0]);
    }
}
