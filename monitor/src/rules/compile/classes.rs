//! Classes: every set of rules and aux sets that some object is in, each set once and by number.

use std::collections::HashMap;

use monitor_common::plan::{self, Bits};

use crate::rules::plan::add;

/// Sets of bits by number. The empty one is 0.
#[derive(Debug)]
pub(super) struct Sets {
    rows: Vec<Bits>,
    numbers: HashMap<Bits, u32>,
    sums: HashMap<(u32, u32), u32>,
}

impl Sets {
    /// Only the empty set.
    pub(super) fn new() -> Self {
        Self {
            rows: vec![Bits::default()],
            numbers: HashMap::from([(Bits::default(), 0)]),
            sums: HashMap::new(),
        }
    }

    /// The number of the set that is exactly `bits`.
    pub(super) fn number(&mut self, bits: &Bits) -> u32 {
        let next =
            u32::try_from(self.rows.len()).expect("fewer sets than bytes of rules and states");
        *self.numbers.entry(*bits).or_insert_with(|| {
            self.rows.push(*bits);
            next
        })
    }

    /// The set with this number.
    pub(super) fn bits(&self, number: u32) -> &Bits {
        &self.rows[number as usize]
    }

    /// Both together.
    pub(super) fn sum(&mut self, one: u32, other: u32) -> u32 {
        let key = (one.min(other), one.max(other));
        if key.0 == 0 || key.0 == key.1 {
            return key.1;
        }
        if let Some(&sum) = self.sums.get(&key) {
            return sum;
        }
        let mut bits = self.rows[one as usize];
        add(&mut bits, &self.rows[other as usize]);
        let sum = self.number(&bits);
        self.sums.insert(key, sum);
        sum
    }
}

/// The class table of a plan while it is being made.
#[derive(Debug)]
pub(super) struct Classes(Sets);

impl Classes {
    /// A table with the empty class.
    pub(super) fn new() -> Self {
        Self(Sets::new())
    }

    /// The number of the class that is exactly `bits`, `None` where the table is full.
    pub(super) fn number(&mut self, bits: &Bits) -> Option<u32> {
        Some(self.0.number(bits)).filter(|&number| number < plan::CLASSES)
    }

    /// The finished table.
    pub(super) fn into_rows(self) -> Vec<Bits> {
        self.0.rows
    }
}
