//! `evasion`: the evasion suite on the running kernel, or on another in a guest, and its table for the README.
//!
//! Builds the daemon and the suite, and hands over to the judge. What is judged, and how, is the judge's
//! (`tests/evasion/`).

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::build;
use crate::checkout::Checkout;
use crate::command;
use crate::guest;
use crate::setup::{self, Scope};

/// Where the tables lie, one for each kernel and tier, and for each way to a tier.
const RESULTS: &str = "tests/evasion/results";

/// How a table begins.
const HEADING: &str = "# Evasion on Linux ";
/// Where they lie in a guest.
const TABLES: &str = "/tmp/tables";

/// What is asked of `evasion`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// One JSON object a technique instead of the table.
    #[arg(long)]
    json: bool,
    /// Only which techniques work on this kernel where nothing guards it.
    #[arg(long, conflicts_with = "json")]
    unguarded: bool,
    /// On a kernel of Debian in an emulated machine, whose release begins like this, and not on the running one.
    #[arg(long, value_name = "VERSION")]
    kernel: Option<String>,
    /// Of that kernel, the security modules (`lsm=`), instead of its own choice.
    #[arg(long, value_name = "WORDS", requires = "kernel")]
    lsm: Option<String>,
    /// Leave the README's table as it is; only a run of all techniques writes it.
    #[arg(long)]
    no_table: bool,
    /// Only techniques whose id begins with one of these.
    ids: Vec<String>,
}

impl Options {
    /// All techniques, and the table stays as it is.
    pub(crate) fn without_table() -> Self {
        Self { no_table: true, ..Self::default() }
    }

    /// The judge's words for the same.
    fn words(&self) -> Vec<&'static str> {
        let words = [(self.json, "--json"), (self.unguarded, "--unguarded")];
        words.into_iter().filter(|(asked, _)| *asked).map(|(_, word)| word).collect()
    }

    fn writes(&self) -> bool {
        self.ids.is_empty() && !(self.no_table || self.json || self.unguarded)
    }
}

/// Tries what is asked for on the running kernel, and passes the verdict on.
pub(crate) fn run(checkout: &Checkout, options: &Options) -> Result<ExitCode> {
    if let Some(version) = &options.kernel {
        return in_guest(checkout, version, options);
    }
    let toolchain = setup::ensure(checkout, Scope::Everything)?;
    build::build(build::cargo(checkout, toolchain), &["driftwatch", "driftwatch-tests"], false)?;
    let mut judge = Command::new(checkout.program("evasion", false));
    judge.args(options.words());
    if options.writes() {
        judge.arg("--write").arg(checkout.root().join(RESULTS));
    }
    Ok(command::exit_code(command::status(judge.args(&options.ids))?))
}

/// The same in a guest, from where the table comes back behind what the judge prints.
fn in_guest(checkout: &Checkout, version: &str, options: &Options) -> Result<ExitCode> {
    let mut judge = vec!["evasion", "--guest"];
    judge.extend(options.words());
    judge.extend(options.ids.iter().map(String::as_str));
    let command = if options.writes() {
        let all =
            format!("{} --write {TABLES}; code=$?; cat {TABLES}/*.md; exit $code", judge.join(" "));
        ["sh".to_owned(), "-c".to_owned(), all].to_vec()
    } else {
        judge.into_iter().map(str::to_owned).collect()
    };
    let mut table = String::new();
    let ended = guest::errand(checkout, version, options.lsm.as_deref(), &command, |line| {
        if table.is_empty() && !line.starts_with(HEADING) {
            println!("{line}");
        } else {
            table += line;
            table.push('\n');
        }
    })?;
    if let Some(name) = file_name(&table) {
        let file = checkout.root().join(RESULTS).join(name);
        std::fs::write(&file, &table).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(ExitCode::from(ended.code))
}

/// The file that a table belongs in, by its heading: `# Evasion on Linux 6.12, tier prevent`.
fn file_name(table: &str) -> Option<String> {
    let (kernel, tier) = table.lines().next()?.strip_prefix(HEADING)?.split_once(", tier ")?;
    Some(format!("{kernel}-{}.md", tier.replace(' ', "-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_which_file_it_belongs_in() {
        let name = file_name("# Evasion on Linux 6.12, tier prevent\n\n|…|\n");
        assert_eq!(name.as_deref(), Some("6.12-prevent.md"));
        let name = file_name("# Evasion on Linux 6.1, tier prevent by fmod_ret\n");
        assert_eq!(name.as_deref(), Some("6.1-prevent-by-fmod_ret.md"));
        assert_eq!(file_name(""), None);
        assert_eq!(file_name("310 techniques\n"), None);
    }
}
