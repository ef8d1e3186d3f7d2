//! Form: in which table of the plan a glob finds its place.
//!
//! A glob without wildcards is a literal, and so is one whose only wildcard is what a literal look-up
//! does anyway. The others are read by an automaton: forward where the glob has a fixed beginning,
//! backward where it floats. One automaton for both would multiply their states.

use monitor_common::plan::Space;

use crate::rules::glob::{Anchor, Glob, Part, Unit};

/// The place of a glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The object that is spelt so.
    Exact(Space, Vec<u8>),
    /// Everything below what is spelt so.
    Below(Space, Vec<u8>),
    /// The forward automaton.
    Forward(Space),
    /// The backward automaton.
    Backward,
}

/// What the path of a glob is the path of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// A file.
    Files,
    /// A cgroup.
    Cgroups,
}

/// Finds the place of `glob`. `None` for a glob that means a home directory where there is none.
pub(super) fn form(glob: &Glob, tree: Tree) -> Option<Form> {
    let space = match (tree, glob.anchor()) {
        (Tree::Files, Anchor::Root) => Space::Absolute,
        (Tree::Files, Anchor::Home) => Space::Home,
        (Tree::Cgroups, Anchor::Root) => Space::Cgroup,
        (Tree::Cgroups, Anchor::Home) => return None,
    };
    Some(match glob.parts() {
        [Part::Depth, Part::Literal(name)] if tree == Tree::Files && space == Space::Absolute => {
            Form::Exact(Space::Name, name.to_vec())
        }
        [Part::Depth, last] if space == Space::Absolute && suffix(last).is_some() => {
            Form::Exact(Space::Suffix, suffix(last)?)
        }
        [Part::Depth, ..] if space == Space::Absolute => Form::Backward,
        // Without a directory there is no slash to look it up at: `~/**` is not here.
        [directory @ .., Part::Depth, last] if last.is_star() && !directory.is_empty() => {
            literal(directory).map_or(Form::Forward(space), |path| Form::Below(space, path))
        }
        path => literal(path).map_or(Form::Forward(space), |path| Form::Exact(space, path)),
    })
}

/// The path of parts that are all literal.
fn literal(parts: &[Part]) -> Option<Vec<u8>> {
    let mut path = Vec::new();
    for part in parts {
        let Part::Literal(bytes) = part else { return None };
        path.push(b'/');
        path.extend_from_slice(bytes);
    }
    Some(path)
}

/// The suffix of `*.suffix`, with its dot: the only one, since names are looked up from their last.
fn suffix(part: &Part) -> Option<Vec<u8>> {
    let Part::Pattern(units) = part else { return None };
    let [Unit::Star, Unit::Byte(b'.'), rest @ ..] = &**units else { return None };
    let mut suffix = vec![b'.'];
    for unit in rest {
        match unit {
            Unit::Byte(b'.') | Unit::Set(_) | Unit::Star => return None,
            Unit::Byte(byte) => suffix.push(*byte),
        }
    }
    Some(suffix)
}
