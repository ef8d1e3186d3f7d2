//! The command line: words to calls, outcomes to exit codes.
//!
//! Exit codes: 0 done; 1 a problem was found; 2 wrong usage; 3 the daemon does not answer; 4 not
//! permitted; 5 this kernel cannot do it. `run` passes on the command's own, or 125 to 127 as env(1) does.

mod daemon;
mod diff;
mod doctor;
mod format;
mod init;
mod learn;
mod record;
mod replay;
mod rewrite;
mod rules;

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use clap::{Parser, Subcommand, ValueEnum};

use self::{
    daemon::{DaemonArguments, RunArguments, StatusArguments},
    diff::DiffArguments,
    doctor::DoctorArguments,
    format::ExplainArguments,
    init::InitArguments,
    learn::{DriftArguments, LearnArguments},
    record::RecordArguments,
    replay::ReplayArguments,
    rewrite::Fmt,
    rules::{CheckArguments, RulePaths, ShowArguments},
};
use crate::{control::sweep, rules::Problems};

/// Where rules are if nobody says otherwise.
pub(crate) const RULES: &str = "/etc/driftwatch/rules.d";

/// Watches AI-agent workloads from the kernel and stops what was not approved.
#[derive(Debug, Parser)]
#[command(name = "driftwatch", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch this host: attach the hooks, enforce the rules, write alerts (needs root)
    #[command(after_help = "Examples:
  driftwatch daemon --rules rules.d                      alerts on the terminal
  driftwatch daemon --rules rules.d --alerts alerts.json
  kill -HUP $(pidof driftwatch)                          read the rules again; one error, and nothing changes")]
    Daemon(DaemonArguments),
    /// Start a command as a known agent; signals and exit code are the command's own
    #[command(after_help = "Examples:
  driftwatch run --agent ci-agent -- codex exec 'fix the build'

Exit codes: the command's own, 125 where it could not be made a session, 126 where it cannot be
started, 127 where it was not found.")]
    Run(RunArguments),
    /// Say what this host can refuse, kill or see, how it was found out, and what is worth doing (needs root)
    #[command(after_help = "Examples:
  driftwatch doctor
  driftwatch doctor --rules rules.d              and what becomes of each rule
  driftwatch doctor -o json | jq .half.missing

It loads what the daemon would load, attaches nothing, and changes nothing. Needs no daemon.

Exit codes: 0 nothing is worth doing, 1 something is, 4 rights are missing, 5 nothing can be watched
on this kernel.")]
    Doctor(DoctorArguments),
    /// Write a rules directory to begin with, for the agents found on this host; refuses nothing
    #[command(after_help = "Examples:
  driftwatch init rules.d
  sudo driftwatch init                           finds the agents of all users, writes /etc/driftwatch/rules.d

A directory that has rule files already is left alone.")]
    Init(InitArguments),
    /// Read, cross-check and compile rules; loads nothing, needs no root
    #[command(after_help = "Examples:
  driftwatch check rules.d
  driftwatch check 10-agents.yaml 20-secrets.yaml && echo fine
  driftwatch check --on-this-host rules.d        what becomes of each rule here; 1 if any does less than it asks
  driftwatch check --tier react rules.d          the same of a host of that tier")]
    Check(CheckArguments),
    /// Show rules as they were understood: lists opened, defaults filled in, where each thing came from
    #[command(after_help = "Examples:
  driftwatch show --rules rules.d
  driftwatch show --rules rules.d agent-egress
  driftwatch show --rules rules.d --plan         what the kernel half is told")]
    Show(ShowArguments),
    /// Run the tests inside the rules; needs no root
    #[command(after_help = "Examples:
  driftwatch test rules.d")]
    Test(RulePaths),
    /// Describe a field of the rule format, with an example; without one, list all
    #[command(after_help = "Examples:
  driftwatch explain
  driftwatch explain rules.connect.only
  driftwatch explain grants.until -o json")]
    Explain(ExplainArguments),
    /// Print the rule format as JSON Schema, for editors
    #[command(after_help = "Examples:
  driftwatch schema > rules.d/.driftwatch.schema.json

An editor with a YAML language server uses it in files whose first line is
  # yaml-language-server: $schema=.driftwatch.schema.json
or, in Visual Studio Code, in all that its settings name:
  \"yaml.schemas\": { \"rules.d/.driftwatch.schema.json\": \"rules.d/*.yaml\" }")]
    Schema,
    /// Rewrite rule files in the one style; comments are kept, what they mean is not changed
    #[command(after_help = "Examples:
  driftwatch fmt rules.d
  driftwatch fmt --check rules.d                         for CI: changes nothing, shows what it would

A file that is not a rule file is left alone and its problems are shown. So is one that cannot be kept
as it is written, such as one with anchors.

