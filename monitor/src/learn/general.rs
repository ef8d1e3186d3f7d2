//! Generalisation of one name on a path: what of it will be another one next time becomes `*`.
//!
//! Each kind of change is a function of its own. They look at a name alone; where it lies is for
//! [`super::place`] to judge. A name that changes in a way that is not known here stays as it is: better one
//! line too many for a reader than one that lets through what nobody saw.

use std::sync::LazyLock;

use regex::bytes::Regex;

use crate::rules::glob::spelt;

/// A name in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// These bytes.
    Text(Vec<u8>),
    /// Any bytes.
    Any,
    /// So many bytes.
    Bytes(usize),
}

impl Name {
    /// As it was seen.
    pub(super) fn new(name: &[u8]) -> Self {
        Self(vec![Piece::Text(name.to_vec())])
    }

    /// As a rule writes it.
    pub(super) fn text(&self) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(bytes) => spelt(bytes),
            Piece::Any => "*".to_owned(),
            Piece::Bytes(count) => "?".repeat(*count),
        };
        let mut all = String::new();
        for piece in self.0.iter().map(text) {
            // Two in a row would be the `**` that crosses slashes.
            if piece != "*" || !all.ends_with('*') || all.ends_with("\\*") {
                all.push_str(&piece);
            }
        }
        all
    }

    /// Whether a part of it may be anything.
    pub(super) fn is_general(&self) -> bool {
        self.0.contains(&Piece::Any)
    }

    /// Puts `*` in the place of everything that `find` finds, each time the range of one.
    fn replace(self, find: impl Fn(&[u8]) -> Option<(usize, usize)>) -> Self {
        let mut pieces = Vec::new();
        for piece in self.0 {
            let Piece::Text(mut rest) = piece else {
                pieces.push(piece);
                continue;
            };
            while let Some((start, end)) = find(&rest) {
                let tail = rest.split_off(end);
                rest.truncate(start);
                pieces.extend([Piece::Text(rest), Piece::Any]);
                rest = tail;
            }
            pieces.push(Piece::Text(rest));
        }
        pieces.retain(|piece| *piece != Piece::Text(Vec::new()));
        Self(pieces)
    }
}

/// What is known of those who used a name.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// Numbers of processes that may be in it.
    pub(super) pids: Vec<u32>,
    /// Whether one of them was Python.
    pub(super) python: bool,
}

/// What stays the same of a name in every place: without versions, hashes, and the number of the process that
/// used it.
pub(super) fn lasting(name: &[u8], evidence: &Evidence) -> Name {
    numbers_of_processes(hashes(versions(uuids(Name::new(name)))), &evidence.pids)
}

/// A pattern whose first group has nothing of a word around it.
fn whole(pattern: &str) -> Regex {
    let text = format!("(?-u)(?:^|[^0-9A-Za-z])({pattern})(?:$|[^0-9A-Za-z])");
    Regex::new(&text).expect("written here, and tested")
}

fn first(regex: &Regex, name: &[u8]) -> Option<(usize, usize)> {
    let group = regex.captures(name)?.get(1)?;
    Some((group.start(), group.end()))
}

/// UUIDs are made to be new each time.
fn uuids(name: Name) -> Name {
    static UUID: LazyLock<Regex> =
        LazyLock::new(|| whole("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"));
    name.replace(|name| first(&UUID, name))
}

/// A version of three numbers or more changes with every update: `1.2.3`, `v20.11.1`, `2.0.0-rc.1`. Two numbers
/// are kept: `python3.11` and `3.11` name a series, and another series deserves a look.
fn versions(name: Name) -> Name {
    static VERSION: LazyLock<Regex> = LazyLock::new(|| {
        whole(
            r"v?[0-9]+(?:\.[0-9]+){2,}(?:[-+.]?(?:alpha|beta|rc|pre|dev|post|nightly)[-.]?[0-9]*)?",
        )
    });
    name.replace(|name| first(&VERSION, name))
}

/// Hexadecimal digits of eight or more are a hash, a date or a count. Letters alone are not: they may be a word.
fn hashes(name: Name) -> Name {
    static HEX: LazyLock<Regex> = LazyLock::new(|| whole("[0-9a-f]{8,}|[0-9A-F]{8,}"));
    name.replace(|name| {
        let mut from = 0;
        while let Some((start, end)) = first(&HEX, &name[from..]) {
            if name[from + start..from + end].iter().any(u8::is_ascii_digit) {
                return Some((from + start, from + end));
            }
            from += end;
        }
        None
    })
}

