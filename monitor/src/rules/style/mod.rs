//! The one style of rule files: what `driftwatch fmt` makes of a text. Comments stay with what they are about.
//!
//! ```text
//! text ─► cst ─► comments ─► place ─► lines ─► text
//! ```
//!
//! Pure, as all rules. Before a text is handed out, [`format()`] reads it again and holds it against what it
//! was made of; what is not the same is never handed out.

mod comments;
mod cst;
mod lines;
mod place;
mod scalar;

#[cfg(test)]
mod tests;

use super::{
    parse,
    problem::{Found, Problem, Problems},
    source::{Source, SourceFile, Sources, Span},
    yaml::{self, Kind, Node},
};

/// The text of a rule file in the one style.
///
/// # Errors
///
/// Everything that is wrong with the file by itself, what cannot be kept as it is written, or that what came
/// out is not what went in.
pub fn format(file: &SourceFile) -> Result<String, Problems> {
    let mut sources = Sources::default();
    let mut found = Found::default();
    let number = sources.add(file);
    let source = sources.of(Span { file: number, start: 0, end: 0 });
    parse::parse(file, source, number, &mut found);
    let mut formatted = String::new();
    if found.len() == 0 {
        match restyle(file, source, number) {
            Ok(text) => formatted = text,
            Err(problem) => found.add(problem),
        }
    }
    found.or(formatted, sources, 1)
}

fn restyle(file: &SourceFile, source: &Source, number: u32) -> Result<String, Problem> {
    if source.text.replace("\r\n", "").contains('\r') {
        return Err(cst::unkept(number, 0..0, "a carriage return that ends no line"));
    }
    let tree = cst::read(source, number)?;
    let text = lines::document(&tree);
    check(file, source, number, &tree, &text)?;
    Ok(text)
}

/// Refuses a text that does not mean the same, or has not the same comments.
fn check(
    file: &SourceFile,
    source: &Source,
    number: u32,
    tree: &cst::Node,
    text: &str,
) -> Result<(), Problem> {
    let mut sources = Sources::default();
    let again = SourceFile { name: file.name.clone(), text: text.as_bytes().to_vec() };
    let other = sources.add(&again);
    let other = sources.of(Span { file: other, start: 0, end: 0 });
    let before = yaml::read(file, source, number)?;
    let after =
        yaml::read(&again, other, 0).map_err(|problem| ours(number, 0, &problem.message))?;
    if let Some(place) = difference(&before, &after) {
        return Err(ours(number, place, "it would mean something else"));
    }
    let after = cst::read(other, 0).map_err(|problem| ours(number, 0, &problem.message))?;
    let sorted = |tree| {
        let mut texts = comments::texts(tree);
        texts.sort_unstable();
        texts.join("\n")
    };
    if sorted(tree) == sorted(&after) {
        Ok(())
    } else {
        Err(ours(number, 0, "a comment would be lost"))
    }
}

/// A mistake of this module.
fn ours(file: u32, start: u32, what: &str) -> Problem {
    let message = format!("formatted, this file would not be the same: {what}");
    Problem::new(Span { file, start, end: start }, message, "here").help(
        "this is a mistake in driftwatch and not in the file, which was left alone; please report it",
    )
}

/// Where the first difference is, the order of keys aside.
fn difference(before: &Node, after: &Node) -> Option<u32> {
    let here = Some(before.range.0);
    match (&before.kind, &after.kind) {
        (Kind::Text(a), Kind::Text(b)) | (Kind::Number(a), Kind::Number(b)) => {
            if a == b {
                None
            } else {
                here
            }
        }
        (Kind::Bool, Kind::Bool) | (Kind::Nothing, Kind::Nothing) => None,
        (Kind::List(a), Kind::List(b)) if a.len() == b.len() => {
            a.iter().zip(b).find_map(|(a, b)| difference(a, b))
        }
        (Kind::Map(a), Kind::Map(b)) if a.len() == b.len() => {
            let pairs = sorted(a).into_iter().zip(sorted(b));
            let mut pairs =
                pairs.map(|((ak, av), (bk, bv))| difference(ak, bk).or_else(|| difference(av, bv)));
            pairs.find_map(|difference| difference)
        }
        _ => here,
    }
}

/// The entries of a map by key.
fn sorted(entries: &[(Node, Node)]) -> Vec<&(Node, Node)> {
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort_by_key(|(key, _)| match &key.kind {
        Kind::Text(text) | Kind::Number(text) => text.clone(),
        other => other.name().to_owned(),
    });
    entries
}
