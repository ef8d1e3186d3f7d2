//! What all lists together ask of the plan: each literal, glob, destination and user once, with the
//! bits of every list that it is in.

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv6Addr,
};

use ipnet::Ipv6Net;
use monitor_common::plan::{Bits, Space, header_flag, literal_flag};

use super::{
    form::{Form, Tree, form},
    lists::Lists,
    nfa::{Pattern, Text},
    refusal::{LITERALS, Limit, RANGES, Refusals, USERS},
};
use crate::rules::{
    glob::{Anchor, Glob, HOME, Homes},
    model::{Destination, Item, Objects, Place, Privilege, Program, Sign, To, Trait},
    plan::{Bit, add},
    reach::Need,
    script::INTERPRETERS,
};

/// Everything that is looked up.
#[derive(Debug, Default)]
pub(super) struct Gathered<'a> {
    /// Literals by space and spelling.
    pub(super) literals: BTreeMap<(Space, Vec<u8>), Spelt<'a>>,
    /// Globs of the forward and of the backward automaton.
    pub(super) globs: [Globs<'a>; 2],
    /// Arguments.
    pub(super) lists: Lists<'a>,
    /// Destinations: by protocol and port (0 for any), then by network.
    pub(super) destinations: BTreeMap<(u8, u16), Networks<'a>>,
    /// Users that are signs.
    pub(super) users: BTreeMap<u32, (Bits, &'a Place)>,
    /// What can be special about a program.
    pub(super) traits: BTreeMap<Trait, (Bits, &'a Place)>,
    /// Rights.
    pub(super) privileges: BTreeMap<Privilege, (Bits, &'a Place)>,
    /// Look-ups that the plan has a use for.
    pub(super) flags: u32,
    /// Where an agent is first recognised by its script.
    pub(super) script: Option<&'a Place>,
    /// What there is no room for.
    pub(super) refusals: Refusals,
    /// Whether anything is below a home directory.
    homes: bool,
    networks: usize,
}

/// Networks, address and length, in the order in which one that contains another comes before it.
pub(super) type Networks<'a> = BTreeMap<(Ipv6Addr, u8), (Bits, &'a Place)>;

/// Who asks: the bit that is wanted, and where it was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct By<'a> {
    /// The bit.
    pub(super) bit: Bit,
    /// Where.
    pub(super) place: &'a Place,
}

/// A literal.
#[derive(Debug)]
pub(super) struct Spelt<'a> {
    /// Bits of the object that is spelt so.
    pub(super) exact: Bits,
    /// Bits of what is below it.
    pub(super) below: Bits,
    /// As in the plan.
    pub(super) flags: u32,
    /// Where it was first asked for; home directories were not written anywhere.
    pub(super) place: Option<&'a Place>,
}

/// The globs of one automaton.
#[derive(Debug, Default)]
pub(super) struct Globs<'a> {
    /// Each once.
    pub(super) patterns: Vec<Pattern<'a>>,
    /// Where each was first written.
    pub(super) places: Vec<&'a Place>,
    known: HashMap<(Option<Space>, &'a Glob), usize>,
}

impl<'a> Gathered<'a> {
    /// Adds the objects of a list.
    pub(super) fn objects(&mut self, objects: &'a Objects, bit: Bit) {
        match objects {
            Objects::Paths(items) => self.globs(items, bit),
            Objects::Programs(items) => {
                for Item { is, place, .. } in items {
                    match is {
                        Program::File(glob) => self.glob(glob, Tree::Files, By { bit, place }),
                        Program::With(glob, words) => {
                            self.flags |= header_flag::PROGRAMS;
                            self.lists.program(glob, words, By { bit, place });
                        }
                        Program::Is(one) => {
                            let known = self.traits.entry(*one);
                            let known = known.or_insert((Bits::default(), place));
                            add(&mut known.0, &bit.bits());
                        }
                    }
                }
            }
            Objects::Destinations(items) => {
                for Item { is, place, .. } in items {
                    self.host(is, By { bit, place });
                    match is.to {
                        To::Net(net) => self.destination(net, is, By { bit, place }),
                        To::Host(_) => {}
                        To::Socket(_) | To::Abstract(_) => self.unseen(place, Need::UnixSockets),
                    }
                }
            }
            Objects::Privileges(items) => {
                for Item { is, place, .. } in items {
                    let known = self.privileges.entry(*is).or_insert((Bits::default(), place));
                    add(&mut known.0, &bit.bits());
                }
            }
        }
    }

