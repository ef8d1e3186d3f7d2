//! Items of two lists of objects: which came and which went.

use std::collections::BTreeMap;

use super::{Change, Effect, Of};
use crate::rules::model::{Item, Objects};

/// An item of any kind.
pub(super) struct Any<'a> {
    /// What it is, ports of the place where its list is used included.
    is: String,
    /// What was written.
    pub(super) text: &'a str,
    /// The list that it is in.
    pub(super) list: Option<&'a str>,
}

/// All of them.
pub(super) fn all(objects: &Objects) -> Vec<Any<'_>> {
    fn of<'a, T>(items: &'a [Item<T>], is: impl Fn(&T) -> String) -> Vec<Any<'a>> {
        let any = |item: &'a Item<T>| Any {
            is: is(&item.is),
            text: &item.text,
            list: item.list.as_deref(),
        };
        items.iter().map(any).collect()
    }
    match objects {
        Objects::Paths(items) => of(items, ToString::to_string),
        Objects::Programs(items) => of(items, ToString::to_string),
        Objects::Destinations(items) => of(items, ToString::to_string),
        Objects::Privileges(items) => of(items, ToString::to_string),
    }
}

/// What the objects are, in one line: the same for lists that mean the same.
pub(super) fn line(objects: &Objects) -> String {
    let mut items: Vec<String> = all(objects).into_iter().map(|item| item.is).collect();
    items.sort();
    items.dedup();
    items.join(", ")
}

/// A change for each item that came or went. `added` is what one more means.
pub(super) fn changes(
    of: Of<'_>,
    part: &str,
    old: &Objects,
    new: &Objects,
    added: Effect,
) -> Vec<Change> {
    let by_meaning = |objects| -> BTreeMap<String, Option<&str>> {
        all(objects).into_iter().map(|item| (item.is, item.list)).collect()
    };
    let (old, new) = (by_meaning(old), by_meaning(new));
    let only_in = |these: &BTreeMap<String, Option<&str>>,
                   others: &BTreeMap<String, Option<&str>>| {
        let fresh = these.iter().filter(|(is, _)| !others.contains_key(*is));
        let named = |(is, list): (&String, &Option<&str>)| match list {
            Some(list) => format!("{is}  (@{list})"),
            None => is.clone(),
        };
        fresh.map(named).collect::<Vec<_>>()
    };
    let gone = only_in(&old, &new).into_iter().map(|item| (format!("- {item}"), added.turned()));
    let come = only_in(&new, &old).into_iter().map(|item| (format!("+ {item}"), added));
    gone.chain(come).map(|(detail, effect)| of.part(part, detail, effect)).collect()
}
