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
    Map(Entries),
    Maps(Vec<Entries>),
}

type Entries = Vec<(&'static str, Value)>;

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
    let mut writer = Writer { dice, out: String::new() };
    for (key, value) in sections {
        writer.entry(At { indent: 0, dash: "", about: key }, key, &value);
    }
    writer.end(0);
    writer.out
}

fn rule(dice: &mut Dice, id: &str, next: &mut usize) -> Entries {
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

fn test(dice: &mut Dice, name: &str) -> Entries {
    let text = |text: &str| Value::Text(text.to_owned());
    let path = dice.text();
    dice.shuffled(vec![
        ("name", text(name)),
        ("agent", text("a")),
        ("read", Value::Text(path)),
        ("expect", text("alert")),
    ])
}

/// Where an entry is written, and what comments call what it is in.
#[derive(Clone, Copy)]
struct At<'a> {
    indent: usize,
    dash: &'a str,
    about: &'a str,
}

struct Writer<'a> {
    dice: &'a mut Dice,
    out: String,
}

impl Writer<'_> {
    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        let _infallible = writeln!(self.out, "{text}");
    }

    /// A key with its value, and comments that name it: what it is in, and the key.
    fn entry(&mut self, at: At<'_>, key: &str, value: &Value) {
        let inner = at.indent + at.dash.len();
        let tag = format!("{}/{key}", at.about);
        if at.dash.is_empty() {
            self.above(inner, &tag);
        }
        let head = format!("{:1$}{2}{key}:", "", at.indent, at.dash);
        match value {
            Value::Text(text) if key == "version" => self.line(format_args!("{head} {text}")),
            Value::Text(text) if key == "help" && self.dice.one_in(2) => {
                self.block(inner, &head, &tag, text);
            }
            Value::Text(text) => {
                let text = self.scalar(text, inner + 1);
                let behind = self.behind(&tag);
                self.line(format_args!("{head} {text}{behind}"));
            }
            Value::Texts(texts) if self.dice.one_in(2) => self.flow(inner, &head, &tag, texts),
            Value::Texts(texts) => self.texts(inner, &head, &tag, texts),
            Value::Map(entries) => self.map(inner, &head, at.about, &tag, entries),
            Value::Maps(items) => self.maps(inner, &head, at.about, &tag, items),
        }
    }

    fn texts(&mut self, inner: usize, head: &str, tag: &str, texts: &[String]) {
        let behind = self.behind(tag);
        self.line(format_args!("{head}{behind}"));
        let deep = inner + [0, 2, 3, 4][self.dice.roll(4)];
        for text in texts {
            let tag = numbered(text);
            if let Some(tag) = &tag {
                self.above(deep, tag);
            }
            let remark = tag.map(|tag| self.behind(&tag)).unwrap_or_default();
            let text = self.scalar(text, deep + 2);
            self.line(format_args!("{:deep$}- {text}{remark}", ""));
        }
        self.end(deep);
    }

    fn map(&mut self, inner: usize, head: &str, about: &str, tag: &str, entries: &Entries) {
        let behind = self.behind(tag);
        self.line(format_args!("{head}{behind}"));
        let indent = inner + 1 + self.dice.roll(4);
        for (key, value) in entries {
            self.entry(At { indent, dash: "", about }, key, value);
        }
        self.end(indent);
    }

    fn maps(&mut self, inner: usize, head: &str, about: &str, tag: &str, items: &[Entries]) {
        let behind = self.behind(tag);
        self.line(format_args!("{head}{behind}"));
        let deep = inner + [0, 1, 2, 4][self.dice.roll(4)];
        for item in items {
            let about = name(item).unwrap_or(about);
            if self.dice.one_in(4) && item.iter().all(|(_, value)| matches!(value, Value::Text(_)))
            {
                self.braces(deep, item);
                continue;
            }
            self.above(deep, &format!("{about}/-"));
            for (index, (key, value)) in item.iter().enumerate() {
                let (dash, indent) = if index == 0 { ("-  ", deep) } else { ("", deep + 3) };
                self.entry(At { indent, dash, about }, key, value);
            }
            self.end(deep + 3);
        }
        self.end(deep);
    }

    /// An item as a map in braces.
    fn braces(&mut self, indent: usize, item: &Entries) {
        let mut text = format!("{:indent$}- {{", "");
        for (index, (key, value)) in item.iter().enumerate() {
            let Value::Text(value) = value else { continue };
            let comma = if index + 1 < item.len() { "," } else { "" };
            let value = self.scalar(value, indent + 4);
            text += &format!("{key}: {value}{comma}");
            text += &match self.dice.roll(5) {
                0 => format!(" # around {key}\n{:1$}", "", indent + 4),
                1 => format!("\n{:1$}", "", indent + 4),
                _ => " ".to_owned(),
            };
        }
        let behind = if self.dice.one_in(3) { "  # around braces" } else { "" };
        self.line(format_args!("{text}}}{behind}"));
    }

    /// A list in brackets, on one line or on several, with comments in it.
    fn flow(&mut self, indent: usize, head: &str, tag: &str, texts: &[String]) {
        let mut all = format!("{head} [");
        for (index, text) in texts.iter().enumerate() {
            let comma = if index + 1 < texts.len() { "," } else { "" };
            all += &self.scalar(text, indent + 3);
            all += comma;
            all += &match (self.dice.roll(4), numbered(text)) {
                (0, _) => String::new(),
                (1, Some(tag)) => format!("   # behind {tag}\n{:1$}", "", indent + 2),
                (2, _) => format!("\n{:1$}", "", indent + 3),
                _ => " ".to_owned(),
            };
        }
        let behind = self.behind(tag);
        self.line(format_args!("{all}]{behind}"));
    }

    /// A block of text.
    fn block(&mut self, indent: usize, head: &str, tag: &str, text: &str) {
        let sign = ["|", ">", "|-", ">-"][self.dice.roll(4)];
        let behind = self.behind(tag);
        self.line(format_args!("{head} {sign}{behind}"));
        let deep = indent + 1 + self.dice.roll(4);
        self.line(format_args!("{:deep$}{text}", ""));
        for _ in 0..self.dice.roll(3) {
            self.line(format_args!("{:1$}# no comment", "", deep + self.dice.bytes.len() % 3));
        }
        if self.dice.one_in(2) {
            self.out.push('\n');
        }
    }

    fn above(&mut self, indent: usize, tag: &str) {
        for _ in 0..self.dice.roll(6).saturating_sub(3) {
            if self.dice.one_in(2) {
                self.out.push('\n');
            }
            self.line(format_args!("{:indent$}# above {tag}", ""));
        }
        if self.dice.one_in(5) {
            self.out.push('\n');
        }
    }

    fn behind(&mut self, tag: &str) -> String {
        let gap = self.dice.roll(9);
        if self.dice.one_in(4) { format!("{:gap$} # behind {tag}", "") } else { String::new() }
    }

    /// A comment at the end of a block.
    fn end(&mut self, indent: usize) {
        if self.dice.one_in(6) {
            self.line(format_args!("{:indent$}# around the end", ""));
        }
    }

    /// A text in some way that YAML reads as this text; what is on another line has `indent` columns.
    fn scalar(&mut self, text: &str, indent: usize) -> String {
        let is_simple = text.chars().all(|c| c.is_ascii_lowercase() || "/ ".contains(c))
            && !["true", "null", "yes"].contains(&text)
            || text.starts_with("/some/where")
            || text.starts_with('T')
            || text.starts_with("ASI");
        let style = self.dice.roll(3);
        let broken = text.contains("word word") && self.dice.one_in(3);
        let again = format!("\n{:indent$}", "");
        let text = if broken { text.replacen(' ', &again, 2) } else { text.to_owned() };
        match style {
            0 if is_simple => text,
            1 => format!("'{}'", text.replace('\'', "''")),
            _ => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        }
    }
}

/// What comments call an item.
fn name(item: &Entries) -> Option<&str> {
    item.iter().find_map(|(key, value)| match value {
        Value::Text(name) if *key == "id" || *key == "name" => Some(&**name),
        _ => None,
    })
}

/// What comments call a text, if it has a number.
fn numbered(text: &str) -> Option<String> {
    text.strip_prefix("/some/where/").map(str::to_owned)
}
