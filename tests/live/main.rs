//! Live tests: the real daemon on the running kernel, with canaries at the far end.
//!
//! Needs root. Each test starts a daemon of its own on a ground of its own and takes both down again;
//! nothing leaves loopback. A new test goes into the module of its subject and says in its name the
//! one thing that it claims.

/// What every claim has in common: the lock, the rules, the sentences.
mod claims;
/// Programs that may not be started.
mod exec;
/// What may go wrong around the daemon.
mod faults;
/// Files that may not be read or written.
mod file;
/// The tag stays on every descendant.
mod lineage;
/// Peers that may not be reached.
mod net;
/// Nothing is lost without being counted.
mod overload;
