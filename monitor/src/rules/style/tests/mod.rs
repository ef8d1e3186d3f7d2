//! The style as it looks, and what must hold of every file.

mod mess;

use proptest::prelude::*;

use super::format;
use crate::rules::{Problems, format::samples, source::SourceFile};

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
        if line.starts_with("# ") {
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
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn every_file_is_formatted_once_and_keeps_its_comments(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let text = mess::document(&mut mess::Dice::new(bytes));
        let once = formatted(&text);
        prop_assert_eq!(&formatted(&once), &once, "of\n{}", text);
        prop_assert_eq!(comments(&once), comments(&text), "of\n{}", text);
        let (contents, above) = lines(&once);
        for (comment, next) in above {
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
