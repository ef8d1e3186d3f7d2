//! What `driftwatch explain` says: one field, or the tree of all, as text or as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Field, VERSION, With, below, field, fields};
use crate::rules::problem::enumerate;

/// Columns of text.
const WIDTH: usize = 88;
/// The name of the JSON form.
const SCHEMA: &str = "driftwatch.explain/v1";

/// One field, for a terminal.
#[must_use]
pub fn text(field: &Field) -> String {
    let mut text = format!("{}\n\n{}\n", field.path, filled(&field.meaning, 2));
    let fact = |name: &str, value: &str| {
        let value = filled(value, 13);
        format!("  {name:<9}  {}", value.trim_start())
    };
    text += &fact("may be", &field.holds.phrase());
    text += &fact("required", &need(field));
    if let Some(default) = field.default {
        text += &fact("default", default);
    }
    text += &fact("since", &format!("version {} of the format", field.since));
    let keys: Vec<&Field> = below(&field.path).collect();
    if !keys.is_empty() {
        text += "\nKeys:\n";
        text += &listing(&keys, 2, |field| field.key().to_owned());
    }
    text += "\nExample:\n\n";
    for line in field.sample.lines() {
        let indent = if line.is_empty() { "" } else { "  " };
        text += &format!("{indent}{line}\n");
    }
    if !field.see.is_empty() {
        text += &format!("\nSee also: {}\n", field.see.join(", "));
    }
    text
}

/// Whether it must be there, in words.
fn need(field: &Field) -> String {
    let siblings = self::field(field.parent()).map_or(&[][..], |parent| parent.one_of);
    if siblings.contains(&field.key()) {
        return format!("exactly one of {}", enumerate(siblings));
    }
    match (field.required, field.with) {
        (true, _) => "yes".to_owned(),
        (false, With::Nothing) => "no".to_owned(),
        (false, With::Key(keys)) => format!("no; only with {}", enumerate(keys)),
        (false, With::Word(key, words)) => {
            let words: Vec<String> = words.iter().map(|word| format!("{key}: {word}")).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            format!("no; only with {}", enumerate(&words))
        }
    }
}

/// Several fields of which any may be meant.
#[must_use]
pub fn several(asked: &str, fields: &[&Field]) -> String {
    let list = listing(fields, 2, |field| field.path.to_string());
    format!("`{asked}` may be written in several places:\n\n{list}")
}

/// All fields, each below the one that it is written in.
#[must_use]
pub fn tree() -> String {
    let shown: Vec<&Field> =
        fields().iter().filter(|field| !field.path.starts_with("agents.all.")).collect();
    let list = listing(&shown, 0, |field| {
        format!("{}{}", "  ".repeat(field.path.matches('.').count()), field.key())
    });
    format!(
        "A rule file, version {VERSION} of the format. `driftwatch explain FIELD` says more of one, such as\n\
         `driftwatch explain rules.connect.only`.\n\n{list}"
    )
}

/// A line for each field: what it is called, and what it means in a few words.
fn listing(fields: &[&Field], indent: usize, name: impl Fn(&Field) -> String) -> String {
    let names: Vec<String> = fields.iter().map(|field| name(field)).collect();
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for (field, name) in fields.iter().zip(&names) {
        let _infallible = writeln!(text, "{:indent$}{name:<width$}  {}", "", brief(&field.meaning));
    }
    text
}

/// The first thought of a text.
fn brief(text: &str) -> &str {
    let end = text.find(". ").or_else(|| text.strip_suffix('.').map(str::len));
    let sentence = &text[..end.unwrap_or(text.len())];
    sentence.split(": ").next().unwrap_or(sentence)
}

/// `text` in lines, each indented.
fn filled(text: &str, indent: usize) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let more = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && indent + more > WIDTH {
            lines += &format!("{:indent$}{line}\n", "");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines + &format!("{:indent$}{line}\n", "")
}

/// One field as JSON.
#[must_use]
pub fn json(field: &Field) -> Value {
    let mut value = plain(field);
    value["schema"] = json!(SCHEMA);
    value["example"] = json!(field.sample);
    value
}

/// Some fields as JSON, without their examples.
#[must_use]
pub fn json_list<'a>(fields: impl IntoIterator<Item = &'a Field>) -> Value {
    let fields: Vec<Value> = fields.into_iter().map(plain).collect();
    json!({ "schema": SCHEMA, "version": VERSION, "fields": fields })
}

fn plain(field: &Field) -> Value {
    let with = match field.with {
        With::Nothing => Value::Null,
        With::Key(keys) => json!({ "keys": keys }),
        With::Word(key, words) => json!({ "key": key, "words": words }),
    };
    json!({
        "field": field.path,
        "meaning": field.meaning,
        "may_be": field.holds.phrase(),
        "required": field.required,
        "needed": need(field),
        "only_with": with,
        "default": field.default,
        "keys": below(&field.path).map(Field::key).collect::<Vec<_>>(),
        "one_of": field.one_of,
        "see": field.see,
        "since": field.since,
    })
}
