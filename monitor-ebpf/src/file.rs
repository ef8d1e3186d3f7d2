//! Opens: read and write, judged by the file that was opened.
//!
//! On the react tier that is at the exit of the system calls of the open family ([`crate::syscall`]). The file is taken from
//! the descriptor that the call returns, never from the name that was passed; what is refused there is
//! refused by ending the process before it can use the descriptor.

use monitor_common::{
    Act, Verdict,
    counter::Miss,
    file::{File, Origin},
    plan::{Bits, Mask, RULE_WORDS, Space, header_flag},
    record::{Decision, Kind},
    tag::Tag,
};

use crate::{
    classify::{self, Plan},
    emit::{self, Draft},
    field::{self, Address},
    lifecycle::identity,
    miss::{self, Missed},
    path,
    scratch::{self, PATH_BUFFER, Scratch},
    traits,
    verdict::{self, Exe},
};

/// `FMODE_READ`, include/linux/fs.h.
const MODE_READ: u32 = 1;
/// `FMODE_WRITE`, include/linux/fs.h.
const MODE_WRITE: u32 = 2;
/// Judges what is behind a descriptor of a task.
#[inline(always)]
pub(crate) fn opened(tag: &Tag, task: Address, descriptor: u32, origin: Origin) {
    judge(tag, origin, of(task, descriptor));
}

/// Judges an open whose file cannot be found: both acts, and unknown.
#[inline(always)]
pub(crate) fn opened_unknown(tag: &Tag, origin: Origin, why: Miss) {
    judge(tag, origin, Err(why));
}

#[inline(never)]
fn judge(tag: &Tag, origin: Origin, file: Missed<Address>) {
    let Ok(plan) = classify::plan() else {
        miss::note(Miss::NoPlan);
        return;
    };
    let plan = &plan;
    let mode = match file.and_then(|file| field::read::<u32>(file, &field::FILE_MODE)) {
        Ok(mode) => mode,
        Err(why) => {
            miss::note(why);
            MODE_READ | MODE_WRITE
        }
    };
    let nothing = Mask::default();
    let reads =
        if mode & MODE_READ != 0 { verdict::holding(plan, tag, Act::Read) } else { nothing };
    let writes =
        if mode & MODE_WRITE != 0 { verdict::holding(plan, tag, Act::Write) } else { nothing };
    if verdict::any(&reads) | verdict::any(&writes) | plan.watches() == 0 {
        return;
    }
    let open = Open { plan, tag, origin, mode, file };
    verdict::with_scratch(
        || {
            verdict::carry_out(&verdict::of_unknown(plan, &reads));
            verdict::carry_out(&verdict::of_unknown(plan, &writes));
        },
        |scratch| open.settle(scratch, &reads, &writes),
    );
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
    let slots: Address = field::read(table, &field::FDT_FD)?;
    // SAFETY: the helper checks the address.
    let file = unsafe {
        aya_ebpf::helpers::bpf_probe_read_kernel(
            (slots + u64::from(descriptor) * 8) as *const Address,
        )
    };
    match file {
        Ok(file) if file != 0 => Ok(file),
        _ => Err(Miss::ObjectUnreadable),
    }
}

/// Where a path begins that is `/` alone.
const ROOT: u32 = PATH_BUFFER as u32 - 1;

/// One open.
struct Open<'a> {
    plan: &'a Plan,
    tag: &'a Tag,
    origin: Origin,
    mode: u32,
    file: Missed<Address>,
}

