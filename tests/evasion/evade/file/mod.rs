//! Files: reading what may not be read, and changing what may not be changed.

mod change;
mod descriptors;
mod mounts;
mod moves;
mod names;
mod others;
mod rings;

pub(crate) use descriptors::{
    receive as receive_descriptor, send as send_descriptor, take as take_descriptor,
};

use crate::trick::Trick;

/// All of them.
pub(crate) const TRICKS: &[&[Trick]] = &[
    names::TRICKS,
    mounts::TRICKS,
    moves::TRICKS,
    descriptors::TRICKS,
    rings::TRICKS,
    others::TRICKS,
    change::TRICKS,
];
