//! Recognise: what the start of a program shows, and which agents it is by the plan, read as the kernel half
//! reads it.
//!
//! Beside [`super::lookup`], which does the same for acts. For agents that ran before the daemon, and for tests.

use monitor_common::plan::{AUX_WORDS, Bits, LAST, LIST_BYTES, LISTS, MORE, header_flag};

use super::{
    evaluate::Args,
    plan::{KernelPlan, add, numbers},
    script::script,
};

/// What the start of a program shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start<'a> {
    /// Path of the executable, empty where it is not known.
    pub exe: &'a [u8],
    /// Path of the cgroup.
    pub cgroup: &'a [u8],
    /// Real user id.
    pub uid: u32,
    /// The program's name and its arguments, none where they are not known.
    pub argv: Option<&'a [Vec<u8>]>,
    /// The working directory, none where it is not known.
    pub cwd: Option<&'a [u8]>,
    /// Variables of the environment, `NAME=VALUE`.
    pub environment: &'a [Vec<u8>],
}

impl Start<'_> {
    /// The arguments after the program's name, as far as the kernel half looks at them.
    fn args(&self) -> Args<'_> {
        let bytes = |argv: &[Vec<u8>]| argv.iter().map(|text| text.len() + 1).sum::<usize>();
        let known = self.argv.filter(|argv| (1..=LIST_BYTES).contains(&bytes(argv)));
        known.map_or(Args::Unknown, |argv| Args::Known(&argv[1..]))
    }
}

impl KernelPlan {
    /// The agents that a process is the start of, each once, in the order of their clauses.
    #[must_use]
    pub fn recognise(&self, start: &Start<'_>) -> Vec<u32> {
        let mut bits = self.classify_path(start.exe);
        // What the executable is called is no script.
        bits.aux.iter_mut().zip(self.header.scripts).for_each(|(word, scripts)| *word &= !scripts);
        if self.has(header_flag::CGROUPS) {
            add(&mut bits, &self.classify_cgroup(start.cgroup));
        }
        if self.has(header_flag::USERS)
            && let Some(&class) = self.users.get(&start.uid)
        {
            self.add(class, &mut bits);
        }
        if self.has(header_flag::ARGUMENTS)
            && let Args::Known(args) = start.args()
        {
            self.run_from(LISTS, self.header.arguments, area(args), &mut bits);
        }
        if self.has(header_flag::SCRIPTS)
            && let Args::Known(_) = start.args()
            && let Some(path) = script(start.exe, start.argv.unwrap_or_default(), start.cwd)
        {
            let found = self.classify_path(&path);
            let scripts =
                self.header.scripts.into_iter().zip(found.aux).map(|(mask, aux)| mask & aux);
            bits.aux.iter_mut().zip(scripts).for_each(|(word, more)| *word |= more);
        }
        if self.has(header_flag::ENVIRONMENT) {
            for entry in start.environment {
                let entry = entry.iter().copied().chain([0]);
                self.run_from(LISTS, self.header.environment, entry, &mut bits);
            }
        }
        let mut agents = vec![];
        for clause in &self.clauses {
            let shows_all = (0..AUX_WORDS).all(|word| clause.signs[word] & !bits.aux[word] == 0);
            if shows_all && !agents.contains(&clause.agent) {
                agents.push(clause.agent);
            }
        }
        agents
    }

    /// Adds the lists that a program is in by its arguments; `bits` are those of its path.
    pub(super) fn classify_arguments(&self, args: Args<'_>, bits: &mut Bits) {
        let programs: [u64; AUX_WORDS] =
            std::array::from_fn(|word| bits.aux[word] & self.header.programs[word]);
        for program in numbers(&programs).map(|number| self.aux[number]) {
            match args {
                Args::Known(args) => {
                    self.run_from(LISTS, u32::from(program.start), area(args), bits);
                }
                Args::Unknown => self.add(u32::from(program.unknown), bits),
            }
        }
    }
}

/// What the automaton of lists reads of a program whose name is empty.
fn area(args: &[Vec<u8>]) -> impl Iterator<Item = u8> {
    let text = |text: &Vec<u8>| [MORE].into_iter().chain(text.clone()).chain([0]);
    [0].into_iter().chain(args.iter().flat_map(text)).chain([LAST])
}
