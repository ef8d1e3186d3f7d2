//! Grants: permissions that a person gave for a while become exceptions of the rule that they lift.
//!
//! Part of [`super::resolve`].

use std::collections::BTreeMap;

use super::{
    model::{self, Moment},
    problem::{Problem, quote},
    resolve::Resolver,
    source::Span,
    written::{File, Grant},
};

/// Days that a grant may last.
const DAYS: i64 = 30;

impl<'a> Resolver<'a, '_> {
    /// Puts the grants of all files into their rules and says how many there are.
    pub(super) fn grants(&mut self, files: &'a [File], rules: &mut [model::Rule]) -> usize {
        let mut ids: BTreeMap<&str, Span> = BTreeMap::new();
        let mut slots = 0..;
        for grant in files.iter().flat_map(|file| &file.grants) {
            if let Some(&first) = ids.get(&*grant.id.is) {
                let message = format!("grant {} is given twice", quote(&grant.id.is));
                let problem = Problem::new(grant.id.span, message, "here again");
                self.found
                    .add(problem.also(first, "first here").help("give one of them another id"));
            }
            ids.entry(&grant.id.is).or_insert(grant.id.span);
            self.check_end(grant);
            if let Some(mut exception) = self.grant(grant, rules)
                && let Some(rule) = rules.iter_mut().find(|rule| rule.id == grant.rule.is)
            {
                self.number(&mut exception, &mut slots);
                rule.exceptions.push(exception);
            }
        }
        ids.len()
    }

    fn grant(&mut self, grant: &'a Grant, rules: &[model::Rule]) -> Option<model::Exception> {
        let agents = self.named(&grant.agents);
        let known = self.known(&grant.rule)?;
        let span = known.span;
        if known.act.is_some_and(|act| act != grant.act.is) {
            let (is, granted) = (known.act?.name(), grant.act.is.name());
            let message = format!("grant {} cannot lift this rule", quote(&grant.id.is));
            let problem = Problem::new(grant.act.span, message, format!("a grant of `{granted}`"));
            self.found.add(problem.also(span, format!("a rule about `{is}`")));
            return None;
        }
        let rule = rules.iter().find(|rule| rule.id == grant.rule.is)?;
        if rule.before.is_some() {
            let message = format!("rule {} is a sequence", quote(&rule.id));
            let problem = Problem::new(grant.rule.span, message, "sequences have no exceptions");
            self.found.add(problem.help("grant the step that a rule of its own forbids"));
        }
        if let Some(&other) = agents.iter().find(|agent| rule.agents.binary_search(agent).is_err())
        {
            let name = self.agents.all[other].name.clone();
            let message = format!("rule {} does not hold for {}", quote(&rule.id), quote(&name));
            let at =
                grant.agents.iter().find(|written| written.is == name).or(grant.agents.first());
            let problem = Problem::new(at?.span, message, "there is nothing to lift");
            self.found.add(problem.also(span, "the rule").help("leave this agent out"));
        }
        let (id, by) = (grant.id.is.clone(), grant.by.clone());
        let uses = grant.uses.map(|limit| model::Uses { limit, slot: 0 });
        Some(model::Exception {
            objects: self.objects(grant.act.is, &grant.objects),
            exe: Vec::new(),
            reason: grant.reason.clone(),
            until: Some(grant.until.is),
            grant: Some(model::Grant { id, agents, by, uses }),
            place: self.sources.place(grant.id.span),
        })
    }

    /// Where its uses are counted. Those of one that has ended are not.
    fn number(&self, exception: &mut model::Exception, slots: &mut impl Iterator<Item = u16>) {
        let lasts = exception.until.is_some_and(|until| self.now < until);
        let uses = exception.grant.as_mut().and_then(|grant| grant.uses.as_mut());
        if let Some(uses) = uses.filter(|_| lasts)
            && let Some(slot) = slots.next()
        {
            uses.slot = slot;
        }
    }

    fn check_end(&mut self, grant: &Grant) {
        let latest: Moment = self
            .now
            .saturating_add(jiff::SignedDuration::from_hours(DAYS * 24))
            .unwrap_or(Moment::MAX);
        if grant.until.is > latest {
            let message = format!("grant {} ends too late", quote(&grant.id.is));
            let label = format!("more than {DAYS} days from now");
            let problem = Problem::new(grant.until.span, message, label);
            self.found.add(problem.help("what is needed for longer is an exception of the rule"));
        }
    }
}
