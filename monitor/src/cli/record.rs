//! `driftwatch record`: arguments to an order, what came of it to words and an exit code.

use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};

use super::{
    PROBLEM, USAGE,
    daemon::{EngineSockets, unwatched},
    fail,
};
use crate::{
    recorder::{self, Order, RecordError},
    rules::seconds,
};

#[derive(Debug, clap::Args)]
pub(super) struct RecordArguments {
    /// Rule files, or directories whose *.yaml files are: they say who is an agent
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    /// How long at most, `90s` or `1h30m` [default: until a signal, or the end of the command]
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    lasts: Option<Duration>,
    #[command(flatten)]
    engines: EngineSockets,
    /// Start the command as this agent; without rules any name will do
    #[arg(long, value_name = "NAME", requires = "command")]
    agent: Option<String>,
    /// The command and its arguments
    #[arg(last = true, requires = "agent", value_name = "COMMAND")]
    command: Vec<OsString>,
}

fn time(text: &str) -> Result<Duration, String> {
    let seconds = seconds(text).filter(|seconds| *seconds > 0);
    let wrong = || "write a time as `90s`, `10m`, `1h30m` or `7d`".to_owned();
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

pub(super) fn record(arguments: RecordArguments) -> ExitCode {
    let RecordArguments { rules, out, force, lasts, engines, agent, command } = arguments;
    let EngineSockets { engines } = engines;
    if rules.is_empty() && agent.is_none() {
        let todo = "nothing says whom to record: name rules with --rules, or a command, \
                    `driftwatch record --out FILE --agent NAME -- COMMAND`";
        return fail(&todo, USAGE);
    }
    let command = agent.map(|agent| (agent, command));
    let order = Order { rules, out, force, lasts, engines, command };
    let recorded = match recorder::run(&order) {
        Ok(recorded) => recorded,
        Err(RecordError::Watch(error)) => return unwatched(&error),
        Err(RecordError::Command(error)) => return fail(&error, error.exit_code()),
        Err(error) => return fail(&error, PROBLEM),
    };
    eprintln!("{}", recorder::report(&recorded, &order.out));
    let found = if recorded.losses.any() { PROBLEM } else { 0 };
    ExitCode::from(recorded.code.filter(|code| *code != 0).unwrap_or(found))
}
