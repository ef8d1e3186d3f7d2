//! `evade`: carries out one technique of evasion, by its id, and lets others see how far it got.
//!
//! It comes in three roles: it lists its techniques, it sets the stage for one of them (untagged, in
//! namespaces of its own), and it does what an agent would do. The judge, `evasion`, starts the second
//! and looks at nothing but its canaries. What this program says of itself decides nothing.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod case;
mod elf;
mod exec;
mod file;
mod gift;
mod later;
mod net;
mod ring;
mod scope;
mod sink;
mod stage;
mod sys;
mod trick;

use std::{env, io, path::Path, process::ExitCode};

use case::Case;
use trick::Trick;

const USAGE: &str =
    "usage: evade list | plant DIRECTORY | stage ID CASE PROGRAM | act ID CASE WORD…";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match obey(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("evade: {error}");
            ExitCode::FAILURE
        }
    }
}

fn obey(words: &[&str]) -> io::Result<()> {
    match *words {
        ["list"] => {
            trick::all().for_each(|trick| println!("{}", trick.row()));
            later::LATER.iter().for_each(|row| println!("{}", later::row(row)));
            Ok(())
        }
        ["plant", directory] => elf::plant(Path::new(directory)),
        ["stage", id, case, program] => {
            stage::run(named(id)?, &Case::new(case, &[]), Path::new(program))
        }
        ["act", id, case, ref rest @ ..] => {
            sys::die_with_parent()?;
            named(id)?.act(&Case::new(case, rest))
        }
        // Started with a descriptor and a path alone: what a child program of a technique does.
        ["idle", ..] => loop {
            std::thread::sleep(std::time::Duration::from_secs(1));
        },
        ["start", path] => exec::become_program(path),
        ["read", path] => Case::new("/", &[]).read_and_give(path),
        _ => Err(io::Error::other(USAGE)),
    }
}

fn named(id: &str) -> io::Result<&'static Trick> {
    trick::all()
        .find(|trick| trick.id == id)
        .ok_or_else(|| io::Error::other(format!("no technique {id}; `evade list` names them")))
}
