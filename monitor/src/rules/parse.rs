//! Parse: the tree of a rule file becomes what was written.
//!
//! Keys and kinds of values are checked here, names are not: what a file means depends on all of
//! them, and that is for [`super::resolve`] to say.

use monitor_common::{Act, Verdict};

use super::{
    fields::{Field, Fields, Reader},
    model::Mode,
    problem::{Found, Problem, quote},
    source::{Source, SourceFile},
    written::{Agent, File, Line, List, Test},
    yaml::{self, Kind, Node},
};

/// The words of `mode:`.
pub(super) const MODES: [(&str, Mode); 2] =
    [("monitor", Mode::Monitor), ("enforce", Mode::Enforce)];
/// The words of `expect:`.
const EXPECTATIONS: [(&str, Verdict); 4] = [
    ("allow", Verdict::Allow),
    ("alert", Verdict::Alert),
    ("deny", Verdict::Deny),
    ("kill", Verdict::Kill),
];
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
        let keys = ["version", "mode", "agents", "lists", "rules", "tests"];
        let mut file = File::default();
        if !self.is_known_version(&document) {
            // Whatever else seems wrong is so because the file means something else.
            self.found.torn = true;
            return file;
        }
        let Some(mut fields) = self.fields(document, "a rule file", &keys) else {
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

    fn agent(&mut self, field: Field) -> Agent {
        let before = self.found.len();
        self.name(&field.key, "agent");
        let mut agent = Agent { name: field.key, all: false, lines: Vec::new(), refused: false };
        if let Some(mut fields) = self.fields(field.value, "an agent", &["any", "all"]) {
            self.agent_lines(&mut fields, &mut agent);
        }
        agent.refused = self.found.len() > before;
        agent
    }

    fn agent_lines(&mut self, fields: &mut Fields, agent: &mut Agent) {
        let (any, all) = (fields.take("any"), fields.take("all"));
        agent.all = all.is_some();
        let lines = match (any, all) {
            (Some(any), Some(all)) => {
                let message = format!("agent {} has both `any` and `all`", quote(&agent.name.is));
                let problem = Problem::new(all.key.span, message, "either this")
                    .also(any.key.span, "or this")
                    .help("make two agents, and a third with `any: [{ agent: … }, { agent: … }]`");
                return self.add(problem);
            }
            (None, None) if fields.flawed => return,
            (None, None) => {
                let message = format!("agent {} has no signs", quote(&agent.name.is));
                let problem = Problem::new(agent.name.span, message, "how is it recognised?");
                return self.add(problem.help("give it `any:` or `all:` with a list of signs"));
            }
            (Some(lines), None) | (None, Some(lines)) => lines,
        };
        for node in self.list(lines).into_iter().flatten() {
            agent.lines.extend(self.line(node));
        }
    }

    fn line(&mut self, node: Node) -> Option<Line> {
        let keys = ["exe", "cgroup", "user", "launched-as", "agent"];
        let mut fields = self.fields(node, "a line of an agent", &keys)?;
        let mut given = keys.iter().filter_map(|key| fields.take(key));
        let Some(field) = given.next() else {
            if !fields.flawed {
                let label = "one of `exe`, `cgroup`, `user`, `launched-as` or `agent`, please";
                self.add(Problem::new(fields.span, "a line of an agent without a sign", label));
            }
            return None;
        };
        if let Some(second) = given.next() {
            let message = "a line of an agent has one sign only";
            let problem = Problem::new(second.key.span, message, "a second sign")
                .also(field.key.span, "the first");
            self.add(problem.help("write one line each; under `all:` every line must hold"));
            return None;
        }
        Some(match field.key.is.as_str() {
            "user" => Line::User(self.texts_or_numbers(field)?),
            "exe" => Line::Exe(self.text(field.value)?),
            "cgroup" => Line::Cgroup(self.text(field.value)?),
            "agent" => Line::Agent(self.text(field.value)?),
            _ => {
                let name = self.text(field.value)?;
                self.name(&name, "agent").then_some(Line::LaunchedAs(name))?
            }
        })
    }

    fn named_list(&mut self, field: Field) -> List {
        self.name(&field.key, "list");
        let name = field.key.clone();
        List { name, items: self.objects(field).unwrap_or_default() }
    }

    fn test(&mut self, node: Node) -> Option<Test> {
        let keys = ["name", "agent", "exec", "read", "write", "connect", "exe", "expect", "rule"];
        let mut fields = self.fields(node, "a test", &keys)?;
        let name = fields.need("name", self.found).and_then(|field| self.text(field.value));
        let agent = fields.need("agent", self.found).and_then(|field| self.text(field.value));
        let act = self.act(&mut fields, "a test");
        let object = act.and_then(|(act, field)| Some((act, self.text(field.value)?)));
        let exe = fields.take("exe").map(|field| self.text(field.value));
        let rule = fields.take("rule").map(|field| self.text(field.value));
        let expect = fields.need("expect", self.found);
        let expect = expect.and_then(|field| self.word(field, &EXPECTATIONS));
        let (name, agent, (act, object), expect) = (name?, agent?, object?, expect?);
        // A text that was refused is not a text that was left out.
        let (exe, rule) = (flip(exe)?, flip(rule)?);
        Some(Test { name, agent, act, object, exe, expect, rule })
    }

    /// The one act of a rule or a test.
    pub(super) fn act(&mut self, fields: &mut Fields, what: &str) -> Option<(Act, Field)> {
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
                    let label = "one of `exec`, `read`, `write` or `connect`, please";
                    self.add(Problem::new(fields.span, format!("{what} without an act"), label));
                }
                return None;
            }
        };
        Some((act, field))
    }
}

fn flip<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(None) => None,
        Some(good) => Some(good),
    }
}
