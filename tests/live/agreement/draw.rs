//! Random rules and random acts, the same ones for the same seed. Names are few, so that rules and
//! acts meet often and miss narrowly; some are as odd as names can be.

use std::{fmt::Write as _, net::Ipv6Addr};

use monitor::rules::{
    evaluate::Args,
    model::{How, Object, Privilege, Trait, Traits},
};
use monitor_common::{Act, plan::LIST_BYTES};

/// Components of paths. Rules name some of them.
const NAMES: &[&str] = &[
    "a",
    "b",
    "ab",
    "ba",
    ".a",
    "a.b",
    "a.b.a",
    "b.a",
    "ac.a",
    "b.",
    "home",
    "root",
    "~",
    "@",
    "a (deleted)",
    "a.b (deleted)",
    " (deleted)",
    "ü",
];

/// Components of globs.
const PATTERNS: &[&str] = &[
    "a",
    "b",
    "ab",
    ".a",
    "a.b",
    "home",
    "root",
    "*",
    "?",
    "a*",
    "*a",
    "*a*",
    "*ab*",
    "*.a",
    "*.b",
    "*.b.a",
    "*.",
    "[ab]",
    "[!a]",
    "a?",
    "?b*",
    "*[.b]*",
    "**",
    "* (deleted)",
    "a (deleted)",
    "{a,b.a}",
    "ü",
    "??",
    "*[!a-z]*",
];

/// Patterns of arguments.
const WORDS: &[&str] =
    &["a", "b", "ab", "*", "?", "a*", "*b", "[!a]", "[!/]*", "-a", "*/*", "**", "**", "**"];

/// Arguments.
const ARGUMENTS: &[&str] = &["a", "b", "ab", "ba", "", "/", "a/b", "-a", "\u{1}", "**"];

const NETWORKS: &[&str] = &[
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.3",
    "10.1.2.2/31",
    "0.0.0.0/0",
    "*",
    "localhost",
    "[2000::/3]",
    "[fd00::/8]",
    "[fd00:1::1]",
    "[fd00:1::/64]",
    "[::ffff:10.1.2.0/120]",
];

/// Ports and protocols of destinations.
pub(super) const SUFFIXES: &[&str] =
    &["", "", "", ":80", ":443", ":80/tcp", ":80/udp", ":*/udp", ":443/tcp"];

const ADDRESSES: &[&str] = &[
    "::ffff:10.1.2.3",
    "::ffff:10.1.2.2",
    "::ffff:10.1.2.4",
    "::ffff:10.2.0.1",
    "::ffff:11.0.0.1",
    "::ffff:127.0.0.1",
    "::1",
    "::10.1.2.3",
    "fd00:1::1",
    "fd00:1::2",
    "fd01::",
    "fe80::1",
    "::",
];

/// The longest a component can be.
const NAME_MAX: usize = 255;
/// The longest a path can be.
const PATH_MAX: usize = 4095;

/// What is done; reads more often than the rest.
const ACTS: [Act; 6] = [Act::Exec, Act::Read, Act::Read, Act::Write, Act::Connect, Act::Privilege];

/// How many agents the rules know.
pub(super) const AGENTS: usize = 5;

/// Home directories of the plans, beside those below `/home`.
pub(super) const HOMES: [&str; 3] = ["/root", "/a/b", "/b/home/a"];

/// Where random numbers come from (SplitMix64).
pub(super) struct Draw(pub(super) u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits") % limit
    }

    pub(super) fn within(&mut self, from: usize, to: usize) -> usize {
        from + self.below(to - from + 1)
    }

    pub(super) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// True once in so many times.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// A list may not have the same item twice.
fn each_once(mut items: Vec<String>) -> Vec<String> {
    items.sort_unstable();
    items.dedup();
    items
}

/// A rule as it will be written.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) agents: Vec<usize>,
    act: Act,
    sense: &'static str,
    pub(super) items: Vec<String>,
    pub(super) exceptions: Vec<Exception>,
    action: &'static str,
    mode: &'static str,
    severity: &'static str,
}

#[derive(Clone, Debug)]
pub(super) struct Exception {
    pub(super) items: Vec<String>,
    pub(super) exe: Vec<String>,
}

/// An act that nobody does.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// Outermost first.
    pub(super) agents: Vec<usize>,
    pub(super) act: Act,
    pub(super) object: Object,
    pub(super) exe: Option<Vec<u8>>,
    pub(super) how: How,
    pub(super) traits: Traits,
    /// None where they are not known.
    args: Option<Vec<Vec<u8>>>,
}

impl Attempt {
    /// The arguments of a program that is started, as far as hooks look at them.
    pub(super) fn args(&self) -> Args<'_> {
        let bytes = |args: &[Vec<u8>]| 1 + args.iter().map(|text| text.len() + 1).sum::<usize>();
        Args::of(self.args.as_deref().filter(|args| bytes(args) <= LIST_BYTES))
    }
}

