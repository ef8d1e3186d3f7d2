//! `driftwatch init`: looks for agents, writes a directory, says how to go on.

use std::{path::PathBuf, process::ExitCode};

use super::{PROBLEM, RULES, fail, say};
use crate::{
    counted::count,
    event::shown,
    host::{self, Host},
    init::{self, InitError},
    rules::{Users, load, model::Moment, shipped},
};

#[derive(Debug, clap::Args)]
pub(super) struct InitArguments {
    /// The directory to write
    #[arg(value_name = "DIR", default_value = RULES)]
    directory: PathBuf,
    /// With the rules for agents that run as services
    #[arg(long)]
    production: bool,
}

pub(super) fn init(arguments: &InitArguments) -> ExitCode {
    let host = Host::read();
    let known = match load(&shipped::files(), &Users::default(), Moment::now()) {
        Ok(rules) => rules.agents,
        Err(problems) => return fail(&InitError::Problems(problems), PROBLEM),
    };
    let found = init::find(&known, &host, &host::processes());
    let files = init::files(&found, arguments.production);
    let rules = match init::load(&files, &host) {
        Ok(rules) => rules,
        Err(error) => return fail(&error, PROBLEM),
    };
    if let Err(error) = init::write(&arguments.directory, &files) {
        return fail(&error, PROBLEM);
    }
    let mut text = String::new();
    for agent in &found {
        let running = match agent.running {
            0 => String::new(),
            running => format!("  {} now", count(running, "process")),
        };
        text += &format!("found  {:<14} {}{running}\n", agent.agent, shown(&agent.path));
    }
    if found.is_empty() {
        text += "found  no agent: start one with `driftwatch run --agent NAME -- COMMAND`\n";
    }
    let directory = arguments.directory.display();
    let (written, all) = (count(files.len(), "file"), count(rules.rules.len(), "rule"));
    text += &format!(
        "wrote  {written} with {all} to {directory}, all in monitor mode: nothing is refused\n"
    );
    text += &format!(
        "next   driftwatch check --on-this-host {directory}    what each rule can do here\n       \
         driftwatch daemon --rules {directory}             watch, and read the alerts for a while\n"
    );
    say(&text)
}
