//! The command line: words to calls, outcomes to exit codes.
//!
//! Exit codes: 0 done; 1 a problem was found; 2 wrong usage; 3 the daemon does not answer; 4 not
//! permitted; 5 this kernel cannot do it. `run` passes on the command's own, or 125 to 127 as env(1) does.
#![expect(clippy::print_stdout, reason = "this is where the program speaks")]

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand, ValueEnum};
use serde_json::Value;

use crate::{
    alert::sink::Target,
    control::{
        SOCKET,
        client::{Client, ClientError},
        sweep,
    },
    daemon::{self, Config, DaemonError, Format, RulesError, compile_errors, count},
    host::{self, Host},
    kernel::KernelError,
    launch,
    rules::{
        self, Problems,
        compile::{Ground, compile},
        evaluate::Tier,
        examples,
        model::{Moment, RuleSet},
        reach::within,
    },
};

/// Where rules are if nobody says otherwise.
const RULES: &str = "/etc/driftwatch/rules.d";

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
    /// Read, cross-check and compile rules; loads nothing, needs no root
    #[command(after_help = "Examples:
  driftwatch check rules.d
  driftwatch check 10-agents.yaml 20-secrets.yaml && echo fine")]
    Check(RulePaths),
    /// Run the tests inside the rules; needs no root
    #[command(after_help = "Examples:
  driftwatch test rules.d")]
    Test(RulePaths),
    /// Say what the daemon sees, and whether anything was lost (needs root)
    #[command(after_help = "Examples:
  driftwatch status
  driftwatch status -o json | jq .kernel.counters")]
    Status(StatusArguments),
    #[command(name = sweep::WORD, hide = true)]
    Sweep(sweep::Sweep),
}

