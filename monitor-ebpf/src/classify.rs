//! Which lists is this object in? Look-ups whose number depends on the length of a path and not on the
//! number of rules. Each finds a class at most, and the bits of all of them are added together.

use core::ffi::c_void;

use aya_ebpf::{Global, btf_maps::lpm_trie::Key, helpers::bpf_loop};
use monitor_common::{
    counter::Miss,
    plan::{
        AUTOMATA, AUX_WORDS, Automaton, BACKWARD, Bits, CELLS, CLASSES, FORWARD, Header, LabelKey,
        Literal, LiteralKey, RANGE_LEAD_BITS, RULE_WORDS, Range, STATES, Space, UserKey,
        hash_start, hash_step, header_flag, literal_flag, row,
    },
    process::exec_flag,
};

use crate::{
    field::{self, Address},
    lifecycle::identity,
    maps,
    miss::{self, Missed},
    scratch::{PATH_BUFFER, PathBuffer, zero},
};

/// Drawn by the daemon: see [`hash_start`].
#[unsafe(no_mangle)]
pub(crate) static HASH_SECRET: Global<u64> = Global::new(0);

const END: u32 = PATH_BUFFER as u32;
const MASK: u32 = END - 1;

/// The plan in force, for the length of one hook.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) bank: u32,
    pub(crate) header: &'static Header,
}

impl Plan {
    /// Not 0 where acts that hit no rule are recorded as well. A number, to be added to what is compared
    /// anyway: with a branch of its own the verifier would follow all that comes after twice.
    #[inline(always)]
    pub(crate) fn watches(&self) -> u64 {
        u64::from(self.header.flags & header_flag::WATCH)
    }
}

/// The plan in force, if there is any.
#[inline(always)]
pub(crate) fn plan() -> Missed<Plan> {
    plan_in(*maps::ACTIVE.get(0).ok_or(Miss::NoPlan)?)
}

/// The plan in force, for an act of a session: that there is none is counted.
#[inline(always)]
pub(crate) fn in_force() -> Option<Plan> {
    plan().inspect_err(|why| miss::note(*why)).ok()
}

/// The plan in a bank that was in force a moment ago: that there is none is counted.
#[inline(always)]
pub(crate) fn in_bank(bank: u32) -> Option<Plan> {
    plan_in(bank).inspect_err(|why| miss::note(*why)).ok()
}

/// The plan in a bank.
#[inline(always)]
pub(crate) fn plan_in(bank: u32) -> Missed<Plan> {
    let header = maps::PLANS.get(bank).ok_or(Miss::NoPlan)?;
    if header.serial == 0 {
        return Err(Miss::NoPlan);
    }
    Ok(Plan { bank, header })
}

/// A path being read, byte by byte, from its first to its last: everything that is wanted of it is
/// gathered on the one way.
///
/// It lies in the scratch and not on the stack for the verifier's sake, which follows every value on a
/// stack and none in a map: here the state after a byte is no new state to it.
#[repr(C)]
pub(crate) struct Scan {
    /// Hash from the first byte on; of the name of a host from the last one on.
    pub(crate) whole: u64,
    /// Hash from the home directory on, while there is one.
    rest: u64,
    /// Hash of the last component.
    name: u64,
    /// Hash from the last dot of the last component on.
    suffix: u64,
    /// Byte after the outermost home directory, 0 for none yet.
    home: u32,
    /// Not 0 where the next slash ends a home directory.
    home_next: u32,
    /// The last slash.
    slash: u32,
    /// The last dot of the last component, 0 for none.
    dot: u32,
    /// State of the forward automaton over the whole path.
    state: u32,
    /// The same from the home directory on.
    home_state: u32,
    /// The bank of the plan.
    bank: u32,
    /// `log2` of the byte classes of the automaton.
    shift: u32,
    /// The first byte.
    from: u32,
}

/// What does not change while a path is read.
#[repr(C)]
struct Reader {
    place: *mut Place,
    automaton: *const Automaton,
}

/// Where a path is, and what is found out about it.
#[repr(C)]
pub(crate) struct Place {
    pub(crate) scan: Scan,
    /// The lists that it is in.
    pub(crate) bits: Bits,
    pub(crate) path: PathBuffer,
}

/// Nothing has been found out about a place yet.
#[inline(always)]
pub(crate) fn clear(place: *mut Place) {
    // SAFETY: in a claimed slot; here and below.
    unsafe { none(&raw mut (*place).bits) };
}

