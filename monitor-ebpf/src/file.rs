//! Opens: read and write, judged by the file that was opened.
//!
//! On the prevent tier that is in the open ([`crate::prevent`]), which fails where it is refused. On the react tier it
//! is at the exit of the system calls of the open family ([`crate::syscall`]): the file is taken from the descriptor
//! that the call returns, never from the name that was passed, and what is refused there is refused by ending the
//! process before it can use the descriptor.

use monitor_common::{
    Act, Verdict,
    counter::Miss,
    file::{File, Origin},
    plan::{Mask, RULE_WORDS, Space, header_flag},
    record::{Decision, Kind},
    tag::Tag,
};

use crate::{
    classify::{self, Place, Plan},
    emit::{self, Draft},
    field::{self, Address},
    layer,
    lifecycle::identity,
    miss::{self, Missed},
    path,
    scratch::{self, PATH_BUFFER, Scratch},
    task, traits,
    verdict::{self, Exe},
};

/// `FMODE_READ`, include/linux/fs.h.
const MODE_READ: u32 = 1;
/// `FMODE_WRITE`, include/linux/fs.h.
const MODE_WRITE: u32 = 2;
const BOTH: u32 = MODE_READ | MODE_WRITE;
/// `FMODE_BACKING`, the same: the file of a layer behind one that was opened. It lies on a mount that nobody sees.
const MODE_BACKING: u32 = 1 << 25;

/// A file that could not be found. A number: the verifier would follow every error on its own.
pub(crate) const UNKNOWN: Address = 0;

/// Judges what is behind a descriptor of a task.
#[inline(always)]
pub(crate) fn opened(tag: &Tag, task: Address, descriptor: u32, origin: Origin) {
    let file = of(task, descriptor).unwrap_or_else(|why| {
        miss::note(why);
        UNKNOWN
    });
    let _done = judge(tag, origin, file);
}

/// Judges an open whose file cannot be found: both acts, and unknown.
#[inline(always)]
pub(crate) fn opened_unknown(tag: &Tag, origin: Origin, why: Miss) {
    miss::note(why);
    let _done = judge(tag, origin, UNKNOWN);
}

/// Judges an open file; returns what is done.
#[inline(never)]
pub(crate) fn judge(tag: &Tag, origin: Origin, file: Address) -> u8 {
    judge_here(tag, origin, file)
}

/// The same without a call: there can be eight, one within the other.
#[inline(always)]
pub(crate) fn judge_here(tag: &Tag, origin: Origin, file: Address) -> u8 {
    let Some(plan) = classify::in_force() else { return Verdict::Allow as u8 };
    let plan = &plan;
    // Not `with_scratch`: what it is given to do would become a function of its own.
    let scratch = match scratch::claim() {
        Ok(scratch) => scratch,
        Err(why) => {
            miss::note(why);
            let read = verdict::unseen(plan, tag, Act::Read);
            return read.max(verdict::unseen(plan, tag, Act::Write));
        }
    };
    // SAFETY: a claimed slot.
    unsafe {
        (*scratch).mode = mode(file);
        (*scratch).origin = origin as u32;
    }
    let done = Open { plan, tag, file }.settle(scratch);
    scratch::release(scratch);
    done
}

/// Tells of a file that a task holds which is not the current one. Nothing is carried out.
#[inline(never)]
pub(crate) fn held(tag: &Tag, task: *const u8, file: Address) {
    let Some(plan) = classify::in_force() else { return };
    let tell = |scratch: *mut Scratch| {
        // SAFETY: a claimed slot.
        unsafe {
            (*scratch).mode = mode(file);
            (*scratch).origin = Origin::Held as u32;
        }
        let open = Open { plan: &plan, tag, file };
        if open.holding(scratch) != 0 {
            let exe = verdict::exe_of(scratch, task);
            let start = open.look(scratch);
            for act in [Act::Read, Act::Write] {
                open.tell(scratch, act, start, task, exe);
            }
        }
    };
    verdict::with_scratch(|| {}, tell);
}

