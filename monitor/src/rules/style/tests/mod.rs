//! The style as it looks, and what must hold of every file.

mod mess;

use std::{fs, path::Path};

use proptest::prelude::*;

use super::{check, cst, format};
use crate::rules::{
    Problems,
    format::samples,
    source::{SourceFile, Sources, Span},
};

fn tried(text: &str) -> Result<String, Problems> {
    format(&SourceFile { name: "rules.yaml".into(), text: text.into() })
}

fn formatted(text: &str) -> String {
    tried(text).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn refused(text: &str) -> String {
    match tried(text) {
        Ok(text) => panic!("not refused:\n{text}"),
        Err(problems) => problems.render_with(false, "It was left alone."),
    }
}

/// A line of output that is no comment, without its dash, and the item it is in.
struct Content<'a> {
    text: &'a str,
    item: &'a str,
    comment: Option<&'a str>,
}

/// The lines of a formatted file, and for each comment on a line of its own the line that follows it.
fn lines(text: &str) -> (Vec<Content<'_>>, Vec<(&str, usize)>) {
    let (mut contents, mut above) = (Vec::new(), Vec::new());
    let mut item = "";
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("# ") && line != "# no comment" {
            above.push((line, contents.len()));
            continue;
        }
        let (text, comment) = match line.find(" # behind") {
            Some(at) => (line[..at].trim_end(), Some(&line[at + 1..])),
            None => (line, None),
        };
        let starts = text.strip_prefix("- id: ").or_else(|| text.strip_prefix("- name: "));
        item = starts.unwrap_or(item);
        contents.push(Content { text, item, comment });
    }
    (contents, above)
}

/// Whether the line is the one that a comment about `tag` belongs to.
fn is_about(line: &Content<'_>, tag: &str) -> bool {
    let text = line.text.trim_start_matches("- ");
    let Some((about, key)) = tag.split_once('/') else { return line.text.contains(tag) };
    // The last line of a text of several.
    if text.trim_end_matches(['"', ':']).split(' ').all(|word| word == "word") {
        return line.comment.is_some();
    }
    let is_item = about.starts_with(['r', 't']) && about.len() == 2;
    match key {
        "-" => line.text.starts_with("- ") && line.item == about,
        key => text.starts_with(&format!("{key}:")) && (!is_item || line.item == about),
    }
}

fn comments(text: &str) -> Vec<&str> {
    let mut comments: Vec<&str> = text
        .lines()
        .filter_map(|line| line.find("# a").or_else(|| line.find("# b")).map(|at| &line[at..]))
        .collect();
    comments.sort_unstable();
    comments
}

proptest! {
    #[test]
    fn every_file_is_formatted_once_and_keeps_its_comments(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let text = mess::document(&mut mess::Dice::new(bytes));
        let once = formatted(&text);
        prop_assert_eq!(&formatted(&once), &once, "of\n{}", text);
        prop_assert_eq!(comments(&once), comments(&text), "of\n{}", text);
        let (contents, above) = lines(&once);
        for (comment, next) in above {
            prop_assert!(!comment.starts_with("# behind"), "`{}` is above in\n{}\nof\n{}", comment, once, text);
            let Some(tag) = comment.strip_prefix("# above ") else { continue };
            // What a blank line parts from the first section is about the file.
            let is_of_file = next == 0 && tag.split_once('/').is_some_and(|(about, key)| about == key);
            let is_there = is_of_file || contents.get(next).is_some_and(|line| is_about(line, tag));
            prop_assert!(is_there, "`{}` is above another line in\n{}\nof\n{}", comment, once, text);
        }
        for line in &contents {
            let Some(tag) = line.comment.and_then(|comment| comment.strip_prefix("# behind ")) else { continue };
            prop_assert!(is_about(line, tag), "`{}` is behind another line in\n{}\nof\n{}", tag, once, text);
        }
        let is_clean = once.lines().all(|line| line.trim_end() == line) && !once.contains("\n\n\n");
        prop_assert!(is_clean && once.ends_with('\n') && !once.ends_with("\n\n"), "{:?}", once);
    }
}

/// A file is formatted for good, or refused for what is in it.
fn is_formatted_or_refused(text: &str) -> Result<(), String> {
    match tried(text) {
        Ok(once) => match tried(&once) {
            Ok(twice) if twice == once => Ok(()),
            Ok(twice) => Err(format!("{once}\nagain\n{twice}\nof\n{text}")),
            Err(problems) => Err(format!("{problems}\nin\n{once}\nof\n{text}")),
        },
        Err(problems) if problems.to_string().contains("mistake in driftwatch") => {
            Err(format!("{problems}\nin\n{text}"))
        }
        Err(_) => Ok(()),
    }
}

