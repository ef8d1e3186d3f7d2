//! The automaton, before it is made small: one state for every set of places that a path can be in.
//!
//! What a path is found to be in on its way is added at once and not remembered: states need not tell
//! apart what was found before. And there is a limit to the work: a set of globs that exceeds it is
//! refused, not waited for.

use std::{
    collections::{HashMap, hash_map::Entry},
    rc::Rc,
};

use super::nfa::{END, Edge, Loop, Nfa};
/// States that are tried at most: many times what fits after equal ones are merged.
pub(super) const STATES: usize = 1 << 16;
/// Places in all of them together.
const PLACES: usize = 1 << 23;

/// Marks a place that is inside a component that a `**` takes.
const INSIDE: u32 = 1 << 31;

/// The dead state: nothing is found any more.
pub(super) const DEAD: u32 = 0;

/// A complete automaton over classes of bytes.
#[derive(Debug)]
pub(super) struct Dfa {
    /// Class of each byte.
    pub(super) classes: [u8; 256],
    /// How many classes there are.
    pub(super) stride: usize,
    /// States before the first byte, one for each root of the graph.
    pub(super) starts: Vec<u32>,
    /// What a path is in that comes to a state, as numbers of [`Nfa::found`].
    pub(super) accept: Vec<u32>,
    /// Next states, [`Self::stride`] for each state.
    pub(super) next: Vec<u32>,
}

impl Dfa {
    /// Next states of a state, by class of bytes.
    pub(super) fn row(&self, state: u32) -> &[u32] {
        &self.next[state as usize * self.stride..][..self.stride]
    }
}

/// The work exceeded its limit.
#[derive(Debug)]
pub(super) struct TooMuch;

/// Where a path can be, and what it has just been found to be in.
type Key = (Rc<[u32]>, u32);

/// Makes the automaton of a graph.
pub(super) fn build(nfa: &mut Nfa) -> Result<Dfa, TooMuch> {
    let bytes = ByteClasses::new(nfa);
    let by_class = vec![vec![]; bytes.count];
    let mut work = Work { bytes, states: vec![], numbers: HashMap::new(), places: 0, by_class };
    let dead = work.state(nfa, vec![], 0)?;
    debug_assert_eq!(dead, DEAD);
    let mut starts = vec![];
    for root in nfa.roots.clone() {
        let (mut first, mut found) = (vec![], 0);
        enter(nfa, root, &mut first, &mut found);
        starts.push(work.state(nfa, first, found)?);
    }
    let mut next = vec![];
    let mut accept = vec![];
    while let Some((places, found)) = work.states.get(accept.len()).cloned() {
        accept.push(found);
        work.step(nfa, &places, &mut next)?;
    }
    Ok(Dfa { classes: work.bytes.of, stride: work.bytes.count, starts, accept, next })
}

struct Work {
    bytes: ByteClasses,
    states: Vec<Key>,
    numbers: HashMap<Key, u32>,
    places: usize,
    /// Where single classes lead from the state at hand, kept for its memory.
    by_class: Vec<Vec<u32>>,
}

impl Work {
    /// The number of the state with these places, which may be double and in any order.
    fn state(&mut self, nfa: &mut Nfa, mut places: Vec<u32>, found: u32) -> Result<u32, TooMuch> {
        // Two stretches in order, mostly, which the stable sort looks for and merges.
        #[expect(clippy::stable_sort_primitive, reason = "what is nearly in order")]
        places.sort();
        places.dedup();
        places.retain(|&place| {
            let node = &nfa.nodes[(place & !INSIDE) as usize];
            !node.edges.is_empty() || node.stays != Loop::None
        });
        let next = u32::try_from(self.states.len()).map_err(|_| TooMuch)?;
        match self.numbers.entry((places.into(), found)) {
            Entry::Occupied(known) => Ok(*known.get()),
            Entry::Vacant(vacant) => {
                self.places += vacant.key().0.len();
                self.states.push(vacant.key().clone());
                vacant.insert(next);
                if self.states.len() > STATES || self.places > PLACES {
                    Err(TooMuch)
                } else {
                    Ok(next)
                }
            }
        }
    }

