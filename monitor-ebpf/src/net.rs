//! Connects and sends: judged and refused at the cgroup hooks, the same on every tier.
//!
//! The hooks get the address as the kernel copied it. However it was spelt, it is looked up in one
//! form: IPv4 as IPv4-mapped IPv6, the unspecified address as the loopback address that it means.

use aya_ebpf::{bindings::bpf_sock_addr, macros::cgroup_sock_addr, programs::SockAddrContext};
use monitor_common::{
    Act, Verdict,
    counter::Miss,
    net::{CONNECT, Net, SEND},
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
/// `IPPROTO_MPTCP`: TCP on the wire.
const MPTCP: u32 = 262;

/// TCP and connected UDP over IPv4, also by Fast Open and `io_uring`.
#[cgroup_sock_addr(connect4)]
pub(crate) fn connect4(ctx: SockAddrContext) -> i32 {
    // SAFETY: the hook's own context, here and below.
    let addr = unsafe { &*ctx.sock_addr };
    settle(&Peer::new(addr, v4(addr)), CONNECT)
}

/// TCP and connected UDP over IPv6.
#[cgroup_sock_addr(connect6)]
pub(crate) fn connect6(ctx: SockAddrContext) -> i32 {
    // SAFETY: as above.
    let addr = unsafe { &*ctx.sock_addr };
    settle(&Peer::new(addr, v6(addr)), CONNECT)
}

/// A datagram with an IPv4 address, also on an IPv6 socket.
#[cgroup_sock_addr(sendmsg4)]
pub(crate) fn sendmsg4(ctx: SockAddrContext) -> i32 {
    // SAFETY: as above.
    let addr = unsafe { &*ctx.sock_addr };
    settle(&Peer::new(addr, v4(addr)), SEND)
}

/// A datagram with an IPv6 address.
#[cgroup_sock_addr(sendmsg6)]
pub(crate) fn sendmsg6(ctx: SockAddrContext) -> i32 {
    // SAFETY: as above.
    let addr = unsafe { &*ctx.sock_addr };
    settle(&Peer::new(addr, v6(addr)), SEND)
}

/// A peer in the one form that is looked up.
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
    let [a, b, c, d] = match addr.user_ip4.to_ne_bytes() {
        [0, 0, 0, 0] => [127, 0, 0, 1],
        bytes => bytes,
    };
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

#[inline(always)]
fn v6(addr: &bpf_sock_addr) -> [u8; 16] {
    let words = [addr.user_ip6[0], addr.user_ip6[1], addr.user_ip6[2], addr.user_ip6[3]];
    let mut bytes = [0; 16];
    for (index, word) in words.into_iter().enumerate() {
        let word = word.to_ne_bytes();
        for (offset, byte) in word.into_iter().enumerate() {
            bytes[index * 4 + offset] = byte;
        }
    }
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
fn settle(peer: &Peer, call: u32) -> i32 {
    let Some(tag) = task::tag(task::current()) else { return PASS };
    let Ok(plan) = classify::plan() else {
        miss::note(Miss::NoPlan);
        return PASS;
    };
    let holding = verdict::holding(&plan, &tag, Act::Connect);
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
    let carrier = if peer.protocol == MPTCP { TCP } else { peer.protocol as u8 };
    classify::peer(plan, bits, &peer.address, peer.port, carrier);
    verdict::of(plan, holding, scratch, exe)
}

/// One connect or send, as far as its record tells of it.
struct Attempt {
    peer: Peer,
    decision: Decision,
    call: u32,
}

#[inline(never)]
fn record(plan: &Plan, tag: &Tag, scratch: *mut Scratch, attempt: &Attempt) {
    let header = emit::header(Kind::Net, tag, plan.header.serial);
    let Attempt { peer: Peer { address, port, protocol }, decision, call } = *attempt;
    let body = Net { address, decision, port, protocol: protocol as u16, call };
    Draft::new::<Net>(scratch).send(header, body);
}
