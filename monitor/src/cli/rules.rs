//! Commands about rule files that need no root: reading, checking, testing.
#![expect(clippy::print_stdout, reason = "this is where the program speaks")]

use std::{path::PathBuf, process::ExitCode};

use super::{PROBLEM, RULES, fail, show};
use crate::{
    daemon::{self, RulesError, compile_errors, count},
    host::{self, Host},
    rules::{
        self,
        compile::{Ground, compile},
        evaluate::Tier,
        examples,
        model::{Moment, RuleSet},
        reach::within,
    },
};

#[derive(Debug, clap::Args)]
pub(super) struct RulePaths {
    /// Rule files, or directories whose *.yaml files are
    #[arg(value_name = "PATH", default_value = RULES)]
    pub(super) paths: Vec<PathBuf>,
}

pub(super) fn read(paths: &[PathBuf]) -> Result<RuleSet, ExitCode> {
    let files = host::rule_files(paths).map_err(|error| fail(&error, PROBLEM))?;
    if files.is_empty() {
        return Err(fail(&RulesError::NoFiles(paths.to_vec()), PROBLEM));
    }
    rules::load(&files, &Host::read().users, Moment::now()).map_err(|problems| show(&problems))
}

/// Compiles too: what cannot be represented in the kernel is a problem like any other.
pub(super) fn check(rules: &RuleSet) -> ExitCode {
    let host = Host::read();
    let agent_numbers: Vec<u32> = (1..).take(rules.agents.len()).collect();
    let ground = Ground {
        secret: daemon::secret().unwrap_or(0x5ca1_ab1e_0ddb_a115),
        homes: &host.homes,
        tier: &Tier::REACT,
        serial: 1,
        agent_numbers: &agent_numbers,
        watch: false,
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

pub(super) fn test(rules: &RuleSet) -> ExitCode {
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