    /// Appends the row of a state: what each class of bytes leads to.
    fn step(&mut self, nfa: &mut Nfa, places: &[u32], next: &mut Vec<u32>) -> Result<(), TooMuch> {
        let everywhere = self.spread(nfa, places);
        let otherwise = self.reached(nfa, &everywhere)?;
        for class in 0..self.bytes.count {
            let mut children = std::mem::take(&mut self.by_class[class]);
            let own = class == self.bytes.separator || class == self.bytes.end;
            let state = if children.is_empty() && !own {
                otherwise
            } else {
                if !own {
                    children.extend_from_slice(&everywhere);
                }
                self.reached(nfa, &children)?
            };
            children.clear();
            self.by_class[class] = children;
            next.push(state);
        }
        Ok(())
    }

    /// Spreads what `places` lead to over the classes of bytes, and gives what every byte but the
    /// separator leads to.
    fn spread(&mut self, nfa: &Nfa, places: &[u32]) -> Vec<u32> {
        let mut everywhere = vec![];
        for &place in places {
            let node = &nfa.nodes[(place & !INSIDE) as usize];
            if place & INSIDE != 0 {
                everywhere.push(place);
                self.by_class[self.bytes.separator].push(place & !INSIDE);
                continue;
            }
            match node.stays {
                Loop::None => {}
                Loop::Component => everywhere.push(place),
                Loop::Depth => everywhere.push(place | INSIDE),
            }
            for &(edge, child) in &node.edges {
                match edge {
                    Edge::Skip => {}
                    Edge::Byte(byte) => {
                        self.by_class[usize::from(self.bytes.of[usize::from(byte)])].push(child)
                    }
                    Edge::Set(set) if nfa.sets[set as usize] == nfa.any() => everywhere.push(child),
                    Edge::Set(set) => {
                        self.bytes.in_set[set as usize]
                            .iter()
                            .for_each(|&class| self.by_class[class].push(child));
                    }
                }
            }
        }
        everywhere
    }

    fn reached(&mut self, nfa: &mut Nfa, children: &[u32]) -> Result<u32, TooMuch> {
        let (mut places, mut found) = (vec![], 0);
        children.iter().for_each(|&child| enter(nfa, child, &mut places, &mut found));
        self.state(nfa, places, found)
    }
}

/// Adds a place and all that it skips to.
fn enter(nfa: &mut Nfa, place: u32, places: &mut Vec<u32>, found: &mut u32) {
    places.push(place);
    if place & INSIDE != 0 {
        return;
    }
    *found = nfa.found.sum(*found, nfa.nodes[place as usize].found);
    // In order, skips come last; a node has two at most, and they do not go on for ever.
    for at in (0..nfa.nodes[place as usize].edges.len()).rev() {
        match nfa.nodes[place as usize].edges[at] {
            (Edge::Skip, child) => enter(nfa, child, places, found),
            _ => break,
        }
    }
}

/// Bytes that no edge tells apart.
struct ByteClasses {
    of: [u8; 256],
    count: usize,
    separator: usize,
    end: usize,
    /// The classes in each set of the graph.
    in_set: Vec<Vec<usize>>,
}

impl ByteClasses {
    fn new(nfa: &Nfa) -> Self {
        let mut single = [false; 256];
        single[usize::from(nfa.separator)] = true;
        single[usize::from(END)] = true;
        for (edge, _) in nfa.nodes.iter().flat_map(|node| &node.edges) {
            if let Edge::Byte(byte) = edge {
                single[usize::from(*byte)] = true;
            }
        }
        let mut numbers = HashMap::new();
        let of = std::array::from_fn(|byte| {
            let byte = u8::try_from(byte).expect("there are 256 of them");
            let sets = nfa.sets.iter().map(|set| set.has(byte)).collect::<Vec<_>>();
            let next = numbers.len();
            let class =
                *numbers.entry((single[usize::from(byte)].then_some(byte), sets)).or_insert(next);
            u8::try_from(class).expect("no more classes than bytes")
        });
        let class = |byte: u8| usize::from(of[usize::from(byte)]);
        let in_set = nfa.sets.iter().map(|set| {
            let mut classes =
                (0..=255).filter(|&byte| set.has(byte)).map(class).collect::<Vec<_>>();
            classes.sort_unstable();
            classes.dedup();
            classes
        });
        Self {
            in_set: in_set.collect(),
            count: numbers.len(),
            separator: class(nfa.separator),
            end: class(END),
            of,
        }
    }
}
