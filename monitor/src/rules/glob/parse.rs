//! The written form of a glob: text to [`Glob`]s, or the byte at which it goes wrong.
//!
//! First the text is read into pieces, braces nested; then each choice of alternatives is laid out in
//! turn and cut into components. What cannot match any path, or could be taken for something else
//! than it means, is refused.

use super::{Anchor, ByteSet, Glob, Part, Unit};

/// Globs that one text may stand for.
const EXPANSIONS: usize = 1024;
/// Braces within braces.
const NESTING: usize = 16;
/// Bytes of a text: no path is longer.
const TEXT_BYTES: usize = 4095;
/// What a backslash can stand before.
pub(super) const ESCAPABLE: &str = r"*?[]{},\~!^-";

/// Why a text is no glob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct GlobError {
    /// At which byte of the text.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

fn refused<T>(
    offset: usize,
    message: impl Into<String>,
    help: impl Into<String>,
) -> Result<T, GlobError> {
    Err(GlobError { offset, message: message.into(), help: help.into() })
}

/// What is read, and where.
struct Piece {
    offset: usize,
    is: Is,
}

enum Is {
    Mark(Mark),
    /// Alternatives in braces.
    Choice(Vec<Sequence>),
}

/// Pieces one after the other, and how many globs they stand for.
struct Sequence {
    pieces: Vec<Piece>,
    count: usize,
}

/// What is left when the alternatives are chosen, and where.
type Flat = (usize, Mark);

#[derive(Clone)]
enum Mark {
    Slash,
    /// A `~` that was not escaped.
    Tilde,
    Unit(Unit),
}

pub(super) fn parse(text: &str) -> Result<Vec<Glob>, GlobError> {
    if text.len() > TEXT_BYTES {
        return refused(
            TEXT_BYTES,
            format!("longer than {TEXT_BYTES} bytes, as no path is"),
            "shorten it",
        );
    }
    let mut reader = Reader { text, at: 0 };
    let whole = reader.sequence(0)?;
    if whole.count > EXPANSIONS {
        let brace = whole.pieces.iter().find(|piece| matches!(piece.is, Is::Choice(_)));
        return refused(
            brace.map_or(0, |piece| piece.offset),
            format!("the braces stand for more than {EXPANSIONS} paths"),
            "split it into several items, or use `*`",
        );
    }
    (0..whole.count)
        .map(|index| {
            let mut flat = Vec::new();
            lay_out(&whole, index, &mut flat);
            glob(&flat, text)
        })
        .collect()
}

