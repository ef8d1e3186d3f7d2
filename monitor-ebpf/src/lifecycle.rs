//! Fork, exec, exit: where sessions begin, spread and end.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::{bpf_get_prandom_u32, bpf_loop},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use aya_log_ebpf::debug;
use monitor_common::{
    Act, Verdict,
    counter::Miss,
    plan::{AUX_WORDS, CLAUSE_ROWS, Space, header_flag, row},
    privilege::Privilege,
    process::{Exec, Exit, Fork, exec_flag},
    record::{ARGV_BYTES, Decision, Header, Kind, NO_RULE},
    tag::{BEGUN, DOOMED, FRESH, Tag},
};

use crate::{
    classify::{self, Plan},
    emit::{self, Draft},
    environment,
    field::{self, Address},
    file::{self, NO_PATH},
    lists, maps,
    miss::{self, Missed},
    path, privilege,
    scratch::{self, Scratch},
    scripts, task, traits,
    verdict::{self, Exe},
};

/// The child gets the tag of its parent before it can run.
///
/// proto: `void sched_process_fork(struct task_struct *parent, struct task_struct *child)`
#[btf_tracepoint(function = "sched_process_fork")]
pub(crate) fn sched_process_fork(ctx: BtfTracePointContext) -> i32 {
    let parent: *const u8 = ctx.arg(0);
    let child: *const u8 = ctx.arg(1);
    let Some(tag) = task::tag(parent) else { return 0 };
    let mut tag = *tag;
    tag.flags &= !FRESH; // only the process that was tagged is about to become the agent
    if !prevents() && privilege::are_apart(parent, child) {
        privilege::look_at(child, &mut tag);
        if privilege::used(&tag, Privilege::Namespaces as u32) == Verdict::Kill as u8 {
            tag.flags |= DOOMED;
        }
    }
    if !task::set_tag(child, &tag) {
        miss::note(Miss::TagNotInherited);
    }
    // SAFETY: both are tasks.
    let (pid, tid): (u32, u32) =
        unsafe { (field::load(child, &field::TASK_TGID), field::load(child, &field::TASK_PID)) };
    if pid == tid {
        verdict::with_scratch(|| {}, |scratch| fork_record(scratch, &tag, child, pid));
    }
    0
}

/// Whether what is forbidden was refused before it was done.
#[inline(always)]
fn prevents() -> bool {
    maps::RUNG.get(0).is_some_and(|[_, prevents]| *prevents != 0)
}

#[inline(always)]
fn fork_record(scratch: *mut Scratch, tag: &Tag, child: *const u8, pid: u32) {
    let mut header = emit::header(Kind::Fork, tag, 0);
    let body = Fork { parent_start: header.start, parent_pid: header.pid, reserved: 0 };
    // SAFETY: a task.
    header.start = unsafe { field::load(child, &field::TASK_START) };
    header.pid = pid;
    header.tid = pid;
    Draft::new::<Fork>(scratch).send(header, body);
}

/// A new program is in place and has not run yet; no other thread of the process is alive.
///
/// proto: `void sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`
#[btf_tracepoint(function = "sched_process_exec")]
pub(crate) fn sched_process_exec(ctx: BtfTracePointContext) -> i32 {
    let task: *const u8 = ctx.arg(0);
    let bprm: *const u8 = ctx.arg(2);
    let tag = task::tag(task);
    let Ok(plan) = classify::plan() else {
        if tag.is_some() {
            miss::note(Miss::NoPlan);
        }
        return 0;
    };
    if tag.is_none() && plan.header.clauses == 0 {
        return 0;
    }
    let plan = &plan;
    // SAFETY: a `linux_binprm`.
    let file: Address = unsafe { field::load::<*const u8>(bprm, &field::BPRM_FILE) } as Address;
    verdict::with_scratch(
        || judge_unknown(plan, tag),
        |scratch| {
            classify_new_program(plan, scratch, file);
            lists::find(plan, scratch, task);
            let exec = New { plan, scratch, task, bprm, file };
            match tag {
                Some(tag) => exec.in_session(&ctx, tag),
                None => exec.outside(&ctx),
            }
        },
    );
    0
}

/// Without a slot nothing is known of the program.
#[inline(always)]
fn judge_unknown(plan: &Plan, tag: Option<&Tag>) {
    if let Some(tag) = tag {
        let _done = verdict::unseen(plan, tag, Act::Exec);
    }
}