impl Draw {
    /// A few rules.
    pub(super) fn rules(&mut self) -> Vec<Rule> {
        (0..self.within(1, 9)).map(|_| self.rule()).collect()
    }

    fn rule(&mut self) -> Rule {
        let act = self.one(&ACTS);
        let agents = (0..self.within(1, 3)).map(|_| self.below(AGENTS)).collect::<Vec<_>>();
        Rule {
            agents,
            act,
            sense: self.one(&["never", "never", "only"]),
            items: self.items(act, 8),
            exceptions: (0..self.below(3)).map(|_| self.exception(act)).collect(),
            action: self.one(&["alert", "deny", "deny\n    fallback: kill", "kill"]),
            mode: self.one(&["enforce", "enforce", "monitor"]),
            severity: self.one(&["info", "medium", "critical"]),
        }
    }

    fn exception(&mut self, act: Act) -> Exception {
        let executables = if act == Act::Exec { 0 } else { self.below(3) };
        Exception {
            items: self.items(act, 3),
            exe: each_once((0..executables).map(|_| self.glob()).collect()),
        }
    }

    fn items(&mut self, act: Act, most: usize) -> Vec<String> {
        let item = |draw: &mut Self| match act {
            Act::Connect if draw.once_in(3) => draw.host_item(),
            Act::Connect => draw.one(NETWORKS).to_owned() + draw.one(SUFFIXES),
            Act::Privilege => draw.one(&Privilege::WORDS).0.to_owned(),
            Act::Exec if draw.once_in(5) => draw.one(&Trait::WORDS).0.to_owned(),
            Act::Exec if draw.once_in(2) => draw.program(),
            _ => draw.glob(),
        };
        let items = (0..self.within(1, most)).map(|_| item(self)).collect();
        each_once(items)
    }

    /// A program with arguments, as a map.
    fn program(&mut self) -> String {
        let words: Vec<_> = (0..self.within(1, 4)).map(|_| self.one(WORDS)).collect();
        format!("{{ path: '{}', args: {} }}", self.glob(), list(&words))
    }

    fn args(&mut self) -> Option<Vec<Vec<u8>>> {
        if self.once_in(20) {
            return None;
        }
        let mut args: Vec<_> = (0..self.below(5)).map(|_| self.arg()).collect();
        if self.once_in(50) {
            // The area closes the program's name and every argument with a byte.
            let bytes: usize = 1 + args.iter().map(|text| text.len() + 1).sum::<usize>();
            let at = self.below(args.len() + 1);
            let long = LIST_BYTES + 1 - bytes - self.within(1, 3);
            args.insert(at, vec![self.one(b"ab \xff"); long]);
        }
        Some(args)
    }

    fn arg(&mut self) -> Vec<u8> {
        match self.below(8) {
            0 => (0..self.below(4)).map(|_| self.one(b"ab\x01\x02/-*\xff\n ")).collect(),
            _ => self.one(ARGUMENTS).as_bytes().to_vec(),
        }
    }

    fn glob(&mut self) -> String {
        if self.once_in(60) {
            return format!("**/{}", "n".repeat(NAME_MAX));
        }
        let mut glob = self.one(&["", "", "", "~", "/**", "/**"]).to_owned();
        for _ in 0..self.within(1, 3) {
            glob = glob + "/" + self.one(PATTERNS);
        }
        if self.once_in(4) { glob + "/**" } else { glob }
    }

    /// An act, most often one that some rule is about.
    pub(super) fn attempt(&mut self, rules: &[Rule]) -> Attempt {
        let any = self.one(&ACTS);
        let about = &rules[self.below(rules.len())];
        let act = if self.once_in(4) { any } else { about.act };
        let mut agents = if self.once_in(4) { Vec::new() } else { about.agents[..1].to_vec() };
        for _ in 0..self.below(4) {
            let agent = self.below(AGENTS);
            if agents.len() < 4 && !agents.contains(&agent) {
                let at = self.within(0, agents.len());
                agents.insert(at, agent);
            }
        }
        let object = match act {
            _ if self.once_in(25) => Object::Unknown,
            Act::Connect if self.once_in(2) => self.host(),
            Act::Connect => self.peer(),
            Act::Privilege => Object::Privilege(self.one(&Privilege::WORDS).1),
            _ => Object::Path(self.path()),
        };
        let exe = (!self.once_in(6)).then(|| self.path());
        let special = if act == Act::Exec { self.below(3) } else { 0 };
        let traits = (0..special).map(|_| self.one(&Trait::WORDS).1);
        let traits = traits.fold(Traits::NONE, Traits::with);
        let how = if act == Act::Exec && self.once_in(2) { How::Load } else { How::Usual };
        let starts = act == Act::Exec && how == How::Usual;
        let args = if starts { self.args() } else { Some(Vec::new()) };
        Attempt { agents, act, object, exe, how, traits, args }
    }

