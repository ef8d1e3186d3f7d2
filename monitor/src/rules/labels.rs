//! Labels: which of the files that rules shut can be looked for, so that they are known by their inode
//! as well as by their name.
//!
//! Says what to look for and where to begin; [`crate::label`] does the looking. Only the lists of `never`
//! of read, write and exec count: what `only` lists do not name cannot be looked for. Of programs, those are looked for
//! that are named in one directory: everything below `/tmp` is no program that a rule has in mind.

use std::collections::BTreeMap;

use super::{
    glob::{Anchor, Glob, Part},
    model::{Objects, Program, RuleIndex, RuleSet, Sense},
};

/// Where a search begins: what is before the first wildcard of a glob.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Start {
    /// Below every home directory; otherwise from the root.
    pub home: bool,
    /// The components, each with a slash before it.
    pub path: Vec<u8>,
    /// There is no wildcard: this is the file.
    pub whole: bool,
}

/// What to look for at one place.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// How many directories deep: 0 for files of that place alone, none for any number.
    pub levels: Option<usize>,
    globs: Vec<(Glob, Vec<RuleIndex>)>,
}

impl Wanted {
    /// The rules that name a file with this path, in order, each once.
    #[must_use]
    pub fn rules(&self, path: &[u8], homes: &super::glob::Homes) -> Vec<RuleIndex> {
        let fitting = self.globs.iter().filter(|(glob, _)| glob.matches(path, homes));
        let mut rules: Vec<_> = fitting.flat_map(|(_, rules)| rules).copied().collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }
}

/// Everything to look for.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// By where to begin.
    pub wanted: BTreeMap<Start, Wanted>,
    /// Globs that are not looked for, since what they name could be anywhere (`**/x`, `/*/x`) or anywhere
    /// in a home directory (`~/**/x`).
    pub floating: usize,
}

/// What to look for.
#[must_use]
pub fn search(rules: &RuleSet) -> Search {
    let mut search = Search::default();
    for (index, rule) in rules.rules.iter().enumerate() {
        if rule.sense != Sense::Never {
            continue;
        }
        match &rule.objects {
            Objects::Paths(items) => items.iter().for_each(|item| search.add(&item.is, index)),
            Objects::Programs(items) => items
                .iter()
                .filter_map(|item| named(&item.is))
                .for_each(|glob| search.add(glob, index)),
            Objects::Destinations(_) | Objects::Privileges(_) => {}
        }
    }
    search
}

/// A program that is meant whatever its arguments are, and is in one directory.
fn named(program: &Program) -> Option<&Glob> {
    match program {
        Program::File(glob) if !glob.parts().contains(&Part::Depth) => Some(glob),
        _ => None,
    }
}

impl Search {
    fn add(&mut self, glob: &Glob, rule: RuleIndex) {
        let fixed: Vec<&[u8]> = glob
            .parts()
            .iter()
            .map_while(|part| match part {
                Part::Literal(name) => Some(&**name),
                Part::Depth | Part::Pattern(_) => None,
            })
            .collect();
        let home = glob.anchor() == Anchor::Home;
        let deep = glob.parts().contains(&Part::Depth);
        if fixed.is_empty() && (deep || !home) {
            self.floating += 1;
            return;
        }
        let start_parts = fixed.len();
        let path = fixed.iter().flat_map(|name| [b"/", *name].concat()).collect();
        let start = Start { home, path, whole: start_parts == glob.parts().len() };
        // A directory for each part between the fixed ones and the name of the file.
        let levels = (!deep).then(|| (glob.parts().len() - start_parts).saturating_sub(1));
        let wanted =
            self.wanted.entry(start).or_insert(Wanted { levels: Some(0), globs: Vec::new() });
        wanted.levels = wanted.levels.zip(levels).map(|(known, levels)| known.max(levels));
        match wanted.globs.iter_mut().find(|(known, _)| known == glob) {
            Some((_, rules)) => rules.push(rule),
            None => wanted.globs.push((glob.clone(), vec![rule])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{SourceFile, Users, glob::Homes, load, model::Moment};

    const RULES: &str = "
version: 1
agents: { a: { any: [{ launched-as: a }] } }
rules:
  - { id: r, title: t, agents: [a], action: kill, read: { never: [/etc/shadow, ~/.ssh/id_*, '**/x', '/*/y', ~/z, '~/**/v', '~/.e*', '/srv/*/*/k?'] } }
  - { id: w, title: t, agents: [a], action: kill, write: { never: [/etc/shadow, '/etc/ssh/**'] } }
  - { id: o, title: t, agents: [a], action: kill, read: { only: [/only] } }
  - { id: e, title: t, agents: [a], action: kill, exec: { never: [/exec, '/tmp/**', {path: /with, args: 'x*'}, memfd] } }
";

    #[test]
    fn what_is_looked_for_is_what_never_lists_of_opens_name() {
        let file = SourceFile { name: "rules.yaml".to_owned(), text: RULES.into() };
        let rules = load(&[file], &Users::default(), Moment::UNIX_EPOCH).expect("rules");
        let search = search(&rules);
        let start = |home: bool, path: &str, whole: bool| Start { home, path: path.into(), whole };
        let begins: Vec<_> = search.wanted.keys().cloned().collect();
        let all = [
            start(false, "/etc/shadow", true),
            start(false, "/etc/ssh", false),
            start(false, "/exec", true),
            start(false, "/srv", false),
            start(true, "", false),
            start(true, "/.ssh", false),
            start(true, "/z", true),
        ];
        assert_eq!(begins, all);
        assert_eq!(search.floating, 3);
        let levels: Vec<_> = search.wanted.values().map(|wanted| wanted.levels).collect();
        assert_eq!(levels, [Some(0), None, Some(0), Some(2), Some(0), Some(0), Some(0)]);
        let homes = Homes(vec![b"/root".to_vec()]);
        let named = |start: &Start, path: &str| search.wanted[start].rules(path.as_bytes(), &homes);
        assert_eq!(named(&all[0], "/etc/shadow"), [0, 1]);
        assert_eq!(named(&all[5], "/home/u/.ssh/id_a"), [0]);
        assert_eq!(named(&all[4], "/home/u/.ssh/known_hosts"), [0; 0]);
        assert_eq!(named(&all[1], "/etc/ssh/a/b"), [1]);
    }
}
