//! The table: of one kernel on a terminal and as a page, of all kernels as the README's block.

use std::fmt::Write as _;

use anyhow::Context;

use crate::{
    measured::{Measured, whole},
    row::{PARTS, ROWS, Row, Unit},
};

/// The README's block begins and ends with these lines.
const BEGIN: &str = "<!-- written by `cargo xtask bench --guest --accept` -->\n";
const END: &str = "<!-- end of what is written -->\n";
/// What stands from here on in a page is written by hand and kept.
const NOTES: &str = "\n## Notes\n";

/// One row of a table in words: what, budget, without a daemon, measured, whether the budget is met.
type Line = [String; 5];

/// As it is printed.
pub(crate) fn table(measured: &Measured) -> String {
    let mut text = format!("Linux {}, {}\n\n", measured.kernel, measured.rung);
    for line in lines(measured, ROWS).into_iter().chain(lines(measured, PARTS)) {
        let [what, budget, without, added, met] = line;
        let _never_fails =
            writeln!(text, "{what:<66} {without:>12} {added:>14} {budget:>10}  {met}");
    }
    text
}

/// As a page of Markdown, with the notes.
pub(crate) fn page(measured: &Measured, notes: &str) -> String {
    let mut text = format!(
        "# What it costs on Linux {}\n\nWritten by `cargo xtask bench --guest --kernel {} --accept`, on {} \
         ({}): instructions of an\nemulated processor, one after the other, that an operation takes more than without \
         the daemon.\nBelow the last table stand notes that are written by hand.\n",
        measured.version(),
        measured.version(),
        measured.kernel,
        measured.rung
    );
    for (heading, rows) in [("Budgets", ROWS), ("Of what they are made up", PARTS)] {
        let _never_fails = write!(
            text,
            "\n## {heading}\n\n| | budget | without | added | |\n|---|---:|---:|---:|---|\n"
        );
        for [what, budget, without, added, met] in lines(measured, rows) {
            let _never_fails =
                writeln!(text, "| {what} | {budget} | {without} | {added} | {met} |");
        }
    }
    text += "\n## What the verifier goes through\n\n| program | instructions |\n|---|---:|\n";
    for (program, count) in &measured.verified {
        let _never_fails = writeln!(text, "| `{program}` | {} |", thousands(&count.to_string()));
    }
    let all: u64 = measured.verified.values().sum();
    let _never_fails = writeln!(text, "| all | {} |", thousands(&all.to_string()));
    text + notes
}

/// What is written by hand in a page.
pub(crate) fn notes(page: &str) -> &str {
    page.find(NOTES).map_or("", |at| &page[at..])
}

/// A text with the block for these kernels where its block was.
pub(crate) fn with_block(text: &str, kernels: &[Measured]) -> anyhow::Result<String> {
    let (before, rest) =
        text.split_once(BEGIN).with_context(|| format!("no line {}", BEGIN.trim_end()))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("no line {}", END.trim_end()))?;
    Ok([before, BEGIN, &block(kernels), END, after].concat())
}

fn block(kernels: &[Measured]) -> String {
    let mut text = String::from("\n| | budget |");
    for kernel in kernels {
        let _never_fails = write!(text, " [{0}](tests/budget/results/{0}.md) |", kernel.version());
    }
    let _never_fails = writeln!(text, "\n|---|---:|{}", "---:|".repeat(kernels.len()));
    for row in ROWS {
        let _never_fails = write!(text, "| {} | {} |", row.what, budget(row));
        for kernel in kernels {
            let _never_fails = match kernel.get(row.id) {
                Some(added) if row.is_met(added) == Some(false) => {
                    write!(text, " **{}** |", amount(row, added))
                }
                Some(added) => write!(text, " {} |", amount(row, added)),
                None => write!(text, " |"),
            };
        }
        text.push('\n');
    }
    text.push('\n');
    text
}

fn lines(measured: &Measured, rows: &'static [Row]) -> Vec<Line> {
    let line = |row: &'static Row| {
        let number = measured.numbers.get(row.id)?;
        let met = match row.is_met(number.added) {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "",
        };
        Some([
            row.what.to_owned(),
            budget(row),
            number.without.map(self::number).unwrap_or_default(),
            amount(row, number.added),
            met.to_owned(),
        ])
    };
    rows.iter().filter_map(line).collect()
}

fn budget(row: &Row) -> String {
    row.budget.map(|budget| amount(row, budget)).unwrap_or_default()
}

fn amount(row: &Row, amount: f64) -> String {
    const KIB: f64 = 1024.0;
    match row.unit {
        Unit::KiB => format!("{:.1} MiB", amount / KIB),
        Unit::Instructions | Unit::Whole | Unit::PerSecond | Unit::Events => number(amount),
    }
}

/// A whole number with a comma for each thousand.
pub(crate) fn number(number: f64) -> String {
    let number = whole(number);
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", thousands(&number.unsigned_abs().to_string()))
}

fn thousands(digits: &str) -> String {
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::tests::made_up;

    fn some() -> Measured {
        made_up(&[
            ("getppid.none", Some(338.0), 0.4),
            ("open.none", Some(5_820.0), 180.0),
            ("open.alert", Some(5_820.0), 12_345.6),
            ("flood.delivered", None, 23_456.0),
            ("memory.idle", None, 10_240.0),
            ("start", None, 2_345_678_901.0),
        ])
    }

    #[test]
    fn a_page_says_what_is_met_and_keeps_its_notes() {
        let page = page(&some(), "\n## Notes\n\nBy hand.\n");
        insta::assert_snapshot!(page);
        assert_eq!(notes(&page), "\n## Notes\n\nBy hand.\n");
        assert_eq!(notes("# nothing by hand\n"), "");
    }

    #[test]
    fn a_table_fits_a_terminal() {
        insta::assert_snapshot!(table(&some()));
    }

    #[test]
    fn the_block_is_written_where_it_was_and_nothing_else_changes() {
        let mut older = some();
        older.kernel = "6.1.7".to_owned();
        let text = format!("before\n{BEGIN}old\n{END}after\n");
        let new = with_block(&text, &[some(), older]).unwrap();
        insta::assert_snapshot!(new);
        assert_eq!(with_block(&new, &[]).unwrap(), with_block(&text, &[]).unwrap());
        assert!(with_block("nothing", &[]).is_err());
    }

    #[test]
    fn numbers_have_a_comma_for_each_thousand() {
        let said = [0.2, -1_234.0, 999.6, 1e6].map(number);
        assert_eq!(said, ["0", "-1,234", "1,000", "1,000,000"]);
    }
}
