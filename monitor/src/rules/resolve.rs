//! Resolve: what was written in all files becomes one [`RuleSet`].
//!
//! Every name is looked up here, every default filled in, and everything that is wrong between two
//! places is found. Nothing is left out in silence: what cannot be resolved is a problem.

use std::collections::{BTreeMap, BTreeSet};

use monitor_common::{Act, Verdict};

use super::{
    Users,
    agents::{Agents, agents},
    destination::End,
    lists::{Lists, Role},
    model::{self, AgentIndex, Mode, Moment, Objects, RuleSet},
    near::nearest,
    problem::{Found, Problem, quote},
    source::{At, Sources, Span},
    written::{Exception, File, Item, Rule, Step},
};

/// Makes a rule set of all files. It means something only if no problem was found.
pub(super) fn resolve(
    files: &[File],
    sources: &Sources,
    users: &Users,
    now: Moment,
    found: &mut Found,
) -> RuleSet {
    let lists = Lists::new(files, sources, found);
    let agents = agents(files, &lists, users, sources, found);
    let mut resolver = Resolver { sources, lists, agents, now, ids: BTreeMap::new(), found };
    let mut rules = Vec::new();
    for file in files {
        for rule in &file.rules {
            rules.push(resolver.rule(rule, file.mode));
        }
    }
    for id in files.iter().flat_map(|file| &file.refused) {
        resolver.ids.entry(&id.is).or_insert(Known { span: id.span, act: None });
    }
    let grants = resolver.grants(files, &mut rules);
    let tests = resolver.tests(files);
    resolver.lists.check_unused(resolver.found);
    let Resolver { lists, agents, .. } = resolver;
    let mut notes = agents.notes;
    notes.extend(rules.iter().flat_map(|rule| ending(rule, now)));
    let (files, lists) = (files.len(), lists.len());
    RuleSet { agents: agents.all, rules, tests, notes, grants, files, lists }
}

/// Days before the end of an exception from which on somebody should know of it.
const NOTICE: i64 = 14;

/// What should be known of the exceptions of a rule.
fn ending(rule: &model::Rule, now: Moment) -> Vec<model::Note> {
    let note = |exception: &model::Exception| {
        let until = exception.until?;
        let left = until.duration_since(now);
        let what = match &exception.grant {
            Some(grant) => format!("grant {} of rule {}", quote(&grant.id), quote(&rule.id)),
            None => format!("an exception of rule {}", quote(&rule.id)),
        };
        let message = match left.as_hours() {
            _ if until <= now => format!("{what} has ended at {until}: take it out"),
            hours if hours < NOTICE * 24 => format!("{what} ends at {until}"),
            _ => return None,
        };
        Some(model::Note { place: exception.place.clone(), message })
    };
    rule.exceptions.iter().filter_map(note).collect()
}

/// A rule that a test or a grant may name.
pub(super) struct Known {
    pub(super) span: Span,
    /// None if the rule was refused.
    pub(super) act: Option<Act>,
}

pub(super) struct Resolver<'a, 'f> {
    pub(super) sources: &'a Sources,
    pub(super) lists: Lists<'a>,
    pub(super) agents: Agents<'a>,
    pub(super) now: Moment,
    pub(super) ids: BTreeMap<&'a str, Known>,
    pub(super) found: &'f mut Found,
}

impl<'a> Resolver<'a, '_> {
    fn rule(&mut self, rule: &'a Rule, mode: Mode) -> model::Rule {
        self.take_id(rule);
        let agents = self.named(&rule.agents);
        let body = &rule.body;
        let exceptions = body.exceptions.iter();
        model::Rule {
            id: rule.id.is.clone(),
            title: rule.title.clone(),
            agents,
            act: body.act,
            sense: body.sense,
            objects: self.objects(body.act, &body.objects),
            exceptions: exceptions.map(|exception| self.exception(body.act, exception)).collect(),
            before: body.before.as_ref().map(|before| model::Before {
                within: before.within,
                by: before.by,
                steps: before.steps.iter().map(|step| self.step(step)).collect(),
            }),
            action: rule.action,
            ask: rule.ask.clone(),
            fallback: match rule.action {
                Verdict::Deny | Verdict::Ask => rule.fallback.unwrap_or(Verdict::Alert),
                other => other,
            },
            mode: rule.mode.unwrap_or(mode),
            severity: rule.severity,
            help: rule.help.clone(),
            runbook: rule.runbook.clone(),
            tags: rule.tags.clone(),
            place: self.sources.place(rule.id.span),
        }
    }

    /// The agents that names stand for, sorted, each once.
    pub(super) fn named(&mut self, names: &[At<String>]) -> Vec<AgentIndex> {
        let agents: BTreeSet<_> =
            names.iter().flat_map(|name| self.agents.named(name, self.found)).collect();
        agents.into_iter().collect()
    }

    fn step(&mut self, step: &'a Step) -> model::Step {
        let objects = self.objects(step.act, &step.objects);
        model::Step { act: step.act, sense: step.sense, objects }
    }

    fn take_id(&mut self, rule: &'a Rule) {
        let id = &rule.id;
        if let Some(first) = self.ids.get(&*id.is) {
            let message = format!("rule {} is defined twice", quote(&id.is));
            let problem =
                Problem::new(id.span, message, "here again").also(first.span, "first here");
            self.found.add(problem.help("give one of them another id"));
        } else {
            self.ids.insert(&id.is, Known { span: id.span, act: Some(rule.body.act) });
        }
    }

    pub(super) fn objects(&mut self, act: Act, written: &'a [Item]) -> Objects {
        let (lists, found) = (&mut self.lists, &mut *self.found);
        match act {
            Act::Exec => Objects::Programs(lists.programs(written, found)),
            Act::Read | Act::Write => Objects::Paths(lists.paths(written, Role::File, found)),
            Act::Connect => Objects::Destinations(lists.destinations(written, End::Peer, found)),
            Act::Listen => Objects::Destinations(lists.destinations(written, End::Own, found)),
            Act::Privilege => Objects::Privileges(lists.privileges(written, found)),
        }
    }

    fn exception(&mut self, act: Act, exception: &'a Exception) -> model::Exception {
        model::Exception {
            objects: self.objects(act, &exception.objects),
            exe: self.lists.paths(&exception.exe, Role::Trusted, self.found),
            reason: exception.reason.clone(),
            until: exception.until.as_ref().map(|until| until.is),
            grant: None,
            place: self.sources.place(exception.span),
        }
    }

    /// The rule that a test or a grant names.
    pub(super) fn known(&mut self, rule: &At<String>) -> Option<&Known> {
        if !self.ids.contains_key(&*rule.is) {
            let meant =
                nearest(&rule.is, self.ids.keys().copied()).filter(|_| !self.found.is_flood());
            let message = format!("unknown rule {}", quote(&rule.is));
            let problem = Problem::new(rule.span, message, "no rule with this id in any file");
            self.found.add_unknown(problem.meant(meant, None));
        }
        self.ids.get(&*rule.is)
    }
}
