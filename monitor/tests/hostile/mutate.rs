//! Mutations: a good text and a few dice make one that nobody would write.
//!
//! The same seed makes the same text. What is put in comes from the fuzzers' list of words.

use std::ops::Range;

/// The words of the format, and texts that are hard for somebody.
const WORDS: &str = include_str!("../../fuzz/rules.dict");
/// Bytes that a text may grow to.
const LONGEST: usize = 1 << 16;

/// Numbers that are the same for the same seed (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `sides`; 0 where there are none.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        let sides = u64::try_from(sides.max(1)).expect("a usize has 64 bits");
        usize::try_from(self.next() % sides).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// The words, without quotes.
pub(crate) fn words() -> Vec<Vec<u8>> {
    let quoted = WORDS.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    quoted.map(unescaped).collect()
}

/// libFuzzer's escapes: `\\`, `\"` and `\xNN`.
fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        let hex = behind.strip_prefix(b"x").and_then(|hex| hex.get(..2));
        match (first, hex) {
            (b'\\', Some(hex)) => {
                let hex = std::str::from_utf8(hex).expect("the file is ASCII");
                bytes.push(u8::from_str_radix(hex, 16).expect("two digits"));
                rest = &behind[3..];
            }
            (b'\\', None) => {
                bytes.push(behind[0]);
                rest = &behind[1..];
            }
            _ => bytes.push(first),
        }
    }
    bytes
}

/// A text made of `texts[which]`.
pub(crate) fn mutated(
    texts: &[Vec<u8>],
    which: usize,
    words: &[Vec<u8>],
    dice: &mut Dice,
) -> Vec<u8> {
    let mut text = texts[which].clone();
    for _ in 0..=dice.roll(2) * dice.roll(4) {
        let other = &texts[dice.roll(texts.len())];
        step(&mut text, other, words, dice);
        text.truncate(LONGEST);
    }
    text
}

fn step(text: &mut Vec<u8>, other: &[u8], words: &[Vec<u8>], dice: &mut Dice) {
    let at = dice.roll(text.len());
    let word = &words[dice.roll(words.len())];
    match dice.roll(14) {
        0 if !text.is_empty() => text[at] ^= 1 << dice.roll(8),
        1 if !text.is_empty() => text[at] = dice.byte(),
        2 => text.insert(at, b" \n#:,'\"{}|>&*?!@[]-\\\t\r0"[dice.roll(23)]),
        3 => drop(text.drain(at..(at + 1 + dice.roll(8)).min(text.len()))),
        4 => text.truncate(at),
        5 => drop(text.splice(at..at, word.iter().copied())),
        6 => replace(text, scalar(text, at), word),
        7 => {
            let with = scalar(text, dice.roll(text.len()));
            let with = text[with].to_vec();
            replace(text, scalar(text, at), &with);
        }
        8 => {
            let with = scalar(other, dice.roll(other.len()));
            replace(text, scalar(text, at), &other[with]);
        }
        9 => {
            let range = scalar(text, at);
            let many = text[range.clone()].repeat(1 + dice.roll(64));
            replace(text, range, &many);
        }
        kind => by_lines(text, other, kind, dice),
    }
}

fn replace(text: &mut Vec<u8>, range: Range<usize>, with: &[u8]) {
    text.splice(range, with.iter().copied());
}

/// What stands at `at` between spaces and signs: a key, a word, a value.
fn scalar(text: &[u8], at: usize) -> Range<usize> {
    let ends = |byte: &u8| b" \n,[]{}\"'".contains(byte) || *byte == b':';
    let start = text[..at].iter().rposition(ends).map_or(0, |end| end + 1);
    let len = text[at..].iter().position(ends).unwrap_or(text.len() - at);
    start..at + len
}

/// Mutations of whole lines.
fn by_lines(text: &mut Vec<u8>, other: &[u8], kind: usize, dice: &mut Dice) {
    let mut lines: Vec<Vec<u8>> =
        text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.is_empty() {
        return;
    }
    let (a, b) = (dice.roll(lines.len()), dice.roll(lines.len()));
    let end = (a + 1 + dice.roll(12)).min(lines.len());
    match kind {
        10 => lines.swap(a, b),
        11 => {
            let block = lines[a..end].to_vec();
            lines.splice(b..b, block);
        }
        12 => {
            let theirs: Vec<Vec<u8>> =
                other.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let from = dice.roll(theirs.len());
            lines.truncate(a);
            lines.extend(theirs.into_iter().skip(from));
        }
        _ if dice.roll(2) == 0 => drop(lines.drain(a..end)),
        _ => {
            let indent = dice.roll(9);
            let line = lines[a].trim_ascii_start().to_vec();
            lines[a] = [vec![b' '; indent], line].concat();
        }
    }
    *text = lines.concat();
}
