//! From globs to the table that the kernel steps through, or the glob that makes it too large.

use std::collections::HashMap;

use monitor_common::plan::{Automaton, CELLS, STATES};

use super::{
    classes::Classes,
    dfa::{self, Dfa},
    minimal::minimal,
    nfa::{Nfa, Pattern},
};
use crate::rules::plan::AutomatonSize;

/// A finished automaton.
#[derive(Debug)]
pub(super) struct Built {
    /// The table.
    pub(super) automaton: Box<Automaton>,
    /// Its size.
    pub(super) size: AutomatonSize,
    /// `log2` of the cells of a row.
    pub(super) shift: u8,
    /// States before the first byte, by the number of the node in the graph.
    pub(super) starts: Vec<u32>,
}

/// Why there is none.
#[derive(Debug)]
pub(super) struct TooLarge {
    /// The first pattern that does not fit with those before it.
    pub(super) pattern: usize,
    /// What it would take.
    pub(super) needs: String,
}

/// Makes the automaton that finds `patterns`, of which there is at least one.
pub(super) fn build(patterns: &[Pattern<'_>], classes: &mut Classes) -> Result<Built, TooLarge> {
    match table(patterns, classes) {
        Ok(built) => Ok(built),
        Err(needs) => Err(TooLarge { pattern: first_too_many(patterns), needs }),
    }
}

/// Halves the patterns to find the first that does not fit.
fn first_too_many(patterns: &[Pattern<'_>]) -> usize {
    let (mut fits, mut too_many) = (0, patterns.len());
    while too_many - fits > 1 {
        let middle = fits.midpoint(too_many);
        match table(&patterns[..middle], &mut Classes::new()) {
            Ok(_) => fits = middle,
            Err(_) => too_many = middle,
        }
    }
    too_many - 1
}

fn table(patterns: &[Pattern<'_>], classes: &mut Classes) -> Result<Built, String> {
    let mut nfa = Nfa::new(patterns);
    let dfa =
        dfa::build(&mut nfa).map_err(|dfa::TooMuch| format!("more than {} states", dfa::STATES))?;
    let dfa = minimal(&dfa);
    let columns = Columns::new(&dfa);
    let shift = columns.cells.len().next_power_of_two().trailing_zeros();
    let states = dfa.accept.len();
    if states > STATES || states << shift > CELLS {
        return Err(format!("{states} states of {} cells", 1 << shift));
    }
    let mut automaton = empty();
    automaton.classes = columns.of;
    automaton.start = dfa.starts[0];
    let number = |number: u32| u16::try_from(number).expect("there is room for fewer");
    for (state, &found) in dfa.accept.iter().enumerate() {
        let class =
            classes.number(nfa.found.bits(found)).ok_or("more classes than there is room for")?;
        automaton.accept[state] = number(class);
        for (column, &cell) in columns.cells.iter().enumerate() {
            automaton.cells[(state << shift) + column] =
                number(dfa.next[state * dfa.stride + cell]);
        }
    }
    let count = |count: usize| u32::try_from(count).expect("there is room for fewer");
    let size = AutomatonSize {
        states: count(states),
        byte_classes: count(columns.cells.len()),
        cells: count(states << shift),
    };
    let shift = u8::try_from(shift).expect("a byte has eight bits");
    Ok(Built { automaton, size, shift, starts: dfa.starts })
}

/// Classes of bytes that still lead to different states now that equal ones are merged.
struct Columns {
    /// Column of each byte.
    of: [u8; 256],
    /// For each column, a class of the automaton that has it.
    cells: Vec<usize>,
}

impl Columns {
    fn new(dfa: &Dfa) -> Self {
        let mut numbers = HashMap::new();
        let mut cells = vec![];
        let columns = (0..dfa.stride).map(|class| {
            let column =
                dfa.next.iter().skip(class).step_by(dfa.stride).copied().collect::<Vec<_>>();
            *numbers.entry(column).or_insert_with(|| {
                cells.push(class);
                u8::try_from(cells.len() - 1).expect("no more columns than bytes")
            })
        });
        let columns = columns.collect::<Vec<_>>();
        Self { of: dfa.classes.map(|class| columns[usize::from(class)]), cells }
    }
}

/// An automaton of zeros. It is larger than some stacks.
fn empty() -> Box<Automaton> {
    // SAFETY: `Automaton` is `FromBytes`, so that zeros are a value of it.
    unsafe { Box::<Automaton>::new_zeroed().assume_init() }
}
