//! A container engine as the daemon sees one: the Docker API (v1.43) on a UNIX socket, and containers that are
//! cgroups with processes in them.
//!
//! The answers have the form that the API's documentation gives them. It can also misbehave in the ways that an
//! engine can. It starts nothing: a test puts processes where a container would have them.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// A container of the engine.
#[derive(Clone, Debug)]
pub struct Contained {
    /// Sixty-four hexadecimal digits.
    pub id: String,
    /// Without the slash that the API puts in front.
    pub name: String,
    /// As it was named when the container was made.
    pub image: String,
    /// Key and value.
    pub labels: BTreeMap<String, String>,
    /// `created`, `running` …
    pub status: &'static str,
    /// Its first process, 0 where it has none.
    pub pid: u32,
    /// `HostConfig.CgroupParent`
    pub cgroup_parent: String,
}

impl Contained {
    /// A running container with nothing special about it.
    #[must_use]
    pub fn new(id: &str, pid: u32) -> Self {
        Self {
            id: id.to_owned(),
            name: "boring_feynman".to_owned(),
            image: "docker.io/library/alpine:3.20".to_owned(),
            labels: BTreeMap::new(),
            status: if pid == 0 { "created" } else { "running" },
            pid,
            cgroup_parent: String::new(),
        }
    }

    /// The same with this name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// The same of this image.
    #[must_use]
    pub fn of(self, image: &str) -> Self {
        Self { image: image.to_owned(), ..self }
    }

    /// The same with a label more.
    #[must_use]
    pub fn labelled(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// `GET /containers/json`, an entry.
    fn listed(&self) -> Value {
        json!({
            "Id": self.id, "Names": [format!("/{}", self.name)], "Image": self.image,
            "ImageID": format!("sha256:{}", self.id), "Command": "sleep 60", "Created": 1_367_854_155,
            "State": self.status, "Status": "Up 4 seconds", "Ports": [], "Labels": self.labels,
            "SizeRw": 12_288, "SizeRootFs": 0, "HostConfig": { "NetworkMode": "default" },
            "NetworkSettings": { "Networks": {} }, "Mounts": [],
        })
    }

    /// `GET /containers/{id}/json`
    fn inspected(&self) -> Value {
        json!({
            "Id": self.id, "Created": "2026-11-22T12:00:00.000000000Z", "Path": "sleep", "Args": ["60"],
            "State": {
                "Status": self.status, "Running": self.pid != 0, "Paused": false, "Restarting": false,
                "OOMKilled": false, "Dead": false, "Pid": self.pid, "ExitCode": 0, "Error": "",
                "StartedAt": "2026-11-22T12:00:01.000000000Z", "FinishedAt": "0001-01-01T00:00:00Z",
            },
            "Image": format!("sha256:{}", self.id), "ResolvConfPath": "", "HostnamePath": "",
            "HostsPath": "", "LogPath": "", "Name": format!("/{}", self.name), "RestartCount": 0,
            "Driver": "overlay2", "Platform": "linux", "MountLabel": "", "ProcessLabel": "",
            "AppArmorProfile": "docker-default", "ExecIDs": null,
            "HostConfig": {
                "Binds": null, "NetworkMode": "default", "CgroupnsMode": "private", "PidMode": "",
                "Privileged": false, "CgroupParent": self.cgroup_parent, "Runtime": "runc",
            },
            "GraphDriver": { "Data": null, "Name": "overlay2" }, "Mounts": [],
            "Config": {
                "Hostname": "ba033ac44011", "Domainname": "", "User": "", "Tty": false,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin"], "Cmd": ["sleep", "60"],
                "Image": self.image, "Volumes": null, "WorkingDir": "", "Entrypoint": null,
                "OnBuild": null, "Labels": self.labels,
            },
            "NetworkSettings": { "Bridge": "", "Ports": {}, "Networks": {} },
        })
    }

    /// `GET /events`, a line.
    fn told(&self, action: &str) -> Value {
        json!({
            "status": action, "id": self.id, "from": self.image, "Type": "container",
            "Action": action, "scope": "local", "time": 1_461_943_101,
            "timeNano": 1_461_943_101_381_709_551_u64,
            "Actor": { "ID": self.id, "Attributes": { "image": self.image, "name": self.name } },
        })
    }
}

/// How the engine answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    #[default]
    Honest,
    /// Never.
    Hangs,
    /// By ending the connection.
    Resets,
    /// With a list that goes on for ever.
    Endless,
    /// With lists in lists in lists.
    Deep,
    /// With what is no JSON, and no HTTP.
    Garbage,
    /// With [`MANY`] containers.
    Many,
    /// With an event that never comes to its end.
    EndlessEvent,
}

/// More than twice as many containers as the daemon keeps of one engine (4,096), and a list that is there in time on a
/// slow machine, too.
pub const MANY: u32 = 10_000;

impl Manner {
    /// All of those that are not honest.
    pub const HOSTILE: [Self; 7] = [
        Self::Hangs,
        Self::Resets,
        Self::Endless,
        Self::Deep,
        Self::Garbage,
        Self::Many,
        Self::EndlessEvent,
    ];
}

#[derive(Debug, Default)]
struct Inner {
    manner: Manner,
    containers: BTreeMap<String, Contained>,
    listeners: Vec<mpsc::Sender<String>>,
    /// By their descriptors.
    open: BTreeMap<RawFd, UnixStream>,
    ended: bool,
}

/// The engine. Dropped, it is gone with its socket and all connections.
#[derive(Debug)]
pub struct Engine {
    socket: PathBuf,
    inner: Arc<Mutex<Inner>>,
}

