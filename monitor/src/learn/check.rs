//! Check: a proposal is not handed out before the loader has read it and the evaluator has judged what was seen.
//!
//! The same loader and evaluator that will judge the agent. What they say against a proposal is our mistake and
//! nobody else's.

use crate::{
    learn::{
        Learned,
        seen::{Key, name_of},
    },
    rules::{
        self, Problems, SourceFile, Users,
        evaluate::{Attempt, is_hit},
        model::{Moment, RuleSet},
    },
};

/// What is wrong with a proposal.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// It cannot be read.
    #[error("the proposal does not load; with these recordings, please report it\n{}", .0.render(false))]
    Unreadable(Problems),
    /// It stops what it was learned from.
    #[error(
        "the proposal stops what it was learned from; with these recordings, please report it: {0}"
    )]
    Stops(String),
}

impl Learned {
    /// A rule file about this that is good together with `others`, and their rules. The agent is defined in it
    /// unless the others, or what is shipped, know it.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn proposal(
        &self,
        others: &[SourceFile],
        users: &Users,
        now: Moment,
    ) -> Result<(String, RuleSet), Flaw> {
        let text = self.text(true);
        match self.check(&text, others, users, now) {
            Ok(rules) => Ok((text, rules)),
            Err(Flaw::Stops(what)) => Err(Flaw::Stops(what)),
            Err(Flaw::Unreadable(_)) => {
                let text = self.text(false);
                self.check(&text, others, users, now).map(|rules| (text, rules))
            }
        }
    }

    /// Whether `text`, a file of rules about this, loads together with `others`, and stops of what was seen only
    /// what was left out.
    ///
    /// # Errors
    ///
    /// Where it does not.
    pub(super) fn check(
        &self,
        text: &str,
        others: &[SourceFile],
        users: &Users,
        now: Moment,
    ) -> Result<RuleSet, Flaw> {
        let name = "the proposal".to_owned();
        let own = SourceFile { name: name.clone(), text: text.as_bytes().to_vec() };
        let files = [others, &[own]].concat();
        let rules = rules::load_with(&rules::shipped::files(), &files, users, now)
            .map_err(Flaw::Unreadable)?;
        let left_out: Vec<&Key> = self.left_out.iter().map(|one| &one.key).collect();
        for key in self.seen.all.keys().filter(|key| left_out.binary_search(key).is_err()) {
            if let Some(rule) = self.stopped_by(&rules, key, &name, now) {
                let what = format!("{} {} ({rule})", key.act.name(), name_of(&key.object));
                return Err(Flaw::Stops(what));
            }
        }
        Ok(rules)
    }

    fn stopped_by(&self, rules: &RuleSet, key: &Key, file: &str, now: Moment) -> Option<String> {
        let agent = rules.agents.iter().position(|agent| agent.name == self.agent)?;
        let agents = [agent];
        let attempt = Attempt::new(&agents, key.act, &key.object, now);
        let own = rules.rules.iter().filter(|rule| &*rule.place.file == file);
        let mut hit = own.filter(|rule| is_hit(rule, &self.seen.homes[key.homes], &attempt));
        hit.next().map(|rule| rule.id.clone())
    }
}
