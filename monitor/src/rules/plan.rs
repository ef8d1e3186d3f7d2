//! The KernelPlan: a rule set as the kernel half wants it, before anybody has put it there.
//!
//! [`super::compile`] makes it, the installer writes it into the idle bank, and [`super::lookup`] reads
//! it the way the kernel does. What each part means is said in [`monitor_common::plan`]; here the parts
//! are only held together, without a bank: keys have bank 0, rows are those within a bank.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use monitor_common::{
    Act, Verdict,
    plan::{
        ANY_EXE, AUTOMATA, Automaton, Aux, BANKS, Bits, CLASSES, Clause, Header, LABELS, LabelKey,
        Literal, Mask, Range, Rule, header_flag, mask_row,
    },
};

use super::model::{Privilege, RuleIndex, Trait};

/// Key of a literal within a bank: its hash and its length.
pub type LiteralHash = (u64, u32);

/// The compiled rules.
#[derive(Clone)]
pub struct KernelPlan {
    /// What the hashes were made with; the kernel half must have the same.
    pub secret: u64,
    /// The one row that is not a table.
    pub header: Header,
    /// Literal paths and names.
    pub literals: BTreeMap<LiteralHash, Literal>,
    /// How many of them are names of hosts, each place at a host being one.
    pub hosts: usize,
    /// The automata by their rows, where there is one.
    pub automata: [Option<Box<Automaton>>; AUTOMATA as usize],
    /// How large they are.
    pub sizes: [AutomatonSize; AUTOMATA as usize],
    /// Classes by number. The first is the empty one.
    pub classes: Vec<Bits>,
    /// Rules, strongest first.
    pub rules: Vec<Rule>,
    /// Aux sets by number; those that are not objects of an exception have an empty row.
    pub aux: Vec<Aux>,
    /// Rows of the mask table that are not empty, in order.
    pub masks: Vec<(u32, Mask)>,
    /// How agents are recognised.
    pub clauses: Vec<Clause>,
    /// Address ranges: bits of the address that count, key, class.
    pub ranges: Vec<(u32, Range, u32)>,
    /// Classes of users that are signs.
    pub users: BTreeMap<u32, u32>,
    /// Classes of files that are known by their inode, keys without a bank.
    pub labels: BTreeMap<LabelKey, u32>,
    /// Which rule of the set each rule of the plan is.
    pub order: Vec<RuleIndex>,
    /// Its id.
    pub ids: Vec<String>,
}

impl KernelPlan {
    /// Makes a file known by its inode: opened under whatever name, it is in the lists of these rules of
    /// the set. `false` where there is no room for it.
    pub fn label(&mut self, file: LabelKey, rules: &[RuleIndex]) -> bool {
        let mut bits = Bits::default();
        for (number, rule) in self.order.iter().enumerate() {
            if rules.contains(rule) {
                add(&mut bits, &Bit::Rule(number).bits());
            }
        }
        let class = match self.classes.iter().position(|class| *class == bits) {
            Some(class) => class,
            None if self.classes.len() < CLASSES as usize => {
                self.classes.push(bits);
                self.classes.len() - 1
            }
            None => return false,
        };
        if self.labels.len() >= (LABELS / BANKS) as usize {
            return false;
        }
        self.header.flags |= header_flag::LABELS;
        self.labels.insert(file, u32::try_from(class).expect("just compared"));
        true
    }
}

/// How large an automaton is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AutomatonSize {
    /// States, the dead one too.
    pub states: u32,
    /// Classes of bytes.
    pub byte_classes: u32,
    /// Cells that its rows take.
    pub cells: u32,
}

/// A rule or an aux set, as a bit of [`Bits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rules) enum Bit {
    /// Rule of the plan.
    Rule(usize),
    /// Aux set of the plan.
    Aux(usize),
}

impl Bit {
    /// The bit alone.
    pub(in crate::rules) fn bits(self) -> Bits {
        let mut bits = Bits::default();
        match self {
            Self::Rule(number) => bits.rules[number / 64] |= 1 << (number % 64),
            Self::Aux(number) => bits.aux[number / 64] |= 1 << (number % 64),
        }
        bits
    }
}

/// Adds the bits of `more` to `bits`.
pub(in crate::rules) fn add(bits: &mut Bits, more: &Bits) {
    bits.rules.iter_mut().zip(more.rules).for_each(|(word, more)| *word |= more);
    bits.aux.iter_mut().zip(more.aux).for_each(|(word, more)| *word |= more);
}

/// Numbers of the bits of a mask, from the lowest.
pub(in crate::rules) fn numbers(words: &[u64]) -> impl Iterator<Item = usize> {
    words.iter().enumerate().flat_map(|(at, &word)| {
        (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at * 64 + bit)
    })
}

