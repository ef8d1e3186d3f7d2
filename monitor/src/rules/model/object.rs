//! Objects: what acts are done to, and what rules can say of it.
//!
//! Part of [`super`]. [`Object`] is one act's; [`Program`], [`Destination`] and [`Privilege`] are the items of
//! lists that objects are compared with. Paths are compared with a [`Glob`] alone.

use std::{fmt, net::Ipv6Addr};

use ipnet::Ipv6Net;
pub use monitor_common::privilege::Privilege;

use crate::rules::{
    evaluate::Args,
    glob::{Glob, Homes},
    host_name::HostPattern,
    words::{TextGlob, Words},
};

/// The object of one act.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// A path from the root, as the kernel resolved it.
    Path(Vec<u8>),
    /// A peer, or of listen the own address; IPv4 in its mapped form.
    Peer {
        /// The address.
        address: Ipv6Addr,
        /// The port.
        port: u16,
        /// An `IPPROTO_*` number.
        protocol: u16,
    },
    /// A peer by the name that it was looked up by.
    Host {
        /// Lower case, without a dot at the end.
        name: String,
        /// The port.
        port: u16,
        /// An `IPPROTO_*` number.
        protocol: u16,
    },
    /// A UNIX socket: its path, or `@` and its abstract name.
    Socket(Vec<u8>),
    /// A right.
    Privilege(Privilege),
    /// The kernel could not tell: it matches every `never` list, no `only` list and no exception.
    Unknown,
}

/// In what way an act is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum How {
    /// The usual one: a program is started, a file is opened, a socket connected.
    #[default]
    Usual,
    /// Of exec: code is mapped executable, as a library is, or a program by the dynamic loader.
    Load,
    /// Of exec: a program is about to be started, and its arguments are not known yet.
    Start,
    /// Of read and write: the file is about to get another name, under which no rule may know it. Counts as being
    /// read and written, for the rules that forbid it.
    Alias,
    /// Of read and write: the file lies behind one that is opened, in a layer of an overlay.
    Layer,
    /// Of read and write: it was open already when the session began.
    Inherited,
    /// It was so already when the process was adopted: a file open or mapped, a right in use.
    Held,
    /// Of write: the name is given to another file, or taken away.
    Rename,
    /// Of write: the file gets another name.
    Link,
    /// Of write: the name is taken away.
    Unlink,
    /// Of write: the file is cut.
    Truncate,
    /// Of write: its mode, owner or attributes are changed.
    Chmod,
}

impl How {
    /// Whether the rules that name what is permitted do not count: they do not name what a program loads, nor a file
    /// under names that nobody sees.
    #[must_use]
    pub const fn leaves_out_only(self) -> bool {
        matches!(self, Self::Load | Self::Alias | Self::Layer | Self::Inherited | Self::Held)
    }
}

/// An item of an exec list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// Every start of this file.
    File(Glob),
    /// Those with these arguments.
    With(Glob, Words),
    /// Every start of a program that is so.
    Is(Trait),
}

impl Program {
    /// Whether the start of a program is one of those meant; `unsure` where that is for its arguments to say and
    /// they are not known.
    #[must_use]
    pub fn matches(
        &self,
        path: &[u8],
        args: Args<'_>,
        unsure: bool,
        traits: Traits,
        homes: &Homes,
    ) -> bool {
        match self {
            Self::File(glob) => glob.matches(path, homes),
            Self::With(glob, words) => glob.matches(path, homes) && args.are(words, unsure),
            Self::Is(one) => traits.has(*one),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(glob) => write!(f, "{glob}"),
            Self::With(glob, words) => write!(f, "{glob} {words}"),
            Self::Is(one) => f.write_str(one.name()),
        }
    }
}

/// What can be special about a program. Of a script it is the interpreter that is looked at, as everywhere in
/// rules about `exec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trait {
    /// It is memory and never had a name (`memfd_create`): its link count is 0, and its file system is one that
    /// the kernel mounted for itself (`SB_KERNMOUNT`). What it is called is not looked at. Such a program is also
    /// [`Self::Deleted`], and mostly [`Self::Writable`].
    Memfd,
    /// Its file has no name (any more): its link count is 0.
    Deleted,
    /// Its set-user-id bit is set, or its set-group-id bit and that by which its group may execute it. How the
    /// file system is mounted (`nosuid`) is not looked at.
    Setuid,
    /// Somebody else than root may write the file or the directory that it is in: the owner is not user 0, or
    /// others may write, or the group may and is not group 0. The sticky bit of a directory changes nothing; access
    /// lists, directories further up and read-only mounts are not looked at. Numbers are those outside of every
    /// user namespace.
    Writable,
}

