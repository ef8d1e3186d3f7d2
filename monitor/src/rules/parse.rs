//! Parse: the tree of a rule file becomes what was written.
//!
//! Keys and kinds of values are checked here, names are not: what a file means depends on all of
//! them, and that is for [`super::resolve`] to say.

use monitor_common::{Act, Verdict};

use super::{
    fields::{Field, Fields, Reader},
    model::{How, Mode, Trait},
    near::nearest,
    problem::{Found, Problem, enumerate, quote},
    source::{At, Source, SourceFile},
    written::{File, List, Test},
    yaml::{self, Kind, Node},
};

/// The words of `mode:`.
pub(super) const MODES: [(&str, Mode); 2] =
    [("monitor", Mode::Monitor), ("enforce", Mode::Enforce)];
/// The words of `expect:`.
const EXPECTATIONS: [(&str, Verdict); 5] = [
    ("allow", Verdict::Allow),
    ("alert", Verdict::Alert),
    ("ask", Verdict::Ask),
    ("deny", Verdict::Deny),
    ("kill", Verdict::Kill),
];
/// The words of `how:` in a test.
const HOWS: [(&str, How, Act); 6] = [
    ("load", How::Load, Act::Exec),
    ("rename", How::Rename, Act::Write),
    ("link", How::Link, Act::Write),
    ("unlink", How::Unlink, Act::Write),
    ("truncate", How::Truncate, Act::Write),
    ("chmod", How::Chmod, Act::Write),
];
/// The keys of a test.
pub(super) const TEST: [&str; 15] = [
    "name",
    "agent",
    "exec",
    "read",
    "write",
    "connect",
    "listen",
    "privilege",
    "exe",
    "how",
    "args",
    "is",
    "after",
    "expect",
    "rule",
];
/// The keys of a file.
pub(super) const FILE: [&str; 7] =
    ["version", "mode", "agents", "lists", "rules", "grants", "tests"];
/// The one version of the format.
const VERSION: &str = "1";

/// Reads file number `file`.
pub(super) fn parse(original: &SourceFile, source: &Source, file: u32, found: &mut Found) -> File {
    match yaml::read(original, source, file) {
        Ok(document) => Reader { file, found }.file(document),
        Err(problem) => {
            found.torn = true;
            found.add(problem);
            File::default()
        }
    }
}

