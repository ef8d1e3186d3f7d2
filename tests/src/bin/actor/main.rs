//! The actor: does what an agent might do, in one way of many, and lets others see how far it got.
//!
//! The live tests, the demo and the benchmark start it twice: as an agent, and as an untagged twin.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod arguments;
mod call;
mod code;
mod count;
mod exec;
mod load;
mod net;
mod open;
mod repeated;
mod right;
mod share;
mod uring;
mod via;
mod witness;

use std::{
    env,
    ffi::OsString,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
    process::ExitCode,
    thread,
    time::Duration,
};

use arguments::{Act, Arguments};
use clap::Parser;
use driftwatch_tests::tally::{DONE, FAILED, REFUSED, Tally};
use repeated::Repeated;
use witness::Witness;

fn main() -> ExitCode {
    let arguments = match words() {
        Ok(words) => Arguments::parse_from(words),
        Err(error) => return ExitCode::from(code_of(&error)),
    };
    match run(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => ExitCode::from(code_of(&error)),
    }
}

/// The command line. One word `@FILE` stands for the lines of a file: what a process was told is part of what is told
/// of it, and what is told is measured.
fn words() -> io::Result<Vec<OsString>> {
    let words: Vec<OsString> = env::args_os().collect();
    let [name, file] = &words[..] else { return Ok(words) };
    let Some(file) = file.to_str().and_then(|file| file.strip_prefix('@')) else {
        return Ok(words);
    };
    let text = fs::read_to_string(file)?;
    Ok([name.clone()].into_iter().chain(text.lines().map(OsString::from)).collect())
}

fn run(arguments: &Arguments) -> io::Result<u8> {
    let witness =
        Witness::new(arguments.leak.as_deref(), arguments.leak_to, arguments.mark.as_deref())?;
    let act = || match wait_for(arguments.after.as_deref())
        .and_then(|()| perform(&arguments.act, &witness))
    {
        Ok(()) => DONE,
        Err(error) => code_of(&error),
    };
    let attempt = || {
        via::through(&arguments.vias, arguments.cgroup.as_deref(), &act).map_err(|e| code_of(&e))
    };
    let Some(times) = arguments.times else {
        return Ok(attempt().unwrap_or_else(|code| code));
    };
    let mut tally = Tally::default();
    for _ in 0..times {
        tally.count(via::in_child(&|| attempt().unwrap_or_else(|code| code))?);
    }
    println!("{tally}");
    Ok(DONE)
}

/// Waits until the file is there: it is looked at and never opened.
fn wait_for(file: Option<&Path>) -> io::Result<()> {
    const GLANCES: u32 = 6_000;
    let Some(file) = file else { return Ok(()) };
    for _ in 0..GLANCES {
        if file.exists() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn perform(act: &Act, witness: &Witness) -> io::Result<()> {
    match act {
        Act::Read { path, how } => open::read(path, *how, witness),
        Act::Write { path, how } => open::write(path, *how, witness),
        Act::Connect { peer, how } => net::connect(*peer, *how),
        Act::Send { peer, how, elsewhere } => net::send(*peer, *how, *elsewhere),
        Act::Exec { how, path, arguments } => exec::become_program(path, arguments, *how),
        Act::Marker { files } => files.last().map_or(Ok(()), |file| mark(file)),
        Act::Each { write, paths } => load::each(paths, *write),
        Act::Opens { path, times } => load::opens(path, *times),
        Act::Forks { descendants, path, tried } => load::forks(*descendants, path, tried, witness),
        Act::Op { operation, times, path, peer } => {
            let nanoseconds = load::measure(*operation, *times, path, *peer)?;
            println!("{nanoseconds:.1}");
            Ok(())
        }
        Act::Count { operation, each, bursts, rest, path, program, peer } => {
            let repeated = Repeated::new(*operation, path, program, *peer)?;
            let rest = rest.map(Duration::from_millis);
            let took = count::count(&repeated, *operation, *each, *bursts, rest)?;
            let words: Vec<_> = took.iter().map(u64::to_string).collect();
            println!("{}", words.join(" "));
            Ok(())
        }
        Act::Load { path, how } => code::load(path, *how, witness),
        Act::Use { how } => right::use_it(*how, witness),
        Act::Sleep { seconds } => {
            thread::sleep(Duration::from_secs(u64::from(*seconds)));
            Ok(())
        }
    }
}

/// One more byte in the file: its length says how often this program has run.
fn mark(file: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(file)?.write_all(b"m")
}

fn code_of(error: &io::Error) -> u8 {
    if error.raw_os_error() == Some(libc::EPERM) {
        return REFUSED;
    }
    eprintln!("actor: {error}");
    FAILED
}
