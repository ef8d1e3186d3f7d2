//! Counted: numbers and their nouns, for people.

/// `1 file`, `2 files`.
pub(crate) fn count(count: usize, noun: &str) -> String {
    many(count as u64, noun)
}

/// The same for what there may be very many of.
pub(crate) fn many(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
