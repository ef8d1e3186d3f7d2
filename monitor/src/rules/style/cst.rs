//! The tree of a rule file with what a reader sees and a parser does not: how a value is written, which
//! lines are blank, which comment stands where.
//!
//! [`super::super::yaml`] says what a file means, this how it looks. What cannot be written again as it is,
//! such as an anchor, is a problem.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

use super::{comments, comments::Remark};
use crate::rules::{
    problem::Problem,
    source::{Source, Span, offset_of},
};

/// A value.
#[derive(Debug)]
pub(super) struct Node {
    /// First byte and byte after the last; a block ends with its last entry.
    pub(super) range: Range<usize>,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Scalar(Scalar),
    Collection(Collection),
}

/// A value that is no collection.
#[derive(Debug)]
pub(super) struct Scalar {
    /// What it says.
    pub(super) value: String,
    pub(super) style: ScalarStyle,
    /// How it is written. Of a block of text, the lines of its content.
    pub(super) raw: String,
    /// Of a block of text, the byte after its first sign: `-`, if any.
    pub(super) strip: bool,
}

/// A list or a map.
#[derive(Debug)]
pub(super) struct Collection {
    pub(super) is_map: bool,
    /// In brackets or braces.
    pub(super) is_flow: bool,
    /// Columns before it, in a block.
    pub(super) column: usize,
    pub(super) entries: Vec<Entry>,
    /// Comments after the last entry.
    pub(super) tail: Vec<Remark>,
}

/// An item of a list, or a key of a map with its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Option<Node>,
    pub(super) value: Node,
    /// The line before it is blank.
    pub(super) blank: bool,
    /// Comments on lines of their own above it.
    pub(super) leading: Vec<Remark>,
    /// The comment at the end of its line.
    pub(super) trailing: Option<comments::Trailing>,
}

impl Entry {
    /// Its first byte; of an item without its dash.
    pub(super) fn start(&self) -> usize {
        self.key.as_ref().unwrap_or(&self.value).range.start
    }

    /// Whether there is a comment in it or below it, besides those above it and on its own line.
    pub(super) fn has_comments_inside(&self) -> bool {
        let Kind::Collection(collection) = &self.value.kind else { return false };
        collection.has_comments()
    }
}

impl Collection {
    /// Whether there is a comment anywhere in it.
    pub(super) fn has_comments(&self) -> bool {
        let commented = |entry: &Entry| {
            !entry.leading.is_empty() || entry.trailing.is_some() || entry.has_comments_inside()
        };
        !self.tail.is_empty() || self.entries.iter().any(commented)
    }
}

/// Reads a document that is known to be YAML.
pub(super) fn read(source: &Source, file: u32) -> Result<Node, Problem> {
    let text = &*source.text;
    let mut events = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| unkept(file, 0..0, &error.to_string()))?;
        let range = span.byte_range().unwrap_or(0..0);
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_, None) => {}
            Event::DocumentStart(_, Some(_)) => return Err(unkept(file, range, "a directive")),
            event => events.push((event, range)),
        }
    }
    let mut reader = Reader { source, file, events, at: 0, scalars: Vec::new() };
    let mut root = reader.node()?;
    let remarks = comments::find(source, file, &reader.scalars)?;
    comments::attach(&mut root, source, remarks);
    Ok(root)
}

/// What is refused, and why.
pub(super) fn unkept(file: u32, range: Range<usize>, what: &str) -> Problem {
    let span = Span { file, start: offset_of(range.start), end: offset_of(range.end) };
    Problem::new(span, format!("a file with {what} cannot be formatted"), "it would not be kept")
        .help("write it in another way, or leave this file as it is")
}

struct Reader<'a> {
    source: &'a Source,
    file: u32,
    events: Vec<(Event<'a>, Range<usize>)>,
    at: usize,
    /// Where the scalars are, in order: everywhere else, `#` begins a comment.
    scalars: Vec<Range<usize>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Range<usize>), Problem> {
        let next = self.events.get(self.at).cloned();
        self.at += 1;
        next.ok_or_else(|| unkept(self.file, 0..0, "no end"))
    }

    fn ends(&self) -> bool {
        matches!(self.events.get(self.at), Some((Event::SequenceEnd | Event::MappingEnd, _)) | None)
    }

    fn node(&mut self) -> Result<Node, Problem> {
        let (event, range) = self.next()?;
        match event {
            Event::Scalar(value, style, 0, None) => self.scalar(value.into_owned(), style, range),
            Event::SequenceStart(style, 0, None) => self.collection(false, style, range),
            Event::MappingStart(style, 0, None) => self.collection(true, style, range),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                Err(unkept(self.file, range, "an alias"))
            }
            Event::Scalar(_, _, 0, _)
            | Event::SequenceStart(_, 0, _)
            | Event::MappingStart(_, 0, _) => Err(unkept(self.file, range, "a tag")),
            _ => Err(unkept(self.file, range, "an anchor")),
        }
    }

    fn scalar(
        &mut self,
        value: String,
        style: ScalarStyle,
        range: Range<usize>,
    ) -> Result<Node, Problem> {
        let text = &*self.source.text;
        let before = self.scalars.last().map_or(0, |last| last.end)..range.start;
        let mut raw = text[range.clone()].to_owned();
        let mut strip = false;
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        if is_block {
            let header = header(&text[before]);
            if header.contains(|sign: char| sign == '+' || sign.is_ascii_digit()) {
                let what = format!("a text that begins with `{header}`");
                return Err(unkept(self.file, range, &what));
            }
            strip = header.contains('-');
            // The first line without its indentation is where the parser begins.
            let line = self.source.line_range(self.source.line(offset_of(range.start))).start;
            raw = text[line..range.end].to_owned();
        }
        if !range.is_empty() {
            self.scalars.push(range.clone());
        }
        Ok(Node { range, kind: Kind::Scalar(Scalar { value, style, raw, strip }) })
    }

    fn collection(
        &mut self,
        is_map: bool,
        style: StructureStyle,
        range: Range<usize>,
    ) -> Result<Node, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        while !self.ends() {
            let key = if is_map { Some(self.node()?) } else { None };
            if let Some(Node { kind: Kind::Collection(_), range }) = key {
                return Err(unkept(self.file, range, "a list or a map for a key"));
            }
            let value = self.node()?;
            let mut entry = Entry { key, value, blank: false, leading: Vec::new(), trailing: None };
            entry.blank = comments::is_blank_above(self.source, entry.start());
            entries.push(entry);
        }
        let (_, end) = self.next()?;
        let is_flow = style == StructureStyle::Flow;
        let last = entries.last().map_or(range.end, |entry| entry.value.range.end);
        let end = if is_flow { end.end } else { last };
        let column = comments::column(self.source, range.start);
        let collection = Collection { is_map, is_flow, column, entries, tail: Vec::new() };
        Ok(Node { range: range.start..end, kind: Kind::Collection(collection) })
    }
}

/// The signs that a block of text begins with, such as `|-`: the last of its kind before it.
fn header(before: &str) -> &str {
    let code = |line: &str| line.find(" #").unwrap_or(line.len());
    let mut found = "";
    for line in before.lines() {
        let line = &line[..code(line)];
        if let Some(at) = line.rfind(['|', '>']) {
            found = line[at..].trim_end();
        }
    }
    found
}
