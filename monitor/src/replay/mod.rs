//! Replay: what rules say of acts that were recorded, and how that differs from what was done, or from what other
//! rules say.
//!
//! It is fed one entry at a time ([`Replay::take`]) and keeps what differs, not what it was fed. [`judge`] decides,
//! [`report`] is what came of it, [`text`] shows it. Pure: no I/O, no clock; the time is the recording's.

pub mod judge;
pub mod report;
mod text;

pub use self::{
    judge::{Decision, Judge, enforced},
    report::{Difference, Example, Report, Stop},
    text::Shown,
};

use monitor_common::Verdict;

use crate::{
    recording::{Entry, Heading},
    rules::model::RuleSet,
};

/// Two sides of a comparison, and what was found so far.
#[derive(Debug)]
pub struct Replay<'a> {
    rules: &'a RuleSet,
    against: Option<&'a RuleSet>,
    now: Option<Judge<'a>>,
    before: Option<Judge<'a>>,
    report: Report,
}

impl<'a> Replay<'a> {
    /// Compares `rules` with what was done or, where there are others, with what those say.
    #[must_use]
    pub fn new(rules: &'a RuleSet, against: Option<&'a RuleSet>) -> Self {
        Self { rules, against, now: None, before: None, report: Report::default() }
    }

    /// A recording begins. Nothing that happened in another one is a step of a sequence in it.
    pub fn begin(&mut self, name: &str, heading: &Heading) {
        self.keep_count();
        self.now = Some(Judge::new(self.rules, heading));
        self.before = self.against.map(|rules| Judge::new(rules, heading));
        self.report.begin(name, heading.started);
    }

    /// Judges an act. [`Self::begin`] must have been called.
    pub fn take(&mut self, entry: &Entry) {
        let now = self.now.as_mut().and_then(|judge| judge.decide(entry));
        let before = match (&mut self.before, entry.done()) {
            (Some(judge), _) => judge.decide(entry),
            (None, done) => done.map(|verdict| Decision { verdict, rule: None }),
        };
        self.report.acts += 1;
        self.report.saw_session(&entry.session);
        // With two sets of rules, an agent that one of them does not know is allowed everything by it.
        let (now, before) = match (now, before) {
            (None, Some(_)) if self.against.is_none() => return self.report.unknown(entry),
            (None, None) => return self.report.unknown(entry),
            (now, before) => (now.unwrap_or_default(), before.unwrap_or_default()),
        };
        self.report.judged += 1;
        if now.verdict == before.verdict {
            return;
        }
        let place = |rules: Option<&'a RuleSet>, decision: Decision| {
            let rule = &rules?.rules[decision.rule?];
            Some((rule.id.as_str(), &rule.place))
        };
        let (by, was_by) = (place(Some(self.rules), now), place(self.against, before));
        self.report.differs(entry, (before.verdict, was_by), (now.verdict, by));
    }

    /// What was found.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.keep_count();
        self.report.sort();
        self.report
    }

    fn keep_count(&mut self) {
        let judges = [self.now.take(), self.before.take()];
        self.report.forgotten += judges.iter().flatten().map(Judge::forgotten).sum::<u64>();
    }
}

/// Whether an act does not go on as it was meant to: it waits, fails, or is the process's last.
#[must_use]
pub fn stops(verdict: Verdict) -> bool {
    verdict >= Verdict::Ask
}

#[cfg(test)]
pub(crate) mod tests;