impl fmt::Debug for KernelPlan {
    /// Not the secret, and not a million cells.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KernelPlan {{\n{self}}}")
    }
}

impl fmt::Display for KernelPlan {
    /// What is in the plan, for people. Hashes are left out: they are another with every secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "plan {}: {} rules, {} aux sets",
            self.header.serial,
            self.rules.len(),
            self.aux.len()
        )?;
        self.show_rules(f)?;
        self.show_aux(f)?;
        writeln!(f, "classes:")?;
        for (number, class) in self.classes.iter().enumerate().skip(1) {
            writeln!(f, "  {number}: {}", shown(class))?;
        }
        writeln!(f, "literals: {}", self.literals.len())?;
        if self.hosts > 0 {
            writeln!(f, "of them host names: {}", self.hosts)?;
        }
        for (name, size) in ["forward", "backward", "list"].into_iter().zip(self.sizes) {
            if size != AutomatonSize::default() {
                let AutomatonSize { states, byte_classes, cells } = size;
                writeln!(
                    f,
                    "{name} automaton: {states} states, {byte_classes} byte classes, {cells} cells"
                )?;
            }
        }
        self.show_ranges(f)?;
        if !self.labels.is_empty() {
            writeln!(f, "labels: {}", self.labels.len())?;
        }
        for (uid, class) in &self.users {
            writeln!(f, "user {uid}: class {class}")?;
        }
        for ((name, _), class) in Trait::WORDS.into_iter().zip(self.header.traits) {
            if class != 0 {
                writeln!(f, "{name}: class {class}")?;
            }
        }
        for ((name, _), class) in Privilege::WORDS.into_iter().zip(self.header.privileges) {
            if class != 0 {
                writeln!(f, "privilege {name}: class {class}")?;
            }
        }
        for clause in &self.clauses {
            let signs = Bits { aux: clause.signs, ..Bits::default() };
            writeln!(f, "agent {}: {}", clause.agent, shown(&signs))?;
        }
        Ok(())
    }
}

impl KernelPlan {
    fn show_rules(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rules:")?;
        for (number, (rule, id)) in self.rules.iter().zip(&self.ids).enumerate() {
            let said = |mask: &[u64], words| match mask[number / 64] >> (number % 64) & 1 {
                1 => words,
                _ => "",
            };
            let done = Verdict::try_from(rule.done).unwrap_or_default().name();
            let only = said(&self.header.only, ", by what is not listed");
            let named = said(&self.header.named, ", where the peer's name is known");
            writeln!(f, "  {number}: {done} {id}{only}{named}")?;
        }
        for (row, mask) in &self.masks {
            let agent = row / mask_row(1, Act::Exec);
            let act = Act::ALL
                .into_iter()
                .find(|&act| mask_row(agent, act) == *row)
                .map_or("?", Act::name);
            writeln!(f, "  agent {agent} {act}:{}", list(&mask.rules))?;
        }
        Ok(())
    }

    fn show_aux(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for number in numbers(&self.header.exceptions) {
            let Aux { rule, exe, slot, uses, .. } = self.aux[number];
            write!(f, "  aux {number}: lifts rule {rule}")?;
            if exe != ANY_EXE {
                write!(f, " for executables of aux {exe}")?;
            }
            if uses != 0 {
                write!(f, " {uses} times, counted in slot {slot}")?;
            }
            writeln!(f)?;
        }
        for number in numbers(&self.header.programs) {
            let Aux { start, unknown, .. } = self.aux[number];
            writeln!(
                f,
                "  aux {number}: arguments from state {start}, unknown ones are of class {unknown}"
            )?;
        }
        Ok(())
    }

    fn show_ranges(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bits, range, class) in &self.ranges {
            let address = std::net::Ipv6Addr::from(range.address);
            let port = u16::from_be_bytes(range.port);
            writeln!(
                f,
                "range {address}/{bits} protocol {} port {port}: class {class}",
                range.protocol
            )?;
        }
        Ok(())
    }
}

fn list(words: &[u64]) -> String {
    numbers(words).fold(String::new(), |mut text, number| {
        let _never_fails = write!(text, " {number}");
        text
    })
}

fn shown(bits: &Bits) -> String {
    let mut text = String::new();
    for (name, words) in [("rules", &bits.rules[..]), ("aux", &bits.aux[..])] {
        if words.iter().any(|&word| word != 0) {
            let gap = if text.is_empty() { "" } else { ", " };
            let _never_fails = write!(text, "{gap}{name}{}", list(words));
        }
    }
    text
}
