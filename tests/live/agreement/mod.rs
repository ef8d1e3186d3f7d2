//! Agreement: the kernel half and the evaluator say the same.
//!
//! [`asked`] asks about acts that nobody does, very many of them; [`opened`] has a few hundred files
//! opened. [`draw`] draws rules and acts, [`smallest`] makes a small case of a large one.

mod asked;
mod draw;
mod opened;
mod smallest;
