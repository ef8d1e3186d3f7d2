//! What is to be done? From the lists that an object is in to the verdict of the strongest rule, and
//! the signal of a kill.
//!
//! **Open or closed.** A task of no session is let through, always. For a task of a session an object
//! that cannot be known counts as being in every `never` list, in no `only` list and in no exception:
//! the rules that could forbid it do. A missing plan or a missing row lets the act through and counts.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_loop, bpf_send_signal};
use monitor_common::{
    Act, Verdict,
    counter::Miss,
    plan::{
        ANY_EXE, AUX_ROWS, AUX_WORDS, Aux, Bits, MASK_ROWS, Mask, RULE_ROWS, RULE_WORDS, Space,
        USES, USES_WORDS, mask_row, row,
    },
    record::{Decision, NO_RULE},
    tag::{NO_AGENT, Tag},
};

use crate::{
    atomic,
    classify::{self, Plan},
    field::{self, Address},
    maps,
    miss::{self, Missed},
    path,
    scratch::{self, Scratch},
    task,
};

const SIGKILL: u32 = 9;

/// Puts the rules that hold for the agents of a tag and an act into a slot. They lie there and not on the stack, which
/// is short, and where the verifier would follow each.
#[inline(always)]
pub(crate) fn hold(plan: &Plan, tag: &Tag, act: Act, into: *mut Mask) {
    // SAFETY: in a claimed slot, or a caller's own; here and below.
    let holding = unsafe { &mut *into };
    scratch::zero(&raw mut holding.rules);
    for agent in tag.agents {
        if agent == NO_AGENT {
            break;
        }
        let Some(mask) = maps::MASKS.get(row(plan.bank, MASK_ROWS, mask_row(agent, act))) else {
            miss::note(Miss::NoPlan);
            continue;
        };
        for word in 0..RULE_WORDS {
            holding.rules[word] |= mask.rules[word];
        }
    }
}

/// Of the rules that hold, those that can be judged by an address alone; with `named` 1, all of them. Without a
/// branch: the verifier would follow both ways.
#[inline(always)]
pub(crate) fn by_address(plan: &Plan, holding: *mut Mask, named: u64) {
    for word in 0..RULE_WORDS {
        unsafe { (*holding).rules[word] &= !(plan.header.named[word] & named.wrapping_sub(1)) };
    }
}

/// Leaves out the rules that name what is permitted.
#[inline(always)]
pub(crate) fn without_only(plan: &Plan, holding: *mut Mask) {
    for word in 0..RULE_WORDS {
        unsafe { (*holding).rules[word] &= !plan.header.only[word] };
    }
}

/// Leaves out the rules that look at arguments.
#[inline(always)]
pub(crate) fn without_late(plan: &Plan, holding: *mut Mask) {
    for word in 0..RULE_WORDS {
        unsafe { (*holding).rules[word] &= !plan.header.late[word] };
    }
}

/// Leaves out all of them if a number is 0. Without a branch, as in [`by_address`].
#[inline(always)]
pub(crate) fn only_if(holding: *mut Mask, number: u32) {
    let number = u64::from(number);
    let keep = ((number | number.wrapping_neg()) as i64 >> 63) as u64;
    for word in 0..RULE_WORDS {
        unsafe { (*holding).rules[word] &= keep };
    }
}

/// 0 where no rule holds at all: then the object need not be looked at.
#[inline(always)]
pub(crate) fn any(holding: *const Mask) -> u64 {
    let mut any = 0;
    for word in 0..RULE_WORDS {
        any |= unsafe { (*holding).rules[word] };
    }
    any
}

/// Of the rules that hold, the strongest that the object in the scratch hits.
#[inline(always)]
pub(crate) fn of(plan: &Plan, holding: *const Mask, scratch: *mut Scratch, exe: Exe) -> Decision {
    let mut any = 0;
    let mut excepted = 0;
    // SAFETY: a claimed slot.
    unsafe {
        for word in 0..RULE_WORDS {
            let listed = (*scratch).object.bits.rules[word];
            let hit = (listed ^ plan.header.only[word]) & (*holding).rules[word];
            (*scratch).hit[word] = hit;
            any |= hit;
        }
        for word in 0..AUX_WORDS {
            let left = (*scratch).object.bits.aux[word] & plan.header.exceptions[word];
            (*scratch).exceptions[word] = left;
            excepted |= left;
        }
    }
    if any != 0 && excepted != 0 {
        let _nothing = except(plan.bank, scratch, exe.number());
    }
    // SAFETY: a claimed slot.
    strongest(plan, unsafe { &raw const (*scratch).hit }, 0)
}

/// The verdict on an object that could not be known.
#[inline(always)]
pub(crate) fn of_unknown(plan: &Plan, holding: *const Mask) -> Decision {
    strongest(plan, unsafe { &raw const (*holding).rules }, 1)
}

