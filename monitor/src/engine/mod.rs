//! Engine: what container engines say of their containers, asked over their sockets.
//!
//! It stands beside the rules line: [`crate::rules::contained`] makes cgroups of what is said here, and the plan
//! is compiled with those. Everything runs on a thread of its own, so that no engine, however slow or hostile,
//! can hold up the daemon's loop, which only looks at the last [`Report`]. It decides nothing and tags nobody.

mod containerd;
mod docker;
mod follow;
mod grpc;
mod listener;
mod place;
mod proto;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

pub(crate) use self::{follow::ask_once, listener::Listener};
use crate::{exchange::ExchangeError, rules::contained::Container};

/// Where engines listen if nobody says otherwise.
const SOCKETS: [&str; 3] = ["/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock"];

/// How often all containers are asked for, in case that an event was not told.
const AGAIN: Duration = Duration::from_secs(60);
/// Bytes that one event may have.
const EVENT_BYTES: usize = 1 << 20;
/// Containers of one engine that are known at a time; as many as a plan has room for four times over.
const CONTAINERS: usize = 4096;
/// Bytes that a name, an image or a label may have. Nobody writes longer ones.
const TEXT_BYTES: usize = 4096;
/// Bytes that all texts of one container may have.
const CONTAINER_BYTES: usize = 64 << 10;
/// Bytes that all texts of one engine's containers may have.
const ENGINE_BYTES: usize = 16 << 20;

/// Why an engine gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
enum EngineError {
    /// No answer.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// It took too long.
    #[error("no answer within {} s", follow::PATIENCE.as_secs())]
    Hangs,
    /// It says no.
    #[error("it answered {0}")]
    Status(u16),
    /// What it says makes no sense.
    #[error("its answer cannot be read: {0}")]
    Garbled(String),
    /// It has stopped telling of events.
    #[error("it ended the connection")]
    Ended,
}

impl EngineError {
    /// What came from an engine may be anything, of any length: so much of it as says what it is.
    fn garbled(error: impl fmt::Display) -> Self {
        const CHARACTERS: usize = 200;
        let text = error.to_string();
        let shown = text.chars().take(CHARACTERS);
        Self::Garbled(
            shown.map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect(),
        )
    }

    fn long_event() -> Self {
        Self::Garbled(format!("an event of more than {EVENT_BYTES} bytes"))
    }
}

/// How it stands with an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// It has not answered yet.
    #[default]
    Asked,
    /// There is no socket.
    Absent,
    /// It answers.
    Answers,
    /// It did not answer when it was asked last. What it said before still counts.
    Fails,
}

/// What is known from one engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Engine {
    /// How it stands.
    pub(crate) state: State,
    /// Lists that it gave.
    lists: u64,
    /// Events of containers that it told.
    events: u64,
    /// Connections that failed.
    failures: u64,
    /// Why the last one did.
    last_failure: Option<String>,
    /// Running containers that are in no cgroup of their own.
    unplaced: u64,
    /// Containers, and texts of them, that there was no room for, or that are not what they must be.
    refused: u64,
    /// Containers by id.
    containers: BTreeMap<String, Container>,
    /// Bytes of their texts.
    bytes: usize,
}

impl Engine {
    /// A container is there, or is another one than before. `false` where there is no room for it.
    fn put(&mut self, id: &str, container: Container) {
        self.forget(id);
        let bytes = text_bytes(&container);
        if !self.has_room() || bytes > CONTAINER_BYTES || self.bytes + bytes > ENGINE_BYTES {
            self.refused += 1;
            return;
        }
        self.bytes += bytes;
        self.containers.insert(id.to_owned(), container);
    }

