//! X07, X08, X18 to X20: code that no start brings: loaders, libraries, mappings, memory.

use std::{
    fs::{self, File},
    io,
    os::unix::{fs::FileExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use super::names::become_program;
use crate::{
    elf,
    sys::{self, call, text},
    trick::{Expect, Trick, start},
};

const IN_MEMORY: &str =
    "code that is copied into memory belongs to no file: just-in-time compilers do it";
const LOADER: &str = "a dynamic loader";

pub(crate) const TRICKS: &[Trick] = &[
    start("X07a", "the dynamic loader is told to run it", |case| {
        Err(Command::new(loader()?).arg(case.evil()).exec())
    })
    .needs(LOADER),
    start("X07b", "the same by a hard link", |case| {
        fs::hard_link(case.evil(), case.desk("linked"))?;
        Err(Command::new(loader()?).arg(case.desk("linked")).exec())
    })
    .needs(LOADER),
    start("X07c", "it is named as somebody's loader (PT_INTERP)", |case| {
        elf::put(&case.desk("own"), &elf::program(Some(&case.evil())))?;
        become_program(case.desk("own"))
    })
    .react(Expect::Limit("what the interpreter line of a program names is no load on this tier")),
    start("X08a", "a library that may not be loaded, by LD_PRELOAD", |case| {
        let library = case.path("evil/library.so");
        Err(Command::new("/bin/true").env("LD_PRELOAD", library).exec())
    })
    .needs("a program with a dynamic loader"),
    start("X08b", "a library that audits, by LD_AUDIT", |case| {
        let library = case.path("evil/library.so");
        Err(Command::new("/bin/true").env("LD_AUDIT", library).exec())
    })
    .needs("a program with a dynamic loader"),
    start("X08c", "a library, opened by a running program", |case| {
        let path = text(case.path("evil/library.so"));
        // SAFETY: the library is ours, and writes one word.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        if library.is_null() { Err(io::Error::other("not loaded")) } else { Ok(()) }
    })
    .needs("a program with a dynamic loader"),
    start("X18a", "mapped executable", |case| {
        let protection = libc::PROT_READ | libc::PROT_EXEC;
        run_mapped(&File::open(case.evil())?, protection)
    }),
    start("X18b", "mapped, then made executable", |case| {
        let file = File::open(case.evil())?;
        let memory = sys::map(&file, 0x1000, libc::PROT_READ, libc::MAP_PRIVATE)?;
        make_executable(memory)?;
        sys::jump(memory.wrapping_add(elf::MARKING_AT));
        Ok(())
    }),
    start("X18c", "a memory file, mapped executable", |case| {
        let name = text("harmless");
        let file = sys::owned(call(libc::SYS_memfd_create, [sys::at(&name), 0]))?;
        let file = File::from(file);
        file.write_all_at(&fs::read(case.evil())?, 0)?;
        run_mapped(&file, libc::PROT_READ | libc::PROT_EXEC)
    }),
    start("X18d", "every new mapping is executable (personality)", |case| {
        const READ_IMPLIES_EXEC: usize = 0x0040_0000;
        call(libc::SYS_personality, [READ_IMPLIES_EXEC])?;
        run_mapped(&File::open(case.evil())?, libc::PROT_READ)
    }),
    start("X18e", "mapped executable from before", |case| {
        run_mapped(&case.gift(0), libc::PROT_READ | libc::PROT_EXEC)
    })
    .before(|case, gift| {
        gift.leave(File::open(case.evil())?);
        Ok(())
    }),
    start("X18f", "mapped by an overlay", |case| {
        fs::create_dir(case.desk("merged"))?;
        let lower =
            format!("lowerdir={}:{}", case.path("evil").display(), case.path("desk").display());
        sys::mount("overlay", case.desk("merged"), "overlay", 0, &lower)?;
        run_mapped(&File::open(case.desk("merged/tool"))?, libc::PROT_READ | libc::PROT_EXEC)
    })
    .needs("overlay"),
    start("X19", "read into memory that is made executable", |case| {
        let memory = sys::memory(0x2000, libc::PROT_READ | libc::PROT_WRITE)?;
        sys::store(memory, &fs::read(case.evil())?);
        make_executable(memory)?;
        sys::jump(memory.wrapping_add(elf::MARKING_AT));
        Ok(())
    })
    .both(Expect::Limit(IN_MEMORY)),
    start("X20", "written over one's own code by /proc/self/mem", |case| {
        // What the compiler knows of this function does not hold any more when it is called.
        let place = std::hint::black_box(libc::abs as *const () as usize);
        let memory = fs::OpenOptions::new().write(true).open("/proc/self/mem")?;
        let code = &fs::read(case.evil())?[elf::MARKING_AT..elf::MARKING_AT + 64];
        memory.write_all_at(code, u64::try_from(place).map_err(io::Error::other)?)?;
        sys::jump(place as *const u8);
        Ok(())
    }),
];

/// The dynamic loader of this host.
fn loader() -> io::Result<PathBuf> {
    let known = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"];
    let found = known.map(Path::new).into_iter().find(|path| path.exists());
    found.map(Path::to_owned).ok_or_else(|| io::Error::other("no dynamic loader here"))
}

fn run_mapped(file: &impl std::os::fd::AsRawFd, protection: i32) -> io::Result<()> {
    let memory = sys::map(file, 0x1000, protection, libc::MAP_PRIVATE)?;
    sys::jump(memory.wrapping_add(elf::MARKING_AT));
    Ok(())
}

fn make_executable(memory: *mut u8) -> io::Result<()> {
    let protection = (libc::PROT_READ | libc::PROT_EXEC) as usize;
    call(libc::SYS_mprotect, [memory as usize, 0x1000, protection]).map(drop)
}
