//! Words: patterns over texts that are no paths, such as the arguments of a program.
//!
//! A [`TextGlob`] is compared with one text: `*` is any bytes, `?` one byte, `[a-z]` and `[!a-z]` one byte of a
//! set, a backslash takes the meaning from what follows. [`Words`] are compared with a list of texts from its
//! first to its last; the word `**` stands for any number of them. Nothing here knows of paths: see
//! [`super::glob`] for those.

use std::fmt;

/// A pattern over one text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TextGlob(Box<[Unit]>);

/// What a text is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::rules) enum Unit {
    /// This byte.
    Byte(u8),
    /// Bit *b* % 64 of word *b* / 64: whether byte *b* is in the set.
    Set(Box<[u64; 4]>),
    /// Any bytes, none too.
    Star,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WordError {
    /// The byte of the text.
    pub offset: usize,
    /// What is wrong.
    pub message: &'static str,
    /// What to write.
    pub help: &'static str,
}

impl TextGlob {
    /// Reads what was written.
    ///
    /// # Errors
    /// A set that is not closed or empty, a backslash at the end.
    pub fn parse(text: &str) -> Result<Self, WordError> {
        let bytes = text.as_bytes();
        let mut units = Vec::new();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let (unit, next) = match byte {
                b'*' => (Unit::Star, at + 1),
                b'?' => (Unit::Set(Box::new([!0; 4])), at + 1),
                b'[' => set(bytes, at)?,
                b'\\' => match bytes.get(at + 1) {
                    Some(&byte) => (Unit::Byte(byte), at + 2),
                    None => {
                        return Err(WordError {
                            offset: at,
                            message: "a backslash with nothing behind it",
                            help: r"write `\\` for a backslash",
                        });
                    }
                },
                byte => (Unit::Byte(byte), at + 1),
            };
            at = next;
            if unit != Unit::Star || units.last() != Some(&Unit::Star) {
                units.push(unit);
            }
        }
        Ok(Self(units.into()))
    }

    /// What it is made of.
    pub(in crate::rules) fn units(&self) -> &[Unit] {
        &self.0
    }

    /// Whether `text` is one of those meant. Takes at most length × length steps.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        let is_one = |unit: &Unit, byte: u8| match unit {
            Unit::Byte(wanted) => *wanted == byte,
            Unit::Set(set) => set[usize::from(byte / 64)] >> (byte % 64) & 1 == 1,
            Unit::Star => false,
        };
        sequence(&self.0, text, |unit| *unit == Unit::Star, |unit, byte| is_one(unit, *byte))
    }
}

impl fmt::Display for TextGlob {
    /// A spelling that reads back as the same pattern; bytes outside ASCII are shown as they can be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::new();
        for unit in &self.0 {
            match unit {
                Unit::Star => bytes.push(b'*'),
                Unit::Set(set) if **set == [!0; 4] => bytes.push(b'?'),
                Unit::Byte(byte) => {
                    bytes.extend(b"*?[\\".contains(byte).then_some(b'\\'));
                    bytes.push(*byte);
                }
                Unit::Set(set) => {
                    // Only a complement has bytes outside ASCII.
                    let negated = set[3] >> 63 == 1;
                    let has = |byte: &u8| {
                        (set[usize::from(byte / 64)] >> (byte % 64) & 1 == 1) != negated
                    };
                    bytes.extend_from_slice(if negated { b"[!" } else { b"[" });
                    // `]` stands first and `-` last, where they mean themselves; `!` never stands first.
                    let others: Vec<u8> =
                        (0..128).filter(|byte| has(byte) && !b"]-!".contains(byte)).collect();
                    let bare = !has(&b']') && others.is_empty();
                    bytes.extend(has(&b']').then_some(b']'));
                    bytes.extend(others);
                    let (mark, hyphen) = (has(&b'!').then_some(b'!'), has(&b'-').then_some(b'-'));
                    let (first, last) = if bare { (hyphen, mark) } else { (mark, hyphen) };
                    bytes.extend(first.into_iter().chain(last));
                    bytes.push(b']');
                }
            }
        }
        f.write_str(&String::from_utf8_lossy(&bytes))
    }
}

fn set(bytes: &[u8], start: usize) -> Result<(Unit, usize), WordError> {
    let unclosed = WordError {
        offset: start,
        message: "`[` without its `]`",
        help: r"write `\[` for the character itself",
    };
    let mut at = start + 1;
    let inverted = bytes.get(at) == Some(&b'!');
    at += usize::from(inverted);
    let first = at;
    let mut set = [0_u64; 4];
    loop {
        let Some(&low) = bytes.get(at) else { return Err(unclosed) };
        if low == b']' && at > first {
            break;
        }
        let range =
            bytes.get(at + 1) == Some(&b'-') && bytes.get(at + 2).is_some_and(|&b| b != b']');
        let high = if range { bytes[at + 2] } else { low };
        if high < low {
            return Err(WordError {
                offset: at,
                message: "a range that ends before it begins",
                help: "write the smaller one first, `[a-z]`",
            });
        }
        for byte in low..=high {
            set[usize::from(byte / 64)] |= 1 << (byte % 64);
        }
        at += if range { 3 } else { 1 };
    }
    if inverted {
        set.iter_mut().for_each(|word| *word = !*word);
    }
    Ok((Unit::Set(Box::new(set)), at + 1))
}

/// Patterns over a list of texts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Words(Box<[Word]>);