/// A process that puts its own number into a name puts another one there next time. Only the numbers of the
/// processes that used the name are looked for, of three digits or more.
fn numbers_of_processes(name: Name, pids: &[u32]) -> Name {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| whole("[0-9]{3,10}"));
    name.replace(|name| {
        let (start, end) = first(&NUMBER, name)?;
        let number: u32 = std::str::from_utf8(&name[start..end]).ok()?.parse().ok()?;
        pids.contains(&number).then_some((start, end))
    })
}

/// Numbers, whatever they count: for places where names are numbers of processes, threads and descriptors.
pub(super) fn numbers(name: Name) -> Name {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| whole("[0-9]+"));
    name.replace(|name| first(&NUMBER, name))
}

/// Beginnings of temporary names that have no sign behind them: Python's and Rust's `tempfile`, mktemp(1), gcc,
/// rustc, Go.
const BEGINNINGS: [&str; 6] = ["tmp", ".tmp", "cc", "rustc", "go-build", "ld-"];

/// How many letters `mkstemp` and its like draw: C and Rust 6, Python 8, mktemp(1) 10.
const DRAWN: [usize; 3] = [6, 8, 10];

/// A name that lies in a directory for temporary files, without what was drawn by lot: `pip-build-x8sdf_3k` is
/// `pip-build-*`. None where nothing was, or nothing else would be left.
pub(super) fn temporary(name: &[u8], evidence: &Evidence) -> Option<Name> {
    if evidence.python && is_python_s(name) {
        return Some(Name(vec![Piece::Bytes(name.len())]));
    }
    let general = after_sign(after_beginning(lasting(name, evidence), name));
    let letter = |piece: &Piece| match piece {
        Piece::Text(bytes) => bytes.iter().any(u8::is_ascii_alphanumeric),
        Piece::Any | Piece::Bytes(_) => false,
    };
    (general.is_general() && general.0.iter().any(letter)).then_some(general)
}

/// Python's `tempfile` draws eight of these letters, and some who use it (pip) put nothing before them.
fn is_python_s(name: &[u8]) -> bool {
    let drawn = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    name.len() == 8 && name.iter().all(drawn)
}

/// Right behind a beginning that is known: `tmpx8sdf_3k`, `ccAbCdEf.o`.
fn after_beginning(general: Name, name: &[u8]) -> Name {
    for beginning in BEGINNINGS {
        let Some(rest) = name.strip_prefix(beginning.as_bytes()) else { continue };
        let drawn = rest.iter().take_while(|byte| is_drawn(**byte)).count();
        let ends = rest.get(drawn).is_none_or(|byte| *byte == b'.');
        let digits = drawn >= 6 && rest[..drawn].iter().all(u8::is_ascii_digit);
        if ends && (DRAWN.contains(&drawn) || digits) {
            let text = |bytes: &[u8]| Piece::Text(bytes.to_vec());
            let pieces = [text(beginning.as_bytes()), Piece::Any, text(&rest[drawn..])];
            return Name(pieces.into_iter().filter(|piece| *piece != text(b"")).collect());
        }
    }
    general
}

/// Behind a `-`, `.` or `_`: as long as such names are, or mixed as no word is, or a number.
fn after_sign(general: Name) -> Name {
    static SIGN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("(?-u)[-._]([0-9A-Za-z_]{3,})").expect("written here, and tested")
    });
    general.replace(|name| {
        let mut from = 0;
        while let Some((start, end)) = first(&SIGN, &name[from..]) {
            let (start, end) = (from + start, from + end);
            let (word, is_last) = (&name[start..end], end == name.len());
            let number = word.iter().all(u8::is_ascii_digit);
            // A word behind a dot may as well say what kind of file it is.
            let long = is_last
                && DRAWN.contains(&word.len())
                && (name[start - 1] == b'-' || name.starts_with(b"tmp."));
            if number || long || is_mixed(word) {
                return Some((start, end));
            }
            from = start;
        }
        None
    })
}