/// Bits of the executable, and where its path begins: into the slot, as [`Scratch::start`].
#[inline(always)]
fn classify_new_program(plan: &Plan, scratch: *mut Scratch, file: Address) {
    let place = scratch::begin(scratch);
    let start = file::start(place, file);
    if start != NO_PATH {
        classify::path(plan, place, start, Space::Absolute);
    }
    // SAFETY: a claimed slot.
    unsafe { (&raw mut (*scratch).start).write_volatile(start) };
}

/// A process with a new program.
struct New<'a> {
    plan: &'a Plan,
    scratch: *mut Scratch,
    task: *const u8,
    bprm: *const u8,
    file: Address,
}

impl New<'_> {
    /// Where the path begins.
    #[inline(always)]
    fn start(&self) -> u32 {
        // SAFETY: a claimed slot.
        unsafe { (&raw const (*self.scratch).start).read_volatile() }
    }

    /// Of no session so far: is it an agent?
    #[inline(always)]
    fn outside(&self, ctx: &BtfTracePointContext) {
        // SAFETY: a claimed slot.
        let tag = unsafe { &mut (*self.scratch).tag };
        *tag = Tag::default();
        if self.recognise() == 0 {
            return;
        }
        traits::find(self.scratch, self.file);
        tag.session = new_session();
        tag.flags |= BEGUN;
        privilege::look_at(self.task, tag);
        if !task::set_tag(self.task, tag) {
            miss::note(Miss::TagNotSet);
        }
        debug!(ctx, "session {:x} begins", tag.session);
        let unjudged = Decision { rule: NO_RULE, ..Decision::default() };
        self.record(tag, unjudged, exec_flag::ROOT);
    }

    /// Of a session: may it start this, and is it an agent of its own from here on?
    #[inline(always)]
    fn in_session(&self, ctx: &BtfTracePointContext, before: &Tag) {
        // SAFETY: a claimed slot.
        let tag = unsafe { &mut (*self.scratch).tag };
        *tag = *before;
        let mut flags = 0;
        let mut judged = *before;
        if before.flags & FRESH != 0 {
            // `driftwatch run` made it the root of a session: being started is not the agent's act.
            flags = exec_flag::ROOT;
            task::let_go(&mut judged);
            tag.flags &= !FRESH;
        }
        let decision = self.judge(&judged);
        if self.recognise() != 0 && flags == 0 {
            flags = exec_flag::ROOT;
            tag.session = new_session();
        }
        if flags != 0 {
            tag.flags |= BEGUN;
        }
        privilege::look_at(self.task, tag);
        if !task::set_tag(self.task, tag) {
            miss::note(Miss::TagNotSet);
        }
        let _done = verdict::carry_out(&decision);
        debug!(ctx, "exec in session {:x}: {}", tag.session, decision.done);
        self.record(tag, decision, flags);
    }

    #[inline(always)]
    fn judge(&self, tag: &Tag) -> Decision {
        // SAFETY: a claimed slot.
        let holding = unsafe { &raw mut (*self.scratch).holding[0] };
        verdict::hold(self.plan, tag, Act::Exec, holding);
        traits::find(self.scratch, self.file);
        let mut decision = if self.start() == NO_PATH {
            verdict::of_unknown(self.plan, holding)
        } else {
            file::label(self.plan, self.scratch, self.file);
            // SAFETY: a claimed slot.
            unsafe {
                let bits = &raw mut (*self.scratch).object.bits;
                classify::traits(self.plan, bits, (*self.scratch).traits);
            }
            lists::classify(self.plan, self.scratch);
            verdict::of(self.plan, holding, self.scratch, Exe::OfCurrent)
        };
        verdict::late(self.plan, &mut decision);
        decision.by_label = file::by_label(self.scratch, decision.rule);
        decision
    }

    /// Takes on the limits of every agent that this process shows all signs of; returns how many. The
    /// tag is the one in the scratch.
    #[inline(always)]
    fn recognise(&self) -> u32 {
        let header = self.plan.header;
        if header.clauses == 0 {
            return 0;
        }
        // What the executable is called is no script.
        for word in 0..AUX_WORDS {
            // SAFETY: a claimed slot.
            unsafe { (*self.scratch).object.bits.aux[word] &= !header.scripts[word] };
        }
        self.add_other_signs();
        let mut any = 0;
        // SAFETY: a claimed slot.
        unsafe {
            for word in 0..AUX_WORDS {
                let signs = (*self.scratch).object.bits.aux[word] & header.signs[word];
                (*self.scratch).signs[word] = signs;
                any |= signs;
            }
            (*self.scratch).taken = 0;
        }
        if any == 0 {
            return 0;
        }
        let mut recognition = Recognition { scratch: self.scratch, bank: self.plan.bank };
        // SAFETY: the callback takes a `Recognition`, which outlives the call; a claimed slot.
        unsafe {
            let clauses = header.clauses.min(CLAUSE_ROWS);
            bpf_loop(clauses, try_clause as *mut c_void, (&raw mut recognition).cast(), 0);
            (*self.scratch).taken
        }
    }

    /// Adds the signs that are not the executable: arguments, script, user, cgroup
    /// and environment.
    #[inline(always)]
    fn add_other_signs(&self) {
        let flags = self.plan.header.flags;
        let place = scratch::executable(self.scratch);
        if flags & header_flag::ARGUMENTS != 0 {
            lists::signs(self.plan, self.scratch);
        }
        scripts::signs(self.plan, self.scratch, self.task, self.bprm);
        if flags & header_flag::USERS != 0 {
            let uid = field::read::<Address>(self.task as Address, &field::TASK_CRED)
                .and_then(|cred| field::read::<u32>(cred, &field::CRED_UID));
            match uid {
                Ok(uid) => {
                    let bits = classify::bits(scratch::object(self.scratch));
                    classify::user(self.plan, bits, uid);
                }
                Err(why) => miss::note(why),
            }
        }
        if flags & header_flag::CGROUPS != 0 {
            match cgroup(self.task as Address)
                .and_then(|node| path::of_kernfs(classify::buffer(place), node))
            {
                Ok(start) => self.add_cgroup(start),
                Err(why) => miss::note(why),
            }
        }
        environment::signs(self.plan, self.scratch);
    }

    /// Adds the bits of the cgroup, whose path is in the place of the executable, to those of the program.
    #[inline(always)]
    fn add_cgroup(&self, start: u32) {
        let place = scratch::executable(self.scratch);
        classify::clear(place);
        classify::path(self.plan, place, start, Space::Cgroup);
        for word in 0..AUX_WORDS {
            // SAFETY: a claimed slot.
            unsafe {
                (*self.scratch).object.bits.aux[word] |= (*place).bits.aux[word];
            }
        }
    }

    #[inline(never)]
    fn record(&self, tag: &Tag, decision: Decision, mut flags: u32) {
        let mut draft = Draft::new::<Exec>(self.scratch);
        let exe_len = draft.path(self.scratch, self.start());
        let cwd_len = self.append_cwd(&mut draft);
        let (argv_len, cut) = self.append_arguments(&mut draft);
        flags |= cut;
        // SAFETY: as above.
        flags |= unsafe { (*self.scratch).traits };
        let inode: Address = field::read(self.file, &field::FILE_INODE).unwrap_or(0);
        let (parent_pid, parent_start) = parent(self.task);
        let (device, inode) = identity(inode);
        let header: Header = emit::header(Kind::Exec, tag, self.plan.header.serial);
        let body = Exec {
            parent_start,
            inode,
            device,
            parent_pid,
            decision,
            flags,
            exe_len,
            cwd_len,
            argv_len,
        };
        draft.send(header, body);
    }

    #[inline(always)]
    fn append_cwd(&self, draft: &mut Draft) -> u32 {
        let buffer = classify::buffer(scratch::object(self.scratch));
        let start = field::read::<Address>(self.task as Address, &field::TASK_FS)
            .and_then(|fs| path::of(buffer, field::within(fs, &field::FS_PWD)));
        match start {
            Ok(start) => draft.path(self.scratch, start),
            Err(_) => {
                miss::note(Miss::CwdUnreadable);
                0
            }
        }
    }

    #[inline(always)]
    fn append_arguments(&self, draft: &mut Draft) -> (u32, u32) {
        let area = field::read::<Address>(self.task as Address, &field::TASK_MM).and_then(|mm| {
            Ok((
                field::read::<u64>(mm, &field::MM_ARG_START)?,
                field::read::<u64>(mm, &field::MM_ARG_END)?,
            ))
        });
        let Ok((from, to)) = area else {
            miss::note(Miss::ArgumentsUnreadable);
            return (0, 0);
        };
        let whole = to.saturating_sub(from);
        let (len, cut) = if whole > ARGV_BYTES as u64 {
            (ARGV_BYTES as u32, exec_flag::ARGV_CUT)
        } else {
            (whole as u32, 0)
        };
        let copied = draft.user_bytes(from, len);
        if copied != len {
            miss::note(Miss::ArgumentsUnreadable);
        }
        (copied, cut)
    }
}

