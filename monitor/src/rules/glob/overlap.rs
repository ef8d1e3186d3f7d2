//! Overlap: whether two globs have a path in common.
//!
//! Exact for globs that begin alike. A `~` beside a `/` is taken for every home directory, also where an outer
//! one would win: then the answer may be yes where it is no, and never the other way round. Not asked on the
//! way of an act: only of rules that are proposed.

use super::{Anchor, ByteSet, Glob, HOME, Homes, Part, Unit};

impl Glob {
    /// Whether there may be a path that both globs match.
    #[must_use]
    pub fn overlaps(&self, other: &Self, homes: &Homes) -> bool {
        if self.anchor == other.anchor {
            return overlap(&self.parts, &other.parts);
        }
        let spelt = |glob: &Self| glob.rooted(homes);
        let (these, those) = (spelt(self), spelt(other));
        these.iter().any(|one| those.iter().any(|two| overlap(one, two)))
    }

    /// Whether it may match at any depth: `**/.env`.
    #[must_use]
    pub fn floats(&self) -> bool {
        self.anchor == Anchor::Root && self.parts.first() == Some(&Part::Depth)
    }

    /// Its parts from the root on, once for each kind of home directory.
    fn rooted(&self, homes: &Homes) -> Vec<Vec<Part>> {
        if self.anchor == Anchor::Root {
            return vec![self.parts.to_vec()];
        }
        let literal = |name: &[u8]| Part::Literal(name.into());
        let below = |directory: &[u8]| -> Vec<Part> {
            directory
                .split(|byte| *byte == b'/')
                .filter(|name| !name.is_empty())
                .map(literal)
                .collect()
        };
        let anybody = Part::Pattern([Unit::Set(Box::new(ByteSet::ANY)), Unit::Star].into());
        let in_home = [below(HOME), vec![anybody]].concat();
        let all = homes.directories().map(below).chain([in_home]);
        all.map(|home| [&home[..], &self.parts].concat()).collect()
    }
}

/// Whether two lists of parts have a list of components in common. `open[i][j]` says it of what is left of them
/// from `i` and `j` on.
fn overlap(a: &[Part], b: &[Part]) -> bool {
    let mut open = vec![vec![false; b.len() + 1]; a.len() + 1];
    for i in (0..=a.len()).rev() {
        for j in (0..=b.len()).rev() {
            open[i][j] = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some(Part::Depth), Some(_)) => open[i + 1][j] || open[i][j + 1],
                (Some(Part::Depth), None) => open[i + 1][j],
                (Some(_), Some(Part::Depth)) => open[i][j + 1] || open[i + 1][j],
                (None, Some(Part::Depth)) => open[i][j + 1],
                (Some(one), Some(two)) => open[i + 1][j + 1] && meet(&units(one), &units(two)),
                (None, Some(_)) | (Some(_), None) => false,
            };
        }
    }
    open[0][0]
}

fn units(part: &Part) -> Vec<Unit> {
    match part {
        Part::Depth => Vec::new(),
        Part::Literal(bytes) => bytes.iter().copied().map(Unit::Byte).collect(),
        Part::Pattern(units) => units.to_vec(),
    }
}

/// The same of two components, with `*` in the place of `**`.
fn meet(a: &[Unit], b: &[Unit]) -> bool {
    let mut open = vec![vec![false; b.len() + 1]; a.len() + 1];
    for i in (0..=a.len()).rev() {
        for j in (0..=b.len()).rev() {
            open[i][j] = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some(Unit::Star), Some(_)) => open[i + 1][j] || open[i][j + 1],
                (Some(Unit::Star), None) => open[i + 1][j],
                (Some(_), Some(Unit::Star)) => open[i][j + 1] || open[i + 1][j],
                (None, Some(Unit::Star)) => open[i][j + 1],
                (Some(one), Some(two)) => open[i + 1][j + 1] && share_a_byte(one, two),
                (None, Some(_)) | (Some(_), None) => false,
            };
        }
    }
    open[0][0]
}

fn share_a_byte(a: &Unit, b: &Unit) -> bool {
    let takes = |unit: &Unit, byte: u8| match unit {
        Unit::Byte(wanted) => *wanted == byte,
        Unit::Set(set) => set.has(byte),
        Unit::Star => true,
    };
    match (a, b) {
        (Unit::Byte(byte), other) | (other, Unit::Byte(byte)) => takes(other, *byte),
        _ => (0..=u8::MAX).any(|byte| takes(a, byte) && takes(b, byte)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn glob(text: &str) -> Glob {
        Glob::parse(text).unwrap().remove(0)
    }

    fn homes() -> Homes {
        Homes(vec![b"/root".to_vec()])
    }

    fn common(a: &str, b: &str) -> bool {
        let (a, b) = (glob(a), glob(b));
        assert_eq!(a.overlaps(&b, &homes()), b.overlaps(&a, &homes()), "{a} {b}");
        a.overlaps(&b, &homes())
    }

    #[test]
    fn globs_with_a_path_in_common_overlap() {
        for (a, b) in [
            ("/a", "/a"),
            ("/a/**", "**/.env"),
            ("~/.config/**", "~/.config/gcloud/**"),
            ("~/.config/*/x", "~/.config/gcloud/**"),
            ("/root/.aws/*", "~/.aws/credentials"),
            ("/home/*/.aws/**", "~/.aws/credentials"),
            ("/a/**/b/**", "/a/b/**/c"),
            ("/a/x*y", "/a/*xy"),
            ("/a/[a-f]?", "/a/[f-z]*"),
            ("**/a/*", "/x/**"),
        ] {
            assert!(common(a, b), "{a} {b}");
        }
    }

    #[test]
    fn globs_without_do_not() {
        for (a, b) in [
            ("/a", "/a/**"),
            ("/a/*", "/a/b/c"),
            ("~/.config/app/**", "~/.config/gcloud/**"),
            ("/srv/.aws/*", "~/.aws/credentials"),
            ("/a/x*y", "/a/*z"),
            ("/a/[a-f]", "/a/[g-z]"),
            ("**/a", "/x/**/b"),
            ("/home/*", "~/**"),
        ] {
            assert!(!common(a, b), "{a} {b}");
        }
    }

    #[test]
    fn a_glob_that_begins_anywhere_floats() {
        assert!(glob("**/.env").floats());
        assert!(!glob("~/**/x").floats() && !glob("/a/**").floats());
    }

    fn component() -> impl Strategy<Value = String> {
        prop::sample::select(vec!["a", "b", "ab", "*", "a*", "*b", "?", "[ab]", "**"])
            .prop_map(str::to_owned)
    }

    fn pattern() -> impl Strategy<Value = String> {
        (prop::collection::vec(component(), 1..5), any::<bool>()).prop_map(|(parts, home)| {
            format!("{}/{}", if home { "~" } else { "" }, parts.join("/"))
        })
    }

    proptest! {
        #[test]
        fn a_path_that_both_match_is_an_overlap(
            a in pattern(), b in pattern(),
            path in prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "home", "root"]), 1..6),
        ) {
            let path = format!("/{}", path.join("/"));
            let (a, b) = (glob(&a), glob(&b));
            let both = a.matches(path.as_bytes(), &homes()) && b.matches(path.as_bytes(), &homes());
            prop_assert!(!both || a.overlaps(&b, &homes()), "{} {} {}", a, b, path);
        }
    }
}
