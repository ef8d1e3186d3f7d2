//! `driftwatch doctor`: what this host can do, and what is worth doing about it.

use std::{path::PathBuf, process::ExitCode};

use super::{INCAPABLE, NOT_PERMITTED, Output, PROBLEM, daemon::EngineSockets, fail, rules, say};
use crate::{
    doctor::{Health, json, look},
    init::InitError,
    rules::{Users, load, model::Moment, shipped},
};

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArguments {
    /// Rule files, or directories whose *.yaml files are: says what becomes of each rule, too
    #[arg(long, value_name = "PATH", num_args = 1..)]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    engines: EngineSockets,
    /// How it looks
    #[arg(short, long, default_value = "text")]
    output: Output,
}

pub(super) fn doctor(arguments: &DoctorArguments) -> ExitCode {
    let given = match &*arguments.rules {
        [] => None,
        paths => match rules::read(paths) {
            Ok(rules) => Some(rules),
            Err(code) => return code,
        },
    };
    let shipped = match load(&shipped::files(), &Users::default(), Moment::now()) {
        Ok(rules) => rules.agents,
        Err(problems) => return fail(&InitError::Problems(problems), PROBLEM),
    };
    let facts = look::look(given.as_ref(), &shipped, &arguments.engines.engines);
    let said = match arguments.output {
        Output::Text => say(&facts.to_string()),
        Output::Json => say(&format!("{:#}\n", json(&facts))),
    };
    match facts.health() {
        Health::Well => said,
        Health::Advised => ExitCode::from(PROBLEM),
        Health::NotPermitted => ExitCode::from(NOT_PERMITTED),
        Health::Incapable => ExitCode::from(INCAPABLE),
    }
}
