//! Field offsets, from the BTF of the running kernel: what the programs need to know of its structures.
//!
//! The list is `monitor_common::field`; this finds each of them. It does not load anything.

use std::{fs, io};

use btfparse::{Offset, Readable, TypeInformation};
use monitor_common::field::{ABSENT, FIELDS, Field};

/// Where the kernel keeps the types of itself.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Why the offsets are not known.
#[derive(Debug, thiserror::Error)]
pub enum OffsetError {
    /// There is no BTF.
    #[error(
        "this kernel has no type information ({VMLINUX}: {0}): it must be built with CONFIG_DEBUG_INFO_BTF=y"
    )]
    NoBtf(#[source] io::Error),
    /// There is, and it cannot be read.
    #[error("the type information of this kernel cannot be read ({VMLINUX}): {0}")]
    Unreadable(String),
    /// A field that the programs cannot work without is not there.
    #[error(
        "this kernel's `struct {structure}` has no `{member}`, which the kernel half needs: this kernel is not supported"
    )]
    Missing {
        /// The structure.
        structure: &'static str,
        /// The member.
        member: &'static str,
    },
}

/// The global of each field, and its offset in bytes or [`ABSENT`].
pub type Offsets = Vec<(&'static str, u32)>;

/// Finds every field.
///
/// # Errors
///
/// Where there is no BTF, or a required field is not in it.
pub fn find() -> Result<Offsets, OffsetError> {
    let bytes = fs::read(VMLINUX).map_err(OffsetError::NoBtf)?;
    let types = TypeInformation::new(&Blob(bytes))
        .map_err(|error| OffsetError::Unreadable(error.message().to_owned()))?;
    FIELDS.iter().map(|field| Ok((field.global, find_one(&types, field)?))).collect()
}

/// The whole of the type information, as the parser likes to read it.
struct Blob(Vec<u8>);

impl Readable for Blob {
    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), btfparse::Error> {
        let from = usize::try_from(offset).ok();
        let bytes = from.and_then(|from| self.0.get(from..from.checked_add(into.len())?));
        let bytes = bytes.ok_or_else(|| {
            btfparse::Error::new(btfparse::ErrorKind::IOError, "the file ends too early")
        })?;
        into.copy_from_slice(bytes);
        Ok(())
    }
}

fn find_one(types: &TypeInformation, field: &Field) -> Result<u32, OffsetError> {
    let offset = types
        .id_of(field.structure)
        .and_then(|id| types.offset_of(id, field.member).ok())
        .and_then(|(_, offset)| match offset {
            Offset::ByteOffset(bytes) => Some(bytes),
            Offset::BitOffsetAndSize(..) => None,
        });
    match offset {
        Some(offset) => Ok(offset),
        None if field.required => {
            Err(OffsetError::Missing { structure: field.structure, member: field.member })
        }
        None => Ok(ABSENT),
    }
}
