//! Every map, declared once. Their layout is `monitor-common`'s; the user half names them in
//! `monitor/src/kernel/maps.rs` and nowhere else.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{Array, HashMap, LpmTrie, PerCpuArray, RingBuf},
    macros::btf_map,
};
use monitor_common::{
    counter::COUNTERS as COUNTER_ROWS,
    plan::{self, BANKS},
    question::Question,
    record::{ACTIVITY_RING_BYTES, Decision, LIFECYCLE_RING_BYTES},
    tag::Tag,
};

use crate::scratch::{SLOTS, Scratch};

const NO_PREALLOC: usize = BPF_F_NO_PREALLOC as usize;
const PER_BANK: usize = BANKS as usize;

/// Fork, exec and exit records. Apart from the activity ring, so that a flood of acts never hides who
/// did them.
#[btf_map]
pub(crate) static LIFECYCLE: RingBuf<u8, { LIFECYCLE_RING_BYTES as usize }> = RingBuf::new();

/// File and net records.
#[btf_map]
pub(crate) static ACTIVITY: RingBuf<u8, { ACTIVITY_RING_BYTES as usize }> = RingBuf::new();

/// [`monitor_common::counter`].
#[btf_map]
pub(crate) static COUNTERS: PerCpuArray<u64, { COUNTER_ROWS as usize }> = PerCpuArray::new();

/// Working memory of the hooks.
#[btf_map]
pub(crate) static SCRATCH: PerCpuArray<Scratch, SLOTS> = PerCpuArray::new();

/// Row 0: the bank of the plan in force.
#[btf_map]
pub(crate) static ACTIVE: Array<u32, 1> = Array::new();

/// One [`plan::Header`] a bank; all zero where there is no plan.
#[btf_map]
pub(crate) static PLANS: Array<plan::Header, PER_BANK> = Array::new();

/// Literal paths and names.
#[btf_map]
pub(crate) static LITERALS: HashMap<
    plan::LiteralKey,
    plan::Literal,
    { plan::LITERALS as usize },
    NO_PREALLOC,
> = HashMap::new();

/// Three automata a bank.
#[btf_map]
pub(crate) static AUTOMATA: Array<plan::Automaton, { PER_BANK * plan::AUTOMATA as usize }> =
    Array::new();

/// Classes.
#[btf_map]
pub(crate) static CLASSES: Array<plan::Bits, { PER_BANK * plan::CLASSES as usize }> = Array::new();

/// Rules, strongest first.
#[btf_map]
pub(crate) static RULES: Array<plan::Rule, { PER_BANK * plan::RULES }> = Array::new();

/// Aux sets.
#[btf_map]
pub(crate) static AUX: Array<plan::Aux, { PER_BANK * plan::AUX }> = Array::new();

/// How often each grant has been used that may be a number of times. Of no bank: a plan gives no use back.
#[btf_map]
pub(crate) static USES: Array<u64, { plan::USES as usize }> = Array::new();

/// Which rules hold for an agent and an act.
#[btf_map]
pub(crate) static MASKS: Array<plan::Mask, { PER_BANK * plan::MASK_ROWS as usize }> = Array::new();

/// How agents are recognised.
#[btf_map]
pub(crate) static CLAUSES: Array<plan::Clause, { PER_BANK * plan::CLAUSES }> = Array::new();

/// Addresses to classes.
#[btf_map]
pub(crate) static RANGES: LpmTrie<plan::Range, u32, { plan::RANGES as usize }> = LpmTrie::new();

/// Users to classes.
#[btf_map]
pub(crate) static USERS: HashMap<plan::UserKey, u32, { plan::USERS as usize }, NO_PREALLOC> =
    HashMap::new();

/// Files to classes, whatever they are called.
#[btf_map]
pub(crate) static LABELS: HashMap<plan::LabelKey, u32, { plan::LABELS as usize }, NO_PREALLOC> =
    HashMap::new();

/// Sessions of which the daemon wants to know what they hold ([`crate::held`]); the value says nothing.
#[btf_map]
pub(crate) static ADOPTED: HashMap<u64, u32, { plan::ADOPTED as usize }, NO_PREALLOC> =
    HashMap::new();

/// [`Tag`]s on tasks.
#[btf_map]
pub(crate) static TAGS: crate::task::TaskStorage<Tag> = crate::task::TaskStorage::new();

/// Row 0: the [`Question`] that [`crate::judge`] answers.
#[btf_map]
pub(crate) static QUESTION: Array<Question, 1> = Array::new();

/// Row 0: its answer.
#[btf_map]
pub(crate) static ANSWER: Array<Decision, 1> = Array::new();

/// What the daemon counts in when it tries which hooks there are; then, not 0 where those of [`crate::prevent`]
/// are attached, and see what they refuse before it is done. One row, for only of such an array the kernel gives a
/// program the address.
#[btf_map]
pub(crate) static RUNG: Array<[u64; 2], 1> = Array::new();

/// The `io_uring` open that a task submitted last and that has not completed, 0 for none.
#[btf_map]
pub(crate) static PENDING: crate::task::TaskStorage<u64> = crate::task::TaskStorage::new();
