//! Parse, the entries of `rules:`.
//!
//! The part of [`super::parse`] that reads one rule: its act, its lists, its exceptions, its tags.

use monitor_common::{Act, Verdict};

use super::{
    fields::{Field, Fields, Reader},
    model::{Ask, By, Sense, Severity},
    parse::{ACTS, MODES, flip},
    problem::{Problem, quote},
    source::At,
    vocabulary,
    written::{Before, Body, Exception, File, Grant, Item, Rule, Step},
    yaml::{Kind, Node},
};

/// The keys of a rule.
pub(super) const RULE: [&str; 18] = [
    "id",
    "title",
    "agents",
    "exec",
    "read",
    "write",
    "connect",
    "listen",
    "privilege",
    "sequence",
    "action",
    "ask",
    "fallback",
    "severity",
    "mode",
    "help",
    "runbook",
    "tags",
];
/// The keys of an act in a rule.
pub(super) const BODY: [&str; 3] = ["only", "never", "except"];
/// The keys of `ask:`.
pub(super) const ASK: [&str; 5] = ["hold", "for", "then", "timeout", "via"];
/// The keys of `sequence:`.
pub(super) const SEQUENCE: [&str; 3] = ["within", "by", "steps"];
/// The keys of an exception.
pub(super) const EXCEPTION: [&str; 7] = ["path", "to", "at", "privilege", "exe", "reason", "until"];
/// The keys of a program with arguments.
pub(super) const PROGRAM: [&str; 2] = ["path", "args"];
/// The keys of a grant.
pub(super) const GRANT: [&str; 13] = [
    "id",
    "rule",
    "agents",
    "exec",
    "read",
    "write",
    "connect",
    "listen",
    "privilege",
    "until",
    "uses",
    "reason",
    "by",
];
/// Uses of a grant at most: what is done more often is no single permission.
pub(super) const USES: u16 = 1_000;
const ACTIONS: [(&str, Verdict); 4] = [
    ("alert", Verdict::Alert),
    ("ask", Verdict::Ask),
    ("deny", Verdict::Deny),
    ("kill", Verdict::Kill),
];
const ANSWERS: [(&str, Verdict); 3] =
    [("allow", Verdict::Allow), ("deny", Verdict::Deny), ("kill", Verdict::Kill)];
const OWNERS: [(&str, By); 3] =
    [("session", By::Session), ("process", By::Process), ("user", By::User)];
const FALLBACKS: [(&str, Verdict); 2] = [("alert", Verdict::Alert), ("kill", Verdict::Kill)];
const SEVERITIES: [(&str, Severity); 5] = [
    ("info", Severity::Info),
    ("low", Severity::Low),
    ("medium", Severity::Medium),
    ("high", Severity::High),
    ("critical", Severity::Critical),
];

