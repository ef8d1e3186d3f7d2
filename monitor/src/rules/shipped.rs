//! Shipped: the agents and lists that come with Driftwatch, for rule files to use by name.
//!
//! They are read like rule files and stand behind them: a name that a rule file defines itself is that file's, and
//! what no rule file mentions is not there at all. Users add files of their own and never edit these.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    source::SourceFile,
    written::{File, Item, Line},
};

/// The files, embedded: `rules/agents` and `rules/lists` of the repository.
const FILES: [(&str, &str); 8] = [
    ("agents/coding-agents.yaml", include_str!("../../../rules/agents/coding-agents.yaml")),
    ("agents/groups.yaml", include_str!("../../../rules/agents/groups.yaml")),
    ("agents/runtimes.yaml", include_str!("../../../rules/agents/runtimes.yaml")),
    ("lists/changes.yaml", include_str!("../../../rules/lists/changes.yaml")),
    ("lists/hosts.yaml", include_str!("../../../rules/lists/hosts.yaml")),
    ("lists/power.yaml", include_str!("../../../rules/lists/power.yaml")),
    ("lists/programs.yaml", include_str!("../../../rules/lists/programs.yaml")),
    ("lists/secrets.yaml", include_str!("../../../rules/lists/secrets.yaml")),
];

/// What comes with Driftwatch.
#[must_use]
pub fn files() -> Vec<SourceFile> {
    let file = |(name, text): (&str, &str)| SourceFile {
        name: format!("shipped/{name}"),
        text: text.as_bytes().to_vec(),
    };
    FILES.into_iter().map(file).collect()
}

/// Names that may be meant where an unknown one is written.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) agents: BTreeSet<String>,
    pub(super) lists: BTreeSet<String>,
}

/// Takes out of the shipped files what is defined or not mentioned by the others, and gives all their names.
pub(super) fn reduce(files: &mut [File]) -> Names {
    let names = Names {
        agents: of_shipped(files)
            .flat_map(|file| &file.agents)
            .map(|a| a.name.is.clone())
            .collect(),
        lists: of_shipped(files).flat_map(|file| &file.lists).map(|l| l.name.is.clone()).collect(),
    };
    let own = |file: &&File| !file.shipped;
    let own_agents: BTreeSet<String> =
        files.iter().filter(own).flat_map(|file| &file.agents).map(|a| a.name.is.clone()).collect();
    let own_lists: BTreeSet<String> =
        files.iter().filter(own).flat_map(|file| &file.lists).map(|l| l.name.is.clone()).collect();
    let (agents, lists) = mentioned(files, &own_agents, &own_lists);
    for file in files.iter_mut().filter(|file| file.shipped) {
        file.agents.retain(|agent| agents.contains(&agent.name.is));
        file.lists.retain(|list| lists.contains(&list.name.is));
    }
    names
}

fn of_shipped(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| file.shipped)
}

/// The shipped agents and lists that rule files mention, directly or by way of others.
fn mentioned(
    files: &[File],
    own_agents: &BTreeSet<String>,
    own_lists: &BTreeSet<String>,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut agents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut lists: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in of_shipped(files) {
        for agent in file.agents.iter().filter(|agent| !own_agents.contains(&agent.name.is)) {
            agents.insert(&agent.name.is, groups(&agent.lines).collect());
        }
        for list in file.lists.iter().filter(|list| !own_lists.contains(&list.name.is)) {
            lists.insert(&list.name.is, names(&list.items).collect());
        }
    }
    let own = || files.iter().filter(|file| !file.shipped);
    let starts_agents = own().flat_map(agent_names).collect();
    let starts_lists = own().flat_map(list_names).collect();
    (reached(&agents, starts_agents), reached(&lists, starts_lists))
}

fn reached(edges: &BTreeMap<&str, Vec<&str>>, starts: Vec<&str>) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut waiting = starts;
    while let Some(name) = waiting.pop() {
        if let Some(next) = edges.get(name)
            && reached.insert(name.to_owned())
        {
            waiting.extend(next);
        }
    }
    reached
}

fn groups(lines: &[Line]) -> impl Iterator<Item = &str> {
    lines.iter().filter_map(|line| match line {
        Line::Agent(name) => Some(&*name.is),
        _ => None,
    })
}

fn names(items: &[Item]) -> impl Iterator<Item = &str> {
    items.iter().filter(|item| item.args.is_none()).filter_map(|item| {
        let name = item.text.is.strip_prefix('@')?;
        Some(name.split(':').next().unwrap_or(name))
    })
}