/// What a list is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::rules) enum Word {
    /// One text.
    One(TextGlob),
    /// `**`
    Rest,
}

impl Words {
    /// Reads words.
    ///
    /// # Errors
    /// Says which word is wrong, and why.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, (usize, WordError)> {
        let word = |(at, word): (usize, &str)| match word {
            "**" => Ok(Word::Rest),
            word => TextGlob::parse(word).map(Word::One).map_err(|error| (at, error)),
        };
        let mut words = words.into_iter().enumerate().map(word).collect::<Result<Vec<_>, _>>()?;
        words.dedup_by(|second, first| *first == Word::Rest && *second == Word::Rest);
        Ok(Self(words.into()))
    }

    /// What it is made of.
    pub(in crate::rules) fn words(&self) -> &[Word] {
        &self.0
    }

    /// Whether the texts, from the first to the last, are as meant.
    #[must_use]
    pub fn match_all(&self, texts: &[Vec<u8>]) -> bool {
        let is_one = |word: &Word, text: &Vec<u8>| match word {
            Word::One(glob) => glob.matches(text),
            Word::Rest => false,
        };
        sequence(&self.0, texts, |word| *word == Word::Rest, is_one)
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, word) in self.0.iter().enumerate() {
            let gap = if number == 0 { "" } else { " " };
            match word {
                Word::One(glob) => write!(f, "{gap}{glob}")?,
                Word::Rest => write!(f, "{gap}**")?,
            }
        }
        Ok(())
    }
}

/// Matches a pattern of which some parts stand for any number of things. Going back to the last of them is
/// enough, so the steps are at most one for each pair.
fn sequence<P, T>(
    pattern: &[P],
    things: &[T],
    is_any: impl Fn(&P) -> bool,
    is_one: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut at, mut next) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while next < things.len() {
        match pattern.get(at) {
            Some(part) if is_any(part) => {
                back = Some((at + 1, next));
                at += 1;
            }
            Some(part) if is_one(part, &things[next]) => {
                at += 1;
                next += 1;
            }
            _ => {
                let Some((from, taken)) = back else { return false };
                back = Some((from, taken + 1));
                (at, next) = (from, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(is_any)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn glob(text: &str) -> TextGlob {
        TextGlob::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn words(text: &str) -> Words {
        Words::parse(text.split(' ')).unwrap()
    }

    fn args(text: &str) -> Vec<Vec<u8>> {
        text.split_whitespace().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn texts() {
        for (pattern, yes, no) in [
            ("--force*", "--force-with-lease", "--no-force"),
            ("a/*/c", "a/b/x/c", "a/b/d"),
            ("[a-c]?", "bz", "dz"),
            ("[!a-c]", "d", "a"),
            ("[]x]", "]", "["),
            ("[a-]", "-", "b"),
            (r"\*", "*", "x"),
            ("*a*a*", "baab", "ba"),
            ("", "", "x"),
        ] {
            assert!(glob(pattern).matches(yes.as_bytes()), "{pattern} {yes}");
            assert!(!glob(pattern).matches(no.as_bytes()), "{pattern} {no}");
        }
        for (bad, offset) in
            [("x[ab", 1), ("[", 0), ("[]", 0), ("[!]", 0), (r"ab\", 2), ("[z-a]", 1)]
        {
            assert_eq!(TextGlob::parse(bad).unwrap_err().offset, offset, "{bad}");
        }
    }

    #[test]
    fn lists_of_words() {
        let push = words("push ** --force* **");
        assert!(push.match_all(&args("push --force")));
        assert!(push.match_all(&args("push origin main --force-with-lease -v")));
        assert!(!push.match_all(&args("push origin")));
        assert!(!push.match_all(&args("fetch push --force")));
        assert!(words("** push **").match_all(&args("-C /x push")));
        assert!(words("**").match_all(&[]));
        assert!(words("status").match_all(&args("status")));
        assert!(!words("status").match_all(&args("status -v")));
        assert_eq!(Words::parse(["a", "[b"]).unwrap_err().0, 1);
    }

    proptest! {
        #[test]
        fn a_text_without_marks_matches_itself_alone(text in "[ -~&&[^*?\\[\\\\]]{0,20}", other in "[ -~]{0,20}") {
            let glob = glob(&text);
            prop_assert!(glob.matches(text.as_bytes()));
            prop_assert_eq!(glob.matches(other.as_bytes()), other == text);
        }

        #[test]
        fn a_pattern_is_shown_as_it_can_be_written(text in "[a-c*?\\[\\]!-]{0,12}") {
            if let Ok(glob) = TextGlob::parse(&text) {
                prop_assert_eq!(TextGlob::parse(&glob.to_string()), Ok(glob));
            }
        }

        #[test]
        fn stars_agree_with_a_plain_reading(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            fn plain(pattern: &[u8], text: &[u8]) -> bool {
                match (pattern.split_first(), text.split_first()) {
                    (None, text) => text.is_none(),
                    (Some((b'*', rest)), None) => plain(rest, text),
                    (Some((b'*', rest)), Some((_, behind))) => plain(rest, text) || plain(pattern, behind),
                    (Some(_), None) => false,
                    (Some((mark, rest)), Some((byte, behind))) =>
                        (*mark == b'?' || mark == byte) && plain(rest, behind),
                }
            }
            prop_assert_eq!(glob(&pattern).matches(text.as_bytes()), plain(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
