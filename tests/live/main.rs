//! Live tests: the real daemon on the running kernel, with canaries at the far end.
//!
//! Needs root. Each test starts a daemon of its own on a ground of its own and takes both down again;
//! nothing leaves loopback. A new test goes into the module of its subject and says in its name the
//! one thing that it claims.

/// Agents that were there before the daemon.
mod adoption;
/// The kernel half and the evaluator say the same.
mod agreement;
/// Programs that may not be started with some arguments.
mod arguments;
/// Acts that have no effect, whoever counts it.
mod before;
/// What every claim has in common: the lock, the rules, the sentences.
mod claims;
/// Agents in containers.
mod containers;
/// What is said of this host.
mod doctor;
/// Programs that may not be started.
mod exec;
/// What may go wrong around the daemon.
mod faults;
/// Files that may not be read or written.
mod file;
/// Permissions that may be used a number of times.
mod grants;
/// Plans that are asked before they are in force.
mod judge;
/// Files that are shut under every name.
mod labels;
/// Commands that are started as an agent.
mod launch;
/// Rules that are learned from real work.
mod learning;
/// The tag stays on every descendant.
mod lineage;
/// Addresses that may not be listened on.
mod listen;
/// Code that is mapped and not started.
mod load;
/// What is opened and has no name.
mod nameless;
/// Agents inside agents.
mod nested;
/// Peers that may not be reached.
mod net;
/// Nothing is lost without being counted.
mod overload;
/// Which name of a file counts.
mod paths;
/// Ports, protocols and the names of this host.
mod peers;
/// Rights that reach beyond the process.
mod privilege;
/// Who is an agent.
mod recognition;
/// Acts that are written down, and judged later.
mod record;
/// Rules that change while agents act.
mod reload;
/// What rule files mean.
mod rules;
/// Agents by what whoever starts them chooses.
mod signs;
/// Daemons that cannot start.
mod startup;
/// Work that is in no session.
mod strangers;
/// A tool that others wrote, as an agent.
mod stress;
/// Plans that take turns while agents act.
mod switch;
/// Acts that hit no rule.
mod watch;