Exit codes: 0 every file is in the one style, 1 a file was refused or, with --check, would change.")]
    Fmt(Fmt),
    /// Say what the daemon sees, and whether anything was lost (needs root)
    #[command(after_help = "Examples:
  driftwatch status
  driftwatch status -o json | jq .kernel.counters")]
    Status(StatusArguments),
    /// Write down every act of agents, for replay and learning; refuses nothing (needs root)
    #[command(after_help = "Examples:
  driftwatch record --out ci.jsonl --agent ci-agent -- codex exec 'fix the build'
  driftwatch record --rules rules.d --out today.jsonl --for 8h

Whatever the rules say, nothing is refused or killed: all of them are in monitor mode here. They say
who is an agent. A signal ends the recording, and so does the end of the command.

Exit codes: the command's own; else 0, or 1 where acts were lost or the file takes no more; 125 to 127
as `driftwatch run` has them.")]
    Record(RecordArguments),
    /// Propose the least rules that cover what an agent did in recordings; needs no root
    #[command(after_help = "Examples:
  driftwatch learn ci-agent --recording ci.jsonl
  driftwatch learn ci-agent --recording mon.jsonl tue.jsonl --out rules.d/learned-ci-agent.yaml

The rules are in monitor mode, with a comment behind each line. Secrets are never among them.")]
    Learn(LearnArguments),
    /// Say what an agent did beyond its rules, or beyond an earlier recording; needs no root
    #[command(after_help = "Examples:
  driftwatch drift ci-agent --recording today.jsonl --rules rules.d
  driftwatch drift ci-agent --recording today.jsonl --profile last-week.jsonl

Exit codes: 0 nothing beyond; 1 something beyond, or a problem.")]
    Drift(DriftArguments),
    /// Have recorded acts judged by rules: what would be decided otherwise, and which sessions stopped
    #[command(after_help = "Examples:
  driftwatch replay today.jsonl --rules rules.d
  driftwatch replay today.jsonl --rules new.d --against rules.d
  driftwatch replay *.jsonl --rules rules.d -o json | jq .stopped

Every rule counts as if it were enforced, on a host that can refuse everything. Exceptions and grants
hold, or have ended, as they did when the act was done.

Exit codes: 0 no decision differs, 1 some do.")]
    Replay(ReplayArguments),
    /// Say what is different between two sets of rules, and what that would have done to recorded sessions
    #[command(after_help = "Examples:
  driftwatch diff /etc/driftwatch/rules.d rules.d
  driftwatch diff old.yaml new.yaml --recording today.jsonl
  driftwatch diff --exit-code old.d new.d > /dev/null || echo different

Each change is `stricter`, `laxer`, `either` (it depends) or `neither` (what is done stays the same).
How rules are written does not matter: their order, comments, or whether items are in a list.")]
    Diff(DiffArguments),
    #[command(name = sweep::WORD, hide = true)]
    Sweep(sweep::Sweep),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Output {
    Text,
    Json,
}

/// Something was found wrong.
const PROBLEM: u8 = 1;
/// Wrong usage, as clap has it.
const USAGE: u8 = 2;
/// The daemon does not answer.
const UNREACHABLE: u8 = 3;
/// Not permitted.
const NOT_PERMITTED: u8 = 4;
/// This kernel cannot.
const INCAPABLE: u8 = 5;

/// Does what the arguments say.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let verbose = matches!(&arguments.command, Command::Daemon(daemon) if daemon.debug);
    let level = if verbose { log::LevelFilter::Debug } else { log::LevelFilter::Warn };
    env_logger::Builder::new().filter_level(level).format_timestamp_millis().init();
    match arguments.command {
        Command::Daemon(arguments) => daemon::daemon(arguments),
        Command::Run(arguments) => daemon::run(arguments),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Init(arguments) => init::init(&arguments),
        Command::Check(arguments) => rules::check(&arguments),
        Command::Show(arguments) => rules::show(&arguments),
        Command::Test(RulePaths { paths }) => {
            rules::read(&paths).map_or_else(|code| code, |rules| rules::test(&rules))
        }
        Command::Explain(arguments) => format::explain(&arguments),
        Command::Schema => format::schema(),
        Command::Fmt(fmt) => fmt.run(),
        Command::Status(arguments) => daemon::status(arguments),
        Command::Record(arguments) => record::record(arguments),
        Command::Learn(arguments) => learn::learn(&arguments),
        Command::Drift(arguments) => learn::drift(&arguments),
        Command::Replay(arguments) => replay::replay(&arguments),
        Command::Diff(arguments) => diff::diff(&arguments),
        Command::Sweep(sweep) => {
            sweep.run().map_or_else(|error| fail(&error, PROBLEM), |()| ExitCode::SUCCESS)
        }
    }
}

/// Prints. Whoever reads it may have gone: that is no error of ours.
fn say(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&error, PROBLEM),
        _ => ExitCode::SUCCESS,
    }
}

/// Says on standard error. Whoever reads it may have gone: the exit code says it all the same.
fn tell(text: &str) {
    let _gone = io::stderr().write_all(format!("{text}\n").as_bytes());
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    tell(&format!("driftwatch: {error}"));
    ExitCode::from(code)
}

fn show(problems: &Problems) -> ExitCode {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tell(problems.render(colour).trim_end());
    ExitCode::from(PROBLEM)
}
