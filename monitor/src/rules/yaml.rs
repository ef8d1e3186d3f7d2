//! YAML: a text becomes a tree of [`Node`]s that know where they are, or a problem.
//!
//! The only place that knows what YAML means; how it is written is for [`super::style`] to know. It holds
//! the tree to what a rule file needs: one document, no tags, no merge keys, a shallow tree, a bounded number
//! of nodes. What the nodes mean is for [`super::parse`] to say.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{
    Error, Location, Options, Spanned, budget, options,
    options::{DuplicateKeyPolicy, MergeKeyPolicy},
};

use super::{
    problem::Problem,
    source::{FILE_BYTES, Source, SourceFile, Span, offset_of},
};

/// How deep a file may nest. Rules need eight.
const DEPTH: usize = 24;

/// A value in a YAML document.
#[derive(Debug)]
pub(super) struct Node {
    /// First byte and byte after the last; of a list or a map, where it begins.
    pub(super) range: (u32, u32),
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Kind {
    Text(String),
    Number(String),
    Bool,
    Nothing,
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Kind {
    /// What a problem calls it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Number(_) => "a number",
            Self::Bool => "true or false",
            Self::Nothing => "nothing",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// Reads the document of a file; `source` is its text, `file` its number.
pub(super) fn read(original: &SourceFile, source: &Source, file: u32) -> Result<Node, Problem> {
    let all = Span { file, start: 0, end: 0 };
    if original.text.len() > FILE_BYTES {
        let help = "split it into several files, they are read as one set";
        return Err(Problem::new(all, "the file is larger than 1 MiB", "").help(help));
    }
    if let Err(error) = std::str::from_utf8(&original.text) {
        let start = offset_of(error.valid_up_to());
        let span = Span { file, start, end: start };
        return Err(Problem::new(
            span,
            "the file is not UTF-8",
            "this byte is not part of any text",
        )
        .help("a path that is not UTF-8 can be matched with `?` or `*`"));
    }
    let document: Node = serde_saphyr::from_str_with_options(&source.text, limits())
        .map_err(|error| explain(&error, source, file))?;
    if matches!(document.kind, Kind::Nothing) {
        return Err(Problem::new(all, "the file is empty", "").help("write `version: 1` at least"));
    }
    Ok(document)
}

/// Whether `text`, written without quotes, is read as this text.
pub(super) fn is_text(text: &str) -> bool {
    let read = serde_saphyr::from_str_with_options::<Kind>(text, limits());
    matches!(read, Ok(Kind::Text(read)) if read == text)
}

/// What the library is asked to refuse.
fn limits() -> Options {
    options! {
        budget: budget! { max_depth: DEPTH, max_documents: 1 },
        // Seen by the reader of maps, which can show both places.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
    }
}

/// Says in our words what the library found.
fn explain(error: &Error, source: &Source, file: u32) -> Problem {
    let error = error.without_snippet();
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    let start = error.location().map_or(0, |place| byte_of(source, &place));
    let span = Span { file, start, end: start };
    let next = source.text[start as usize..].chars().next();
    if said.starts_with("budget breached: Documents") {
        let help = "put the second document into a file of its own";
        Problem::new(span, "the file has more than one document", "a second one begins").help(help)
    } else if said.starts_with("budget breached: Depth") || said.starts_with("recursion limit") {
        Problem::new(span, "the file nests too deeply", format!("more than {DEPTH} levels"))
    } else if said.starts_with("budget breached")
        || said.starts_with("alias ") && said.contains("limit")
    {
        let help = "write the values out, or put them into a list and use it as `@name`";
        Problem::new(span, "the file asks for too much memory", "too many values by here")
            .help(help)
    } else if let Some(sign @ ('*' | '&' | '@' | '`' | '%' | '!')) = next {
        let label = format!("text that begins with `{sign}` must be in quotes");
        Problem::new(span, "this is not YAML", label).help("write it as \"…\"")
    } else if said.starts_with("unsupported tag") {
        Problem::new(span, "tags are not allowed", "this has a tag, a word that begins with `!`")
    } else if said.starts_with("YAML merge keys") {
        Problem::new(
            span,
            "merge keys are not allowed",
            "in a rule file every key stands for itself",
        )
    } else {
        Problem::new(span, "this is not YAML", said)
    }
}

/// Offset in bytes of a place that the library may know in characters only.
fn byte_of(source: &Source, place: &Location) -> u32 {
    if let Some(offset) = place.span().byte_offset() {
        return u32::try_from(offset).map_or(0, |offset| offset.min(offset_of(source.text.len())));
    }
    let characters = usize::try_from(place.span().offset()).unwrap_or(usize::MAX);
    let offset = source.text.char_indices().nth(characters).map(|(offset, _)| offset);
    offset_of(offset.unwrap_or(source.text.len()))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Spanned::<Kind>::deserialize(deserializer)?;
        // Behind an alias, `defined` is where the value itself is written.
        let span = node.defined.span();
        let narrow = |offset: Option<u64>| offset.and_then(|offset| u32::try_from(offset).ok());
        let start = narrow(span.byte_offset()).unwrap_or(0);
        let end = start.saturating_add(narrow(span.byte_len()).unwrap_or(0));
        Ok(Self { range: (start, end), kind: node.value })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyKind)
    }
}

struct AnyKind;

impl<'de> Visitor<'de> for AnyKind {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, a list or a map")
    }

    fn visit_str<E>(self, text: &str) -> Result<Kind, E> {
        Ok(Kind::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Kind, E> {
        Ok(Kind::Bool)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Kind, E> {
        Ok(Kind::Number(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Kind, E> {
        Ok(Kind::Number(number.to_string()))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Kind, E> {
        Ok(Kind::Number(number.to_string()))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Kind, E> {
        Ok(Kind::Number(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Kind, E> {
        Ok(Kind::Number(format!("{number:?}")))
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Nothing)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        Kind::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Kind::Map(entries))
    }
}
