//! Files: reading what may not be read, and changing what may not be changed.

mod names;

use crate::trick::Trick;

/// All of them.
pub(crate) const TRICKS: &[&[Trick]] = &[names::TRICKS];
