//! Agents: names of agents and groups become numbers, their signs become clauses.
//!
//! Part of [`super::resolve`].

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use monitor_common::plan::CLAUSES;

use super::{
    Users,
    cycle::{Mentions, cycles},
    lists::{Lists, Role, words_of},
    model::{self, AgentIndex, Label, Note, Sign},
    near::nearest,
    problem::{Found, Problem, enumerate, quote},
    source::{At, Sources, Span},
    words::TextGlob,
    written::{Agent, ContainerKey, File, Line},
};

/// Agents and groups that a set may have.
const NAMES: usize = 1024;

/// Signs that all agents together may have, braces written out. The kernel half has room for fewer.
const SIGNS: usize = 8192;

/// Lines that may be combined with `all:`. There are as many kinds of signs, and some to spare.
const LINES: usize = 32;

/// The agents of a set.
#[derive(Debug, Default)]
pub(super) struct Agents<'a> {
    /// Those that are not groups.
    pub(super) all: Vec<model::Agent>,
    /// What should be known of them.
    pub(super) notes: Vec<Note>,
    members: BTreeMap<&'a str, Members>,
}

/// Whom a name stands for.
#[derive(Debug)]
enum Members {
    One(AgentIndex),
    Group(Vec<AgentIndex>),
}

/// What is needed to resolve an agent.
struct Context<'a> {
    lists: &'a Lists<'a>,
    users: &'a Users,
    sources: &'a Sources,
    /// How many signs there are so far.
    signs: Cell<usize>,
}

/// Resolves the agents of all files.
pub(super) fn agents<'a>(
    files: &'a [File],
    lists: &Lists<'_>,
    users: &Users,
    sources: &Sources,
    found: &mut Found,
) -> Agents<'a> {
    let by_name = by_name(files, found);
    let context = Context { lists, users, sources, signs: Cell::new(0) };
    let mut agents = Agents::default();
    let defined = files.iter().flat_map(|file| &file.agents);
    let first = |agent: &&Agent| {
        by_name.get(&*agent.name.is).is_some_and(|at| at.name.span == agent.name.span)
    };
    for agent in defined.filter(first).filter(|agent| !is_group(agent)) {
        agents.members.insert(&agent.name.is, Members::One(agents.all.len()));
        let made = context.agent(agent, found);
        let strangers: BTreeSet<&str> =
            made.clauses.iter().flatten().filter_map(stranger).collect();
        agents.notes.extend(strangers.into_iter().map(|user| note(user, &made, users)));
        agents.all.push(made);
    }
    agents.add_groups(&by_name, found);
    check_launched_as(files, found);
    agents
}

impl Agents<'_> {
    /// The agents that a rule means by a name.
    pub(super) fn named(&self, name: &At<String>, found: &mut Found) -> Vec<AgentIndex> {
        match self.members.get(&*name.is) {
            Some(Members::One(agent)) => vec![*agent],
            Some(Members::Group(agents)) => agents.clone(),
            None => {
                unknown(name, self.members.keys().copied(), found);
                Vec::new()
            }
        }
    }

    /// The agent that a test means by a name.
    pub(super) fn one(&self, name: &At<String>, found: &mut Found) -> Option<AgentIndex> {
        match self.members.get(&*name.is) {
            Some(Members::Group(agents)) => {
                let names: Vec<&str> = agents.iter().map(|&agent| &*self.all[agent].name).collect();
                let message = format!("{} is a group of agents", quote(&name.is));
                let problem = Problem::new(name.span, message, "a test is about one agent");
                let help = format!("it may be {}", enumerate(&names));
                found.add(if names.is_empty() { problem } else { problem.help(help) });
                None
            }
            _ => self.named(name, found).first().copied(),
        }
    }
}

impl<'a> Agents<'a> {
    fn add_groups(&mut self, by_name: &BTreeMap<&'a str, &'a Agent>, found: &mut Found) {
        let groups = by_name.iter().filter(|(_, agent)| is_group(agent));
        let mut mentions: Mentions<'a> = BTreeMap::new();
        for (name, group) in groups {
            let mentioned = mentions.entry(name).or_default();
            for line in &group.lines {
                let Line::Agent(to) = line else { continue };
                if by_name.contains_key(&*to.is) {
                    mentioned.push((&to.is, to.span));
                } else {
                    unknown(to, by_name.keys().copied(), found);
                }
            }
        }
        for problem in cycles(&mentions, "agent") {
            found.add(problem);
        }
        for &name in mentions.keys() {
            let group = self.members_of(name, &mentions);
            self.members.insert(name, Members::Group(group));
        }
    }

