//! Programs that run before a kernel function and can make it fail (`fmod_ret`), the way to refuse where BPF is not
//! among the security modules.
//!
//! aya reads such programs and has no type for them. This is the loader that it lacks, and nothing else: it takes the
//! object that aya has loaded, joins the same programs to the same maps, and gives them to the kernel as
//! `BPF_MODIFY_RETURN`. The functions are those of `security_*`, which every kernel lets such programs modify
//! (kernel/bpf/verifier.c, `check_attach_modify_return`).

use std::{
    collections::HashSet,
    ffi::CString,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
};

use aya::{Btf, BtfError};
use aya_obj::{
    Function, Object, Program,
    btf::BtfKind,
    generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_prog_type},
};

/// Why a program is not there.
#[derive(Debug, thiserror::Error)]
pub enum ModifyReturnError {
    /// The object cannot be read again.
    #[error("the kernel half cannot be read: {0}")]
    Object(String),
    /// This kernel has no such function.
    #[error("{0}")]
    Function(#[from] BtfError),
    /// The kernel refuses.
    #[error("{call}: {error}{log}")]
    Refused {
        /// Which call.
        call: &'static str,
        /// Its error.
        error: io::Error,
        /// The last words of the verifier, on lines of their own; empty where there are none.
        log: String,
    },
}

/// The object, joined to maps that are in the kernel.
pub(super) struct Joined {
    object: Object,
    types: Option<OwnedFd>,
}

impl Joined {
    /// Reads an object and joins it to maps that another loader has made of it.
    pub(super) fn new<'a>(
        bytes: &[u8],
        maps: impl IntoIterator<Item = (&'a str, RawFd)>,
    ) -> Result<Self, ModifyReturnError> {
        let failed = |error: &dyn std::fmt::Display| ModifyReturnError::Object(error.to_string());
        let mut object = Object::parse(bytes).map_err(|error| failed(&error))?;
        let features = aya::features();
        let types = match features.btf() {
            Some(known) => object.fixup_and_sanitize_btf(known).map_err(|error| failed(&error))?,
            None => None,
        };
        let types = types.map(|types| load_types(&types.to_bytes())).transpose()?;
        let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        let known = object.maps.clone();
        let joined: Vec<_> = maps
            .into_iter()
            .filter_map(|(name, fd)| known.get(name).map(|map| (name, fd, map)))
            .collect();
        object.relocate_maps(joined.into_iter(), &text).map_err(|error| failed(&error))?;
        object.relocate_calls(&text).map_err(|error| failed(&error))?;
        object.sanitize_functions(features);
        Ok(Self { object, types })
    }

    /// Lets the verifier check one of its programs as one that goes before `function`.
    pub(super) fn load(
        &self,
        program: &str,
        function: &str,
        types: &Btf,
    ) -> Result<OwnedFd, ModifyReturnError> {
        let target = types.id_by_type_name_kind(function, BtfKind::Func)?;
        let found = self.object.programs.get(program).and_then(|program| {
            Some((program, self.object.functions.get(&program.function_key())?))
        });
        let (found, code) =
            found.ok_or_else(|| ModifyReturnError::Object(format!("there is no `{program}`")))?;
        let name = CString::new(program).unwrap_or_default();
        self.ask(found, code, &name, target, &mut []).or_else(|_| {
            // Again, for the verifier's reasons.
            let mut log = vec![0; 1 << 20];
            self.ask(found, code, &name, target, &mut log).map_err(|error| {
                ModifyReturnError::Refused { call: "BPF_PROG_LOAD", error, log: last_words(&log) }
            })
        })
    }

