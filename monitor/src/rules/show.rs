//! Show: the rules as they were understood: lists opened, defaults filled in, and where each thing came from.
//!
//! A view of [`super::model`] for people; [`super::plan`] shows what the kernel is told.

use std::fmt::{self, Display, Write as _};

use super::model::{
    Agent, Before, By, Exception, Item, Label, Mode, Objects, Rule, RuleSet, Sense, Sign,
};

/// A rule set, or one rule of it, to be shown.
#[derive(Clone, Copy, Debug)]
pub struct Show<'a> {
    /// The set.
    pub rules: &'a RuleSet,
    /// The one rule that is wanted.
    pub only: Option<&'a str>,
}

impl Display for Show<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = |rule: &&Rule| self.only.is_none_or(|id| rule.id == id);
        if self.only.is_none() {
            for agent in &self.rules.agents {
                write!(f, "{}", agent_text(agent))?;
            }
        }
        for rule in self.rules.rules.iter().filter(wanted) {
            write!(f, "{}", rule_text(rule, self.rules))?;
        }
        Ok(())
    }
}

fn agent_text(agent: &Agent) -> String {
    let mut text = format!("agent {}  {}\n", agent.name, agent.place);
    for clause in &agent.clauses {
        let signs: Vec<String> = clause.iter().map(sign).collect();
        let weak = if clause.iter().all(Sign::is_strong) { "" } else { "  (weak)" };
        put(&mut text, "known by", &format!("{}{weak}", signs.join(" and ")));
    }
    put(&mut text, "run as", &agent.launched_as.join(", "));
    text + "\n"
}

pub(crate) fn sign(sign: &Sign) -> String {
    match sign {
        Sign::Exe(glob) => format!("exe {glob}"),
        Sign::Cgroup(glob) => format!("cgroup {glob}"),
        Sign::User(uid) => format!("user {uid}"),
        Sign::Stranger(name) => format!("user {name}, whom this host does not have"),
        Sign::Script(glob) => format!("script {glob}"),
        Sign::Args(words) => format!("args {words}"),
        Sign::Env(name, None) => format!("env {name}"),
        Sign::Env(name, Some(value)) => format!("env {name}={value}"),
        Sign::Container(Label::Image, glob) => format!("container image {glob}"),
        Sign::Container(Label::Name, glob) => format!("container name {glob}"),
        Sign::Container(Label::Key(key), glob) => format!("container label {key}={glob}"),
        Sign::Inside(cgroups) => format!("one of {} cgroups of containers", cgroups.len()),
    }
}

fn rule_text(rule: &Rule, rules: &RuleSet) -> String {
    let mut text = format!("rule {}  {}\n", rule.id, rule.place);
    put(&mut text, "title", &rule.title);
    let agents = rule.agents.iter().map(|&agent| &*rules.agents[agent].name);
    put(&mut text, "agents", &agents.collect::<Vec<_>>().join(", "));
    if let Some(before) = &rule.before {
        steps(&mut text, before);
    }
    let sense = if rule.sense == Sense::Only { "only" } else { "never" };
    objects(&mut text, &format!("{} {sense}", rule.act.name()), &rule.objects);
    for exception in &rule.exceptions {
        self::exception(&mut text, exception, rules);
    }
    let mut action = rule.action.name().to_owned();
    if rule.fallback != rule.action {
        write!(action, ", {} where that cannot be", rule.fallback.name()).expect("a string");
    }
    if rule.mode == Mode::Monitor {
        action += " (monitor mode: alert)";
    }
    put(&mut text, "action", &action);
    put(&mut text, "severity", rule.severity.name());
    let lines = [("help", &rule.help), ("runbook", &rule.runbook)];
    for (what, line) in lines.into_iter().filter_map(|(what, line)| Some((what, line.as_ref()?))) {
        put(&mut text, what, &line.replace('\n', " "));
    }
    for (vocabulary, ids) in &rule.tags {
        put(&mut text, vocabulary, &ids.join(", "));
    }
    text + "\n"
}

fn steps(text: &mut String, before: &Before) {
    let by = if before.by == By::User { "one user, in all sessions" } else { before.by.name() };
    put(text, "within", &format!("{} s, by {by}, after:", before.within));
    for step in &before.steps {
        let sense = if step.sense == Sense::Only { " not" } else { "" };
        objects(text, &format!("{}{sense}", step.act.name()), &step.objects);
    }
}

fn exception(text: &mut String, exception: &Exception, rules: &RuleSet) {
    objects(text, "except", &exception.objects);
    for item in &exception.exe {
        put(text, "  by", &origin(&item.is.to_string(), item));
    }
    if let Some(grant) = &exception.grant {
        let agents = grant.agents.iter().map(|&agent| &*rules.agents[agent].name);
        let agents = agents.collect::<Vec<_>>().join(", ");
        put(text, "  grant", &format!("{} to {agents} by {}", grant.id, grant.by));
    }
    if let Some(uses) = exception.grant.as_ref().and_then(|grant| grant.uses) {
        put(text, "  uses", &uses.limit.to_string());
    }
    if let Some(until) = exception.until {
        put(text, "  until", &until.to_string());
    }
    put(text, "  because", &exception.reason.replace('\n', " "));
}

fn objects(text: &mut String, what: &str, objects: &Objects) {
    let lines: Vec<String> = match objects {
        Objects::Paths(items) => {
            items.iter().map(|item| origin(&item.is.to_string(), item)).collect()
        }
        Objects::Programs(items) => {
            items.iter().map(|item| origin(&item.is.to_string(), item)).collect()
        }
        Objects::Destinations(items) => {
            items.iter().map(|item| origin(&item.is.to_string(), item)).collect()
        }
        Objects::Privileges(items) => {
            items.iter().map(|item| origin(item.is.name(), item)).collect()
        }
    };
    for (number, line) in lines.iter().enumerate() {
        put(text, if number == 0 { what } else { "" }, line);
    }
}

/// What an item is, and where it came from.
fn origin<T>(is: &str, item: &Item<T>) -> String {
    match &item.list {
        Some(list) => format!("{is:<40}  @{list}  {}", item.place),
        None => format!("{is:<40}  {}", item.place),
    }
}

fn put(text: &mut String, what: &str, value: &str) {
    writeln!(text, "  {what:<15} {value}").expect("a string takes everything");
}
