//! `driftwatch learn` and `driftwatch drift`: recordings are read, and what is made of them is written.

use std::{
    fs::{self, File},
    io::{self, IsTerminal as _, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{Output, PROBLEM, fail, rules, say};
use crate::{
    drift,
    host::{self, Host},
    learn::{Choices, Learned, Secrets, learn as propose, seen::Seen},
    recording::{self, Recording},
    rules::model::{Moment, RuleSet},
};

#[derive(Debug, clap::Args)]
pub(super) struct LearnArguments {
    /// The agent
    agent: String,
    /// Recordings of its ordinary work, made by `driftwatch record`
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    recording: Vec<PathBuf>,
    /// The rule file to write; one that is there is left alone [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A directory of which the agent may have all that is below; those with a .git and the like are found
    #[arg(long, value_name = "DIR")]
    project: Vec<PathBuf>,
    /// Rules that the proposal is to go with: they may know the agent
    #[arg(long, value_name = "PATH", num_args = 1..)]
    rules: Vec<PathBuf>,
    /// Add the secrets, too, that were seen
    #[arg(long)]
    allow_secrets: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct DriftArguments {
    /// The agent
    agent: String,
    /// What it did: recordings made by `driftwatch record`
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    recording: Vec<PathBuf>,
    /// The rules that it was approved under: files, or directories whose *.yaml files are
    #[arg(long, value_name = "PATH", num_args = 1.., required_unless_present = "profile")]
    rules: Vec<PathBuf>,
    /// What it did earlier: recordings to compare with in place of rules
    #[arg(long, value_name = "RECORDING", num_args = 1.., conflicts_with = "rules")]
    profile: Vec<PathBuf>,
    /// How it looks
    #[arg(short, long, default_value = "text")]
    output: Output,
}

/// Writes the proposal to a file or to standard output, and what to look at first to standard error.
pub(super) fn learn(arguments: &LearnArguments) -> ExitCode {
    learned(arguments).unwrap_or_else(|code| code)
}

fn learned(arguments: &LearnArguments) -> Result<ExitCode, ExitCode> {
    let problem = |error: &dyn std::fmt::Display| fail(error, PROBLEM);
    let others = host::rule_files(&arguments.rules).map_err(|error| problem(&error))?;
    let projects = arguments.project.iter().map(|path| path.as_os_str().as_bytes().to_vec());
    let choices = Choices {
        projects: projects.collect(),
        allow_secrets: arguments.allow_secrets,
        ..Choices::default()
    };
    let learned = learned_from(&arguments.agent, &arguments.recording, &choices)?;
    let users = Host::read().users;
    let proposal = learned.proposal(&others, &users, Moment::now());
    let (text, _) = proposal.map_err(|flaw| problem(&flaw))?;
    let written = match &arguments.out {
        Some(path) => {
            write_new(path, &text).map_err(|error| problem(&error))?;
            eprint!("Wrote {} (monitor mode): ", path.display());
            ExitCode::SUCCESS
        }
        None => say(&text),
    };
    eprint!("{}", learned.summary());
    Ok(written)
}

fn learned_from(agent: &str, files: &[PathBuf], choices: &Choices) -> Result<Learned, ExitCode> {
    let mut seen = Seen::default();
    for path in files {
        let recording = read(path)?;
        seen.add(agent, &path.display().to_string(), &recording);
    }
    working("learning");
    let learned = propose(agent, seen, choices, &Secrets::shipped());
    working("");
    learned.map_err(|error| fail(&error, PROBLEM))
}

fn read(path: &Path) -> Result<Recording, ExitCode> {
    working(&format!("reading {}", path.display()));
    let refuse = |error: &dyn std::fmt::Display| {
        working("");
        fail(&format!("{}: {error}", path.display()), PROBLEM)
    };
    let text = fs::read_to_string(path).map_err(|error| refuse(&error))?;
    let recording = recording::read(&text).map_err(|error| refuse(&error))?;
    working("");
    Ok(recording)
}

/// A line on a terminal that the next one is written over, and nothing anywhere else.
fn working(what: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, text: &str) -> Result<(), String> {
    let written = File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{} is there already: name another file with --out", path.display())
        }
        _ => format!("{}: {error}", path.display()),
    })
}

/// Says what differs. Exit code 1 where the agent did what it may not.
pub(super) fn drift(arguments: &DriftArguments) -> ExitCode {
    drifted(arguments).unwrap_or_else(|code| code)
}

fn drifted(arguments: &DriftArguments) -> Result<ExitCode, ExitCode> {
    let recordings: Vec<Recording> =
        arguments.recording.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let from_profile = !arguments.profile.is_empty();
    let rules = match from_profile {
        true => profile(&arguments.agent, &arguments.profile)?,
        false => rules::read(&arguments.rules)?,
    };
    let agent = &arguments.agent;
    let Some(drift) = drift::compare(agent, &recordings, &rules, Moment::now()) else {
        let known: Vec<&str> = rules.agents.iter().map(|agent| &*agent.name).collect();
        let known = known.join(", ");
        return Err(fail(
            &format!("the rules do not know an agent `{agent}`: use one of {known}"),
            PROBLEM,
        ));
    };
    let said = match arguments.output {
        Output::Text => say(&drift.text(from_profile)),
        Output::Json => {
            let value = serde_json::to_value(&drift).expect("plain data");
            say(&format!("{value:#}\n"))
        }
    };
    Ok(if drift.is_none() { said } else { ExitCode::from(PROBLEM) })
}

/// An earlier recording as rules. What it shows is not new, secrets and what was stopped included.
fn profile(agent: &str, files: &[PathBuf]) -> Result<RuleSet, ExitCode> {
    let choices = Choices { allow_secrets: true, allow_stopped: true, ..Choices::default() };
    let learned = learned_from(agent, files, &choices)?;
    let (_, rules) = learned
        .proposal(&[], &Host::read().users, Moment::now())
        .map_err(|flaw| fail(&flaw, PROBLEM))?;
    Ok(rules)
}