proptest! {
    #[test]
    fn a_file_with_typing_errors_is_formatted_or_refused(
        which in 0..samples::ALL.len() + 1,
        errors in prop::collection::vec((any::<u16>(), 0..4_usize, "[ \\n#:,'\"{}|>&*?a0\\[\\]-]"), 1..4),
    ) {
        let sample = samples::ALL.get(which).copied().unwrap_or(include_str!("crooked.yaml"));
        let mut letters: Vec<char> = sample.chars().collect();
        for (at, gone, new) in errors {
            let at = usize::from(at) % letters.len();
            let end = (at + gone).min(letters.len());
            letters.splice(at..end, new.chars());
        }
        let text: String = letters.into_iter().collect();
        prop_assert_eq!(is_formatted_or_refused(&text), Ok(()));
    }
}

#[test]
fn every_rule_file_of_the_repository_is_formatted_or_refused() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<_> = ["../rules", "tests/format", "tests/broken"]
        .iter()
        .map(|folder| top.join(folder))
        .collect();
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Ok(text) = fs::read_to_string(&path) else { continue };
            assert_eq!(is_formatted_or_refused(&text), Ok(()), "{}", path.display());
            files += 1;
        }
    }
    assert!(files > 180, "only {files} files");
}

#[test]
fn what_is_not_the_same_is_not_handed_out() {
    let file = SourceFile {
        name: "rules.yaml".into(),
        text: "version: 1\nlists:\n  a: [x, y]  # why\n".into(),
    };
    let mut sources = Sources::default();
    let number = sources.add(&file);
    let source = sources.of(Span { file: number, start: 0, end: 0 });
    let tree = cst::read(source, number).expect("it is good");
    let said =
        |text: &str| check(&file, source, number, &tree, text).map_err(|problem| problem.message);
    assert_eq!(said("lists:\n  a: [x, y] # why\nversion: 1\n"), Ok(()));
    let same = "formatted, this file would not be the same: ";
    let other = Err(format!("{same}it would mean something else"));
    assert_eq!(said("version: 1\nlists:\n  a: [y, x]  # why\n"), other);
    assert_eq!(said("version: 1\nlists:\n  a: [x]  # why\n"), other);
    assert_eq!(said("version: \"1\"\nlists:\n  a: [x, y]  # why\n"), other);
    let lost = Err(format!("{same}a comment would be lost"));
    assert_eq!(said("version: 1\nlists:\n  a: [x, y]\n"), lost);
    assert!(said("version: [\n").is_err());
}

#[test]
fn comments_stay_in_their_order() {
    let text = "version: 1\nlists:\n  a:\n    - x\n    # the end of a\n\n  # about b\n     # and more about b\n  b: [y]\n";
    let wanted = "version: 1\n\nlists:\n  a:\n    - x\n    # the end of a\n\n  # about b\n  # and more about b\n  b: [y]\n";
    assert_eq!(formatted(text), wanted);
}

#[test]
fn spaces_of_unicode_are_letters() {
    let text = "version: 1\nagents:\n  a:\n    any:\n      - container: { image: x:\u{2028} }\n";
    let once = formatted(text);
    assert!(once.contains("{ image: x:\u{2028} }"), "{once}");
    assert_eq!(formatted(&once), once);
}

#[test]
fn samples_are_in_the_style() {
    for sample in samples::ALL {
        assert_eq!(formatted(sample), sample);
    }
}

#[test]
fn a_crooked_file_is_straight_afterwards() {
    insta::assert_snapshot!(formatted(include_str!("crooked.yaml")));
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let anchors = "version: 1\nlists:\n  a: &a [x]\n  b: *a\n";
    let tag = "version: 1\nlists:\n  a: !!seq [x]\n";
    let keep = "version: 1\nrules:\n  - id: r\n    title: t\n    agents: [a]\n    read: { never: [/x] }\n    \
                action: alert\n    help: |+\n      x\n\n";
    let directive = "%YAML 1.2\n---\nversion: 1\n";
    let unknown = "version: 1\nrulez: []\n";
    let documents = "version: 1\n---\nversion: 1\n";
    let said: Vec<String> =
        [anchors, tag, keep, directive, unknown, documents].into_iter().map(refused).collect();
    insta::assert_snapshot!(said.join("\n\n"));
}

#[test]
fn ends_of_lines_are_ours() {
    assert_eq!(
        formatted("\u{feff}---\r\nmode: monitor\r\nversion: 1   # x  \r\n...\r\n"),
        "version: 1   # x\nmode: monitor\n"
    );
    assert!(refused("version: 1 # a\rmode: monitor\n").contains("not"));
}
