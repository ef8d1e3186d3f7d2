//! A sink: where alerts go. It has a thread and a queue of its own, so that a slow disk or a full one
//! holds up nothing else.
//!
//! An alert is in the file whole or not at all. While the file does not take it, it waits in the queue and
//! is tried again; when the queue is full the newest is dropped and counted.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Alerts that wait at most.
pub const QUEUE: usize = 10_000;
/// Between two tries at a file that does not take an alert.
const RETRY: Duration = Duration::from_millis(250);
/// How long the last alerts are tried when the daemon stops.
const GRACE: Duration = Duration::from_secs(2);

/// What a sink has done.
#[derive(Debug, Default)]
pub struct Tally {
    /// Alerts that are where they belong.
    pub written: AtomicU64,
    /// Alerts in the queue.
    pub waiting: AtomicU64,
    /// Alerts that are lost.
    pub dropped: AtomicU64,
    /// Writes that failed.
    pub failures: AtomicU64,
}

/// Where alerts go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Appended to a file.
    File(PathBuf),
    /// Written to standard output.
    Stdout,
}

/// A sink at work.
#[derive(Debug)]
pub struct Sink {
    queue: Option<SyncSender<String>>,
    closing: Arc<AtomicBool>,
    /// What it has done.
    pub tally: Arc<Tally>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Opens the target and starts the thread.
    ///
    /// # Errors
    ///
    /// Where the file cannot be opened.
    pub fn open(target: &Target) -> io::Result<Self> {
        let outlet = Outlet::open(target)?;
        let (queue, waiting) = sync_channel::<String>(QUEUE);
        let tally = Arc::new(Tally::default());
        let closing = Arc::new(AtomicBool::new(false));
        let mut delivery = Delivery {
            outlet,
            tally: Arc::clone(&tally),
            closing: Arc::clone(&closing),
            deadline: None,
        };
        let thread = std::thread::Builder::new()
            .name("sink".to_owned())
            .spawn(move || delivery.run(&waiting))?;
        Ok(Self { queue: Some(queue), closing, tally, thread: Some(thread) })
    }

    /// Hands over an alert; returns at once.
    pub fn put(&self, alert: String) {
        let Some(queue) = &self.queue else { return };
        self.tally.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(alert) {
            self.tally.waiting.fetch_sub(1, Ordering::Relaxed);
            let before = self.tally.dropped.fetch_add(1, Ordering::Relaxed);
            if before == 0 {
                log::error!(
                    "the alert queue is full ({QUEUE}): alerts are being dropped, see `driftwatch status`"
                );
            }
        }
    }
}

impl Drop for Sink {
    /// Waits for the last alerts, for [`GRACE`] at most.
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the alert sink came to a bad end");
        }
    }
}

/// The thread's side.
struct Delivery {
    outlet: Outlet,
    tally: Arc<Tally>,
    closing: Arc<AtomicBool>,
    /// When the grace is over, once the daemon stops and something is stuck.
    deadline: Option<Instant>,
}

impl Delivery {
    fn run(&mut self, waiting: &Receiver<String>) {
        while let Ok(alert) = waiting.recv() {
            let fate = if self.deliver(&alert) { &self.tally.written } else { &self.tally.dropped };
            fate.fetch_add(1, Ordering::Relaxed);
            self.tally.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Tries until the alert is taken, or the daemon stops and the grace is over.
    fn deliver(&mut self, alert: &str) -> bool {
        let mut said = false;
        while let Err(error) = self.outlet.write(alert.as_bytes()) {
            self.tally.failures.fetch_add(1, Ordering::Relaxed);
            if !said {
                log::error!(
                    "alerts cannot be written to {}: {error}; they wait in memory",
                    self.outlet
                );
                said = true;
            }
            if self.grace_is_over() {
                return false;
            }
            std::thread::sleep(RETRY);
        }
        if said {
            log::warn!("alerts are written to {} again", self.outlet);
        }
        true
    }

    fn grace_is_over(&mut self) -> bool {
        if !self.closing.load(Ordering::Relaxed) {
            return false;
        }
        Instant::now() >= *self.deadline.get_or_insert_with(|| Instant::now() + GRACE)
    }
}

/// The open target.
#[derive(Debug)]
enum Outlet {
    File { file: File, path: PathBuf },
    Stdout,
}

impl std::fmt::Display for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "{}", path.display()),
            Self::Stdout => f.write_str("standard output"),
        }
    }
}

impl Outlet {
    fn open(target: &Target) -> io::Result<Self> {
        match target {
            Target::Stdout => Ok(Self::Stdout),
            Target::File(path) => Ok(Self::File { file: append(path)?, path: path.clone() }),
        }
    }

    /// Writes all of it; what was written of a part is taken back.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Self::File { file, .. } => {
                let before = file.metadata()?.len();
                file.write_all(bytes).inspect_err(|_| {
                    if let Err(error) = file.set_len(before) {
                        log::error!("a torn alert cannot be taken back: {error}");
                    }
                })
            }
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Whether a person reads what goes there.
#[must_use]
pub fn is_terminal(target: &Target) -> bool {
    *target == Target::Stdout && io::stdout().is_terminal()
}