fn locked(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Listens at this path.
    pub fn start(socket: &Path) -> anyhow::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let engine = Self { socket: socket.to_owned(), inner: Arc::default() };
        let inner = Arc::clone(&engine.inner);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if locked(&inner).ended {
                    return;
                }
                let inner = Arc::clone(&inner);
                // Whoever asks has gone: that is no matter of the engine's.
                thread::spawn(move || connection(&inner, stream).ok());
            }
        });
        Ok(engine)
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Answers like this from now on; whoever is connected must ask again.
    pub fn turn(&self, manner: Manner) {
        let mut inner = locked(&self.inner);
        inner.manner = manner;
        inner.hang_up();
    }

    /// A container is there or is another one than before, and this has happened to it.
    pub fn tell(&self, container: &Contained, action: &str) {
        let mut inner = locked(&self.inner);
        inner.containers.insert(container.id.clone(), container.clone());
        inner.tell(&container.told(action));
    }

    /// A container has ended and is taken away.
    pub fn end(&self, container: &Contained) {
        let mut inner = locked(&self.inner);
        inner.containers.remove(&container.id);
        inner.tell(&container.told("die"));
        inner.tell(&container.told("destroy"));
    }
}

impl Inner {
    fn tell(&mut self, event: &Value) {
        self.listeners.retain(|listener| listener.send(format!("{event}\n")).is_ok());
    }

    fn hang_up(&mut self) {
        self.listeners.clear();
        for stream in self.open.values() {
            let _gone = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let mut inner = locked(&self.inner);
        inner.ended = true;
        inner.hang_up();
        drop(inner);
        // Wakes the thread that waits for connections.
        let _woken = UnixStream::connect(&self.socket);
        let _gone = fs::remove_file(&self.socket);
    }
}

/// One connection, which can be hung up.
fn connection(inner: &Mutex<Inner>, stream: UnixStream) -> std::io::Result<()> {
    let another = stream.try_clone()?;
    let number = another.as_raw_fd();
    locked(inner).open.insert(number, another);
    let result = answer(inner, stream);
    locked(inner).open.remove(&number);
    result
}

/// Requests, each with its answer.
fn answer(inner: &Mutex<Inner>, mut stream: UnixStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    loop {
        let Some(first) = lines.next().transpose()? else { return Ok(()) };
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let manner = locked(inner).manner;
        match (manner, path.as_str()) {
            (Manner::Hangs, _) => thread::sleep(Duration::from_secs(60)),
            (Manner::Resets, _) => return stream.shutdown(std::net::Shutdown::Both),
            (Manner::Garbage, _) => {
                return stream.write_all(b"\x00\x01 HTTP/9 \xff\xfe\r\n{{{\r\n\r\n");
            }
            (Manner::Endless, path) if !path.starts_with("/events") => {
                endless(&mut stream, "[{},")?
            }
            (Manner::EndlessEvent, path) if path.starts_with("/events") => {
                endless(&mut stream, "{\"x\": ")?;
            }
            (_, path) if path.starts_with("/events") => events(inner, &mut stream)?,
            (Manner::Deep, "/containers/json") => reply(&mut stream, 200, &"[".repeat(4 << 20))?,
            (Manner::Many, "/containers/json") => {
                let ids = (0..MANY).map(|number| json!({ "Id": format!("{number:064x}") }));
                reply(&mut stream, 200, &ids.collect::<Value>().to_string())?;
            }
            (Manner::Many, path) => {
                let id = path.split('/').nth(2).unwrap_or_default();
                let container =
                    Contained::new(id, 0).named("\u{0}\u{1b}[2J\n").labelled("a\u{0}", "\u{0}");
                reply(&mut stream, 200, &container.inspected().to_string())?;
            }
            (_, "/containers/json") => {
                let listed: Value = {
                    let inner = locked(inner);
                    let running = inner.containers.values().filter(|c| c.status == "running");
                    running.map(Contained::listed).collect()
                };
                reply(&mut stream, 200, &listed.to_string())?;
            }
            (_, path) => {
                let id = path.split('/').nth(2).unwrap_or_default();
                let container = locked(inner).containers.get(id).map(Contained::inspected);
                let none = || json!({ "message": format!("No such container: {id}") });
                let status = if container.is_some() { 200 } else { 404 };
                reply(&mut stream, status, &container.unwrap_or_else(none).to_string())?;
            }
        }
    }
}

fn reply(stream: &mut UnixStream, status: u16, body: &str) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} X\r\nApi-Version: 1.43\r\nContent-Type: application/json\r\nOstype: linux\r\n\
         Server: Docker/24.0.9 (linux)\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.43\r\nContent-Type: application/json\r\n\
                       Transfer-Encoding: chunked\r\n\r\n";

fn chunk(stream: &mut UnixStream, text: &str) -> std::io::Result<()> {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
}

fn endless(stream: &mut UnixStream, text: &str) -> std::io::Result<()> {
    stream.write_all(CHUNKED.as_bytes())?;
    chunk(stream, text)?;
    let more = " ".repeat(64 << 10);
    loop {
        chunk(stream, &more)?;
    }
}

fn events(inner: &Mutex<Inner>, stream: &mut UnixStream) -> std::io::Result<()> {
    let (listener, told) = mpsc::channel();
    locked(inner).listeners.push(listener);
    stream.write_all(CHUNKED.as_bytes())?;
    for event in told {
        chunk(stream, &event)?;
    }
    stream.write_all(b"0\r\n\r\n")
}
