//! The kernel half's maps, each under one Rust type. No other file of the user half names a map.
//!
//! A plan goes in by banks: [`PlanMaps::prepare`] clears the idle bank and fills it, and
//! [`PlanMaps::switch`] puts it in force by one write. Nothing of it is in force before that write, all of
//! it after.

use std::{
    collections::BTreeSet,
    io,
    os::fd::{AsFd as _, AsRawFd, BorrowedFd, RawFd},
};

use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, RingBuf, lpm_trie::Key},
};
use monitor_common::{
    counter::{Counter, Miss},
    plan::{self, BANKS, RANGE_LEAD_BITS, row},
    question::Question,
    record::Decision,
    tag::Tag,
};

use super::{KernelError, grace::Grace, storage::TaskStorage};
use crate::rules::plan::KernelPlan;

/// Takes a map out of the loaded object.
fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, KernelError> {
    ebpf.take_map(name).ok_or(KernelError::Object(name))
}

fn typed<T>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, KernelError>
where
    T: TryFrom<Map, Error = MapError>,
{
    T::try_from(take(ebpf, name)?).map_err(|source| KernelError::Map { map: name, source })
}

/// The descriptors of all maps that are there, by name.
pub(super) fn descriptors(ebpf: &Ebpf) -> Vec<(&str, RawFd)> {
    fn data(map: &Map) -> Option<&MapData> {
        Some(match map {
            Map::Array(data)
            | Map::HashMap(data)
            | Map::LpmTrie(data)
            | Map::PerCpuArray(data)
            | Map::RingBuf(data)
            | Map::Unsupported(data) => data,
            _ => return None,
        })
    }
    let descriptor = |(name, map)| Some((name, data(map)?.fd().as_fd().as_raw_fd()));
    ebpf.maps().filter_map(descriptor).collect()
}

/// The map of trials and of the rung.
const RUNG: &str = "RUNG";

fn rung(ebpf: &Ebpf) -> Result<Array<&MapData, [u64; 2]>, KernelError> {
    let map = ebpf.map(RUNG).ok_or(KernelError::Object(RUNG))?;
    Array::try_from(map).map_err(|source| KernelError::Map { map: RUNG, source })
}

/// The array in whose first number a program counts that tries a rung out.
pub(super) fn trials(ebpf: &Ebpf) -> Result<RawFd, KernelError> {
    let found = descriptors(ebpf).into_iter().find(|(name, _)| *name == RUNG);
    found.map(|(_, fd)| fd).ok_or(KernelError::Object(RUNG))
}

/// How often it ran.
pub(super) fn tried(ebpf: &Ebpf) -> Result<u64, KernelError> {
    let row = rung(ebpf)?.get(&0, 0);
    row.map(|[runs, _]| runs).map_err(|source| KernelError::Map { map: RUNG, source })
}

/// Tells the kernel half whether it prevents.
pub(super) fn set_prevents(ebpf: &mut Ebpf, prevents: bool) -> Result<(), KernelError> {
    let map = ebpf.map_mut(RUNG).ok_or(KernelError::Object(RUNG))?;
    let failed = |source| KernelError::Map { map: RUNG, source };
    let mut rung: Array<_, [u64; 2]> = Array::try_from(map).map_err(failed)?;
    rung.set(0, [0, u64::from(prevents)], 0).map_err(failed)
}

/// The ring of fork, exec and exit.
pub(super) fn lifecycle(ebpf: &mut Ebpf) -> Result<RingBuf<MapData>, KernelError> {
    typed(ebpf, "LIFECYCLE")
}

/// The ring of acts.
pub(super) fn activity(ebpf: &mut Ebpf) -> Result<RingBuf<MapData>, KernelError> {
    typed(ebpf, "ACTIVITY")
}

/// The map of sessions of which is asked what they hold.
const ADOPTED: &str = "ADOPTED";

/// Those sessions; empty but for a walk.
pub(super) fn adopted(ebpf: &mut Ebpf) -> Result<HashMap<MapData, u64, u32>, KernelError> {
    typed(ebpf, ADOPTED)
}