    fn members_of(&self, name: &'a str, mentions: &Mentions<'a>) -> Vec<AgentIndex> {
        let mut members = BTreeSet::new();
        let mut opened = BTreeSet::from([name]);
        let mut waiting = vec![name];
        while let Some(name) = waiting.pop() {
            for (to, _) in mentions.get(name).into_iter().flatten() {
                match self.members.get(to) {
                    Some(Members::One(agent)) => {
                        members.insert(*agent);
                    }
                    _ if opened.insert(to) => waiting.push(to),
                    _ => {}
                }
            }
        }
        members.into_iter().collect()
    }
}

impl Context<'_> {
    fn agent(&self, agent: &Agent, found: &mut Found) -> model::Agent {
        let mut launched_as = vec![agent.name.is.clone()];
        let mut alternatives: Vec<Vec<Sign>> = Vec::new();
        for line in &agent.lines {
            match line {
                Line::LaunchedAs(name) => {
                    check_alone(name, agent, found);
                    if !launched_as.contains(&name.is) {
                        launched_as.push(name.is.clone());
                    }
                }
                Line::Agent(name) => {
                    let message = "`agent` stands beside other signs";
                    let problem = Problem::new(name.span, message, "this makes a group");
                    let help = "make a group of its own: `any: [{ agent: … }, { agent: … }]`";
                    found.add(problem.help(help));
                }
                line => match self.signs(line, found) {
                    Ok(signs) if self.fit(signs.len(), agent, found) => alternatives.push(signs),
                    Ok(_) => break,
                    Err(problem) => found.add(problem),
                },
            }
        }
        let clauses = if agent.all {
            product(&alternatives, agent, found)
        } else {
            alternatives.into_iter().flatten().map(|sign| vec![sign]).collect()
        };
        let place = self.sources.place(agent.name.span);
        model::Agent { name: agent.name.is.clone(), clauses, launched_as, place }
    }

    /// Counts signs, and whether they are not too many.
    fn fit(&self, more: usize, agent: &Agent, found: &mut Found) -> bool {
        let signs = self.signs.get().saturating_add(more);
        self.signs.set(signs);
        if signs > SIGNS {
            let message = format!("the agents have more than {SIGNS} signs together");
            let problem = Problem::new(agent.name.span, message, "by here, braces written out");
            found
                .add(problem.help("use `*` in place of braces, and a group in place of its users"));
        }
        signs <= SIGNS
    }

    /// The signs of one line, of which one is enough.
    fn signs(&self, line: &Line, found: &mut Found) -> Result<Vec<Sign>, Problem> {
        let all = |globs: Vec<_>, sign: fn(_) -> Sign| globs.into_iter().map(sign).collect();
        Ok(match line {
            Line::Exe(glob) => all(self.lists.globs(glob, Role::Program)?, Sign::Exe),
            Line::Script(glob) => all(self.lists.globs(glob, Role::Program)?, Sign::Script),
            Line::Cgroup(glob) => all(self.lists.globs(glob, Role::Cgroup)?, Sign::Cgroup),
            Line::Unit(unit) => all(self.unit(unit)?, Sign::Cgroup),
            Line::Container(ContainerKey::Id, id) => all(self.container(id)?, Sign::Cgroup),
            Line::Container(key, text) => {
                let label = match key {
                    ContainerKey::Image => Label::Image,
                    ContainerKey::Label(key) => Label::Key(key.clone()),
                    ContainerKey::Name | ContainerKey::Id => Label::Name,
                };
                vec![Sign::Container(label, text_glob(text, &text.is)?)]
            }
            Line::Args(words) => vec![Sign::Args(words_of(words)?)],
            Line::User(names) => names.iter().filter_map(|name| self.user(name, found)).collect(),
            Line::Env(variables) => variables.iter().map(variable).collect::<Result<_, _>>()?,
            // Read where the agent is: no signs that a process shows.
            Line::LaunchedAs(_) | Line::Agent(_) => Vec::new(),
        })
    }

    /// The cgroup of a unit, and those below it.
    fn unit(&self, unit: &At<String>) -> Result<Vec<super::glob::Glob>, Problem> {
        let kinds = [".service", ".scope", ".slice"];
        if unit.is.contains('/') || !kinds.iter().any(|kind| unit.is.ends_with(kind)) {
            let message = format!("{} is not the name of a unit", quote(&unit.is));
            let problem = Problem::new(unit.span, message, "a service, a scope or a slice");
            return Err(problem.help("write it with its kind, `worker@*.service`"));
        }
        self.subtree(unit, &unit.is)
    }

    /// The cgroup that container engines make for an id: `docker-ID.scope`, `libpod-ID.scope`,
    /// `cri-containerd-ID.scope`, `crio-ID.scope`, `nerdctl-ID.scope` under systemd, and `ID` alone under cgroupfs.
    fn container(&self, id: &At<String>) -> Result<Vec<super::glob::Glob>, Problem> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let stem = id.is.strip_suffix('*').unwrap_or(&id.is);
        if stem.len() < 12 || stem.len() > 64 || !stem.bytes().all(hex) {
            let message = format!("{} is not the id of a container", quote(&id.is));
            let problem = Problem::new(id.span, message, "12 to 64 of `0-9a-f`");
            return Err(problem.help("write its id, or the beginning of it and `*`"));
        }
        let engines = "{docker-,libpod-,cri-containerd-,crio-,nerdctl-}";
        let mut globs = self.subtree(id, &format!("{engines}{}.scope", id.is))?;
        globs.extend(self.subtree(id, &id.is)?);
        Ok(globs)
    }

    fn subtree(&self, text: &At<String>, name: &str) -> Result<Vec<super::glob::Glob>, Problem> {
        let mut globs = Vec::new();
        for below in ["", "/**"] {
            let is = format!("/**/{name}{below}");
            globs.extend(self.lists.globs(&At { is, span: text.span }, Role::Cgroup)?);
        }
        Ok(globs)
    }

    fn user(&self, name: &At<String>, found: &mut Found) -> Option<Sign> {
        if name.is.bytes().all(|byte| byte.is_ascii_digit()) {
            // The last number means "no user" to the kernel.
            let user = name.is.parse().ok().filter(|&user| user != u32::MAX);
            if user.is_none() {
                let message = format!("{} is not a user id", quote(&name.is));
                found.add(Problem::new(name.span, message, "at most 4294967294"));
            }
            return user.map(Sign::User);
        }
        let letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.$".contains(letter);
        if !name.is.chars().all(letter) {
            let message = format!("{} is not the name of a user", quote(&name.is));
            found.add(Problem::new(name.span, message, "letters, digits, `-`, `_` and `.`"));
            return None;
        }
        // The rules may be checked on another host than the one they are for.
        Some(self.users.get(&name.is).map_or_else(|| Sign::Stranger(name.is.clone()), Sign::User))
    }
}

