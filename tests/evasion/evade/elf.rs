//! Programs made byte by byte: what a technique starts must run on every host, in every loader, with no
//! compiler and no library.
//!
//! Each of them writes one word to the collector, and ends or returns.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

/// What a program that may not run writes.
pub(crate) const MARK: &[u8] = b"driftwatch-evil-ran";

const PAGE: usize = 0x1000;
const ENTRY: usize = 0x400;
const INIT: usize = 0x600;
const HASH: usize = 0x800;
const SYMBOLS: usize = 0x880;
const STRINGS: usize = 0x900;

/// Plants the programs in a directory: the program, a library, a 32-bit program, a script.
pub(crate) fn plant(directory: &Path) -> io::Result<()> {
    let script =
        format!("#!/bin/sh\nprintf {} > /proc/self/fd/100\n", String::from_utf8_lossy(MARK));
    let planted = [
        ("tool", program(None)),
        ("library.so", program(None)),
        ("tool32", program_of_32_bit()),
        ("script", script.into_bytes()),
    ];
    for (name, bytes) in planted {
        put(&directory.join(name), &bytes)?;
    }
    Ok(())
}

/// Writes a file that may be started.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Code that writes the mark and returns, wherever it lies.
pub(crate) fn marking() -> Vec<u8> {
    marking_and(&[0xc3])
}

fn marking_and(end: &[u8]) -> Vec<u8> {
    let length = u8::try_from(MARK.len()).expect("the mark is short");
    // mov eax, write; mov edi, collector; lea rsi, [rip + …]; mov edx, length; syscall
    let mut code = vec![0xb8, 1, 0, 0, 0, 0xbf, 100, 0, 0, 0, 0x48, 0x8d, 0x35];
    let behind_lea = code.len() + 4;
    let rest = [&[0xba, length, 0, 0, 0, 0x0f, 0x05], end].concat();
    code.extend(offset(behind_lea, behind_lea + rest.len()));
    code.extend(rest);
    code.extend(MARK);
    code
}

/// Code that opens a file, gives it away, and returns, wherever it lies.
pub(crate) fn leaking(path: &Path) -> Vec<u8> {
    // mov eax, open; lea rdi, [rip + …]
    let mut code = vec![0xb8, 2, 0, 0, 0, 0x48, 0x8d, 0x3d];
    let behind_lea = code.len() + 4;
    let rest: &[u8] = &[
        0x31, 0xf6, 0x0f, 0x05, // xor esi, esi; syscall
        0x89, 0xc7, 0x31, 0xc0, // mov edi, eax; xor eax, eax
        0x48, 0x81, 0xec, 0, 1, 0, 0, // sub rsp, 256
        0x48, 0x89, 0xe6, 0xba, 200, 0, 0, 0, 0x0f,
        0x05, // mov rsi, rsp; mov edx, 200; syscall
        0x89, 0xc2, 0xb8, 1, 0, 0, 0, 0xbf, 100, 0, 0, 0, // mov edx, eax; write; collector
        0x48, 0x89, 0xe6, 0x0f, 0x05, // mov rsi, rsp; syscall
        0x48, 0x81, 0xc4, 0, 1, 0, 0, 0xc3, // add rsp, 256; ret
    ];
    code.extend(offset(behind_lea, behind_lea + rest.len()));
    code.extend(rest);
    code.extend(path.as_os_str().as_encoded_bytes());
    code.push(0);
    code
}

fn offset(from: usize, to: usize) -> [u8; 4] {
    u32::try_from(to - from).expect("code is short").to_le_bytes()
}

