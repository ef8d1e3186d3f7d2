//! Names of files: made, taken away, given to another file; and what is changed of a file without opening it. All of
//! that is writing, at the name. A file that gets another name counts as read as well: under the new one no rule may
//! know it, so only the rules that forbid it are asked.

use monitor_common::{Act, Verdict, file::Origin, plan::Space, tag::Tag};

use crate::{
    classify::{self, Plan},
    field::{self, Address},
    file::{self, NO_PATH, Told},
    miss, path,
    scratch::{self, Scratch},
    verdict::{self, Exe},
};

/// A name, and what happens to it.
pub(crate) struct Name<'a> {
    pub(crate) tag: &'a Tag,
    /// The `vfsmount` that it is on.
    pub(crate) mount: Address,
    pub(crate) dentry: Address,
    /// What happens to it. With [`Origin::Alias`] nothing but that the file gets another name.
    pub(crate) origin: Origin,
    /// 1 where the file goes on under another name.
    pub(crate) goes_on: u32,
    /// 1 where the act is told of elsewhere, unless it is refused here.
    pub(crate) quiet: u64,
}

/// The same in a slot, as numbers that may be any: what the verifier knew of them on the stack, it would follow all
/// that comes after for, once for each.
#[repr(C)]
pub(crate) struct Subject {
    mount: Address,
    dentry: Address,
    quiet: u64,
    goes_on: u32,
    origin: u32,
}

/// Judges what happens to a name; returns what is done.
#[inline(never)]
pub(crate) fn judge(name: &Name<'_>) -> u8 {
    let Some(plan) = classify::in_force() else { return Verdict::Allow as u8 };
    let plan = &plan;
    verdict::with_scratch(
        || {
            let read =
                if name.goes_on == 0 { 0 } else { verdict::unseen(plan, name.tag, Act::Read) };
            read.max(verdict::unseen(plan, name.tag, Act::Write))
        },
        |scratch| {
            let Name { mount, dentry, quiet, goes_on, .. } = *name;
            let origin = name.origin as u32;
            // SAFETY: a claimed slot.
            unsafe {
                let subject = &raw mut (*scratch).subject;
                subject.write_volatile(Subject { mount, dentry, quiet, goes_on, origin });
            }
            settle(plan, name.tag, scratch)
        },
    )
}

/// What is known of the name in a slot.
#[inline(always)]
fn known<T: Copy>(scratch: *mut Scratch, part: impl FnOnce(*mut Subject) -> *const T) -> T {
    // SAFETY: a claimed slot; the part is one of its subject.
    unsafe { part(&raw mut (*scratch).subject).read_volatile() }
}

#[inline(always)]
fn goes_on(scratch: *mut Scratch) -> u32 {
    // SAFETY: a claimed slot, here and below.
    known(scratch, |subject| unsafe { &raw const (*subject).goes_on })
}

#[inline(always)]
fn dentry(scratch: *mut Scratch) -> Address {
    known(scratch, |subject| unsafe { &raw const (*subject).dentry })
}

#[inline(always)]
fn origin(scratch: *mut Scratch) -> u32 {
    known(scratch, |subject| unsafe { &raw const (*subject).origin })
}

/// Puts the rules that hold into the slot, of reading and of writing; 0 where none does and nobody watches.
#[inline(always)]
fn holding(plan: &Plan, tag: &Tag, scratch: *mut Scratch) -> u64 {
    let (reads, writes) =
        (file::holding_of(scratch, Act::Read), file::holding_of(scratch, Act::Write));
    verdict::hold(plan, tag, Act::Read, reads);
    verdict::hold(plan, tag, Act::Write, writes);
    verdict::without_only(plan, reads);
    verdict::only_if(reads, goes_on(scratch));
    if origin(scratch) == Origin::Alias as u32 {
        verdict::without_only(plan, writes);
    }
    verdict::any(reads) | verdict::any(writes) | plan.watches()
}

#[inline(always)]
fn settle(plan: &Plan, tag: &Tag, scratch: *mut Scratch) -> u8 {
    if holding(plan, tag, scratch) == 0 {
        return Verdict::Allow as u8;
    }
    let start = look(plan, scratch);
    let mut done = Verdict::Allow as u8;
    if goes_on(scratch) != 0 {
        done = act(plan, tag, scratch, Act::Read, start);
    }
    done.max(act(plan, tag, scratch, Act::Write, start))
}

/// Finds out the whole of it, and which lists it is in; returns where the path begins.
#[inline(always)]
fn look(plan: &Plan, scratch: *mut Scratch) -> u32 {
    let place = scratch::begin(scratch);
    let mount = known(scratch, |subject| unsafe { &raw const (*subject).mount });
    let start = path::of_dentry(classify::buffer(place), mount, dentry(scratch));
    let start = start.unwrap_or_else(|why| {
        miss::note(why);
        NO_PATH
    });
    if start != NO_PATH {
        classify::path(plan, place, start, Space::Absolute);
        match field::read(dentry(scratch), &field::DENTRY_INODE) {
            Ok(0) => {} // a name that nothing has yet
            Ok(inode) => file::label_of(plan, scratch, inode),
            Err(why) => miss::note(why),
        }
    }
    start
}

#[inline(always)]
fn act(plan: &Plan, tag: &Tag, scratch: *mut Scratch, act: Act, start: u32) -> u8 {
    let holding = file::holding_of(scratch, act);
    let mut decision = if start == NO_PATH {
        verdict::of_unknown(plan, holding)
    } else {
        verdict::of(plan, holding, scratch, Exe::OfCurrent)
    };
    let origin = if matches!(act, Act::Read) { Origin::Alias as u32 } else { origin(scratch) };
    // What is as good as read and written is told of where it is forbidden.
    let watches = if origin == Origin::Alias as u32 { 0 } else { plan.watches() };
    let told = match known(scratch, |subject| unsafe { &raw const (*subject).quiet }) {
        0 => u64::from(decision.done) | watches != Verdict::Allow as u64,
        _ => verdict::refuses(decision.done),
    };
    if !told {
        return Verdict::Allow as u8;
    }
    let done = verdict::carry_out(&decision);
    decision.by_label = file::by_label(scratch, decision.rule);
    // SAFETY: a claimed slot.
    unsafe { (*scratch).origin = origin };
    let inode = field::read(dentry(scratch), &field::DENTRY_INODE).unwrap_or(0);
    file::record(plan, tag, scratch, inode, &Told { act, decision, start });
    done
}