/// They cannot be put there.
pub(super) fn adopted_failed(source: MapError) -> KernelError {
    KernelError::Map { map: ADOPTED, source }
}

/// Counters, added up over the CPUs.
pub struct Counters(PerCpuArray<MapData, u64>);

impl Counters {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        typed(ebpf, "COUNTERS").map(Self)
    }

    /// Every counter and miss by its name.
    ///
    /// # Errors
    ///
    /// Where the kernel does not give them.
    pub fn read(&self) -> Result<Vec<(&'static str, u64)>, KernelError> {
        let counters = Counter::ALL.iter().map(|counter| (counter.name(), *counter as u32));
        let misses = Miss::ALL.iter().map(|miss| (miss.name(), miss.index()));
        counters
            .chain(misses)
            .map(|(name, index)| {
                let cells = self.0.get(&index, 0);
                let cells = cells.map_err(|source| KernelError::Map { map: "COUNTERS", source })?;
                Ok((name, cells.iter().sum()))
            })
            .collect()
    }
}

/// Tags of tasks.
pub struct Tags(TaskStorage<Tag>);

impl Tags {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        TaskStorage::try_from(take(ebpf, "TAGS")?).map(Self)
    }

    /// The tag of the thread behind a pidfd, where it has one.
    ///
    /// # Errors
    ///
    /// Where the thread is gone.
    pub fn get(&self, pidfd: BorrowedFd<'_>) -> io::Result<Option<Tag>> {
        Ok(self.0.get(pidfd)?.filter(Tag::is_set))
    }

    /// Puts a tag on the thread behind a pidfd.
    ///
    /// # Errors
    ///
    /// Where the thread is gone, or the kernel has no memory.
    pub fn set(&self, pidfd: BorrowedFd<'_>, tag: &Tag) -> io::Result<()> {
        self.0.set(pidfd, tag)
    }
}

/// All maps that hold a plan.
pub struct PlanMaps {
    active: Array<MapData, u32>,
    plans: Array<MapData, plan::Header>,
    literals: HashMap<MapData, plan::LiteralKey, plan::Literal>,
    automata: Array<MapData, plan::Automaton>,
    classes: Array<MapData, plan::Bits>,
    rules: Array<MapData, plan::Rule>,
    aux: Array<MapData, plan::Aux>,
    masks: Array<MapData, plan::Mask>,
    clauses: Array<MapData, plan::Clause>,
    ranges: LpmTrie<MapData, plan::Range, u32>,
    users: HashMap<MapData, plan::UserKey, u32>,
    labels: HashMap<MapData, plan::LabelKey, u32>,
    uses: Array<MapData, u64>,
    /// What each bank holds: hash maps have no other memory of it.
    held: [Held; BANKS as usize],
    grace: Grace,
    /// Whether a hook may still read the idle bank.
    unsettled: bool,
}

/// Where a plan lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bank(u32);

impl Bank {
    pub(super) const fn number(self) -> u32 {
        self.0
    }
}

/// The two maps of questions and answers.
pub(super) struct JudgeMaps {
    question: Array<MapData, Question>,
    answer: Array<MapData, Decision>,
}

impl JudgeMaps {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self { question: typed(ebpf, "QUESTION")?, answer: typed(ebpf, "ANSWER")? })
    }

    pub(super) fn put(&mut self, question: &Question) -> Result<(), KernelError> {
        self.question.set(0, question, 0).map_err(in_map("QUESTION"))
    }

    pub(super) fn answer(&self) -> Result<Decision, KernelError> {
        self.answer.get(&0, 0).map_err(in_map("ANSWER"))
    }
}

/// The keys of one bank.
#[derive(Default)]
struct Held {
    literals: Vec<plan::LiteralKey>,
    ranges: Vec<(u32, plan::Range)>,
    users: Vec<plan::UserKey>,
    labels: BTreeSet<plan::LabelKey>,
    masks: Vec<u32>,
}