/// In no list.
#[inline(always)]
pub(crate) fn none(bits: *mut Bits) {
    // SAFETY: in a claimed slot.
    unsafe {
        zero(&raw mut (*bits).rules);
        zero(&raw mut (*bits).aux);
    }
}

/// Where its path goes.
#[inline(always)]
pub(crate) fn buffer(place: *mut Place) -> *mut PathBuffer {
    unsafe { &raw mut (*place).path }
}

/// Where the lists go that it is in.
#[inline(always)]
pub(crate) fn bits(place: *mut Place) -> *mut Bits {
    unsafe { &raw mut (*place).bits }
}

/// Adds the bits of every list that the path in the buffer, from `start`, is in.
///
/// The parts are functions of their own because a program has 512 bytes of stack for all its calls.
#[inline(always)]
pub(crate) fn path(plan: &Plan, at: *mut Place, start: u32, space: Space) {
    // Nothing comes back: what is missed is counted where it is.
    let _nothing = classify_path(plan.bank, at, start, space as u32);
}

/// The same as a global function ([`crate`]).
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn classify_path(bank: u32, at: *mut Place, start: u32, space: u32) -> u32 {
    if at.is_null() {
        return 0;
    }
    let Some(plan) = in_bank(bank) else { return 0 };
    let space = if space == Space::Cgroup as u32 { Space::Cgroup } else { Space::Absolute };
    forward(&plan, at, start, space);
    if plan.header.flags & header_flag::BACKWARD != 0 && matches!(space, Space::Absolute) {
        backward(&plan, at, start);
    }
    0
}

#[inline(always)]
fn forward(plan: &Plan, at: *mut Place, start: u32, space: Space) {
    let Some(automaton) = maps::AUTOMATA.get(row(plan.bank, AUTOMATA, FORWARD)) else {
        return miss::note(Miss::NoPlan);
    };
    let shift = u32::from(plan.header.shifts[FORWARD as usize]) & 15;
    let mut state = 0;
    if plan.header.flags & header_flag::FORWARD != 0 {
        state = automaton.start;
        if matches!(space, Space::Cgroup) {
            state = next(automaton, state, shift, b'@');
        }
    }
    let mut reader = Reader { place: at, automaton };
    // SAFETY: a claimed slot.
    unsafe {
        // Field by field: the whole at once would be put together on the stack first.
        let scan = &raw mut (*at).scan;
        (*scan).whole = hash_start(HASH_SECRET.load(), space);
        (*scan).home = 0;
        (*scan).home_next = 0;
        (*scan).slash = start;
        (*scan).dot = 0;
        (*scan).state = state;
        (*scan).home_state = 0;
        (*scan).bank = plan.bank;
        (*scan).shift = shift;
        (*scan).from = start;
        // The callback takes a `Reader`, which outlives the call.
        bpf_loop(END - start, scan_byte as *mut c_void, (&raw mut reader).cast(), 0);
    }
    finish(&reader, plan.header.flags);
}

/// One byte, the `index`th. The loop takes bytes singly: a longer step would be verified once for every
/// way to leave it.
extern "C" fn scan_byte(index: u32, reader: *mut Reader) -> i64 {
    // SAFETY: `bpf_loop` passes the `Reader` that it was given, whose parts lie in a claimed slot and a
    // live map value.
    let (reader, place, automaton) =
        unsafe { (&*reader, &mut *(*reader).place, &*(*reader).automaton) };
    let scan = &mut place.scan;
    let at = scan.from + index;
    let secret = HASH_SECRET.load();
    let byte = place.path.0[(at & MASK) as usize];
    if byte == b'/' {
        component_ends(reader, at);
        scan.slash = at;
        scan.dot = 0;
        scan.name = hash_start(secret, Space::Name);
    } else {
        scan.name = hash_step(scan.name, secret, byte);
        if byte == b'.' {
            scan.dot = at;
            scan.suffix = hash_start(secret, Space::Suffix);
        }
        scan.suffix = hash_step(scan.suffix, secret, byte);
    }
    scan.whole = hash_step(scan.whole, secret, byte);
    if scan.home != 0 {
        scan.rest = hash_step(scan.rest, secret, byte);
    }
    if scan.state != 0 {
        scan.state = step(reader, automaton, scan.state, byte);
    }
    if scan.home_state != 0 {
        scan.home_state = step(reader, automaton, scan.home_state, byte);
    }
    0
}