    pub(super) fn port(&mut self) -> u16 {
        self.one(&[80, 443, 0, 81, 65535])
    }

    pub(super) fn protocol(&mut self) -> u16 {
        self.one(&[6, 17, 262, 0, 1, 132, 255])
    }

    fn peer(&mut self) -> Object {
        let address: Ipv6Addr = self.one(ADDRESSES).parse().expect("an address");
        let bit = if self.once_in(8) { 1 << self.below(128) } else { 0 };
        Object::Peer {
            address: Ipv6Addr::from(u128::from(address) ^ bit),
            port: self.port(),
            protocol: self.protocol(),
        }
    }

    fn path(&mut self) -> Vec<u8> {
        let start = self.one(&["", "", "", "/home/a", "/root", "/home", "/a/b", "/home/a/home/b"]);
        let mut path = start.as_bytes().to_vec();
        for _ in 0..self.below(5) {
            path.push(b'/');
            let name = self.name();
            path.extend(name);
        }
        if self.once_in(50) {
            self.lengthen(&mut path);
        }
        if path.is_empty() { b"/".to_vec() } else { path }
    }

    fn name(&mut self) -> Vec<u8> {
        match self.below(16) {
            0 => (0..self.within(1, 6)).map(|_| self.odd_byte()).collect(),
            1 if self.once_in(3) => vec![b'n'; NAME_MAX],
            1 => {
                let mut name = self.one(NAMES).as_bytes().to_vec();
                let at = self.below(name.len());
                name[at] = self.odd_byte();
                name
            }
            _ => self.one(NAMES).as_bytes().to_vec(),
        }
    }

    /// Any byte that a component can have.
    fn odd_byte(&mut self) -> u8 {
        match u8::try_from(self.within(1, 255)).expect("a byte") {
            b'/' => b'.',
            byte => byte,
        }
    }

    /// Puts directories in front until there is no more room, or nearly none.
    fn lengthen(&mut self, path: &mut Vec<u8>) {
        let wanted = PATH_MAX - self.below(3);
        let mut front = Vec::new();
        while front.len() + path.len() < wanted {
            let room = wanted - front.len() - path.len();
            front.push(b'/');
            let name = if room == 1 { 0 } else { self.within(1, NAME_MAX.min(room - 1)) };
            front.extend(vec![self.one(b"ab.x\xff"); name]);
        }
        if front.last() == Some(&b'/') {
            // One byte was left over: a longer last name takes it.
            front.pop();
            if let Some(at) = front.iter().rposition(|&byte| byte == b'/')
                && front.len() - at <= NAME_MAX
            {
                front.push(b'x');
            }
        }
        front.append(path);
        *path = front;
    }
}

/// A whole rule file.
pub(super) fn written(rules: &[Rule]) -> String {
    let mut text = "version: 1\nmode: enforce\n\nagents:\n".to_owned();
    for agent in 0..AGENTS {
        let _never_fails =
            writeln!(text, "  agent-{agent}:\n    any:\n      - launched-as: agent-{agent}");
    }
    text += "\nrules:\n";
    for (number, rule) in rules.iter().enumerate() {
        write_rule(&mut text, number, rule);
    }
    text
}

fn write_rule(text: &mut String, number: usize, rule: &Rule) {
    let mut agents = rule.agents.clone();
    agents.sort_unstable();
    agents.dedup();
    let agents: Vec<_> = agents.iter().map(|agent| format!("agent-{agent}")).collect();
    let Rule { action, mode, severity, sense, act, .. } = rule;
    let _never_fails = write!(
        text,
        "  - id: rule-{number}\n    title: rule {number}\n    agents: [{}]\n    action: {action}\n    \
         mode: {mode}\n    severity: {severity}\n    {}:\n      {sense}: {}\n",
        agents.join(", "),
        act.name(),
        list(&rule.items),
    );
    if !rule.exceptions.is_empty() {
        *text += "      except:\n";
    }
    let what = match act {
        Act::Connect => "to",
        Act::Privilege => "privilege",
        _ => "path",
    };
    for Exception { items, exe } in &rule.exceptions {
        let _never_fails = writeln!(text, "        - {what}: {}", list(items));
        if !exe.is_empty() {
            let _never_fails = writeln!(text, "          exe: {}", list(exe));
        }
        *text += "          reason: drawn\n";
    }
}

fn list(items: &[impl AsRef<str>]) -> String {
    let quoted = items.iter().map(AsRef::as_ref).map(|item| match item.starts_with("{ ") {
        true => item.to_owned(),
        false => format!("'{item}'"),
    });
    let quoted: Vec<_> = quoted.collect();
    format!("[{}]", quoted.join(", "))
}
