//! Bytes from a ring to an [`Event`]. A record that is not what it says is refused whole, with what is
//! wrong with it; the daemon counts those.

use std::net::Ipv6Addr;

use monitor_common::{
    Act, Verdict, file, net, privilege, process,
    process::exec_flag,
    record::{self, Header, Kind},
};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::{Decision, Event, Exec, File, Net, ProcessId, SessionId, Use, What};
use crate::rules::model::{Trait, Traits};

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It ends before its head or body does.
    #[error("a record of {0} bytes ends too early")]
    Short(usize),
    /// It is not as long as it says.
    #[error("a record of {actual} bytes says that it has {said}")]
    Size {
        /// What the head says.
        said: u32,
        /// What there is.
        actual: usize,
    },
    /// Nobody knows this kind.
    #[error("a record of unknown kind {0}")]
    Kind(u32),
    /// Nobody knows this verdict.
    #[error("a record with unknown verdict {0}")]
    Verdict(u8),
    /// Nobody knows this act, or not of a file that was opened or mapped so.
    #[error("a file record with act {0}")]
    Act(u32),
    /// Nobody knows this origin.
    #[error("a file record with unknown origin {0}")]
    Origin(u32),
    /// Nobody knows this call.
    #[error("a net record with unknown call {0}")]
    Call(u32),
    /// Nobody knows this right.
    #[error("a privilege record with unknown privilege {0}")]
    Privilege(u32),
    /// It lacks a session.
    #[error("a record of no session")]
    Session,
}

/// Decodes one record.
///
/// # Errors
///
/// Where the bytes are not a record of a known kind, complete and without a rest.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let mut rest = bytes;
    let header: Header = take(&mut rest)?;
    if header.size as usize != bytes.len() {
        return Err(DecodeError::Size { said: header.size, actual: bytes.len() });
    }
    if header.session == 0 {
        return Err(DecodeError::Session);
    }
    let what = match Kind::try_from(header.kind).map_err(DecodeError::Kind)? {
        Kind::Fork => fork(&take(&mut rest)?),
        Kind::Exec => exec(&mut rest)?,
        Kind::Exit => What::Exit { status: take::<process::Exit>(&mut rest)?.status },
        Kind::File => file(&mut rest)?,
        Kind::Net => net(&take(&mut rest)?)?,
        Kind::Privilege => used(&take(&mut rest)?)?,
    };
    if !rest.is_empty() {
        return Err(DecodeError::Size { said: header.size, actual: bytes.len() - rest.len() });
    }
    Ok(Event {
        time: header.time,
        sequence: header.sequence,
        cpu: header.cpu,
        process: ProcessId::at(header.pid, header.start),
        tid: header.tid,
        uid: header.uid,
        session: SessionId(header.session),
        agents: header.agents,
        plan: header.plan,
        what,
    })
}

fn take<T: FromBytes + KnownLayout + Immutable>(rest: &mut &[u8]) -> Result<T, DecodeError> {
    let (value, behind) = T::read_from_prefix(rest).map_err(|_| DecodeError::Short(rest.len()))?;
    *rest = behind;
    Ok(value)
}

fn take_bytes<'a>(rest: &mut &'a [u8], len: u32) -> Result<&'a [u8], DecodeError> {
    let (bytes, behind) =
        rest.split_at_checked(len as usize).ok_or(DecodeError::Short(rest.len()))?;
    *rest = behind;
    Ok(bytes)
}

/// A path of no bytes is one that the kernel half could not tell.
fn path(bytes: &[u8]) -> Option<Vec<u8>> {
    (!bytes.is_empty()).then(|| bytes.to_vec())
}

fn decision(raw: &record::Decision) -> Result<Decision, DecodeError> {
    Ok(Decision {
        rule: (raw.rule != record::NO_RULE).then_some(raw.rule),
        done: Verdict::try_from(raw.done).map_err(DecodeError::Verdict)?,
        unknown: raw.unknown != 0,
        by_label: raw.by_label != 0 && raw.rule != record::NO_RULE,
    })
}

fn fork(body: &process::Fork) -> What {
    What::Fork { parent: ProcessId::at(body.parent_pid, body.parent_start) }
}

