//! Driftwatch watches AI-agent workloads from the kernel and stops what was not approved.
//!
//! ```text
//! EVENT   hook ──► verdict ──► ring ──► decode ──► attribute ──► evaluate ──► alert
//!         monitor-ebpf           kernel/  event/     agent/        pipeline     alert/
//!
//! RULES   rules/*.yaml ──► parse ──► resolve ──► compile ──► KernelPlan ──► maps read by "verdict"
//!                          rules/                                           kernel/maps
//! ```
//!
//! Start at [`daemon`]: it is the whole story in one place. `event`, `agent`, `rules`, `pipeline`, `recording`,
//! `replay`, `diff`, `learn` and `drift` are pure: they do no I/O, read no clock and know nothing of aya.

pub mod cli;
pub mod daemon;
mod reading;
pub mod recorder;
mod stop;
mod watcher;

// The event line.
pub mod kernel;

pub mod event;

pub mod agent;

pub mod pipeline;

pub mod alert;

pub mod recording;

pub mod replay;

// The rules line.
pub mod rules;

pub mod diff;

// Rules from recordings.
pub mod learn;

pub mod drift;

// The world around.
mod adopt;
pub mod control;
mod counted;
pub mod doctor;
mod engine;
mod exchange;
pub mod host;
pub mod init;
pub mod label;
pub mod launch;
pub mod rehearsal;