/// A 64-bit program that is also a library: it can be started, loaded, and named as a loader. With
/// `loader` it asks for that one.
pub(crate) fn program(loader: Option<&Path>) -> Vec<u8> {
    let mut image = vec![0; 2 * PAGE];
    let segments = if loader.is_some() { 5 } else { 4 };
    let mut head = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    half(&mut head, &[3, 62]); // shared object, x86-64
    word(&mut head, &[1]);
    long(&mut head, &[ENTRY, 64, 0]);
    word(&mut head, &[0]);
    half(&mut head, &[64, 56, segments, 64, 0, 0]);
    if let Some(loader) = loader {
        let name = [loader.as_os_str().as_encoded_bytes(), b"\0"].concat();
        segment(&mut head, 3, 4, 0xa00, name.len(), 1);
        put_at(&mut image, 0xa00, &name);
    }
    segment(&mut head, 1, 5, 0, PAGE, PAGE);
    segment(&mut head, 1, 6, PAGE, PAGE, PAGE);
    let mut dynamic = Vec::new();
    for (tag, value) in
        [(4, HASH), (5, STRINGS), (6, SYMBOLS), (10, 1), (11, 24), (12, INIT), (0, 0)]
    {
        long(&mut dynamic, &[tag, value]);
    }
    segment(&mut head, 2, 6, PAGE, dynamic.len(), 8);
    segment(&mut head, 0x6474_e551, 6, 0, 0, 16); // a stack that is not executable
    put_at(&mut image, 0, &head);
    // mov eax, exit_group; xor edi, edi; syscall
    put_at(&mut image, ENTRY, &marking_and(&[0xb8, 0xe7, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]));
    put_at(&mut image, INIT, &marking());
    let mut hash = Vec::new();
    word(&mut hash, &[1, 1, 0, 0]);
    put_at(&mut image, HASH, &hash);
    put_at(&mut image, PAGE, &dynamic);
    image
}

/// Where the marking code lies in a program, from its beginning.
pub(crate) const MARKING_AT: usize = INIT;

/// A 32-bit program.
fn program_of_32_bit() -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    const CODE: u32 = 0x54;
    let length = u32::try_from(MARK.len()).expect("the mark is short");
    // mov eax, write; mov ebx, collector; mov ecx, …; mov edx, length; int 0x80; exit(0)
    let code_bytes = 34;
    let mut code = vec![0xb8, 4, 0, 0, 0, 0xbb, 100, 0, 0, 0, 0xb9];
    code.extend((BASE + CODE + code_bytes).to_le_bytes());
    code.push(0xba);
    code.extend(length.to_le_bytes());
    code.extend([0xcd, 0x80, 0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80]);
    code.resize(code_bytes as usize, 0x90);
    code.extend(MARK);
    let mut image = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    half(&mut image, &[2, 3]); // program, i386
    word(&mut image, &[1, BASE + CODE, 52, 0, 0]);
    half(&mut image, &[52, 32, 1, 40, 0, 0]);
    let bytes = CODE + u32::try_from(code.len()).expect("code is short");
    word(&mut image, &[1, 0, BASE, BASE, bytes, bytes, 5, 0x1000]);
    image.extend(code);
    image
}

fn segment(head: &mut Vec<u8>, kind: u32, flags: u32, place: usize, bytes: usize, align: usize) {
    word(head, &[kind, flags]);
    long(head, &[place, place, place, bytes, bytes, align]);
}

fn half(bytes: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
}

fn word(bytes: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
}

fn long(bytes: &mut Vec<u8>, values: &[usize]) {
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
}

fn put_at(image: &mut [u8], place: usize, bytes: &[u8]) {
    image[place..place + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::fd::AsRawFd, os::unix::process::CommandExt, process::Command};

    use super::*;
    use crate::{case::COLLECTOR, sys};

    /// What a program gives to the collector.
    fn given(program: &Path) -> Vec<u8> {
        let (reader, writer) = sys::pipe().unwrap();
        let number = writer.as_raw_fd() as usize;
        let mut command = Command::new(program);
        // SAFETY: between fork and exec it makes one system call.
        unsafe {
            command.pre_exec(move || {
                sys::call(libc::SYS_dup2, [number, COLLECTOR as usize]).map(drop)
            });
        }
        assert!(command.status().unwrap().success(), "{}", program.display());
        drop(writer);
        let mut bytes = Vec::new();
        fs::File::from(reader).read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn programs_leave_their_mark() {
        let directory = tempfile::tempdir().unwrap();
        plant(directory.path()).unwrap();
        let named = directory.path().join("named");
        put(&named, &program(Some(&directory.path().join("tool")))).unwrap();
        for name in ["tool", "library.so", "script", "named"] {
            assert_eq!(given(&directory.path().join(name)), MARK, "{name}");
        }
    }
}
