//! Programs that are about to be started, and code that is mapped.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use monitor_common::file::Origin;

use super::{PASS, answer};
use crate::{
    field::{self, Address},
    load::{self, EXEC, VM_EXEC},
    program, task,
};

/// The first two bytes of a script, fs/binfmt_script.c.
const SCRIPT: [u8; 2] = *b"#!";

/// A program is about to replace the one that runs. For a script it comes twice: with the script, and then with its
/// interpreter. A call that only asks whether it could be started (`AT_EXECVE_CHECK`) does not come here.
///
/// proto: `int bprm_check_security(struct linux_binprm *bprm)`
#[lsm(hook = "bprm_check_security")]
pub(crate) fn bprm_check_security(ctx: LsmContext) -> i32 {
    let Some(tag) = task::tag(task::current()) else { return PASS };
    let bprm: *const u8 = ctx.arg(0);
    // SAFETY: a `linux_binprm`, with its file and the first bytes of it.
    let (file, begin): (*const u8, [u8; 2]) =
        unsafe { (field::load(bprm, &field::BPRM_FILE), field::load(bprm, &field::BPRM_BUF)) };
    let origin = if begin == SCRIPT { Origin::Script } else { Origin::Start };
    answer(program::judge(tag, file as Address, origin))
}

/// A file, or none, is about to be mapped: by the process, or by the kernel for it, as the loader is that a program
/// names. Only the first two arguments are the same for `security_mmap_file`, which has no `reqprot` beside `prot`: what
/// comes of the protection that was asked for is found out here.
///
/// proto: `int mmap_file(struct file *file, unsigned long reqprot, unsigned long prot, unsigned long flags)`
#[lsm(hook = "mmap_file")]
pub(crate) fn mmap_file(ctx: LsmContext) -> i32 {
    let (file, asked): (Address, u64) = (ctx.arg(0), ctx.arg(1));
    if file == 0 {
        return PASS;
    }
    let task = task::current();
    if !load::is_code(task, asked) {
        return PASS;
    }
    let Some(tag) = task::tag(task) else { return PASS };
    let own = field::read::<Address>(task as Address, &field::TASK_MM)
        .and_then(|mm| field::read::<Address>(mm, &field::MM_EXE_FILE));
    if own == Ok(file) {
        return PASS; // judged when it was about to be started
    }
    answer(program::judge(tag, file, Origin::Load))
}

/// Memory is about to be made executable.
///
/// proto: `int file_mprotect(struct vm_area_struct *vma, unsigned long reqprot, unsigned long prot)`
#[lsm(hook = "file_mprotect")]
pub(crate) fn file_mprotect(ctx: LsmContext) -> i32 {
    let protection: u64 = ctx.arg(2);
    if protection & EXEC == 0 {
        return PASS;
    }
    let Some(tag) = task::tag(task::current()) else { return PASS };
    let (file, flags) = load::of_mapping(ctx.arg(0));
    if file == 0 || flags & VM_EXEC != 0 {
        return PASS; // nobody's memory, or code already
    }
    answer(program::judge(tag, file, Origin::Load))
}
