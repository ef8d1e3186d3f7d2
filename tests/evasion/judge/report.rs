//! The table: on a terminal as it grows, and as Markdown for the README.

use serde_json::json;

use crate::{
    row::{Expect, Later},
    verdict::{Class, Compared, Judged},
};

/// All rows so far.
pub(crate) struct Report {
    tier: String,
    kernel: String,
    judged: Vec<Judged>,
    later: Vec<Later>,
}

impl Report {
    /// An empty one, for the running kernel.
    pub(crate) fn new(tier: String, later: Vec<Later>) -> Self {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let kernel = release.split('.').take(2).collect::<Vec<_>>().join(".");
        Self { tier, kernel, judged: Vec::new(), later }
    }

    /// Adds a row and prints it.
    pub(crate) fn add(&mut self, judged: Judged, as_json: bool) {
        if as_json {
            println!("{}", self.json(&judged));
        } else {
            if self.judged.is_empty() {
                println!("kernel {}, tier {}\n", self.kernel, self.tier);
            }
            println!("{}", self.line(&judged));
        }
        self.judged.push(judged);
    }

    /// Whether no row was worse than stated.
    pub(crate) fn is_good(&self) -> bool {
        self.judged.iter().all(|judged| self.compared(judged) != Compared::Worse)
    }

