//! Parse, the entries of `rules:`.
//!
//! The part of [`super::parse`] that reads one rule: its act, its lists, its exceptions, its tags.

use monitor_common::{Act, Verdict};

use super::{
    fields::{Field, Fields, Reader},
    model::{Sense, Severity},
    parse::MODES,
    problem::{Problem, quote},
    source::At,
    vocabulary,
    written::{Body, Exception, File, Rule},
    yaml::{Kind, Node},
};

const RULE: [&str; 14] = [
    "id", "title", "agents", "exec", "read", "write", "connect", "action", "fallback", "severity",
    "mode", "help", "runbook", "tags",
];
const ACTIONS: [(&str, Verdict); 3] =
    [("alert", Verdict::Alert), ("deny", Verdict::Deny), ("kill", Verdict::Kill)];
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
        let body = self.act(fields, "a rule").and_then(|(act, field)| self.body(act, field.value));
        let action = fields.need("action", self.found).and_then(|field| self.word(field, &ACTIONS));
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
            && action.is != Verdict::Deny
        {
            let message = "`fallback` without `action: deny`";
            let label = "nothing falls back on this";
            let why = format!("`{}` can be done on every host", action.is.name());
            self.add(Problem::new(field.key.span, message, label).also(action.span, why));
        }
        self.word(field, &FALLBACKS).map(|word| word.is)
    }

    fn body(&mut self, act: Act, node: Node) -> Option<Body> {
        let mut fields = self.fields(node, "an act", &["only", "never", "except"])?;
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
        Some(Body { act, sense, objects: objects?, exceptions })
    }

    /// The texts of a list of objects. Items that are maps come with a later version.
    pub(super) fn objects(&mut self, field: Field) -> Option<Vec<At<String>>> {
        if let Kind::List(items) = &field.value.kind
            && let Some(key) = items.iter().find_map(arguments)
        {
            let span = self.span(key);
            let label = "this version rules programs, not their arguments";
            let problem = Problem::new(span, "`args` is not supported yet", label);
            self.add(problem.help("write the path or the name of the program alone"));
            return None;
        }
        self.texts(field)
    }

    fn exception(&mut self, act: Act, node: Node) -> Option<Exception> {
        let (key, other) = if act == Act::Connect { ("to", "path") } else { ("path", "to") };
        let keys = ["path", "to", "exe", "reason"];
        let mut fields = self.fields(node, "an exception", &keys)?;
        let span = fields.span;
        if let Some(field) = fields.take(other) {
            let message = format!("an exception of {} has no `{other}`", quote(act.name()));
            let problem = Problem::new(field.key.span, message, format!("`{key}`, please"));
            self.add(problem);
            fields.flawed = true;
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
        let reason = fields.need("reason", self.found).and_then(|field| self.prose(field.value));
        Some(Exception { objects: objects?, exe: exe?, reason: reason?, span })
    }

    fn tags(&mut self, node: Node) -> Vec<(String, Vec<String>)> {
        let Some(fields) = self.map(node, "`tags`") else { return Vec::new() };
        let mut tags = Vec::new();
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
        tags
    }
}

/// The key `args` of an item that is a map.
fn arguments(item: &Node) -> Option<&Node> {
    let Kind::Map(pairs) = &item.kind else { return None };
    let is_args = |key: &&Node| matches!(&key.kind, Kind::Text(key) if key == "args");
    pairs.iter().map(|(key, _)| key).find(is_args)
}
