//! What the rules mean, after every name has been looked up: the noun that the evaluator, the compiler
//! and the alerts share.
//!
//! [`super::parse`] reads what was written, [`super::resolve`] makes this of it. Nothing here is
//! looked up by name any more, nothing has a default left open, and everything knows its [`Place`].

use std::{fmt, sync::Arc};

use monitor_common::{Act, Verdict};

use super::{
    glob::Glob,
    words::{TextGlob, Words},
};

mod object;

pub use self::object::{Destination, How, Object, Privilege, Program, Protocol, To, Trait, Traits};

/// A point in time.
pub type Moment = jiff::Timestamp;

/// Where in which file something was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, as it was named to us.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A complete, checked set of rules. An error anywhere means that there is none.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// Every agent that is not merely a group of others.
    pub agents: Vec<Agent>,
    /// Every rule, in the order of files and lines. The order has no meaning.
    pub rules: Vec<Rule>,
    /// Every test.
    pub tests: Vec<Example>,
    /// What is no mistake, and should be known all the same.
    pub notes: Vec<Note>,
    /// How many grants there were; each is an exception of its rule.
    pub grants: usize,
    /// How many files there were.
    pub files: usize,
    /// How many lists there were.
    pub lists: usize,
}

/// Something that somebody should know of a set of rules that is in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub place: Place,
    /// One sentence.
    pub message: String,
}

/// Index into [`RuleSet::agents`].
pub type AgentIndex = usize;
/// Index into [`RuleSet::rules`].
pub type RuleIndex = usize;

/// A named kind of workload, and how one is recognised.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The name that rules use.
    pub name: String,
    /// A process that shows all signs of one clause is this agent.
    pub clauses: Vec<Vec<Sign>>,
    /// Names under which `driftwatch run --agent` may start it: its own, and those of `launched-as`.
    pub launched_as: Vec<String>,
    /// The name in `agents:`.
    pub place: Place,
}

/// One thing to recognise an agent by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sign {
    /// Path of the executable.
    Exe(Glob),
    /// Path of the cgroup, from the root of the hierarchy.
    Cgroup(Glob),
    /// Real user id.
    User(u32),
    /// A user that this host does not know: nobody is.
    Stranger(String),
    /// Path of the file that an interpreter was started on.
    Script(Glob),
    /// The arguments.
    Args(Words),
    /// A variable of the environment, and maybe its value.
    Env(String, Option<TextGlob>),
    /// What the container engine says of the container.
    Container(Label, TextGlob),
    /// In one of these cgroups, or below it: what becomes of [`Sign::Container`] once the engines were asked.
    Inside(Vec<Vec<u8>>),
}

impl Sign {
    /// Whether it rests on what the kernel knows. The others rest on what whoever starts a program can write, or on
    /// what somebody must be asked for first.
    #[must_use]
    pub const fn is_strong(&self) -> bool {
        matches!(
            self,
            Self::Exe(_) | Self::Cgroup(_) | Self::User(_) | Self::Stranger(_) | Self::Inside(_)
        )
    }
}

/// What is compared of a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// The image it was made of.
    Image,
    /// Its name.
    Name,
    /// The label of this key.
    Key(String),
}

/// One thought: these agents may do this only to that, or never to that.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique in the set.
    pub id: String,
    /// What an alert says happened, in a few words.
    pub title: String,
    /// The agents it holds for, groups resolved, sorted, each once.
    pub agents: Vec<AgentIndex>,
    /// The act; of a sequence, that of the last step.
    pub act: Act,
    /// Whether the objects are all that is allowed, or all that is not.
    pub sense: Sense,
    /// The objects, lists resolved.
    pub objects: Objects,
    /// What the rule does not hold for, grants among it.
    pub exceptions: Vec<Exception>,
    /// Of a sequence: what must have happened before.
    pub before: Option<Before>,
    /// What it asks for: alert, ask, deny or kill.
    pub action: Verdict,
    /// How it asks.
    pub ask: Ask,
    /// What is done where the tier cannot refuse the act: alert or kill.
    pub fallback: Verdict,
    /// Whether it does what it asks for, or only says that it would.
    pub mode: Mode,
    /// How bad a hit is.
    pub severity: Severity,
    /// For whoever was stopped: what to do instead.
    pub help: Option<String>,
    /// For the analyst: where the procedure is.
    pub runbook: Option<String>,
    /// Vocabulary and ids, in the order written: `("attack", ["T1552.001"])`.
    pub tags: Vec<(String, Vec<String>)>,
    /// The rule's id in its file.
    pub place: Place,
}

