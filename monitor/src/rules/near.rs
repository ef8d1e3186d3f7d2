//! The nearest word: what somebody who wrote a word that we do not know may have meant.

/// Longest word, in characters, that is compared.
const LONGEST: usize = 64;

/// The one of `known` that is nearest to `written`, if any is near enough to be what was meant.
pub(super) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written: Vec<char> = written.to_lowercase().chars().take(LONGEST + 1).collect();
    if written.len() > LONGEST {
        return None;
    }
    let allowed = (written.len() / 3).max(1);
    let near = known.into_iter().filter_map(|word| {
        let letters: Vec<char> = word.to_lowercase().chars().take(LONGEST + 1).collect();
        let comparable =
            letters.len() <= LONGEST && letters.len().abs_diff(written.len()) <= allowed;
        let distance = if comparable { distance(&written, &letters) } else { usize::MAX };
        (distance <= allowed).then_some((distance, word))
    });
    near.min().map(|(_, word)| word)
}

/// How many letters must be put in, left out, changed or swapped with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_near_and_other_words_are_not() {
        let known = ["github", "gitlab", "registries", "action"];
        assert_eq!(nearest("githb", known), Some("github"));
        assert_eq!(nearest("Registires", known), Some("registries"));
        assert_eq!(nearest("acton", known), Some("action"));
        assert_eq!(nearest("x", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest(&"g".repeat(5000), known), None);
    }

    #[test]
    fn swapped_neighbours_are_one_error() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        assert_eq!(distance(&chars("exce"), &chars("exec")), 1);
        assert_eq!(distance(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(distance(&[], &chars("abc")), 3);
    }
}