impl Reader<'_> {
    fn file(&mut self, document: Node) -> File {
        let mut file = File::default();
        if !self.is_known_version(&document) {
            // Whatever else seems wrong is so because the file means something else.
            self.found.torn = true;
            return file;
        }
        let Some(mut fields) = self.fields(document, "a rule file", &FILE) else {
            self.found.torn = true;
            return file;
        };
        // A misspelt section may hold any name.
        self.found.torn |= fields.flawed;
        self.version(&mut fields);
        let mode = fields.take("mode").and_then(|field| self.word(field, &MODES));
        file.mode = mode.map_or(Mode::default(), |mode| mode.is);
        for field in self.section(&mut fields, "agents") {
            file.agents.push(self.agent(field));
        }
        for field in self.section(&mut fields, "lists") {
            file.lists.push(self.named_list(field));
        }
        for node in fields.take("rules").and_then(|field| self.list(field)).into_iter().flatten() {
            self.rule(node, &mut file);
        }
        for node in fields.take("grants").and_then(|field| self.list(field)).into_iter().flatten() {
            file.grants.extend(self.grant(node));
        }
        for node in fields.take("tests").and_then(|field| self.list(field)).into_iter().flatten() {
            file.tests.extend(self.test(node));
        }
        file
    }

    fn is_known_version(&mut self, document: &Node) -> bool {
        let Kind::Map(pairs) = &document.kind else { return true };
        let is_version = |key: &Node| matches!(&key.kind, Kind::Text(key) if key == "version");
        let Some((_, value)) = pairs.iter().find(|(key, _)| is_version(key)) else { return true };
        let known = matches!(&value.kind, Kind::Number(number) if number == VERSION);
        if !known {
            let message = "unknown version of the format";
            let problem = Problem::new(self.span(value), message, "not a version we read");
            self.add(problem.help("write `version: 1`"));
        }
        known
    }

    fn version(&mut self, fields: &mut Fields) {
        if fields.take("version").is_none() {
            let message = "the file does not say which version of the format it is written in";
            let problem = Problem::new(fields.span, message, "the file begins without `version`");
            self.add(problem.help("write `version: 1` on the first line"));
        }
    }

    /// The entries of `agents:` or `lists:`. If they cannot be read, any name may be among them.
    fn section(&mut self, fields: &mut Fields, key: &'static str) -> Vec<Field> {
        let Some(field) = fields.take(key) else { return Vec::new() };
        let entries = self.map(field.value, key);
        self.found.torn |= entries.is_none();
        entries.unwrap_or_default()
    }

    fn named_list(&mut self, field: Field) -> List {
        self.name(&field.key, "list");
        let name = field.key.clone();
        List { name, items: self.objects(field).unwrap_or_default() }
    }

    fn test(&mut self, node: Node) -> Option<Test> {
        let mut fields = self.fields(node, "a test", &TEST)?;
        let name = fields.need("name", self.found).and_then(|field| self.text(field.value));
        let agent = fields.need("agent", self.found).and_then(|field| self.text(field.value));
        let act = self.act(&mut fields, "a test", &[]);
        let how = fields.take("how").map(|field| self.how(field, act.as_ref()));
        let args = fields.take("args").map(|field| self.test_args(field, act.as_ref()));
        let traits = fields.take("is").map(|field| self.traits(field, act.as_ref()));
        let after = fields.take("after").map(|field| self.after(field));
        let object = act.and_then(|(act, field)| Some((act, self.text(field.value)?)));
        let exe = fields.take("exe").map(|field| self.text(field.value));
        let rule = fields.take("rule").map(|field| self.text(field.value));
        let expect = fields.need("expect", self.found);
        let expect = expect.and_then(|field| self.word(field, &EXPECTATIONS));
        let (name, agent, (act, object), expect) = (name?, agent?, object?, expect?);
        // A text that was refused is not a text that was left out.
        let (exe, rule, how) = (flip(exe)?, flip(rule)?, flip(how)?.unwrap_or_default());
        let (args, traits, after) = (flip(args)?, flip(traits)?, flip(after)?);
        let (args, traits) = (args.unwrap_or_default(), traits.unwrap_or_default());
        let after = after.unwrap_or_default();
        Some(Test { name, agent, act, object, exe, how, args, traits, after, expect, rule })
    }

    fn how(&mut self, field: Field, act: Option<&(Act, Field)>) -> Option<How> {
        let key = field.key.span;
        let words: Vec<(&str, (How, Act))> =
            HOWS.iter().map(|&(word, how, of)| (word, (how, of))).collect();
        let At { is: (how, of), .. } = self.word(field, &words)?;
        if let Some((act, object)) = act
            && *act != of
        {
            let message = format!("`how` does not go with `{act}`", act = act.name());
            let problem = Problem::new(key, message, format!("a way to do `{}`", of.name()));
            self.add(problem.also(object.key.span, "the act"));
            return None;
        }
        Some(how)
    }

    /// Whether the key of a test that tells of a program is in a test of `exec`.
    fn of_exec(&mut self, field: &Field, act: Option<&(Act, Field)>) -> bool {
        let other = act.filter(|(act, _)| *act != Act::Exec);
        if let Some((act, object)) = other {
            let message = format!("{} in a test of `{}`", quote(&field.key.is), act.name());
            let problem = Problem::new(field.key.span, message, "this tells of a program start");
            self.add(problem.also(object.key.span, "the act"));
        }
        other.is_none()
    }

    /// What a program is given, word by word: nothing has a meaning of its own here.
    fn test_args(&mut self, field: Field, act: Option<&(Act, Field)>) -> Option<Vec<At<String>>> {
        if !self.of_exec(&field, act) {
            return None;
        }
        let nodes = self.list(field)?;
        nodes.into_iter().map(|node| self.text_or_number(node)).collect()
    }

    fn traits(&mut self, field: Field, act: Option<&(Act, Field)>) -> Option<Vec<At<Trait>>> {
        if !self.of_exec(&field, act) {
            return None;
        }
        let words = Trait::WORDS.map(|(word, _)| word);
        let mut traits = Vec::new();
        for text in self.texts(field)? {
            match Trait::WORDS.iter().find(|(word, _)| *word == text.is) {
                Some(&(_, is)) => traits.push(At { is, span: text.span }),
                None => {
                    let message = format!("a program is never {}", quote(&text.is));
                    let problem = Problem::new(text.span, message, "there is no such property");
                    let may = format!("it may be {}", enumerate(&words));
                    self.add(problem.meant(nearest(&text.is, words), Some(may)));
                    return None;
                }
            }
        }
        Some(traits)
    }

    /// What the session did before.
    fn after(&mut self, field: Field) -> Option<Vec<(Act, At<String>)>> {
        let mut acts = Vec::new();
        for node in self.list(field)? {
            let mut fields = self.fields(node, "an earlier act", &ACTS)?;
            let (act, field) = self.act(&mut fields, "an earlier act", &[])?;
            acts.push((act, self.text(field.value)?));
        }
        Some(acts)
    }

    /// The one act of a rule or a test. `more` are other keys that would do in its place.
    pub(super) fn act(
        &mut self,
        fields: &mut Fields,
        what: &str,
        more: &[&str],
    ) -> Option<(Act, Field)> {
        let mut given =
            Act::ALL.into_iter().filter_map(|act| Some((act, fields.take(act.name())?)));
        let (act, field) = match (given.next(), given.next()) {
            (Some(first), None) => first,
            (Some((_, first)), Some((_, second))) => {
                let message = format!("{what} has one act only");
                let problem = Problem::new(second.key.span, message, "a second act")
                    .also(first.key.span, "the first");
                self.add(problem.help(format!("make {what} of each")));
                return None;
            }
            (None, _) => {
                if !fields.flawed {
                    let known: Vec<&str> = ACTS.iter().chain(more).copied().collect();
                    let label = format!("one of {}, please", enumerate(&known));
                    self.add(Problem::new(fields.span, format!("{what} without an act"), label));
                }
                return None;
            }
        };
        Some((act, field))
    }
}

/// The words of acts.
pub(super) const ACTS: [&str; Act::COUNT] =
    ["exec", "read", "write", "connect", "listen", "privilege"];

pub(super) fn flip<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(None) => None,
        Some(good) => Some(good),
    }
}
