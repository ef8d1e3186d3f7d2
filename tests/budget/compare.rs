//! Now and before: which rows are worse than what is stored, by more than their noise.

use std::fmt;

use crate::{
    measured::Measured,
    row::{self, Row},
    table::number,
};

/// A program whose verification takes so much more, in percent, is worth a word.
const GROWN_PERCENT: u64 = 10;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    worse: Vec<(&'static Row, f64, f64)>,
    better: Vec<(&'static Row, f64, f64)>,
    /// Rows that were not measured.
    absent: Vec<&'static str>,
    /// Programs that take the verifier longer.
    grown: Vec<(String, u64, u64)>,
}

impl Comparison {
    /// Compares. A row that was not stored is new, and not worse.
    pub(crate) fn of(before: &Measured, now: &Measured) -> Self {
        let mut comparison = Self::default();
        for row in row::all() {
            match (before.get(row.id), now.get(row.id)) {
                (_, None) => comparison.absent.push(row.id),
                (None, Some(_)) => {}
                (Some(before), Some(now)) => {
                    if row.worse(before, now).is_some() {
                        comparison.worse.push((row, before, now));
                    } else if row.worse(now, before).is_some() {
                        comparison.better.push((row, before, now));
                    }
                }
            }
        }
        for (program, now) in &now.verified {
            let before = before.verified.get(program).copied().unwrap_or(*now);
            if now * 100 > before * (100 + GROWN_PERCENT) {
                comparison.grown.push((program.clone(), before, *now));
            }
        }
        comparison
    }

    /// Whether nothing is worse, and nothing was left out.
    pub(crate) fn is_good(&self) -> bool {
        self.worse.is_empty() && self.absent.is_empty()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (row, before, now) in &self.worse {
            let noise = row.noise.of(*before);
            let [before, now, noise] = [*before, *now, noise].map(number);
            let Row { id, what, .. } = row;
            writeln!(f, "WORSE {id}: {now}, was {before}, and noise is {noise} at most: {what}")?;
        }
        for id in &self.absent {
            writeln!(f, "ABSENT {id}: it was not measured")?;
        }
        for (row, before, now) in &self.better {
            writeln!(f, "better {}: {}, was {}", row.id, number(*now), number(*before))?;
        }
        for (program, before, now) in &self.grown {
            writeln!(f, "the verifier goes through {now} instructions of {program}, was {before}")?;
        }
        if self.is_good() {
            writeln!(f, "as stored: no row is worse")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::{Number, tests::made_up};

    /// Every row at a number.
    fn every(added: f64) -> Measured {
        let mut measured = made_up(&[]);
        for row in row::all() {
            measured.numbers.insert(row.id.to_owned(), Number { without: None, added });
        }
        measured
    }

    #[test]
    fn a_row_that_is_worse_is_named() {
        let before = every(1_000.0);
        assert!(Comparison::of(&before, &before).is_good());
        let mut now = before.clone();
        now.numbers.get_mut("open.none").unwrap().added = 1_031.0;
        let comparison = Comparison::of(&before, &now);
        assert!(!comparison.is_good());
        let said = comparison.to_string();
        assert!(
            said.starts_with("WORSE open.none: 1,031, was 1,000, and noise is 30 at most"),
            "{said}"
        );
        let back = Comparison::of(&now, &before);
        assert!(back.is_good());
        assert!(back.to_string().starts_with("better open.none: 1,000, was 1,031"));
    }

    #[test]
    fn a_row_that_was_not_measured_is_not_good() {
        let before = every(1_000.0);
        let mut now = before.clone();
        now.numbers.remove("connect.none");
        let comparison = Comparison::of(&before, &now);
        assert!(!comparison.is_good());
        assert!(comparison.to_string().contains("ABSENT connect.none"));
        // A row that is new has nothing to be compared with.
        assert!(Comparison::of(&now, &before).is_good());
    }

    #[test]
    fn programs_that_grow_are_told_of() {
        let before = every(1_000.0);
        let mut now = before.clone();
        now.verified.insert("file_open".to_owned(), 44_001);
        let comparison = Comparison::of(&before, &now);
        assert!(comparison.is_good());
        assert!(comparison.to_string().contains("44001 instructions of file_open, was 40000"));
        now.verified.insert("file_open".to_owned(), 44_000);
        assert!(!Comparison::of(&before, &now).to_string().contains("file_open"));
    }
}
