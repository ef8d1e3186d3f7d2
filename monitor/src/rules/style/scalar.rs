//! How a text is written: plain where YAML lets it be plain, else in double quotes.

use granit_parser::ScalarStyle;

use super::cst::Scalar;
use crate::rules::yaml;

/// Words that other readers of YAML take for true and false.
const OLD_BOOLEANS: [&str; 6] = ["yes", "no", "on", "off", "y", "n"];

/// A scalar on one line. In a flow, commas and brackets are signs.
pub(super) fn on_one_line(scalar: &Scalar, in_flow: bool) -> String {
    match scalar.style {
        // Whatever it is read as, it stays.
        ScalarStyle::Plain if scalar.raw.is_empty() => String::new(),
        ScalarStyle::Plain if !scalar.value.contains('\n') => scalar.value.clone(),
        _ if may_be_plain(&scalar.value, in_flow) => scalar.value.clone(),
        _ => quoted(&scalar.value),
    }
}

/// Whether text without quotes is read as this text.
fn may_be_plain(text: &str, in_flow: bool) -> bool {
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return false };
    let second = letters.next();
    let begins = match first {
        '-' | '?' | ':' => {
            second.is_some_and(|c| c.is_alphanumeric() || c == first && text != "---")
        }
        _ => !",[]{}#&*!|>'\"%@`=<".contains(first),
    };
    let is_shown = |c: char| c == ' ' || !(c.is_control() || c.is_whitespace() || is_odd(c));
    begins
        && !text.starts_with("---")
        && !text.starts_with(' ')
        && !text.ends_with([' ', ':'])
        && text.chars().all(is_shown)
        && !text.contains(": ")
        && !text.contains(" #")
        && !(in_flow && text.contains([',', '[', ']', '{', '}']))
        && !OLD_BOOLEANS.contains(&&*text.to_ascii_lowercase())
        && yaml::is_text(text)
}

/// Not to be seen, or not to be trusted.
const fn is_odd(c: char) -> bool {
    matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        | '\u{fff0}'..='\u{ffff}')
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\t' => out += "\\t",
            '\r' => out += "\\r",
            c if c.is_control() || is_odd(c) => out += &escaped(c),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn escaped(c: char) -> String {
    let code = u32::from(c);
    if code <= 0xff { format!("\\x{code:02x}") } else { format!("\\u{code:04x}") }
}

/// The lines of a block of text, without what they are indented by.
pub(super) fn block(scalar: &Scalar) -> Vec<String> {
    let lines: Vec<&str> = scalar.raw.lines().collect();
    let indent = |line: &&str| line.len() - line.trim_start_matches(' ').len();
    let depth = lines.iter().find(|line| !line.trim().is_empty()).map_or(0, indent);
    let mut lines: Vec<String> =
        lines.iter().map(|line| line.get(depth..).unwrap_or_default().to_owned()).collect();
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    lines
}

/// A text that was written over several lines and is too long for one: again over several, broken at single
/// spaces, each of `width` columns at most where there is such a space.
pub(super) fn filled(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words(text) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// What single spaces stand between.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_run = false;
    for part in text.split(' ') {
        let joins = is_run || part.is_empty();
        match words.last_mut() {
            Some(last) if joins => {
                last.push(' ');
                last.push_str(part);
            }
            _ => words.push(part.to_owned()),
        }
        is_run = part.is_empty();
    }
    words
}