/// Of a program that is in place: it can be ended and not refused.
#[inline(always)]
pub(crate) fn late(plan: &Plan, decision: &mut Decision) {
    if let Some(rule) = maps::RULES.get(row(plan.bank, RULE_ROWS, decision.rule & (RULE_ROWS - 1)))
        && decision.rule != NO_RULE
    {
        decision.done = rule.late;
    }
}

/// What is done of an act of an agent that cannot be looked at, for want of a slot: it is told of by a count alone.
#[inline(never)]
pub(crate) fn unseen(plan: &Plan, tag: &Tag, act: Act) -> u8 {
    let mut holding = Mask::default();
    hold(plan, tag, act, &raw mut holding);
    by_address(plan, &raw mut holding, 0);
    carry_out(&of_unknown(plan, &raw const holding))
}

/// The object is in the list of an exception, and an exception may ask for the executable. A global function
/// ([`crate`]).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn except(bank: u32, scratch: *mut Scratch, exe: u32) -> u32 {
    let Some(plan) = classify::in_bank(bank) else { return 0 };
    if scratch.is_null() {
        return 0; // never
    }
    // SAFETY: a claimed slot.
    unsafe {
        // Who only asks uses nothing, nor does a session that is watched and not stopped.
        let acts = exe == Exe::OF_CURRENT;
        (*scratch).spends = u64::from(acts & (plan.watches() == 0));
        (*scratch).paid = [0; USES_WORDS];
    }
    classify_exe(&plan, scratch, exe);
    let mut lifting = Lifting { scratch, bank };
    // SAFETY: the callback takes a `Lifting`, which outlives the call.
    unsafe { bpf_loop(AUX_ROWS, lift_one as *mut c_void, (&raw mut lifting).cast(), 0) };
    0
}

#[repr(C)]
struct Lifting {
    scratch: *mut Scratch,
    bank: u32,
}

/// Takes one of the exceptions and clears the rule that it lifts.
extern "C" fn lift_one(_step: u32, lifting: *mut Lifting) -> i64 {
    // SAFETY: `bpf_loop` passes the `Lifting` that it was given, with a claimed slot.
    let (scratch, bank) = unsafe { (&mut *(*lifting).scratch, (*lifting).bank) };
    for word in 0..AUX_WORDS {
        let left = scratch.exceptions[word];
        if left == 0 {
            continue;
        }
        scratch.exceptions[word] = left & (left - 1);
        let number = word as u32 * 64 + left.trailing_zeros();
        let Some(aux) = maps::AUX.get(row(bank, AUX_ROWS, number)) else { return 0 };
        if aux.exe == ANY_EXE || has_aux(&scratch.executable.bits, aux.exe) {
            let rule = usize::from(aux.rule);
            if aux.uses == 0 || decides(&scratch.hit, rule) && use_once(scratch, aux) {
                scratch.hit[(rule / 64) & (RULE_WORDS - 1)] &= !(1 << (rule % 64));
            }
        }
        return 0;
    }
    1
}

/// Whether a rule is hit and, of those that have not been lifted, the strongest. Exceptions come in the order of
/// the rules that they lift, so nothing that is lifted later is stronger.
#[inline(always)]
fn decides(hit: &[u64; RULE_WORDS], rule: usize) -> bool {
    let (mut stronger, place) = (0, rule / 64);
    for word in 0..RULE_WORDS {
        // All bits of the words before, those below the rule's in its own.
        let below = if word < place { u64::MAX } else { 0 };
        let own = if word == place { (1 << (rule % 64)) - 1 } else { 0 };
        stronger |= hit[word] & (below | own);
    }
    let own = hit[place & (RULE_WORDS - 1)] >> (rule % 64) & 1;
    stronger == 0 && own != 0
}

/// Takes a use of a grant, one for an act however many rules it lifts; `false` where none is left.
///
/// What was added beyond the limit is taken off again, so that the count says how often the grant was used, and a
/// higher limit later means what it says.
#[inline(always)]
fn use_once(scratch: &mut Scratch, aux: &Aux) -> bool {
    let slot = u32::from(aux.slot) & (USES - 1);
    let (word, bit) = ((slot / 64) as usize & (USES_WORDS - 1), 1 << (slot % 64));
    if scratch.spends == 0 || scratch.paid[word] & bit != 0 {
        return true;
    }
    let Some(count) = maps::USES.get_ptr_mut(slot) else {
        miss::note(Miss::NoPlan);
        return false;
    };
    let limit = u64::from(aux.uses);
    // SAFETY: a map value; another CPU may add to it, of which an old count is one that was true a moment ago.
    let used = unsafe { count.read_volatile() };
    // SAFETY: as above.
    if used >= limit || unsafe { atomic::fetch_add(count, 1) } >= limit {
        if used < limit {
            // SAFETY: as above.
            unsafe { atomic::fetch_add(count, u64::MAX) };
        }
        return false;
    }
    scratch.paid[word] |= bit;
    true
}

