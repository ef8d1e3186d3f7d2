//! containerd: its gRPC API, and with it Kubernetes, which runs its containers there.
//!
//! As with [`super::docker`], events are asked for before the list, and an event says only that a container has
//! changed. Running tasks are listed; what a container is, is asked of each. The numbers of fields are those of
//! containerd's `api/services/*/v1/*.proto`, which have not changed since 1.0.

use std::{collections::BTreeSet, convert::Infallible};

use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    AGAIN, EngineError, State,
    follow::{Follower, PIECE},
    grpc::Channel,
    place, proto,
};
use crate::{host, rules::contained::Container};

const NAMESPACES: &str = "/containerd.services.namespaces.v1.Namespaces/List";
const TASKS: &str = "/containerd.services.tasks.v1.Tasks/List";
const TASK: &str = "/containerd.services.tasks.v1.Tasks/Get";
const CONTAINER: &str = "/containerd.services.containers.v1.Containers/Get";
const EVENTS: &str = "/containerd.services.events.v1.Events/Subscribe";

/// Of `containerd.v1.types.Status`.
const STOPPED: u64 = 3;

/// Labels that hold the name that a person gave, the first of them counts: nerdctl's, and Kubernetes'.
const NAMES: [&str; 2] = ["nerdctl/name", "io.kubernetes.container.name"];

/// A container: its namespace and its id there.
type Key = (String, String);

fn joined((namespace, id): &Key) -> String {
    format!("{namespace}/{id}")
}

/// The OCI specification, so much as says where a container will be.
#[derive(Deserialize)]
struct Specification {
    #[serde(default)]
    linux: Linux,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    #[serde(default)]
    cgroups_path: String,
}

/// Follows until it goes wrong.
pub(super) async fn follow(follower: &mut Follower) -> Result<Infallible, EngineError> {
    let mut channel = Follower::within(Channel::open(&follower.socket)).await?;
    let mut events = channel.subscribe(EVENTS)?;
    // What was known before may have changed unseen.
    let mut known = BTreeSet::new();
    let mut again = interval(AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = again.tick() => {
                relist(follower, &mut channel, &known).await?;
                known.extend(follower.engine.containers.keys().cloned());
            }
            message = events.next() => {
                let Some(key) = told(&message?)? else { continue };
                follower.engine.events += 1;
                examine(follower, &mut channel, &key).await?;
            }
        }
        follower.tell().await;
    }
}

/// Asks for all containers, and what each of them is.
pub(super) async fn list(follower: &mut Follower) -> Result<(), EngineError> {
    let mut channel = Channel::open(&follower.socket).await?;
    relist(follower, &mut channel, &BTreeSet::new()).await
}

/// The container that an event is about. `None` where it makes no container another one.
fn told(message: &[u8]) -> Result<Option<Key>, EngineError> {
    // `containerd.types.Envelope`: namespace 2, topic 3, event 4, which is an `Any`: value 2.
    let envelope = proto::fields(message)?;
    let topic = proto::text(&envelope, 3);
    let is_of_container = topic.starts_with("/containers/")
        || topic.starts_with("/tasks/") && !topic.starts_with("/tasks/exec-");
    if !is_of_container {
        return Ok(None);
    }
    let any = proto::fields(proto::bytes(&envelope, 4).last().unwrap_or_default())?;
    // Field 1 of every event of containers and tasks is the id of the container.
    let event = proto::fields(proto::bytes(&any, 2).last().unwrap_or_default())?;
    Ok(Some((proto::text(&envelope, 2), proto::text(&event, 1))))
}

/// Asks which tasks run, and what those are that are not `known`.
async fn relist(
    follower: &mut Follower,
    channel: &mut Channel,
    known: &BTreeSet<String>,
) -> Result<(), EngineError> {
    let listed = Follower::within(running(channel)).await?;
    let engine = &mut follower.engine;
    (engine.state, engine.lists) = (State::Answers, engine.lists + 1);
    (engine.unplaced, engine.refused) = (0, 0);
    let names: BTreeSet<String> = listed.iter().map(joined).collect();
    let unlisted = engine.containers.keys().filter(|name| !names.contains(*name));
    let split = |name: &String| name.split_once('/').map(|(a, b)| (a.to_owned(), b.to_owned()));
    let unlisted: Vec<Key> = unlisted.filter_map(split).collect();
    let mut told = Instant::now();
    for key in unlisted.iter().chain(&listed) {
        let name = joined(key);
        let is_there = follower.engine.containers.contains_key(&name);
        if is_there && known.contains(&name) && names.contains(&name) {
            continue;
        }
        if !is_there && !follower.engine.has_room() {
            follower.engine.refused += 1;
            continue;
        }
        examine(follower, channel, key).await?;
        if told.elapsed() > PIECE {
            follower.tell().await;
            told = Instant::now();
        }
    }
    Ok(())
}

/// Running tasks of all namespaces.
async fn running(channel: &mut Channel) -> Result<BTreeSet<Key>, EngineError> {
    let mut keys = BTreeSet::new();
    let answer = channel.call(NAMESPACES, "", &[]).await?.unwrap_or_default();
    // `ListNamespacesResponse`: namespaces 1. `Namespace`: name 1.
    for namespace in proto::bytes(&proto::fields(&answer)?, 1) {
        let namespace = proto::text(&proto::fields(namespace)?, 1);
        let answer = channel.call(TASKS, &namespace, &[]).await?.unwrap_or_default();
        // `ListTasksResponse`: tasks 1. `Process`: its id 2, which of a task is that of its container.
        for task in proto::bytes(&proto::fields(&answer)?, 1) {
            keys.insert((namespace.clone(), proto::text(&proto::fields(task)?, 2)));
        }
    }
    Ok(keys)
}

