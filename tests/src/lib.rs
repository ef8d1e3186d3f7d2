//! What the live tests, the demo and the benchmark have in common: a [`Ground`] with something worth
//! protecting, the real daemon on it, an actor that goes after it, and canaries at the far end.
//!
//! Everything made here is taken down again when its owner is dropped, also after a panic; what a
//! killed owner leaves is at most a directory of its own under the temporary directory.

pub mod act;
pub mod alert;
pub mod canary;
pub mod cgroup;
pub mod child;
pub mod containerd;
pub mod daemon;
pub mod effect;
pub mod engine;
pub mod ground;
pub mod half;
pub mod items;
pub mod kernel_log;
pub mod programs;
pub mod scenario;
pub mod tally;
pub mod used;
pub mod vfork;

pub use act::Act;
pub use alert::Alert;
pub use canary::{TcpCanary, UdpCanary};
pub use child::Ended;
pub use ground::{Ground, Trace};
pub use scenario::{AGENT, Scenario, twin};
pub use tally::{Outcome, Tally};
