//! What a field may hold, and how people are told so.
//!
//! The same kinds are told to editors in [`super::schema`].

/// What may be the value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// The number of the format's version.
    Version,
    /// One line of text.
    Line,
    /// Text that may have several lines.
    Prose,
    /// A name of ours.
    Name,
    /// The id of a grant: a name that may have capitals.
    GrantId,
    /// A glob over whole paths.
    PathGlob,
    /// A glob over text that is no path.
    TextGlob,
    /// A glob over names of units.
    UnitGlob,
    /// A path as the kernel resolved it.
    Path,
    /// Arguments of a program: words as text or as a list.
    Arguments,
    /// One argument of a program.
    Argument,
    /// A user by name or id.
    User,
    /// A variable of the environment, maybe with its value.
    Variable,
    /// An item of exec: a program, maybe with arguments.
    Program,
    /// An item of read or write.
    File,
    /// An item of connect.
    Destination,
    /// An item of listen.
    Local,
    /// An item of privilege.
    Privilege,
    /// An item of a list: what it is depends on who uses the list.
    Any,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A length of time.
    Duration,
    /// A day or a moment.
    End,
    /// How often something may be done: a number from 1 to [`crate::rules::parse_rule::USES`].
    Count,
    /// An id of a catalogue: its pattern, and ids for people to look at.
    Id(&'static str, &'static str),
    /// The object of an act in a test: of connect, of listen.
    Peer,
    /// See [`Holds::Peer`].
    LocalPeer,
    /// A map with the keys that stand below the field.
    Map,
    /// A map from names of ours to this.
    Named(&'static Self),
    /// A map from names of lists to this.
    Lists(&'static Self),
    /// A map from any text to this.
    Keyed(&'static Self),
    /// A list of at least this many.
    List(usize, &'static Self),
    /// The first or the second.
    Either(&'static Self, &'static Self),
}

/// Characters of a name.
pub(super) const NAME_BYTES: usize = 64;
/// Words of `privilege`.
pub(super) const PRIVILEGES: [&str; 8] =
    ["setuid", "capabilities", "ptrace", "mount", "namespaces", "bpf", "module", "io_uring"];

impl Holds {
    /// What it is called where a person reads it: "a list of names".
    #[must_use]
    pub fn phrase(&self) -> String {
        match self {
            Self::Word(words) => format!("one word: {}", words.join(", ")),
            Self::Id(_, such_as) => format!("an id such as {such_as}"),
            Self::Named(value) => format!("a map: a name → {}", value.phrase()),
            Self::Lists(value) => format!("a map: the name of a list → {}", value.phrase()),
            Self::Keyed(value) => format!("a map: any text → {}", value.phrase()),
            Self::List(0 | 1, item) => format!("a list of {}", item.plural()),
            Self::List(least, item) => format!("a list of {least} or more {}", item.plural()),
            Self::Either(first, second) => format!("{}, or {}", first.phrase(), second.phrase()),
            _ => self.words().0.to_owned(),
        }
    }

    fn plural(&self) -> String {
        match self {
            Self::Either(first, second) => format!("{}, or {}", first.plural(), second.plural()),
            Self::Word(words) => format!("words: {}", words.join(", ")),
            Self::Id(_, such_as) => format!("ids such as {such_as}"),
            Self::Named(_) | Self::Lists(_) | Self::Keyed(_) => "maps".to_owned(),
            Self::List(_, item) => format!("lists of {}", item.plural()),
            _ => self.words().1.to_owned(),
        }
    }

    /// One of them, and several.
    const fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Version => ("the number 1", "numbers"),
            Self::Line => ("text", "texts"),
            Self::Prose => ("text, of several lines if need be", "texts"),
            Self::Name => (NAME, "names"),
            Self::GrantId => (GRANT_ID, "ids"),
            Self::PathGlob => ("a path glob", "path globs"),
            Self::TextGlob => ("a glob over text", "globs over text"),
            Self::UnitGlob => ("a glob over names of units", "globs over names of units"),
            Self::Path => ("a path as the kernel resolved it", "paths as the kernel resolved them"),
            Self::Arguments => ("words in one text, or a list of words", "words"),
            Self::Argument => ("an argument", "arguments"),
            Self::User => ("the name or id of a user", "names or ids of users"),
            Self::Variable => ("NAME or NAME=GLOB", "NAME or NAME=GLOB"),
            Self::Program => {
                ("a program", "programs: a file name, a path glob, a word, a map or \"@list\"")
            }
            Self::File => ("a path glob or \"@list\"", "path globs or \"@list\""),
            Self::Destination => (
                "a destination",
                "destinations: a host, an address, a network, a socket or \"@list\"",
            ),
            Self::Local => ("a local address", "local addresses with ports, sockets or \"@list\""),
            Self::Privilege => ("a privilege", PRIVILEGE),
            Self::Any => ("an item", "items: paths, destinations, names of programs or \"@list\""),
            Self::Duration => ("a time such as 90s, 10m, 1h30m or 7d", "times"),
            Self::End => {
                ("a day such as 2027-06-30 or a time such as 2026-11-23T18:00:00Z", "times")
            }
            Self::Count => ("a number from 1 to 1000", "numbers"),
            Self::Peer => ("a peer with its port: address:port, host:port or unix:/path", "peers"),
            Self::LocalPeer => ("a local address with its port", "local addresses"),
            Self::Map => ("a map", "maps"),
            Self::Word(_)
            | Self::Id(..)
            | Self::Named(_)
            | Self::Lists(_)
            | Self::Keyed(_)
            | Self::List(..)
            | Self::Either(..) => ("", ""),
        }
    }
}

const NAME: &str = "a name: lower case letters, digits and single hyphens, 64 at most";
const GRANT_ID: &str = "an id: letters, digits and single hyphens, 64 at most";
const PRIVILEGE: &str =
    "words: setuid, capabilities, ptrace, mount, namespaces, bpf, module, io_uring";
