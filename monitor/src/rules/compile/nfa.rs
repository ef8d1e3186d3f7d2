//! The graph that an automaton is made of: all its globs, laid over each other from the first byte
//! read on.
//!
//! It is a trie whose nodes may loop, and whose equal tails are then folded into one. That is what
//! keeps the automaton small: a hundred globs `**/*word*` of one rule share what comes before the word
//! and what comes after it.

use std::collections::HashMap;

use monitor_common::plan::{Bits, Space};

use super::{classes::Sets, lists};
use crate::rules::{
    glob::{ByteSet, Glob, Part, Unit},
    words::{TextGlob, Words},
};

/// What an automaton must find, and what it then adds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pattern<'a> {
    /// What is found.
    pub(super) text: Text<'a>,
    /// Bits of what it matches.
    pub(super) bits: Bits,
}

/// What is found. One automaton is of paths read from one side, or of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Text<'a> {
    /// Paths of a space, read from their first byte.
    Anchored(&'a Glob, Space),
    /// Paths, read from their last byte.
    Floating(&'a Glob),
    /// The arguments of a program, which is known by the number of the node before its name.
    Arguments(usize, &'a Words),
    /// A variable of the environment, and maybe its value.
    Variable(&'a str, Option<&'a TextGlob>),
}

impl Text<'_> {
    fn steps(&self) -> Vec<Step> {
        match self {
            Self::Anchored(glob, space) => forward(glob, *space),
            Self::Floating(glob) => backward(glob),
            Self::Arguments(_, words) => lists::arguments(words),
            Self::Variable(name, value) => lists::variable(name, *value),
        }
    }

    /// Number of the node that it begins at.
    const fn root(&self) -> usize {
        match self {
            Self::Anchored(..) | Self::Floating(_) => 0,
            Self::Arguments(root, _) => *root,
            Self::Variable(..) => lists::ENVIRONMENT,
        }
    }

    /// The byte between components, or behind a text of a list.
    const fn separator(&self) -> u8 {
        match self {
            Self::Anchored(..) | Self::Floating(_) => b'/',
            Self::Arguments(..) | Self::Variable(..) => 0,
        }
    }
}

/// What leads from one node to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Edge {
    /// This byte.
    Byte(u8),
    /// A byte of the set with this number.
    Set(u32),
    /// Nothing: whoever is in the first node is in the second as well.
    Skip,
}

/// How a node stays where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Loop {
    /// It does not.
    #[default]
    None,
    /// By every byte but the separator.
    Component,
    /// By every whole component and its separator.
    Depth,
}

/// A place in some globs.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// Where it leads, in order.
    pub(super) edges: Vec<(Edge, u32)>,
    /// How it stays.
    pub(super) stays: Loop,
    /// What every path is in that comes here, as a number of [`Nfa::found`].
    pub(super) found: u32,
}

/// The graph.
#[derive(Debug)]
pub(super) struct Nfa {
    /// The nodes before the first byte.
    pub(super) roots: Vec<u32>,
    /// What stands between components.
    pub(super) separator: u8,
    /// The nodes.
    pub(super) nodes: Vec<Node>,
    /// The sets of [`Edge::Set`].
    pub(super) sets: Vec<ByteSet>,
    /// What is found, by number.
    pub(super) found: Sets,
}

/// What a glob is in reading order.
pub(super) enum Step {
    /// This byte.
    Byte(u8),
    /// A byte of this set.
    Set(ByteSet),
    /// As many as the loop takes.
    Stay(Loop),
}