/// `NAME` or `NAME=VALUE`.
fn variable(text: &At<String>) -> Result<Sign, Problem> {
    let (name, value) = match text.is.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (&*text.is, None),
    };
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(letter) || name.as_bytes()[0].is_ascii_digit() {
        let message = format!("{} is not the name of a variable", quote(name));
        let problem = Problem::new(text.span, message, "letters, digits and `_`");
        return Err(problem.help("write `NAME`, or `NAME=VALUE`"));
    }
    let value = value.map(|value| text_glob(text, value)).transpose()?;
    Ok(Sign::Env(name.to_owned(), value))
}

fn text_glob(text: &At<String>, pattern: &str) -> Result<TextGlob, Problem> {
    TextGlob::parse(pattern).map_err(|error| {
        let message = format!("{} is not a pattern", quote(pattern));
        Problem::new(text.span, message, error.message).help(error.help)
    })
}

fn stranger(sign: &Sign) -> Option<&str> {
    if let Sign::Stranger(user) = sign { Some(user) } else { None }
}

fn note(user: &str, agent: &model::Agent, users: &Users) -> Note {
    let meant = nearest(user, users.names()).map(|name| format!(" (did you mean `{name}`?)"));
    let meant = meant.unwrap_or_default();
    let message =
        format!("this host has no user {}{meant}: nobody is recognised by it", quote(user));
    Note { place: agent.place.clone(), message }
}

