//! Connects, sends and binds: judged and refused at the cgroup hooks, or on the prevent tier in the calls themselves
//! ([`crate::prevent`]).
//!
//! The hooks get the address as the kernel copied it. However it was spelt, it is looked up in one
//! form: IPv4 as IPv4-mapped IPv6, the unspecified address of a peer as the loopback address that it means.

use aya_ebpf::{bindings::bpf_sock_addr, macros::cgroup_sock_addr, programs::SockAddrContext};
use monitor_common::{
    Verdict,
    net::{Call, Net},
    plan::Mask,
    record::{Decision, Kind},
    tag::Tag,
};

use crate::{
    classify::{self, Plan},
    emit::{self, Draft},
    scratch::{self, Scratch},
    task,
    verdict::{self, Exe},
};

/// What a cgroup hook returns to let the call through.
const PASS: i32 = 1;
/// What it returns to make the call fail with `EPERM`.
const REFUSE: i32 = 0;

/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// `IPPROTO_UDP`.
const UDP: u32 = 17;
/// `IPPROTO_MPTCP`: TCP on the wire.
const MPTCP: u32 = 262;

/// TCP and connected UDP over IPv4, also by Fast Open and `io_uring`.
#[cgroup_sock_addr(connect4)]
pub(crate) fn connect4(ctx: SockAddrContext) -> i32 {
    // SAFETY: the hook's own context, here and below.
    let addr = unsafe { &*ctx.sock_addr };
    answer(&Peer::new(addr, v4(addr)), Call::Connect)
}

/// TCP and connected UDP over IPv6.
#[cgroup_sock_addr(connect6)]
pub(crate) fn connect6(ctx: SockAddrContext) -> i32 {
    // SAFETY: as above.
    let addr = unsafe { &*ctx.sock_addr };
    answer(&Peer::new(addr, v6(addr)), Call::Connect)
}

/// A datagram with an IPv4 address, also on an IPv6 socket.
#[cgroup_sock_addr(sendmsg4)]
pub(crate) fn sendmsg4(ctx: SockAddrContext) -> i32 {
    // SAFETY: as above.
    let addr = unsafe { &*ctx.sock_addr };
    answer(&Peer::new(addr, v4(addr)), Call::Send)
}

/// A datagram with an IPv6 address.
#[cgroup_sock_addr(sendmsg6)]
pub(crate) fn sendmsg6(ctx: SockAddrContext) -> i32 {
    // SAFETY: as above.
    let addr = unsafe { &*ctx.sock_addr };
    answer(&Peer::new(addr, v6(addr)), Call::Send)
}

/// A socket gets an IPv4 address of its own.
#[cgroup_sock_addr(bind4)]
pub(crate) fn bind4(ctx: SockAddrContext) -> i32 {
    // SAFETY: as above.
    let addr = unsafe { &*ctx.sock_addr };
    if is_client(addr) {
        return PASS;
    }
    answer(&Peer::new(addr, mapped(addr.user_ip4.to_ne_bytes())), Call::Bind)
}

/// A socket gets an IPv6 address of its own.
#[cgroup_sock_addr(bind6)]
pub(crate) fn bind6(ctx: SockAddrContext) -> i32 {
    // SAFETY: as above.
    let addr = unsafe { &*ctx.sock_addr };
    if is_client(addr) {
        return PASS;
    }
    answer(&Peer::new(addr, plain(addr)), Call::Bind)
}

/// A datagram socket that takes any port there is: nobody knows it before it speaks.
#[inline(always)]
fn is_client(addr: &bpf_sock_addr) -> bool {
    addr.user_port as u16 == 0 && addr.protocol == UDP
}

/// A peer, or an own address, in the one form that is looked up.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) address: [u8; 16],
    pub(crate) port: u16,
    pub(crate) protocol: u32,
    /// [`KNOWN`], or nobody can say where the bytes go.
    pub(crate) known: u32,
}

/// [`Peer::known`] of a peer that is. A number: the verifier follows less of it.
pub(crate) const KNOWN: u32 = 1;

impl Peer {
    #[inline(always)]
    fn new(addr: &bpf_sock_addr, address: [u8; 16]) -> Self {
        let port = u16::from_be(addr.user_port as u16);
        Self { address, port, protocol: addr.protocol, known: KNOWN }
    }
}

