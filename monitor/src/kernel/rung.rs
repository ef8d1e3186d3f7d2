//! Rung: in which way this kernel lets acts be refused, found by doing. A program is loaded and attached to the hook of
//! opens, a file is opened, and it counts whether the program ran: what a kernel says of itself is not asked, for there
//! are kernels that take such programs and never run them.

use std::fs::File;

use aya::{Btf, Ebpf, programs::Lsm};
use aya_obj::btf::BtfKind;

use super::{
    KernelError,
    attach::{function, join},
    maps, modify_return,
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

/// The program that counts its runs.
const PROGRAM: &str = "tried";
/// Its hook.
const HOOK: &str = "file_open";

/// Tries a rung. The error says what the kernel answered.
pub(super) fn try_out(ebpf: &mut Ebpf, types: &Btf, rung: Rung) -> Result<(), Broken> {
    let broken = |fault, why: String| Broken { rung, fault, why };
    let ran = match rung {
        Rung::Tracepoints => return Ok(()),
        Rung::Lsm => by_lsm(ebpf, types),
        Rung::ModifyReturn => by_modify_return(ebpf, types),
    };
    match ran {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(broken(Fault::Silent, "the program was attached and never ran".to_owned()))
        }
        Err(error) => Err(broken(Fault::Refused, error.brief())),
    }
}

fn by_lsm(ebpf: &mut Ebpf, types: &Btf) -> Result<bool, KernelError> {
    let refused = |step| move |source| KernelError::Program { program: PROGRAM, step, source };
    let program = ebpf.program_mut(PROGRAM).ok_or(KernelError::Object(PROGRAM))?;
    let program: &mut Lsm = program.try_into().map_err(refused("load"))?;
    program.load(HOOK, types).map_err(refused("load"))?;
    program.attach().map_err(refused("attach"))?;
    let ran = runs(ebpf);
    let program = ebpf.program_mut(PROGRAM).ok_or(KernelError::Object(PROGRAM))?;
    let program: &mut Lsm = program.try_into().map_err(refused("unload"))?;
    program.unload().map_err(refused("unload"))?;
    ran
}

fn by_modify_return(ebpf: &Ebpf, types: &Btf) -> Result<bool, KernelError> {
    let failed = |source| KernelError::ModifyReturn { program: PROGRAM, source };
    let program = join(ebpf)?.load(PROGRAM, &function(HOOK), types).map_err(failed)?;
    let _link = modify_return::attach(&program).map_err(failed)?;
    runs(ebpf)
}

/// Whether this kernel was built with BPF among its security modules (`CONFIG_BPF_LSM`), whether or not it is one of
/// those in use: it has the functions then that such programs are attached to. `None` where its types cannot be read.
#[must_use]
pub fn is_built_with_lsm() -> Option<bool> {
    let types = Btf::from_sys_fs().ok()?;
    Some(types.id_by_type_name_kind(&format!("bpf_lsm_{HOOK}"), BtfKind::Func).is_ok())
}

/// Opens a file; whether the program ran meanwhile, for this open or for anybody's.
fn runs(ebpf: &Ebpf) -> Result<bool, KernelError> {
    let before = maps::tried(ebpf)?;
    let _opened = File::open("/proc/self/stat");
    Ok(maps::tried(ebpf)? != before)
}