/// What the search through the clauses works on.
#[repr(C)]
struct Recognition {
    scratch: *mut Scratch,
    bank: u32,
}

/// Takes on the limits of the `index`th clause's agent, if all its signs are there.
extern "C" fn try_clause(index: u32, recognition: *mut Recognition) -> i64 {
    // SAFETY: `bpf_loop` passes the `Recognition` that it was given, with a claimed slot.
    let (scratch, bank) = unsafe { (&mut *(*recognition).scratch, (*recognition).bank) };
    let Some(clause) = maps::CLAUSES.get(row(bank, CLAUSE_ROWS, index)) else { return 1 };
    for word in 0..AUX_WORDS {
        if scratch.signs[word] & clause.signs[word] != clause.signs[word] {
            return 0;
        }
    }
    if task::is_under(&scratch.tag, clause.agent) {
        return 0;
    }
    if task::take_on(&mut scratch.tag, clause.agent) {
        scratch.taken += 1;
    } else {
        miss::note(Miss::LimitsFull);
    }
    0
}

/// The node of the cgroup v2 that a task is in.
#[inline(always)]
fn cgroup(task: Address) -> Missed<Address> {
    let css_set: Address = field::read(task, &field::TASK_CGROUPS)?;
    let cgroup: Address = field::read(css_set, &field::CSS_SET_DFL_CGRP)?;
    field::read(cgroup, &field::CGROUP_KN)
}