/// What a file was opened for; for everything, where that is not known.
#[inline(always)]
fn mode(file: Address) -> u32 {
    let mode = if file == UNKNOWN { Ok(BOTH) } else { field::read::<u32>(file, &field::FILE_MODE) };
    mode.unwrap_or_else(|why| {
        miss::note(why);
        BOTH
    })
}

/// `task->files->fdt->fd[descriptor]`
#[inline(always)]
pub(crate) fn of(task: Address, descriptor: u32) -> Missed<Address> {
    let files: Address = field::read(task, &field::TASK_FILES)?;
    let table: Address = field::read(files, &field::FILES_FDT)?;
    let length: u32 = field::read(table, &field::FDT_MAX_FDS)?;
    if descriptor >= length {
        return Err(Miss::ObjectUnreadable);
    }
    match slot(field::read(table, &field::FDT_FD)?, descriptor)? {
        0 => Err(Miss::ObjectUnreadable),
        file => Ok(file),
    }
}

/// What is behind a descriptor of a table, 0 for nothing.
#[inline(always)]
pub(crate) fn slot(slots: Address, descriptor: u32) -> Missed<Address> {
    field::at(slots + u64::from(descriptor) * 8)
}

/// A file may be one that a rule names, under another name, or beneath another file.
#[inline(always)]
pub(crate) fn label(plan: &Plan, scratch: *mut Scratch, file: Address) {
    if plan.header.flags & header_flag::LABELS == 0 {
        return;
    }
    let mut layer = file;
    // As many as the kernel stacks (`FILESYSTEM_MAX_STACK_DEPTH`, include/linux/fs.h) and the one on top.
    for _ in 0..3 {
        label_of(plan, scratch, inode(layer));
        layer = layer::beneath(layer);
        if layer == 0 {
            return;
        }
    }
}

/// The same of an inode.
#[inline(always)]
pub(crate) fn label_of(plan: &Plan, scratch: *mut Scratch, inode: Address) {
    if plan.header.flags & header_flag::LABELS == 0 {
        return;
    }
    // SAFETY: a claimed slot.
    let (bits, labelled) =
        unsafe { (&raw mut (*scratch).object.bits, &raw mut (*scratch).labelled) };
    classify::label(plan, bits, labelled, inode);
}

/// 1 where the rule that decides names the file by its inode alone. Without a branch: the verifier would
/// follow all that comes after once more. Means nothing where no rule is hit.
#[inline(always)]
pub(crate) fn by_label(scratch: *mut Scratch, rule: u32) -> u8 {
    // SAFETY: a claimed slot; masked to the array.
    let word = unsafe { (*scratch).labelled[(rule as usize / 64) & (RULE_WORDS - 1)] };
    (word >> (rule % 64) & 1) as u8
}

/// Where a path begins that is `/` alone.
const ROOT: u32 = PATH_BUFFER as u32 - 1;
/// Where none does.
pub(crate) const NO_PATH: u32 = PATH_BUFFER as u32;

/// Whether the origin in a slot is this one. It may be any: the verifier would follow what comes after for each.
#[inline(always)]
pub(crate) fn is(scratch: *mut Scratch, origin: Origin) -> bool {
    // SAFETY: a claimed slot.
    unsafe { (&raw const (*scratch).origin).read_volatile() == origin as u32 }
}

/// Whether it is one of these, in one comparison.
#[inline(always)]
fn is_one_of(scratch: *mut Scratch, origins: &[Origin]) -> bool {
    let wanted = origins.iter().fold(0, |wanted: u64, origin| wanted | 1 << *origin as u32);
    // SAFETY: a claimed slot.
    let origin = unsafe { (&raw const (*scratch).origin).read_volatile() };
    wanted >> (origin & 63) & 1 != 0
}