impl Nfa {
    /// Lays `patterns` over each other.
    pub(super) fn new(patterns: &[Pattern<'_>]) -> Self {
        let separator = patterns.first().map_or(b'/', |pattern| pattern.text.separator());
        let roots = patterns.iter().map(|pattern| pattern.text.root()).max().unwrap_or(0) + 1;
        let nodes = vec![Node::default(); roots];
        let mut trie = Trie { nodes, children: HashMap::new(), sets: HashMap::new() };
        let mut found = Sets::new();
        for pattern in patterns {
            let root = u32::try_from(pattern.text.root()).expect("as many as there are aux sets");
            let steps = pattern.text.steps();
            let node = steps.iter().fold(root, |node, step| trie.child(node, step));
            let here = &mut trie.nodes[node as usize].found;
            let number = found.number(&pattern.bits);
            *here = found.sum(*here, number);
        }
        let mut sets = trie.sets.into_iter().collect::<Vec<_>>();
        sets.sort_unstable_by_key(|&(_, number)| number);
        let (nodes, same) = folded(trie.nodes);
        let sets = sets.into_iter().map(|(set, _)| set).collect();
        Self { roots: same[..roots].to_vec(), separator, nodes, sets, found }
    }

    /// Every byte of a component.
    pub(super) const fn any(&self) -> ByteSet {
        if self.separator == b'/' { ByteSet::ANY } else { ByteSet::TEXT }
    }
}

/// The graph before equal tails are folded.
struct Trie {
    nodes: Vec<Node>,
    children: HashMap<(u32, Edge, Loop), u32>,
    sets: HashMap<ByteSet, u32>,
}

impl Trie {
    fn child(&mut self, node: u32, step: &Step) -> u32 {
        let number = |count: usize| u32::try_from(count).expect("fewer steps than bytes of rules");
        let (edge, stays) = match step {
            Step::Byte(byte) => (Edge::Byte(*byte), Loop::None),
            Step::Set(set) => {
                let next = number(self.sets.len());
                (Edge::Set(*self.sets.entry(*set).or_insert(next)), Loop::None)
            }
            Step::Stay(stays) => (Edge::Skip, *stays),
        };
        let next = number(self.nodes.len());
        *self.children.entry((node, edge, stays)).or_insert_with(|| {
            self.nodes.push(Node { stays, ..Node::default() });
            self.nodes[node as usize].edges.push((edge, next));
            next
        })
    }
}

/// Keeps one of all nodes that lead to the same, and says which for each. A node's children come after it in the trie, so that
/// going backwards every child is known before its parents.
fn folded(mut trie: Vec<Node>) -> (Vec<Node>, Vec<u32>) {
    let mut kept = HashMap::new();
    let mut same = vec![0; trie.len()];
    for at in (0..trie.len()).rev() {
        let mut node = std::mem::take(&mut trie[at]);
        node.edges.iter_mut().for_each(|(_, child)| *child = same[*child as usize]);
        node.edges.sort_unstable();
        let number = u32::try_from(at).expect("as many as there were numbers for");
        same[at] = *kept.entry((node.edges.clone(), node.stays, node.found)).or_insert(number);
        if same[at] == number {
            trie[at] = node;
        }
    }
    (trie, same)
}

/// What the forward automaton is fed after the last byte: no path has it.
pub(in crate::rules) const END: u8 = 0;

/// From the first byte on, behind the lead byte of the space.
fn forward(glob: &Glob, space: Space) -> Vec<Step> {
    let lead = space.lead().expect("only spaces that are led in have anchored globs");
    let mut steps = if lead == b'/' { vec![] } else { vec![Step::Byte(lead)] };
    for (at, part) in glob.parts().iter().enumerate() {
        let deep = at > 0 && glob.parts()[at - 1] == Part::Depth;
        if !deep {
            steps.push(Step::Byte(b'/'));
        }
        let last = at + 1 == glob.parts().len();
        match part {
            Part::Depth => steps.push(Step::Stay(Loop::Depth)),
            part if deep && last && part.is_star() => {
                // Below a directory: one byte of a component says it.
                steps.pop();
                steps.push(Step::Set(ByteSet::ANY));
                return steps;
            }
            part => component(part, &mut steps, false),
        }
    }
    steps.push(Step::Byte(END));
    steps
}

/// From the last byte back to the start of the first component that is named.
fn backward(glob: &Glob) -> Vec<Step> {
    let named = &glob.parts()[1..];
    let mut steps = vec![];
    for (at, part) in named.iter().enumerate().rev() {
        match part {
            Part::Depth => steps.push(Step::Stay(Loop::Depth)),
            part => component(part, &mut steps, true),
        }
        // Before the slash, so that a `**` begins behind one.
        if *part != Part::Depth && at > 0 {
            steps.push(Step::Byte(b'/'));
        }
    }
    // Every path has a slash before its first component: a `*` there always comes to its end.
    match steps.last() {
        Some(Step::Stay(_)) => drop(steps.pop()),
        _ => steps.push(Step::Byte(b'/')),
    }
    steps
}

fn component(part: &Part, steps: &mut Vec<Step>, backward: bool) {
    let step = |unit: &Unit| match unit {
        Unit::Byte(byte) => Step::Byte(*byte),
        Unit::Set(set) => Step::Set(**set),
        Unit::Star => Step::Stay(Loop::Component),
    };
    match part {
        Part::Depth => {}
        Part::Literal(bytes) if backward => {
            steps.extend(bytes.iter().rev().copied().map(Step::Byte))
        }
        Part::Literal(bytes) => steps.extend(bytes.iter().copied().map(Step::Byte)),
        // The same both ways, and better known from its first byte.
        Part::Pattern(units) if backward && !part.is_star() => {
            steps.extend(units.iter().rev().map(step))
        }
        Part::Pattern(units) => steps.extend(units.iter().map(step)),
    }
}
