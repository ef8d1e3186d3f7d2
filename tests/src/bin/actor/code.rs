//! Running code of a file without starting it: mapped by hand in every way, or by the dynamic loader.
//!
//! The file holds a function that counts in the mark which it is handed, so the mark says whether any of it ran.

use std::{
    arch::asm,
    fs::File,
    io,
    os::fd::{AsRawFd, RawFd},
    path::Path,
    ptr,
};

use crate::{
    arguments::LoadHow,
    call::{answered, check, descriptor, terminated},
    witness::Witness,
};

const BYTES: usize = 4096;
/// `READ_IMPLIES_EXEC`, include/uapi/linux/personality.h.
const READ_IMPLIES_EXEC: libc::c_ulong = 0x40_0000;

/// Loads the file and runs what is in it.
pub(crate) fn load(path: &Path, how: LoadHow, witness: &Witness) -> io::Result<()> {
    if how == LoadHow::Dlopen {
        let name = terminated(path)?;
        // SAFETY: a terminated string.
        let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        if library.is_null() {
            return Err(io::Error::other("dlopen failed"));
        }
        witness.mark().count();
        return Ok(());
    }
    let file = File::open(path)?;
    let code = code_of(&file, how)?;
    // SAFETY: the file holds a function of this kind.
    let run: extern "C" fn(*mut u32) = unsafe { std::mem::transmute(code) };
    run(witness.mark().address());
    Ok(())
}

fn code_of(file: &File, how: LoadHow) -> io::Result<*mut libc::c_void> {
    let (read, code) = (libc::PROT_READ, libc::PROT_READ | libc::PROT_EXEC);
    let number = file.as_raw_fd();
    match how {
        LoadHow::Mmap => map(code, number),
        LoadHow::Int80 => map_by_the_32_bit_gate(code, number),
        LoadHow::Memfd => {
            // SAFETY: a terminated string.
            let copy = descriptor(unsafe { libc::memfd_create(c"notes".as_ptr(), 0) })?;
            let mut copy = File::from(copy);
            io::copy(&mut &*file, &mut copy)?;
            map(code, copy.as_raw_fd())
        }
        LoadHow::Personality => {
            // SAFETY: a number. It holds for this process alone.
            check(unsafe { libc::personality(READ_IMPLIES_EXEC) })?;
            map(read, number)
        }
        LoadHow::Mprotect => {
            let place = map(read, number)?;
            protect(place, BYTES, code)?;
            Ok(place)
        }
        // Memory of nobody in front: the file is not where the call begins.
        LoadHow::MprotectBehind => {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            // SAFETY: a new private mapping at a place of the kernel's choosing.
            let front =
                mapped(unsafe { libc::mmap(ptr::null_mut(), 3 * BYTES, read, flags, -1, 0) })?;
            let flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
            // SAFETY: over the second page of the mapping just made.
            let place = unsafe { libc::mmap(front.byte_add(BYTES), BYTES, read, flags, number, 0) };
            let place = mapped(place)?;
            protect(front, 3 * BYTES, code)?;
            Ok(place)
        }
        LoadHow::Dlopen => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn map(protection: i32, file: RawFd) -> io::Result<*mut libc::c_void> {
    // SAFETY: a new private mapping at a place of the kernel's choosing.
    mapped(unsafe { libc::mmap(ptr::null_mut(), BYTES, protection, libc::MAP_PRIVATE, file, 0) })
}

fn mapped(address: *mut libc::c_void) -> io::Result<*mut libc::c_void> {
    if address == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(address) }
}

fn protect(from: *mut libc::c_void, bytes: usize, protection: i32) -> io::Result<()> {
    // SAFETY: memory that was mapped just now and that nobody else knows of.
    check(unsafe { libc::mprotect(from, bytes, protection) }).map(drop)
}

/// mmap2 by the gate of 32-bit programs.
fn map_by_the_32_bit_gate(protection: i32, file: RawFd) -> io::Result<*mut libc::c_void> {
    const MMAP2_OF_32_BIT: i32 = 192;
    let mut answer = MMAP2_OF_32_BIT;
    // SAFETY: a new private mapping. rbx and rbp belong to the compiler and are put back; the gate may clear r8 to
    // r11.
    unsafe {
        asm!(
            "xchg rbx, r12",
            "xchg rbp, r13",
            "int 0x80",
            "xchg rbp, r13",
            "xchg rbx, r12",
            inout("r12") 0_usize => _,
            inout("r13") 0_usize => _,
            inout("eax") answer,
            in("ecx") BYTES,
            in("edx") protection,
            in("esi") libc::MAP_PRIVATE,
            in("edi") file,
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
        );
    }
    // An address may have the highest bit, an error has nearly all of them.
    const LAST_ERROR: u32 = u32::MAX - 4095;
    match answer.cast_unsigned() {
        error if error >= LAST_ERROR => answered(i64::from(answer)).map(|_| ptr::null_mut()),
        address => Ok(ptr::with_exposed_provenance_mut(address as usize)),
    }
}
