//! Cycles: names that lead back to themselves, among lists or among groups of agents.

use std::collections::BTreeMap;

use super::{
    problem::{Problem, quote},
    source::Span,
};

/// Which names each name mentions, and where.
pub(super) type Mentions<'a> = BTreeMap<&'a str, Vec<(&'a str, Span)>>;

/// A problem for each mention that closes a circle. `what` is "list" or "agent".
pub(super) fn cycles(mentions: &Mentions<'_>, what: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut done: BTreeMap<&str, bool> = BTreeMap::new();
    for &start in mentions.keys() {
        // The way down, by hand: the names may form a chain as long as the file.
        let mut way: Vec<(&str, usize)> = Vec::new();
        if !done.contains_key(start) {
            done.insert(start, false);
            way.push((start, 0));
        }
        while let Some((name, next)) = way.last_mut() {
            let mention = mentions.get(name).and_then(|all| all.get(*next));
            *next += 1;
            match mention {
                None => {
                    done.insert(name, true);
                    way.pop();
                }
                Some(&(to, span)) => match done.get(to) {
                    Some(true) => {}
                    Some(false) => problems.push(circle(&way, to, span, what)),
                    None => {
                        done.insert(to, false);
                        way.push((to, 0));
                    }
                },
            }
        }
    }
    problems
}

fn circle(way: &[(&str, usize)], to: &str, span: Span, what: &str) -> Problem {
    let names = way.iter().map(|(name, _)| *name).skip_while(|name| *name != to);
    let round: Vec<String> = names.chain([to]).take(8).map(quote).collect();
    let message = format!("{what} {} includes itself", quote(to));
    Problem::new(span, message, format!("the circle is {}", round.join(" → ")))
        .help("take this one out")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_found_once_and_a_long_chain_is_walked() {
        let span = Span { file: 0, start: 0, end: 0 };
        let names: Vec<String> = (0..100_000).map(|number| format!("n{number}")).collect();
        let mut mentions: Mentions<'_> =
            names.windows(2).map(|pair| (&*pair[0], vec![(&*pair[1], span)])).collect();
        assert_eq!(cycles(&mentions, "list"), []);
        mentions.insert("n99999", vec![("n99998", span)]);
        let problems = cycles(&mentions, "list");
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].label, "the circle is `n99998` → `n99999` → `n99998`");
        let own: Mentions<'_> = [("a", vec![("a", span)])].into();
        assert_eq!(cycles(&own, "list")[0].label, "the circle is `a` → `a`");
    }
}