    fn ask(
        &self,
        program: &Program,
        code: &Function,
        name: &CString,
        target: u32,
        log: &mut [u8],
    ) -> io::Result<OwnedFd> {
        let functions = code.func_info.func_info_bytes();
        let lines = code.line_info.line_info_bytes();
        // SAFETY: a union of plain numbers, for which all zero is a value.
        let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
        // SAFETY: the part of the union that BPF_PROG_LOAD reads; what it points to outlives the call.
        unsafe {
            let load = &mut attributes.__bindgen_anon_3;
            for (to, from) in load.prog_name[..15].iter_mut().zip(name.as_bytes()) {
                *to = from.cast_signed();
            }
            load.prog_type = bpf_prog_type::BPF_PROG_TYPE_TRACING as u32;
            load.expected_attach_type = bpf_attach_type::BPF_MODIFY_RETURN as u32;
            load.attach_btf_id = target;
            load.insns = code.instructions.as_ptr() as u64;
            load.insn_cnt = length(code.instructions.len());
            load.license = program.license.as_ptr() as u64;
            if let Some(types) = &self.types {
                load.prog_btf_fd = types.as_raw_fd().cast_unsigned();
                load.func_info = functions.as_ptr() as u64;
                load.func_info_cnt = length(code.func_info.len());
                load.func_info_rec_size = length(code.func_info_rec_size);
                load.line_info = lines.as_ptr() as u64;
                load.line_info_cnt = length(code.line_info.len());
                load.line_info_rec_size = length(code.line_info_rec_size);
            }
            if !log.is_empty() {
                load.log_level = 1;
                load.log_buf = log.as_mut_ptr() as u64;
                load.log_size = length(log.len());
            }
            bpf(bpf_cmd::BPF_PROG_LOAD, &mut attributes)
        }
    }
}

/// Attaches a program that was loaded. It comes off when what is returned is dropped.
pub(super) fn attach(program: &OwnedFd) -> Result<OwnedFd, ModifyReturnError> {
    // SAFETY: as in `ask`.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    attributes.raw_tracepoint.prog_fd = program.as_raw_fd().cast_unsigned();
    // SAFETY: the part of the union that the call reads.
    unsafe { bpf(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attributes) }.map_err(|error| {
        ModifyReturnError::Refused { call: "BPF_RAW_TRACEPOINT_OPEN", error, log: String::new() }
    })
}

fn load_types(bytes: &[u8]) -> Result<OwnedFd, ModifyReturnError> {
    // SAFETY: as in `ask`.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    attributes.__bindgen_anon_7.btf_size = length(bytes.len());
    // SAFETY: the part of the union that BPF_BTF_LOAD reads; the bytes outlive the call.
    unsafe {
        attributes.__bindgen_anon_7.btf = bytes.as_ptr() as u64;
        bpf(bpf_cmd::BPF_BTF_LOAD, &mut attributes)
    }
    .map_err(|error| ModifyReturnError::Refused {
        call: "BPF_BTF_LOAD",
        error,
        log: String::new(),
    })
}

/// A call of `bpf` that returns a descriptor.
///
/// # Safety
///
/// What the attributes point to must be there, and `command` must be one that returns a descriptor.
unsafe fn bpf(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: by the caller's promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_mut(attributes),
            size_of::<bpf_attr>(),
        )
    };
    match RawFd::try_from(result) {
        // SAFETY: a descriptor that the kernel has just made, and nobody else knows.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The kernel's lengths have 32 bits.
fn length(len: usize) -> u32 {
    u32::try_from(len).expect("nothing in an object is so long")
}

/// The end of what the verifier wrote, two lines of it.
fn last_words(log: &[u8]) -> String {
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    let text = String::from_utf8_lossy(&log[..end]);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("processed ")).collect();
    lines[lines.len().saturating_sub(2)..].iter().map(|line| format!("\n{line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_log_the_last_two_lines_are_kept_and_no_figures() {
        let log = b"0: (b7) r0 = 0\n1: (95) exit\nR0 has no value\nprocessed 2 insns\n\0\0\0";
        assert_eq!(last_words(log), "\n1: (95) exit\nR0 has no value");
        assert_eq!(last_words(&[0; 8]), "");
    }
}
