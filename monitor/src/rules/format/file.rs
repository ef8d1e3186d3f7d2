//! The sections of a file, and lists.

use super::{Field, Holds, samples};

/// The words of `mode`.
pub(super) const MODES: Holds = Holds::Word(&["monitor", "enforce"]);

pub(super) fn fields() -> Vec<Field> {
    vec![
        Field::new(
            "version",
            Holds::Version,
            "The version of the format that the file is written in. A file without it, or with one that \
             this program does not know, is refused.",
        )
        .required()
        .sample(samples::FILE),
        Field::new(
            "mode",
            MODES,
            "Whether the rules of this file do what they ask for. `monitor` refuses nothing: alerts say \
             what would have been done. A rule may have a `mode` of its own.",
        )
        .default("monitor")
        .sample(samples::FILE)
        .see(&["rules.mode"]),
    ]
}

pub(super) fn lists() -> Vec<Field> {
    vec![
        Field::new(
            "lists",
            Holds::Lists(&Holds::List(1, &Holds::Any)),
            "Items under a name, used as \"@name\" by any rule of any file and by other lists. What an item \
             means is said by the rule that uses it. \"@name:443\" gives a port to every destination in the \
             list that has none. A name may have one slash, as `secrets/aws`.",
        )
        .sample(samples::FILE)
        .see(&["rules.connect.only", "rules.read.never"]),
    ]
}