impl Open<'_> {
    /// A pipe or the like that was opened once more, by way of `/proc/PID/fd`: no file, and no name. Its path is
    /// the root of a file system that nobody mounted.
    #[inline(never)]
    fn is_nameless(&self) -> bool {
        let inode = self.file.and_then(|file| field::read::<Address>(file, &field::FILE_INODE));
        inode.and_then(traits::is_kernels_own).unwrap_or_else(|why| {
            miss::note(why);
            false
        })
    }

    /// Both acts of one open; the stronger verdict is carried out, each that is hit is recorded.
    #[inline(always)]
    fn settle(&self, scratch: *mut Scratch, reads: &Mask, writes: &Mask) {
        let place = scratch::object(scratch);
        // SAFETY: a claimed slot.
        unsafe {
            *place.bits = Bits::default();
            (*scratch).labelled = [0; RULE_WORDS];
        }
        let path_of = |file| path::of(place.buffer, field::within(file, &field::FILE_PATH));
        let start = self.file.and_then(path_of);
        match start {
            Ok(start) if start == ROOT && self.is_nameless() => return,
            Ok(start) => {
                classify::path(self.plan, place, start, Space::Absolute);
                self.label(scratch);
            }
            Err(why) if self.file.is_ok() => miss::note(why),
            Err(_) => {} // noted where it was found out
        }
        if self.concerns(MODE_READ, reads) {
            self.act(scratch, Act::Read, reads, start);
        }
        if self.concerns(MODE_WRITE, writes) {
            self.act(scratch, Act::Write, writes, start);
        }
    }

    /// The file may be one that a rule names, under another name.
    #[inline(always)]
    fn label(&self, scratch: *mut Scratch) {
        if self.plan.header.flags & header_flag::LABELS == 0 {
            return;
        }
        // SAFETY: a claimed slot.
        let (bits, labelled) = unsafe { (&raw mut (*scratch).bits, &raw mut (*scratch).labelled) };
        match self.file.and_then(|file| field::read::<Address>(file, &field::FILE_INODE)) {
            Ok(inode) => classify::label(self.plan, bits, labelled, inode),
            Err(why) => miss::note(why),
        }
    }

    /// 1 where the rule that decides names the file by its inode alone. Without a branch: the verifier would
    /// follow all that comes after once more. Means nothing where no rule is hit.
    #[inline(always)]
    fn by_label(scratch: *mut Scratch, rule: u32) -> u8 {
        // SAFETY: a claimed slot; masked to the array.
        let word = unsafe { (*scratch).labelled[(rule as usize / 64) & (RULE_WORDS - 1)] };
        (word >> (rule % 64) & 1) as u8
    }

    /// Whether anybody asks what comes of an act.
    #[inline(always)]
    fn concerns(&self, mode: u32, holding: &Mask) -> bool {
        // Of an act that the file was not opened for, no rule holds.
        let watched = self.plan.watches() * u64::from((self.mode & mode) / mode);
        verdict::any(holding) | watched != 0
    }

    #[inline(always)]
    fn act(&self, scratch: *mut Scratch, act: Act, holding: &Mask, start: Missed<u32>) {
        let mut decision = match start {
            Ok(_) => verdict::of(self.plan, holding, scratch, Exe::OfCurrent),
            Err(_) => verdict::of_unknown(self.plan, holding),
        };
        if u64::from(decision.done) | self.plan.watches() == Verdict::Allow as u64 {
            return;
        }
        verdict::carry_out(&decision);
        decision.by_label = Self::by_label(scratch, decision.rule);
        self.record(scratch, act, &decision, start.unwrap_or(PATH_BUFFER as u32));
    }

    #[inline(never)]
    fn record(&self, scratch: *mut Scratch, act: Act, decision: &Decision, start: u32) {
        let mut draft = Draft::new::<File>(scratch);
        let mut path_len = 0;
        if start < PATH_BUFFER as u32 {
            let start = start & (PATH_BUFFER as u32 - 1); // what the verifier can follow
            // SAFETY: a claimed slot; masked to the buffer.
            let from = unsafe { (&raw const (*scratch).path).cast::<u8>().add(start as usize) };
            path_len = draft.kernel_bytes(from, PATH_BUFFER as u32 - start);
        }
        let inode = self.file.and_then(|file| field::read::<Address>(file, &field::FILE_INODE));
        let (device, inode) = identity(inode.unwrap_or(0));
        let header = emit::header(Kind::File, self.tag, self.plan.header.serial);
        let decision = *decision;
        let body = File {
            inode,
            device,
            act: act as u32,
            decision,
            origin: self.origin as u32,
            path_len,
            ..File::default()
        };
        draft.send(header, body);
    }
}
