//! Globs: patterns over paths, as rule files write them.
//!
//! A glob starts with `/`, with `~/` (below a home directory) or with `**/` (at any depth). Between
//! slashes `*` is any bytes, `?` one byte, `[a-z]` and `[!a-z]` one byte of a set; none of them is
//! ever a `/`, and a component that is only `*` is never empty. `**` stands alone between slashes for
//! any number of components, and at the end for at least one. `{a,b}` makes several globs of one, and
//! a backslash takes the meaning from what follows.
//!
//! Paths and globs are bytes. [`Glob::matches`] is what a glob *means*: the evaluator asks it, and the
//! compiled plan is tested against it. It is plain on purpose and shares nothing with the automata of
//! [`super::compile`]. What is *written* is read by [`parse`](Glob::parse) in the module below.

mod homes;
mod overlap;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

pub(in crate::rules) use homes::HOME;
pub use homes::Homes;
pub use parse::GlobError;

/// A pattern over paths. Equal globs were not always written alike: `/**/x` is `**/x`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Glob {
    anchor: Anchor,
    /// Never empty, never ends with [`Part::Depth`], never two of these in a row.
    parts: Box<[Part]>,
}

/// Where the first part of a glob begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::rules) enum Anchor {
    /// At the root. A floating glob is one whose first part is [`Part::Depth`].
    Root,
    /// At the outermost home directory on the path.
    Home,
}

/// What a glob has between two slashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::rules) enum Part {
    /// `**`: any number of components, none too.
    Depth,
    /// One component that is spelt so.
    Literal(Box<[u8]>),
    /// One component that is made so. It always takes at least one byte.
    Pattern(Box<[Unit]>),
}

/// What a component is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::rules) enum Unit {
    /// This byte.
    Byte(u8),
    /// One byte of a set.
    Set(Box<ByteSet>),
    /// Any bytes, none too.
    Star,
}

/// A set of bytes, without `/` and NUL, which no component has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::rules) struct ByteSet([u64; 4]);

impl ByteSet {
    /// Every byte of a component: `?`.
    pub(in crate::rules) const ANY: Self = Self([!(1 << b'/' | 1), !0, !0, !0]);

    /// Every byte of a text that is no path.
    pub(in crate::rules) const TEXT: Self = Self([!1, !0, !0, !0]);

    /// A set of bytes of a text that is no path: NUL is in none.
    pub(in crate::rules) const fn of_text([a, b, c, d]: [u64; 4]) -> Self {
        Self([a & Self::TEXT.0[0], b, c, d])
    }

    /// Whether `byte` is in the set.
    pub(in crate::rules) const fn has(self, byte: u8) -> bool {
        self.0[(byte / 64) as usize] >> (byte % 64) & 1 == 1
    }

    fn add(&mut self, byte: u8) {
        if byte != b'/' {
            self.0[usize::from(byte / 64)] |= 1 << (byte % 64);
        }
    }

    const fn complement(self) -> Self {
        let [a, b, c, d] = self.0;
        Self([!a & Self::ANY.0[0], !b, !c, !d])
    }
}

impl Glob {
    /// Reads what was written. Braces make several globs of one text, in the order written.
    ///
    /// # Errors
    /// Says at which byte of `text` what is wrong with it, and how it could be put right.
    pub fn parse(text: &str) -> Result<Vec<Self>, GlobError> {
        parse::parse(text)
    }

    /// Whether `path` is one of those meant. A path begins with `/` and has no empty components, as
    /// the kernel spells it.
    #[must_use]
    pub fn matches(&self, path: &[u8], homes: &Homes) -> bool {
        let from = match self.anchor {
            Anchor::Root => Some(0),
            Anchor::Home => homes.split(path),
        };
        from.and_then(|from| path[from..].strip_prefix(b"/"))
            .is_some_and(|rest| components(&self.parts, rest))
    }

    /// About how many bytes of memory its parts take.
    pub(in crate::rules) fn weight(&self) -> usize {
        let weight = |part: &Part| match part {
            Part::Depth => 0,
            Part::Literal(bytes) => bytes.len(),
            Part::Pattern(units) => units.len() * size_of::<Unit>(),
        };
        self.parts.iter().map(|part| size_of::<Part>() + weight(part)).sum()
    }

    /// Where the first part begins.
    pub(in crate::rules) const fn anchor(&self) -> Anchor {
        self.anchor
    }

    /// The parts. There is at least one, and the last is not [`Part::Depth`].
    pub(in crate::rules) fn parts(&self) -> &[Part] {
        &self.parts
    }
}

impl Part {
    /// Whether it is a component that is only `*`.
    pub(in crate::rules) fn is_star(&self) -> bool {
        matches!(self, Self::Pattern(units) if matches!(&**units,
            [Unit::Set(set), Unit::Star] if **set == ByteSet::ANY))
    }

