//! Programs that are not judged when they are in place ([`crate::lifecycle`]): what is about to be started, where that can
//! be refused, the script behind it, and code that is mapped without being started, libraries and whole programs by
//! way of the dynamic loader.
//!
//! The rules are those of exec. Two kinds are left out. Of what is loaded and of scripts, those with `only`: a
//! list of permitted programs does not name what they load. Of what is about to be started, those that look at
//! arguments: nobody can read them yet.

use monitor_common::{
    Act, Verdict,
    file::Origin,
    plan::Space,
    record::Decision,
    tag::{FRESH, Tag},
};

use crate::{
    classify::{self, Plan},
    field::Address,
    file::{self, NO_PATH, Told, is},
    scratch::{self, Scratch},
    task, traits,
    verdict::{self, Exe},
};

/// Judges a file whose code is to run; returns what is done.
#[inline(never)]
pub(crate) fn judge(tag: &Tag, file: Address, origin: Origin) -> u8 {
    let Some(plan) = classify::in_force() else { return Verdict::Allow as u8 };
    let plan = &plan;
    verdict::with_scratch(
        || verdict::unseen(plan, tag, Act::Exec),
        |scratch| {
            // SAFETY: a claimed slot.
            let judged = unsafe { &mut (*scratch).tag };
            *judged = *tag;
            if matches!(origin, Origin::Start | Origin::Script) && tag.flags & FRESH != 0 {
                task::let_go(judged); // being started is not the agent's act
            }
            // SAFETY: as above.
            unsafe { (*scratch).origin = origin as u32 };
            Program { plan, tag: judged, file }.settle(scratch)
        },
    )
}

/// Tells of a file whose code a task can run which is not the current one. Nothing is carried out.
#[inline(never)]
pub(crate) fn held(tag: &Tag, task: *const u8, file: Address) {
    let Some(plan) = classify::in_force() else { return };
    let tell = |scratch: *mut Scratch| {
        // SAFETY: a claimed slot.
        unsafe { (*scratch).origin = Origin::Held as u32 };
        let program = Program { plan: &plan, tag, file };
        if program.holding(scratch) == 0 {
            return;
        }
        let exe = verdict::exe_of(scratch, task);
        let (start, mut decision) = program.look(scratch, exe);
        verdict::only_told(&mut decision);
        if decision.done != Verdict::Allow as u8 {
            decision.by_label = file::by_label(scratch, decision.rule);
            let told = Told { act: Act::Exec, decision, start };
            file::record_of(task, &plan, tag, scratch, file::inode(file), &told);
        }
    };
    verdict::with_scratch(|| {}, tell);
}

/// One program.
struct Program<'a> {
    plan: &'a Plan,
    tag: &'a Tag,
    file: Address,
}

impl Program<'_> {
    /// Puts the rules that hold into the slot; 0 where none does and nobody watches.
    #[inline(always)]
    fn holding(&self, scratch: *mut Scratch) -> u64 {
        // SAFETY: a claimed slot.
        let holding = unsafe { &raw mut (*scratch).holding[0] };
        verdict::hold(self.plan, self.tag, Act::Exec, holding);
        if !is(scratch, Origin::Start) {
            verdict::without_only(self.plan, holding);
        }
        if !is(scratch, Origin::Load) {
            verdict::without_late(self.plan, holding);
        }
        verdict::any(holding) | self.plan.watches()
    }

    /// Finds out what it is, and what the rules say; also where its path begins.
    #[inline(always)]
    fn look(&self, scratch: *mut Scratch, exe: Exe) -> (u32, Decision) {
        let place = scratch::begin(scratch);
        let start = file::start(place, self.file);
        // SAFETY: a claimed slot; here and below.
        let holding = unsafe { &raw const (*scratch).holding[0] };
        if start == NO_PATH {
            return (start, verdict::of_unknown(self.plan, holding));
        }
        classify::path(self.plan, place, start, Space::Absolute);
        file::label(self.plan, scratch, self.file);
        traits::find(scratch, self.file);
        classify::traits(self.plan, classify::bits(place), unsafe { (*scratch).traits });
        (start, verdict::of(self.plan, holding, scratch, exe))
    }

    #[inline(always)]
    fn settle(&self, scratch: *mut Scratch) -> u8 {
        if self.holding(scratch) == 0 {
            return Verdict::Allow as u8;
        }
        let (start, mut decision) = self.look(scratch, Exe::OfCurrent);
        if u64::from(decision.done) | self.plan.watches() == Verdict::Allow as u64
            || is(scratch, Origin::Start) && !verdict::refuses(decision.done)
        {
            return Verdict::Allow as u8; // what is started is told of when it is in place
        }
        let done = verdict::carry_out(&decision);
        decision.by_label = file::by_label(scratch, decision.rule);
        let told = Told { act: Act::Exec, decision, start };
        file::record(self.plan, self.tag, scratch, file::inode(self.file), &told);
        done
    }
}