#[derive(Debug, clap::Args)]
struct DaemonArguments {
    /// Rule files, or directories whose *.yaml files are
    #[arg(long, value_name = "PATH", default_value = RULES)]
    rules: Vec<PathBuf>,
    /// Where alerts go: a file, or - for standard output
    #[arg(long, value_name = "PATH", default_value = "-")]
    alerts: PathBuf,
    /// How alerts look [default: text on a terminal, else json]
    #[arg(long)]
    format: Option<Format>,
    /// Where the control socket is
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
    /// Log what the hooks do (slow)
    #[arg(long)]
    debug: bool,
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// An agent of the rules in force, or a name that one is launched as
    #[arg(long, value_name = "NAME")]
    agent: String,
    /// Where the control socket is
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
struct RulePaths {
    /// Rule files, or directories whose *.yaml files are
    #[arg(value_name = "PATH", default_value = RULES)]
    paths: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct StatusArguments {
    /// How it looks
    #[arg(short, long, default_value = "text")]
    output: Output,
    /// Where the control socket is
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Something was found wrong.
const PROBLEM: u8 = 1;
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
        Command::Daemon(arguments) => daemon(arguments),
        Command::Run(arguments) => {
            let client = Client { socket: arguments.socket };
            let error = launch::launch(&client, &arguments.agent, &arguments.command);
            fail(&error, error.exit_code())
        }
        Command::Check(RulePaths { paths }) => {
            read(&paths).map_or_else(|code| code, |rules| check(&rules))
        }
        Command::Test(RulePaths { paths }) => {
            read(&paths).map_or_else(|code| code, |rules| test(&rules))
        }
        Command::Status(arguments) => status(arguments),
        Command::Sweep(sweep) => {
            sweep.run().map_or_else(|error| fail(&error, PROBLEM), |()| ExitCode::SUCCESS)
        }
    }
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("driftwatch: {error}");
    ExitCode::from(code)
}

fn daemon(arguments: DaemonArguments) -> ExitCode {
    let alerts = if arguments.alerts.as_os_str() == "-" {
        Target::Stdout
    } else {
        Target::File(arguments.alerts)
    };
    let on_terminal = crate::alert::sink::is_terminal(&alerts);
    let format = arguments.format.unwrap_or(if on_terminal { Format::Text } else { Format::Json });
    let DaemonArguments { rules, socket, debug, .. } = arguments;
    match daemon::run(&Config { rules, alerts, format, socket, debug }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(DaemonError::Rules(RulesError::Problems(problems))) => show(&problems),
        Err(error) => fail(&error, daemon_exit_code(&error)),
    }
}

const fn daemon_exit_code(error: &DaemonError) -> u8 {
    match error {
        DaemonError::Kernel(KernelError::Capability { .. }) => NOT_PERMITTED,
        DaemonError::Kernel(_) => INCAPABLE,
        _ => PROBLEM,
    }
}

fn show(problems: &Problems) -> ExitCode {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    eprintln!("{}", problems.render(colour).trim_end());
    ExitCode::from(PROBLEM)
}

fn read(paths: &[PathBuf]) -> Result<RuleSet, ExitCode> {
    let files = host::rule_files(paths).map_err(|error| fail(&error, PROBLEM))?;
    if files.is_empty() {
        return Err(fail(&RulesError::NoFiles(paths.to_vec()), PROBLEM));
    }
    rules::load(&files, &Host::read().users, Moment::now()).map_err(|problems| show(&problems))
}

/// Compiles too: what cannot be represented in the kernel is a problem like any other.
fn check(rules: &RuleSet) -> ExitCode {
    let host = Host::read();
    let agent_numbers: Vec<u32> = (1..).take(rules.agents.len()).collect();
    let ground = Ground {
        secret: daemon::secret().unwrap_or(0x5ca1_ab1e_0ddb_a115),
        homes: &host.homes,
        tier: &Tier::REACT,
        serial: 1,
        agent_numbers: &agent_numbers,
    };
    for note in &rules.notes {
        eprintln!("note: {}\n  --> {}\n", note.message, note.place);
    }
    match compile(&within(rules, Moment::now()).rules, &ground) {
        Ok(_) => {
            println!("ok: {}", counts(rules));
            ExitCode::SUCCESS
        }
        Err(errors) => {
            eprintln!("{}", compile_errors(&errors));
            ExitCode::from(PROBLEM)
        }
    }
}

fn counts(rules: &RuleSet) -> String {
    let mut counts = vec![
        count(rules.files, "file"),
        count(rules.agents.len(), "agent"),
        count(rules.lists, "list"),
        count(rules.rules.len(), "rule"),
        count(rules.tests.len(), "test"),
    ];
    if rules.grants > 0 {
        counts.insert(4, count(rules.grants, "grant"));
    }
    counts.join(", ")
}

fn test(rules: &RuleSet) -> ExitCode {
    println!("ok: {}", counts(rules));
    let outcomes = examples::run(rules, Moment::now());
    for outcome in &outcomes {
        let example = &rules.tests[outcome.test];
        let by =
            outcome.rule.map(|rule| format!(" by {}", rules.rules[rule].id)).unwrap_or_default();
        if outcome.passed {
            println!("  pass {} ({}{by})", example.name, outcome.got.name());
        } else {
            let rule = example.rule.as_ref().map(|rule| format!(" by {rule}")).unwrap_or_default();
            let expected = example.expect.name();
            println!("  FAIL {} at {}", example.name, example.place);
            println!("       expected {expected}{rule}, got {}{by}", outcome.got.name());
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    println!("{} passed, {failed} failed", outcomes.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(PROBLEM) }
}

fn status(arguments: StatusArguments) -> ExitCode {
    let client = Client { socket: arguments.socket };
    let status: Value = match client.get("/v1/status") {
        Ok(status) => status,
        Err(error) => {
            let code = match error {
                ClientError::Unreachable { .. } => UNREACHABLE,
                ClientError::Forbidden(_) => NOT_PERMITTED,
                ClientError::Refused(_) | ClientError::Garbled(_) => PROBLEM,
            };
            return fail(&error, code);
        }
    };
    let text = match arguments.output {
        Output::Json => format!("{status:#}\n"),
        Output::Text => flat("", &status),
    };
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, PROBLEM),
    }
}

/// A line for each value: `kernel.counters.activity_lost  0`.
fn flat(name: &str, value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let dot = if name.is_empty() { "" } else { "." };
            fields
                .iter()
                .map(|(field, value)| flat(&format!("{name}{dot}{field}"), value))
                .collect()
        }
        other => format!("{name:<44} {other}\n"),
    }
}
