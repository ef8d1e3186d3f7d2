//! Commands about the daemon: being it, asking it, starting an agent under it.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use serde_json::Value;

use super::{INCAPABLE, NOT_PERMITTED, Output, PROBLEM, RULES, UNREACHABLE, fail, show};
use crate::{
    alert::sink::{Target, is_terminal},
    control::{
        SOCKET,
        client::{Client, ClientError},
    },
    daemon::{self, Config, DaemonError, Format, RulesError, WatchError},
    kernel::KernelError,
    launch,
};

/// For every command that asks container engines.
#[derive(Debug, clap::Args)]
pub(super) struct EngineSockets {
    /// The socket of a container engine [default: those in /run]
    #[arg(long = "engine", value_name = "SOCKET")]
    pub(super) engines: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct DaemonArguments {
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
    #[command(flatten)]
    engines: EngineSockets,
    /// Log what the hooks do (slow)
    #[arg(long)]
    pub(super) debug: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RunArguments {
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
pub(super) struct StatusArguments {
    /// How it looks
    #[arg(short, long, default_value = "text")]
    output: Output,
    /// Where the control socket is
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
}

pub(super) fn daemon(arguments: DaemonArguments) -> ExitCode {
    let alerts = if arguments.alerts.as_os_str() == "-" {
        Target::Stdout
    } else {
        Target::File(arguments.alerts)
    };
    let on_terminal = is_terminal(&alerts);
    let format = arguments.format.unwrap_or(if on_terminal { Format::Text } else { Format::Json });
    let DaemonArguments { rules, socket, engines: EngineSockets { engines }, debug, .. } =
        arguments;
    match daemon::run(&Config { rules, alerts, format, socket, engines, debug }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(DaemonError::Watch(error)) => unwatched(&error),
        Err(error) => fail(&error, PROBLEM),
    }
}

/// Says why nothing is watched.
pub(super) fn unwatched(error: &WatchError) -> ExitCode {
    match error {
        WatchError::Rules(RulesError::Problems(problems)) => show(problems),
        WatchError::Kernel(KernelError::Capability { .. }) => fail(error, NOT_PERMITTED),
        WatchError::Kernel(_) => fail(error, INCAPABLE),
        WatchError::Rules(_) | WatchError::Loop(_) => fail(error, PROBLEM),
    }
}

pub(super) fn run(arguments: RunArguments) -> ExitCode {
    let client = Client { socket: arguments.socket };
    let error = launch::launch(&client, &arguments.agent, &arguments.command);
    fail(&error, error.exit_code())
}

pub(super) fn status(arguments: StatusArguments) -> ExitCode {
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
