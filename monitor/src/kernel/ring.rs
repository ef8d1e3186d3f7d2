//! The two rings, drained so that nobody acts before they are known.
//!
//! An act is taken from its ring only after everything that the lifecycle ring held by then: the exec that
//! made the process what it is was sent before its first act.

use std::{io, os::fd::AsRawFd};

use aya::maps::{MapData, RingBuf};
use tokio::io::{Interest, unix::AsyncFd};

/// Both rings.
pub struct Rings {
    lifecycle: AsyncFd<RingBuf<MapData>>,
    activity: AsyncFd<RingBuf<MapData>>,
}

/// Acts that are taken in one go, so that signals and requests get their turn during a flood.
const BATCH: usize = 1024;

impl Rings {
    /// Needs a runtime with I/O.
    ///
    /// # Errors
    ///
    /// Where the rings cannot be waited for.
    pub fn new(lifecycle: RingBuf<MapData>, activity: RingBuf<MapData>) -> io::Result<Self> {
        Ok(Self { lifecycle: watched(lifecycle)?, activity: watched(activity)? })
    }

    /// Waits until one of the rings has something.
    ///
    /// # Errors
    ///
    /// Where the rings cannot be waited for.
    pub async fn ready(&mut self) -> io::Result<()> {
        let Self { lifecycle, activity } = self;
        tokio::select! {
            guard = lifecycle.readable_mut() => guard?.clear_ready(),
            guard = activity.readable_mut() => guard?.clear_ready(),
        }
        Ok(())
    }

    /// Passes on what is there, up to a batch of acts. `true` where more may be left.
    pub fn drain(&mut self, mut with: impl FnMut(&[u8])) -> bool {
        for _ in 0..BATCH {
            let Some(act) = self.activity.get_mut().next() else {
                drain_all(self.lifecycle.get_mut(), &mut with);
                return false;
            };
            drain_all(self.lifecycle.get_mut(), &mut with);
            with(&act);
        }
        true
    }
}

fn drain_all(ring: &mut RingBuf<MapData>, with: &mut impl FnMut(&[u8])) {
    while let Some(record) = ring.next() {
        with(&record);
    }
}

/// Something that is waited for until it can be read.
pub(super) fn watched<T: AsRawFd>(inner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: what is watched here owns its descriptor, does not change it, and is dropped with it.
    unsafe { AsyncFd::register_with_interest(inner, Interest::READABLE) }.map_err(io::Error::from)
}
