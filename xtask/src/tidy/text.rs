//! Checks on what is not Rust: manifests, the README's code map, and words that have no place
//! in any file.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::Tree;

/// Every crate inherits the workspace's lints.
pub(crate) fn inherited_lints(tree: &Tree) -> Vec<Finding> {
    let crates = tree.files().filter(|file| {
        file.path.ends_with("/Cargo.toml")
            && file.text.lines().any(|line| line.trim() == "[package]")
    });
    let advice = "the lints are not inherited: add `[lints]` with `workspace = true`";
    let without = crates.filter(|file| !inherits(&file.text));
    without.map(|file| Finding::new(&file.path, 1, advice)).collect()
}

fn inherits(manifest: &str) -> bool {
    let mut section = "";
    manifest.lines().map(str::trim).any(|line| {
        if line.starts_with('[') {
            section = line;
        }
        section == "[lints]" && line.replace(' ', "") == "workspace=true"
    })
}

/// The README's code map names every directory of the program's modules.
pub(crate) fn complete_code_map(tree: &Tree) -> Vec<Finding> {
    let root = "monitor/src/";
    let below = tree.sources().filter_map(|file| file.path.strip_prefix(root)?.rsplit_once('/'));
    let directories: BTreeSet<&str> = below.map(|(directory, _)| directory).collect();
    let Some(readme) = tree.file("README.md") else {
        return vec![Finding::new("README.md", 1, "missing: the code map stands in it")];
    };
    let unnamed = directories.into_iter().filter(|directory| !names(&readme.text, directory));
    let found = unnamed.map(|directory| {
        let advice = format!("the code map does not name `{root}{directory}/`: say what is in it");
        Finding::new("README.md", 1, advice)
    });
    found.collect()
}

/// Whether `text` has the last part of `directory` with its slash, as `kernel/`.
fn names(text: &str, directory: &str) -> bool {
    let last = directory.rsplit('/').next().unwrap_or(directory);
    stands_alone(text, &format!("{last}/"))
}

/// Words that belong to a workplace, not to the product. Joined here so that this file passes.
const FORBIDDEN: [&str; 3] =
    [concat!(".lib", "rary"), concat!("sub", "agent"), concat!("/wor", "k/")];

/// No file has a forbidden word in its text or its name.
pub(crate) fn no_forbidden_words(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files() {
        let lines = file.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        for (number, line) in std::iter::once((1, &*file.path)).chain(lines) {
            let line = line.to_lowercase();
            for word in FORBIDDEN.into_iter().filter(|word| stands_alone(&line, word)) {
                let advice = format!("`{word}` has no place in this repository: remove it");
                findings.push(Finding::new(&file.path, number, advice));
            }
        }
    }
    findings
}

/// Whether `word` stands in `text` and no name or path runs into it.
fn stands_alone(text: &str, word: &str) -> bool {
    let joined = |c: char| c.is_alphanumeric() || "_-.~}".contains(c);
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(joined))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_with_lints_of_its_own_is_found() {
        let tree = Tree::of(&[
            ("Cargo.toml", "[workspace]\n"),
            ("a/Cargo.toml", "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"),
            (
                "b/Cargo.toml",
                "[package]\nversion.workspace = true\n[dependencies]\nworkspace = true\n",
            ),
        ]);
        let found = inherited_lints(&tree);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "b/Cargo.toml");
    }

    #[test]
    fn a_directory_that_the_code_map_leaves_out_is_found() {
        let code = ("monitor/src/kernel/maps.rs", "");
        let other = ("monitor/src/rules/parse/mod.rs", "");
        let readme = ("README.md", "`monitor/src/kernel/` loads; `myrules/parse/` parses");
        let found = complete_code_map(&Tree::of(&[code, other, readme]));
        assert_eq!(found.len(), 0, "{found:?}");
        let found = complete_code_map(&Tree::of(&[code, other, ("README.md", "a kernel")]));
        assert_eq!(found.len(), 2, "{found:?}");
        let found = complete_code_map(&Tree::of(&[code]));
        assert_eq!(found[0].to_string(), "README.md:1: missing: the code map stands in it");
    }

    #[test]
    fn each_forbidden_word_is_found() {
        for word in FORBIDDEN {
            let text = format!("fine\nhere: {word}x\n");
            let found = no_forbidden_words(&Tree::of(&[("notes.md", &text)]));
            assert_eq!(found.len(), 1, "{word}");
            assert_eq!(found[0].line, 2);
            assert_eq!(no_forbidden_words(&Tree::of(&[(&format!("a/{word}"), "")])).len(), 1);
        }
    }

    #[test]
    fn longer_paths_and_names_are_not_forbidden() {
        let text = format!("/home/me{0}x ./{1} a{2}", FORBIDDEN[2], "library", FORBIDDEN[0]);
        assert_eq!(no_forbidden_words(&Tree::of(&[("notes.md", &text)])).len(), 0);
    }
}
