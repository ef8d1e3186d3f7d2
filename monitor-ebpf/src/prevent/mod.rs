//! The hooks of the prevent tier: an act is judged before it happens, and fails where it is refused.
//!
//! They are the security hooks of the kernel, a file for each family, and take their objects from the kernel's own
//! structures. Each can be attached in two ways, which are the loader's business and not theirs: as a BPF LSM program,
//! or where that is not among the security modules, to the function that calls the modules
//! (`fmod_ret` on `security_*`).
//!
//! Every one begins the same way: a task without a tag is let through, before anything is looked at.

use crate::verdict;

mod file;
mod name;
mod net;
mod privilege;
mod program;

/// The act goes on.
const PASS: i32 = 0;
/// `-EPERM`, include/uapi/asm-generic/errno-base.h: it fails.
const REFUSE: i32 = -1;

/// What a hook returns of an act of which this is done.
#[inline(always)]
const fn answer(done: u8) -> i32 {
    if verdict::refuses(done) { REFUSE } else { PASS }
}
