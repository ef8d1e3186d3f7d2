//! Lists: the items of a rule with every `@name` replaced by what is in the list.
//!
//! Part of [`super::resolve`]. A list has no kind of its own: what its items must be is said by the
//! rule that uses it. An item remembers the list it is written in.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    cycle::{Mentions, cycles},
    destination::{self, DestinationError, Suffix},
    glob::Glob,
    model::{Destination, Item},
    near::nearest,
    problem::{Found, Problem, quote},
    source::{At, Sources, Span, offset_of},
    written::{File, List},
};

/// Items that all rules together may have, when the lists are written out.
const ITEMS: usize = 1_000_000;
/// What later versions will give a meaning of its own among the items of `exec`.
const RESERVED: [&str; 3] = ["memfd", "deleted", "setuid"];

/// What a path is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A program that is started, or that is a sign of an agent: a bare name is a file name.
    Program,
    /// A file that is read or written.
    File,
    /// A program that an exception trusts.
    Trusted,
    /// A cgroup.
    Cgroup,
}

/// All lists of a set.
#[derive(Debug)]
pub(super) struct Lists<'a> {
    sources: &'a Sources,
    by_name: BTreeMap<&'a str, &'a List>,
    used: BTreeSet<&'a str>,
    items: usize,
}

/// An item that is not a list.
struct Leaf<'a> {
    text: &'a At<String>,
    list: Option<&'a str>,
    suffix: Suffix,
    /// The item of the rule that it came by.
    by: Span,
}

impl Leaf<'_> {
    /// Shows where the list is used: an item may be good for one rule and not for another.
    fn blame(&self, problem: Problem) -> Problem {
        if self.list.is_some() { problem.also(self.by, "used here") } else { problem }
    }
}

