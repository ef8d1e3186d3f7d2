//! Questions of the daemon: what would become of an act that nobody does? Answered by the same
//! functions that the hooks ask, of any bank, so that a plan can be tried before it is in force.
//!
//! This program is attached to nothing. The daemon runs it (`BPF_PROG_TEST_RUN`); it carries nothing
//! out and records nothing.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel as copy;
use monitor_common::{
    Act,
    counter::Miss,
    plan::{Mask, Space},
    question::{ANSWERED, HOST, PATH, PEER, PRIVILEGE, Question, UNANSWERED},
    record::Decision,
    tag::Tag,
};

use crate::{
    classify::{self, Plan},
    host::{self, Host},
    lists, maps,
    miss::Missed,
    net, privilege,
    scratch::{self, PATH_BUFFER, PathBuffer, Scratch},
    verdict::{self, Exe},
};

/// Run by the daemon alone. Without aya's macro, which would always return 0.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
extern "C" fn judge(_context: *mut c_void) -> u32 {
    match answer() {
        Ok(()) => ANSWERED,
        Err(_) => UNANSWERED,
    }
}

#[inline(always)]
fn answer() -> Missed<()> {
    let question = maps::QUESTION.get(0).ok_or(Miss::NoPlan)?;
    let answer = maps::ANSWER.get_ptr_mut(0).ok_or(Miss::NoPlan)?;
    let plan = classify::plan_in(question.bank)?;
    let tag = Tag { agents: question.agents, ..Tag::default() };
    let act = Act::try_from(question.act).map_err(|_| Miss::ObjectUnreadable)?;
    let scratch = scratch::claim()?;
    // SAFETY: a claimed slot.
    let holding = unsafe { &raw mut (*scratch).holding[0] };
    verdict::hold(&plan, &tag, act, holding);
    verdict::by_address(&plan, holding, u64::from(question.object == HOST));
    if question.loaded != 0 {
        verdict::without_only(&plan, holding);
    }
    let decision = decide(&plan, holding, scratch, question);
    scratch::release(scratch);
    // SAFETY: a map value, which nobody else writes to: the daemon asks one question at a time.
    unsafe { *answer = decision? };
    Ok(())
}

#[inline(always)]
fn decide(
    plan: &Plan,
    holding: *const Mask,
    scratch: *mut Scratch,
    question: &Question,
) -> Missed<Decision> {
    let exe = if question.exe_len == 0 {
        Exe::Unknown
    } else {
        let buffer = classify::buffer(scratch::executable(scratch));
        Exe::At(put(buffer, (&raw const question.exe).cast(), question.exe_len)?)
    };
    Ok(match question.object {
        PATH => {
            let place = scratch::object(scratch);
            let start =
                put(classify::buffer(place), (&raw const question.path).cast(), question.path_len)?;
            classify::clear(place);
            classify::path(plan, place, start, Space::Absolute);
            classify::traits(plan, classify::bits(place), question.traits);
            if question.act == Act::Exec as u32 && question.loaded == 0 {
                lists::put(scratch, (&raw const question.args).cast(), question.args_len)?;
                lists::classify(plan, scratch);
            }
            verdict::of(plan, holding, scratch, exe)
        }
        HOST => {
            let place = scratch::object(scratch);
            let start =
                put(classify::buffer(place), (&raw const question.path).cast(), question.path_len)?;
            classify::clear(place);
            let protocol = net::carrier(question.protocol);
            host::host(plan, place, &Host { start, port: question.port as u16, protocol });
            verdict::of(plan, holding, scratch, exe)
        }
        PEER => {
            let Question { address, port, protocol, .. } = question;
            let (port, protocol) = (*port as u16, *protocol);
            let peer = net::Peer { address: *address, port, protocol, known: net::KNOWN };
            // SAFETY: a claimed slot.
            unsafe { (*scratch).peer = peer };
            net::judge(plan, holding, scratch, exe)
        }
        PRIVILEGE => {
            // SAFETY: a claimed slot.
            unsafe { (*scratch).privilege = question.privilege };
            privilege::judge(plan, holding, scratch, exe)
        }
        _ => verdict::of_unknown(plan, holding),
    })
}

/// Copies a path to where a hook would have it; returns its first byte.
#[inline(always)]
fn put(buffer: *mut PathBuffer, room: *const u8, len: u32) -> Missed<u32> {
    const MASK: u32 = PATH_BUFFER as u32 - 1;
    if len == 0 || len > MASK {
        return Err(Miss::PathTooLong);
    }
    let start = (PATH_BUFFER as u32 - len) & MASK;
    // SAFETY: `start` is masked to the buffer, behind which a claimed slot has room for as much again;
    // the helper checks what is read.
    let failed = unsafe {
        let place = buffer.cast::<u8>().add(start as usize);
        copy(place.cast(), len & MASK, room.add(start as usize).cast())
    };
    if failed == 0 { Ok(start) } else { Err(Miss::ObjectUnreadable) }
}
