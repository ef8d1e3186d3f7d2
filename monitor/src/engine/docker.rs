//! Docker: the API of the Docker Engine, which Podman's socket speaks too.
//!
//! Three questions: which containers run, what one of them is, and what happens to containers. Events are asked for
//! before the list, so that what happens meanwhile is told. An event says only that a container has changed; what
//! became of it is asked. Nothing that comes is trusted to have any form or size.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use http_body_util::Full;
use hyper::{Request, StatusCode, body::Bytes, header};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    AGAIN, EVENT_BYTES, EngineError, State,
    follow::{Follower, PIECE},
    place,
};
use crate::{
    exchange::{self, Answer},
    host,
    rules::contained::Container,
};

/// `{"type":["container"]}`
const EVENTS: &str = "/events?filters=%7B%22type%22%3A%5B%22container%22%5D%7D";

/// `GET /containers/json`, an entry.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
}

/// `GET /containers/{id}/json`
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    name: String,
    config: Config,
    state: Life,
    #[serde(default)]
    host_config: HostConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    image: String,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Life {
    status: String,
    #[serde(default)]
    pid: u32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    #[serde(default)]
    cgroup_parent: String,
}

/// `GET /events`, a line.
#[derive(Deserialize)]
struct Told {
    #[serde(rename = "Action", default)]
    action: String,
    #[serde(rename = "Actor")]
    actor: Actor,
}

#[derive(Deserialize)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
}

/// Follows until it goes wrong.
pub(super) async fn follow(follower: &mut Follower) -> Result<Infallible, EngineError> {
    let answer = Follower::within(ask(follower, EVENTS)).await?;
    let mut events = Events { answer: good(answer)?, line: Vec::new() };
    // What was known before may have changed unseen.
    let mut known = BTreeSet::new();
    let mut again = interval(AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = again.tick() => {
                relist(follower, &known).await?;
                known.extend(follower.engine.containers.keys().cloned());
            }
            ids = events.next() => {
                for id in ids? {
                    follower.engine.events += 1;
                    examine(follower, &id).await?;
                }
            }
        }
        follower.tell().await;
    }
}

/// Asks for all containers, and what each of them is.
pub(super) async fn list(follower: &mut Follower) -> Result<(), EngineError> {
    relist(follower, &BTreeSet::new()).await
}

/// The same, but those that are `known` and there have not changed without an event.
async fn relist(follower: &mut Follower, known: &BTreeSet<String>) -> Result<(), EngineError> {
    let listed: Vec<Listed> = Follower::within(json(follower, "/containers/json"))
        .await?
        .ok_or(EngineError::Status(StatusCode::NOT_FOUND.as_u16()))?;
    let engine = &mut follower.engine;
    (engine.state, engine.lists) = (State::Answers, engine.lists + 1);
    (engine.unplaced, engine.refused) = (0, 0);
    let listed: BTreeSet<String> = listed.into_iter().map(|listed| listed.id).collect();
    // Those that are not listed any more: gone, or made and never started.
    let before: Vec<String> = engine.containers.keys().cloned().collect();
    let unlisted: Vec<&String> = before.iter().filter(|id| !listed.contains(*id)).collect();
    let mut told = Instant::now();
    for id in unlisted.into_iter().chain(&listed) {
        let is_there = follower.engine.containers.contains_key(id);
        if is_there && known.contains(id) && listed.contains(id) {
            continue;
        }
        if !is_there && !follower.engine.has_room() {
            follower.engine.refused += 1;
            continue;
        }
        examine(follower, id).await?;
        if told.elapsed() > PIECE {
            follower.tell().await;
            told = Instant::now();
        }
    }
    Ok(())
}

/// Asks what a container is, and keeps it, or forgets it.
async fn examine(follower: &mut Follower, id: &str) -> Result<(), EngineError> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if id.len() != 64 || !id.bytes().all(hex) {
        follower.engine.refused += 1;
        return Ok(());
    }
    let path = format!("/containers/{id}/json");
    let inspected: Option<Inspected> = match Follower::within(json(follower, &path)).await {
        // One that is odd makes no other one unknown.
        Err(EngineError::Garbled(_)) => {
            follower.engine.refused += 1;
            None
        }
        inspected => inspected?,
    };
    let engine = &mut follower.engine;
    let over = |life: &Life| {
        ["exited", "stopped", "stopping", "removing", "dead"].contains(&life.status.as_str())
    };
    let Some(inspected) = inspected.filter(|inspected| !over(&inspected.state)) else {
        engine.forget(id);
        return Ok(());
    };
    let Inspected { name, config: Config { image, labels }, state, host_config } = inspected;
    let expected = place::expected(id, &host_config.cgroup_parent);
    let found = (state.pid > 0).then(|| place::own(&host::cgroup_of(state.pid), id));
    let name = name.strip_prefix('/').unwrap_or(&name).to_owned();
    let labels = labels.unwrap_or_default();
    engine.keep(id, expected, found, Container { image, name, labels, ..Container::default() });
    Ok(())
}

/// The answer to a question, read. `None` where there is no such thing.
async fn json<T: DeserializeOwned>(
    follower: &Follower,
    path: &str,
) -> Result<Option<T>, EngineError> {
    let answer = ask(follower, path).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let body = good(answer)?.whole().await?;
    serde_json::from_slice(&body).map(Some).map_err(EngineError::garbled)
}

async fn ask(follower: &Follower, path: &str) -> Result<Answer, EngineError> {
    let request = Request::builder()
        .uri(path)
        .header(header::HOST, "driftwatch")
        .body(Full::new(Bytes::new()))
        .map_err(EngineError::garbled)?;
    Ok(exchange::ask(&follower.socket, request).await?)
}

fn good(answer: Answer) -> Result<Answer, EngineError> {
    if answer.status.is_success() {
        Ok(answer)
    } else {
        Err(EngineError::Status(answer.status.as_u16()))
    }
}

/// What an engine tells as it happens: lines of JSON.
struct Events {
    answer: Answer,
    /// The beginning of a line.
    line: Vec<u8>,
}

impl Events {
    /// The containers that something has happened to since, each once. Nothing is lost where this is not waited
    /// for to the end.
    async fn next(&mut self) -> Result<BTreeSet<String>, EngineError> {
        let piece = self.answer.next().await.ok_or(EngineError::Ended)??;
        self.line.extend_from_slice(&piece);
        let mut ids = BTreeSet::new();
        while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let Told { action, actor } =
                serde_json::from_slice(&line).map_err(EngineError::garbled)?;
            // What goes on inside of a container makes it no other one, and comes every few seconds.
            if !action.starts_with("exec_") && !action.starts_with("health_status") {
                ids.insert(actor.id);
            }
        }
        if self.line.len() > EVENT_BYTES {
            return Err(EngineError::long_event());
        }
        Ok(ids)
    }
}