/// `pid` and `start` of the parent.
#[inline(always)]
fn parent(task: *const u8) -> (u32, u64) {
    // SAFETY: a task, its parent, and that one's leader.
    unsafe {
        let parent: *const u8 = field::load(task, &field::TASK_REAL_PARENT);
        let leader: *const u8 = field::load(parent, &field::TASK_GROUP_LEADER);
        (field::load(leader, &field::TASK_TGID), field::load(leader, &field::TASK_START))
    }
}

/// Device and number of an inode.
#[inline(always)]
pub(crate) fn identity(inode: Address) -> (u32, u64) {
    let device = field::read::<Address>(inode, &field::INODE_SB)
        .and_then(|sb| field::read::<u32>(sb, &field::SB_DEV))
        .unwrap_or(0);
    (device, field::read(inode, &field::INODE_INO).unwrap_or(0))
}

/// A number that no other session has: random, so that it needs no state that could be lost.
#[inline(always)]
fn new_session() -> u64 {
    // SAFETY: helpers without arguments.
    let (high, low) = unsafe { (bpf_get_prandom_u32(), bpf_get_prandom_u32()) };
    (u64::from(high) << 32 | u64::from(low)).max(1)
}

/// The last thread of a process ends.
///
/// proto: `void sched_process_exit(struct task_struct *p)`; newer kernels have a second argument that
/// older ones lack, so the live threads are counted here.
#[btf_tracepoint(function = "sched_process_exit")]
pub(crate) fn sched_process_exit(ctx: BtfTracePointContext) -> i32 {
    let task: *const u8 = ctx.arg(0);
    let Some(tag) = task::tag(task) else { return 0 };
    let live = field::read::<Address>(task as Address, &field::TASK_SIGNAL)
        .and_then(|signal| field::read::<i32>(signal, &field::SIGNAL_LIVE));
    match live {
        Ok(0) => {}
        Ok(_) => return 0,
        Err(why) => {
            miss::note(why);
            return 0;
        }
    }
    // SAFETY: a task.
    let status: u32 = unsafe { field::load(task, &field::TASK_EXIT_CODE) };
    verdict::with_scratch(
        || {},
        |scratch| {
            let header = emit::header(Kind::Exit, tag, 0);
            Draft::new::<Exit>(scratch).send(header, Exit { status, reserved: 0 });
        },
    );
    0
}
