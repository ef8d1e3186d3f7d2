//! `driftwatch diff`: two rule sets side by side and, with recordings, what the difference would have done.

use std::{path::PathBuf, process::ExitCode};

use serde_json::json;

use super::{Output, PROBLEM, replay, rules, say};
use crate::{
    diff::Diff,
    replay::{Replay, Report, Shown, enforced},
};

#[derive(Debug, clap::Args)]
pub(super) struct DiffArguments {
    /// The rules as they are: a file, or a directory whose *.yaml files are rules
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The rules as they would be
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Have the acts in this recording judged by both
    #[arg(long, value_name = "FILE")]
    recording: Vec<PathBuf>,
    /// Rules in monitor mode stay in it while recordings are judged
    #[arg(long, requires = "recording")]
    as_written: bool,
    /// End with 1 where something is different
    #[arg(long)]
    exit_code: bool,
    /// How it looks
    #[arg(short, long, default_value = "text")]
    output: Output,
}

pub(super) fn diff(arguments: &DiffArguments) -> ExitCode {
    compared(arguments).unwrap_or_else(|code| code)
}

fn compared(arguments: &DiffArguments) -> Result<ExitCode, ExitCode> {
    let old = rules::read(std::slice::from_ref(&arguments.old))?;
    let new = rules::read(std::slice::from_ref(&arguments.new))?;
    let diff = Diff::between(&old, &new);
    let report = match &*arguments.recording {
        [] => None,
        files => {
            let judging = |rules| if arguments.as_written { rules } else { enforced(rules) };
            let (old, new) = (judging(old), judging(new));
            Some(replay::play(files, Replay::new(&new, Some(&old)))?)
        }
    };
    let said = match arguments.output {
        Output::Text => say(&text(arguments, &diff, report.as_ref())),
        Output::Json => {
            let report = report.as_ref().map(replay::json);
            let schema = "driftwatch.diff/v1";
            say(&format!(
                "{:#}\n",
                json!({ "schema": schema, "changes": diff.changes, "replay": report })
            ))
        }
    };
    let differs = arguments.exit_code && !diff.is_empty();
    Ok(if differs { ExitCode::from(PROBLEM) } else { said })
}

fn text(arguments: &DiffArguments, diff: &Diff, report: Option<&Report>) -> String {
    let DiffArguments { old, new, .. } = arguments;
    let mut text = format!("{} -> {}\n", old.display(), new.display());
    text += &match diff.is_empty() {
        true => "The rules mean the same.\n".to_owned(),
        false => diff.to_string(),
    };
    if let Some(report) = report {
        let how = match arguments.as_written {
            true => "judged by both as they are written",
            false => "judged by both as if every rule were enforced",
        };
        text += &format!("\n{}", Shown { report, how });
    }
    text
}
