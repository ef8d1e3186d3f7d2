//! What people who write rules ask of the program: `explain`, `schema`, `fmt`. None needs root or a daemon.
//!
//! The words and where they are printed. What is said is made in [`crate::rules::format`], how files look in
//! [`crate::rules::style`].

pub mod rewrite;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{
    cli::Output,
    rules::format::{self, Answer, Field, explain, schema},
};

/// The words after `explain`.
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// The path of a field, such as rules.connect.only; parts but the last may be left out
    #[arg(value_name = "FIELD")]
    field: Option<String>,
    /// How it looks
    #[arg(short, long, default_value = "text")]
    output: Output,
}

impl Explain {
    /// Explains one field, or lists all.
    ///
    /// # Errors
    ///
    /// What is wrong with the field's name, or why nothing could be printed.
    pub fn run(&self) -> Result<(), String> {
        let Some(asked) = &self.field else {
            let fields = format::fields();
            return print(&match self.output {
                Output::Text => explain::tree(),
                Output::Json => format!("{:#}\n", explain::json_list(fields)),
            });
        };
        match format::find(asked) {
            Answer::One(field) => print(&self.one(field)),
            Answer::Several(fields) => print(&match self.output {
                Output::Text => explain::several(asked, &fields),
                Output::Json => format!("{:#}\n", explain::json_list(fields)),
            }),
            Answer::Unknown(Some(near)) => {
                Err(format!("there is no field `{asked}`; did you mean `{near}`?"))
            }
            Answer::Unknown(None) => {
                Err(format!("there is no field `{asked}`; `driftwatch explain` lists all"))
            }
        }
    }

    fn one(&self, field: &Field) -> String {
        match self.output {
            Output::Text => explain::text(field),
            Output::Json => format!("{:#}\n", explain::json(field)),
        }
    }
}

/// Prints the JSON Schema of rule files.
///
/// # Errors
///
/// Why it could not be printed.
pub fn schema() -> Result<(), String> {
    print(&format!("{:#}\n", schema::schema()))
}

/// Writes to standard output. A reader that has seen enough is no error.
pub(crate) fn print(text: &str) -> Result<(), String> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("standard output: {error}"))
        }
        _ => Ok(()),
    }
}

/// 0, or 1 and what is wrong.
#[must_use]
pub fn finish(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("driftwatch: {error}");
            ExitCode::FAILURE
        }
    }
}
