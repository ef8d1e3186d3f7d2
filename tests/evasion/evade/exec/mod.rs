//! Programs: starting what may not be started, and running code that no start brings.

mod code;
mod inject;
mod names;
mod ways;

pub(crate) use names::become_program;

use crate::trick::Trick;

/// All of them.
pub(crate) const TRICKS: &[&[Trick]] = &[names::TRICKS, ways::TRICKS, code::TRICKS, inject::TRICKS];
