//! The system call as the kernel knows it: no library between the actor and the answer.
//!
//! [`marked`] and [`marked_int80`] count in a [`Mark`] with the very next instruction after the call
//! returns. A mark that stays where it was proves that not one more instruction of user space ran.

use std::{
    arch::asm,
    ffi::{CStr, CString},
    io,
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use crate::witness::Mark;

/// Makes an error of the answer of a libc function.
pub(crate) fn check(answer: impl Into<i64>) -> io::Result<i64> {
    match answer.into() {
        -1 => Err(io::Error::last_os_error()),
        other => Ok(other),
    }
}

/// Takes ownership of a file descriptor that a libc function has just answered.
pub(crate) fn descriptor(answer: impl Into<i64>) -> io::Result<OwnedFd> {
    let number = i32::try_from(check(answer)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The path as the kernel wants it.
pub(crate) fn terminated(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// A system call whose return is counted by the next instruction.
pub(crate) fn marked(mark: &Mark, number: i64, arguments: [usize; 4]) -> io::Result<i64> {
    let [first, second, third, fourth] = arguments;
    let mut answer = number;
    // SAFETY: the callers pass pointers that live until the call returns; the mark is a mapping
    // that lives as long as `mark`. The kernel changes rax, rcx and r11 only.
    unsafe {
        asm!(
            "syscall",
            "lock inc dword ptr [{mark}]",
            mark = in(reg) mark.address(),
            inout("rax") answer,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            in("r8") 0_usize,
            out("rcx") _,
            out("r11") _,
        );
    }
    answered(answer)
}

/// `open` by the gate of 32-bit programs, which any 64-bit program may use too.
pub(crate) fn marked_int80(mark: &Mark, path: &CStr, flags: i32) -> io::Result<i64> {
    const OPEN_OF_32_BIT: i32 = 5;
    let low = LowCopy::of(path)?;
    let mut answer = OPEN_OF_32_BIT;
    // SAFETY: `low` holds the terminated path below 4 GiB until the call returns. rbx belongs to the
    // compiler and is put back; the gate may clear r8 to r11.
    unsafe {
        asm!(
            "xchg rbx, r12",
            "int 0x80",
            "lock inc dword ptr [r13]",
            "xchg rbx, r12",
            inout("r12") low.address as usize => _,
            in("r13") mark.address(),
            inout("eax") answer,
            in("ecx") flags,
            in("edx") 0,
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
        );
    }
    answered(i64::from(answer))
}

/// A call of three numbers by the gate of 32-bit programs.
pub(crate) fn marked_int80_numbers(
    mark: &Mark,
    number: i32,
    [first, second, third]: [i32; 3],
) -> io::Result<i64> {
    let mut answer = number;
    // SAFETY: numbers only; the rest as in `marked_int80`.
    unsafe {
        asm!(
            "xchg rbx, r12",
            "int 0x80",
            "lock inc dword ptr [r13]",
            "xchg rbx, r12",
            inout("r12") first as usize => _,
            in("r13") mark.address(),
            inout("eax") answer,
            in("ecx") second,
            in("edx") third,
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
        );
    }
    answered(i64::from(answer))
}

/// What the kernel answered, as a number or an error.
pub(crate) fn answered(answer: i64) -> io::Result<i64> {
    if answer >= 0 {
        return Ok(answer);
    }
    Err(io::Error::from_raw_os_error(i32::try_from(-answer).map_err(io::Error::other)?))
}

/// A path where a 32-bit pointer reaches it.
struct LowCopy {
    address: *mut libc::c_void,
}

impl LowCopy {
    const BYTES: usize = 4096;

    fn of(path: &CStr) -> io::Result<Self> {
        let bytes = path.to_bytes_with_nul();
        if bytes.len() > Self::BYTES {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
        // SAFETY: a new private mapping at a place of the kernel's choosing.
        let address =
            unsafe { libc::mmap(std::ptr::null_mut(), Self::BYTES, protection, flags, -1, 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the mapping is writable and, as checked above, long enough.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address.cast(), bytes.len()) };
        Ok(Self { address })
    }
}

impl Drop for LowCopy {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nothing points into it any more.
        unsafe { libc::munmap(self.address, Self::BYTES) };
    }
}
