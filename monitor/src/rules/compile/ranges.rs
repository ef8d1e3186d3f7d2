//! Ranges: destinations as the address trie wants them.
//!
//! A trie answers with the longest prefix alone. So what a network is in, every network inside it is
//! in as well, as long as both name the same protocol and port; for the others the kernel asks again.

use monitor_common::plan::{Bits, Range};

use super::{classes::Classes, full, gather::Gathered, refusal::Refusals};
use crate::rules::plan::add;

/// The rows of the address trie: bits of the address that count, key, class.
pub(super) fn ranges(
    gathered: &Gathered<'_>,
    classes: &mut Classes,
    refusals: &mut Refusals,
) -> Vec<(u32, Range, u32)> {
    let mut ranges = vec![];
    for (&(protocol, port), networks) in &gathered.destinations {
        // The networks around the one at hand, widest first, each with the bits of those around it.
        let mut around: Vec<(u128, u32, Bits)> = vec![];
        for (&(address, length), (bits, place)) in networks {
            let length = u32::from(length);
            let start = u128::from(address);
            around.retain(|&(wider, length, _)| covers(wider, length, start));
            let mut bits = *bits;
            if let Some((_, _, inherited)) = around.last() {
                add(&mut bits, inherited);
            }
            around.push((start, length, bits));
            let class = classes.number(&bits).unwrap_or_else(|| full(place, refusals));
            let key =
                Range { bank: 0, protocol, port: port.to_be_bytes(), address: address.octets() };
            ranges.push((length, key, class));
        }
    }
    ranges
}

/// Whether the first `length` bits of both are the same.
pub(in crate::rules) fn covers(network: u128, length: u32, address: u128) -> bool {
    (network ^ address).leading_zeros() >= length
}
