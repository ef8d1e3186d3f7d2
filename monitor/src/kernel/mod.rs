//! The kernel half, from above: loaded, given its plan, attached, listened to.
//!
//! Whatever speaks to `bpf(2)` is in this folder.

pub mod attach;
mod grace;
mod held;
pub mod hook_log;
pub mod judge;
pub mod maps;
pub mod modify_return;
pub mod offsets;
pub mod ring;
pub mod rung;
mod skips;
pub mod storage;

use std::{io, path::PathBuf};

use aya::{
    Btf, BtfError, Ebpf, EbpfError, EbpfLoader, VerifierLogLevel,
    maps::MapError,
    programs::{ProgramError, links::LinkError},
};

use monitor_common::Act;

use self::{attach::Attachment, held::Held, maps::JudgeMaps, offsets::Offsets};
pub use self::{
    attach::Lost,
    hook_log::HookLog,
    judge::Judge,
    maps::{Bank, Counters, PlanMaps, Tags},
    modify_return::ModifyReturnError,
    offsets::OffsetError,
    ring::Rings,
    rung::{Broken, Fault, Rung, is_built_with_lsm},
};

use crate::rules::evaluate::Tier;

/// The compiled kernel half.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/monitor"));

/// Why the kernel half is not there.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A capability is missing.
    #[error("{missing} is missing: run as root, or with {needed}")]
    Capability {
        /// The first that is.
        missing: &'static str,
        /// All that are needed.
        needed: &'static str,
    },
    /// The field offsets are not known.
    #[error(transparent)]
    Offsets(#[from] OffsetError),
    /// The kernel's types cannot be read.
    #[error("the kernel's type information cannot be read: {0}")]
    Btf(#[from] BtfError),
    /// The object was not accepted.
    #[error("the kernel half cannot be loaded: {}", chain(.0))]
    Load(#[source] EbpfError),
    /// The object lacks something: it was built from other sources than this program.
    #[error("the kernel half has no `{0}`: this build is broken, build it again")]
    Object(&'static str),
    /// A program was not accepted or not attached.
    #[error("cannot {step} `{program}`: {}", chain(.source))]
    Program {
        /// Its name.
        program: &'static str,
        /// What failed.
        step: &'static str,
        /// Why.
        #[source]
        source: ProgramError,
    },
    /// A program cannot be taken through what tasks have.
    #[error("cannot walk with `{program}`: {source}")]
    Walk {
        /// Its name.
        program: &'static str,
        /// Why.
        #[source]
        source: LinkError,
    },
    /// A program that goes before a function was not accepted or not attached.
    #[error("cannot use `{program}` before a function: {source}")]
    ModifyReturn {
        /// Its name.
        program: &'static str,
        /// Why.
        #[source]
        source: ModifyReturnError,
    },
    /// A map could not be read or written.
    #[error("map {map}: {}", chain(.source))]
    Map {
        /// Its name.
        map: &'static str,
        /// Why.
        #[source]
        source: MapError,
    },
    /// A question could not be put or answered.
    #[error("the kernel half cannot be asked: {0}")]
    Unasked(&'static str),
    /// It cannot be known whether every hook has done with the plan before the last.
    #[error("cannot wait for running hooks: {0}")]
    Grace(#[source] io::Error),
    /// The mounts of this process cannot be read.
    #[error("/proc/self/mountinfo cannot be read, so the cgroup v2 hierarchy cannot be found: {0}")]
    MountInfo(#[source] io::Error),
    /// There is no cgroup v2.
    #[error(
        "no cgroup v2 hierarchy is mounted, so connections cannot be refused: mount one with `mount -t cgroup2 none DIR`"
    )]
    NoCgroup,
    /// There is, and it cannot be opened.
    #[error("the cgroup v2 hierarchy at {} cannot be opened: {source}", .path.display())]
    Cgroup {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The hooks do not log.
    #[error("the log of the hooks cannot be read: {0}")]
    HookLog(#[source] aya_log::Error),
    /// It is not known how often a hook was left out.
    #[error("what the kernel tells of its programs cannot be read: {0}")]
    Skips(#[source] io::Error),
    /// The rings cannot be waited for.
    #[error("the rings cannot be waited for: {0}")]
    Rings(#[source] io::Error),
}

impl KernelError {
    /// Its first line, without what the verifier wrote.
    #[must_use]
    pub fn brief(&self) -> String {
        first_line(&self.to_string())
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.split_once(". Verifier output:").map_or(line, |(answer, _)| answer);
    line.trim_end().to_owned()
}

/// An error and what is behind it on one line, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// The loaded kernel half. Dropped, or with its process gone, nothing of it is left.
pub struct Kernel {
    /// The plan in force.
    pub plans: PlanMaps,
    /// Tags of tasks.
    pub tags: Tags,
    counters: Counters,
    judge: JudgeMaps,
    held: Held,
    attachment: Attachment,
    broken: Vec<Broken>,
    ebpf: Ebpf,
}

impl Kernel {
    /// Loads everything and attaches nothing: the hooks are not there yet.
    ///
    /// `secret` is the key of the literal hash ([`monitor_common::plan::hash_start`]); `debug` lets the
    /// hooks log.
    ///
    /// # Errors
    ///
    /// Where this process may not, or this kernel cannot.
    pub fn load(secret: u64, debug: bool) -> Result<Self, KernelError> {
        require_capabilities()?;
        let offsets = offsets::find()?;
        let types = Btf::from_sys_fs()?;
        let mut broken = Vec::new();
        let mut rungs = Rung::ALL.into_iter();
        loop {
            let mut ebpf = Self::object(secret, debug, &offsets, &types)?;
            let rung = rungs
                .find(|rung| match rung::try_out(&ebpf, &types, *rung) {
                    Ok(()) => true,
                    Err(why) => {
                        broken.push(why);
                        false
                    }
                })
                .expect("the last rung bears everywhere");
            maps::set_prevents(&mut ebpf, rung.prevents())?;
            match Attachment::load(&mut ebpf, &types, rung) {
                Ok(attachment) => {
                    drop(types);
                    give_back_memory();
                    return Self::take(ebpf, attachment, broken);
                }
                Err(error) if rung == Rung::Tracepoints => return Err(error),
                Err(error) => {
                    log::warn!("{}: {error}", rung.name());
                    broken.push(Broken { rung, fault: Fault::Incomplete, why: error.brief() });
                }
            }
        }
    }

    /// The object with its maps, and no program loaded.
    fn object(
        secret: u64,
        debug: bool,
        offsets: &Offsets,
        types: &Btf,
    ) -> Result<Ebpf, KernelError> {
        let level = if debug { aya_log::Level::Debug as u8 } else { 0 };
        let mut loader = EbpfLoader::new();
        loader.allow_unsupported_maps(); // task storage, which aya has no type for yet
        if !debug {
            // The verifier writes no story of what it accepts: that would take it most of its time.
            loader.verifier_log_level(VerifierLogLevel::STATS);
        }
        loader.btf(Some(types)).override_global("HASH_SECRET", &secret, true);
        loader.override_global(aya_log::LEVEL, &level, false);
        for (global, offset) in offsets {
            loader.override_global(global, offset, false);
        }
        loader.load(OBJECT).map_err(KernelError::Load)
    }

    fn take(
        mut ebpf: Ebpf,
        attachment: Attachment,
        broken: Vec<Broken>,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            plans: PlanMaps::take(&mut ebpf)?,
            tags: Tags::take(&mut ebpf)?,
            counters: Counters::take(&mut ebpf)?,
            judge: JudgeMaps::take(&mut ebpf)?,
            held: Held::take(&mut ebpf)?,
            attachment,
            broken,
            ebpf,
        })
    }

    /// The rung that it stands on.
    #[must_use]
    pub const fn rung(&self) -> Rung {
        self.attachment.rung
    }

    /// The rungs above it, which this kernel does not have.
    #[must_use]
    pub fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// The hooks of its rung that this kernel does not have.
    #[must_use]
    pub fn lost(&self) -> &[Lost] {
        &self.attachment.lost
    }

    /// How many hooks its rung has, those that this kernel does not have included.
    #[must_use]
    pub fn wanted(&self) -> usize {
        attach::wanted(self.rung())
    }

    /// What this host can do.
    #[must_use]
    pub fn tier(&self) -> Tier {
        let mut tier = Tier::REACT;
        for act in Act::ALL {
            tier.sees[act as usize] = self.attachment.sees(act);
            tier.refuses[act as usize] = self.attachment.refuses(act);
        }
        tier
    }

    /// Attaches the hooks. A plan must be in force before.
    ///
    /// # Errors
    ///
    /// Where one cannot be attached; those that were are taken off again with `self`.
    pub fn attach(&mut self) -> Result<(), KernelError> {
        self.attachment.attach(&mut self.ebpf)
    }

    /// Whoever answers questions; also before anything is attached.
    ///
    /// # Errors
    ///
    /// Where the program that answers is missing.
    pub fn judge(&mut self) -> Result<Judge<'_>, KernelError> {
        Ok(Judge::new(attach::asked(&self.ebpf)?, &mut self.judge))
    }

    /// Has everything judged that the processes of adopted sessions hold. What hits a rule comes by the rings, as
    /// something that happened.
    ///
    /// # Errors
    ///
    /// Where this kernel does not walk through what tasks have, or not the whole way: then it is counted, too.
    pub fn tell_held(&mut self, sessions: &[u64]) -> Result<(), KernelError> {
        self.held.tell(&mut self.ebpf, sessions)
    }

    /// Every counter by its name: what the hooks counted, and how often the kernel left one out.
    ///
    /// # Errors
    ///
    /// Where the kernel does not give them.
    pub fn counted(&self) -> Result<Vec<(&'static str, u64)>, KernelError> {
        let mut counted = self.counters.read()?;
        counted.push((
            "hooks_skipped",
            skips::read(&self.ebpf, &self.attachment.programs).map_err(KernelError::Skips)?,
        ));
        counted.push(("sessions_unsearched", self.held.unseen()));
        Ok(counted)
    }

    /// The rings, once.
    ///
    /// # Errors
    ///
    /// Where they were taken before, or cannot be waited for.
    pub fn rings(&mut self) -> Result<Rings, KernelError> {
        let lifecycle = maps::lifecycle(&mut self.ebpf)?;
        let activity = maps::activity(&mut self.ebpf)?;
        Rings::new(lifecycle, activity).map_err(KernelError::Rings)
    }

    /// The hooks' own log. The programs must have been loaded with it.
    ///
    /// # Errors
    ///
    /// Where they were not.
    pub fn hook_log(&mut self) -> Result<HookLog, KernelError> {
        HookLog::of(&mut self.ebpf)
    }
}

/// Looking through the kernel's types takes tens of megabytes for a moment; the allocator would keep them.
fn give_back_memory() {
    // SAFETY: takes no memory of ours.
    unsafe { libc::malloc_trim(0) };
}

/// What is needed, all of it.
const NEEDED: &str = "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_PTRACE";

/// The capabilities that this process would need and has not, of `CAP_BPF` (39), `CAP_PERFMON` (38), `CAP_NET_ADMIN` (12)
/// and `CAP_SYS_PTRACE` (19): capabilities(7).
#[must_use]
pub fn missing_capabilities() -> Vec<&'static str> {
    let effective =
        rustix::thread::capabilities(None).map(|sets| sets.effective.bits()).unwrap_or(0);
    let all = [(39, "CAP_BPF"), (38, "CAP_PERFMON"), (12, "CAP_NET_ADMIN"), (19, "CAP_SYS_PTRACE")];
    all.into_iter().filter(|(bit, _)| effective & (1 << bit) == 0).map(|(_, name)| name).collect()
}

fn require_capabilities() -> Result<(), KernelError> {
    match missing_capabilities().first() {
        Some(missing) => Err(KernelError::Capability { missing, needed: NEEDED }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_error_only_what_the_kernel_answered_is_kept() {
        assert_eq!(first_line("no (os error 1). Verifier output: "), "no (os error 1)");
        assert_eq!(
            first_line("no (os error 13). Verifier output: 0: (b7)\n1: (95)"),
            "no (os error 13)"
        );
        assert_eq!(first_line("it is not there"), "it is not there");
        assert_eq!(first_line(""), "");
    }
}
