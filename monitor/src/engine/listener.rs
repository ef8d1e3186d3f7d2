//! Listener: the daemon's ear for what engines say; it has the thread that asks them.

use std::{path::PathBuf, thread, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Report, follow::follow};

/// After the news the loop does other things for this many times as long as they took.
const SHARE: u32 = 3;
/// However long it took, the next news waits no longer than this.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Hears what engines say. Without anybody who wants to know, no engine is asked.
#[derive(Debug)]
pub(crate) struct Listener {
    sockets: Vec<PathBuf>,
    said: Option<watch::Receiver<Report>>,
    rest: Instant,
}

impl Listener {
    /// Where engines are; empty for the usual places. Nobody is asked yet.
    pub(crate) fn new(sockets: &[PathBuf]) -> Self {
        Self { sockets: sockets.to_vec(), said: None, rest: Instant::now() }
    }

    /// Begins to ask, or ends it, by whether the rules want to know. Gives what is known, so far, to begin with.
    pub(crate) fn listen(&mut self, wanted: bool) -> Report {
        if !wanted {
            self.said = None; // the thread ends with it
        } else if self.said.is_none() {
            let (told, said) = watch::channel(Report::new(&self.sockets));
            let asking = thread::Builder::new().name("engines".to_owned());
            match asking.spawn(move || ask(&told)) {
                Ok(_runs_by_itself) => self.said = Some(said),
                Err(error) => log::error!("container engines are not asked: {error}"),
            }
        }
        self.said.as_ref().map(|said| said.borrow().clone()).unwrap_or_default()
    }

    /// Waits until an engine has said something new; for ever where none is asked.
    pub(crate) async fn news(&mut self) -> Report {
        sleep_until(self.rest).await;
        if let Some(said) = &mut self.said {
            if said.changed().await.is_ok() {
                return said.borrow_and_update().clone();
            }
            self.said = None;
            log::error!("container engines are not asked any more: their thread has ended");
        }
        std::future::pending().await
    }

    /// The news took this long to be dealt with: a flood of them must not take all of the loop.
    pub(crate) fn dealt_with(&mut self, took: Duration) {
        self.rest = Instant::now() + (took * SHARE).min(LONGEST_REST);
    }
}

/// The thread: asks until nobody wants to know any more.
fn ask(told: &watch::Sender<Report>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime.inspect_err(|error| log::error!("container engines: {error}")) else {
        return;
    };
    runtime.block_on(async {
        let sockets: Vec<PathBuf> = told.borrow().sockets().map(ToOwned::to_owned).collect();
        for socket in sockets {
            tokio::spawn(follow(socket, told.clone()));
        }
        told.closed().await;
    });
}
