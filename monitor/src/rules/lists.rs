//! Lists: the items of a rule with every `@name` replaced by what is in the list.
//!
//! Part of [`super::resolve`]. A list has no kind of its own: what its items must be is said by the
//! rule that uses it. An item remembers the list it is written in.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, HashSet},
};

use super::{
    cycle::{Mentions, cycles},
    destination::{self, DestinationError, End, Suffix},
    glob::Glob,
    model::{Destination, Item, Privilege, Program, Trait},
    near::nearest,
    problem::{Found, Problem, enumerate, quote},
    source::{At, Sources, Span, offset_of},
    words::Words,
    written::{self, File, List},
};

/// Items that all rules together may have, when the lists are written out.
const ITEMS: usize = 1_000_000;
/// Bytes of memory that all their paths together may take, braces written out. One text of some hundred bytes
/// may stand for 1,024 paths of as many.
const BYTES: usize = 128 << 20;

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
    /// What the paths take that were read so far.
    bytes: Cell<usize>,
}

/// An item that is not a list.
struct Leaf<'a> {
    text: &'a At<String>,
    args: Option<&'a [At<String>]>,
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
        let lists = Self { sources, by_name, used: BTreeSet::new(), items: 0, bytes: Cell::new(0) };
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
                let Some((to, _)) = mention(item) else { continue };
                if self.by_name.contains_key(to) {
                    mentioned.push((to, item.text.span));
                } else {
                    self.unknown(&item.text, to, found);
                }
            }
        }
        for problem in cycles(&mentions, "list") {
            found.add(problem);
        }
    }

    fn unknown(&self, item: &At<String>, name: &str, found: &mut Found) {
        let shipped = found.shipped.lists.iter().map(String::as_str);
        let known = (!found.is_flood()).then(|| self.by_name.keys().copied().chain(shipped));
        let meant = known.and_then(|known| nearest(name, known)).map(|name| format!("@{name}"));
        let message = format!("unknown list {}", quote(&format!("@{name}")));
        let problem = Problem::new(item.span, message, "no list with this name in any file");
        found.add_unknown(problem.meant(meant, None));
    }

    /// The paths that `written` stands for.
    pub(super) fn paths(
        &mut self,
        written: &'a [written::Item],
        role: Role,
        found: &mut Found,
    ) -> Vec<Item<Glob>> {
        self.items(written, found, |lists, leaf| {
            leaf.has_no_args()?;
            leaf.has_no_port()?;
            lists.globs(leaf.text, role)
        })
    }

    /// The programs that `written` stands for.
    pub(super) fn programs(
        &mut self,
        written: &'a [written::Item],
        found: &mut Found,
    ) -> Vec<Item<Program>> {
        self.items(written, found, |lists, leaf| {
            leaf.has_no_port()?;
            let one = Trait::WORDS.iter().find(|(word, _)| *word == leaf.text.is);
            match (leaf.args, one) {
                (None, Some(&(_, one))) => Ok(vec![Program::Is(one)]),
                (Some(_), Some(_)) => {
                    let message = format!("{} with arguments", quote(&leaf.text.is));
                    let problem = Problem::new(leaf.text.span, message, "this is no program");
                    let help =
                        format!("write `**/{}` if a file of this name is meant", leaf.text.is);
                    Err(problem.help(help))
                }
                (None, None) => {
                    let globs = lists.globs(leaf.text, Role::Program)?;
                    Ok(globs.into_iter().map(Program::File).collect())
                }
                (Some(args), None) => {
                    let words = words_of(args)?;
                    let globs = lists.globs(leaf.text, Role::Program)?;
                    Ok(globs.into_iter().map(|glob| Program::With(glob, words.clone())).collect())
                }
            }
        })
    }

    /// The destinations that `written` stands for.
    pub(super) fn destinations(
        &mut self,
        written: &'a [written::Item],
        end: End,
        found: &mut Found,
    ) -> Vec<Item<Destination>> {
        self.items(written, found, |_, leaf| {
            leaf.has_no_args()?;
            destination::parse(&leaf.text.is, leaf.suffix, end)
                .map_err(|error| refuse(leaf.text, &error))
        })
    }

    /// The rights that `written` stands for.
    pub(super) fn privileges(
        &mut self,
        written: &'a [written::Item],
        found: &mut Found,
    ) -> Vec<Item<Privilege>> {
        self.items(written, found, |_, leaf| {
            leaf.has_no_args()?;
            leaf.has_no_port()?;
            let text = leaf.text;
            match Privilege::WORDS.iter().find(|(word, _)| *word == text.is) {
                Some(&(_, right)) => Ok(vec![right]),
                None => {
                    let words = Privilege::WORDS.map(|(word, _)| word);
                    let message = format!("unknown privilege {}", quote(&text.is));
                    let problem = Problem::new(text.span, message, "there is no such privilege");
                    let may = format!("it may be {}", enumerate(&words));
                    Err(problem.meant(nearest(&text.is, words), Some(may)))
                }
            }
        })
    }

    /// What every item behind `written` stands for.
    fn items<T>(
        &mut self,
        written: &'a [written::Item],
        found: &mut Found,
        read: impl Fn(&Self, &Leaf<'_>) -> Result<Vec<T>, Problem>,
    ) -> Vec<Item<T>> {
        let mut items = Vec::new();
        for leaf in self.leaves(written, found) {
            match read(self, &leaf) {
                Ok(all) if self.count(all.len(), leaf.by, found) => {
                    items.extend(all.into_iter().map(|is| self.item(&leaf, is)));
                }
                Ok(_) => break,
                Err(problem) => found.add(leaf.blame(problem)),
            }
        }
        items
    }

    fn item<T>(&self, leaf: &Leaf<'_>, is: T) -> Item<T> {
        let place = self.sources.place(leaf.text.span);
        let list = leaf.list.map(str::to_owned);
        let words = leaf.args.into_iter().flatten().map(|word| format!(" {}", word.is));
        let text = leaf.text.is.clone() + &words.collect::<String>();
        Item { is, text, list, place }
    }

    /// The globs that one text stands for.
    pub(super) fn globs(&self, text: &At<String>, role: Role) -> Result<Vec<Glob>, Problem> {
        let bare = !text.is.contains('/');
        let lead = if bare { bare_name(text, role)? } else { "" };
        if role == Role::Cgroup && text.is.starts_with('~') {
            let problem = Problem::new(text.span, "a cgroup is not below a home directory", "here");
            return Err(problem.help("write it from the root of the hierarchy, `/user.slice/**`"));
        }
        if self.bytes.get() > BYTES {
            let message =
                "the paths of all files, with braces written out, are too many or too long";
            let label = format!("by here they take more than {} MiB", BYTES >> 20);
            return Err(Problem::new(text.span, message, label).help("use `*` in place of braces"));
        }
        let globs = Glob::parse(&format!("{lead}{}", text.is)).map_err(|error| {
            let offset = error.offset.saturating_sub(lead.len());
            let message = format!("{} is not a path", quote(&text.is));
            Problem::new(self.within(text, offset), message, error.message).help(error.help)
        })?;
        let weight: usize = globs.iter().map(|glob| glob.weight() + text.is.len()).sum();
        self.bytes.set(self.bytes.get().saturating_add(weight));
        Ok(globs)
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
    fn leaves(&mut self, written: &'a [written::Item], found: &mut Found) -> Vec<Leaf<'a>> {
        let mut leaves = Vec::new();
        let mut opened: HashSet<(&str, Suffix)> = HashSet::new();
        let top = |item: &'a written::Item| {
            let suffix = Suffix::default();
            Leaf {
                text: &item.text,
                args: item.args.as_deref(),
                list: None,
                suffix,
                by: item.text.span,
            }
        };
        let mut waiting: Vec<Leaf<'a>> = written.iter().rev().map(top).collect();
        while let Some(leaf) = waiting.pop() {
            let named = if leaf.args.is_none() { list_of(&leaf.text.is) } else { None };
            let Some((name, suffix)) = named else {
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
                        let inner = |item: &'a written::Item| Leaf {
                            text: &item.text,
                            args: item.args.as_deref(),
                            list: Some(list_name),
                            suffix,
                            by,
                        };
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
        for item in unused.flat_map(|list| &list.items).filter(|item| mention(item).is_none()) {
            if let Some(problem) = self.check_item(item) {
                found.add(problem);
            }
        }
    }

    /// What is wrong with an item whatever it is meant to be.
    fn check_item(&self, item: &written::Item) -> Option<Problem> {
        let text = &item.text;
        let words = Privilege::WORDS.map(|(word, _)| word);
        if let Some(args) = &item.args {
            return words_of(args).err().or_else(|| self.globs(text, Role::Program).err());
        }
        let is_path = text.is.starts_with(['/', '~']) || text.is.starts_with("**");
        let is_name = !text.is.contains(['/', ':', '[']);
        let destination = || destination::parse(&text.is, Suffix::default(), End::Peer);
        let problem = if words.contains(&&*text.is) {
            None
        } else if is_path || is_name {
            self.globs(text, Role::Program).err()
        } else {
            destination().err().map(|error| refuse(text, &error))
        };
        // A name may be a pattern or a destination: it is enough that it can be one of them.
        problem.filter(|_| destination().is_err())
    }
}

impl Leaf<'_> {
    fn has_no_args(&self) -> Result<(), Problem> {
        let Some(args) = self.args else { return Ok(()) };
        let span = args.first().map_or(self.text.span, |word| word.span);
        let problem = Problem::new(span, "arguments outside of `exec`", "nothing is started here");
        Err(problem.help("write the path alone"))
    }

    fn has_no_port(&self) -> Result<(), Problem> {
        if self.suffix.is_silent() {
            return Ok(());
        }
        let message = format!("a port is added to {}", quote(&self.text.is));
        Err(Problem::new(self.text.span, message, "only destinations have ports"))
    }
}

/// The words of arguments.
pub(super) fn words_of(args: &[At<String>]) -> Result<Words, Problem> {
    Words::parse(args.iter().map(|word| &*word.is)).map_err(|(at, error)| {
        let word = &args[at];
        let message = format!("{} is not a pattern", quote(&word.is));
        Problem::new(word.span, message, error.message).help(error.help)
    })
}

/// The list that an item mentions, and what follows its name.
fn mention(item: &written::Item) -> Option<(&str, &str)> {
    item.args.is_none().then(|| list_of(&item.text.is)).flatten()
}

/// The same of a text.
fn list_of(text: &str) -> Option<(&str, &str)> {
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
