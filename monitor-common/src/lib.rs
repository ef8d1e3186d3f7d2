//! The contract between the two halves of Driftwatch: everything that crosses the kernel boundary,
//! and nothing else.
//!
//! Four kinds of things cross it:
//!
//! * [`record`]s go up, from a hook through a ring to the daemon: a [`record::Header`], then one of
//!   [`process`], [`file`], [`net`], [`privilege`], then bytes;
//! * the [`plan`] goes down: the compiled rules, as keys and values of maps;
//! * a [`question`] goes down and its answer comes up, outside of every hook;
//! * [`tag::Tag`]s live on tasks, and [`counter`]s are read from above.
//!
//! [`field`] lists the kernel structure fields that the kernel half reads and the user half finds in
//! the running kernel's BTF.
//!
//! This crate holds layout and conversion checks. It decides nothing, allocates nothing and knows no
//! kernel function. Every type is `repr(C)` with no hidden padding, which the zerocopy derives prove
//! at compile time.
#![cfg_attr(not(test), no_std)]

pub mod act;
pub mod counter;
pub mod field;
pub mod file;
pub mod net;
pub mod plan;
pub mod privilege;
pub mod process;
pub mod question;
pub mod record;
pub mod tag;

pub use act::{Act, Verdict};