impl PlanMaps {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            active: typed(ebpf, "ACTIVE")?,
            plans: typed(ebpf, "PLANS")?,
            literals: typed(ebpf, "LITERALS")?,
            automata: typed(ebpf, "AUTOMATA")?,
            classes: typed(ebpf, "CLASSES")?,
            rules: typed(ebpf, "RULES")?,
            aux: typed(ebpf, "AUX")?,
            masks: typed(ebpf, "MASKS")?,
            clauses: typed(ebpf, "CLAUSES")?,
            ranges: typed(ebpf, "RANGES")?,
            users: typed(ebpf, "USERS")?,
            labels: typed(ebpf, "LABELS")?,
            uses: typed(ebpf, "USES")?,
            held: Default::default(),
            grace: Grace::new().map_err(KernelError::Grace)?,
            unsettled: false,
        })
    }

    /// The bank of the plan in force.
    ///
    /// # Errors
    ///
    /// Where the kernel does not say.
    pub fn active(&self) -> Result<Bank, KernelError> {
        self.active.get(&0, 0).map(Bank).map_err(in_map("ACTIVE"))
    }

    /// Writes a plan into the idle bank. Nothing of it is in force.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses a write, or cannot say that no hook reads the idle bank any more.
    pub fn prepare(&mut self, plan: &KernelPlan) -> Result<Bank, KernelError> {
        let bank = (self.active()?.0 + 1) % BANKS;
        if self.unsettled {
            self.grace.wait().map_err(KernelError::Grace)?;
            self.unsettled = false;
        }
        self.clear(bank)?;
        self.fill(bank, plan)?;
        Ok(Bank(bank))
    }

    /// Puts the plan that was prepared in force. On an error the plan before it stays. When this returns,
    /// no hook asks the one before any more.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses the write.
    pub fn switch(&mut self, bank: Bank) -> Result<(), KernelError> {
        self.active.set(0, bank.0, 0).map_err(in_map("ACTIVE"))?;
        // A hook that began before the switch may have been preempted and still reads the other bank: it
        // must have ended before anything is written there.
        self.unsettled = self.grace.wait().is_err();
        Ok(())
    }

    /// Gives a file of the plan in force the label that it has in `plan`, which is the plan in force and more. Its
    /// class is there before anything leads to it.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses a write.
    pub fn label(&mut self, plan: &KernelPlan, file: &plan::LabelKey) -> Result<(), KernelError> {
        let Bank(bank) = self.active()?;
        let Some(&class) = plan.labels.get(file) else { return Ok(()) };
        let bits = plan.classes[class as usize];
        let index = row(bank, plan::CLASSES, class);
        self.classes.set(index, bits, 0).map_err(in_map("CLASSES"))?;
        let key = plan::LabelKey { bank, ..*file };
        self.labels.insert(key, class, 0).map_err(in_map("LABELS"))?;
        let labels = &mut self.held[bank as usize].labels;
        let first = labels.is_empty();
        labels.insert(key);
        if first {
            // Now there are labels to look up. Nothing else of the row changes.
            self.plans.set(bank, plan.header, 0).map_err(in_map("PLANS"))?;
        }
        Ok(())
    }

    /// Takes the label of a file out of the plan in force.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses the write.
    pub fn unlabel(&mut self, file: &plan::LabelKey) -> Result<(), KernelError> {
        let Bank(bank) = self.active()?;
        let key = plan::LabelKey { bank, ..*file };
        if self.held[bank as usize].labels.remove(&key) {
            self.labels.remove(&key).map_err(in_map("LABELS"))?;
        }
        Ok(())
    }

    /// How often the grant that counts in this slot was used.
    ///
    /// # Errors
    ///
    /// Where there is no such slot.
    pub fn uses(&self, slot: u16) -> Result<u64, KernelError> {
        self.uses.get(&u32::from(slot), 0).map_err(in_map("USES"))
    }

    /// From now on another grant counts in this slot. No plan in force may use it.
    ///
    /// # Errors
    ///
    /// Where there is no such slot.
    pub fn clear_uses(&mut self, slot: u16) -> Result<(), KernelError> {
        self.uses.set(u32::from(slot), 0, 0).map_err(in_map("USES"))
    }

    fn clear(&mut self, bank: u32) -> Result<(), KernelError> {
        let held = std::mem::take(&mut self.held[bank as usize]);
        self.plans.set(bank, plan::Header::default(), 0).map_err(in_map("PLANS"))?;
        for key in held.literals {
            self.literals.remove(&key).map_err(in_map("LITERALS"))?;
        }
        for (bits, range) in held.ranges {
            self.ranges.remove(&Key::new(bits, range)).map_err(in_map("RANGES"))?;
        }
        for key in held.users {
            self.users.remove(&key).map_err(in_map("USERS"))?;
        }
        for key in held.labels {
            self.labels.remove(&key).map_err(in_map("LABELS"))?;
        }
        for index in held.masks {
            self.masks.set(index, plan::Mask::default(), 0).map_err(in_map("MASKS"))?;
        }
        Ok(())
    }

    fn fill(&mut self, bank: u32, plan: &KernelPlan) -> Result<(), KernelError> {
        fill(&mut self.classes, "CLASSES", row(bank, plan::CLASSES, 0), &plan.classes)?;
        fill(&mut self.rules, "RULES", row(bank, plan::RULE_ROWS, 0), &plan.rules)?;
        fill(&mut self.aux, "AUX", row(bank, plan::AUX_ROWS, 0), &plan.aux)?;
        fill(&mut self.clauses, "CLAUSES", row(bank, plan::CLAUSE_ROWS, 0), &plan.clauses)?;
        for (which, automaton) in (0..).zip(&plan.automata) {
            if let Some(automaton) = automaton {
                let index = row(bank, plan::AUTOMATA, which);
                self.automata.set(index, automaton.as_ref(), 0).map_err(in_map("AUTOMATA"))?;
            }
        }
        for (agent_act, mask) in &plan.masks {
            let index = row(bank, plan::MASK_ROWS, *agent_act);
            self.held[bank as usize].masks.push(index);
            self.masks.set(index, mask, 0).map_err(in_map("MASKS"))?;
        }
        self.fill_hashes(bank, plan)?;
        self.plans.set(bank, plan.header, 0).map_err(in_map("PLANS"))
    }

    fn fill_hashes(&mut self, bank: u32, plan: &KernelPlan) -> Result<(), KernelError> {
        let held = &mut self.held[bank as usize];
        for (&(hash, len), literal) in &plan.literals {
            let key = plan::LiteralKey { hash, len, bank };
            self.literals.insert(key, literal, 0).map_err(in_map("LITERALS"))?;
            held.literals.push(key);
        }
        for (bits, range, class) in &plan.ranges {
            let bits = RANGE_LEAD_BITS + bits;
            let bank = u8::try_from(bank).expect("there are two banks");
            let range = plan::Range { bank, ..*range };
            self.ranges.insert(&Key::new(bits, range), class, 0).map_err(in_map("RANGES"))?;
            held.ranges.push((bits, range));
        }
        for (uid, class) in &plan.users {
            let key = plan::UserKey { uid: *uid, bank };
            self.users.insert(key, class, 0).map_err(in_map("USERS"))?;
            held.users.push(key);
        }
        for (key, class) in &plan.labels {
            let key = plan::LabelKey { bank, ..*key };
            self.labels.insert(key, class, 0).map_err(in_map("LABELS"))?;
            held.labels.insert(key);
        }
        Ok(())
    }
}

fn fill<V: Pod>(
    array: &mut Array<MapData, V>,
    map: &'static str,
    first: u32,
    values: &[V],
) -> Result<(), KernelError> {
    for (index, value) in (first..).zip(values) {
        array.set(index, value, 0).map_err(in_map(map))?;
    }
    Ok(())
}

fn in_map(map: &'static str) -> impl Fn(MapError) -> KernelError {
    move |source| KernelError::Map { map, source }
}

/// The raw descriptor of a map that aya has no type for.
pub(super) fn raw_fd(map: &Map) -> Option<i32> {
    match map {
        Map::Unsupported(data) => {
            use std::os::fd::AsFd as _;
            Some(data.fd().as_fd().as_raw_fd())
        }
        _ => None,
    }
}
