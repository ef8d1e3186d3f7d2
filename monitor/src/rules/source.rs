//! The texts of the rule files, and places in them.
//!
//! First station of the rules: everything that is read later on remembers its [`Span`] here, so that a
//! problem can be shown and an alert can name the line it comes from. Reads no file itself: the texts
//! are handed in.

use std::{ops::Range, sync::Arc};

use super::model::Place;

/// Bytes that a rule file may have.
pub const FILE_BYTES: usize = 1 << 20;

/// A rule file, as it was found.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// How the file is to be called in problems and alerts.
    pub name: String,
    /// Its content.
    pub text: Vec<u8>,
}

/// A range of bytes in one of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Which file.
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
}

/// Something, and where it was written.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    /// What was written.
    pub(super) is: T,
    /// Where.
    pub(super) span: Span,
}

/// One text with its lines.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) name: Arc<str>,
    pub(super) text: String,
    /// Offset of the first byte of each line.
    lines: Vec<u32>,
    /// Whether every character is one byte: then no column has to be counted.
    ascii: bool,
}

/// All texts, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources(Vec<Source>);

impl Source {
    fn new(name: &str, text: String) -> Self {
        let breaks = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        let after = breaks.map(|(offset, _)| offset_of(offset + 1));
        let lines = std::iter::once(0).chain(after).collect();
        let ascii = text.is_ascii();
        Self { name: printable(name).into(), text, lines, ascii }
    }

    /// Number of the line, from 0, that `offset` is in.
    pub(super) fn line(&self, offset: u32) -> usize {
        self.lines.partition_point(|&start| start <= offset).saturating_sub(1)
    }

    /// The bytes of line `line`, without its end.
    pub(super) fn line_range(&self, line: usize) -> Range<usize> {
        let start = self.lines.get(line).map_or(self.text.len(), |&start| start as usize);
        let end = self.lines.get(line + 1).map_or(self.text.len(), |&next| next as usize);
        let text = &self.text[start..end];
        start..start + text.trim_end_matches(['\r', '\n']).len()
    }

    /// Characters before `offset` in its line.
    fn column(&self, line: usize, offset: u32) -> usize {
        let before = self.line_range(line).start..offset as usize;
        if self.ascii {
            return before.len();
        }
        self.text.get(before).map_or(0, |text| text.chars().count())
    }

    /// What is written at `span`.
    pub(super) fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }
}

impl Sources {
    /// Takes a text in and gives its number. A text that is not UTF-8 is kept as far as it can be shown.
    pub(super) fn add(&mut self, file: &SourceFile) -> u32 {
        let fits = file.text.len() <= FILE_BYTES;
        let text =
            if fits { String::from_utf8_lossy(&file.text).into_owned() } else { String::new() };
        self.0.push(Source::new(&file.name, text));
        offset_of(self.0.len() - 1)
    }

    /// The text that `span` is in.
    pub(super) fn of(&self, span: Span) -> &Source {
        &self.0[span.file as usize]
    }

    /// Line and column of a span.
    pub(super) fn place(&self, span: Span) -> Place {
        let source = self.of(span);
        let line = source.line(span.start);
        let column = source.column(line, span.start);
        Place {
            file: source.name.clone(),
            line: offset_of(line + 1),
            column: offset_of(column + 1),
        }
    }
}

/// An offset as spans hold it: files are refused long before it would not fit.
pub(super) fn offset_of(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

/// `text` fit for a terminal: what is not printable is escaped.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\'' | '"' | '\\' => out.push(letter),
            _ => out.extend(letter.escape_debug()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_end_where_they_end() {
        let mut sources = Sources::default();
        let text = "é: x\r\n  b: c".as_bytes().to_vec();
        let file = sources.add(&SourceFile { name: "a\n.yaml".into(), text });
        let place = sources.place(Span { file, start: 4, end: 5 });
        assert_eq!((place.line, place.column), (1, 4));
        let place = sources.place(Span { file, start: 9, end: 10 });
        assert_eq!((place.line, place.column, &*place.file), (2, 3, "a\\n.yaml"));
        assert_eq!(sources.of(Span { file, start: 0, end: 0 }).line_range(0), 0..5);
        let end = sources.place(Span { file, start: 13, end: 13 });
        assert_eq!((end.line, end.column), (2, 7));
    }
}
