//! The automaton made small: states that no rest of a path tells apart become one (Hopcroft).

use std::collections::HashMap;

use super::dfa::{DEAD, Dfa};

/// The smallest automaton that says the same, states in the order in which reading comes to them.
pub(super) fn minimal(dfa: &Dfa) -> Dfa {
    let blocks = blocks(dfa);
    let mut numbers = HashMap::from([(blocks[DEAD as usize], DEAD)]);
    // One state of each block, by the block's new number.
    let mut chosen = vec![DEAD];
    let mut number = |state: u32, chosen: &mut Vec<u32>| {
        *numbers.entry(blocks[state as usize]).or_insert_with(|| {
            chosen.push(state);
            u32::try_from(chosen.len() - 1).expect("no more blocks than states")
        })
    };
    let starts = dfa.starts.iter().map(|&start| number(start, &mut chosen)).collect();
    let (mut next, mut accept, mut at) = (vec![], vec![], 0);
    while let Some(&state) = chosen.get(at) {
        accept.push(dfa.accept[state as usize]);
        next.extend(dfa.row(state).iter().map(|&reached| number(reached, &mut chosen)));
        at += 1;
    }
    Dfa { classes: dfa.classes, stride: dfa.stride, starts, accept, next }
}

/// The block of each state: states are in one block that no rest of a path tells apart.
fn blocks(dfa: &Dfa) -> Vec<u32> {
    let before = Before::new(dfa);
    let mut partition = Partition::new(&dfa.accept);
    let mut waiting = (0..partition.blocks.len()).collect::<Vec<_>>();
    let mut is_waiting = vec![true; waiting.len()];
    while let Some(splitter) = waiting.pop() {
        is_waiting[splitter] = false;
        // It may itself be split on the way.
        let states = partition.states(splitter).to_vec();
        for class in 0..dfa.stride {
            states
                .iter()
                .flat_map(|&state| before.states(state, class))
                .for_each(|&state| partition.mark(state));
            for block in std::mem::take(&mut partition.touched) {
                let Some(new) = partition.split(block) else { continue };
                is_waiting.push(false);
                // Of the halves of a block that is not waiting, the smaller one is enough.
                let smaller = if partition.states(new).len() <= partition.states(block).len() {
                    new
                } else {
                    block
                };
                let add = if is_waiting[block] { new } else { smaller };
                is_waiting[add] = true;
                waiting.push(add);
            }
        }
    }
    partition.block
}

/// For each state and class of bytes, the states that lead there.
struct Before {
    stride: usize,
    first: Vec<u32>,
    states: Vec<u32>,
}

impl Before {
    fn new(dfa: &Dfa) -> Self {
        let stride = dfa.stride;
        let cell = |at: usize| dfa.next[at] as usize * stride + at % stride;
        let mut first = vec![0; dfa.next.len() + 1];
        (0..dfa.next.len()).for_each(|at| first[cell(at)] += 1);
        let mut sum = 0;
        for count in &mut first {
            sum += *count;
            *count = sum;
        }
        let mut states = vec![0; dfa.next.len()];
        for at in 0..dfa.next.len() {
            first[cell(at)] -= 1;
            states[first[cell(at)] as usize] =
                u32::try_from(at / stride).expect("states are numbered so");
        }
        Self { stride, first, states }
    }

    fn states(&self, state: u32, class: usize) -> &[u32] {
        let cell = state as usize * self.stride + class;
        &self.states[self.first[cell] as usize..self.first[cell + 1] as usize]
    }
}

/// States in blocks, each block a stretch of `states`, its marked states first.
struct Partition {
    states: Vec<u32>,
    /// Where a state is in `states`.
    at: Vec<usize>,
    block: Vec<u32>,
    blocks: Vec<Block>,
    /// Blocks with marked states.
    touched: Vec<usize>,
}

struct Block {
    from: usize,
    to: usize,
    marked: usize,
}

impl Partition {
    /// One block for each value of `accept`.
    fn new(accept: &[u32]) -> Self {
        let mut states = (0..accept.len())
            .map(|state| u32::try_from(state).expect("states are numbered so"))
            .collect::<Vec<_>>();
        states.sort_by_key(|&state| accept[state as usize]);
        let mut partition = Self {
            at: vec![0; states.len()],
            block: vec![0; states.len()],
            states: vec![],
            blocks: vec![],
            touched: vec![],
        };
        for same in states.chunk_by(|&one, &other| accept[one as usize] == accept[other as usize]) {
            let from = partition.states.len();
            partition.states.extend_from_slice(same);
            partition.add(from, from + same.len());
        }
        (0..states.len()).for_each(|at| partition.at[partition.states[at] as usize] = at);
        partition
    }

    fn add(&mut self, from: usize, to: usize) -> usize {
        let number = u32::try_from(self.blocks.len()).expect("no more blocks than states");
        self.states[from..to].iter().for_each(|&state| self.block[state as usize] = number);
        self.blocks.push(Block { from, to, marked: 0 });
        number as usize
    }

    fn states(&self, block: usize) -> &[u32] {
        &self.states[self.blocks[block].from..self.blocks[block].to]
    }

    fn mark(&mut self, state: u32) {
        let number = self.block[state as usize] as usize;
        let block = &mut self.blocks[number];
        let (at, to) = (self.at[state as usize], block.from + block.marked);
        if at < to {
            return;
        }
        if block.marked == 0 {
            self.touched.push(number);
        }
        block.marked += 1;
        self.states.swap(at, to);
        self.at[self.states[at] as usize] = at;
        self.at[self.states[to] as usize] = to;
    }

    /// Makes a new block of the marked states, unless they are all.
    fn split(&mut self, number: usize) -> Option<usize> {
        let block = &mut self.blocks[number];
        let (from, middle) = (block.from, block.from + std::mem::take(&mut block.marked));
        if middle == block.to {
            return None;
        }
        block.from = middle;
        Some(self.add(from, middle))
    }
}