/// Reads a text from front to back.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Reads to the end of the text, or of the alternative in braces.
    fn sequence(&mut self, nesting: usize) -> Result<Sequence, GlobError> {
        let mut sequence = Sequence { pieces: Vec::new(), count: 1 };
        while let Some(next) = self.peek() {
            let offset = self.at;
            if nesting > 0 && (next == ',' || next == '}') {
                break;
            }
            self.at += next.len_utf8();
            let is = match next {
                '/' => Is::Mark(Mark::Slash),
                '~' => Is::Mark(Mark::Tilde),
                '*' => Is::Mark(Mark::Unit(Unit::Star)),
                '?' => Is::Mark(Mark::Unit(Unit::Set(Box::new(ByteSet::ANY)))),
                '[' => Is::Mark(Mark::Unit(Unit::Set(Box::new(self.set(offset)?)))),
                '{' => {
                    let alternatives = self.choice(offset, nesting + 1)?;
                    let sum = alternatives
                        .iter()
                        .fold(0, |sum: usize, one| sum.saturating_add(one.count));
                    sequence.count = sequence.count.saturating_mul(sum);
                    Is::Choice(alternatives)
                }
                '}' | ']' => {
                    return refused(offset, format!("`{next}` that nothing opened"), escape(next));
                }
                _ => {
                    let mut bytes = [0; 4];
                    let units = self.literal(next, offset)?.encode_utf8(&mut bytes).bytes();
                    let marks = units.map(|byte| Is::Mark(Mark::Unit(Unit::Byte(byte))));
                    sequence.pieces.extend(marks.map(|is| Piece { offset, is }));
                    continue;
                }
            };
            sequence.pieces.push(Piece { offset, is });
        }
        Ok(sequence)
    }

    /// The character that `read` stands for: itself, or what comes behind the backslash.
    fn literal(&mut self, read: char, offset: usize) -> Result<char, GlobError> {
        if read.is_control() {
            let message = format!("control character U+{:04X}", u32::from(read));
            return refused(offset, message, "write `?` for a byte that cannot be written");
        }
        if read != '\\' {
            return Ok(read);
        }
        match self.next() {
            Some(special) if ESCAPABLE.contains(special) => Ok(special),
            _ => refused(
                offset,
                "a backslash before something that has no other meaning",
                format!("leave it out; it stands before one of `{ESCAPABLE}`"),
            ),
        }
    }

    fn choice(&mut self, offset: usize, nesting: usize) -> Result<Vec<Sequence>, GlobError> {
        if nesting > NESTING {
            return refused(
                offset,
                format!("more than {NESTING} braces within each other"),
                "split it",
            );
        }
        let mut alternatives = Vec::new();
        loop {
            alternatives.push(self.sequence(nesting)?);
            match self.next() {
                Some(',') => {}
                Some('}') if alternatives.len() > 1 => return Ok(alternatives),
                Some('}') => {
                    return refused(offset, "braces around a single alternative", escape('{'));
                }
                _ => return refused(offset, "`{` without its `}`", escape('{')),
            }
        }
    }

    /// Reads a set behind its `[`.
    fn set(&mut self, offset: usize) -> Result<ByteSet, GlobError> {
        let negated = self.peek() == Some('!');
        if negated {
            self.at += 1;
        } else if self.peek() == Some('^') {
            return refused(
                self.at,
                "`^` at the start of a set",
                "write `[!…]` for every byte but these, or `\\^`",
            );
        }
        let mut set = ByteSet::default();
        loop {
            let at = self.at;
            match self.next() {
                None => return refused(offset, "`[` without its `]`", escape('[')),
                Some(']') if set == ByteSet::default() => {
                    return refused(
                        offset,
                        "an empty set",
                        "name the bytes; write `\\]` for the bracket",
                    );
                }
                Some(']') => return Ok(if negated { set.complement() } else { set }),
                Some(read) => {
                    let first = self.member(read, at)?;
                    let last = self.range_end()?.unwrap_or(first);
                    if last < first {
                        return refused(at, "a range that ends before it starts", "turn it around");
                    }
                    (first..=last).for_each(|byte| set.add(byte));
                }
            }
        }
    }

    /// The end of a range, where a `-` that is not the last of its set says that there is one.
    fn range_end(&mut self) -> Result<Option<u8>, GlobError> {
        let mut ahead = self.text[self.at..].chars();
        if ahead.next() != Some('-') || ahead.next().is_none_or(|next| next == ']') {
            return Ok(None);
        }
        self.at += 1;
        let at = self.at;
        self.next().map(|read| self.member(read, at)).transpose()
    }

    fn member(&mut self, read: char, offset: usize) -> Result<u8, GlobError> {
        match u8::try_from(self.literal(read, offset)?) {
            Ok(b'/') => {
                refused(offset, "`/` in a set", "a set is one byte of a component: take it out")
            }
            Ok(byte) if byte.is_ascii() => Ok(byte),
            _ => refused(
                offset,
                format!("`{read}` in a set: it is several bytes, a set is one"),
                "write it in braces: `{a,b}`",
            ),
        }
    }
}

fn escape(special: char) -> String {
    format!("write `\\{special}` for the character itself")
}