    /// Refuses what [`crate::rules::reach`] should have left out.
    fn unseen(&mut self, place: &Place, need: Need) {
        self.refusals.add(place, need.to_string(), "leave this out");
    }

    /// Adds the paths of a list.
    pub(super) fn globs(&mut self, items: &'a [Item<Glob>], bit: Bit) {
        items
            .iter()
            .for_each(|item| self.glob(&item.is, Tree::Files, By { bit, place: &item.place }));
    }

    /// Adds a sign of an agent.
    pub(super) fn sign(&mut self, sign: &'a Sign, by: By<'a>) {
        match sign {
            Sign::Exe(glob) => self.glob(glob, Tree::Files, by),
            Sign::Cgroup(glob) => {
                self.flags |= header_flag::CGROUPS;
                self.glob(glob, Tree::Cgroups, by);
            }
            Sign::User(uid) => {
                self.flags |= header_flag::USERS;
                let user = self.users.entry(*uid).or_insert((Bits::default(), by.place));
                add(&mut user.0, &by.bit.bits());
                if self.users.len() > USERS {
                    self.refusals.exceeded(Limit::Users, by.place);
                }
            }
            Sign::Args(words) => {
                self.flags |= header_flag::ARGUMENTS;
                self.lists.any_program(words, by);
            }
            Sign::Script(glob) => {
                self.flags |= header_flag::SCRIPTS;
                self.script = self.script.or(Some(by.place));
                self.glob(glob, Tree::Files, by);
            }
            Sign::Env(name, value) => {
                self.flags |= header_flag::ENVIRONMENT;
                self.lists.variable(name, value.as_ref(), by);
            }
            Sign::Inside(cgroups) => {
                // Looked at even where there are none yet: they come, and exec is not where to save.
                self.flags |= header_flag::CGROUPS;
                for cgroup in cgroups {
                    let spelt = self.literal(Space::Cgroup, cgroup.clone(), by.place);
                    add(&mut spelt.exact, &by.bit.bits());
                    add(&mut spelt.below, &by.bit.bits());
                }
            }
            Sign::Container(..) => self.unseen(by.place, Need::Engines),
            Sign::Stranger(_) => {
                let help = "leave this out: nobody is recognised by it";
                self.refusals.add(by.place, "a user that this host has not", help);
            }
        }
    }

    /// Adds the programs that have a script.
    pub(super) fn interpreters(&mut self, by: By<'a>) {
        for name in INTERPRETERS {
            let spelling = name.as_bytes().to_vec();
            add(&mut self.literal(Space::Name, spelling, by.place).exact, &by.bit.bits());
        }
    }

    /// Adds a program whose arguments are looked at.
    pub(super) fn program(&mut self, glob: &'a Glob, by: By<'a>) {
        self.glob(glob, Tree::Files, by);
    }

