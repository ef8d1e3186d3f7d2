//! Fields: how a map of a rule file is taken apart.
//!
//! Every value goes through here on its way from [`super::yaml`] to [`super::parse`], so every unknown
//! key, every key written twice and every value of the wrong kind is refused in the same words.

use std::collections::HashMap;

use super::{
    near::nearest,
    problem::{Found, Problem, enumerate, quote},
    source::{At, Span},
    yaml::{Kind, Node},
};

/// Words of the format that this version does not read yet.
const LATER: [&str; 1] = ["where"];
/// Characters of a name.
const NAME: usize = 64;

/// Reads the values of one file and notes what is wrong with them.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) file: u32,
    pub(super) found: &'a mut Found,
}

/// A map whose keys are known to be good.
#[derive(Debug)]
pub(super) struct Fields {
    /// What it is: "a rule".
    what: &'static str,
    /// Its first key.
    pub(super) span: Span,
    entries: Vec<Field>,
    /// A key was refused.
    pub(super) flawed: bool,
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) key: At<String>,
    pub(super) value: Node,
}

impl Fields {
    /// Takes the value of a key out.
    pub(super) fn take(&mut self, key: &str) -> Option<Field> {
        let index = self.entries.iter().position(|field| field.key.is == key)?;
        Some(self.entries.remove(index))
    }

    /// Takes the value of a key out that must be there.
    pub(super) fn need(&mut self, key: &str, found: &mut Found) -> Option<Field> {
        let field = self.take(key);
        if field.is_none() && !self.flawed {
            let message = format!("{} without `{key}`", self.what);
            found.add(Problem::new(self.span, message, format!("{} needs `{key}`", self.what)));
        }
        field
    }
}