#[inline(always)]
fn has_aux(bits: &Bits, aux: u16) -> bool {
    let word = (usize::from(aux) / 64) & (AUX_WORDS - 1);
    bits.aux[word] >> (aux % 64) & 1 != 0
}

/// Who acts, where an exception asks for the executable.
#[derive(Clone, Copy)]
pub(crate) enum Exe {
    /// The current process.
    OfCurrent,
    /// Its path is in its place in the scratch, from this byte on.
    At(u32),
    /// It is not known.
    Unknown,
}

impl Exe {
    const OF_CURRENT: u32 = u32::MAX;
    const UNKNOWN: u32 = u32::MAX - 1;

    /// As a number, which is where it begins or one that no path begins at.
    #[inline(always)]
    const fn number(self) -> u32 {
        match self {
            Self::OfCurrent => Self::OF_CURRENT,
            Self::At(start) => start,
            Self::Unknown => Self::UNKNOWN,
        }
    }
}

/// The executable of a task that is not the current one, put into its place in the scratch.
#[inline(always)]
pub(crate) fn exe_of(scratch: *mut Scratch, task: *const u8) -> Exe {
    match exe_path(scratch, task) {
        Ok(start) => Exe::At(start),
        Err(why) => {
            miss::note(why);
            Exe::Unknown
        }
    }
}

/// Where its path begins.
#[inline(always)]
fn exe_path(scratch: *mut Scratch, task: *const u8) -> Missed<u32> {
    let mm: Address = field::read(task as Address, &field::TASK_MM)?;
    let file: Address = field::read(mm, &field::MM_EXE_FILE)?;
    let buffer = classify::buffer(scratch::executable(scratch));
    path::of(buffer, field::within(file, &field::FILE_PATH))
}

/// Nothing is done where nobody acts: what would have been is told.
#[inline(always)]
pub(crate) fn only_told(decision: &mut Decision) {
    if decision.done > Verdict::Alert as u8 {
        decision.done = Verdict::Alert as u8;
    }
}

/// The lists that the executable is in.
#[inline(always)]
fn classify_exe(plan: &Plan, scratch: *mut Scratch, exe: u32) {
    let place = scratch::executable(scratch);
    classify::clear(place);
    let start = match exe {
        Exe::OF_CURRENT => exe_path(scratch, task::current()),
        Exe::UNKNOWN => return,
        start => Ok(start),
    };
    match start {
        Ok(start) => classify::path(plan, place, start, Space::Absolute),
        Err(why) => miss::note(why),
    }
}

/// Rules are numbered strongest first: the lowest bit is the winner.
#[inline(always)]
fn strongest(plan: &Plan, hit: *const [u64; RULE_WORDS], unknown: u8) -> Decision {
    let mut decision =
        Decision { rule: NO_RULE, done: Verdict::Allow as u8, unknown, by_label: 0, reserved: 0 };
    for word in 0..RULE_WORDS {
        // SAFETY: in a claimed slot, or a caller's own.
        let hit = unsafe { (*hit)[word] };
        if hit == 0 {
            continue;
        }
        let rule = word as u32 * 64 + hit.trailing_zeros();
        match maps::RULES.get(row(plan.bank, RULE_ROWS, rule)) {
            Some(row) => {
                decision.rule = rule;
                decision.done = row.done;
            }
            None => miss::note(Miss::NoPlan),
        }
        break;
    }
    decision
}

/// Whether an act of which this is done must not happen.
#[inline(always)]
pub(crate) const fn refuses(done: u8) -> bool {
    done >= Verdict::Deny as u8
}

/// Sends the signal where the verdict is kill: the process runs no further instruction of its own. Returns what
/// is done, for whoever can refuse the act as well.
#[inline(always)]
pub(crate) fn carry_out(decision: &Decision) -> u8 {
    if decision.done == Verdict::Kill as u8 {
        // SAFETY: a helper on plain numbers. It signals the current thread group.
        let failed = unsafe { bpf_send_signal(SIGKILL) };
        if failed != 0 {
            miss::note(Miss::SignalNotSent);
        }
    }
    decision.done
}

/// Runs `with` on a claimed slot, or `without` where there is none: then the object is unknown.
#[inline(always)]
pub(crate) fn with_scratch<T>(
    without: impl FnOnce() -> T,
    with: impl FnOnce(*mut Scratch) -> T,
) -> T {
    match scratch::claim() {
        Ok(scratch) => {
            let outcome = with(scratch);
            scratch::release(scratch);
            outcome
        }
        Err(why) => {
            miss::note(why);
            without()
        }
    }
}
