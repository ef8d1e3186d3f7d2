//! What was measured: a number for each row, on one kernel, as it is stored.
//!
//! Sorted and whole numbers, so that a file changes where a number does.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde_json::{Map, Value, json};

const SCHEMA: &str = "driftwatch.budget/v1";

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    /// As `uname -r` says it.
    pub(crate) kernel: String,
    /// In which way acts were refused there.
    pub(crate) rung: String,
    /// By the name of the row.
    pub(crate) numbers: BTreeMap<String, Number>,
    /// Instructions that the verifier went through, by program.
    pub(crate) verified: BTreeMap<String, u64>,
}

/// One number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number {
    /// What the same operation takes without a daemon.
    pub(crate) without: Option<f64>,
    /// What it takes more, or what there is.
    pub(crate) added: f64,
}

impl Measured {
    /// The first two numbers of the kernel's: `6.12`.
    pub(crate) fn version(&self) -> String {
        self.kernel.split('.').take(2).collect::<Vec<_>>().join(".")
    }

    /// The same as numbers, to be sorted by.
    pub(crate) fn order(&self) -> Vec<u32> {
        self.version().split('.').filter_map(|number| number.parse().ok()).collect()
    }

    /// The number of a row.
    pub(crate) fn get(&self, id: &str) -> Option<f64> {
        self.numbers.get(id).map(|number| number.added)
    }

    fn json(&self) -> Value {
        let numbers = self.numbers.iter().map(|(id, number)| {
            let value = match number.without {
                Some(without) => json!({ "without": whole(without), "added": whole(number.added) }),
                None => json!({ "added": whole(number.added) }),
            };
            (id.clone(), value)
        });
        json!({
            "schema": SCHEMA, "kernel": self.kernel, "rung": self.rung,
            "rows": numbers.collect::<Map<_, _>>(), "verified": self.verified,
        })
    }

    /// On one line.
    pub(crate) fn line(&self) -> String {
        self.json().to_string()
    }

    /// As it is stored.
    pub(crate) fn text(&self) -> String {
        format!("{:#}\n", self.json())
    }

    /// Reads either.
    pub(crate) fn read(text: &str) -> anyhow::Result<Self> {
        let value: Value = serde_json::from_str(text).context("not what was measured")?;
        ensure!(value["schema"] == SCHEMA, "of another version of this program");
        let word = |name: &str| {
            let word = value[name].as_str().map(ToOwned::to_owned);
            word.with_context(|| format!("no `{name}`"))
        };
        let map = |name: &str| value[name].as_object().with_context(|| format!("no `{name}`"));
        let mut measured = Self {
            kernel: word("kernel")?,
            rung: word("rung")?,
            numbers: BTreeMap::new(),
            verified: BTreeMap::new(),
        };
        for (id, number) in map("rows")? {
            let added = number["added"].as_f64().with_context(|| format!("no number of {id}"))?;
            let number = Number { without: number["without"].as_f64(), added };
            measured.numbers.insert(id.clone(), number);
        }
        for (program, count) in map("verified")? {
            let count = count.as_u64().with_context(|| format!("no number of {program}"))?;
            measured.verified.insert(program.clone(), count);
        }
        Ok(measured)
    }
}

/// Whole numbers: what is behind the point is noise.
#[expect(clippy::cast_possible_truncation, reason = "numbers of instructions are far below 2^53")]
pub(crate) fn whole(number: f64) -> i64 {
    number.round() as i64
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Numbers that were never measured.
    pub(crate) fn made_up(numbers: &[(&str, Option<f64>, f64)]) -> Measured {
        let numbers = numbers.iter().map(|(id, without, added)| {
            ((*id).to_owned(), Number { without: *without, added: *added })
        });
        Measured {
            kernel: "6.12.1+deb12-cloud-amd64".to_owned(),
            rung: "BPF LSM".to_owned(),
            numbers: numbers.collect(),
            verified: BTreeMap::from([
                ("capable".to_owned(), 97),
                ("file_open".to_owned(), 40_000),
            ]),
        }
    }

    #[test]
    fn what_is_stored_is_read_as_it_was() {
        let measured = made_up(&[("open.none", Some(5_820.0), 180.0), ("start", None, 2e9)]);
        assert_eq!(Measured::read(&measured.text()).unwrap(), measured);
        assert_eq!(Measured::read(&measured.line()).unwrap(), measured);
        assert_eq!((measured.version().as_str(), measured.order()), ("6.12", vec![6, 12]));
        assert!(Measured::read("{}").is_err());
    }
}