    fn glob(&mut self, glob: &'a Glob, tree: Tree, by: By<'a>) {
        self.homes |= glob.anchor() == Anchor::Home;
        match form(glob, tree) {
            Some(Form::Exact(space, spelling)) => {
                add(&mut self.literal(space, spelling, by.place).exact, &by.bit.bits());
            }
            Some(Form::Below(space, spelling)) => {
                add(&mut self.literal(space, spelling, by.place).below, &by.bit.bits());
            }
            Some(Form::Forward(space)) => {
                self.flags |= header_flag::FORWARD;
                self.globs[0].add(glob, Some(space), by);
            }
            Some(Form::Backward) => {
                self.flags |= header_flag::BACKWARD;
                self.globs[1].add(glob, None, by);
            }
            None => {
                let help = "write the path from the root of the hierarchy";
                self.refusals.add(by.place, "`~` in the path of a cgroup", help);
            }
        }
    }

    pub(super) fn literal(
        &mut self,
        space: Space,
        spelling: Vec<u8>,
        place: &'a Place,
    ) -> &mut Spelt<'a> {
        self.flags |= match space {
            Space::Name => header_flag::NAMES,
            Space::Suffix => header_flag::SUFFIXES,
            Space::Absolute | Space::Home | Space::Cgroup | Space::Host => 0,
        };
        let key = (space, spelling);
        if self.literals.len() >= LITERALS && !self.literals.contains_key(&key) {
            self.refusals.exceeded(Limit::Literals, place);
        }
        self.literals.entry(key).or_insert_with(|| Spelt::new(Some(place)))
    }

    fn destination(&mut self, net: Ipv6Net, destination: &Destination, by: By<'a>) {
        let Some((protocol, port)) = self.end(destination, by.place) else { return };
        self.flags |= match (protocol, port) {
            (0, 0) => header_flag::ADDRESS,
            (0, _) => header_flag::PORT,
            (_, 0) => header_flag::PROTOCOL,
            (_, _) => header_flag::PROTOCOL_PORT,
        };
        let net = net.trunc();
        let networks = self.destinations.entry((protocol, port)).or_default();
        let before = networks.len();
        let key = (net.addr(), net.prefix_len());
        add(&mut networks.entry(key).or_insert((Bits::default(), by.place)).0, &by.bit.bits());
        self.networks += networks.len() - before;
        if self.networks > RANGES {
            self.refusals.exceeded(Limit::Ranges, by.place);
        }
    }

    /// Protocol and port of a destination, 0 for any.
    pub(super) fn end(&mut self, destination: &Destination, place: &Place) -> Option<(u8, u16)> {
        if destination.port == Some(0) {
            let help = "leave the port out if any is meant";
            self.refusals.add(place, "port 0 is no port", help);
            return None;
        }
        let protocol = destination.protocol.map_or(0, |protocol| protocol as u8);
        Some((protocol, destination.port.unwrap_or(0)))
    }

    /// Adds the home directories, where anything is below one. Comes after everything else.
    pub(super) fn homes(&mut self, homes: &Homes) {
        if !self.homes {
            return;
        }
        let given = homes.directories().map(|home| (home, literal_flag::HOME));
        for (home, flag) in given.chain([(HOME, literal_flag::HOMES)]) {
            let key = (Space::Absolute, home.to_vec());
            self.literals.entry(key).or_insert_with(|| Spelt::new(None)).flags |= flag;
        }
        if self.literals.len() > LITERALS
            && let Some(place) = self.literals.values().find_map(|spelt| spelt.place)
        {
            self.refusals.exceeded(Limit::Literals, place);
        }
    }
}

impl<'a> Globs<'a> {
    fn add(&mut self, glob: &'a Glob, space: Option<Space>, by: By<'a>) {
        let at = *self.known.entry((space, glob)).or_insert_with(|| {
            let text = space.map_or(Text::Floating(glob), |space| Text::Anchored(glob, space));
            self.patterns.push(Pattern { text, bits: Bits::default() });
            self.places.push(by.place);
            self.places.len() - 1
        });
        add(&mut self.patterns[at].bits, &by.bit.bits());
    }
}

impl<'a> Spelt<'a> {
    fn new(place: Option<&'a Place>) -> Self {
        Self { exact: Bits::default(), below: Bits::default(), flags: 0, place }
    }
}
