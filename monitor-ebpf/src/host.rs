//! Which lists is this host in? A name is read from its end, for there the rules begin: at each dot stands what
//! it is below, at its first byte what it is. Nothing grows with the number of rules.
//!
//! No hook knows the names of its peers yet; [`crate::judge`] is asked about them.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_loop;
use monitor_common::plan::{
    HOST_SUFFIX, Literal, LiteralKey, Space, hash_start, hash_step, header_flag,
};

use crate::{
    classify::{self, HASH_SECRET, Place, Plan},
    maps,
    scratch::PATH_BUFFER,
};

const END: u32 = PATH_BUFFER as u32;
const MASK: u32 = END - 1;

/// A host, its name at the end of the buffer: in lower case, without a dot at its end.
pub(crate) struct Host {
    /// First byte of the name.
    pub(crate) start: u32,
    pub(crate) port: u16,
    /// As rules have it.
    pub(crate) protocol: u8,
}

/// What does not change while a name is read.
#[repr(C)]
struct Reader {
    place: *mut Place,
    bank: u32,
    flags: u32,
    /// Bytes of the name.
    len: u32,
    port: [u8; 2],
    protocol: u8,
}

/// Adds the bits of every list that a host is in.
#[inline(never)]
pub(crate) fn host(plan: &Plan, place: *mut Place, host: &Host) {
    let len = END - (host.start & MASK);
    let (bank, flags) = (plan.bank, plan.header.flags);
    let (port, protocol) = (host.port.to_be_bytes(), host.protocol);
    let mut reader = Reader { place, bank, flags, len, port, protocol };
    // SAFETY: a claimed slot; the callback takes a `Reader`, which outlives the call.
    unsafe {
        (*place).scan.whole = hash_start(HASH_SECRET.load(), Space::Host);
        suffixes(&reader, 0);
        bpf_loop(len, back_byte as *mut c_void, (&raw mut reader).cast(), 0);
    }
    suffixes(&reader, len);
}

/// The `index`th byte from the end.
extern "C" fn back_byte(index: u32, reader: *mut Reader) -> i64 {
    // SAFETY: `bpf_loop` passes the `Reader` that it was given, whose parts lie in a claimed slot.
    unsafe {
        let reader = &*reader;
        let byte = (*reader.place).path.0[(MASK.wrapping_sub(index) & MASK) as usize];
        // A dot that is the first byte has nothing before it that could be below.
        if byte == b'.' && index + 1 < reader.len {
            suffixes(reader, index);
        }
        let scan = &mut (*reader.place).scan;
        scan.whole = hash_step(scan.whole, HASH_SECRET.load(), byte);
    }
    0
}

/// So many bytes from the end are a name that rules may have, at up to four places of it.
#[inline(never)]
fn suffixes(reader: &Reader, read: u32) {
    let Reader { flags, port, protocol, .. } = *reader;
    if flags & header_flag::HOST_PROTOCOL_PORT != 0 {
        suffix(reader, read, port, protocol);
    }
    if flags & header_flag::HOST_PROTOCOL != 0 {
        suffix(reader, read, [0; 2], protocol);
    }
    if flags & header_flag::HOST_PORT != 0 {
        suffix(reader, read, port, 0);
    }
    if flags & header_flag::HOST != 0 {
        suffix(reader, read, [0; 2], 0);
    }
}

#[inline(never)]
fn suffix(reader: &Reader, read: u32, port: [u8; 2], protocol: u8) {
    let secret = HASH_SECRET.load();
    // SAFETY: a claimed slot.
    let mut hash = unsafe { (*reader.place).scan.whole };
    for byte in [protocol, port[0], port[1]] {
        hash = hash_step(hash, secret, byte);
    }
    let key = LiteralKey { hash, len: read + HOST_SUFFIX, bank: reader.bank };
    // SAFETY: user space writes only to the bank that is not in force; the value is copied at once.
    let literal: Option<Literal> = unsafe { maps::LITERALS.get(key) }.copied();
    if let Some(literal) = literal {
        let class = if read == reader.len { literal.exact } else { literal.below };
        classify::add(reader.bank, class, classify::bits(reader.place));
    }
}