impl Reader<'_> {
    /// Reads an entry of `rules:` into `file`.
    pub(super) fn rule(&mut self, node: Node, file: &mut File) {
        let Some(mut fields) = self.fields(node, "a rule", &RULE) else { return };
        let id = fields.need("id", self.found).and_then(|field| self.text(field.value));
        if let Some(id) = &id {
            self.name(id, "rule");
        }
        match self.rule_fields(&mut fields, id.clone()) {
            // A flaw that leaves a whole rule does not hide what else may be wrong with it.
            Some(rule) => file.rules.push(rule),
            None => file.refused.extend(id),
        }
    }

    fn rule_fields(&mut self, fields: &mut Fields, id: Option<At<String>>) -> Option<Rule> {
        let title = fields.need("title", self.found).and_then(|field| self.text(field.value));
        let agents = fields.need("agents", self.found).and_then(|field| self.texts(field));
        let body = self.rule_body(fields);
        let action = fields.need("action", self.found).and_then(|field| self.word(field, &ACTIONS));
        let ask = fields.take("ask").map(|field| self.ask(field, action.as_ref()));
        let fallback = self.fallback(fields, action.as_ref());
        let severity = fields.take("severity").and_then(|field| self.word(field, &SEVERITIES));
        let mode = fields.take("mode").and_then(|field| self.word(field, &MODES));
        let help = fields.take("help").and_then(|field| self.prose(field.value));
        let runbook = fields.take("runbook").and_then(|field| self.text(field.value));
        let tags = fields.take("tags").map(|field| self.tags(field.value));
        Some(Rule {
            id: id?,
            title: title?.is,
            agents: agents?,
            body: body?,
            action: action?.is,
            ask: ask.unwrap_or_default(),
            fallback,
            severity: severity.map_or(Severity::default(), |severity| severity.is),
            mode: mode.map(|mode| mode.is),
            help,
            runbook: runbook.map(|text| text.is),
            tags: tags.unwrap_or_default(),
        })
    }

    fn fallback(&mut self, fields: &mut Fields, action: Option<&At<Verdict>>) -> Option<Verdict> {
        let field = fields.take("fallback")?;
        if let Some(action) = action
            && !matches!(action.is, Verdict::Deny | Verdict::Ask)
        {
            let message = "`fallback` without `action: deny` or `ask`";
            let label = "nothing falls back on this";
            let why = format!("`{}` can be done on every host", action.is.name());
            self.add(Problem::new(field.key.span, message, label).also(action.span, why));
        }
        self.word(field, &FALLBACKS).map(|word| word.is)
    }

    fn ask(&mut self, field: Field, action: Option<&At<Verdict>>) -> Ask {
        if let Some(action) = action
            && action.is != Verdict::Ask
        {
            let label = format!("`{}` asks nobody", action.is.name());
            let problem =
                Problem::new(field.key.span, "`ask` without `action: ask`", "who is asked?");
            self.add(problem.also(action.span, label).help("write `action: ask`, or leave it out"));
        }
        let Some(mut fields) = self.fields(field.value, "`ask`", &ASK) else {
            return Ask::default();
        };
        let mut length = |key| fields.take(key).and_then(|field| self.duration(field));
        let (hold, lasts, timeout) = (length("hold"), length("for"), length("timeout"));
        let then = fields.take("then").and_then(|field| self.word(field, &ANSWERS));
        let via = fields.take("via").and_then(|field| self.text(field.value));
        if let Some(via) = &via {
            self.name(via, "sink");
        }
        Ask { hold, lasts, then: then.map(|word| word.is), timeout, via: via.map(|text| text.is) }
    }

    /// The act of a rule, or its sequence.
    fn rule_body(&mut self, fields: &mut Fields) -> Option<Body> {
        let Some(sequence) = fields.take("sequence") else {
            let (act, field) = self.act(fields, "a rule", &["sequence"])?;
            return self.body(act, field.value);
        };
        if let Some(act) = ACTS.iter().find_map(|act| fields.take(act)) {
            let problem = Problem::new(act.key.span, "a rule has one act only", "a second act")
                .also(sequence.key.span, "the sequence has its own");
            self.add(problem.help("make it a step, or a rule of its own"));
            return None;
        }
        self.sequence(sequence.value)
    }

    fn sequence(&mut self, node: Node) -> Option<Body> {
        let mut fields = self.fields(node, "a sequence", &SEQUENCE)?;
        let within = fields.need("within", self.found).and_then(|field| self.duration(field));
        let by = fields.take("by").and_then(|field| self.word(field, &OWNERS));
        let field = fields.need("steps", self.found)?;
        let key = field.key.span;
        let nodes = self.list(field)?;
        let count = nodes.len();
        let mut steps: Vec<Step> = nodes.into_iter().filter_map(|node| self.step(node)).collect();
        if count == 1 {
            let label = "a sequence has two at least";
            let problem = Problem::new(key, "a sequence of one step", label);
            self.add(problem.help("a single act is a rule with `only` or `never`"));
        }
        let (last, within) = (steps.pop()?, within?);
        let by = by.map_or(By::default(), |by| by.is);
        (steps.len() + 1 == count && count > 1).then_some(Body {
            act: last.act,
            sense: last.sense,
            objects: last.objects,
            exceptions: Vec::new(),
            before: Some(Before { within, by, steps }),
        })
    }

    fn step(&mut self, node: Node) -> Option<Step> {
        let mut fields = self.fields(node, "a step", &ACTS)?;
        let (act, field) = self.act(&mut fields, "a step", &[])?;
        if matches!(field.value.kind, Kind::List(_)) {
            return Some(Step { act, sense: Sense::Never, objects: self.objects(field)? });
        }
        let mut fields = self.fields(field.value, "the list of a step", &["not"])?;
        let field = fields.need("not", self.found)?;
        Some(Step { act, sense: Sense::Only, objects: self.objects(field)? })
    }

    /// Reads an entry of `grants:`.
    pub(super) fn grant(&mut self, node: Node) -> Option<Grant> {
        let mut fields = self.fields(node, "a grant", &GRANT)?;
        let mut text = |reader: &mut Self, key| {
            fields.need(key, reader.found).and_then(|field| reader.text(field.value))
        };
        let (id, rule) = (text(self, "id"), text(self, "rule"));
        let (by, reason) = (text(self, "by"), text(self, "reason"));
        let agents = fields.need("agents", self.found).and_then(|field| self.texts(field));
        let until = fields.need("until", self.found).and_then(|field| self.moment(field));
        let uses = fields.take("uses").map(|field| self.uses(field));
        let (act, field) = self.act(&mut fields, "a grant", &[])?;
        let act = At { is: act, span: field.key.span };
        let objects = self.objects(field);
        if let Some(id) = &id {
            self.name(id, "grant");
        }
        Some(Grant {
            id: id?,
            rule: rule?,
            agents: agents?,
            act,
            objects: objects?,
            until: until?,
            uses: flip(uses)?,
            reason: reason?.is,
            by: by?.is,
        })
    }

    /// How often a grant may be used.
    fn uses(&mut self, field: Field) -> Option<u16> {
        let span = self.span(&field.value);
        let Kind::Number(number) = &field.value.kind else {
            self.wrong_kind(span, "a number", &field.value.kind);
            return None;
        };
        let uses = number.parse().ok().filter(|uses| (1..=USES).contains(uses));
        if uses.is_none() {
            let message = format!("{} is not a number of uses", quote(number));
            let problem = Problem::new(span, message, format!("a number from 1 to {USES}"));
            self.add(
                problem.help("without `uses` it may be used as often as wanted until it ends"),
            );
        }
        uses
    }

    fn body(&mut self, act: Act, node: Node) -> Option<Body> {
        let mut fields = self.fields(node, "an act", &BODY)?;
        let (only, never) = (fields.take("only"), fields.take("never"));
        let (sense, field) = match (only, never) {
            (Some(only), None) => (Sense::Only, only),
            (None, Some(never)) => (Sense::Never, never),
            (Some(only), Some(never)) => {
                let message = "a rule has either `only` or `never`";
                let problem = Problem::new(never.key.span, message, "either this")
                    .also(only.key.span, "or this")
                    .help("make two rules; the stronger verdict wins");
                self.add(problem);
                return None;
            }
            (None, None) => {
                if !fields.flawed {
                    let label = "`only` what is allowed, or `never` what is not";
                    self.add(Problem::new(fields.span, "an act without a list", label));
                }
                return None;
            }
        };
        let objects = self.objects(field);
        let except = fields.take("except").and_then(|field| self.list(field));
        let mut exceptions = Vec::new();
        for node in except.into_iter().flatten() {
            exceptions.extend(self.exception(act, node));
        }
        Some(Body { act, sense, objects: objects?, exceptions, before: None })
    }

    /// A list of objects, each once.
    pub(super) fn objects(&mut self, field: Field) -> Option<Vec<Item>> {
        let plain = |item: &Item| item.args.is_none();
        self.distinct_by(field, Self::item, |item| plain(item).then_some(&item.text))
    }

    fn item(&mut self, node: Node) -> Option<Item> {
        if !matches!(node.kind, Kind::Map(_)) {
            return self.text(node).map(|text| Item { text, args: None });
        }
        let mut fields = self.fields(node, "a program with arguments", &PROGRAM)?;
        let text = fields.need("path", self.found).and_then(|field| self.text(field.value));
        let args = fields.need("args", self.found).and_then(|field| self.words(field));
        Some(Item { text: text?, args: Some(args?) })
    }

    fn exception(&mut self, act: Act, node: Node) -> Option<Exception> {
        let key = match act {
            Act::Exec | Act::Read | Act::Write => "path",
            Act::Connect => "to",
            Act::Listen => "at",
            Act::Privilege => "privilege",
        };
        let mut fields = self.fields(node, "an exception", &EXCEPTION)?;
        let span = fields.span;
        for other in ["path", "to", "at", "privilege"].into_iter().filter(|other| *other != key) {
            if let Some(field) = fields.take(other) {
                let message = format!("an exception of {} has no `{other}`", quote(act.name()));
                let problem = Problem::new(field.key.span, message, format!("`{key}`, please"));
                self.add(problem);
                fields.flawed = true;
            }
        }
        let objects = fields.need(key, self.found).and_then(|field| self.objects(field));
        let exe = match fields.take("exe") {
            Some(field) if act == Act::Exec => {
                let message = "an exception of `exec` has no `exe`";
                let label = "when a program starts, the one that started it is gone";
                let problem = Problem::new(field.key.span, message, label);
                self.add(problem.help("except the program itself, with `path`"));
                None
            }
            Some(field) => self.objects(field),
            None => Some(Vec::new()),
        };
        let until = fields.take("until").map(|field| self.moment(field));
        let reason = fields.need("reason", self.found).and_then(|field| self.prose(field.value));
        let (objects, exe, until) = (objects?, exe?, flip(until)?);
        Some(Exception { objects, exe, reason: reason?, until, span })
    }

    fn tags(&mut self, node: Node) -> Vec<(String, Vec<String>)> {
        let Some(fields) = self.map(node, "`tags`") else { return Vec::new() };
        let mut tags: Vec<(String, Vec<String>)> = Vec::new();
        for field in fields {
            let key = At { is: field.key.is.clone(), span: field.key.span };
            let Some(ids) = self.texts(field) else { continue };
            for id in &ids {
                if let Err(problem) = vocabulary::check(&key, id) {
                    self.add(problem);
                }
            }
            tags.push((key.is, ids.into_iter().map(|id| id.is).collect()));
        }
        // Order has no meaning, and shows nowhere.
        tags.sort_by_key(|(name, _)| vocabulary::rank(name));
        tags
    }
}
