//! Samples: whole rule files, each of which shows some fields. `driftwatch explain` prints them.
//!
//! A test loads every one, runs the tests in it, and looks up in it every field that names it.

/// Of a file as a whole.
pub const FILE: &str = include_str!("samples/file.yaml");
/// Of agents: every sign.
pub const AGENTS: &str = include_str!("samples/agents.yaml");
/// Of signs of containers.
pub const CONTAINERS: &str = include_str!("samples/containers.yaml");
/// Of a rule: what stands around its act.
pub const RULE: &str = include_str!("samples/rule.yaml");
/// Of asking.
pub const ASK: &str = include_str!("samples/ask.yaml");
/// Of exec.
pub const EXEC: &str = include_str!("samples/exec.yaml");
/// Of exec: what alone may be started.
pub const EXEC_ONLY: &str = include_str!("samples/exec-only.yaml");
/// Of read.
pub const READ: &str = include_str!("samples/read.yaml");
/// Of read: what alone may be read.
pub const READ_ONLY: &str = include_str!("samples/read-only.yaml");
/// Of write.
pub const WRITE: &str = include_str!("samples/write.yaml");
/// Of write: what alone may be changed.
pub const WRITE_ONLY: &str = include_str!("samples/write-only.yaml");
/// Of connect.
pub const CONNECT: &str = include_str!("samples/connect.yaml");
/// Of connect: what never.
pub const CONNECT_NEVER: &str = include_str!("samples/connect-never.yaml");
/// Of listen.
pub const LISTEN: &str = include_str!("samples/listen.yaml");
/// Of listen: where never.
pub const LISTEN_NEVER: &str = include_str!("samples/listen-never.yaml");
/// Of privilege.
pub const PRIVILEGE: &str = include_str!("samples/privilege.yaml");
/// Of privilege: what alone.
pub const PRIVILEGE_ONLY: &str = include_str!("samples/privilege-only.yaml");
/// Of sequences.
pub const SEQUENCE: &str = include_str!("samples/sequence.yaml");
/// Of sequences: every act may be a step.
pub const STEPS: &str = include_str!("samples/steps.yaml");
/// Of grants.
pub const GRANTS: &str = include_str!("samples/grants.yaml");
/// Of grants for every act.
pub const GRANTED_ACTS: &str = include_str!("samples/granted-acts.yaml");

/// Every one.
pub const ALL: [&str; 21] = [
    FILE,
    AGENTS,
    CONTAINERS,
    RULE,
    ASK,
    EXEC,
    EXEC_ONLY,
    READ,
    READ_ONLY,
    WRITE,
    WRITE_ONLY,
    CONNECT,
    CONNECT_NEVER,
    LISTEN,
    LISTEN_NEVER,
    PRIVILEGE,
    PRIVILEGE_ONLY,
    SEQUENCE,
    STEPS,
    GRANTS,
    GRANTED_ACTS,
];