    fn expect<'a>(&self, judged: &'a Judged) -> &'a Expect {
        if self.tier.starts_with("prevent") { &judged.row.prevent } else { &judged.row.react }
    }

    fn compared(&self, judged: &Judged) -> Compared {
        judged.compared(self.expect(judged))
    }

    /// One word for what came of it.
    fn word(&self, judged: &Judged) -> &'static str {
        match (&judged.class, self.expect(judged)) {
            (Class::CannotRun(_), _) => "cannot run",
            (Class::Stopped, _) => "stopped",
            (Class::Seen | Class::Missed, Expect::Limit(_)) => "limit",
            (Class::Seen, _) => "seen",
            (Class::Missed, _) => "MISSED",
            (Class::Unclear, _) => "UNCLEAR",
        }
    }

    /// How it ended, who told of it, and why it is no better.
    fn remark(&self, judged: &Judged) -> String {
        let expect = self.expect(judged);
        let mut parts = Vec::new();
        match &judged.class {
            Class::CannotRun(why) => parts.push(why.clone()),
            _ => parts.push(judged.ended.clone()),
        }
        if !judged.alerts.is_empty() {
            parts.push(judged.alerts.join(", "));
        } else if judged.class == Class::Stopped {
            parts.push("no alert".to_owned());
        }
        match (expect, &judged.class) {
            (_, Class::CannotRun(_)) if !judged.row.needs.is_empty() => {
                parts.push(format!("needs {}", judged.row.needs));
            }
            (Expect::Seen(why) | Expect::Limit(why), Class::Seen | Class::Missed) => {
                parts.push(why.clone());
            }
            _ => {}
        }
        match self.compared(judged) {
            Compared::Better => parts.push("BETTER than stated".to_owned()),
            Compared::Worse => parts.push("WORSE than stated".to_owned()),
            Compared::AsStated => {}
        }
        parts.join("; ")
    }

    fn line(&self, judged: &Judged) -> String {
        let (row, word) = (&judged.row, self.word(judged));
        format!("{:<5} {:<10} {:<58} {}", row.id, word, row.title, self.remark(judged))
    }

    fn json(&self, judged: &Judged) -> serde_json::Value {
        json!({
            "kernel": self.kernel, "tier": self.tier, "id": judged.row.id, "title": judged.row.title,
            "outcome": self.word(judged), "ended": judged.ended, "alerts": judged.alerts,
            "remark": self.remark(judged), "as_stated": self.compared(judged) != Compared::Worse,
        })
    }

    fn count(&self, word: &str) -> usize {
        self.judged.iter().filter(|judged| self.word(judged) == word).count()
    }

    /// One line that sums it up, and what is worse or better than stated.
    pub(crate) fn summary(&self) -> String {
        let mut text = format!("\n{}\n", self.counts());
        for (compared, what) in
            [(Compared::Worse, "worse than stated"), (Compared::Better, "better than stated")]
        {
            let rows = self.judged.iter().filter(|judged| self.compared(judged) == compared);
            let ids: Vec<_> = rows.map(|judged| judged.row.id.as_str()).collect();
            if !ids.is_empty() {
                text.push_str(&format!("{what}: {}\n", ids.join(" ")));
            }
        }
        text
    }

    fn counts(&self) -> String {
        let run = self.judged.len() - self.count("cannot run");
        let bad = ["MISSED", "UNCLEAR"].into_iter().filter(|word| self.count(word) > 0);
        let missed: String = bad.map(|word| format!(", {} {word}", self.count(word))).collect();
        format!(
            "{run} techniques: {} stopped, {} seen, {} limits{missed}; {} cannot run here, {} rows later",
            self.count("stopped"),
            self.count("seen"),
            self.count("limit"),
            self.count("cannot run"),
            self.later.len()
        )
    }

    /// Name of the file for this kernel and tier: `6.12-prevent-by-fmod_ret.md`.
    pub(crate) fn file_name(&self) -> String {
        format!("{}-{}.md", self.kernel, self.tier.replace(' ', "-"))
    }

    /// The table as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "# Evasion on Linux {}, tier {}\n\nWritten by `cargo xtask evasion`. {}.\n\n\
             | id | technique | outcome | how |\n|---|---|---|---|\n",
            self.kernel,
            self.tier,
            self.counts()
        );
        for judged in &self.judged {
            let cells =
                [&judged.row.id, &judged.row.title, self.word(judged), &self.remark(judged)];
            text.push_str(&format!(
                "| {} |\n",
                cells.map(|cell| cell.replace('|', "\\|")).join(" | ")
            ));
        }
        text.push_str("\nNot tried:\n\n| id | technique | why |\n|---|---|---|\n");
        for later in &self.later {
            text.push_str(&format!("| {} | {} | {} |\n", later.id, later.title, later.why));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;

    fn judged(id: &str, class: Class, react: Expect) -> Judged {
        let row = Row {
            id: id.to_owned(),
            title: "a | b".to_owned(),
            canary: "secret".to_owned(),
            needs: "a ring".to_owned(),
            prevent: Expect::Stopped,
            react,
            early: false,
            guest_only: false,
        };
        let alerts = match class {
            Class::Seen => vec!["kill read by credentials".to_owned()],
            _ => Vec::new(),
        };
        Judged { row, class, ended: "done".to_owned(), alerts }
    }

    fn report(tier: &str) -> Report {
        let limit = Expect::Limit("too late".to_owned());
        let mut report = Report::new(tier.to_owned(), Vec::new());
        report.kernel = "6.18".to_owned();
        report.judged = vec![
            judged("F01", Class::Stopped, Expect::Stopped),
            judged("F02", Class::Missed, limit.clone()),
            judged("F03", Class::Seen, Expect::Seen("in between".to_owned())),
            judged("F04", Class::CannotRun("no such call".to_owned()), Expect::Stopped),
            judged("F05", Class::Stopped, limit),
        ];
        report
    }

    #[test]
    fn a_row_counts_as_what_was_stated_for_the_tier() {
        let react = report("react");
        assert!(react.is_good());
        assert_eq!(
            react.summary(),
            "\n4 techniques: 2 stopped, 1 seen, 1 limits; 1 cannot run here, 0 rows later\n\
             better than stated: F05\n"
        );
        let prevent = report("prevent");
        assert!(!prevent.is_good());
        assert_eq!(
            prevent.summary(),
            "\n4 techniques: 2 stopped, 1 seen, 0 limits, 1 MISSED; 1 cannot run here, 0 rows later\n\
             worse than stated: F02 F03\n"
        );
    }

    #[test]
    fn the_table_says_how_and_why() {
        let text = report("react").markdown();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| F")).collect();
        assert_eq!(
            rows,
            [
                "| F01 | a \\| b | stopped | done; no alert |",
                "| F02 | a \\| b | limit | done; too late |",
                "| F03 | a \\| b | seen | done; kill read by credentials; in between |",
                "| F04 | a \\| b | cannot run | no such call; needs a ring |",
                "| F05 | a \\| b | stopped | done; no alert; BETTER than stated |",
            ]
        );
    }
}
