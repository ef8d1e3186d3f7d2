//! Proposal: what was learned as the text of a rule file.
//!
//! Everything that comes from a recording is an agent's to choose, file names above all. So it gets into the text
//! only as a quoted scalar without control characters, or in a comment on one line.

use monitor_common::Act;

use super::{
    ACTS, Learned, LeftOut, Line, Why,
    general::Evidence,
    pattern::Pattern,
    seen::{name_of, names, shown, times},
};

/// The column at which the comment behind a line begins, where the line is shorter.
const COLUMN: usize = 60;
/// The same of what is told.
const SAID: usize = 44;
/// The format allows 64 letters in an id, and this much is ours: `learned--write-secrets`.
const LONGEST_NAME: usize = 64 - 22;

impl Learned {
    /// The rule file. `known` says that other rules know the agent; otherwise it is the one that is launched
    /// under its name.
    #[must_use]
    pub fn text(&self, known: bool) -> String {
        let mut text = self.header();
        text += "version: 1\nmode: monitor\n";
        if !known {
            let agent = &self.agent;
            text += &format!("\nagents:\n  {agent}:\n    any:\n      - launched-as: {agent}\n");
        }
        text += "\nrules:\n";
        let rules: Vec<String> = ACTS.iter().filter_map(|act| self.rule(*act)).collect();
        let shut = self.shut.iter().map(|(act, items)| self.shut_rule(*act, items));
        let rights = self.rights_rule();
        text += &rules.into_iter().chain(shut).chain(rights).collect::<Vec<String>>().join("\n");
        text + &self.footer()
    }

    fn header(&self) -> String {
        let mut text = format!(
            "# What {} did, as rules. Proposed by `driftwatch learn` from\n",
            shown(self.agent.as_bytes())
        );
        for source in &self.seen.sources {
            let acts = super::seen::count(source.acts, "act");
            let sessions = super::seen::count(source.sessions as u64, "session");
            text += &format!(
                "#   {}  (host {}, {}, {acts}, {sessions})\n",
                shown(source.name.as_bytes()),
                shown(source.host.as_bytes()),
                source.started
            );
        }
        if !self.projects.is_empty() {
            text += &format!("# Projects: {}\n", self.projects.join(", "));
        }
        text += "#\n# Nothing is refused yet. Go on like this:\n\
            #   1. Read it: behind each line is how often that was done, and by which programs. Take out what the\n\
            #      agent had no business with; widen what is too narrow.\n\
            #   2. Try it on other recordings: `driftwatch replay other.jsonl --rules FILE`. Add what is missing.\n\
            #   3. Let it run with mode: monitor until the alerts are worth one. Then write mode: enforce.\n";
        text
    }

    /// The rule that allows what was seen of one act.
    fn rule(&self, act: Act) -> Option<String> {
        let mut text = format!(
            "  - id: {}\n    title: {}\n    agents: [{}]\n    {}:\n",
            self.id(act, ""),
            title(act),
            self.agent,
            act.name()
        );
        match (self.lines.get(&act), act) {
            (Some(lines), _) => {
                text += "      only:\n";
                text.extend(lines.iter().map(|(item, line)| list_line(item, &said(line))));
            }
            (None, Act::Exec) => {
                let actors = self.actors();
                if actors.is_empty() {
                    return None;
                }
                text += "      only:\n";
                text.extend(actors.iter().map(|(item, said)| list_line(item, said)));
            }
            (None, _) => {
                let all = if act == Act::Connect { "*" } else { "/**" };
                text += "      never:\n";
                text += &list_line(all, "nothing was seen that could be added here");
            }
        }
        Some(
            text + &format!(
                "    action: deny\n    fallback: alert\n    severity: medium\n    help: {}\n",
                help(act)
            ),
        )
    }

    /// Of an agent that starts nothing: the programs that it was itself.
    fn actors(&self) -> Vec<(String, String)> {
        let homes = self.seen.every_home();
        let actor = |(path, count): (&Vec<u8>, &u64)| {
            let pattern = Pattern::general(path, &homes, &Evidence::default())
                .filter(|one| !one.is_too_broad())?;
            pattern.globs()?;
            Some((pattern.to_string(), format!("acted {}, and nothing was started", times(*count))))
        };
        let mut actors: Vec<(String, String)> = self.seen.actors.iter().filter_map(actor).collect();
        actors.dedup_by(|one, two| one.0 == two.0);
        actors
    }

    /// The rule that shuts secrets which may lie in a directory that is allowed as a whole.
    fn shut_rule(&self, act: Act, items: &[String]) -> String {
        let (title, help) = match act {
            Act::Connect => (
                "Agent asked for credentials or power",
                "This hands out more than an agent should have.",
            ),
            _ => (
                "Agent went for credentials in a directory of its own",
                "Agents get short-lived credentials, not these files.",
            ),
        };
        let mut text = format!(
            "  # The list above reaches these as well; they were not seen, or not added.\n  - id: {}\n    \
             title: {title}\n    agents: [{}]\n    {}:\n      never:\n",
            self.id(act, "-secrets"),
            self.agent,
            act.name()
        );
        text.extend(items.iter().map(|item| format!("        - {}\n", scalar(item))));
        text + &format!(
            "    action: deny\n    fallback: alert\n    severity: high\n    help: {help}\n"
        )
    }