/// What must have happened before an act hits the rule of a sequence.
#[derive(Clone, Debug)]
pub struct Before {
    /// Seconds from the first step to the last at most.
    pub within: u64,
    /// Whose acts are one story.
    pub by: By,
    /// The steps before the last, in order. At least one.
    pub steps: Vec<Step>,
}

/// A step of a sequence.
#[derive(Clone, Debug)]
pub struct Step {
    /// The act.
    pub act: Act,
    /// [`Sense::Only`] where the step is anything that is not in the list.
    pub sense: Sense,
    /// The objects.
    pub objects: Objects,
}

/// Whose acts make a sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum By {
    /// Those of the whole process tree of one run.
    #[default]
    Session,
    /// Those of one process.
    Process,
    /// Those of one user, in all sessions.
    User,
}

impl By {
    /// The word that rules use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Process => "process",
            Self::User => "user",
        }
    }
}

/// How a person is asked. What is left out is for the daemon's configuration to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Seconds that the act is held.
    pub hold: Option<u64>,
    /// Seconds that a permission lasts.
    pub lasts: Option<u64>,
    /// What becomes of an act that nobody answered for: allow, deny or kill.
    pub then: Option<Verdict>,
    /// Seconds that the request stays open.
    pub timeout: Option<u64>,
    /// The sink that asks.
    pub via: Option<String>,
}

/// Which objects hit a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sense {
    /// Everything that is not in the list.
    Only,
    /// Everything that is.
    Never,
}

/// Whether a rule refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Nothing is refused; alerts say what would have been.
    #[default]
    Monitor,
    /// The rule does what it asks for.
    Enforce,
}

/// How bad a hit is, as OCSF counts it (`severity_id`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// 1
    Info = 1,
    /// 2
    Low = 2,
    /// 3
    #[default]
    Medium = 3,
    /// 4
    High = 4,
    /// 5
    Critical = 5,
}

impl Severity {
    /// The word that rules and alerts use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// The objects of a rule or an exception, each with the text it was written as.
#[derive(Clone, Debug)]
pub enum Objects {
    /// Of read and write.
    Paths(Vec<Item<Glob>>),
    /// Of exec.
    Programs(Vec<Item<Program>>),
    /// Of connect, and of listen.
    Destinations(Vec<Item<Destination>>),
    /// Of privilege.
    Privileges(Vec<Item<Privilege>>),
}

impl Objects {
    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Paths(items) => items.len(),
            Self::Programs(items) => items.len(),
            Self::Destinations(items) => items.len(),
            Self::Privileges(items) => items.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An item of a list, and how it came to be in it.
#[derive(Clone, Debug)]
pub struct Item<T> {
    /// What it matches.
    pub is: T,
    /// What was written, `~/.ssh/id_*`.
    pub text: String,
    /// The list it came through, without the `@`.
    pub list: Option<String>,
    /// Where it was written.
    pub place: Place,
}

/// What a rule does not hold for.
#[derive(Clone, Debug)]
pub struct Exception {
    /// Its objects.
    pub objects: Objects,
    /// The executables it holds for, none for every one.
    pub exe: Vec<Item<Glob>>,
    /// Why.
    pub reason: String,
    /// When it ends.
    pub until: Option<Moment>,
    /// The grant that it is.
    pub grant: Option<Grant>,
    /// The exception, in its file.
    pub place: Place,
}

/// A permission that a person gave for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Unique in the set.
    pub id: String,
    /// The agents it was given to, of those that its rule holds for, sorted.
    pub agents: Vec<AgentIndex>,
    /// Who gave it.
    pub by: String,
    /// How often it may be used, where that is limited.
    pub uses: Option<Uses>,
}

/// A limit to how often a grant lifts its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uses {
    /// So often, over all its agents and sessions.
    pub limit: u16,
    /// Where the kernel half counts: another number for each grant of a set, below
    /// [`monitor_common::plan::USES`]. The daemon gives each grant the one that it had.
    pub slot: u16,
}

/// A test that a rule file carries.
#[derive(Clone, Debug)]
pub struct Example {
    /// What it shows.
    pub name: String,
    /// The agent that acts.
    pub agent: AgentIndex,
    /// The act.
    pub act: Act,
    /// The object.
    pub object: Object,
    /// The executable of the process that acts, where it is said.
    pub exe: Option<Vec<u8>>,
    /// How it is done.
    pub how: How,
    /// Of a program start: its arguments.
    pub args: Vec<Vec<u8>>,
    /// Of a program start: what is special about the program.
    pub traits: Traits,
    /// What the session did before, a second apart.
    pub after: Vec<(Act, Object)>,
    /// What must come of it, were every rule enforced.
    pub expect: Verdict,
    /// The id of the rule that must decide it, where it is said.
    pub rule: Option<String>,
    /// The test, in its file.
    pub place: Place,
}
