//! Rung: in which way this kernel lets acts be refused, found by doing. A program is loaded and attached to the hook of
//! opens, a file is opened, and it counts whether the program ran: what a kernel says of itself is not asked, for there
//! are kernels that take such programs and never run them.

use std::{fs::File, os::fd::RawFd};

use aya::{Btf, Ebpf};
use aya_obj::btf::BtfKind;

use super::{
    KernelError,
    attach::function,
    maps,
    modify_return::{self, Way},
};

/// The ways to see an act, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// BPF LSM programs: an act is refused before it happens.
    Lsm,
    /// The same programs before the functions that ask the security modules, where BPF is not one of those.
    ModifyReturn,
    /// Tracepoints and the hooks of cgroups: only what goes over the network is refused before it happens.
    Tracepoints,
}

impl Rung {
    /// Best first.
    pub const ALL: [Self; 3] = [Self::Lsm, Self::ModifyReturn, Self::Tracepoints];

    /// The name that reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lsm => "BPF LSM",
            Self::ModifyReturn => "fmod_ret",
            Self::Tracepoints => "tracepoints",
        }
    }

    /// Whether acts can be refused on it before they happen.
    #[must_use]
    pub const fn prevents(self) -> bool {
        matches!(self, Self::Lsm | Self::ModifyReturn)
    }
}

/// What is wrong with a rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The kernel does not take such a program.
    Refused,
    /// It takes it, and never runs it.
    Silent,
    /// It runs it, and cannot have all that the rung stands on.
    Incomplete,
}

/// A rung that does not bear on this kernel, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The rung.
    pub rung: Rung,
    /// What is wrong with it.
    pub fault: Fault,
    /// What the kernel answered, or that nothing came.
    pub why: String,
}

/// The hook that is tried.
const HOOK: &str = "file_open";

/// Tries a rung. The error says what the kernel answered.
pub(super) fn try_out(ebpf: &Ebpf, types: &Btf, rung: Rung) -> Result<(), Broken> {
    let broken = |fault, why: String| Broken { rung, fault, why };
    let ran = match rung {
        Rung::Tracepoints => return Ok(()),
        Rung::Lsm => runs(ebpf, types, &format!("bpf_lsm_{HOOK}"), Way::Lsm),
        Rung::ModifyReturn => runs(ebpf, types, &function(HOOK), Way::ModifyReturn),
    };
    match ran {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(broken(Fault::Silent, "the program was attached and never ran".to_owned()))
        }
        Err(error) => Err(broken(Fault::Refused, error.brief())),
    }
}

/// Attaches a program that counts its runs, and opens a file; whether it ran meanwhile, for this open or for anybody's.
fn runs(ebpf: &Ebpf, types: &Btf, function: &str, way: Way) -> Result<bool, KernelError> {
    let failed = |source| KernelError::ModifyReturn { program: "a trial", source };
    let instructions = counting(maps::trials(ebpf)?);
    let program = modify_return::load_plain(&instructions, function, way, types).map_err(failed)?;
    let _link = modify_return::attach(&program).map_err(failed)?;
    let before = maps::tried(ebpf)?;
    let _opened = File::open("/proc/self/stat");
    Ok(maps::tried(ebpf)? != before)
}

/// A program that adds 1 to the first number of an array of one row and lets everything go on, as the kernel has instructions
/// (include/uapi/linux/bpf.h, `struct bpf_insn`).
fn counting(array: RawFd) -> [u64; 6] {
    let array = u64::from(array.cast_unsigned()) << 32;
    [
        0x2118 | array, // r1 = the value, by BPF_PSEUDO_MAP_VALUE in two halves
        0,
        0x01_0000_02b7, // r2 = 1
        0x21db,         // lock *r1 += r2
        0xb7,           // r0 = 0
        0x95,           // exit
    ]
}

/// Whether this kernel was built with BPF among its security modules (`CONFIG_BPF_LSM`), whether or not it is one of
/// those in use: it has the functions then that such programs are attached to. `None` where its types cannot be read.
#[must_use]
pub fn is_built_with_lsm() -> Option<bool> {
    let types = Btf::from_sys_fs().ok()?;
    Some(types.id_by_type_name_kind(&format!("bpf_lsm_{HOOK}"), BtfKind::Func).is_ok())
}
