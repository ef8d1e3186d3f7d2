//! Driftwatch's kernel half. Read it in this order:
//!
//! 1. the hooks: [`lifecycle`] (fork, exec, exit) and [`inherited`]; on the prevent tier [`prevent`], or else [`syscall`], [`load`],
//!    [`uring`]; behind them [`file`], [`name`], [`program`], [`privilege`], [`net`], which judge;
//! 2. what a hook asks: [`task`] whose is this, [`path`] what is this file called, [`layer`] what is beneath it, [`traits`] what is special
//!    about this program, [`classify`] and [`host`] which lists is it in, [`lists`] and by its arguments, [`scripts`]
//!    which file is it started on, [`environment`] and with which variables, [`verdict`] what is to be done;
//! 3. what it leaves behind: [`emit`] a record, [`miss`] a count;
//!    beside the hooks [`judge`], which the daemon asks what a hook would do, and [`held`], by which it sees what
//!    adopted processes have;
//! 4. what all of them stand on: [`field`] offsets, [`scratch`] memory, [`maps`], [`atomic`].
//!
//! A hook filters first and reserves last. For a task of no session it looks for a tag and returns; only an
//! exec is looked at further, for it may be the start of an agent.
//!
//! What several hooks ask, or one hook at several places, are global functions (`no_mangle`, `extern "C"`). The
//! verifier follows such a function once, and not once for each call with all that it knows there. Therefore they take
//! numbers and whole structures, look whether a pointer is null, which it never is, and give a number back.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod held;
mod inherited;
mod layer;
mod lifecycle;

mod prevent;

mod load;
mod syscall;
mod uring;

mod file;
mod name;
mod net;
mod privilege;
mod program;

mod judge;

mod classify;
mod environment;
mod host;
mod lists;
mod path;
mod scripts;
mod task;
mod traits;
mod verdict;

mod emit;
mod miss;

mod atomic;
mod field;
mod maps;
mod scratch;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel lets only GPL-compatible programs use the helpers that read kernel memory; the sources
/// are also under the MIT licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
