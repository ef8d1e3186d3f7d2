//! Effects: five acts that reach beyond the process, and how often each of them did.
//!
//! Whoever an act reaches counts it: listeners what they accept and what arrives, a file the runs of the program that
//! appends to it. An act that was answered with death after it was done is counted like any other.

use std::fmt;

use crate::{
    act::Act,
    canary::{TcpCanary, UdpCanary},
    ground::{Ground, bytes_in},
    scenario::AGENT,
};

/// An act that somebody else notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A datagram is sent.
    Datagram,
    /// A connection is made, and a word is sent through it.
    Connection,
    /// The same in one call.
    FastOpen,
    /// A program is started, and leaves a mark.
    Program,
    /// A file is opened and read, and what it says is sent away through a socket that was there before.
    Secret,
}

impl Operation {
    /// Each of them.
    pub const ALL: [Self; 5] =
        [Self::Datagram, Self::Connection, Self::FastOpen, Self::Program, Self::Secret];
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Datagram => "UDP send",
            Self::Connection => "TCP connect",
            Self::FastOpen => "TCP Fast Open",
            Self::Program => "exec",
            Self::Secret => "open, read, leak",
        })
    }
}

/// Who notices. Each operation has a listener of its own.
#[derive(Debug)]
pub struct FarEnd {
    datagrams: UdpCanary,
    connections: TcpCanary,
    fast_opens: TcpCanary,
    secrets: UdpCanary,
}

impl FarEnd {
    /// Listens on loopback.
    pub fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            datagrams: UdpCanary::bind("127.66.0.1:0")?,
            connections: TcpCanary::bind("127.66.0.1:0")?,
            fast_opens: TcpCanary::bind("127.66.0.1:0")?,
            // Where no rule forbids anything to be sent: what keeps a secret is that it is not read.
            secrets: UdpCanary::bind("127.0.0.1:0")?,
        })
    }

    /// Does the operation once.
    #[must_use]
    pub fn act(&self, operation: Operation, ground: &Ground) -> Act {
        match operation {
            Operation::Datagram => Act::send(self.datagrams.address()),
            Operation::Connection => Act::connect(self.connections.address()),
            Operation::FastOpen => Act::connect(self.fast_opens.address()).how("fastopen"),
            Operation::Program => Act::marker(&ground.dropped(), &ground.path("marker")),
            Operation::Secret => Act::read(&ground.secret()).leaking_to(self.secrets.address()),
        }
    }

    /// How often the operation has had its effect, by anybody, until now and a moment more.
    #[must_use]
    pub fn effects(&self, operation: Operation, ground: &Ground) -> u64 {
        match operation {
            Operation::Datagram => self.datagrams.arrived(),
            Operation::Connection => self.connections.accepted(),
            Operation::FastOpen => self.fast_opens.accepted(),
            Operation::Program => bytes_in(&ground.path("marker")),
            Operation::Secret => self.secrets.arrived(),
        }
    }
}

/// Rules that forbid all five, with this action.
#[must_use]
pub fn rules(action: &str) -> String {
    let rule = |id: &str, sense: &str| {
        format!("  - {{ id: {id}, title: t, agents: [{AGENT}], {sense}, action: {action} }}\n")
    };
    rule("peers", "connect: { never: ['127.66.0.0/16'] }")
        + &rule("programs", "exec: { never: ['/tmp/driftwatch-test-*/dropped/**'] }")
        + &rule("secrets", "read: { never: ['**/.aws/credentials'] }")
}