/// The unspecified address of a peer is the host itself.
#[inline(always)]
pub(crate) fn no_unspecified(mut bytes: [u8; 16]) -> [u8; 16] {
    let mut high = 0;
    for byte in &bytes[..10] {
        high |= *byte;
    }
    let mut low = 0;
    for byte in &bytes[12..] {
        low |= *byte;
    }
    if high | low == 0 {
        match [bytes[10], bytes[11]] {
            [0, 0] => bytes[15] = 1,
            [0xff, 0xff] => {
                bytes[12] = 127;
                bytes[15] = 1;
            }
            _ => {}
        }
    }
    bytes
}

#[inline(always)]
fn v4(addr: &bpf_sock_addr) -> [u8; 16] {
    no_unspecified(mapped(addr.user_ip4.to_ne_bytes()))
}

#[inline(always)]
pub(crate) const fn mapped([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

#[inline(always)]
fn plain(addr: &bpf_sock_addr) -> [u8; 16] {
    let words = [addr.user_ip6[0], addr.user_ip6[1], addr.user_ip6[2], addr.user_ip6[3]];
    let mut bytes = [0; 16];
    for (index, word) in words.into_iter().enumerate() {
        let word = word.to_ne_bytes();
        for (offset, byte) in word.into_iter().enumerate() {
            bytes[index * 4 + offset] = byte;
        }
    }
    bytes
}

#[inline(always)]
fn v6(addr: &bpf_sock_addr) -> [u8; 16] {
    no_unspecified(plain(addr))
}

/// Judges a call of the current process, where it is an agent's, as a cgroup hook answers.
#[inline(always)]
fn answer(peer: &Peer, call: Call) -> i32 {
    let Some(tag) = task::tag(task::current()) else { return PASS };
    let done = with_peer(tag, call, |place| {
        // SAFETY: in a claimed slot.
        unsafe { *place = *peer };
        true
    });
    if verdict::refuses(done) { REFUSE } else { PASS }
}

/// Judges a call with a peer, or with an own address; returns what is done. `find` puts the peer in its place, from
/// where the verifier follows none of it, or says that there is none.
#[inline(always)]
pub(crate) fn with_peer(tag: &Tag, call: Call, find: impl FnOnce(*mut Peer) -> bool) -> u8 {
    let Some(plan) = classify::in_force() else { return Verdict::Allow as u8 };
    let plan = &plan;
    verdict::with_scratch(
        || verdict::unseen(plan, tag, call.act()),
        |scratch| {
            // SAFETY: a claimed slot.
            if find(unsafe { &raw mut (*scratch).peer }) {
                settle(plan, tag, scratch, call)
            } else {
                Verdict::Allow as u8
            }
        },
    )
}

/// The same with the peer in its place.
#[inline(never)]
fn settle(plan: &Plan, tag: &Tag, scratch: *mut Scratch, call: Call) -> u8 {
    // SAFETY: a claimed slot; here and below.
    let holding = unsafe { &raw mut (*scratch).holding[0] };
    verdict::hold(plan, tag, call.act(), holding);
    verdict::by_address(plan, holding, 0);
    if verdict::any(holding) | plan.watches() == 0 {
        return Verdict::Allow as u8;
    }
    let known = unsafe { (*scratch).peer.known };
    let decision = if known == KNOWN {
        judge(plan, holding, scratch, Exe::OfCurrent)
    } else {
        verdict::of_unknown(plan, holding)
    };
    if u64::from(decision.done) | plan.watches() != Verdict::Allow as u64 {
        record(plan, tag, scratch, &decision, call);
    }
    verdict::carry_out(&decision)
}

/// The protocol as rules have it.
#[inline(always)]
pub(crate) const fn carrier(protocol: u32) -> u8 {
    if protocol == MPTCP { TCP } else { protocol as u8 }
}

/// What the rules say of the peer in the scratch.
#[inline(always)]
pub(crate) fn judge(
    plan: &Plan,
    holding: *const Mask,
    scratch: *mut Scratch,
    exe: Exe,
) -> Decision {
    let place = scratch::object(scratch);
    classify::clear(place);
    // SAFETY: a claimed slot.
    let Peer { address, port, protocol, .. } = unsafe { &(*scratch).peer };
    classify::peer(plan, classify::bits(place), address, *port, carrier(*protocol));
    verdict::of(plan, holding, scratch, exe)
}

#[inline(never)]
fn record(plan: &Plan, tag: &Tag, scratch: *mut Scratch, decision: &Decision, call: Call) {
    let header = emit::header(Kind::Net, tag, plan.header.serial);
    // SAFETY: a claimed slot.
    let Peer { address, port, protocol, .. } = unsafe { &(*scratch).peer };
    let body = Net {
        address: *address,
        decision: *decision,
        port: *port,
        protocol: *protocol as u16,
        call: call as u32,
    };
    Draft::new::<Net>(scratch).send(header, body);
}
