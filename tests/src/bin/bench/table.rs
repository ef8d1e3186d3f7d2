//! The table: medians of ratios taken within a round, and their range.

use crate::{ITEMS, Measured, OPERATIONS, measure::Who};

/// Rounds that have been measured.
#[derive(Default)]
pub(crate) struct Table {
    rounds: Vec<Vec<Measured>>,
}

impl Table {
    pub(crate) fn add(&mut self, round: Vec<Measured>) {
        self.rounds.push(round);
    }

    pub(crate) fn print(&self) {
        println!("ratio to no daemon: median (min..max) over {} rounds\n", self.rounds.len());
        print!("{:<10} {:>12}", "operation", "no daemon");
        for items in ITEMS {
            for who in ["untagged", "agent"] {
                print!("  {:>22}", format!("{who}, {items} items"));
            }
        }
        println!();
        for (operation, _) in OPERATIONS {
            print!("{operation:<10} {:>9.0} ns", median(self.all(operation, None)));
            for items in ITEMS {
                for who in [Who::Untagged, Who::Agent] {
                    print!("  {:>22}", range(self.ratios(operation, items, who)));
                }
            }
            println!();
        }
    }

    fn all(&self, operation: &str, under: Option<(usize, Who)>) -> Vec<f64> {
        self.rounds.iter().filter_map(|round| find(round, operation, under)).collect()
    }

    fn ratios(&self, operation: &str, items: usize, who: Who) -> Vec<f64> {
        let bare = self.all(operation, None);
        let under = self.all(operation, Some((items, who)));
        under.iter().zip(bare).map(|(under, bare)| under / bare).collect()
    }
}

fn find(round: &[Measured], operation: &str, under: Option<(usize, Who)>) -> Option<f64> {
    round.iter().find(|measured| measured.0 == operation && measured.1 == under).map(|m| m.2)
}

pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => numbers[count / 2],
        count => f64::midpoint(numbers[count / 2 - 1], numbers[count / 2]),
    }
}

pub(crate) fn range(ratios: Vec<f64>) -> String {
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    format!("{:.2} ({least:.2}..{most:.2})", median(ratios))
}
