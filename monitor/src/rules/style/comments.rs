//! Comments: found between the values, and attached to the entry that they are about.
//!
//! A comment on a line of its own belongs to the entry below it, or to the end of a block that is indented
//! like it. A comment behind something belongs to the entry on its line.

use std::ops::Range;

use super::cst::{Collection, Kind, Node, unkept};
use crate::rules::{
    problem::Problem,
    source::{Source, offset_of},
};

/// A comment on a line of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remark {
    /// With its `#`.
    pub(super) text: String,
    /// The line before it is blank.
    pub(super) blank: bool,
}

/// A comment behind something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trailing {
    /// With its `#`.
    pub(super) text: String,
    /// Columns before it.
    pub(super) column: usize,
    /// Columns before the line it stands on.
    pub(super) indent: usize,
}

/// A comment as it was found.
pub(super) struct Comment {
    text: String,
    offset: usize,
    column: usize,
    is_alone: bool,
    blank: bool,
}

/// Columns before `offset` in its line.
pub(super) fn column(source: &Source, offset: usize) -> usize {
    let line = source.line_range(source.line(offset_of(offset)));
    source.text[line.start..offset.max(line.start)].chars().count()
}

/// Whether the line before the one that begins at `offset` is blank. What is not the first on its line has
/// nothing above it.
pub(super) fn is_blank_above(source: &Source, offset: usize) -> bool {
    let line = source.line(offset_of(offset));
    let before = &source.text[source.line_range(line).start..offset];
    line > 0
        && before.chars().all(|c| c == ' ' || c == '-')
        && source.text[source.line_range(line - 1)].trim().is_empty()
}

fn line_of(source: &Source, offset: usize) -> usize {
    source.line(offset_of(offset))
}

/// All comments, in order. `scalars` are the values, in which `#` is text.
pub(super) fn find(
    source: &Source,
    file: u32,
    scalars: &[Range<usize>],
) -> Result<Vec<Comment>, Problem> {
    let mut found = Vec::new();
    let ends = std::iter::once(0).chain(scalars.iter().map(|range| range.end));
    let starts = scalars.iter().map(|range| range.start).chain([source.text.len()]);
    for (end, start) in ends.zip(starts) {
        let mut at = end;
        while let Some(next) = source.text.get(at..start).and_then(|gap| gap.chars().next()) {
            if next == '#' {
                let comment = comment(source, at);
                at += source.line_range(line_of(source, at)).end - at;
                found.push(comment);
            } else if next.is_whitespace() || "-?:,[]{}|>.\u{feff}".contains(next) {
                at += next.len_utf8();
            } else {
                return Err(unkept(file, at..at + next.len_utf8(), &format!("`{next}` here")));
            }
        }
    }
    Ok(found)
}

fn comment(source: &Source, offset: usize) -> Comment {
    let line = source.line_range(line_of(source, offset));
    Comment {
        text: source.text[offset..line.end].trim_end().to_owned(),
        offset,
        column: column(source, offset),
        is_alone: source.text[line.start..offset].trim().is_empty(),
        blank: is_blank_above(source, offset),
    }
}

/// Puts every comment into the tree.
pub(super) fn attach(root: &mut Node, source: &Source, comments: Vec<Comment>) {
    // In a run of comments none is about something further in than the one before it.
    let (mut run, mut least) = (0, usize::MAX);
    for comment in comments {
        if comment.is_alone || !behind(root, source, &comment) {
            let after = source.text[run..comment.offset].lines();
            let is_run = after.skip(1).all(|line| {
                let line = line.trim_start();
                line.is_empty() || line.starts_with('#')
            });
            least = if is_run { least.min(comment.column) } else { comment.column };
            run = comment.offset;
            alone(root, &comment, least);
        } else {
            run = comment.offset;
            least = usize::MAX;
        }
    }
}

/// Attaches a comment to the entry on its line that it stands behind, if there is one.
fn behind(node: &mut Node, source: &Source, comment: &Comment) -> bool {
    let Kind::Collection(collection) = &mut node.kind else { return false };
    let count = collection.entries.partition_point(|entry| entry.start() <= comment.offset);
    let Some(entry) = collection.entries[..count].last_mut() else { return false };
    let is_open = match &entry.value.kind {
        Kind::Scalar(_) => false,
        Kind::Collection(inner) => !inner.is_flow || comment.offset < entry.value.range.end,
    };
    if is_open && behind(&mut entry.value, source, comment) {
        return true;
    }
    let line = line_of(source, comment.offset);
    let starts = line_of(source, entry.start()) == line;
    let last = entry.value.range.end.saturating_sub(1).max(entry.start());
    let ends = entry.value.range.end <= comment.offset && line_of(source, last) == line;
    // A block ends with its last entry, which was asked before.
    if !starts && (!ends || is_open) {
        return false;
    }
    let range = source.line_range(line);
    let text = &source.text[range];
    let trailing = Trailing {
        text: comment.text.clone(),
        column: comment.column,
        indent: text.len() - text.trim_start().len(),
    };
    if let Some(first) = entry.trailing.replace(trailing) {
        entry.leading.push(Remark { text: first.text, blank: false });
    }
    true
}

/// Attaches a comment that is about what follows it, or the end of what precedes it.
fn alone(node: &mut Node, comment: &Comment, column: usize) {
    let remark = Remark { text: comment.text.clone(), blank: comment.blank };
    let Kind::Collection(collection) = &mut node.kind else { return };
    let count = collection.entries.partition_point(|entry| entry.start() <= comment.offset);
    let next = (count < collection.entries.len()).then_some(count);
    let previous = count.checked_sub(1);
    if let Some(index) = previous {
        let is_last = next.is_none();
        let outer = collection.column;
        let is_flow = collection.is_flow;
        let entry = &mut collection.entries[index];
        if comment.offset < entry.value.range.start && is_scalar(&entry.value) {
            return entry.leading.push(remark);
        }
        if let Kind::Collection(inner) = &entry.value.kind
            && belongs_to(
                inner,
                &entry.value.range,
                comment.offset,
                column,
                is_flow,
                outer,
                is_last,
            )
        {
            return alone(&mut entry.value, comment, column);
        }
    }
    match next {
        Some(index) => collection.entries[index].leading.push(remark),
        None => collection.tail.push(remark),
    }
}

const fn is_scalar(node: &Node) -> bool {
    matches!(node.kind, Kind::Scalar(_))
}

/// Whether a comment at `offset` is one of those in `inner`, the value before it.
fn belongs_to(
    inner: &Collection,
    range: &Range<usize>,
    offset: usize,
    column: usize,
    in_flow: bool,
    outer: usize,
    is_last: bool,
) -> bool {
    if offset < range.end {
        return true;
    }
    if inner.is_flow || in_flow {
        return false;
    }
    column >= inner.column && (column > outer || is_last)
}

/// The texts of all comments in a tree, in no order.
pub(super) fn texts(node: &Node) -> Vec<&str> {
    let Kind::Collection(collection) = &node.kind else { return Vec::new() };
    let mut texts: Vec<&str> = collection.tail.iter().map(|remark| &*remark.text).collect();
    for entry in &collection.entries {
        texts.extend(entry.leading.iter().map(|remark| &*remark.text));
        texts.extend(entry.trailing.iter().map(|trailing| &*trailing.text));
        texts.extend(self::texts(&entry.value));
    }
    texts
}