/// The mode in a slot, as a number that may be any.
#[inline(always)]
fn mode_of(scratch: *mut Scratch) -> u32 {
    // SAFETY: a claimed slot.
    unsafe { (&raw const (*scratch).mode).read_volatile() }
}

/// Which rules of a slot are of an act: those of reading, then those of writing.
#[inline(always)]
pub(crate) fn holding_of(scratch: *mut Scratch, act: Act) -> *mut Mask {
    let place = usize::from(matches!(act, Act::Write));
    // SAFETY: a claimed slot.
    unsafe { &raw mut (*scratch).holding[place] }
}

/// One open.
struct Open<'a> {
    plan: &'a Plan,
    tag: &'a Tag,
    file: Address,
}

impl Open<'_> {
    /// A pipe or the like that was opened once more, by way of `/proc/PID/fd`: no file, and no name. Its path is
    /// the root of a file system that nobody mounted.
    #[inline(never)]
    fn is_nameless(&self) -> bool {
        let inode = field::read::<Address>(self.file, &field::FILE_INODE);
        inode.and_then(traits::is_kernels_own).unwrap_or_else(|why| {
            miss::note(why);
            false
        })
    }

    /// Puts the rules that hold into the slot, of reading and of writing; 0 where none does and nobody watches.
    #[inline(always)]
    fn holding(&self, scratch: *mut Scratch) -> u64 {
        let (reads, writes) = (holding_of(scratch, Act::Read), holding_of(scratch, Act::Write));
        verdict::hold(self.plan, self.tag, Act::Read, reads);
        verdict::hold(self.plan, self.tag, Act::Write, writes);
        let mode = mode_of(scratch);
        verdict::only_if(reads, mode & MODE_READ);
        verdict::only_if(writes, mode & MODE_WRITE);
        if mode & MODE_BACKING != 0 {
            // SAFETY: a claimed slot.
            unsafe { (*scratch).origin = Origin::Layer as u32 };
        }
        // What it is called there is no name that a rule permits, and what was there before nobody chose.
        if is_one_of(scratch, &[Origin::Layer, Origin::Inherited, Origin::Held]) {
            verdict::without_only(self.plan, reads);
            verdict::without_only(self.plan, writes);
        }
        verdict::any(reads) | verdict::any(writes) | self.plan.watches()
    }

    /// Both acts of one open; the stronger verdict is carried out, each that is hit is recorded.
    #[inline(always)]
    fn settle(&self, scratch: *mut Scratch) -> u8 {
        if self.holding(scratch) == 0 {
            return Verdict::Allow as u8;
        }
        let start = self.look(scratch);
        if start == ROOT && self.is_nameless() {
            return Verdict::Allow as u8;
        }
        // Of an act that the file was not opened for, nobody asks what comes of it.
        let mut done = Verdict::Allow as u8;
        if mode_of(scratch) & MODE_READ != 0 {
            done = self.act(scratch, Act::Read, start);
        }
        if mode_of(scratch) & MODE_WRITE != 0 {
            done = done.max(self.act(scratch, Act::Write, start));
        }
        done
    }

    /// Finds out what it is called, and which lists it is in; returns where the path begins.
    #[inline(always)]
    fn look(&self, scratch: *mut Scratch) -> u32 {
        let place = scratch::begin(scratch);
        let start = start(place, self.file);
        if start != NO_PATH {
            classify::path(self.plan, place, start, Space::Absolute);
            label(self.plan, scratch, self.file);
        }
        start
    }

    /// What another task than the current one could do with it.
    #[inline(always)]
    fn tell(&self, scratch: *mut Scratch, act: Act, start: u32, task: *const u8, exe: Exe) {
        let holding = holding_of(scratch, act);
        let mut decision = if start == NO_PATH {
            verdict::of_unknown(self.plan, holding)
        } else {
            verdict::of(self.plan, holding, scratch, exe)
        };
        verdict::only_told(&mut decision);
        if decision.done != Verdict::Allow as u8 {
            decision.by_label = by_label(scratch, decision.rule);
            let told = Told { act, decision, start };
            record_of(task, self.plan, self.tag, scratch, inode(self.file), &told);
        }
    }

    #[inline(always)]
    fn act(&self, scratch: *mut Scratch, act: Act, start: u32) -> u8 {
        let holding = holding_of(scratch, act);
        let mut decision = if start == NO_PATH {
            verdict::of_unknown(self.plan, holding)
        } else {
            verdict::of(self.plan, holding, scratch, Exe::OfCurrent)
        };
        // What was brought along is nobody's act, unless it is forbidden.
        let watches = if is(scratch, Origin::Inherited) { 0 } else { self.plan.watches() };
        if u64::from(decision.done) | watches == Verdict::Allow as u64 {
            return Verdict::Allow as u8;
        }
        let done = verdict::carry_out(&decision); // at once: another thread may be waiting for the descriptor
        decision.by_label = by_label(scratch, decision.rule);
        let told = Told { act, decision, start };
        record(self.plan, self.tag, scratch, inode(self.file), &told);
        done
    }
}

