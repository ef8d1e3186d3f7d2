//! What the root of a session brings along: files that were open when it began, by rules that forbid to open them. They
//! cannot be taken away, so the process ends before its first instruction, as if it could not have been started.
//!
//! A program of its own, after [`crate::lifecycle::sched_process_exec`], which has recognised the agent: together they
//! would be too deep. Rules that name what is permitted do not count; somebody else chose what was handed over. Of
//! sockets, mappings and rings nothing is said here.

use core::ffi::c_void;

use aya_ebpf::{helpers::bpf_loop, macros::btf_tracepoint, programs::BtfTracePointContext};
use monitor_common::{
    Verdict,
    counter::Miss,
    file::Origin,
    record::{Decision, NO_RULE},
    tag::{BEGUN, Tag},
};

use crate::{
    field::{self, Address},
    file,
    miss::{self, Missed},
    task, verdict,
};

/// Descriptors that are looked at, at most: as many as a process has where nobody has raised its limit far
/// (`RLIMIT_NOFILE`), and a thousand times what most have.
const DESCRIPTORS: u32 = 65_536;
/// `S_IFMT`, `S_IFREG` and `S_IFBLK`, as in inode(7).
const FORMAT: u16 = 0o170_000;
const REGULAR: u16 = 0o100_000;
const BLOCK: u16 = 0o060_000;

/// What the search through the descriptors works on.
#[repr(C)]
struct Search {
    tag: *const Tag,
    /// The table of descriptors.
    slots: Address,
}

/// proto: `void sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`
#[btf_tracepoint(function = "sched_process_exec")]
pub(crate) fn inherited(ctx: BtfTracePointContext) -> i32 {
    let task: *const u8 = ctx.arg(0);
    let Some(tag) = task::tag(task) else { return 0 };
    if tag.flags & BEGUN == 0 {
        return 0;
    }
    let seen = Tag { flags: tag.flags & !BEGUN, ..*tag };
    if !task::set_tag(task, &seen) {
        miss::note(Miss::TagNotSet);
    }
    if let Err(why) = look(task as Address, tag) {
        miss::note(why);
    }
    0
}

#[inline(always)]
fn look(task: Address, tag: &Tag) -> Missed<()> {
    let files: Address = field::read(task, &field::TASK_FILES)?;
    let table: Address = field::read(files, &field::FILES_FDT)?;
    let count: u32 = field::read(table, &field::FDT_MAX_FDS)?;
    if count > DESCRIPTORS {
        miss::note(Miss::DescriptorsUnseen);
    }
    let mut search = Search { tag, slots: field::read(table, &field::FDT_FD)? };
    // SAFETY: the callback takes a `Search`, which outlives the call.
    unsafe {
        let count = count.min(DESCRIPTORS);
        bpf_loop(count, one_descriptor as *mut c_void, (&raw mut search).cast(), 0);
    }
    Ok(())
}

/// Whether something open is a file with bytes of its own, and no pipe, socket or the like.
#[inline(always)]
pub(crate) fn is_file(file: Address) -> Missed<bool> {
    let inode: Address = field::read(file, &field::FILE_INODE)?;
    let mode: u16 = field::read(inode, &field::INODE_MODE)?;
    Ok(matches!(mode & FORMAT, REGULAR | BLOCK))
}

/// Judges the `index`th descriptor, if it is of a file.
extern "C" fn one_descriptor(index: u32, search: *mut Search) -> i64 {
    // SAFETY: `bpf_loop` passes the `Search` that it was given, with the tag of a task.
    let (search, tag) = unsafe { (&*search, &*(*search).tag) };
    let found = file::slot(search.slots, index).and_then(|file| {
        if file == 0 {
            return Ok(0);
        }
        Ok(if is_file(file)? { file } else { 0 })
    });
    match found {
        Ok(0) => {}
        Ok(file) => {
            // Nothing is kept from one to the next: the verifier would follow it through all of them.
            if verdict::refuses(file::judge_here(tag, Origin::Inherited, file)) {
                let kill =
                    Decision { rule: NO_RULE, done: Verdict::Kill as u8, ..Decision::default() };
                let _done = verdict::carry_out(&kill);
            }
        }
        Err(why) => miss::note(why),
    }
    0
}
