//! Programs that are not judged when they are in place ([`crate::lifecycle`]): what is about to be started, where that can
//! be refused, the script behind it, and code that is mapped without being started, libraries and whole programs by
//! way of the dynamic loader.
//!
//! The rules are those of exec. Two kinds are left out. Of what is loaded and of scripts, those with `only`: a
//! list of permitted programs does not name what they load. Of what is about to be started, those that look at
//! arguments: nobody can read them yet.

use monitor_common::{
    Act, Verdict,
    counter::Miss,
    file::{File, Origin},
    plan::{RULE_WORDS, Space},
    record::{Decision, Kind},
    tag::{FRESH, Tag},
};

use crate::{
    classify::{self, Plan},
    emit::{self, Draft},
    field::{self, Address},
    file::{self, NO_PATH, UNKNOWN, is},
    lifecycle::identity,
    miss, path,
    scratch::{self, Scratch},
    task, traits,
    verdict::{self, Exe},
};

/// Judges a file whose code is to run; returns what is done.
#[inline(never)]
pub(crate) fn judge(tag: &Tag, file: Address, origin: Origin) -> u8 {
    let Ok(plan) = classify::plan() else {
        miss::note(Miss::NoPlan);
        return Verdict::Allow as u8;
    };
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

    #[inline(always)]
    fn settle(&self, scratch: *mut Scratch) -> u8 {
        if self.holding(scratch) == 0 {
            return Verdict::Allow as u8;
        }
        let place = scratch::object(scratch);
        classify::clear(place);
        // SAFETY: a claimed slot.
        unsafe {
            (*scratch).traits = 0;
            (*scratch).labelled = [0; RULE_WORDS];
        }
        let start = self.start(place);
        // SAFETY: as above.
        let holding = unsafe { &raw const (*scratch).holding[0] };
        let mut decision = if start == NO_PATH {
            verdict::of_unknown(self.plan, holding)
        } else {
            classify::path(self.plan, place, start, Space::Absolute);
            file::label(self.plan, scratch, self.file);
            traits::find(scratch, self.file);
            // SAFETY: a claimed slot.
            classify::traits(self.plan, classify::bits(place), unsafe { (*scratch).traits });
            verdict::of(self.plan, holding, scratch, Exe::OfCurrent)
        };
        if u64::from(decision.done) | self.plan.watches() == Verdict::Allow as u64
            || is(scratch, Origin::Start) && !verdict::refuses(decision.done)
        {
            return Verdict::Allow as u8; // what is started is told of when it is in place
        }
        decision.by_label = file::by_label(scratch, decision.rule);
        self.record(scratch, &decision, start);
        verdict::carry_out(&decision)
    }

    /// Where the path of the file begins.
    #[inline(always)]
    fn start(&self, place: *mut classify::Place) -> u32 {
        if self.file == UNKNOWN {
            return NO_PATH;
        }
        path::of(classify::buffer(place), field::within(self.file, &field::FILE_PATH))
            .unwrap_or_else(|why| {
                miss::note(why);
                NO_PATH
            })
    }

    #[inline(never)]
    fn record(&self, scratch: *mut Scratch, decision: &Decision, start: u32) {
        let mut draft = Draft::new::<File>(scratch);
        let path_len = draft.path(scratch, start);
        let inode = field::read::<Address>(self.file, &field::FILE_INODE);
        let (device, inode) = identity(inode.unwrap_or(0));
        let header = emit::header(Kind::File, self.tag, self.plan.header.serial);
        let body = File {
            inode,
            device,
            act: Act::Exec as u32,
            decision: *decision,
            // SAFETY: a claimed slot.
            origin: unsafe { (*scratch).origin },
            path_len,
            // SAFETY: a claimed slot.
            traits: unsafe { (*scratch).traits },
            reserved: 0,
        };
        draft.send(header, body);
    }
}
