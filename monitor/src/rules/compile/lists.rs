//! Lists: the arguments that rules and signs look at, the variables that signs look at, and the automaton that
//! reads them.
//!
//! An item of a rule that has arguments needs the program *and* its arguments, which bits that are added up cannot
//! say. So each such program is an aux set, and where a new program is in one, the automaton is begun in the
//! state of that program: what it finds are the rules themselves. The programs' states have nothing in common, so
//! that the words for one do not multiply those for another.

use std::collections::HashMap;

use monitor_common::plan::{Bits, LAST, MORE, RULE_WORDS};

use super::{
    automaton::Built,
    classes::Classes,
    gather::By,
    nfa::{Loop, Pattern, Step, Text},
    refusal::{Limit, Refusals},
};
use crate::rules::{
    glob::{ByteSet, Glob},
    model::Place,
    plan::add,
    words::{TextGlob, Unit, Word, Words},
};

/// Node of the graph before the arguments of any program: what is found from there are signs.
pub(super) const ANY_PROGRAM: usize = 0;
/// Node of the graph before a variable of the environment.
pub(super) const ENVIRONMENT: usize = 1;
/// Node of the graph before the arguments of the first program.
const FIRST_PROGRAM: usize = 2;

/// The lists that are looked at.
#[derive(Debug, Default)]
pub(super) struct Lists<'a> {
    /// Each once.
    pub(super) patterns: Vec<Pattern<'a>>,
    /// Where each was first written.
    pub(super) places: Vec<&'a Place>,
    known: HashMap<Text<'a>, usize>,
    /// Programs, by number.
    pub(super) programs: Vec<Asked<'a>>,
    numbers: HashMap<&'a Glob, usize>,
}

/// A program whose arguments are looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// The program.
    pub(super) glob: &'a Glob,
    /// Where it was first written.
    pub(super) place: &'a Place,
    /// Bits of everything that any of its arguments is in.
    bits: Bits,
}

impl<'a> Lists<'a> {
    /// Adds arguments of a program.
    pub(super) fn program(&mut self, glob: &'a Glob, words: &'a Words, by: By<'a>) {
        let number = *self.numbers.entry(glob).or_insert_with(|| {
            self.programs.push(Asked { glob, place: by.place, bits: Bits::default() });
            self.programs.len() - 1
        });
        add(&mut self.programs[number].bits, &by.bit.bits());
        self.add(Text::Arguments(FIRST_PROGRAM + number, words), by);
    }

    /// Adds arguments of whatever program.
    pub(super) fn any_program(&mut self, words: &'a Words, by: By<'a>) {
        self.add(Text::Arguments(ANY_PROGRAM, words), by);
    }

    /// Adds a variable of the environment.
    pub(super) fn variable(&mut self, name: &'a str, value: Option<&'a TextGlob>, by: By<'a>) {
        self.add(Text::Variable(name, value), by);
    }

    fn add(&mut self, text: Text<'a>, by: By<'a>) {
        let at = *self.known.entry(text).or_insert_with(|| {
            self.patterns.push(Pattern { text, bits: Bits::default() });
            self.places.push(by.place);
            self.places.len() - 1
        });
        add(&mut self.patterns[at].bits, &by.bit.bits());
    }

    /// For each program: the state before its arguments, and the class of a start of it whose arguments could
    /// not be known: it is in every list that shuts it, and in none that lets it through.
    pub(super) fn starts(
        &self,
        built: Option<&Built>,
        only: &[u64; RULE_WORDS],
        classes: &mut Classes,
        refusals: &mut Refusals,
    ) -> Vec<(u16, u16)> {
        let small = |number: u32| u16::try_from(number).expect("there is room for fewer");
        let start = |number: usize| {
            let starts = built.map(|built| &built.starts[FIRST_PROGRAM + number]);
            starts.map_or(0, |&state| small(state))
        };
        let mut unknown = |asked: &Asked<'_>| {
            let mut bits = Bits::default();
            for (word, all) in asked.bits.rules.iter().enumerate() {
                bits.rules[word] = all & !only[word];
            }
            small(classes.number(&bits).unwrap_or_else(|| {
                refusals.exceeded(Limit::Classes, asked.place);
                0
            }))
        };
        let programs = self.programs.iter().enumerate();
        programs.map(|(number, asked)| (start(number), unknown(asked))).collect()
    }
}

/// The argument area of a program: its name, which may be anything, and then what is looked at.
pub(super) fn arguments(words: &Words) -> Vec<Step> {
    let mut steps = vec![Step::Stay(Loop::Component), Step::Byte(0)];
    let words = words.words();
    let (words, open) = match words.split_last() {
        Some((Word::Rest, before)) => (before, true),
        _ => (words, false),
    };
    for word in words {
        match word {
            Word::Rest => steps.push(Step::Stay(Loop::Depth)),
            Word::One(glob) => {
                steps.push(Step::Byte(MORE));
                text(glob, &mut steps);
                steps.push(Step::Byte(0));
            }
        }
    }
    // With `**` at the end, what follows makes no difference.
    if !open {
        steps.push(Step::Byte(LAST));
    }
    steps
}

/// A variable, read from its name to the NUL behind its value.
pub(super) fn variable(name: &str, value: Option<&TextGlob>) -> Vec<Step> {
    let mut steps: Vec<Step> = name.bytes().chain([b'=']).map(Step::Byte).collect();
    if let Some(value) = value {
        text(value, &mut steps);
        steps.push(Step::Byte(0));
    }
    steps
}

fn text(glob: &TextGlob, steps: &mut Vec<Step>) {
    steps.extend(glob.units().iter().map(|unit| match unit {
        Unit::Byte(byte) => Step::Byte(*byte),
        Unit::Set(set) => Step::Set(ByteSet::of_text(**set)),
        Unit::Star => Step::Stay(Loop::Component),
    }));
}
