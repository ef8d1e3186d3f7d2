//! Lookup: the plan read as the kernel half reads it, step for step.
//!
//! For tests, for showing a plan and for second opinions. It is slower than the kernel where that
//! makes no difference to the answer (the address trie is a list here), and knows nothing that the
//! kernel does not know. What the rules mean is [`super::evaluate`]'s to say.

use std::net::Ipv6Addr;

use monitor_common::{
    Act,
    plan::{
        ANY_EXE, AUX_WORDS, Automaton, BACKWARD, Bits, FORWARD, HOST_SUFFIX, Literal, RULE_WORDS,
        Space, hash_start, hash_step, header_flag, literal_flag, mask_row,
    },
    tag::NO_AGENT,
};

use super::{
    compile::{END, covers, key},
    evaluate::Args,
    model::{How, Object, Traits},
    plan::{KernelPlan, add, numbers},
};

impl KernelPlan {
    /// The lists that the object with this path is in.
    #[must_use]
    pub fn classify_path(&self, path: &[u8]) -> Bits {
        let mut bits = Bits::default();
        let home = self.literals(Space::Absolute, path, &mut bits).map(|at| &path[at..]);
        if let Some(rest) = home {
            self.literals(Space::Home, rest, &mut bits);
        }
        let name =
            path.iter().rposition(|&byte| byte == b'/').map_or(path, |slash| &path[slash + 1..]);
        if self.has(header_flag::NAMES) {
            self.exact(Space::Name, name, &mut bits);
        }
        let dot = name.iter().rposition(|&byte| byte == b'.');
        if let Some(dot) = dot.filter(|_| self.has(header_flag::SUFFIXES)) {
            self.exact(Space::Suffix, &name[dot..], &mut bits);
        }
        if self.has(header_flag::FORWARD) {
            self.forward(Space::Absolute, path, &mut bits);
            if let Some(rest) = home {
                self.forward(Space::Home, rest, &mut bits);
            }
        }
        if self.has(header_flag::BACKWARD) {
            self.run(BACKWARD, path.iter().rev().copied(), &mut bits);
        }
        bits
    }

    /// The signs that a cgroup is.
    #[must_use]
    pub fn classify_cgroup(&self, path: &[u8]) -> Bits {
        let mut bits = Bits::default();
        self.literals(Space::Cgroup, path, &mut bits);
        if self.has(header_flag::FORWARD) {
            self.forward(Space::Cgroup, path, &mut bits);
        }
        bits
    }

    /// The lists that a peer is in; IPv4 in its mapped form.
    #[must_use]
    pub fn classify_peer(&self, address: Ipv6Addr, port: u16, protocol: u16) -> Bits {
        let mut bits = Bits::default();
        // The low byte, as in the kernel: MPTCP, which is 262, is TCP to every rule.
        let [_, protocol] = protocol.to_be_bytes();
        for (flag, protocol, port) in [
            (header_flag::PROTOCOL_PORT, protocol, port),
            (header_flag::PROTOCOL, protocol, 0),
            (header_flag::PORT, 0, port),
            (header_flag::ADDRESS, 0, 0),
        ] {
            if self.has(flag) {
                self.longest(address, port, protocol, &mut bits);
            }
        }
        bits
    }

    /// The lists that a host is in: its name in lower case and without a dot at its end.
    #[must_use]
    pub fn classify_host(&self, name: &[u8], port: u16, protocol: u16) -> Bits {
        let mut bits = Bits::default();
        let [high, low] = port.to_be_bytes();
        let [_, protocol] = protocol.to_be_bytes();
        let places = [
            (header_flag::HOST_PROTOCOL_PORT, [protocol, high, low]),
            (header_flag::HOST_PROTOCOL, [protocol, 0, 0]),
            (header_flag::HOST_PORT, [0, high, low]),
            (header_flag::HOST, [0; 3]),
        ];
        let places: Vec<_> = places.into_iter().filter(|(flag, _)| self.has(*flag)).collect();
        let mut look = |hash: u64, read: usize, class: fn(Literal) -> u32| {
            for (_, place) in &places {
                let hash =
                    place.iter().fold(hash, |hash, &byte| hash_step(hash, self.secret, byte));
                if let Some(literal) = self.literal(hash, read + HOST_SUFFIX as usize) {
                    self.add(class(literal), &mut bits);
                }
            }
        };
        let mut hash = hash_start(self.secret, Space::Host);
        look(hash, 0, |literal| literal.below);
        for (read, &byte) in name.iter().rev().enumerate() {
            if byte == b'.' && read + 1 < name.len() {
                look(hash, read, |literal| literal.below);
            }
            hash = hash_step(hash, self.secret, byte);
        }
        look(hash, name.len(), |literal| literal.exact);
        bits
    }

