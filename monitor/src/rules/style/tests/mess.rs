//! Rule files as nobody would write them: random keys in random order, indented, quoted and commented at
//! random. Every comment says what it is about.

use std::fmt::Write as _;

/// Decisions, made in advance.
#[derive(Debug)]
pub(super) struct Dice {
    bytes: Vec<u8>,
    at: usize,
}

/// What is written.
enum Value {
    Text(String),
    Texts(Vec<String>),
    Map(Vec<(&'static str, Value)>),
    Maps(Vec<Vec<(&'static str, Value)>>),
}

/// Texts that YAML takes for something else, or may be taken for it.
const HARD: [&str; 44] = [
    "plain",
    "two words",
    "*star",
    "a: b",
    "x #y",
    "it's",
    "quo\"te",
    "back\\slash",
    "true",
    "1",
    "~",
    "null",
    "@list",
    "{a,b}",
    "[x]",
    "- dash",
    "ends:",
    "é",
    "yes",
    "1e3",
    "0x10",
    "a,b",
    "!bang",
    "&amp",
    "%p",
    "`t`",
    "|pipe",
    ">gt",
    "-",
    "?",
    ":",
    "=",
    "<<",
    "---",
    "2027-01-01",
    "a  b",
    "a:b",
    "#hash",
    "://",
    "-x",
    "?x",
    ":x",
    ".5",
    "a\u{2028}b",
];

impl Dice {
    pub(super) const fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    /// A number below `sides`; always 0 when the decisions are used up.
    fn roll(&mut self, sides: usize) -> usize {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        usize::from(byte) % sides
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == sides - 1
    }

    fn shuffled<T>(&mut self, mut items: Vec<T>) -> Vec<T> {
        for last in (1..items.len()).rev() {
            let other = last - self.roll(last + 1);
            items.swap(last, other);
        }
        items
    }

    fn text(&mut self) -> String {
        match self.roll(4) {
            0 => "plain".to_owned(),
            1 => "word ".repeat(1 + self.roll(40)).trim_end().to_owned(),
            _ => HARD[self.roll(HARD.len())].to_owned(),
        }
    }

    /// Texts, each once: hard ones, and ones with a number that comments can name.
    fn texts(&mut self, next: &mut usize) -> Vec<String> {
        let count = 1 + self.roll(5);
        let mut texts: Vec<String> = Vec::new();
        for _ in 0..count {
            *next += 1;
            let text = if self.one_in(3) { self.text() } else { format!("/some/where/v{next}v") };
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        texts
    }
}

/// A whole file. The parser takes it; what its names mean is nobody's business here.
pub(super) fn document(dice: &mut Dice) -> String {
    let mut next = 0;
    let mut sections = vec![("version", Value::Text("1".to_owned()))];
    if dice.one_in(2) {
        sections.push(("mode", Value::Text("enforce".to_owned())));
    }
    let lists = ["l1", "l2", "l3"].into_iter().take(1 + dice.roll(3));
    let lists: Vec<_> = lists.map(|name| (name, Value::Texts(dice.texts(&mut next)))).collect();
    sections.push(("lists", Value::Map(lists)));
    let ids = ["r1", "r2", "r3"].into_iter().take(1 + dice.roll(3));
    let rules: Vec<_> = ids.map(|id| rule(dice, id, &mut next)).collect();
    sections.push(("rules", Value::Maps(rules)));
    let names = ["t1", "t2"].into_iter().take(1 + dice.roll(2));
    sections.push(("tests", Value::Maps(names.map(|name| test(dice, name)).collect())));
    let sections = dice.shuffled(sections);
    let mut out = String::new();
    for (key, value) in sections {
        entry(dice, &mut out, 0, "", key, key, &value);
    }
    if dice.one_in(3) {
        let _infallible = writeln!(out, "# at the end");
    }
    out
}

fn rule(dice: &mut Dice, id: &str, next: &mut usize) -> Vec<(&'static str, Value)> {
    let text = |text: &str| Value::Text(text.to_owned());
    let mut act = vec![("never", Value::Texts(dice.texts(next)))];
    if dice.one_in(2) {
        let paths = ("path", Value::Texts(dice.texts(next)));
        let reason = ("reason", Value::Text(dice.text()));
        act.push(("except", Value::Maps(vec![dice.shuffled(vec![paths, reason])])));
    }
    let mut keys = vec![
        ("id", text(id)),
        ("title", Value::Text(dice.text())),
        ("agents", Value::Texts(vec!["a".to_owned()])),
        ("read", Value::Map(dice.shuffled(act))),
        ("action", text("alert")),
    ];
    if dice.one_in(2) {
        keys.push(("help", Value::Text(dice.text())));
    }
    if dice.one_in(2) {
        let attack = Value::Texts(vec!["T1001".to_owned(), "T1002.001".to_owned()]);
        keys.push((
            "tags",
            Value::Map(vec![("owasp", Value::Texts(vec!["ASI01".to_owned()])), ("attack", attack)]),
        ));
    }
    dice.shuffled(keys)
}

fn test(dice: &mut Dice, name: &str) -> Vec<(&'static str, Value)> {
    let text = |text: &str| Value::Text(text.to_owned());
    let path = dice.text();
    dice.shuffled(vec![
        ("name", text(name)),
        ("agent", text("a")),
        ("read", Value::Text(path)),
        ("expect", text("alert")),
    ])
}

/// A key with its value, and comments that name it: `about` and the key.
fn entry(
    dice: &mut Dice,
    out: &mut String,
    indent: usize,
    dash: &str,
    about: &str,
    key: &str,
    value: &Value,
) {
    let inner = indent + dash.len();
    let pad = " ".repeat(indent);
    if dash.is_empty() {
        above(dice, out, inner, &format!("{about}/{key}"));
    }
    let head = format!("{pad}{dash}{key}:");
    let tag = format!("{about}/{key}");
    match value {
        Value::Text(text) => {
            let text = if key == "version" { text.clone() } else { scalar(dice, text) };
            let _infallible = writeln!(out, "{head} {text}{}", behind(dice, &tag));
        }
        Value::Texts(texts) if dice.one_in(2) => flow(dice, out, inner, &head, &tag, texts),
        Value::Texts(texts) => {
            let _infallible = writeln!(out, "{head}{}", behind(dice, &tag));
            let deep = inner + [0, 2, 3, 4][dice.roll(4)];
            for text in texts {
                let tag = numbered(text);
                if let Some(tag) = &tag {
                    above(dice, out, deep, tag);
                }
                let remark = tag.map(|tag| behind(dice, &tag)).unwrap_or_default();
                let _infallible = writeln!(out, "{:deep$}- {}{remark}", "", scalar(dice, text));
            }
        }
        Value::Map(entries) => {
            let _infallible = writeln!(out, "{head}{}", behind(dice, &tag));
            let deep = inner + 1 + dice.roll(4);
            for (key, value) in entries {
                entry(dice, out, deep, "", about, key, value);
            }
        }
        Value::Maps(items) => {
            let _infallible = writeln!(out, "{head}{}", behind(dice, &tag));
            let deep = inner + [0, 1, 2, 4][dice.roll(4)];
            for item in items {
                let name = name(item).unwrap_or(about);
                above(dice, out, deep, &format!("{name}/-"));
                for (index, (key, value)) in item.iter().enumerate() {
                    let (dash, indent) = if index == 0 { ("-  ", deep) } else { ("", deep + 3) };
                    entry(dice, out, indent, dash, name, key, value);
                }
            }
        }
    }
}

fn name<'a>(item: &'a [(&str, Value)]) -> Option<&'a str> {
    item.iter().find_map(|(key, value)| match value {
        Value::Text(name) if *key == "id" || *key == "name" => Some(&**name),
        _ => None,
    })
}

/// What comments call a text, if it has a number.
fn numbered(text: &str) -> Option<String> {
    text.strip_prefix("/some/where/").map(str::to_owned)
}

/// A list in brackets, on one line or on several, with comments in it.
fn flow(dice: &mut Dice, out: &mut String, indent: usize, head: &str, tag: &str, texts: &[String]) {
    let _infallible = write!(out, "{head} [");
    for (index, text) in texts.iter().enumerate() {
        let comma = if index + 1 < texts.len() { "," } else { "" };
        let _infallible = write!(out, "{}{comma}", scalar(dice, text));
        match (dice.roll(4), numbered(text)) {
            (0, _) => {}
            (1, Some(tag)) => {
                let _infallible = write!(out, "   # behind {tag}\n{:1$}", "", indent + 2);
            }
            (2, _) => {
                let _infallible = write!(out, "\n{:1$}", "", indent + 3);
            }
            _ => out.push(' '),
        }
    }
    let _infallible = writeln!(out, "]{}", behind(dice, tag));
}

fn above(dice: &mut Dice, out: &mut String, indent: usize, tag: &str) {
    for _ in 0..dice.roll(6).saturating_sub(3) {
        if dice.one_in(2) {
            out.push('\n');
        }
        let _infallible = writeln!(out, "{:indent$}# above {tag}", "");
    }
    if dice.one_in(5) {
        out.push('\n');
    }
}

fn behind(dice: &mut Dice, tag: &str) -> String {
    if dice.one_in(4) { format!("{:1$} # behind {tag}", "", dice.roll(9)) } else { String::new() }
}

/// A text in some way that YAML reads as this text.
fn scalar(dice: &mut Dice, text: &str) -> String {
    let is_simple = text.chars().all(|c| c.is_ascii_lowercase() || "/ ".contains(c))
        && !["true", "null", "yes"].contains(&text)
        || text.starts_with("/some/where")
        || text.starts_with('T')
        || text.starts_with("ASI");
    match dice.roll(3) {
        0 if is_simple => text.to_owned(),
        1 => format!("'{}'", text.replace('\'', "''")),
        _ => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}