impl Reader<'_> {
    /// Where a value is.
    pub(super) fn span(&self, node: &Node) -> Span {
        Span { file: self.file, start: node.range.0, end: node.range.1 }
    }

    /// Notes a problem.
    pub(super) fn add(&mut self, problem: Problem) {
        self.found.add(problem);
    }

    /// A map with these keys and no others.
    pub(super) fn fields(
        &mut self,
        node: Node,
        what: &'static str,
        keys: &[&str],
    ) -> Option<Fields> {
        let mut fields = self.entries(node, what)?;
        let mut kept = Vec::new();
        for field in fields.entries {
            if keys.contains(&field.key.is.as_str()) {
                kept.push(field);
            } else {
                self.unknown_key(&field.key, what, keys);
                fields.flawed = true;
            }
        }
        Some(Fields { entries: kept, ..fields })
    }

    fn unknown_key(&mut self, key: &At<String>, what: &str, keys: &[&str]) {
        let may = format!("{what} may have {}", enumerate(keys));
        let problem = if LATER.contains(&key.is.as_str()) {
            let message = format!("{} is not supported yet", quote(&key.is));
            Problem::new(key.span, message, "this version does not know it").help(may)
        } else {
            let meant =
                if self.found.is_flood() { None } else { nearest(&key.is, keys.iter().copied()) };
            let message = format!("unknown key {} in {what}", quote(&key.is));
            Problem::new(key.span, message, "there is no such key here").meant(meant, Some(may))
        };
        self.add(problem);
    }

    /// A map with any keys, each at most once.
    pub(super) fn map(&mut self, node: Node, what: &'static str) -> Option<Vec<Field>> {
        self.entries(node, what).map(|fields| fields.entries)
    }

    fn entries(&mut self, node: Node, what: &'static str) -> Option<Fields> {
        let span = self.span(&node);
        let Kind::Map(pairs) = node.kind else {
            self.wrong_kind(span, "a map", &node.kind);
            return None;
        };
        let mut fields = Fields { what, span, entries: Vec::new(), flawed: false };
        let mut first: HashMap<String, Span> = HashMap::new();
        for (key, value) in pairs {
            let key_span = self.span(&key);
            let Some(name) = self.key_text(key) else {
                fields.flawed = true;
                continue;
            };
            if fields.entries.is_empty() {
                fields.span = key_span;
            }
            if let Some(&first) = first.get(&name) {
                let message = format!("key {} is written twice", quote(&name));
                let twice = Problem::new(key_span, message, "here again").also(first, "first here");
                self.add(twice);
            } else {
                first.insert(name.clone(), key_span);
                fields.entries.push(Field { key: At { is: name, span: key_span }, value });
            }
        }
        Some(fields)
    }

    fn key_text(&mut self, key: Node) -> Option<String> {
        let span = self.span(&key);
        match key.kind {
            Kind::Text(text) | Kind::Number(text) => Some(text),
            other => {
                self.wrong_kind(span, "a key", &other);
                None
            }
        }
    }

    /// A list with at least one item.
    pub(super) fn list(&mut self, field: Field) -> Option<Vec<Node>> {
        let span = self.span(&field.value);
        match field.value.kind {
            Kind::List(items) if !items.is_empty() => Some(items),
            Kind::List(_) => {
                let message = format!("{} is empty", quote(&field.key.is));
                self.add(Problem::new(field.key.span, message, "there must be at least one item"));
                None
            }
            Kind::Text(text) => {
                let help = format!("write `{}: [\"{text}\"]`", field.key.is);
                let message = "expected a list, found text";
                self.add(Problem::new(span, message, "a list, please").help(help));
                None
            }
            other => {
                self.wrong_kind(span, "a list", &other);
                None
            }
        }
    }

    /// A list of texts, each once.
    pub(super) fn texts(&mut self, field: Field) -> Option<Vec<At<String>>> {
        self.distinct(field, Self::text)
    }

    /// A list of texts that may look like numbers, each once: user ids.
    pub(super) fn texts_or_numbers(&mut self, field: Field) -> Option<Vec<At<String>>> {
        self.distinct(field, Self::text_or_number)
    }

    /// Text that may look like a number.
    pub(super) fn text_or_number(&mut self, node: Node) -> Option<At<String>> {
        match node.kind {
            Kind::Number(text) => {
                let (start, end) = node.range;
                Some(At { is: text, span: Span { file: self.file, start, end } })
            }
            _ => self.text(node),
        }
    }

    /// Words of arguments: a text with spaces between them, or a list.
    pub(super) fn words(&mut self, field: Field) -> Option<Vec<At<String>>> {
        if matches!(field.value.kind, Kind::List(_)) {
            let nodes = self.list(field)?;
            return nodes.into_iter().map(|node| self.text_or_number(node)).collect();
        }
        let text = self.text_or_number(field.value)?;
        let words = text.is.split_whitespace();
        Some(words.map(|word| At { is: word.to_owned(), span: text.span }).collect())
    }

    fn distinct(
        &mut self,
        field: Field,
        read: impl Fn(&mut Self, Node) -> Option<At<String>>,
    ) -> Option<Vec<At<String>>> {
        self.distinct_by(field, read, |text| Some(text))
    }

    /// A list whose items, where they have a text to be known by, are each in it once.
    pub(super) fn distinct_by<T>(
        &mut self,
        field: Field,
        read: impl Fn(&mut Self, Node) -> Option<T>,
        text_of: impl Fn(&T) -> Option<&At<String>>,
    ) -> Option<Vec<T>> {
        let nodes = self.list(field)?;
        let count = nodes.len();
        let mut items: Vec<T> = Vec::new();
        let mut first = HashMap::new();
        for node in nodes {
            let Some(item) = read(self, node) else { continue };
            if let Some(text) = text_of(&item) {
                if let Some(&span) = first.get(&text.is) {
                    let message = format!("{} is in the list twice", quote(&text.is));
                    let twice = Problem::new(text.span, message, "here again");
                    self.add(twice.also(span, "first here"));
                    continue;
                }
                first.insert(text.is.clone(), text.span);
            }
            items.push(item);
        }
        (items.len() == count).then_some(items)
    }

    /// One line of text.
    pub(super) fn text(&mut self, node: Node) -> Option<At<String>> {
        let span = self.span(&node);
        match node.kind {
            Kind::Text(text) => self.clean(At { is: text, span }),
            other => {
                self.wrong_kind(span, "text", &other);
                None
            }
        }
    }

    /// Text that may have several lines.
    pub(super) fn prose(&mut self, node: Node) -> Option<String> {
        let span = self.span(&node);
        let Kind::Text(text) = node.kind else {
            self.wrong_kind(span, "text", &node.kind);
            return None;
        };
        let one_line = At { is: text.replace(['\n', '\t'], " "), span };
        self.clean(one_line).map(|_| text.trim_end().to_owned())
    }

    fn clean(&mut self, text: At<String>) -> Option<At<String>> {
        let control = text.is.chars().any(char::is_control);
        if control {
            let message = format!("{} has a control character", quote(&text.is));
            self.add(Problem::new(text.span, message, "control characters are not allowed"));
        } else if text.is.trim().is_empty() {
            self.add(Problem::new(text.span, "expected text, found nothing", "this is empty"));
        }
        (!control && !text.is.trim().is_empty()).then_some(text)
    }

    /// A name that can be used everywhere: lower case letters, digits and single hyphens.
    pub(super) fn name(&mut self, name: &At<String>, what: &str) -> bool {
        // Grants are numbered by whatever keeps them: `G-0042`.
        let grant = what == "grant";
        let good = |part: &str| {
            let word = |word: &str| {
                let letters = |b: u8| {
                    b.is_ascii_lowercase() || b.is_ascii_digit() || grant && b.is_ascii_uppercase()
                };
                !word.is_empty() && word.bytes().all(letters)
            };
            part.split('-').all(word)
        };
        // The names of lists may have a slash, `secrets/aws`.
        let parts = if what == "list" { 2 } else { 1 };
        let is_name = name.is.splitn(parts, '/').all(good) && name.is.len() <= NAME;
        if !is_name {
            let message = format!("{} is not a good name for a {what}", quote(&name.is));
            let letters = if grant { "letters" } else { "lower case letters" };
            let label = format!("{letters}, digits and single hyphens, 64 at most");
            let kebab = kebab(&name.is);
            let meant = (!kebab.is_empty() && kebab != name.is).then_some(kebab);
            self.add(Problem::new(name.span, message, label).meant(meant, None));
        }
        is_name
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, field: Field, words: &[(&str, T)]) -> Option<At<T>> {
        let text = self.text(field.value)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.is) {
            return Some(At { is: *value, span: text.span });
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let key = &field.key.is;
        let noun = match key.as_str() {
            "expect" => "expectation",
            "then" => "answer",
            "by" => "owner",
            "how" => "way",
            other => other,
        };
        let choice = format!("`{key}` may be {}", enumerate(&known));
        let message = format!("unknown {noun} {}", quote(&text.is));
        let problem = Problem::new(text.span, message, format!("there is no such {noun}"));
        self.add(problem.meant(nearest(&text.is, known), Some(choice)));
        None
    }

    /// Notes that a value is not what it should be.
    pub(super) fn wrong_kind(&mut self, span: Span, expected: &str, found: &Kind) {
        let message = format!("expected {expected}, found {}", found.name());
        let problem = Problem::new(span, message, format!("{expected}, please"));
        let help = match (expected, found) {
            ("text", Kind::Number(_) | Kind::Bool) => Some("put it in quotes"),
            ("text", Kind::Nothing) => {
                Some("write `\"~\"` in quotes if the home directory is meant")
            }
            ("text", Kind::Map(_) | Kind::List(_)) => {
                Some("text with `{`, `[`, `: ` or `#` must be in quotes")
            }
            _ => None,
        };
        self.add(match help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }
}

/// What a name would look like.
fn kebab(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-").chars().take(NAME).collect()
}