/// Where the path of a file begins, [`NO_PATH`] where it is not known.
#[inline(always)]
pub(crate) fn start(place: *mut Place, file: Address) -> u32 {
    if file == UNKNOWN {
        return NO_PATH; // noted where it was found out
    }
    let buffer = classify::buffer(place);
    path::of(buffer, field::within(file, &field::FILE_PATH)).unwrap_or_else(|why| {
        miss::note(why);
        NO_PATH
    })
}

/// The inode of a file, 0 where it cannot be read: the label is counted as missed then, and the record says so.
#[inline(always)]
pub(crate) fn inode(file: Address) -> Address {
    field::read(file, &field::FILE_INODE).unwrap_or(0)
}

/// What a record tells of a file.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Told {
    pub(crate) act: Act,
    pub(crate) decision: Decision,
    /// Where the path begins.
    pub(crate) start: u32,
}

/// Sends the record of a file: how it came about, and what is special about it, are in the slot.
#[inline(always)]
pub(crate) fn record(plan: &Plan, tag: &Tag, scratch: *mut Scratch, inode: Address, told: &Told) {
    // SAFETY: a claimed slot.
    unsafe {
        (*scratch).told = *told;
        (*scratch).serial = plan.header.serial;
    }
    let _nothing = record_file(tag, scratch, inode);
}

/// The same as a global function ([`crate`]): what is told is in the slot.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn record_file(tag: *const Tag, scratch: *mut Scratch, inode: Address) -> u32 {
    if scratch.is_null() {
        return 0; // never
    }
    // SAFETY: a tag, or nothing.
    let Some(tag) = (unsafe { tag.as_ref() }) else { return 0 };
    // SAFETY: a claimed slot.
    let (told, serial) = unsafe { ((*scratch).told, (*scratch).serial) };
    send(task::current(), serial, tag, scratch, inode, &told);
    0
}

/// The same of what a task did that may be another than the current one.
#[inline(always)]
pub(crate) fn record_of(
    task: *const u8,
    plan: &Plan,
    tag: &Tag,
    scratch: *mut Scratch,
    inode: Address,
    told: &Told,
) {
    send(task, plan.header.serial, tag, scratch, inode, told);
}

#[inline(always)]
fn send(
    task: *const u8,
    serial: u32,
    tag: &Tag,
    scratch: *mut Scratch,
    inode: Address,
    told: &Told,
) {
    let mut draft = Draft::new::<File>(scratch);
    let path_len = draft.path(scratch, told.start);
    let (device, inode) = identity(inode);
    let header = emit::header_of(task, Kind::File, tag, serial);
    // SAFETY: a claimed slot.
    let (origin, traits) = unsafe { ((*scratch).origin, (*scratch).traits) };
    let Told { act, decision, .. } = *told;
    let act = act as u32;
    let body = File { inode, device, act, decision, origin, path_len, traits, reserved: 0 };
    draft.send(header, body);
}
