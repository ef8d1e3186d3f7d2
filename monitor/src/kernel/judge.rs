//! Judge: asks the kernel half what would become of an act that nobody does.
//!
//! The program that answers is attached to nothing. It calls the functions that the hooks call, on the
//! bank that the question names, and carries nothing out: so a plan can be tried before it is in force.

use std::net::Ipv6Addr;

use aya::programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _};
use monitor_common::{
    Act, Verdict,
    plan::LIST_BYTES,
    process::exec_flag,
    question::{self, ANSWERED, LIST_ROOM, ROOM},
    record::{self, PATH_BYTES},
    tag::LIMITS,
};
use zerocopy::FromZeros as _;

use super::{
    KernelError,
    maps::{Bank, JudgeMaps},
};
use crate::{
    event::Decision,
    rules::{
        evaluate::Args,
        model::{How, Object, Privilege, Trait, Traits},
    },
};

/// An act that nobody does.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The plan that is asked.
    pub bank: Bank,
    /// The numbers of the agents whose rules hold, [`LIMITS`] at most.
    pub agents: &'a [u32],
    /// What is done.
    pub act: Act,
    /// To what.
    pub subject: Subject<'a>,
    /// The executable of the process that acts, where it is known.
    pub exe: Option<&'a [u8]>,
    /// In what way it is done.
    pub how: How,
    /// Of a program start: its arguments.
    pub args: Args<'a>,
    /// Of a program: what is special about it.
    pub traits: Traits,
}

impl<'a> Question<'a> {
    /// About an act of which no more is known.
    #[must_use]
    pub const fn new(bank: Bank, agents: &'a [u32], act: Act, subject: Subject<'a>) -> Self {
        let (how, args, traits) = (How::Usual, Args::Known(&[]), Traits::NONE);
        Self { bank, agents, act, subject, exe: None, how, args, traits }
    }
}

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A file, by its path from the root.
    Path(&'a [u8]),
    /// A peer; IPv4 in its mapped form.
    Peer {
        /// Its address.
        address: Ipv6Addr,
        /// Its port.
        port: u16,
        /// `IPPROTO_*`.
        protocol: u16,
    },
    /// A peer by its name.
    Host {
        /// In lower case, without a dot at its end.
        name: &'a [u8],
        /// Its port.
        port: u16,
        /// `IPPROTO_*`.
        protocol: u16,
    },
    /// A right.
    Privilege(Privilege),
    /// Something that could not be known.
    Unknown,
}

impl<'a> Subject<'a> {
    /// The object of an act, where the kernel half can be asked about one.
    #[must_use]
    pub fn of(object: &'a Object) -> Option<Self> {
        match object {
            Object::Path(path) => Some(Self::Path(path)),
            &Object::Peer { address, port, protocol } => {
                Some(Self::Peer { address, port, protocol })
            }
            Object::Host { name, port, protocol } => {
                Some(Self::Host { name: name.as_bytes(), port: *port, protocol: *protocol })
            }
            Object::Unknown => Some(Self::Unknown),
            Object::Privilege(privilege) => Some(Self::Privilege(*privilege)),
            Object::Socket(_) => None,
        }
    }
}

