//! Which field somebody means.

use super::{Field, field, fields};
use crate::rules::near::nearest;

/// What is known of a field that somebody asked for.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It is this one.
    One(&'static Field),
    /// It may be any of these.
    Several(Vec<&'static Field>),
    /// There is no such field; this one may be meant.
    Unknown(Option<&'static str>),
}

/// Looks a field up by its path, of which any part but the last may be left out: `rules.connect.only`,
/// `agents.exe`, `severity`.
#[must_use]
pub fn find(asked: &str) -> Answer {
    if let Some(field) = field(asked) {
        return Answer::One(field);
    }
    let matching: Vec<&Field> =
        fields().iter().filter(|field| is_short_for(asked, &field.path)).collect();
    // Lines are the same under `any` and under `all`.
    let is_again = |field: &Field| {
        let other = field.path.replacen("agents.all", "agents.any", 1);
        other != field.path && matching.iter().any(|field| field.path == other)
    };
    let distinct: Vec<&Field> = matching.iter().copied().filter(|field| !is_again(field)).collect();
    match *distinct {
        [] => {
            let paths = fields().iter().flat_map(|field| [&*field.path, field.key()]);
            Answer::Unknown(nearest(asked, paths))
        }
        [one] => Answer::One(one),
        _ => Answer::Several(distinct),
    }
}

/// Whether `asked` is `path` with parts left out, but not the last.
fn is_short_for(asked: &str, path: &str) -> bool {
    let mut parts = path.rsplit('.');
    let mut asked = asked.rsplit('.');
    if asked.next() != parts.next() {
        return false;
    }
    asked.all(|part| parts.any(|known| known == part))
}
