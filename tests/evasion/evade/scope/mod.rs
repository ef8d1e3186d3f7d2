//! scope.
use crate::trick::Trick;
/// All of them.
pub(crate) const TRICKS: &[&[Trick]] = &[];
