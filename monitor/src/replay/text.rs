//! A report as a person reads it.

use std::fmt::{self, Display};

use super::report::{Difference, Example, Group, Report, Stop, Stops};
use crate::counted::{count, many};

/// A report, and what is compared.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The report.
    pub report: &'a Report,
    /// `as if every rule were enforced`
    pub how: &'a str,
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { recordings, acts, sessions, unknown_agents, .. } = self.report;
        let recordings = count(recordings.len(), "recording");
        let (acts, sessions) = (many(*acts, "act"), count(*sessions, "session"));
        writeln!(f, "{recordings}, {acts} of {sessions}, {}", self.how)?;
        for (agent, acts) in unknown_agents {
            let acts = many(*acts, "act");
            writeln!(f, "not judged: {acts} of `{agent}`, an agent that the rules do not know")?;
        }
        for note in &self.report.notes {
            writeln!(f, "note: {note}")?;
        }
        if self.report.forgotten > 0 {
            let begun = many(self.report.forgotten, "sequence");
            writeln!(f, "note: {begun} begun and forgotten: there were too many at once")?;
        }
        self.differences(f)?;
        self.stops(
            f,
            &self.report.stopped,
            "Sessions that would be stopped and went on",
            |group| group.now,
        )?;
        self.stops(
            f,
            &self.report.released,
            "Sessions that would go on and were stopped",
            |group| group.before,
        )?;
        let Report { differing, judged, .. } = self.report;
        writeln!(f, "\nDecisions that differ: {differing} of {judged}")
    }
}

impl Shown<'_> {
    fn differences(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = None;
        for difference in &self.report.differences {
            let Difference { group, place, count, first } = difference;
            if last != Some(&group.rule) {
                let rule = group.rule.as_deref().unwrap_or("no rule");
                writeln!(f, "\n{rule}  {}", place.as_deref().unwrap_or_default())?;
                last = Some(&group.rule);
            }
            let times = if *count == 1 { String::new() } else { format!("  {count} times") };
            let (before, now) = (group.before, group.now);
            writeln!(
                f,
                "  {} {} {}  {before} -> {now}{times}",
                group.agent, group.act, group.object
            )?;
            writeln!(f, "    first {}", self.example(first))?;
        }
        match self.report.not_described {
            0 => Ok(()),
            more => writeln!(f, "\nand {} of other objects", many(more, "decision")),
        }
    }

    fn stops(
        &self,
        f: &mut fmt::Formatter<'_>,
        stops: &Stops,
        what: &str,
        verdict: fn(&Group) -> &'static str,
    ) -> fmt::Result {
        if stops.count == 0 {
            return Ok(());
        }
        writeln!(f, "\n{what}: {}", stops.count)?;
        for Stop { group, act } in &stops.first {
            let rule = group.rule.as_deref().map(|id| format!(" by {id}")).unwrap_or_default();
            let (agent, done, object) = (&group.agent, group.act, &group.object);
            writeln!(f, "  {} of {agent}: {}{rule}, {done} {object}", act.session, verdict(group))?;
            writeln!(f, "    {}", self.example(act))?;
        }
        match stops.count - stops.first.len() {
            0 => Ok(()),
            more => writeln!(f, "  and {} more", count(more, "session")),
        }
    }

    fn example(&self, example: &Example) -> String {
        let Example { recording, time, session, pid, exe, argv } = example;
        let exe = exe.as_deref().unwrap_or("a program that is not known");
        let words = match argv.is_empty() {
            true => String::new(),
            false => format!(", `{}`", argv.join(" ")),
        };
        let time = time.strftime("%Y-%m-%d %H:%M:%S%.3fZ");
        let file = match &*self.report.recordings {
            [_] => String::new(),
            several => several.get(*recording).map(|file| format!(", {file}")).unwrap_or_default(),
        };
        format!("{time} by {exe} (pid {pid}, session {session}){words}{file}")
    }
}
