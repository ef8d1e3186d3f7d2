//! The lines of a formatted file: which entry comes where, indented how, on one line or on several.

use granit_parser::ScalarStyle;

use super::{
    comments::{Remark, Trailing},
    cst::{Collection, Entry, Kind, Node, Scalar},
    place::Place,
    scalar,
};

/// Columns that a list or map in brackets may reach.
const WIDTH: usize = 120;
/// Columns that what is in something is indented by.
const STEP: usize = 2;

/// One line, its parts apart.
#[derive(Debug, Default)]
struct Line {
    indent: usize,
    text: String,
    is_comment: bool,
    /// A blank line comes before it.
    blank: bool,
    trailing: Option<Behind>,
}

/// A comment behind a line.
#[derive(Debug)]
struct Behind {
    text: String,
    /// Where it was, and what its line was indented by; none where the line has another shape now.
    was: Option<(usize, usize)>,
}

/// The whole file.
pub(super) fn document(root: &Node) -> String {
    let Kind::Collection(collection) = &root.kind else { return String::new() };
    let mut text = String::new();
    for line in sections(collection) {
        if line.blank && !text.is_empty() {
            text.push('\n');
        }
        text += &line.shown();
        text.push('\n');
    }
    text
}

impl Line {
    fn new(indent: usize, text: impl Into<String>) -> Self {
        Self { indent, text: text.into(), ..Self::default() }
    }

    fn comment(indent: usize, remark: &Remark) -> Self {
        let line = Self::new(indent, remark.text.clone());
        Self { is_comment: true, blank: remark.blank, ..line }
    }

    fn behind(mut self, trailing: Option<&Trailing>, is_same: bool) -> Self {
        self.trailing = trailing.map(|trailing| Behind {
            text: trailing.text.clone(),
            was: is_same.then_some((trailing.column, trailing.indent)),
        });
        self
    }

    fn shown(&self) -> String {
        if self.text.is_empty() {
            return String::new();
        }
        let mut shown = format!("{:1$}{2}", "", self.indent, self.text);
        if let Some(behind) = &self.trailing {
            let least = shown.chars().count() + 2;
            let was = behind
                .was
                .map_or(0, |(column, indent)| (column + self.indent).saturating_sub(indent));
            let gap = was.max(least) - (least - 2);
            shown += &" ".repeat(gap);
            shown += &behind.text;
        }
        shown
    }
}

/// The sections, with what stands at the top of the file.
fn sections(root: &Collection) -> Vec<Line> {
    let place = Place::root();
    // What a blank line parts from the first section is about the file, and stays at its top.
    let leading = root.entries.first().map_or(&[][..], |first| &first.leading);
    let is_parted = root.entries.first().is_some_and(|first| first.blank);
    let last_blank = leading.iter().rposition(|remark| remark.blank).unwrap_or(0);
    let header = if is_parted { leading.len() } else { last_blank };
    let mut lines: Vec<Line> =
        leading[..header].iter().map(|remark| Line::comment(0, remark)).collect();
    for index in place.order(root) {
        let entry = &root.entries[index];
        let skip = if index == 0 { header } else { 0 };
        let is_first = lines.is_empty();
        let follows_version = key_is(entry, "mode")
            && lines.last().is_some_and(|line| line.text.starts_with("version:"));
        let mut section = entry_lines(entry, skip, 0, &place.child(entry));
        let blank = section[0].blank && entry.leading.len() > skip;
        section[0].blank = if follows_version { blank } else { !is_first };
        lines.append(&mut section);
    }
    lines.extend(root.tail.iter().map(|remark| Line::comment(0, remark)));
    lines
}

fn key_is(entry: &Entry, key: &str) -> bool {
    matches!(entry.key.as_ref().map(|key| &key.kind), Some(Kind::Scalar(is)) if is.value == key)
}

/// The entries of a list or a map, and the comments after them.
fn collection_lines(collection: &Collection, indent: usize, place: &Place) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut spans = false;
    for index in place.order(collection) {
        let entry = &collection.entries[index];
        let mut more = entry_lines(entry, 0, indent, &place.child(entry));
        if collection.is_flow {
            // Where a comment stood in brackets says nothing of where it is to stand now.
            more.iter_mut()
                .filter_map(|line| line.trailing.as_mut())
                .for_each(|behind| behind.was = None);
        }
        let spanned = std::mem::replace(&mut spans, more.len() > 1);
        let is_forced = place.is_spaced() && (spans || spanned);
        more[0].blank = !lines.is_empty() && (more[0].blank || is_forced);
        lines.append(&mut more);
    }
    lines.extend(collection.tail.iter().map(|remark| Line::comment(indent, remark)));
    lines
}

