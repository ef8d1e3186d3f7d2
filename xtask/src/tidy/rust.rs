//! Rust text, split into code, comments and literals: exactly enough that a word in a comment
//! or a string is not taken for code. It does not parse Rust.

/// Whether `word` stands in `line` and is not the end of a longer name.
pub(crate) fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let joined = |c: char| c.is_alphanumeric() || c == '_';
        !(word.starts_with(joined) && before.is_some_and(joined))
    })
}

/// The code alone: comments and literals become spaces, lines stay where they are.
pub(crate) fn code(text: &str) -> String {
    let pieces = pieces(text).into_iter().map(|piece| match piece.kind {
        Kind::Code => piece.text.to_owned(),
        Kind::Comment | Kind::Literal => {
            piece.text.chars().map(|c| if c == '\n' { c } else { ' ' }).collect()
        }
    });
    pieces.collect()
}

/// The code without what stands under `#[cfg(test)]`.
pub(crate) fn product_code(text: &str) -> String {
    let code = code(text);
    let mut kept = String::with_capacity(code.len());
    // The closing line that ends the test item: as rustfmt writes it, at the item's own depth.
    let mut test_until: Option<String> = None;
    let mut attribute_seen = false;
    for line in code.lines() {
        let depth = &line[..line.len() - line.trim_start().len()];
        if let Some(end) = &test_until {
            if line.trim_end() == *end {
                test_until = None;
            }
        } else if line.trim_start().starts_with("#[cfg(test)]") {
            attribute_seen = true;
        } else if attribute_seen && !line.trim().is_empty() && !line.trim().starts_with("#[") {
            attribute_seen = false;
            if line.trim_end().ends_with('{') {
                test_until = Some(format!("{depth}}}"));
            }
        } else {
            kept.push_str(line);
        }
        kept.push('\n');
    }
    kept
}

/// Every string literal with the line it begins on, as written, without quotes.
pub(crate) fn strings(text: &str) -> Vec<(usize, &str)> {
    let mut line = 1;
    let mut strings = Vec::new();
    for piece in pieces(text) {
        if piece.kind == Kind::Literal
            && let (Some(open), Some(close)) = (piece.text.find('"'), piece.text.rfind('"'))
            && open < close
        {
            strings.push((line, &piece.text[open + 1..close]));
        }
        line += piece.text.matches('\n').count();
    }
    strings
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

#[derive(Debug)]
struct Piece<'a> {
    kind: Kind,
    text: &'a str,
}

/// Splits Rust text; the pieces in order are the text again.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut code_from, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        // A prefix such as `r` or `b` must not be the end of a name.
        let fresh = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if let Some((kind, length)) = comment(rest).or_else(|| literal(rest, fresh)) {
            pieces.push(Piece { kind: Kind::Code, text: &text[code_from..at] });
            pieces.push(Piece { kind, text: &rest[..length] });
            at += length;
            code_from = at;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    pieces.push(Piece { kind: Kind::Code, text: &text[code_from..] });
    pieces
}

fn comment(rest: &str) -> Option<(Kind, usize)> {
    if rest.starts_with("//") {
        return Some((Kind::Comment, rest.find('\n').unwrap_or(rest.len())));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (1, 2);
    while depth > 0 && at < rest.len() {
        let bytes = &rest.as_bytes()[at..];
        let (step, change) = match bytes {
            [b'*', b'/', ..] => (2, -1),
            [b'/', b'*', ..] => (2, 1),
            _ => (1, 0),
        };
        depth += change;
        at += step;
    }
    Some((Kind::Comment, at))
}

fn literal(rest: &str, fresh: bool) -> Option<(Kind, usize)> {
    let prefix = ["br", "cr", "r", "b", "c"]
        .into_iter()
        .find(|&prefix| {
            fresh && rest.strip_prefix(prefix).is_some_and(|r| r.starts_with(['"', '#', '\'']))
        })
        .unwrap_or("");
    let body = &rest[prefix.len()..];
    let length = if prefix.ends_with('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        let close = format!("\"{}", "#".repeat(hashes));
        let inner = body[hashes..].strip_prefix('"')?;
        hashes + 1 + inner.find(&close).map_or(inner.len(), |end| end + close.len())
    } else if let Some(inner) = body.strip_prefix('"') {
        1 + escaped(inner, b'"')?
    } else {
        character(body)?
    };
    Some((Kind::Literal, prefix.len() + length))
}

/// The length of `inner` up to and with the first `quote` that no backslash escapes.
fn escaped(inner: &str, quote: u8) -> Option<usize> {
    let mut bytes = inner.bytes().enumerate();
    while let Some((index, byte)) = bytes.next() {
        if byte == b'\\' {
            bytes.next();
        } else if byte == quote {
            return Some(index + 1);
        }
    }
    None
}

/// The length of a character literal; a lifetime is none.
fn character(body: &str) -> Option<usize> {
    let inner = body.strip_prefix('\'')?;
    if inner.starts_with('\\') {
        return escaped(inner, b'\'').map(|length| 1 + length);
    }
    let first = inner.chars().next()?;
    inner[first.len_utf8()..].starts_with('\'').then(|| 1 + first.len_utf8() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        let text =
            "a(\"q\\\"x\") /* y /* z */ w */ b(r#\"v \"u\"#, b't', '\\'', '\"') // s\nfor<'a> c";
        let code = code(text);
        let words: Vec<_> = code.split_whitespace().collect();
        assert_eq!(words, ["a(", ")", "b(", ",", ",", ",", ")", "for<'a>", "c"]);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.lines().count(), text.lines().count());
    }

    #[test]
    fn strings_come_with_their_lines() {
        let text = "f(\"one\");\nf(r#\"two\"#, b\"three\");\n/* \"no\" */ f(c\"four\", 'x');\n";
        assert_eq!(strings(text), [(1, "one"), (2, "two"), (2, "three"), (3, "four")]);
    }
}
