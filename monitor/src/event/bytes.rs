//! Bytes for people: a path, a name or an argument as text that cannot do anything.
//!
//! What an agent chooses may hold line breaks, terminal controls, marks that turn the writing direction,
//! or no text at all. Shown, every such byte is an escape, and the escape character itself is doubled, so
//! that two different values are never shown alike.

use std::fmt;

/// Bytes as harmless text.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(&'a [u8]);

/// Shows bytes as harmless text.
#[must_use]
pub const fn shown(bytes: &[u8]) -> Shown<'_> {
    Shown(bytes)
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\\' => f.write_str("\\\\")?,
                    '\n' => f.write_str("\\n")?,
                    '\t' => f.write_str("\\t")?,
                    '\r' => f.write_str("\\r")?,
                    _ if is_harmless(character) => fmt::Write::write_char(f, character)?,
                    _ => write!(f, "\\u{{{:x}}}", u32::from(character))?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Not a control, not a mark of direction, not without width, not a line break of Unicode's own.
fn is_harmless(character: char) -> bool {
    !character.is_control()
        && !matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(shown("/home/ana/Übung".as_bytes()).to_string(), "/home/ana/Übung");
    }

    #[test]
    fn controls_and_bytes_are_escaped() {
        assert_eq!(shown(b"a\nb\x1b[2J\xff\\").to_string(), "a\\nb\\u{1b}[2J\\xff\\\\");
        assert_eq!(shown("\u{202e}gpj.exe".as_bytes()).to_string(), "\\u{202e}gpj.exe");
    }

    proptest! {
        #[test]
        fn nothing_shown_can_break_a_line_or_a_terminal(bytes: Vec<u8>) {
            prop_assert!(shown(&bytes).to_string().chars().all(is_harmless));
        }

        #[test]
        fn different_bytes_are_shown_differently(a: Vec<u8>, b: Vec<u8>) {
            prop_assume!(a != b);
            prop_assert_ne!(shown(&a).to_string(), shown(&b).to_string());
        }
    }
}
