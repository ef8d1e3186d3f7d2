//! The facts for people: one screen.

use std::fmt;

use super::{Can, Facts, Half, advice, advice::remarks};
use crate::kernel::Rung;

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types = match &self.without_types {
            None => "with type information",
            Some(_) => "WITHOUT usable type information",
        };
        writeln!(f, "kernel     {}, {types}", self.kernel)?;
        let modules = match &self.modules {
            Some(modules) => modules.join(","),
            None => "the list cannot be read".to_owned(),
        };
        writeln!(f, "modules    {modules}")?;
        let rights = match self.missing_capabilities.join(", ") {
            missing if missing.is_empty() => "all that are needed".to_owned(),
            missing => format!("MISSING {missing}"),
        };
        writeln!(f, "rights     {rights}")?;
        self.cgroup(f)?;
        match (&self.half, &self.without_half) {
            (Some(half), _) => write!(f, "{half}")?,
            (None, Some(why)) => writeln!(f, "tier       NONE: {why}")?,
            (None, None) => writeln!(f, "tier       not known")?,
        }
        self.agents(f)?;
        if let Some(rules) = &self.rules {
            writeln!(f, "\nrules, on the {} tier", rules.tier)?;
            rules.body(f)?;
        }
        self.ending(f)
    }
}

impl Facts {
    fn cgroup(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.cgroup.as_deref().unwrap_or("not mounted");
        let need = match &self.half {
            Some(half) if half.needs_cgroup() && self.cgroup.is_none() => {
                ", and the daemon does not start without it here"
            }
            Some(half) if half.needs_cgroup() => "",
            Some(_) => " (not needed on this tier)",
            None => "",
        };
        writeln!(f, "cgroup v2  {place}{need}")
    }

    fn agents(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nagents on this host")?;
        if self.agents.is_empty() {
            writeln!(f, "  none that is known")?;
        }
        for known in &self.agents {
            let by = known.by.join(", ");
            let weak = if known.weak { " (weak)" } else { "" };
            let state = match (&known.installed, known.running) {
                (Some(path), 0) => format!("installed, {path}"),
                (_, 1) => "1 process now".to_owned(),
                (_, running) => format!("{running} processes now"),
            };
            writeln!(f, "  {:<16} {state}, by {by}{weak}", known.agent)?;
        }
        Ok(())
    }

    fn ending(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remarks = remarks(self);
        if !remarks.is_empty() {
            writeln!(f, "\nto be known")?;
            remarks.iter().try_for_each(|remark| writeln!(f, "  {remark}"))?;
        }
        let advice = advice(self);
        if advice.is_empty() {
            return writeln!(f, "\nnothing is worth doing");
        }
        writeln!(f, "\nworth doing")?;
        for advice in advice {
            writeln!(f, "  {}\n    {}", advice.what, advice.fix)?;
        }
        Ok(())
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.rung {
            Rung::Lsm | Rung::ModifyReturn => "a file was opened, and a program on that hook ran",
            Rung::Tracepoints => "no better one bears",
        };
        writeln!(f, "tier       {}, by {}: {how}", self.tier, self.rung.name())?;
        for step in &self.broken {
            writeln!(f, "           not by {}: {}", step.rung.name(), step.why)?;
        }
        let there = self.wanted - self.missing.len();
        writeln!(f, "hooks      {there} of {}", self.wanted)?;
        for missing in &self.missing {
            let acts = missing.acts.join(", ");
            writeln!(f, "           missing {} ({acts}): {}", missing.hook, missing.why)?;
        }
        writeln!(f)?;
        for ability in &self.acts {
            let can = match ability.can {
                Can::Refuse => "refused before it happens",
                Can::Kill => "killed after it happened",
                Can::Nothing => "NOT SEEN",
            };
            write!(f, "{:<9}  {can}", ability.act)?;
            match ability.unseen {
                Some(unseen) if ability.can != Can::Nothing => writeln!(f, "; not seen: {unseen}")?,
                _ => writeln!(f)?,
            }
        }
        Ok(())
    }
}
