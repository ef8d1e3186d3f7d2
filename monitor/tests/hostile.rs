//! Rule files that somebody made in order to break something, or that a machine made without knowing better.
//!
//! 20,000 mutations of every rule file there is are held to [`law`]; `DRIFTWATCH_HOSTILE=1000000` tries more,
//! `DRIFTWATCH_HOSTILE_SEED=N` begins elsewhere. Then files made by hand, each read by the real program under
//! limits of memory and time ([`limits`]). No root, no kernel.

#[path = "hostile/law.rs"]
mod law;
#[path = "hostile/limits.rs"]
mod limits;
#[path = "hostile/mutate.rs"]
mod mutate;

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use monitor::rules::format::samples;
use mutate::{Dice, mutated, words};

/// Inputs, where nobody asks for more.
const INPUTS: usize = 20_000;
/// Bytes of a text that is not long.
const SMALL: usize = 3072;

/// Every rule file of the checkout, and the samples of the format.
fn texts() -> Vec<Vec<u8>> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders =
        vec![top.join("../rules"), top.join("tests/broken"), top.join("tests/format")];
    let mut paths: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is part of the repository") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "yaml") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let read = paths.iter().map(|path| fs::read(path).expect("readable"));
    read.chain(samples::ALL.map(|sample| sample.as_bytes().to_vec())).collect()
}

fn number(name: &str, otherwise: usize) -> usize {
    env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// What mutations are made of.
struct Ground {
    texts: Vec<Vec<u8>>,
    /// Those that are not long.
    small: Vec<usize>,
    /// Those of them that are loaded by themselves.
    good: Vec<usize>,
    words: Vec<Vec<u8>>,
}

impl Ground {
    fn new() -> Self {
        let (texts, words) = (texts(), words());
        let small: Vec<usize> = (0..texts.len()).filter(|&at| texts[at].len() <= SMALL).collect();
        let good: Vec<usize> =
            small.iter().copied().filter(|&at| law::hold(&texts[at]).is_some()).collect();
        let counts = (texts.len(), good.len(), words.len());
        let is_rich = counts.0 > 200 && counts.1 > 20 && counts.2 > 150;
        assert!(is_rich, "texts, good ones, words: {counts:?}");
        Self { texts, small, good, words }
    }

    /// Makes a text of a seed and tries it. Whether it was loaded.
    fn try_one(&self, seed: usize) -> bool {
        let mut dice = Dice(u64::try_from(seed).expect("a usize has 64 bits"));
        // What loads is worth the most: what is made of it may load, too. What is long takes long.
        let which = match dice.roll(64) {
            0 => dice.roll(self.texts.len()),
            1..16 => self.small[dice.roll(self.small.len())],
            _ => self.good[dice.roll(self.good.len())],
        };
        let text = mutated(&self.texts, which, &self.words, &mut dice);
        let holds = || {
            let rules = law::hold(&text);
            // Compiling takes longer than all the rest.
            if seed.is_multiple_of(8) {
                rules.iter().for_each(law::can_be_used);
            }
            rules.is_some()
        };
        catch_unwind(AssertUnwindSafe(holds)).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&text);
            panic!("DRIFTWATCH_HOSTILE_SEED={seed} DRIFTWATCH_HOSTILE=1 makes\n{text:?}\n{text}")
        })
    }
}

#[test]
fn mutated_files_are_refused_in_words_or_mean_what_they_mean() {
    let ground = Ground::new();
    let inputs = number("DRIFTWATCH_HOSTILE", INPUTS);
    let seed = number("DRIFTWATCH_HOSTILE_SEED", 0);
    let (next, loaded) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        loop {
            let input = next.fetch_add(1, Ordering::Relaxed);
            if input >= inputs {
                break;
            }
            loaded.fetch_add(usize::from(ground.try_one(seed + input)), Ordering::Relaxed);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let broken = all.into_iter().filter_map(|one| one.join().err()).count();
        assert_eq!(broken, 0, "a law is broken, see above");
    });
    let loaded = loaded.into_inner();
    eprintln!("{inputs} inputs, {loaded} loaded");
    // Inputs that are all refused would say little.
    assert!(inputs < 1000 || loaded * 10 > inputs, "only {loaded} of {inputs} were loaded");
}