    /// Keeps a container: where it is expected, and where its first process, if it has one, was found to be in a
    /// cgroup of its own.
    fn keep(
        &mut self,
        id: &str,
        expected: Vec<Vec<u8>>,
        found: Option<Option<Vec<u8>>>,
        said: Container,
    ) {
        let (cgroups, found) = match found {
            None => (expected, None),
            Some(Some(found)) if expected.contains(&found) => (expected, Some(found)),
            Some(Some(found)) => (vec![found.clone()], Some(found)),
            Some(None) => {
                self.unplaced += 1;
                return self.forget(id);
            }
        };
        let Container { name, image, mut labels, .. } = said;
        if name.len() > TEXT_BYTES || image.len() > TEXT_BYTES {
            self.refused += 1;
            return self.forget(id);
        }
        let all = labels.len();
        labels.retain(|key, value| key.len() <= TEXT_BYTES && value.len() <= TEXT_BYTES);
        self.refused += u64::try_from(all - labels.len()).unwrap_or(u64::MAX);
        self.put(id, Container { cgroups, found, image, name, labels });
    }

    fn has_room(&self) -> bool {
        self.containers.len() < CONTAINERS
    }

    fn forget(&mut self, id: &str) {
        if let Some(container) = self.containers.remove(id) {
            self.bytes -= text_bytes(&container);
        }
    }

    fn failed(&mut self, error: &EngineError) {
        let absent = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
        match error {
            EngineError::Exchange(ExchangeError::Unreachable(error)) if absent(error) => {
                self.state = State::Absent;
            }
            error => {
                self.state = State::Fails;
                self.failures += 1;
                self.last_failure = Some(error.to_string());
            }
        }
    }

    fn status(&self) -> Value {
        json!({
            "state": self.state.name(),
            "containers": self.containers.len(),
            "lists": self.lists,
            "events": self.events,
            "failures": self.failures,
            "last_failure": self.last_failure,
            "unplaced": self.unplaced,
            "refused": self.refused,
        })
    }
}

fn text_bytes(container: &Container) -> usize {
    let labels = container.labels.iter().map(|(key, value)| key.len() + value.len());
    container.name.len() + container.image.len() + labels.sum::<usize>()
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Absent => "absent",
            Self::Answers => "answers",
            Self::Fails => "fails",
        }
    }
}

/// What all engines have said so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report(BTreeMap<PathBuf, Engine>);

impl Report {
    /// Nothing has been said yet. Of sockets that are one and the same only the first counts.
    fn new(sockets: &[PathBuf]) -> Self {
        let defaults = || SOCKETS.iter().map(PathBuf::from).collect();
        let sockets: Vec<PathBuf> = if sockets.is_empty() { defaults() } else { sockets.to_vec() };
        let mut known = Vec::new();
        let mut engines = BTreeMap::new();
        for socket in sockets {
            let real = socket.canonicalize();
            let state = if real.is_ok() { State::Asked } else { State::Absent };
            // `/var/run` is a link to `/run` wherever there is no socket yet, too.
            let parent = || Some(socket.parent()?.canonicalize().ok()?.join(socket.file_name()?));
            let real = real.ok().or_else(parent).unwrap_or_else(|| socket.clone());
            if !known.contains(&real) {
                known.push(real);
                engines.insert(socket, Engine { state, ..Engine::default() });
            }
        }
        Self(engines)
    }

    /// Every container that is known. `None` where no engine is there that could know any.
    pub(crate) fn containers(&self) -> Option<impl Iterator<Item = &Container> + Clone> {
        let can_know = |engine: &Engine| {
            matches!(engine.state, State::Asked | State::Answers) || !engine.containers.is_empty()
        };
        let containers = self.0.values().flat_map(|engine| engine.containers.values());
        self.0.values().any(can_know).then_some(containers)
    }

    /// For `status`: an object with a field for each socket.
    pub(crate) fn status(&self) -> Value {
        let engines = self.0.iter();
        engines.map(|(socket, engine)| (socket.display().to_string(), engine.status())).collect()
    }