/// At a slash: everything before it is a directory that the object is below.
#[inline(never)]
fn component_ends(reader: &Reader, at: u32) {
    // SAFETY: a claimed slot, and a live map value.
    let (scan, automaton) = unsafe { (&mut (*reader.place).scan, &*reader.automaton) };
    if at == scan.from {
        return; // the root: what is below it is everything
    }
    if scan.home != 0
        && at != scan.home
        && let Some(literal) = literal(scan, scan.rest, scan.home, at)
    {
        add(scan.bank, literal.below, bits(reader.place));
    }
    let mut is_home = scan.home_next;
    scan.home_next = 0;
    if let Some(literal) = literal(scan, scan.whole, scan.from, at) {
        add(scan.bank, literal.below, bits(reader.place));
        is_home |= literal.flags & literal_flag::HOME;
        scan.home_next = literal.flags & literal_flag::HOMES;
    }
    if is_home != 0 && scan.home == 0 {
        scan.home = at;
        scan.rest = hash_start(HASH_SECRET.load(), Space::Home);
        if scan.shift != 0 {
            scan.home_state = next(automaton, automaton.start, scan.shift, b'~');
        }
    }
}

/// Behind the last byte: the object itself.
#[inline(never)]
fn finish(reader: &Reader, flags: u32) {
    // SAFETY: as in `component_ends`.
    let (scan, automaton) = unsafe { (&(*reader.place).scan, &*reader.automaton) };
    exact(reader, scan.whole, scan.from);
    if scan.home != 0 {
        exact(reader, scan.rest, scan.home);
    }
    if flags & header_flag::NAMES != 0 {
        exact(reader, scan.name, scan.slash + 1);
    }
    if flags & header_flag::SUFFIXES != 0 && scan.dot != 0 {
        exact(reader, scan.suffix, scan.dot);
    }
    // A path cannot hold NUL: it closes what must match to the end.
    if scan.state != 0 {
        step(reader, automaton, scan.state, 0);
    }
    if scan.home_state != 0 {
        step(reader, automaton, scan.home_state, 0);
    }
}

#[inline(never)]
fn exact(reader: &Reader, hash: u64, from: u32) {
    // SAFETY: as in `component_ends`.
    let scan = unsafe { &(*reader.place).scan };
    if let Some(literal) = literal(scan, hash, from, END) {
        add(scan.bank, literal.exact, bits(reader.place));
    }
}

#[inline(always)]
fn literal(scan: &Scan, hash: u64, from: u32, to: u32) -> Option<Literal> {
    let key = LiteralKey { hash, len: to - from, bank: scan.bank };
    // SAFETY: user space writes only to the bank that is not in force; the value is copied at once.
    unsafe { maps::LITERALS.get(key) }.copied()
}

/// Adds the bits of a class.
#[inline(always)]
pub(crate) fn add(bank: u32, class: u32, bits: *mut Bits) {
    let _nothing = add_class(bank, class, bits);
}

/// The same as a global function.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn add_class(bank: u32, class: u32, bits: *mut Bits) -> u32 {
    if class == 0 || bits.is_null() {
        return 0;
    }
    let Some(class) = maps::CLASSES.get(row(bank, CLASSES, class)) else {
        miss::note(Miss::NoPlan);
        return 0;
    };
    // SAFETY: `bits` lies in a claimed scratch slot.
    unsafe {
        for word in 0..RULE_WORDS {
            (*bits).rules[word] |= class.rules[word];
        }
        for word in 0..AUX_WORDS {
            (*bits).aux[word] |= class.aux[word];
        }
    }
    0
}

/// The state behind a byte.
#[inline(always)]
pub(crate) fn next(automaton: &Automaton, state: u32, shift: u32, byte: u8) -> u32 {
    let class = u32::from(automaton.classes[byte as usize]);
    let cell = ((state << (shift & 15)) + class) as usize & (CELLS - 1);
    u32::from(automaton.cells[cell])
}

/// A step of an automaton: the state behind a byte, whose class is added.
#[inline(always)]
fn step(reader: &Reader, automaton: &Automaton, state: u32, byte: u8) -> u32 {
    // SAFETY: as in `component_ends`.
    let (bank, shift) = unsafe { ((*reader.place).scan.bank, (*reader.place).scan.shift) };
    let state = next(automaton, state, shift, byte);
    let class = automaton.accept[state as usize & (STATES - 1)];
    if class != 0 {
        add(bank, u32::from(class), bits(reader.place));
    }
    state
}

