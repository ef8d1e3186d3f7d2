//! The format of rule files as one table: every field, what it means, what it may be, an example.
//!
//! Beside the line from text to plan: nothing is read with it. `driftwatch explain`
//! ([`explain`]), `driftwatch schema` ([`schema`]) and the order of keys in
//! `driftwatch fmt` are made from it, and a test holds it to what the parser accepts ([`keys`]).

mod acts;
mod agents;
pub mod explain;
mod file;
mod grants;
mod holds;
mod lookup;
mod rules;
pub mod samples;
pub mod schema;
mod sequence;
mod trials;

#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::LazyLock};

pub use self::{
    holds::Holds,
    lookup::{Answer, find},
};

/// The version of the format that all of this is about.
pub const VERSION: u32 = 1;

/// One key that may be written in a rule file.
#[derive(Clone, Debug)]
pub struct Field {
    /// Where it is written, from the top, without the names that people choose and without the numbers of
    /// list items: `rules.connect.only`.
    pub path: Cow<'static, str>,
    /// What may be its value.
    pub holds: Holds,
    /// Keys below it of which exactly one must be there.
    pub one_of: &'static [&'static str],
    /// Whether it must be there.
    pub required: bool,
    /// What else must be there where it is.
    pub with: With,
    /// What holds where it is left out, in words.
    pub default: Option<&'static str>,
    /// What it means, in a few sentences.
    pub meaning: Cow<'static, str>,
    /// The whole rule file that shows it: one of [`samples`].
    pub sample: &'static str,
    /// Paths of other fields to read about.
    pub see: &'static [&'static str],
    /// The version of the format that it came with.
    pub since: u32,
}

/// What else must be in a map where a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With {
    /// Nothing.
    Nothing,
    /// One of these keys.
    Key(&'static [&'static str]),
    /// This key, with one of these words.
    Word(&'static str, &'static [&'static str]),
}

impl Field {
    fn new(
        path: impl Into<Cow<'static, str>>,
        holds: Holds,
        meaning: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            path: path.into(),
            holds,
            one_of: &[],
            required: false,
            with: With::Nothing,
            default: None,
            meaning: meaning.into(),
            sample: "",
            see: &[],
            since: VERSION,
        }
    }

    fn required(self) -> Self {
        Self { required: true, ..self }
    }

    fn one_of(self, one_of: &'static [&'static str]) -> Self {
        Self { one_of, ..self }
    }

    fn with(self, with: With) -> Self {
        Self { with, ..self }
    }

    fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    fn sample(self, sample: &'static str) -> Self {
        Self { sample, ..self }
    }

    fn see(self, see: &'static [&'static str]) -> Self {
        Self { see, ..self }
    }

    /// The key itself: the last part of the path.
    #[must_use]
    pub fn key(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or(&self.path)
    }

    /// The path of the map that it is written in, empty for a whole file.
    #[must_use]
    pub fn parent(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(parent, _)| parent)
    }
}

static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    [
        file::fields(),
        agents::fields(),
        file::lists(),
        rules::fields(),
        grants::fields(),
        trials::fields(),
    ]
    .concat()
});

/// All fields, each after the one that it is written in. Among the keys of one map the order is the one of
/// style, which `driftwatch fmt` writes.
#[must_use]
pub fn fields() -> &'static [Field] {
    &FIELDS
}

/// The field with exactly this path.
#[must_use]
pub fn field(path: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.path == path)
}

/// The fields that are written directly below `path`; the sections of a file for an empty one.
pub fn below(path: &str) -> impl Iterator<Item = &'static Field> {
    FIELDS.iter().filter(move |field| field.parent() == path)
}

/// The keys that a map at `of` may have, in the order of style: `keys("")` those of a file, `keys("rules")`
/// those of a rule, `keys("agents.any")` those of a line of an agent.
#[must_use]
pub fn keys(of: &str) -> Vec<&'static str> {
    below(of).map(Field::key).collect()
}