impl Trait {
    /// The words that rules use.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("memfd", Self::Memfd),
        ("deleted", Self::Deleted),
        ("setuid", Self::Setuid),
        ("writable", Self::Writable),
    ];

    /// The word that rules use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::WORDS[self as usize].0
    }
}

/// A set of [`Trait`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Traits(u8);

impl Traits {
    /// Nothing special.
    pub const NONE: Self = Self(0);

    /// Whether one is in the set.
    #[must_use]
    pub const fn has(self, one: Trait) -> bool {
        self.0 >> one as u8 & 1 == 1
    }

    /// The set and one more.
    #[must_use]
    pub const fn with(self, one: Trait) -> Self {
        Self(self.0 | 1 << one as u8)
    }

    /// What is in the set.
    pub fn iter(self) -> impl Iterator<Item = Trait> {
        Trait::WORDS.into_iter().map(|(_, one)| one).filter(move |&one| self.has(one))
    }
}

/// Where a connection may go: a place, and maybe one port and one protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The place.
    pub to: To,
    /// The port, none for any.
    pub port: Option<u16>,
    /// The protocol, none for any.
    pub protocol: Option<Protocol>,
}

/// The place of a [`Destination`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum To {
    /// A range of addresses. IPv4 is held in its mapped form, `::ffff:0:0/96`.
    Net(Ipv6Net),
    /// Hosts by name.
    Host(HostPattern),
    /// UNIX sockets by the path that they are bound to.
    Socket(Glob),
    /// UNIX sockets by their abstract name, without the `@`.
    Abstract(TextGlob),
}

impl Destination {
    /// A range of addresses, any port.
    #[must_use]
    pub const fn net(net: Ipv6Net) -> Self {
        Self { to: To::Net(net), port: None, protocol: None }
    }

    /// Whether an object lies there.
    #[must_use]
    pub fn covers(&self, object: &Object, homes: &Homes) -> bool {
        match (&self.to, object) {
            (To::Net(net), Object::Peer { address, port, protocol }) => {
                net.contains(address) && self.is_at(*port, *protocol)
            }
            // Every address, and so every name.
            (To::Net(net), Object::Host { port, protocol, .. }) => {
                net.prefix_len() == 0 && self.is_at(*port, *protocol)
            }
            (To::Host(pattern), Object::Host { name, port, protocol }) => {
                pattern.matches(name) && self.is_at(*port, *protocol)
            }
            (To::Socket(glob), Object::Socket(path)) => glob.matches(path, homes),
            (To::Abstract(glob), Object::Socket(name)) => {
                name.strip_prefix(b"@").is_some_and(|name| glob.matches(name))
            }
            _ => false,
        }
    }

    fn is_at(&self, port: u16, protocol: u16) -> bool {
        self.port.is_none_or(|wanted| wanted == port)
            && self.protocol.is_none_or(|wanted| wanted as u16 == carrier(protocol))
    }
}

impl fmt::Display for Destination {
    /// As a rule file has it: `10.0.0.0/8:53/udp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            To::Net(net) if net.prefix_len() == 0 => f.write_str("*")?,
            To::Net(net) => net_text(f, *net, self.port.is_some())?,
            To::Host(host) => {
                write!(f, "{}{}", if host.is_below() { "*." } else { "" }, host.name())?
            }
            To::Socket(glob) => write!(f, "unix:{glob}")?,
            To::Abstract(glob) => write!(f, "unix:@{glob}")?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        match self.protocol {
            Some(Protocol::Tcp) => f.write_str("/tcp"),
            Some(Protocol::Udp) => f.write_str("/udp"),
            None => Ok(()),
        }
    }
}

/// A range: IPv4 as IPv4, a single address without its length.
fn net_text(f: &mut fmt::Formatter<'_>, net: Ipv6Net, port: bool) -> fmt::Result {
    const MAPPED_BITS: u8 = 96;
    let v4 = net.addr().to_ipv4_mapped().filter(|_| net.prefix_len() >= MAPPED_BITS);
    match (v4, net.prefix_len()) {
        (Some(v4), 128) => write!(f, "{v4}"),
        (Some(v4), length) => write!(f, "{v4}/{}", length - MAPPED_BITS),
        (None, 128) if port => write!(f, "[{}]", net.addr()),
        (None, 128) => write!(f, "{}", net.addr()),
        (None, _) if port => write!(f, "[{net}]"),
        (None, _) => write!(f, "{net}"),
    }
}

/// MPTCP (262) is TCP to whoever writes a rule, and on the wire.
const fn carrier(protocol: u16) -> u16 {
    if protocol == 262 { Protocol::Tcp as u16 } else { protocol }
}

/// A transport protocol that has ports, by its `IPPROTO_*` number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// 6
    Tcp = 6,
    /// 17
    Udp = 17,
}