/// Lays out the choice number `index` of those that `sequence` stands for.
fn lay_out(sequence: &Sequence, index: usize, flat: &mut Vec<Flat>) {
    let (mut index, mut count) = (index, sequence.count);
    for piece in &sequence.pieces {
        let alternatives = match &piece.is {
            Is::Choice(alternatives) => alternatives,
            Is::Mark(mark) => {
                flat.push((piece.offset, mark.clone()));
                continue;
            }
        };
        count /= alternatives.iter().map(|one| one.count).sum::<usize>();
        let mut chosen = index / count;
        index %= count;
        for alternative in alternatives {
            if chosen < alternative.count {
                lay_out(alternative, chosen, flat);
                break;
            }
            chosen -= alternative.count;
        }
    }
}

/// Makes a glob of marks.
fn glob(flat: &[Flat], text: &str) -> Result<Glob, GlobError> {
    let (anchor, rest) = match flat {
        [(_, Mark::Slash), rest @ ..] => (Anchor::Root, rest),
        [(_, Mark::Tilde), (_, Mark::Slash), rest @ ..] => (Anchor::Home, rest),
        [_, _, (_, Mark::Slash), ..] if is_depth(&flat[..2]) => (Anchor::Root, flat),
        _ => {
            return refused(
                flat.first().map_or(0, |mark| mark.0),
                "a path starts with `/`, `~/` or `**/`",
                format!(
                    "write `**/{}` if it may be anywhere",
                    text.trim_start_matches(['~', '*', '.', '/'])
                ),
            );
        }
    };
    let mut parts = Vec::new();
    for (marks, offset) in components(rest) {
        let part = part(marks, offset)?;
        if part != Part::Depth || parts.last() != Some(&Part::Depth) {
            parts.push(part);
        }
    }
    if parts.last() == Some(&Part::Depth) {
        parts.push(Part::Pattern(star()));
    }
    Ok(Glob { anchor, parts: parts.into() })
}

/// The components, each with the offset at which it begins.
fn components(marks: &[Flat]) -> impl Iterator<Item = (&[Flat], usize)> {
    let mut from = 0;
    let end = marks.last().map_or(1, |mark| mark.0 + 1);
    marks.split(|mark| matches!(mark.1, Mark::Slash)).map(move |component| {
        let offset = marks.get(from).map_or(end, |mark| mark.0);
        from += component.len() + 1;
        (component, offset)
    })
}

fn part(marks: &[Flat], offset: usize) -> Result<Part, GlobError> {
    if is_depth(marks) {
        return Ok(Part::Depth);
    }
    let units = marks.iter().filter_map(unit).collect::<Vec<_>>();
    let doubled = units.windows(2).position(|pair| matches!(pair, [Unit::Star, Unit::Star]));
    if let Some(doubled) = doubled {
        let help = "write `*`, or `**` between slashes";
        return refused(marks[doubled].0, "`**` next to something else", help);
    }
    let literal =
        units.iter().map(|unit| if let Unit::Byte(byte) = unit { Some(*byte) } else { None });
    match literal.collect::<Option<Vec<u8>>>().as_deref() {
        Some(b"") => {
            refused(offset, "nothing between or behind slashes", "take the `/` out, or write `/**`")
        }
        Some(b"." | b"..") => {
            refused(offset, "`.` and `..` are never in a path", "write the path it leads to")
        }
        Some(bytes) => Ok(Part::Literal(bytes.into())),
        None if *units == [Unit::Star] => Ok(Part::Pattern(star())),
        None => Ok(Part::Pattern(units.into())),
    }
}

/// What a component that is only `*` is made of: at least one byte.
fn star() -> Box<[Unit]> {
    [Unit::Set(Box::new(ByteSet::ANY)), Unit::Star].into()
}

/// Whether this is `**`, written as one.
fn is_depth(marks: &[Flat]) -> bool {
    matches!(marks, [(offset, Mark::Unit(Unit::Star)), (next, Mark::Unit(Unit::Star))] if offset + 1 == *next)
}

/// What a mark within a component stands for.
fn unit(mark: &Flat) -> Option<Unit> {
    match &mark.1 {
        Mark::Unit(unit) => Some(unit.clone()),
        Mark::Tilde => Some(Unit::Byte(b'~')),
        Mark::Slash => None,
    }
}