/// Asks what a container is, and keeps it, or forgets it.
async fn examine(
    follower: &mut Follower,
    channel: &mut Channel,
    key: &Key,
) -> Result<(), EngineError> {
    let (namespace, id) = key;
    let name = joined(key);
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if [namespace, id].iter().any(|word| word.is_empty() || !word.bytes().all(letter)) {
        follower.engine.refused += 1;
        return Ok(());
    }
    let asked = async {
        let container = channel.call(CONTAINER, namespace, &proto::message(id)).await?;
        Ok((container, channel.call(TASK, namespace, &proto::message(id)).await?))
    };
    let (container, task) = Follower::within(asked).await?;
    // `GetResponse`: process 1. `Process`: pid 3, status 4.
    let task = task.as_deref().map(inner).transpose()?;
    let task = task.map(|task| (proto::number(&task, 3), proto::number(&task, 4)));
    let engine = &mut follower.engine;
    let Some(container) = container.filter(|_| !matches!(task, Some((_, STOPPED)))) else {
        engine.forget(&name);
        return Ok(());
    };
    let (expected, said) = read(&inner(&container)?, id)?;
    let own = |cgroup: &[u8]| own(cgroup, namespace, id);
    let pid = task.and_then(|(pid, _)| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
    let found = pid.map(|pid| own(&host::cgroup_of(pid)));
    let expected = own(&expected).filter(|own| *own == expected);
    engine.keep(&name, expected.into_iter().collect(), found, said);
    Ok(())
}

/// The message in field 1.
fn inner(message: &[u8]) -> Result<Vec<(u64, proto::Value<'_>)>, EngineError> {
    proto::fields(proto::bytes(&proto::fields(message)?, 1).last().unwrap_or_default())
}

/// `containerd.services.containers.v1.Container`: labels 2, image 3, specification 5, which is an `Any` with
/// JSON in its value 2. Also gives where its cgroup is to be.
fn read(
    container: &[(u64, proto::Value<'_>)],
    id: &str,
) -> Result<(Vec<u8>, Container), EngineError> {
    let mut said = Container { image: proto::text(container, 3), ..Container::default() };
    for label in proto::bytes(container, 2) {
        let label = proto::fields(label)?;
        said.labels.insert(proto::text(&label, 1), proto::text(&label, 2));
    }
    let given = NAMES.iter().find_map(|label| said.labels.get(*label));
    said.name = given.map_or_else(|| id.to_owned(), Clone::clone);
    let any = proto::fields(proto::bytes(container, 5).last().unwrap_or_default())?;
    let specification = proto::bytes(&any, 2).last().unwrap_or_default();
    // Another runtime than runc's kind may have another specification: then nothing is expected.
    let expected = serde_json::from_slice(specification).ok();
    let expected = expected.map(|Specification { linux }| linux.cgroups_path).unwrap_or_default();
    Ok((place::of_specification(&expected), said))
}

/// The cgroup that is the container's own. An id of 64 hexadecimal digits is enough to tell, as Kubernetes and
/// nerdctl have them; one that a person chose, `init` say, counts only below its namespace.
fn own(path: &[u8], namespace: &str, id: &str) -> Option<Vec<u8>> {
    let own = place::own(path, id)?;
    let is_random = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_random || own.ends_with(format!("/{namespace}/{id}").as_bytes())).then_some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_a_person_chose_counts_below_its_namespace_alone() {
        let own = |path: &str, id: &str| own(path.as_bytes(), "default", id).is_some();
        assert!(own("/default/redis", "redis"));
        assert!(own("/user.slice/default/redis/below", "redis"));
        for (path, id) in
            [("/init.scope", "init"), ("/system.slice", "system.slice"), ("/moby/redis", "redis")]
        {
            assert!(!own(path, id), "{path}");
        }
        let random = "0123456789abcdef".repeat(4);
        assert!(own(&format!("/kubepods.slice/cri-containerd-{random}.scope"), &random));
    }

    #[test]
    fn an_event_names_its_container() {
        let nested = |number: u8, bytes: &[u8]| {
            let mut field = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
            field.extend_from_slice(bytes);
            field
        };
        let event = |topic: &str| {
            let any =
                [nested(1, b"containerd.events.TaskStart"), nested(2, &proto::message("redis"))];
            let parts =
                [nested(2, b"k8s.io"), nested(3, topic.as_bytes()), nested(4, &any.concat())];
            told(&parts.concat()).unwrap()
        };
        let key = Some(("k8s.io".to_owned(), "redis".to_owned()));
        for topic in ["/tasks/start", "/tasks/exit", "/containers/create", "/containers/delete"] {
            assert_eq!(event(topic), key, "{topic}");
        }
        for topic in ["/tasks/exec-started", "/images/create", "/snapshot/prepare", ""] {
            assert_eq!(event(topic), None, "{topic}");
        }
        assert!(told(&[0x22, 9]).is_err());
    }
}