/// How an agent is launched is not a sign that the kernel could see together with others.
fn check_alone(name: &At<String>, agent: &Agent, found: &mut Found) {
    if agent.all && agent.lines.len() > 1 {
        let message = "`launched-as` cannot be combined with other signs";
        let problem = Problem::new(name.span, message, "under `all:`");
        found.add(problem.help("use `any:`; a launched agent needs no other sign"));
    }
}

fn is_group(agent: &Agent) -> bool {
    !agent.lines.is_empty() && agent.lines.iter().all(|line| matches!(line, Line::Agent(_)))
}

fn by_name<'a>(files: &'a [File], found: &mut Found) -> BTreeMap<&'a str, &'a Agent> {
    let mut by_name: BTreeMap<&str, &Agent> = BTreeMap::new();
    for agent in files.iter().flat_map(|file| &file.agents) {
        let name = &agent.name;
        if by_name.len() == NAMES {
            let message = format!("there are more than {NAMES} agents and groups");
            found.add(Problem::new(name.span, message, "one too many"));
            found.torn = true;
            break;
        }
        if agent.all && is_group(agent) {
            let problem =
                Problem::new(name.span, "a group of agents is made with `any:`", "not `all:`");
            found.add(problem.help("no process is two agents at once"));
        }
        if let Some(first) = by_name.get(&*name.is) {
            let message = format!("agent {} is defined twice", quote(&name.is));
            let problem = Problem::new(name.span, message, "here again");
            let problem = problem.also(first.name.span, "first here");
            found.add(problem.help("write all its signs in one place"));
        } else {
            by_name.insert(&name.is, agent);
        }
    }
    by_name
}

/// A name under which two agents are launched would be neither.
fn check_launched_as(files: &[File], found: &mut Found) {
    let agents = || files.iter().flat_map(|file| &file.agents);
    let mut taken: BTreeMap<&str, (&str, Span)> = BTreeMap::new();
    for agent in agents() {
        taken.entry(&agent.name.is).or_insert((&agent.name.is, agent.name.span));
    }
    for agent in agents() {
        for line in &agent.lines {
            let Line::LaunchedAs(name) = line else { continue };
            let owner = taken.entry(&name.is).or_insert((&agent.name.is, name.span));
            if owner.0 != agent.name.is {
                let message = format!("two agents are launched as {}", quote(&name.is));
                let other = format!("{} is, too", quote(owner.0));
                let label = format!("{} is", quote(&agent.name.is));
                found.add(Problem::new(name.span, message, label).also(owner.1, other));
            }
        }
    }
}

fn unknown<'a>(name: &At<String>, known: impl Iterator<Item = &'a str>, found: &mut Found) {
    let shipped = found.shipped.agents.iter().map(String::as_str);
    let known: Vec<&str> = known.map(|name| -> &str { name }).chain(shipped).collect();
    let meant = if found.is_flood() { None } else { nearest(&name.is, known).map(str::to_owned) };
    let message = format!("unknown agent {}", quote(&name.is));
    let problem = Problem::new(name.span, message, "no agent with this name in any file");
    found.add_unknown(problem.meant(meant, None));
}

/// `all:` with lines that have alternatives: a clause for every choice.
fn product(alternatives: &[Vec<Sign>], agent: &Agent, found: &mut Found) -> Vec<Vec<Sign>> {
    if alternatives.len() > LINES {
        let message = format!("agent {} has too many lines", quote(&agent.name.is));
        let label = format!("more than {LINES} under `all:`");
        found.add(Problem::new(agent.name.span, message, label).help("leave some of them out"));
        return Vec::new();
    }
    let mut clauses = vec![Vec::new()];
    for signs in alternatives {
        if clauses.len().saturating_mul(signs.len()) > CLAUSES {
            let message =
                format!("agent {} has too many combinations of signs", quote(&agent.name.is));
            let label = format!("more than {CLAUSES} of them");
            let problem = Problem::new(agent.name.span, message, label);
            found.add(problem.help("write fewer users, fewer braces or fewer lines"));
            return Vec::new();
        }
        let with = |clause: &Vec<Sign>| {
            let clause = clause.clone();
            signs.iter().map(move |sign| [clause.as_slice(), std::slice::from_ref(sign)].concat())
        };
        clauses = clauses.iter().flat_map(with).collect();
    }
    // An agent that is only launched shows no signs.
    clauses.retain(|clause| !clause.is_empty());
    clauses
}
