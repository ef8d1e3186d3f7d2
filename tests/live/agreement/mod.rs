//! Agreement: the kernel half and the evaluator say the same.
//!
//! [`asked`] asks about acts that nobody does, very many of them; [`opened`] has a few hundred files
//! opened. [`draw`] draws rules and acts, [`draw_host`] names of hosts, [`smallest`] makes a small case of a large one.

mod asked;
mod draw;
mod draw_host;
mod opened;
mod smallest;
