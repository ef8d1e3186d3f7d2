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
        |scratch| name.settle(plan, scratch),
    )
}

impl Name<'_> {
    /// Puts the rules that hold into the slot, of reading and of writing; 0 where none does and nobody watches.
    #[inline(always)]
    fn holding(&self, plan: &Plan, scratch: *mut Scratch) -> u64 {
        let (reads, writes) =
            (file::holding_of(scratch, Act::Read), file::holding_of(scratch, Act::Write));
        verdict::hold(plan, self.tag, Act::Read, reads);
        verdict::hold(plan, self.tag, Act::Write, writes);
        verdict::without_only(plan, reads);
        verdict::only_if(reads, self.goes_on);
        if matches!(self.origin, Origin::Alias) {
            verdict::without_only(plan, writes);
        }
        verdict::any(reads) | verdict::any(writes) | plan.watches()
    }

    #[inline(always)]
    fn settle(&self, plan: &Plan, scratch: *mut Scratch) -> u8 {
        if self.holding(plan, scratch) == 0 {
            return Verdict::Allow as u8;
        }
        let place = scratch::begin(scratch);
        let buffer = classify::buffer(place);
        let start = path::of_dentry(buffer, self.mount, self.dentry).unwrap_or_else(|why| {
            miss::note(why);
            NO_PATH
        });
        if start != NO_PATH {
            classify::path(plan, place, start, Space::Absolute);
            match field::read(self.dentry, &field::DENTRY_INODE) {
                Ok(0) => {} // a name that nothing has yet
                Ok(inode) => file::label_of(plan, scratch, inode),
                Err(why) => miss::note(why),
            }
        }
        let mut done = Verdict::Allow as u8;
        if self.goes_on != 0 {
            done = self.act(plan, scratch, Act::Read, start);
        }
        done.max(self.act(plan, scratch, Act::Write, start))
    }

    #[inline(always)]
    fn act(&self, plan: &Plan, scratch: *mut Scratch, act: Act, start: u32) -> u8 {
        let holding = file::holding_of(scratch, act);
        let mut decision = if start == NO_PATH {
            verdict::of_unknown(plan, holding)
        } else {
            verdict::of(plan, holding, scratch, Exe::OfCurrent)
        };
        // What is as good as read and written is told of where it is forbidden.
        let aside = matches!(self.origin, Origin::Alias) || matches!(act, Act::Read);
        let watches = if aside { 0 } else { plan.watches() };
        let told = match self.quiet {
            0 => u64::from(decision.done) | watches != Verdict::Allow as u64,
            _ => verdict::refuses(decision.done),
        };
        if !told {
            return Verdict::Allow as u8;
        }
        let done = verdict::carry_out(&decision);
        decision.by_label = file::by_label(scratch, decision.rule);
        let origin = if matches!(act, Act::Read) { Origin::Alias } else { self.origin };
        // SAFETY: a claimed slot.
        unsafe { (*scratch).origin = origin as u32 };
        let inode = field::read(self.dentry, &field::DENTRY_INODE).unwrap_or(0);
        file::record(plan, self.tag, scratch, inode, &Told { act, decision, start });
        done
    }
}