impl<'a> Lists<'a> {
    /// Takes in the lists of all files.
    pub(super) fn new(files: &'a [File], sources: &'a Sources, found: &mut Found) -> Self {
        let mut by_name: BTreeMap<&str, &List> = BTreeMap::new();
        for list in files.iter().flat_map(|file| &file.lists) {
            if let Some(first) = by_name.get(&*list.name.is) {
                let message = format!("list {} is defined twice", quote(&list.name.is));
                let problem = Problem::new(list.name.span, message, "here again")
                    .also(first.name.span, "first here");
                found.add(problem.help("give one of them another name"));
            } else {
                by_name.insert(&list.name.is, list);
            }
        }
        let lists = Self { sources, by_name, used: BTreeSet::new(), items: 0 };
        lists.check_mentions(found);
        lists
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    fn check_mentions(&self, found: &mut Found) {
        let mut mentions: Mentions<'_> = BTreeMap::new();
        for (name, list) in &self.by_name {
            let mentioned = mentions.entry(name).or_default();
            for item in &list.items {
                let Some((to, _)) = mention(&item.is) else { continue };
                if self.by_name.contains_key(to) {
                    mentioned.push((to, item.span));
                } else {
                    self.unknown(item, to, found);
                }
            }
        }
        for problem in cycles(&mentions, "list") {
            found.add(problem);
        }
    }

    fn unknown(&self, item: &At<String>, name: &str, found: &mut Found) {
        let known = (!found.is_flood()).then(|| self.by_name.keys().copied());
        let meant = known.and_then(|known| nearest(name, known)).map(|name| format!("@{name}"));
        let message = format!("unknown list {}", quote(&format!("@{name}")));
        let problem = Problem::new(item.span, message, "no list with this name in any file");
        found.add_unknown(problem.meant(meant, None));
    }

    /// The paths that `written` stands for.
    pub(super) fn paths(
        &mut self,
        written: &'a [At<String>],
        role: Role,
        found: &mut Found,
    ) -> Vec<Item<Glob>> {
        let mut items = Vec::new();
        for leaf in self.leaves(written, found) {
            if !leaf.suffix.is_silent() {
                let message = format!("a port is added to the path {}", quote(&leaf.text.is));
                let problem = Problem::new(leaf.text.span, message, "only destinations have ports");
                found.add(leaf.blame(problem));
            }
            match self.globs(leaf.text, role) {
                Ok(globs) if self.count(globs.len(), leaf.by, found) => {
                    items.extend(globs.into_iter().map(|is| self.item(&leaf, is)));
                }
                Ok(_) => break,
                Err(problem) => found.add(leaf.blame(problem)),
            }
        }
        items
    }

    /// The destinations that `written` stands for.
    pub(super) fn destinations(
        &mut self,
        written: &'a [At<String>],
        found: &mut Found,
    ) -> Vec<Item<Destination>> {
        let mut items = Vec::new();
        for leaf in self.leaves(written, found) {
            match destination::parse(&leaf.text.is, leaf.suffix) {
                Ok(all) if self.count(all.len(), leaf.by, found) => {
                    items.extend(all.into_iter().map(|is| self.item(&leaf, is)));
                }
                Ok(_) => break,
                Err(error) => found.add(leaf.blame(refuse(leaf.text, &error))),
            }
        }
        items
    }

    fn item<T>(&self, leaf: &Leaf<'_>, is: T) -> Item<T> {
        let place = self.sources.place(leaf.text.span);
        let list = leaf.list.map(str::to_owned);
        Item { is, text: leaf.text.is.clone(), list, place }
    }

    /// The globs that one text stands for.
    pub(super) fn globs(&self, text: &At<String>, role: Role) -> Result<Vec<Glob>, Problem> {
        let bare = !text.is.contains('/');
        let lead = if bare { bare_name(text, role)? } else { "" };
        if role == Role::Cgroup && text.is.starts_with('~') {
            let problem = Problem::new(text.span, "a cgroup is not below a home directory", "here");
            return Err(problem.help("write it from the root of the hierarchy, `/user.slice/**`"));
        }
        Glob::parse(&format!("{lead}{}", text.is)).map_err(|error| {
            let offset = error.offset.saturating_sub(lead.len());
            let message = format!("{} is not a path", quote(&text.is));
            Problem::new(self.within(text, offset), message, error.message).help(error.help)
        })
    }

    /// The place of a byte of a text: the file may spell the text with escapes, then it is all of it.
    fn within(&self, text: &At<String>, offset: usize) -> Span {
        let written = self.sources.of(text.span).slice(text.span);
        let quotes = ['"', '\''].iter().any(|&quote| written.starts_with(quote)) as usize;
        let inner = written.len().checked_sub(quotes).and_then(|end| written.get(quotes..end));
        if inner != Some(&*text.is) {
            return text.span;
        }
        let start = text.span.start + offset_of(quotes + offset.min(text.is.len()));
        Span { start, end: start, ..text.span }
    }

    /// Every item behind `written`, each list opened once.
    fn leaves(&mut self, written: &'a [At<String>], found: &mut Found) -> Vec<Leaf<'a>> {
        let mut leaves = Vec::new();
        let mut opened: HashSet<(&str, Suffix)> = HashSet::new();
        let top = |text: &'a At<String>| {
            let by = text.span;
            Leaf { text, list: None, suffix: Suffix::default(), by }
        };
        let mut waiting: Vec<Leaf<'a>> = written.iter().rev().map(top).collect();
        while let Some(leaf) = waiting.pop() {
            let Some((name, suffix)) = mention(&leaf.text.is) else {
                leaves.push(leaf);
                continue;
            };
            let Some(&list) = self.by_name.get(name) else {
                self.unknown(leaf.text, name, found);
                continue;
            };
            self.used.insert(&list.name.is);
            match inherit(&leaf, suffix) {
                Ok(suffix) => {
                    if opened.insert((&list.name.is, suffix)) {
                        if !self.count(1, leaf.by, found) {
                            break;
                        }
                        let list_name: &'a str = &list.name.is;
                        let by = leaf.by;
                        let inner = |text| Leaf { text, list: Some(list_name), suffix, by };
                        waiting.extend(list.items.iter().rev().map(inner));
                    }
                }
                Err(error) => found.add(leaf.blame(refuse(leaf.text, &error))),
            }
        }
        leaves
    }

    /// Counts items. Lists may be long, rules and braces many: what they make together is bounded.
    fn count(&mut self, more: usize, by: Span, found: &mut Found) -> bool {
        let fitted = self.items <= ITEMS;
        self.items = self.items.saturating_add(more);
        let fits = self.items <= ITEMS;
        if fitted && !fits {
            let message = format!("the rules have more than {ITEMS} items together");
            let label = "lists are counted each time they are used, braces written out";
            let help = "name directories in place of files, networks in place of hosts";
            found.add(Problem::new(by, message, label).help(help));
        }
        fits
    }

    /// Checks the items of the lists that no rule uses: somebody means to use them one day.
    pub(super) fn check_unused(&self, found: &mut Found) {
        let unused = self.by_name.values().filter(|list| !self.used.contains(&*list.name.is));
        for item in unused.flat_map(|list| &list.items).filter(|item| mention(&item.is).is_none()) {
            let is_path = item.is.starts_with(['/', '~']) || item.is.starts_with("**");
            let is_name = !item.is.contains(['/', ':', '[']);
            let problem = if is_path || is_name {
                self.globs(item, Role::Program).err()
            } else {
                let suffix = Suffix::default();
                destination::parse(&item.is, suffix).err().map(|error| refuse(item, &error))
            };
            // A name may be a pattern or a destination: it is enough that it can be one of them.
            let is_destination = || destination::parse(&item.is, Suffix::default()).is_ok();
            if let Some(problem) = problem
                && !is_destination()
            {
                found.add(problem);
            }
        }
    }
}

/// The list that an item mentions, and what follows its name.
fn mention(text: &str) -> Option<(&str, &str)> {
    let name = text.strip_prefix('@')?;
    Some(name.split_at(name.find(':').unwrap_or(name.len())))
}

/// What is added to the items of a list that is mentioned in a list.
fn inherit(leaf: &Leaf<'_>, suffix: &str) -> Result<Suffix, DestinationError> {
    let own = Suffix::parse(suffix)?;
    if own.is_silent() || leaf.suffix.is_silent() {
        return Ok(if own.is_silent() { leaf.suffix } else { own });
    }
    Err(DestinationError {
        message: "a port is added to a list that has one added already".to_owned(),
        help: Some("leave it out here or where the outer list is used".to_owned()),
    })
}

/// What to put before a name without a slash.
fn bare_name(text: &At<String>, role: Role) -> Result<&'static str, Problem> {
    let named = quote(&text.is);
    let not_a_path = Problem::new(text.span, format!("{named} is not a path"), "a name alone");
    match role {
        Role::Program if RESERVED.contains(&&*text.is) => {
            let message = format!("{named} is not supported yet");
            let problem =
                Problem::new(text.span, message, "this word will have a meaning of its own");
            Err(problem.help(format!("write `**/{}` if a file of this name is meant", text.is)))
        }
        Role::Program => Ok("**/"),
        Role::File => {
            Err(not_a_path.help(format!("write `**/{}` for this name at any depth", text.is)))
        }
        Role::Trusted => {
            let help = format!(
                "write the whole path, `/usr/bin/{}`: anybody can make a file of this name",
                text.is
            );
            Err(not_a_path.help(help))
        }
        Role::Cgroup => {
            Err(not_a_path.help("write it from the root of the hierarchy, `/system.slice/**`"))
        }
    }
}

fn refuse(text: &At<String>, error: &DestinationError) -> Problem {
    let problem = Problem::new(text.span, &error.message, "not a destination");
    Problem { help: error.help.clone(), ..problem }
}