    fn takes(&self, component: &[u8]) -> bool {
        match self {
            Self::Depth => false,
            Self::Literal(bytes) => **bytes == *component,
            Self::Pattern(made_of) => units(made_of, component),
        }
    }
}

/// Takes `path` component by component. Where it goes wrong, the last `**` before takes one component
/// more: an earlier one could not help, since whatever it took the last one can take as well.
fn components(parts: &[Part], path: &[u8]) -> bool {
    let (mut at, mut left) = (0, Some(path));
    let mut retry = None;
    loop {
        match (parts.get(at), left) {
            (None, None) => return true,
            (Some(Part::Depth), _) => {
                at += 1;
                retry = Some((at, left));
                continue;
            }
            (Some(part), Some(rest)) => {
                let (head, tail) = split_component(rest);
                if part.takes(head) {
                    (at, left) = (at + 1, tail);
                    continue;
                }
            }
            _ => {}
        }
        let Some((after, Some(rest))) = retry else { return false };
        (at, left) = (after, split_component(rest).1);
        retry = Some((at, left));
    }
}

/// The first component, and what comes after its `/`.
fn split_component(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], Some(&path[slash + 1..])),
        None => (path, None),
    }
}

/// The same within a component, with `*` in the place of `**`.
fn units(units: &[Unit], component: &[u8]) -> bool {
    let (mut at, mut taken) = (0, 0);
    let mut retry = None;
    loop {
        match (units.get(at), component.get(taken)) {
            (None, None) => return true,
            (Some(Unit::Star), _) => {
                at += 1;
                retry = Some((at, taken));
                continue;
            }
            (Some(Unit::Byte(wanted)), Some(byte)) if wanted == byte => {
                (at, taken) = (at + 1, taken + 1);
                continue;
            }
            (Some(Unit::Set(set)), Some(&byte)) if set.has(byte) => {
                (at, taken) = (at + 1, taken + 1);
                continue;
            }
            _ => {}
        }
        match retry {
            Some((after, from)) if from < component.len() => {
                (at, taken) = (after, from + 1);
                retry = Some((at, taken));
            }
            _ => return false,
        }
    }
}

impl fmt::Display for Glob {
    /// The usual spelling of the glob, which reads back as the same glob; bytes outside ASCII are shown as
    /// they can be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let home = self.anchor == Anchor::Home;
        f.write_str(if home { "~" } else { "" })?;
        let below = matches!(&*self.parts, [.., Part::Depth, last] if last.is_star());
        let shown = if below { &self.parts[..self.parts.len() - 1] } else { &self.parts };
        for (number, part) in shown.iter().enumerate() {
            let floats = number == 0 && !home && *part == Part::Depth && shown.len() > 1;
            f.write_str(if floats { "" } else { "/" })?;
            match part {
                Part::Depth => f.write_str("**")?,
                part if part.is_star() => f.write_str("*")?,
                Part::Literal(bytes) => f.write_str(&escaped(bytes, ""))?,
                Part::Pattern(units) => units.iter().try_for_each(|unit| write!(f, "{unit}"))?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(byte) => f.write_str(&escaped(&[*byte], "")),
            Self::Star => f.write_str("*"),
            Self::Set(set) if **set == ByteSet::ANY => f.write_str("?"),
            Self::Set(set) => write!(f, "{set}"),
        }
    }
}

impl fmt::Display for ByteSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No set can be written with bytes outside ASCII, so one that has them is a complement.
        let negated = self.has(0xff);
        let listed = if negated { self.complement() } else { *self };
        f.write_str(if negated { "[!" } else { "[" })?;
        (0..=0x7f)
            .filter(|&byte| listed.has(byte))
            .try_for_each(|byte| f.write_str(&escaped(&[byte], "-!")))?;
        f.write_str("]")
    }
}

/// How a component is written so that it means itself. A byte that a rule file should not have becomes `?`:
/// control characters, invisible ones, and what is not UTF-8.
#[must_use]
pub fn spelt(component: &[u8]) -> String {
    let mut text = String::new();
    for chunk in component.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '*' | '?' | '[' | ']' | '{' | '}' | '\\' => text.extend(['\\', letter]),
                letter if letter.is_alphanumeric() || matches!(letter, ' '..='~') => {
                    text.push(letter)
                }
                letter => text.extend(std::iter::repeat_n('?', letter.len_utf8())),
            }
        }
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}

/// With a backslash before what would have a meaning. `-` and `!` have one in sets alone.
fn escaped(bytes: &[u8], also: &str) -> String {
    let mut text = String::new();
    for character in String::from_utf8_lossy(bytes).chars() {
        let marks = !"-!".contains(character) && parse::ESCAPABLE.contains(character);
        if marks || also.contains(character) && parse::ESCAPABLE.contains(character) {
            text.push('\\');
        }
        text.push(character);
    }
    text
}