const fn is_drawn(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether letters and digits, or cases, change so often that it is no word with a number behind it.
fn is_mixed(word: &[u8]) -> bool {
    let kind = |byte: &u8| match byte {
        b'0'..=b'9' => 0,
        b'A'..=b'Z' => 1,
        _ => 2,
    };
    let change = |pair: &[u8]| {
        let (one, two) = (kind(&pair[0]), kind(&pair[1]));
        one != two && (one, two) != (1, 2)
    };
    let changes = word.windows(2).filter(|pair| change(pair)).count();
    word.len() >= 6 && (changes >= 2 || changes == 1 && word[0].is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(python: bool) -> Evidence {
        Evidence { pids: vec![4711], python }
    }

    fn kept(name: &str) -> String {
        lasting(name.as_bytes(), &evidence(false)).text()
    }

    fn drawn(name: &str) -> String {
        temporary(name.as_bytes(), &evidence(false))
            .map_or_else(|| "no".to_owned(), |name| name.text())
    }

    #[test]
    fn versions_of_three_numbers_go_and_series_stay() {
        assert_eq!(kept("1.2.3"), "*");
        assert_eq!(kept("v20.11.1"), "*");
        assert_eq!(kept("node-v20.11.1-linux-x64"), "node-*-linux-x64");
        assert_eq!(kept("serde-1.0.229"), "serde-*");
        assert_eq!(kept("2.0.0-rc.1"), "*");
        assert_eq!(kept("libz.so.1.3.1"), "libz.so.*");
        for same in ["python3.11", "3.11", "x86_64-linux-gnu", "sha256", "utf-8", "libc.so.6"] {
            assert_eq!(kept(same), same);
        }
    }

    #[test]
    fn hashes_and_uuids_go_and_words_stay() {
        assert_eq!(kept("libfoo-1a2b3c4d5e6f7a8b.rmeta"), "libfoo-*.rmeta");
        assert_eq!(kept("550e8400-e29b-41d4-a716-446655440000"), "*");
        assert_eq!(kept("report-20261122.txt"), "report-*.txt");
        assert_eq!(kept("a.deadbeef1-1a2b3c4d"), "a.*-*");
        for same in ["defaced", "effaceable", "deadbeef", "1234567", "x1a2b3c4d"] {
            assert_eq!(kept(same), same);
        }
    }

    #[test]
    fn the_number_of_the_process_goes_and_others_stay() {
        assert_eq!(kept("settings.json.4711"), "settings.json.*");
        assert_eq!(kept("settings.json.4712"), "settings.json.4712");
        let numbered = |name: &[u8]| numbers(Name::new(name)).text();
        assert_eq!(numbered(b"1234"), "*");
        assert_eq!(numbered(b"session-12.scope"), "session-*.scope");
        assert_eq!(numbered(b"status"), "status");
    }

    #[test]
    fn names_drawn_by_lot_go() {
        assert_eq!(drawn("tmp.abcDEF1234"), "tmp.*");
        assert_eq!(drawn("tmpx8sdf_3k"), "tmp*");
        assert_eq!(drawn(".tmpAbCdEf"), ".tmp*");
        assert_eq!(drawn("ccAbCdEf.o"), "cc*.o");
        assert_eq!(drawn("rustcAbCdEf"), "rustc*");
        assert_eq!(drawn("go-build123456789"), "go-build*");
        assert_eq!(drawn("pip-build-env-x8s_f3k2"), "pip-build-env-*");
        assert_eq!(drawn("driftwatch-test-kjhqwe"), "driftwatch-test-*");
        assert_eq!(drawn("claude-a1B2-cwd"), "no");
        assert_eq!(drawn("claude-a1b2c3-cwd"), "claude-*-cwd");
        assert_eq!(drawn("npm-12345"), "npm-*");
        assert_eq!(drawn("npm-4711-Xy3kQ9"), "npm-*-*");
    }

    #[test]
    fn eight_letters_are_drawn_if_python_did_it() {
        let by_python = |name: &str| temporary(name.as_bytes(), &evidence(true));
        assert_eq!(by_python("dn_zpbiy").unwrap().text(), "????????");
        assert_eq!(drawn("dn_zpbiy"), "no");
        assert_eq!(by_python("notebook.txt"), None);
    }

    #[test]
    fn names_that_nobody_drew_stay() {
        for same in ["build", "notes.txt", "foobar", "data.sqlite", "my_output.json", "x.service"] {
            assert_eq!(drawn(same), "no", "{same}");
        }
        // Nothing but `*` would be left.
        assert_eq!(drawn("1a2b3c4d5e6f"), "no");
        assert_eq!(drawn("550e8400-e29b-41d4-a716-446655440000"), "no");
    }

    #[test]
    fn what_means_something_in_a_glob_is_escaped() {
        assert_eq!(kept("a*b[1.2.3]"), r"a\*b\[*\]");
        assert_eq!(Name::new(b"\xff\n\xc2\x85x").text(), "????x");
        assert_eq!(Name(vec![Piece::Text(b"a*".to_vec()), Piece::Any]).text(), r"a\**");
    }
}
