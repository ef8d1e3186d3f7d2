//! Checks on single Rust sources: their length, their header, and what they must not hold.

use super::Finding;
use super::rust::{code, contains_word, product_code};
use super::tree::{File, Tree};

/// Longest file a reader is asked to hold in mind.
const LONGEST: usize = 500;

/// Every source has at most `LONGEST` lines.
pub(crate) fn short_files(tree: &Tree) -> Vec<Finding> {
    let long = tree.sources().filter(|file| file.text.lines().count() > LONGEST);
    let found = long.map(|file| {
        let lines = file.text.lines().count();
        let advice = format!("{lines} lines, the most is {LONGEST}: split it by what it is about");
        Finding::new(&file.path, LONGEST + 1, advice)
    });
    found.collect()
}

/// Every source below some `src` opens with what it is.
pub(crate) fn headed_files(tree: &Tree) -> Vec<Finding> {
    let headless = tree
        .sources()
        .filter(|file| file.path.contains("src/") && !file.text.trim_start().starts_with("//"));
    let advice = "no header: open the file with `//!` and say what it is and what it does not do";
    headless.map(|file| Finding::new(&file.path, 1, advice)).collect()
}

/// Nothing outside tests panics without saying why.
pub(crate) fn no_unwrap(tree: &Tree) -> Vec<Finding> {
    let advice = "unwrap outside tests: return an error, or `expect(\"why this cannot fail\")`";
    let product = tree.sources().filter(|file| !is_test(&file.path));
    product.flat_map(|file| found(file, &product_code(&file.text), ".unwrap()", advice)).collect()
}

/// Nothing is left for later, and no test is switched off.
pub(crate) fn nothing_unfinished(tree: &Tree) -> Vec<Finding> {
    let unfinished = [
        ("todo!", "unfinished: do it, or open an issue and return an error that says so"),
        ("dbg!", "left over from debugging: remove it"),
        ("#[ignore", "a test switched off: make it run, or remove it"),
    ];
    let mut findings = Vec::new();
    for file in tree.sources() {
        let code = code(&file.text);
        for (word, advice) in unfinished {
            findings.extend(found(file, &code, word, advice));
        }
    }
    findings
}

fn found(file: &File, code: &str, word: &str, advice: &str) -> Vec<Finding> {
    let lines = code.lines().enumerate().filter(|(_, line)| contains_word(line, word));
    lines.map(|(index, _)| Finding::new(&file.path, index + 1, advice)).collect()
}

/// Whether the whole file is test code.
pub(crate) fn is_test(path: &str) -> bool {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    directory.split('/').any(|part| part == "tests" || part == "benches")
        || name == "tests.rs"
        || name.ends_with("_tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: &[Finding]) -> Vec<(&str, usize)> {
        findings.iter().map(|finding| (finding.path.as_str(), finding.line)).collect()
    }

    #[test]
    fn a_long_file_is_found() {
        let long = "// line\n".repeat(LONGEST + 1);
        let longest = "// line\n".repeat(LONGEST);
        let tree = Tree::of(&[("a/src/long.rs", &long), ("a/src/longest.rs", &longest)]);
        assert_eq!(lines(&short_files(&tree)), [("a/src/long.rs", LONGEST + 1)]);
    }

    #[test]
    fn a_file_without_header_is_found() {
        let tree = Tree::of(&[
            ("a/src/bare.rs", "use std::fmt;\n"),
            ("a/src/headed.rs", "//! What it is.\n"),
            ("a/build.rs", "fn main() {}\n"),
        ]);
        assert_eq!(lines(&headed_files(&tree)), [("a/src/bare.rs", 1)]);
    }

    #[test]
    fn unwrap_is_found_outside_tests_only() {
        let text = "fn f() {\n    g().unwrap();\n    // h().unwrap()\n    s(\".unwrap()\");\n}\n\n\
                    #[cfg(test)]\nmod tests {\n    fn t() {\n        g().unwrap();\n    }\n}\n\n\
                    fn last() {\n    g().unwrap();\n}\n";
        let tree =
            Tree::of(&[("a/src/f.rs", text), ("a/src/f/tests.rs", text), ("tests/f.rs", text)]);
        assert_eq!(lines(&no_unwrap(&tree)), [("a/src/f.rs", 2), ("a/src/f.rs", 15)]);
    }

    #[test]
    fn a_test_module_in_its_own_file_ends_at_once() {
        let text =
            "#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests;\n\nfn f() {\n    g().unwrap();\n}\n";
        assert_eq!(lines(&no_unwrap(&Tree::of(&[("a/src/f.rs", text)]))), [("a/src/f.rs", 6)]);
    }

    #[test]
    fn unfinished_work_is_found() {
        let text = "fn f() {\n    todo!()\n}\nfn g() {\n    dbg!(1);\n}\n#[ignore = \"slow\"]\n\
                    fn t() {}\n// todo! in words\nfn h() {\n    not_dbg!(\"todo!\");\n}\n";
        let found = nothing_unfinished(&Tree::of(&[("tests/a.rs", text)]));
        assert_eq!(lines(&found), [("tests/a.rs", 2), ("tests/a.rs", 5), ("tests/a.rs", 7)]);
    }
}