/// An entry with the comments above it, but for the first `skip`.
fn entry_lines(entry: &Entry, skip: usize, indent: usize, place: &Place) -> Vec<Line> {
    let mut lines: Vec<Line> =
        entry.leading[skip..].iter().map(|remark| Line::comment(indent, remark)).collect();
    if let Kind::Collection(empty) = &entry.value.kind
        && empty.entries.is_empty()
    {
        lines.extend(empty.tail.iter().map(|remark| Line::comment(indent, remark)));
    }
    let above = lines.len();
    match &entry.value.kind {
        Kind::Scalar(value) => lines.extend(scalar_lines(entry, value, indent)),
        Kind::Collection(value) => lines.extend(value_lines(entry, value, indent, place)),
    }
    lines[above].blank = entry.blank;
    lines
}

/// What stands before the value on its line: the dash, or the key.
fn prefix(entry: &Entry) -> String {
    match entry.key.as_ref().map(|key| &key.kind) {
        Some(Kind::Scalar(key)) => format!("{}:", scalar::on_one_line(key, false)),
        _ => "-".to_owned(),
    }
}

fn scalar_lines(entry: &Entry, value: &Scalar, indent: usize) -> Vec<Line> {
    let prefix = prefix(entry);
    let sign = match value.style {
        ScalarStyle::Literal => "|",
        ScalarStyle::Folded => ">",
        _ => "",
    };
    let block = if sign.is_empty() { Vec::new() } else { scalar::block(value) };
    if !block.is_empty() {
        let strip = if value.strip { "-" } else { "" };
        let head = Line::new(indent, format!("{prefix} {sign}{strip}"));
        let content = block.into_iter().map(|text| Line::new(indent + STEP, text));
        return std::iter::once(head.behind(entry.trailing.as_ref(), true))
            .chain(content)
            .collect();
    }
    let text = scalar::on_one_line(value, false);
    let room = WIDTH.saturating_sub(indent + prefix.chars().count() + 1);
    let was_filled = value.raw.contains('\n');
    let parts = if was_filled && text.chars().count() > room {
        scalar::filled(&text, room)
    } else {
        vec![text]
    };
    let mut lines: Vec<Line> = Vec::new();
    for part in parts {
        lines.push(match lines.len() {
            0 if part.is_empty() => Line::new(indent, prefix.clone()),
            0 => Line::new(indent, format!("{prefix} {part}")),
            _ => Line::new(indent + STEP, part),
        });
    }
    if let Some(last) = lines.pop() {
        lines.push(last.behind(entry.trailing.as_ref(), !was_filled));
    }
    lines
}

fn value_lines(entry: &Entry, value: &Collection, indent: usize, place: &Place) -> Vec<Line> {
    let prefix = prefix(entry);
    if let Some(flat) = flat(value, place) {
        let text = format!("{prefix} {flat}");
        if value.entries.is_empty() || indent + text.chars().count() <= WIDTH {
            return vec![Line::new(indent, text).behind(entry.trailing.as_ref(), true)];
        }
    }
    let mut lines = collection_lines(value, indent + STEP, place);
    if entry.key.is_some() {
        let head = Line::new(indent, prefix).behind(entry.trailing.as_ref(), !value.is_flow);
        lines.insert(0, head);
        return lines;
    }
    // The first line takes the dash; comments before it are above the item.
    for line in &mut lines {
        line.indent = indent;
        if !line.is_comment {
            line.text = format!("- {}", line.text);
            break;
        }
    }
    if let Some(trailing) = &entry.trailing {
        lines.insert(
            0,
            Line::comment(indent, &Remark { text: trailing.text.clone(), blank: false }),
        );
    }
    lines
}

/// A list in brackets or a map in braces, on one line. None where a comment or a block stands in it.
fn flat(collection: &Collection, place: &Place) -> Option<String> {
    let is_empty = collection.entries.is_empty();
    if !collection.is_flow || collection.has_comments() && !is_empty {
        return None;
    }
    let entries = place.order(collection).into_iter().map(|index| &collection.entries[index]);
    let items: Option<Vec<String>> =
        entries.map(|entry| flat_entry(entry, &place.child(entry))).collect();
    let items = items?.join(", ");
    Some(match (collection.is_map, is_empty) {
        (true, true) => "{}".to_owned(),
        (true, false) => format!("{{ {items} }}"),
        (false, _) => format!("[{items}]"),
    })
}

fn flat_entry(entry: &Entry, place: &Place) -> Option<String> {
    let value = match &entry.value.kind {
        Kind::Scalar(value) => scalar::on_one_line(value, true),
        Kind::Collection(value) => flat(value, place)?,
    };
    Some(match entry.key.as_ref().map(|key| &key.kind) {
        Some(Kind::Scalar(key)) => {
            format!("{}: {value}", scalar::on_one_line(key, true)).trim_end_matches(' ').to_owned()
        }
        _ => value,
    })
}
