//! `driftwatch replay`: reads recordings line by line, and has each act judged.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::Value;

use super::{Output, PROBLEM, fail, rules, say};
use crate::{
    recording,
    replay::{Replay, Report, Shown, enforced},
    rules::model::RuleSet,
};

#[derive(Debug, clap::Args)]
pub(super) struct ReplayArguments {
    /// Recordings
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Rule files, or directories whose *.yaml files are
    #[arg(long, value_name = "PATH", required = true)]
    rules: Vec<PathBuf>,
    /// Compare with what these rules say, not with what was done
    #[arg(long, value_name = "PATH")]
    against: Vec<PathBuf>,
    /// Rules in monitor mode stay in it
    #[arg(long)]
    as_written: bool,
    /// How it looks
    #[arg(short, long, default_value = "text")]
    output: Output,
}

pub(super) fn replay(arguments: &ReplayArguments) -> ExitCode {
    replayed(arguments).unwrap_or_else(|code| code)
}

fn replayed(arguments: &ReplayArguments) -> Result<ExitCode, ExitCode> {
    let read = |paths: &[PathBuf]| -> Result<RuleSet, ExitCode> {
        let rules = rules::read(paths)?;
        Ok(if arguments.as_written { rules } else { enforced(rules) })
    };
    let rules = read(&arguments.rules)?;
    let against = match &*arguments.against {
        [] => None,
        paths => Some(read(paths)?),
    };
    let report = play(&arguments.files, Replay::new(&rules, against.as_ref()))?;
    let how = match (arguments.as_written, &against) {
        (true, None) => "judged as the rules are written, compared with what was done",
        (false, None) => "judged as if every rule were enforced, compared with what was done",
        (true, Some(_)) => "judged as the rules are written, compared with the other rules",
        (false, Some(_)) => "judged as if every rule were enforced, compared with the other rules",
    };
    let said = match arguments.output {
        Output::Text => say(&Shown { report: &report, how }.to_string()),
        Output::Json => say(&format!("{:#}\n", json(&report))),
    };
    Ok(if report.differing == 0 { said } else { ExitCode::from(PROBLEM) })
}

/// A report for programs.
pub(super) fn json(report: &Report) -> Value {
    let mut value = serde_json::to_value(report).expect("plain data");
    value["schema"] = "driftwatch.replay/v1".into();
    value
}

/// Has every act of the files judged. However long they are, one line is in memory at a time.
pub(super) fn play(files: &[PathBuf], mut replay: Replay<'_>) -> Result<Report, ExitCode> {
    let mut notes = Vec::new();
    for file in files {
        let wrong =
            |error: &dyn std::fmt::Display| fail(&format!("{}: {error}", file.display()), PROBLEM);
        match play_one(file, &mut replay) {
            Ok(None) => {}
            Ok(Some(note)) => notes.push(format!("{}: {note}", file.display())),
            Err(error) => return Err(wrong(&error)),
        }
    }
    let mut report = replay.finish();
    report.notes = notes;
    Ok(report)
}

/// A line of a recording is not longer: a program has two megabytes of arguments at most, and a byte takes up to six
/// in JSON.
const LONGEST: u64 = 16 << 20;

fn play_one(file: &Path, replay: &mut Replay<'_>) -> anyhow::Result<Option<String>> {
    let mut text = BufReader::with_capacity(1 << 16, File::open(file)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let length = text.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if number == 1 {
            replay.begin(&file.display().to_string(), &recording::heading(&line)?);
            continue;
        }
        if length == 0 {
            break;
        }
        match recording::entry(&line, number) {
            Ok(Some(entry)) => replay.take(&entry),
            Ok(None) => {}
            // What a recorder that was killed leaves.
            Err(_) if !line.ends_with(b"\n") && text.fill_buf()?.is_empty() => {
                return Ok(Some(format!("line {number} is torn and left out")));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}