    /// A line for each engine that is there.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |(socket, engine): (&PathBuf, &Engine)| {
            let socket = socket.display();
            let said = said(engine)?;
            Some(format!("{socket}: {said}"))
        };
        self.0.iter().filter_map(line).collect()
    }

    fn sockets(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }
}

/// How it stands with an engine, in words. `None` where there is none.
fn said(engine: &Engine) -> Option<String> {
    let Engine { state, containers, unplaced, refused, last_failure, .. } = engine;
    let mut text = match state {
        State::Absent => return None,
        State::Asked => "does not answer".to_owned(),
        State::Fails => {
            let why = last_failure.as_deref().unwrap_or("nobody knows why");
            format!("does not answer: {why}")
        }
        State::Answers => {
            format!("answers, {}", crate::counted::count(containers.len(), "container"))
        }
    };
    for (count, what) in [(unplaced, "in no cgroup of their own"), (refused, "refused")] {
        if *count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    Some(text)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Container {
        Container { name: name.to_owned(), ..Container::default() }
    }

    #[test]
    fn an_engine_has_room_for_so_many_containers_and_texts_and_no_more() {
        let mut engine = Engine::default();
        for id in 0..CONTAINERS + 5 {
            engine.put(&id.to_string(), named("a"));
        }
        assert_eq!((engine.containers.len(), engine.refused), (CONTAINERS, 5));
        engine.put("0", named("b"));
        assert_eq!((engine.containers["0"].name.as_str(), engine.refused), ("b", 5));
        let mut engine = Engine::default();
        let label = |key: usize| (key.to_string(), "x".repeat(TEXT_BYTES - 8));
        let many = |labels| Container { labels: (0..labels).map(label).collect(), ..named("") };
        engine.put("fits", many(15));
        engine.put("does not", many(17));
        assert_eq!((engine.containers.len(), engine.refused), (1, 1));
        for id in 0..1000 {
            engine.put(&id.to_string(), many(15));
        }
        assert!(engine.bytes <= ENGINE_BYTES && engine.containers.len() < 1000);
        let ids: Vec<String> = engine.containers.keys().cloned().collect();
        ids.iter().for_each(|id| engine.forget(id));
        assert_eq!(engine.bytes, 0);
    }

    #[test]
    fn a_text_that_is_too_long_is_left_out() {
        let mut engine = Engine::default();
        let long = "x".repeat(TEXT_BYTES + 1);
        let labels = [("a".to_owned(), long.clone()), ("b".to_owned(), "c".to_owned())].into();
        engine.keep("one", Vec::new(), None, Container { labels, ..named("one") });
        assert_eq!(engine.containers["one"].labels.len(), 1);
        engine.keep("two", Vec::new(), None, named(&long));
        assert_eq!((engine.containers.len(), engine.refused), (1, 2));
        engine.keep("one", Vec::new(), Some(None), named("one"));
        assert_eq!((engine.containers.len(), engine.unplaced), (0, 1));
    }

    #[test]
    fn what_was_said_counts_while_an_engine_is_away() {
        let socket = PathBuf::from("/nowhere/engine.sock");
        let mut report = Report::new(std::slice::from_ref(&socket));
        assert!(report.containers().is_none(), "nobody is there");
        let engine = report.0.get_mut(&socket).expect("the one that was named");
        (engine.state, engine.lists) = (State::Answers, 1);
        assert!(report.containers().is_some());
        let engine = report.0.get_mut(&socket).expect("the one that was named");
        engine.put("a", named("a"));
        engine.failed(&EngineError::Hangs);
        assert_eq!(report.containers().map(Iterator::count), Some(1));
        assert_eq!(report.lines(), ["/nowhere/engine.sock: does not answer: no answer within 5 s"]);
    }

    #[test]
    fn what_an_engine_says_of_itself_is_short_and_harmless() {
        let error = EngineError::garbled(format!("\u{1b}[2J\n{}", "x".repeat(1 << 20))).to_string();
        assert!(error.len() < 300 && !error.contains(char::is_control), "{error}");
    }
}
