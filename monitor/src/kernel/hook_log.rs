//! The hooks' own log, for whoever looks for a fault in them. Off, it costs nothing: the programs are loaded
//! without it.

use aya::Ebpf;
use aya_log::EbpfLogger;
use tokio::io::unix::AsyncFd;

use super::{KernelError, ring::watched};

/// What the hooks log, where that is wanted.
pub struct HookLog(Option<AsyncFd<EbpfLogger<&'static dyn log::Log>>>);

impl HookLog {
    /// No log.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    pub(super) fn of(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let logger = EbpfLogger::init(ebpf).map_err(KernelError::HookLog)?;
        Ok(Self(Some(watched(logger).map_err(KernelError::Rings)?)))
    }

    /// Passes on what there is; waits for ever where there is no log.
    pub async fn flush(&mut self) {
        let Some(logger) = &mut self.0 else { return std::future::pending().await };
        match logger.readable_mut().await {
            Ok(mut guard) => {
                guard.get_inner_mut().flush();
                guard.clear_ready();
            }
            Err(error) => {
                log::error!("the log of the hooks cannot be read: {error}");
                self.0 = None;
            }
        }
    }
}
