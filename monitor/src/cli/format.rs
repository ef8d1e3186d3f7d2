//! Commands about the format of rule files: `explain` and `schema`. Neither needs root or a daemon.
//!
//! What is said is made in [`crate::rules::format`].

use std::process::ExitCode;

use super::{Output, PROBLEM, fail, say};
use crate::rules::format::{self, Answer, Field, explain};

/// The words after `explain`.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArguments {
    /// The path of a field, such as rules.connect.only; parts but the last may be left out
    #[arg(value_name = "FIELD")]
    field: Option<String>,
    /// How it looks
    #[arg(short, long, default_value = "text")]
    output: Output,
}

/// Explains one field, or lists all.
pub(super) fn explain(arguments: &ExplainArguments) -> ExitCode {
    let output = arguments.output;
    let Some(asked) = &arguments.field else {
        return several(output, explain::tree(), format::fields().iter());
    };
    match format::find(asked) {
        Answer::One(field) => one(output, field),
        Answer::Several(fields) => {
            let text = explain::several(asked, &fields);
            several(output, text, fields.into_iter())
        }
        Answer::Unknown(near) => {
            let help = near.map_or("`driftwatch explain` lists all".to_owned(), |near| {
                format!("did you mean `{near}`?")
            });
            fail(&format!("there is no field `{asked}`; {help}"), PROBLEM)
        }
    }
}

fn one(output: Output, field: &Field) -> ExitCode {
    match output {
        Output::Text => say(&explain::text(field)),
        Output::Json => say(&format!("{:#}\n", explain::json(field))),
    }
}

fn several<'a>(output: Output, text: String, fields: impl Iterator<Item = &'a Field>) -> ExitCode {
    match output {
        Output::Text => say(&text),
        Output::Json => say(&format!("{:#}\n", explain::json_list(fields))),
    }
}

/// Prints the JSON Schema of rule files.
pub(super) fn schema() -> ExitCode {
    say(&format!("{:#}\n", format::schema::schema()))
}