fn agent_names(file: &File) -> Vec<&str> {
    let mut all: Vec<&str> = Vec::new();
    all.extend(file.rules.iter().flat_map(|rule| &rule.agents).map(|name| &*name.is));
    all.extend(file.grants.iter().flat_map(|grant| &grant.agents).map(|name| &*name.is));
    all.extend(file.tests.iter().map(|test| &*test.agent.is));
    all.extend(file.agents.iter().flat_map(|agent| groups(&agent.lines)));
    all
}

fn list_names(file: &File) -> Vec<&str> {
    let mut all: Vec<&str> = Vec::new();
    all.extend(file.lists.iter().flat_map(|list| names(&list.items)));
    all.extend(file.grants.iter().flat_map(|grant| names(&grant.objects)));
    for rule in &file.rules {
        all.extend(names(&rule.body.objects));
        for exception in &rule.body.exceptions {
            all.extend(names(&exception.objects).chain(names(&exception.exe)));
        }
        let steps = rule.body.before.iter().flat_map(|before| &before.steps);
        all.extend(steps.flat_map(|step| names(&step.objects)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{RuleSet, Users, load_with, model::Moment};

    const NOW: Moment = Moment::constant(1_795_348_800, 0);
    const SHIPPED: &str = "version: 1
agents:
  one: { any: [{ exe: /shipped/one }] }
  two: { any: [{ exe: /shipped/two }] }
  both: { any: [{ agent: one }, { agent: two }] }
lists:
  secrets/a: [/a]
  secrets/b: [/b]
  secrets/all: [\"@secrets/a\", \"@secrets/b\"]
";

    fn loaded(text: &str) -> Result<RuleSet, String> {
        let file = |name: &str, text: &str| SourceFile { name: name.into(), text: text.into() };
        load_with(&[file("shipped", SHIPPED)], &[file("r.yaml", text)], &Users::default(), NOW)
            .map_err(|problems| problems.render(false))
    }

    fn rule(agent: &str, list: &str) -> String {
        format!(
            "rules:\n  - {{ id: r, title: t, agents: [{agent}], read: {{ never: [\"@{list}\"] }}, action: deny }}\n"
        )
    }

    fn agents(rules: &RuleSet) -> Vec<&str> {
        rules.agents.iter().map(|agent| &*agent.name).collect()
    }

    #[test]
    fn what_is_mentioned_is_there_and_nothing_else() {
        let rules = loaded(&format!("version: 1\n{}", rule("one", "secrets/all"))).unwrap();
        assert_eq!((agents(&rules), rules.files, rules.lists), (vec!["one"], 1, 3));
        assert_eq!(rules.rules[0].objects.len(), 2);
        let rules = loaded(&format!("version: 1\n{}", rule("both", "secrets/b"))).unwrap();
        assert_eq!((agents(&rules), rules.lists), (vec!["one", "two"], 1));
        assert_eq!(rules.rules[0].agents, [0, 1]);
    }

    #[test]
    fn a_name_of_their_own_is_theirs() {
        let own =
            "version: 1\nagents:\n  two: { any: [{ exe: /own }] }\nlists:\n  secrets/a: [/x, /y]\n";
        let rules = loaded(&format!("{own}{}", rule("both", "secrets/all"))).unwrap();
        assert_eq!(rules.rules[0].objects.len(), 3, "theirs in the place of ours");
        let two = rules.agents.iter().find(|agent| agent.name == "two").unwrap();
        assert_eq!(two.place.file.as_ref(), "r.yaml");
        assert_eq!(rules.agents.len(), 2);
    }

    #[test]
    fn what_may_have_been_meant_is_said() {
        let said = loaded(&format!("version: 1\n{}", rule("onee", "secrets/alll"))).unwrap_err();
        assert!(said.contains("did you mean `one`?"), "{said}");
        assert!(said.contains("did you mean `@secrets/all`?"), "{said}");
        assert!(said.ends_with("1 file, 2 problems. Nothing was loaded."), "{said}");
    }

    #[test]
    fn what_is_shipped_is_in_order_and_all_of_it_is_here() {
        for folder in ["agents", "lists"] {
            let path = format!("{}/../rules/{folder}", env!("CARGO_MANIFEST_DIR"));
            for entry in std::fs::read_dir(path).unwrap() {
                let name = format!("{folder}/{}", entry.unwrap().file_name().display());
                assert!(FILES.iter().any(|(known, _)| *known == name), "{name} is not embedded");
            }
        }
        let rules = load_with(&[], &files(), &Users::default(), NOW);
        assert!(rules.is_ok(), "{}", rules.unwrap_err().render(false));
    }
}