#[inline(always)]
fn backward(plan: &Plan, at: *mut Place, start: u32) {
    let Some(automaton) = maps::AUTOMATA.get(row(plan.bank, AUTOMATA, BACKWARD)) else {
        return miss::note(Miss::NoPlan);
    };
    let shift = u32::from(plan.header.shifts[BACKWARD as usize]) & 15;
    let mut reader = Reader { place: at, automaton };
    // SAFETY: a claimed slot; the callback takes a `Reader`, which outlives the call.
    unsafe {
        (*at).scan.state = automaton.start;
        (*at).scan.shift = shift;
        bpf_loop(END - start, back_byte as *mut c_void, (&raw mut reader).cast(), 0);
    }
}

/// The `index`th byte from the end.
extern "C" fn back_byte(index: u32, reader: *mut Reader) -> i64 {
    // SAFETY: as in `scan_byte`.
    unsafe {
        let (reader, place) = (&*reader, &mut *(*reader).place);
        let byte = place.path.0[(MASK.wrapping_sub(index) & MASK) as usize];
        let state = step(reader, &*reader.automaton, place.scan.state, byte);
        place.scan.state = state;
        i64::from(state == 0)
    }
}

/// Adds the bits of the lists that a file was in under the name that it had when the plan was made.
/// Those of rules that its name now is not in go into `labelled`, which is all zero before.
#[inline(always)]
pub(crate) fn label(
    plan: &Plan,
    bits: *mut Bits,
    labelled: *mut [u64; RULE_WORDS],
    inode: Address,
) {
    let _nothing = classify_inode(plan.bank, bits, labelled, inode);
}

/// The same as a global function.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn classify_inode(
    bank: u32,
    bits: *mut Bits,
    labelled: *mut [u64; RULE_WORDS],
    inode: Address,
) -> u32 {
    if bits.is_null() || labelled.is_null() {
        return 0; // never
    }
    let (device, number) = identity(inode);
    let generation = match field::read::<u32>(inode, &field::INODE_GENERATION) {
        Ok(generation) => generation,
        Err(why) => {
            miss::note(why);
            return 0;
        }
    };
    let key = LabelKey { inode: number, device, generation, bank, reserved: 0 };
    // SAFETY: as in `literal`; the two lie in a claimed slot.
    unsafe {
        let Some(class) = maps::LABELS.get(key) else { return 0 };
        for word in 0..RULE_WORDS {
            (*labelled)[word] = !(*bits).rules[word];
        }
        add(bank, *class, bits);
        for word in 0..RULE_WORDS {
            (*labelled)[word] &= (*bits).rules[word];
        }
    }
    0
}

/// Adds the bits of every list that a peer is in.
#[inline(always)]
pub(crate) fn peer(plan: &Plan, bits: *mut Bits, address: &[u8; 16], port: u16, protocol: u8) {
    let flags = plan.header.flags;
    let port = port.to_be_bytes();
    if flags & header_flag::PROTOCOL_PORT != 0 {
        range(plan.bank, bits, address, port, protocol);
    }
    if flags & header_flag::PROTOCOL != 0 {
        range(plan.bank, bits, address, [0; 2], protocol);
    }
    if flags & header_flag::PORT != 0 {
        range(plan.bank, bits, address, port, 0);
    }
    if flags & header_flag::ADDRESS != 0 {
        range(plan.bank, bits, address, [0; 2], 0);
    }
}

#[inline(never)]
fn range(bank: u32, bits: *mut Bits, address: &[u8; 16], port: [u8; 2], protocol: u8) {
    let range = Range { bank: bank as u8, protocol, port, address: *address };
    if let Some(class) = maps::RANGES.get(&Key::new(RANGE_LEAD_BITS + 128, range)) {
        add(bank, *class, bits);
    }
}

/// Adds the bits of the lists that name what is special about a program.
#[inline(always)]
pub(crate) fn traits(plan: &Plan, bits: *mut Bits, traits: u32) {
    for (place, flag) in exec_flag::TRAITS.into_iter().enumerate() {
        if traits & flag != 0 {
            add(plan.bank, plan.header.traits[place], bits);
        }
    }
}

/// Adds the bits of the lists that name a right, whose class this is.
#[inline(always)]
pub(crate) fn privilege(plan: &Plan, bits: *mut Bits, class: u32) {
    add(plan.bank, class, bits);
}

/// Adds the bits of the signs that a user is.
#[inline(always)]
pub(crate) fn user(plan: &Plan, bits: *mut Bits, uid: u32) {
    // SAFETY: as in `literal`.
    if let Some(class) = unsafe { maps::USERS.get(UserKey { uid, bank: plan.bank }) } {
        add(plan.bank, *class, bits);
    }
}
