//! Canaries: listeners at the far end that count what arrives. A claim of "nothing got through" is
//! theirs, not the sender's.

use std::{
    io::{self, Read},
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Context;

use crate::child::wait_until;

/// What is under way on loopback has arrived by then.
const SETTLED: Duration = Duration::from_millis(150);
/// How long a canary sleeps between two looks.
const NAP: Duration = Duration::from_millis(2);
/// A canary that has counted so many stops listening: nothing here sends more.
const BOUND: u64 = 1_000_000;

#[derive(Debug, Default)]
struct Count {
    arrived: AtomicU64,
    bytes: AtomicU64,
    stop: AtomicBool,
}

/// Counts in a thread until it is dropped.
#[derive(Debug)]
struct Listener {
    address: SocketAddr,
    count: Arc<Count>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// `look` answers with the bytes of one arrival, or with `WouldBlock`.
    fn start(
        address: SocketAddr,
        mut look: impl FnMut() -> io::Result<u64> + Send + 'static,
    ) -> Self {
        let count = Arc::new(Count::default());
        let counted = Arc::clone(&count);
        let thread = thread::spawn(move || {
            while !counted.stop.load(Ordering::Relaxed) {
                match look() {
                    Ok(bytes) => {
                        counted.bytes.fetch_add(bytes, Ordering::Relaxed);
                        if counted.arrived.fetch_add(1, Ordering::Relaxed) >= BOUND {
                            return;
                        }
                    }
                    Err(_) => thread::sleep(NAP),
                }
            }
        });
        Self { address, count, thread: Some(thread) }
    }

    fn arrived(&self) -> u64 {
        self.count.arrived.load(Ordering::Relaxed)
    }

    fn settle(&self) -> u64 {
        thread::sleep(SETTLED);
        self.arrived()
    }

    fn wait_for(&self, number: u64) -> anyhow::Result<u64> {
        const PATIENCE: Duration = Duration::from_secs(5);
        wait_until(PATIENCE, || Ok((self.arrived() >= number).then_some(())))?;
        Ok(self.settle())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.count.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A canary that panicked has nothing more to say.
            let _ended = thread.join();
        }
    }
}

/// Counts TCP connections that were accepted.
#[derive(Debug)]
pub struct TcpCanary(Listener);

impl TcpCanary {
    /// Listens there; port 0 is any free port.
    pub fn bind(address: &str) -> anyhow::Result<Self> {
        const PATIENCE: Duration = Duration::from_millis(200);
        let socket = TcpListener::bind(address).with_context(|| format!("listen on {address}"))?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self(Listener::start(address, move || {
            let (mut connection, _) = socket.accept()?;
            let mut word = [0; 64];
            // The connection counts, whether or not a word came through it.
            connection.set_nonblocking(false)?;
            connection.set_read_timeout(Some(PATIENCE))?;
            Ok(connection.read(&mut word).unwrap_or(0) as u64)
        })))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Connections accepted until now, and a moment more.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.0.settle()
    }

    /// Waits for so many connections, and says how many there were.
    pub fn wait_for(&self, number: u64) -> anyhow::Result<u64> {
        self.0.wait_for(number)
    }

    /// Bytes that came through the connections.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.count.bytes.load(Ordering::Relaxed)
    }
}

/// Counts UDP datagrams that arrived.
#[derive(Debug)]
pub struct UdpCanary(Listener);

impl UdpCanary {
    /// Listens there; port 0 is any free port.
    pub fn bind(address: &str) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind(address).with_context(|| format!("listen on {address}"))?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self(Listener::start(address, move || {
            let mut word = [0; 64];
            Ok(socket.recv(&mut word)? as u64)
        })))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Datagrams that arrived until now, and a moment more.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.0.settle()
    }

    /// Waits for so many datagrams, and says how many there were.
    pub fn wait_for(&self, number: u64) -> anyhow::Result<u64> {
        self.0.wait_for(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_counts_what_arrives_and_lets_its_port_go() {
        let tcp = TcpCanary::bind("127.66.0.1:0").unwrap();
        drop(std::net::TcpStream::connect(tcp.address()).unwrap());
        assert_eq!(tcp.wait_for(1).unwrap(), 1);
        let address = tcp.address();
        drop(tcp);
        assert!(std::net::TcpStream::connect(address).is_err());

        let udp = UdpCanary::bind("[::1]:0").unwrap();
        UdpSocket::bind("[::1]:0").unwrap().send_to(b"canary", udp.address()).unwrap();
        assert_eq!(udp.wait_for(1).unwrap(), 1);
    }
}
