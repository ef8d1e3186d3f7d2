//! Connects, sends and binds: judged and refused at the cgroup hooks, the same on every tier.
//!
//! The hooks get the address as the kernel copied it. However it was spelt, it is looked up in one
//! form: IPv4 as IPv4-mapped IPv6, the unspecified address of a peer as the loopback address that it means.

use aya_ebpf::{bindings::bpf_sock_addr, macros::cgroup_sock_addr, programs::SockAddrContext};
use monitor_common::{
    Verdict,
    counter::Miss,
    net::{Call, Net},
    plan::{Bits, Mask},
    record::{Decision, Kind},
    tag::Tag,
};

use crate::{
    classify::{self, Plan},
    emit::{self, Draft},
    miss,
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
    settle(&Peer::new(addr, v4(addr)), Call::Connect)
}

/// TCP and connected UDP over IPv6.
#[cgroup_sock_addr(connect6)]
pub(crate) fn connect6(ctx: SockAddrContext) -> i32 {
    // SAFETY: as above.
    let addr = unsafe { &*ctx.sock_addr };
    settle(&Peer::new(addr, v6(addr)), Call::Connect)
}

/// A datagram with an IPv4 address, also on an IPv6 socket.
#[cgroup_sock_addr(sendmsg4)]
pub(crate) fn sendmsg4(ctx: SockAddrContext) -> i32 {
    // SAFETY: as above.
    let addr = unsafe { &*ctx.sock_addr };
    settle(&Peer::new(addr, v4(addr)), Call::Send)
}

/// A datagram with an IPv6 address.
#[cgroup_sock_addr(sendmsg6)]
pub(crate) fn sendmsg6(ctx: SockAddrContext) -> i32 {
    // SAFETY: as above.
    let addr = unsafe { &*ctx.sock_addr };
    settle(&Peer::new(addr, v6(addr)), Call::Send)
}

/// A socket gets an IPv4 address of its own.
#[cgroup_sock_addr(bind4)]
pub(crate) fn bind4(ctx: SockAddrContext) -> i32 {
    // SAFETY: as above.
    let addr = unsafe { &*ctx.sock_addr };
    if is_client(addr) {
        return PASS;
    }
    settle(&Peer::new(addr, mapped(addr.user_ip4.to_ne_bytes())), Call::Bind)
}

/// A socket gets an IPv6 address of its own.
#[cgroup_sock_addr(bind6)]
pub(crate) fn bind6(ctx: SockAddrContext) -> i32 {
    // SAFETY: as above.
    let addr = unsafe { &*ctx.sock_addr };
    if is_client(addr) {
        return PASS;
    }
    settle(&Peer::new(addr, plain(addr)), Call::Bind)
}

/// A datagram socket that takes any port there is: nobody knows it before it speaks.
#[inline(always)]
fn is_client(addr: &bpf_sock_addr) -> bool {
    addr.user_port as u16 == 0 && addr.protocol == UDP
}

/// A peer, or an own address, in the one form that is looked up.
#[derive(Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) address: [u8; 16],
    pub(crate) port: u16,
    pub(crate) protocol: u32,
}

impl Peer {
    #[inline(always)]
    fn new(addr: &bpf_sock_addr, address: [u8; 16]) -> Self {
        Self { address, port: u16::from_be(addr.user_port as u16), protocol: addr.protocol }
    }
}

#[inline(always)]
fn v4(addr: &bpf_sock_addr) -> [u8; 16] {
    mapped(match addr.user_ip4.to_ne_bytes() {
        [0, 0, 0, 0] => [127, 0, 0, 1],
        bytes => bytes,
    })
}

#[inline(always)]
const fn mapped([a, b, c, d]: [u8; 4]) -> [u8; 16] {
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
    let words = [addr.user_ip6[0], addr.user_ip6[1], addr.user_ip6[2], addr.user_ip6[3]];
    let mut bytes = plain(addr);
    let high = words[0] | words[1];
    if high == 0 && words[2] == 0 && words[3] == 0 {
        bytes[15] = 1;
    }
    if high == 0 && words[2] == 0xffff_u32.to_be() && words[3] == 0 {
        bytes[12] = 127;
        bytes[15] = 1;
    }
    bytes
}

#[inline(never)]
fn settle(peer: &Peer, call: Call) -> i32 {
    let Some(tag) = task::tag(task::current()) else { return PASS };
    let Ok(plan) = classify::plan() else {
        miss::note(Miss::NoPlan);
        return PASS;
    };
    let mut holding = verdict::holding(&plan, &tag, call.act());
    verdict::by_address(&plan, &mut holding, 0);
    if verdict::any(&holding) | plan.watches() == 0 {
        return PASS;
    }
    let decision = match scratch::claim() {
        Ok(scratch) => {
            let decision = judge(&plan, &holding, scratch, peer, Exe::OfCurrent);
            if u64::from(decision.done) | plan.watches() != Verdict::Allow as u64 {
                record(&plan, &tag, scratch, &Attempt { peer: *peer, decision, call });
            }
            scratch::release(scratch);
            decision
        }
        Err(why) => {
            miss::note(why);
            verdict::of_unknown(&plan, &holding)
        }
    };
    verdict::carry_out(&decision);
    if verdict::refuses(&decision) { REFUSE } else { PASS }
}

/// The protocol as rules have it.
#[inline(always)]
pub(crate) const fn carrier(protocol: u32) -> u8 {
    if protocol == MPTCP { TCP } else { protocol as u8 }
}

/// What the rules say of a peer.
#[inline(always)]
pub(crate) fn judge(
    plan: &Plan,
    holding: &Mask,
    scratch: *mut Scratch,
    peer: &Peer,
    exe: Exe,
) -> Decision {
    // SAFETY: a claimed slot.
    let bits = unsafe {
        (*scratch).bits = Bits::default();
        &raw mut (*scratch).bits
    };
    classify::peer(plan, bits, &peer.address, peer.port, carrier(peer.protocol));
    verdict::of(plan, holding, scratch, exe)
}

/// One connect, send or bind, as far as its record tells of it.
struct Attempt {
    peer: Peer,
    decision: Decision,
    call: Call,
}

#[inline(never)]
fn record(plan: &Plan, tag: &Tag, scratch: *mut Scratch, attempt: &Attempt) {
    let header = emit::header(Kind::Net, tag, plan.header.serial);
    let Attempt { peer: Peer { address, port, protocol }, decision, call } = *attempt;
    let body = Net { address, decision, port, protocol: protocol as u16, call: call as u32 };
    Draft::new::<Net>(scratch).send(header, body);
}
