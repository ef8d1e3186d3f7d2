//! Follow: asks one engine again and again, for as long as the thread runs.
//!
//! An engine that is not there, hangs, dies, resets or answers garbage is asked again, after a pause that doubles.
//! What it said before still counts meanwhile: its containers run on without it. How an engine is asked is for
//! [`super::docker`] and [`super::containerd`] to know.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{Engine, EngineError, Report, State, containerd, docker};

/// How long one answer may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// The first pause after a failure.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A connection that lasts so long was a good one: the next pause is a short one again.
const LASTING: Duration = Duration::from_secs(10);
/// A long list is told of in pieces.
pub(super) const PIECE: Duration = Duration::from_millis(100);
/// What comes in such a time is told at once.
const BREATH: Duration = Duration::from_millis(5);

/// An engine, and where what it says is told.
pub(super) struct Follower {
    /// Its socket.
    pub(super) socket: PathBuf,
    /// What is known from it.
    pub(super) engine: Engine,
    /// Where that is told.
    told: Option<watch::Sender<Report>>,
}

impl Follower {
    fn new(socket: &Path, told: Option<watch::Sender<Report>>) -> Self {
        Self { socket: socket.to_owned(), engine: Engine::default(), told }
    }

    /// By the name of its socket: nothing else tells which language an engine speaks.
    fn is_containerd(&self) -> bool {
        let name = self.socket.file_name().unwrap_or_default();
        name.to_string_lossy().contains("containerd")
    }

    async fn follow(&mut self) -> Result<Infallible, EngineError> {
        if self.is_containerd() {
            containerd::follow(self).await
        } else {
            docker::follow(self).await
        }
    }

    async fn list(&mut self) -> Result<(), EngineError> {
        if self.is_containerd() { containerd::list(self).await } else { docker::list(self).await }
    }

    /// Tells what is known now.
    pub(super) async fn tell(&self) {
        let Some(told) = &self.told else { return };
        told.send_modify(|report| {
            report.0.insert(self.socket.clone(), self.engine.clone());
        });
        sleep(BREATH).await;
    }

    /// An answer, or the end of patience.
    pub(super) async fn within<T>(
        answer: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        timeout(PATIENCE, answer).await.unwrap_or(Err(EngineError::Hangs))
    }
}

/// Follows an engine for ever.
pub(super) async fn follow(socket: PathBuf, told: watch::Sender<Report>) {
    let mut follower = Follower::new(&socket, Some(told));
    let mut pause = PAUSE;
    loop {
        let begin = Instant::now();
        let Err(error) = follower.follow().await;
        let before = follower.engine.state;
        follower.engine.failed(&error);
        if follower.engine.state != before && follower.engine.state == State::Fails {
            log::warn!("container engine at {}: {error}", socket.display());
        }
        follower.tell().await;
        if begin.elapsed() > LASTING {
            pause = PAUSE;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Asks every engine once, all at the same time. Empty `sockets` are those of the usual engines.
pub(crate) fn ask_once(sockets: &[PathBuf]) -> Report {
    let mut report = Report::new(sockets);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return report };
    let asked = |socket: &Path| {
        let mut follower = Follower::new(socket, None);
        async move {
            if let Err(error) = Follower::within(follower.list()).await {
                follower.engine.failed(&error);
            }
            (follower.socket, follower.engine)
        }
    };
    runtime.block_on(async {
        let asking: Vec<_> = report.sockets().map(|socket| tokio::spawn(asked(socket))).collect();
        for engine in asking {
            if let Ok((socket, engine)) = engine.await {
                report.0.insert(socket, engine);
            }
        }
    });
    report
}