    /// What is not in it.
    fn footer(&self) -> String {
        let mut text = String::new();
        let withheld: Vec<&LeftOut> =
            self.left_out.iter().filter(|one| one.why != Why::Stopped).collect();
        if !withheld.is_empty() {
            text += "\n# Not added. What of this the agent needs, add yourself:\n";
            text.extend(withheld.iter().map(|one| format!("#   {}\n", one.line())));
        }
        let stopped: Vec<&LeftOut> =
            self.left_out.iter().filter(|one| one.why == Why::Stopped).collect();
        if !stopped.is_empty() {
            text += "\n# Not added, because it was stopped when it was tried:\n";
            text.extend(stopped.iter().map(|one| format!("#   {}\n", one.line())));
        }
        text
    }

    /// What a person is told at the end: how much there is, what to look at first, and what is not in it.
    #[must_use]
    pub fn summary(&self) -> String {
        let (acts, sessions) = self.seen.sources.iter().fold((0, 0), |(acts, sessions), source| {
            (acts + source.acts, sessions + source.sessions as u64)
        });
        let lines =
            self.lines.iter().map(|(act, lines)| format!("{} to {}", lines.len(), act.name()));
        let mut text = format!(
            "{} of {}, lines: {}. Review these first:\n",
            super::seen::count(acts, "act"),
            super::seen::count(sessions, "session"),
            lines.collect::<Vec<String>>().join(", ")
        );
        let wide = |act: Act, item: &str| act == Act::Connect || item.ends_with("/**");
        for (act, lines) in &self.lines {
            for (item, line) in lines.iter().filter(|(item, _)| wide(*act, item)) {
                text += &told(&format!("{item} ({})", act.name()), &said(line));
            }
        }
        for one in &self.left_out {
            let object = format!("{} ({})", name_of(&one.key.object), one.key.act.name());
            let why = match one.why {
                Why::Secret(_) => "a secret: not added; add it yourself, or see --allow-secrets",
                Why::Stopped => "was stopped: not added",
                Why::Unknown | Why::Unwritable => "cannot be named in a rule: not added",
            };
            let by = format!(
                "{}, {}",
                times(one.tally.count.max(one.tally.stopped)),
                names(&one.tally.by)
            );
            text += &told(&object, &format!("{by}; {why}"));
        }
        text
    }

    pub(super) fn id(&self, act: Act, more: &str) -> String {
        let name: String = self.agent.chars().take(LONGEST_NAME).collect();
        format!("learned-{}-{}{more}", name.trim_end_matches('-'), act.name())
    }
}

impl LeftOut {
    /// `~/.aws/credentials (read, 2 times, by cat; a secret: ~/.aws/credentials)`.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { key, tally, why } = self;
        let count = times(tally.count.max(tally.stopped));
        let why = match why {
            Why::Secret(item) => format!("; a secret: {}", shown(item.as_bytes())),
            Why::Stopped => String::new(),
            Why::Unknown => "; the kernel could not tell what it was".to_owned(),
            Why::Unwritable => "; no rule can name it".to_owned(),
        };
        let object = name_of(&key.object);
        format!("{object} ({}, {count}, by {}{why})", key.act.name(), names(&tally.by))
    }
}

const fn title(act: Act) -> &'static str {
    match act {
        Act::Exec => "Agent started a program that it did not need before",
        Act::Read => "Agent read what it did not need before",
        Act::Write => "Agent wrote what it did not need before",
        _ => "Agent connected where it did not need to before",
    }
}

const fn help(act: Act) -> &'static str {
    match act {
        Act::Exec => "If the work needs this program, have it added to the list.",
        Act::Read => "If the work needs this file, have it added to the list.",
        Act::Write => "Write below the project, or have this file added to the list.",
        _ => "If the work needs this peer, have it added to the list.",
    }
}

fn told(what: &str, said: &str) -> String {
    let space = SAID.saturating_sub(what.chars().count()).max(2);
    format!("  {what}{:space$}{said}\n", "")
}

fn said(line: &Line) -> String {
    format!("{}, {}", times(line.tally.count.max(line.tally.stopped)), names(&line.tally.by))
}

fn list_line(item: &str, said: &str) -> String {
    let item = format!("        - {}", scalar(item));
    let space = COLUMN.saturating_sub(item.chars().count()).max(2);
    format!("{item}{:space$}# {said}\n", "")
}

/// A text as YAML writes it: quoted unless it is plain beyond doubt.
fn scalar(text: &str) -> String {
    let begins = text.starts_with('/')
        || text.starts_with("~/")
        || text.starts_with(|first: char| first.is_ascii_alphanumeric());
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._~*?[]+=%-:@".contains(letter);
    if begins && text.chars().all(plain) && !text.ends_with(':') && text.contains(['/', ':']) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_yaml_could_misread_is_quoted() {
        assert_eq!(scalar("~/.npm/**"), "~/.npm/**");
        assert_eq!(scalar("192.0.2.1:443/udp"), "192.0.2.1:443/udp");
        for text in
            ["*", "**/.env", "/a b", "/a#b", "/a'b", "[::1]:443", "/a\\*b", "/ä", "/a: b", "true"]
        {
            let written = scalar(text);
            assert!(written.starts_with('\'') && written.ends_with('\''), "{written}");
            let read: String = serde_saphyr::from_str(&written).unwrap();
            assert_eq!(read, text);
        }
    }
}
