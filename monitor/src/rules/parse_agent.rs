//! Parse, the entries of `agents:`.
//!
//! The part of [`super::parse`] that reads how an agent is recognised.

use super::{
    fields::{Field, Fields, Reader},
    problem::{Problem, enumerate, quote},
    written::{Agent, ContainerKey, Line},
    yaml::Node,
};

/// The keys of a line.
pub(super) const LINE: [&str; 10] =
    ["exe", "script", "args", "unit", "cgroup", "container", "user", "env", "launched-as", "agent"];
/// The keys of `container:`.
pub(super) const CONTAINER: [&str; 4] = ["id", "image", "name", "label"];

impl Reader<'_> {
    /// Reads an entry.
    pub(super) fn agent(&mut self, field: Field) -> Agent {
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
        let mut fields = self.fields(node, "a line of an agent", &LINE)?;
        let mut given = LINE.iter().filter_map(|key| fields.take(key));
        let Some(field) = given.next() else {
            if !fields.flawed {
                let label = format!("one of {}, please", enumerate(&LINE));
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
        self.sign(field)
    }

    fn sign(&mut self, field: Field) -> Option<Line> {
        Some(match field.key.is.as_str() {
            "user" => Line::User(self.texts_or_numbers(field)?),
            "env" => Line::Env(self.texts(field)?),
            "args" => Line::Args(self.words(field)?),
            "container" => self.container(field.value)?,
            "exe" => Line::Exe(self.text(field.value)?),
            "script" => Line::Script(self.text(field.value)?),
            "unit" => Line::Unit(self.text(field.value)?),
            "cgroup" => Line::Cgroup(self.text(field.value)?),
            "agent" => Line::Agent(self.text(field.value)?),
            _ => {
                let name = self.text(field.value)?;
                self.name(&name, "agent").then_some(Line::LaunchedAs(name))?
            }
        })
    }

    fn container(&mut self, node: Node) -> Option<Line> {
        let mut fields = self.fields(node, "a container", &CONTAINER)?;
        let mut given = CONTAINER.iter().filter_map(|key| fields.take(key));
        let (field, second) = (given.next(), given.next());
        if let (Some(first), Some(second)) = (&field, second) {
            let message = "a container has one sign only";
            let problem = Problem::new(second.key.span, message, "a second sign")
                .also(first.key.span, "the first");
            self.add(problem.help("write a line for each; under `all:` every line must hold"));
            return None;
        }
        let Some(field) = field else {
            if !fields.flawed {
                let label = format!("one of {}, please", enumerate(&CONTAINER));
                self.add(Problem::new(fields.span, "a container without a sign", label));
            }
            return None;
        };
        let key = match field.key.is.as_str() {
            "id" => ContainerKey::Id,
            "image" => ContainerKey::Image,
            "name" => ContainerKey::Name,
            _ => return self.label(field.value),
        };
        Some(Line::Container(key, self.text(field.value)?))
    }

    fn label(&mut self, node: Node) -> Option<Line> {
        let span = self.span(&node);
        let mut labels = self.map(node, "`label`")?;
        let (Some(field), true) = (labels.pop(), labels.is_empty()) else {
            let label = "a key and its value, `{ app: rag }`";
            let problem = Problem::new(span, "`label` has one label", label);
            self.add(problem.help("write a line for each; under `all:` every line must hold"));
            return None;
        };
        let key = ContainerKey::Label(field.key.is);
        Some(Line::Container(key, self.text_or_number(field.value)?))
    }
}
