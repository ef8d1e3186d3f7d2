//! Scope: getting away from the session, and reading the secret from where nobody looks.

mod family;
mod places;
mod threads;

use crate::trick::Trick;

/// All of them.
pub(crate) const TRICKS: &[&[Trick]] = &[places::TRICKS, threads::TRICKS, family::TRICKS];