    /// The rule that decides what becomes of an act, as its number in the plan. `exe` is the
    /// executable of the process that acts, none where it is not known; `args` are those of a program that is
    /// started, `how` and `traits` of one that is started or loaded.
    #[must_use]
    pub fn verdict(
        &self,
        agents: &[u32],
        act: Act,
        object: &Object,
        exe: Option<&[u8]>,
        args: Args<'_>,
        (how, traits): (How, Traits),
    ) -> Option<usize> {
        let mut holding = self.holding(agents, act);
        if !matches!(object, Object::Host { .. }) {
            holding.iter_mut().zip(self.header.named).for_each(|(word, named)| *word &= !named);
        }
        if how == How::Load {
            holding.iter_mut().zip(self.header.only).for_each(|(word, only)| *word &= !only);
        }
        let mut bits = match object {
            Object::Path(path) => self.classify_path(path),
            Object::Peer { address, port, protocol } => {
                self.classify_peer(*address, *port, *protocol)
            }
            Object::Host { name, port, protocol } => {
                self.classify_host(name.as_bytes(), *port, *protocol)
            }
            Object::Privilege(one) => self.classes[self.header.privileges[*one as usize] as usize],
            // No hook sees these.
            Object::Socket(_) => Bits::default(),
            Object::Unknown => return numbers(&holding).next(),
        };
        traits.iter().for_each(|one| self.add(self.header.traits[one as usize], &mut bits));
        if act == Act::Exec && how != How::Load {
            self.classify_arguments(args, &mut bits);
        }
        let mut hit: [u64; RULE_WORDS] =
            std::array::from_fn(|word| (bits.rules[word] ^ self.header.only[word]) & holding[word]);
        let lists_of_exe = exe.map(|exe| self.classify_path(exe)).unwrap_or_default();
        let exceptions: [u64; AUX_WORDS] =
            std::array::from_fn(|word| bits.aux[word] & self.header.exceptions[word]);
        for aux in numbers(&exceptions).map(|number| self.aux[number]) {
            if aux.exe == ANY_EXE || has(&lists_of_exe.aux, usize::from(aux.exe)) {
                let rule = usize::from(aux.rule);
                hit[rule / 64] &= !(1 << (rule % 64));
            }
        }
        numbers(&hit).next()
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.header.flags & flag != 0
    }

    fn holding(&self, agents: &[u32], act: Act) -> [u64; RULE_WORDS] {
        let mut holding = [0; RULE_WORDS];
        for &agent in agents.iter().take_while(|&&agent| agent != NO_AGENT) {
            let row = self.masks.binary_search_by_key(&mask_row(agent, act), |&(row, _)| row);
            let rules = row.map(|at| self.masks[at].1.rules).unwrap_or_default();
            holding.iter_mut().zip(rules).for_each(|(word, more)| *word |= more);
        }
        holding
    }

    /// Walks down a path, with a look-up at every slash but the first and one at the end. Says where
    /// the part below the outermost home directory begins.
    fn literals(&self, space: Space, path: &[u8], bits: &mut Bits) -> Option<usize> {
        let (mut home, mut next_is_home) = (None, false);
        let mut hash = hash_start(self.secret, space);
        for (at, &byte) in path.iter().enumerate() {
            if byte == b'/' && at > 0 {
                if next_is_home {
                    home = home.or(Some(at));
                    next_is_home = false;
                }
                if let Some(literal) = self.literal(hash, at) {
                    self.add(literal.below, bits);
                    if literal.flags & literal_flag::HOME != 0 {
                        home = home.or(Some(at));
                    }
                    next_is_home = literal.flags & literal_flag::HOMES != 0;
                }
            }
            hash = hash_step(hash, self.secret, byte);
        }
        if let Some(literal) = self.literal(hash, path.len()) {
            self.add(literal.exact, bits);
        }
        home
    }

    fn literal(&self, hash: u64, len: usize) -> Option<Literal> {
        u32::try_from(len).ok().and_then(|len| self.literals.get(&(hash, len))).copied()
    }

    fn exact(&self, space: Space, bytes: &[u8], bits: &mut Bits) {
        if let Some(literal) = self.literal(key(self.secret, space, bytes).hash, bytes.len()) {
            self.add(literal.exact, bits);
        }
    }

    pub(super) fn add(&self, class: u32, bits: &mut Bits) {
        add(bits, &self.classes[class as usize]);
    }

    /// Reads a path behind the lead byte of its space, which a path from the root brings along.
    fn forward(&self, space: Space, path: &[u8], bits: &mut Bits) {
        let lead = space.lead().filter(|&lead| lead != b'/');
        self.run(FORWARD, lead.into_iter().chain(path.iter().copied()).chain([END]), bits);
    }

    fn run(&self, which: u32, bytes: impl Iterator<Item = u8>, bits: &mut Bits) {
        let start = self.automata[which as usize].as_ref().map_or(0, |automaton| automaton.start);
        self.run_from(which, start, bytes, bits);
    }

    /// The same from a state on.
    pub(super) fn run_from(
        &self,
        which: u32,
        mut state: u32,
        bytes: impl Iterator<Item = u8>,
        bits: &mut Bits,
    ) {
        let Some(automaton) = &self.automata[which as usize] else { return };
        let shift = self.header.shifts[which as usize];
        for byte in bytes {
            state = step(automaton, shift, state, byte);
            self.add(u32::from(automaton.accept[state as usize]), bits);
            if state == 0 {
                break;
            }
        }
    }

    /// What a trie would find: the longest prefix of the whole key.
    fn longest(&self, address: Ipv6Addr, port: u16, protocol: u8, bits: &mut Bits) {
        let port = port.to_be_bytes();
        let fits = self.ranges.iter().filter(|(length, range, _)| {
            range.protocol == protocol
                && range.port == port
                && covers(u128::from_be_bytes(range.address), *length, u128::from(address))
        });
        if let Some(&(_, _, class)) = fits.max_by_key(|(length, _, _)| length) {
            self.add(class, bits);
        }
    }
}

fn step(automaton: &Automaton, shift: u8, state: u32, byte: u8) -> u32 {
    let class = automaton.classes[usize::from(byte)];
    u32::from(automaton.cells[((state as usize) << shift) + usize::from(class)])
}

fn has(words: &[u64], number: usize) -> bool {
    words[number / 64] >> (number % 64) & 1 == 1
}
