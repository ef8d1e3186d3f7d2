//! Hosts: names of hosts as literals, spelt from their end.
//!
//! Rules name a host or everything below one, so a name needs no automaton: whoever reads one from its last byte
//! on looks up what it is below at each dot, and what it is at its end. Protocol and port are part of the literal.

use monitor_common::plan::{Bits, HOST_SUFFIX, Space, header_flag};

use super::gather::{By, Gathered};
use crate::rules::{
    model::{Destination, To},
    plan::add,
};

/// How a name is spelt as a literal, with its protocol and port, 0 for any.
pub(super) fn spelling(name: &str, protocol: u8, port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    name.bytes().rev().chain([protocol, high, low]).collect()
}

impl<'a> Gathered<'a> {
    /// Adds the hosts of a destination: those that it names, or every host where it is every address.
    pub(super) fn host(&mut self, destination: &Destination, by: By<'a>) {
        let (name, is_below) = match &destination.to {
            To::Host(pattern) => (pattern.name(), pattern.is_below()),
            To::Net(net) if net.prefix_len() == 0 => ("", true),
            To::Net(_) | To::Socket(_) | To::Abstract(_) => return,
        };
        let Some((protocol, port)) = self.end(destination, by.place) else { return };
        self.flags |= match (protocol, port) {
            (0, 0) => header_flag::HOST,
            (0, _) => header_flag::HOST_PORT,
            (_, 0) => header_flag::HOST_PROTOCOL,
            (_, _) => header_flag::HOST_PROTOCOL_PORT,
        };
        let literal = self.literal(Space::Host, spelling(name, protocol, port), by.place);
        let bits: &mut Bits = if is_below { &mut literal.below } else { &mut literal.exact };
        add(bits, &by.bit.bits());
    }

    /// How many names of hosts there are, once for each place at them.
    pub(super) fn hosts(&self) -> usize {
        let is_name = |(space, spelling): &&(Space, Vec<u8>)| {
            *space == Space::Host && spelling.len() > HOST_SUFFIX as usize
        };
        self.literals.keys().filter(is_name).count()
    }
}