/// Whoever can be asked.
pub struct Judge<'a> {
    program: &'a RawTracePoint,
    maps: &'a mut JudgeMaps,
    draft: Box<question::Question>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(program: &'a RawTracePoint, maps: &'a mut JudgeMaps) -> Self {
        let draft = Box::new(question::Question::new_zeroed());
        Self { program, maps, draft }
    }

    /// What the plan of a bank says.
    ///
    /// # Errors
    ///
    /// Where the question cannot be put (a path or name that is empty or longer than [`PATH_BYTES`], more than
    /// [`LIMITS`] agents), the bank has no plan, or the kernel does not run the program.
    pub fn ask(&mut self, question: &Question<'_>) -> Result<Decision, KernelError> {
        self.put(question)?;
        self.maps.put(&self.draft)?;
        let failed = |source| KernelError::Program { program: "judge", step: "run", source };
        let run = self.program.test_run(RawTracePointRunOptions::new()).map_err(failed)?;
        if run.return_value != ANSWERED {
            return Err(KernelError::Unasked("it has no plan there, or no memory to work in"));
        }
        let record::Decision { rule, done, unknown, .. } = self.maps.answer()?;
        let done = Verdict::try_from(done)
            .map_err(|_| KernelError::Unasked("it answered with a verdict that nobody knows"))?;
        let rule = (rule != record::NO_RULE).then_some(rule);
        Ok(Decision { rule, done, unknown: unknown != 0, by_label: false })
    }

    fn put(&mut self, question: &Question<'_>) -> Result<(), KernelError> {
        let draft = &mut *self.draft;
        draft.bank = question.bank.number();
        draft.act = question.act as u32;
        draft.agents = [0; LIMITS];
        let agents = draft.agents.get_mut(..question.agents.len());
        agents
            .ok_or(KernelError::Unasked("a task has fewer agents"))?
            .copy_from_slice(question.agents);
        draft.traits = flags(question.traits);
        draft.args_len = area(&mut draft.args, question.args);
        draft.loaded = u32::from(question.how == How::Load);
        draft.exe_len = question.exe.map_or(Ok(0), |exe| at_end(&mut draft.exe, exe))?;
        match question.subject {
            Subject::Unknown => draft.object = question::UNKNOWN,
            Subject::Path(path) => {
                draft.object = question::PATH;
                draft.path_len = at_end(&mut draft.path, path)?;
            }
            Subject::Privilege(privilege) => {
                draft.object = question::PRIVILEGE;
                draft.privilege = privilege as u32;
            }
            Subject::Peer { address, port, protocol } => {
                draft.object = question::PEER;
                draft.address = address.octets();
                (draft.port, draft.protocol) = (u32::from(port), u32::from(protocol));
            }
            Subject::Host { name, port, protocol } => {
                draft.object = question::HOST;
                draft.path_len = at_end(&mut draft.path, name)?;
                (draft.port, draft.protocol) = (u32::from(port), u32::from(protocol));
            }
        }
        Ok(())
    }
}

/// As hooks have them.
fn flags(traits: Traits) -> u32 {
    let flag = |one: Trait| exec_flag::TRAITS[one as usize];
    traits.iter().map(flag).sum()
}

/// Puts a path or name where hooks have theirs, and gives its length.
fn at_end(room: &mut [u8; ROOM], path: &[u8]) -> Result<u32, KernelError> {
    if path.is_empty() || path.len() > PATH_BYTES {
        return Err(KernelError::Unasked("no path or name is empty or longer than 4,095 bytes"));
    }
    room[ROOM - path.len()..].copy_from_slice(path);
    Ok(u32::try_from(path.len()).expect("just compared"))
}

/// Puts arguments behind an empty name of a program, and gives the length of it all; 0 where they are not known, or
/// longer than hooks look at.
fn area(room: &mut [u8; LIST_ROOM], args: Args<'_>) -> u32 {
    let Args::Known(args) = args else { return 0 };
    let bytes = [0].into_iter().chain(args.iter().flat_map(|text| text.iter().copied().chain([0])));
    let mut len = 0;
    for byte in bytes {
        if len == LIST_BYTES {
            return 0;
        }
        room[len] = byte;
        len += 1;
    }
    u32::try_from(len).expect("just compared")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stands_at_the_end_of_its_room() {
        let mut room = [0; ROOM];
        assert_eq!(at_end(&mut room, b"/a").expect("short"), 2);
        assert_eq!(&room[ROOM - 3..], b"\0/a");
        assert_eq!(at_end(&mut room, &[b'x'; PATH_BYTES]).expect("the longest"), 4095);
        assert_eq!((room[0], room[1]), (0, b'x'));
        assert!(at_end(&mut room, b"").is_err());
        assert!(at_end(&mut room, &[b'x'; ROOM]).is_err());
    }
}