fn exec(rest: &mut &[u8]) -> Result<What, DecodeError> {
    let body: process::Exec = take(rest)?;
    let exe = path(take_bytes(rest, body.exe_len)?);
    let cwd = path(take_bytes(rest, body.cwd_len)?);
    let area = take_bytes(rest, body.argv_len)?;
    let flag = |flag| body.flags & flag != 0;
    Ok(What::Exec(Exec {
        parent: ProcessId::at(body.parent_pid, body.parent_start),
        exe,
        cwd,
        argv: arguments(area),
        argv_cut: flag(exec_flag::ARGV_CUT),
        argv_unknown: flag(exec_flag::ARGUMENTS_UNKNOWN),
        traits: traits(body.flags),
        root: flag(exec_flag::ROOT),
        inode: (body.device, body.inode),
        decision: decision(&body.decision)?,
    }))
}

/// What is special about a program, by the flags of its record.
fn traits(flags: u32) -> Traits {
    let has = |(one, flag): (Trait, u32)| (flags & flag != 0).then_some(one);
    let words = Trait::WORDS.map(|(_, one)| one).into_iter().zip(exec_flag::TRAITS);
    words.filter_map(has).fold(Traits::NONE, Traits::with)
}

/// Arguments stand one behind the other, each closed by NUL; the last may be cut.
fn arguments(area: &[u8]) -> Vec<Vec<u8>> {
    let area = area.strip_suffix(b"\0").unwrap_or(area);
    if area.is_empty() {
        Vec::new()
    } else {
        area.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
    }
}

fn file(rest: &mut &[u8]) -> Result<What, DecodeError> {
    let body: file::File = take(rest)?;
    let origin = file::Origin::try_from(body.origin).map_err(DecodeError::Origin)?;
    let act = Act::try_from(body.act).ok().filter(|act| can_be(*act, origin));
    let act = act.ok_or(DecodeError::Act(body.act))?;
    Ok(What::File(File {
        act,
        path: path(take_bytes(rest, body.path_len)?),
        inode: (body.device, body.inode),
        origin,
        traits: traits(body.traits),
        decision: decision(&body.decision)?,
    }))
}

/// Whether a file can have come to an act in this way.
const fn can_be(act: Act, origin: file::Origin) -> bool {
    use file::Origin::{Held, Load, Script, Start};
    match act {
        Act::Exec => matches!(origin, Load | Start | Script | Held),
        Act::Read | Act::Write => !matches!(origin, Load | Start | Script),
        Act::Connect | Act::Listen | Act::Privilege => false,
    }
}

fn net(body: &net::Net) -> Result<What, DecodeError> {
    Ok(What::Net(Net {
        address: Ipv6Addr::from(body.address),
        port: body.port,
        protocol: body.protocol,
        call: net::Call::try_from(body.call).map_err(DecodeError::Call)?,
        decision: decision(&body.decision)?,
    }))
}

