//! Random names of hosts, in rules and in acts. Part of [`super::draw`]: they meet often and miss by a byte, and
//! some are names that no host can have.

use monitor::rules::model::Object;

use super::draw::{Draw, SUFFIXES};

/// Names that rules have, alone or with what is below them.
const HOSTS: &[&str] = &[
    "github.com",
    "api.github.com",
    "com",
    "a.com",
    "b.a.com",
    "a.b.a.com",
    "hub.com",
    "x.internal",
    "internal",
    "xn--bcher-kva.example",
    "a_b.example",
];

/// What makes another name of one, at its beginning.
const HEADS: &[&str] =
    &["", "", "", "a.", "b.a.", "not", "api.", ".", "..", "-", "*.", "\0", "\n", "ü.", "/", "x.."];

/// What follows it.
const TAILS: &[&str] =
    &["", "", "", "", "", "", "", "", ".", ".com", ".evil.org", "m", "\0", ":443", "\u{7f}", "ü"];

/// Bytes of the longest name.
const LONGEST: usize = 253;

impl Draw {
    /// A name, or everything below one, as a rule has it.
    pub(super) fn host_item(&mut self) -> String {
        let below = self.one(&["", "*."]);
        let name = match self.once_in(20) {
            true => longest(),
            false => self.one(HOSTS).to_owned(),
        };
        below.to_owned() + &name + self.one(SUFFIXES)
    }

    /// A host that somebody connects to.
    pub(super) fn host(&mut self) -> Object {
        let name = match self.below(12) {
            0 => longest(),
            1 => self.one(HEADS).to_owned() + &longest(),
            2 => longest()[self.below(LONGEST)..].to_owned(),
            3 => {
                let mut name = self.one(HOSTS).as_bytes().to_vec();
                let at = self.below(name.len());
                name[at] = u8::try_from(self.below(128)).expect("ASCII");
                String::from_utf8(name).expect("ASCII")
            }
            4 => self.one(HOSTS).to_uppercase(),
            _ => self.one(HEADS).to_owned() + self.one(HOSTS) + self.one(TAILS),
        };
        Object::Host { name, port: self.port(), protocol: self.protocol() }
    }
}

/// The longest name there is: labels of 63 bytes, and the last of 61.
fn longest() -> String {
    let byte = |at| if at % 64 == 63 { '.' } else { 'a' };
    (0..LONGEST).map(byte).collect()
}