fn used(body: &privilege::Use) -> Result<What, DecodeError> {
    Ok(What::Privilege(Use {
        privilege: privilege::Privilege::try_from(body.privilege)
            .map_err(DecodeError::Privilege)?,
        held: body.held != 0,
        decision: decision(&body.decision)?,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zerocopy::IntoBytes as _;

    use super::*;
    use crate::rules::model::How;

    fn header(kind: u32, size: usize) -> Header {
        let size = u32::try_from(size).expect("small");
        Header { kind, size, session: 7, pid: 42, start: 10_000_000, ..Header::default() }
    }

    fn file_record(path: &[u8]) -> Vec<u8> {
        let path_len = u32::try_from(path.len()).expect("short");
        let body = file::File {
            inode: 9,
            act: Act::Read as u32,
            path_len,
            decision: record::Decision { done: Verdict::Kill as u8, ..Default::default() },
            ..Default::default()
        };
        let size = size_of::<Header>() + size_of::<file::File>() + path.len();
        [header(Kind::File as u32, size).as_bytes(), body.as_bytes(), path].concat()
    }

    #[test]
    fn a_file_record_becomes_an_event() {
        let event = decode(&file_record(b"/etc/shadow")).expect("a whole record");
        assert_eq!(event.process, ProcessId { pid: 42, start: 1 });
        let What::File(file) = event.what else { panic!("a file event") };
        assert_eq!(file.path.as_deref(), Some(&b"/etc/shadow"[..]));
        assert_eq!((file.decision.rule, file.decision.done), (Some(0), Verdict::Kill));
    }

    #[test]
    fn a_path_of_no_bytes_is_unknown() {
        let event = decode(&file_record(b"")).expect("a whole record");
        let What::File(file) = event.what else { panic!("a file event") };
        assert_eq!(file.path, None);
    }

    #[test]
    fn a_load_is_an_exec_that_is_no_start() {
        let record = |act: Act, origin: file::Origin| {
            let body = file::File {
                act: act as u32,
                origin: origin as u32,
                traits: exec_flag::DELETED,
                ..Default::default()
            };
            let size = size_of::<Header>() + size_of::<file::File>();
            decode(&[header(Kind::File as u32, size).as_bytes(), body.as_bytes()].concat())
        };
        let event = record(Act::Exec, file::Origin::Load).expect("a whole record");
        assert_eq!((event.how(), event.traits().has(Trait::Deleted)), (How::Load, true));
        assert_eq!(record(Act::Exec, file::Origin::Call), Err(DecodeError::Act(0)));
        assert_eq!(record(Act::Read, file::Origin::Load), Err(DecodeError::Act(1)));
        for act in [Act::Exec, Act::Read, Act::Write] {
            assert_eq!(record(act, file::Origin::Held).expect("a whole record").how(), How::Held);
        }
        assert_eq!(record(Act::Connect, file::Origin::Held), Err(DecodeError::Act(3)));
    }

    #[test]
    fn a_right_has_a_name_or_is_refused() {
        let record = |privilege| {
            let body = privilege::Use { privilege, ..Default::default() };
            let size = size_of::<Header>() + size_of::<privilege::Use>();
            decode(&[header(Kind::Privilege as u32, size).as_bytes(), body.as_bytes()].concat())
        };
        for (number, (_, privilege)) in (0..).zip(privilege::Privilege::WORDS) {
            let What::Privilege(used) = record(number).expect("a whole record").what else {
                panic!("a use of a right")
            };
            assert_eq!(used.privilege, privilege);
        }
        assert_eq!(record(8), Err(DecodeError::Privilege(8)));
    }

    #[test]
    fn flags_say_what_is_special() {
        let flags = exec_flag::ROOT | exec_flag::MEMFD | exec_flag::WRITABLE;
        assert_eq!(traits(flags), Traits::NONE.with(Trait::Memfd).with(Trait::Writable));
        assert_eq!(traits(exec_flag::ROOT | exec_flag::ARGV_CUT), Traits::NONE);
        assert_eq!(traits(exec_flag::DELETED), Traits::NONE.with(Trait::Deleted));
        assert_eq!(traits(exec_flag::SETUID), Traits::NONE.with(Trait::Setuid));
    }

    #[test]
    fn an_unknown_kind_is_named() {
        let record = header(99, size_of::<Header>());
        assert_eq!(decode(record.as_bytes()), Err(DecodeError::Kind(99)));
    }

    #[test]
    fn a_record_that_is_cut_or_has_a_rest_is_refused() {
        let whole = file_record(b"/etc/shadow");
        for len in 0..whole.len() {
            assert!(decode(&whole[..len]).is_err(), "{len} bytes of {}", whole.len());
        }
        assert!(decode(&[whole, vec![0]].concat()).is_err());
    }

    #[test]
    fn arguments_keep_the_empty_ones() {
        assert_eq!(arguments(b"a\0\0b\0"), [b"a".to_vec(), b"".to_vec(), b"b".to_vec()]);
        assert_eq!(arguments(b"\0"), Vec::<Vec<u8>>::new());
        assert_eq!(arguments(b"cut"), [b"cut".to_vec()]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            let _outcome = decode(&bytes);
        }

        #[test]
        fn any_body_behind_a_good_head_is_decoded_or_refused(kind in 0u32..20, body: Vec<u8>) {
            let head = header(kind, size_of::<Header>() + body.len());
            let _outcome = decode(&[head.as_bytes(), &body].concat());
        }
    }
}
