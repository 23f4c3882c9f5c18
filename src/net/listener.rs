//! A port: accepts connections, asks the gate, shakes hands where TLS is on, deals to the shards.
//!
//! Started by the roles, one per port, on the process's main runtime. It never reads a client's
//! bytes itself, never waits for one client with another behind it, and never spins on an error.

use std::fs::File;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics::counter;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::gate::{Admission, Gate, Refusal};
use super::proxy::ProxyFault;
use super::shard::{Newcomer, Shards};
use super::tls::Tls;
use super::transport::Transport;
use super::{Framing, NetConfig};

/// Refused clients that are told so at once; more are just closed.
const REFUSALS_AT_ONCE: usize = 64;
/// A refused client has so long to read why.
const REFUSAL_LINGER: Duration = Duration::from_secs(1);

/// What a port needs to know.
#[derive(Debug, Clone)]
pub struct ListenConfig {
    /// Where to listen; port 0: any that is free.
    pub addr: SocketAddr,
    /// How clients speak.
    pub framing: Framing,
    /// The largest frame of a client that has not logged in, bytes.
    pub first_frame_limit: usize,
    /// The port's label in metrics.
    pub label: &'static str,
    /// Speak TLS.
    pub tls: Option<Tls>,
    /// What a client hears that is not let in, such as an encoded ERROR. A client of a TLS port
    /// hears nothing.
    pub refusal: Bytes,
    /// Connections that the kernel keeps ready.
    pub backlog: u32,
    /// Unsent bytes that the kernel keeps for a client (Linux); 0: its own idea.
    pub kernel_unsent_bytes: u32,
}

impl ListenConfig {
    /// A port as the `[net]` section says, without TLS.
    pub fn new(
        net: &NetConfig,
        addr: SocketAddr,
        framing: Framing,
        first_frame_limit: usize,
        label: &'static str,
    ) -> Self {
        Self {
            addr,
            framing,
            first_frame_limit,
            label,
            tls: None,
            refusal: Bytes::new(),
            backlog: net.backlog,
            kernel_unsent_bytes: net.kernel_unsent_bytes,
        }
    }
}

/// Listens, on the current runtime, until `stop`. Gives the address it has bound, and the task,
/// which ends then and not before.
///
/// # Errors
/// The address cannot be had; it is named.
pub fn listen<M: Send + 'static>(
    config: ListenConfig,
    shards: Shards<M>,
    gate: Arc<Gate>,
    stop: CancellationToken,
) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = bind(config.addr, config.backlog)?;
    let address = listener.local_addr()?;
    let port = Port { config, shards, gate, refusals: Arc::new(Semaphore::new(REFUSALS_AT_ONCE)) };
    let listening = tokio::spawn(Arc::new(port).run(listener, stop));
    Ok((address, listening))
}

/// A listening socket with SO_REUSEADDR; IPv6 addresses take IPv4 clients too where they can.
///
/// # Errors
/// The address cannot be had; it is named.
pub fn bind(addr: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let open = || {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        #[cfg(not(windows))]
        socket.set_reuse_address(true)?;
        if addr.is_ipv6() && addr.ip().is_unspecified() {
            socket.set_only_v6(false)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        TcpListener::from_std(socket.into())
    };
    open()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {addr}: {error}")))
}

struct Port<M> {
    config: ListenConfig,
    shards: Shards<M>,
    gate: Arc<Gate>,
    refusals: Arc<Semaphore>,
}

impl<M: Send + 'static> Port<M> {
    async fn run(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let mut backoff = AcceptBackoff::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, from)) => {
                    backoff.reset();
                    self.on_accepted(socket, from, &stop);
                }
                Err(error) => tokio::select! {
                    () = stop.cancelled() => return,
                    () = backoff.wait(&error, &listener) => {}
                },
            }
        }
    }

    fn on_accepted(
        self: &Arc<Self>,
        socket: TcpStream,
        from: SocketAddr,
        stop: &CancellationToken,
    ) {
        // Both fail only if the client has gone already, which the shard will notice.
        let _ = socket.set_nodelay(true);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.config.kernel_unsent_bytes > 0 {
            let unsent = self.config.kernel_unsent_bytes;
            let _ = SockRef::from(&socket).set_tcp_notsent_lowat(unsent);
        }
        if !self.gate.proxies().trusts(from.ip()) {
            return self.let_in(socket, from, stop);
        }
        let Some(place) = self.gate.proxies().place() else {
            return self.refuse_counted(socket, from, Refusal::Handshakes);
        };
        let (port, stop) = (self.clone(), stop.clone());
        tokio::spawn(async move {
            let mut socket = socket;
            let client = tokio::select! {
                () = stop.cancelled() => return,
                client = port.gate.proxies().client_of(&mut socket, from) => client,
            };
            drop(place);
            match client {
                Ok(client) => port.let_in(socket, client, &stop),
                Err(ProxyFault::Lost(_)) => {}
                Err(_) => port.refuse_counted(socket, from, Refusal::Proxy),
            }
        });
    }

    /// Lets a client in, whose address is known, as far as the gate does.
    fn let_in(self: &Arc<Self>, socket: TcpStream, from: SocketAddr, stop: &CancellationToken) {
        let admission = match self.gate.admit(from.ip(), self.config.label) {
            Ok(admission) => admission,
            Err(reason) => return self.refuse(socket, from, reason),
        };
        let Some(tls) = &self.config.tls else {
            return match socket.into_std() {
                Ok(socket) => self.deal(Transport::Tcp(socket), from, admission),
                Err(error) => debug!(%error, "a new connection was lost"),
            };
        };
        let Some(place) = tls.place(from.ip()) else {
            Refusal::Handshakes.count();
            return;
        };
        let (port, tls, stop) = (self.clone(), tls.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                transport = tls.transport(socket) => {
                    if let Some(transport) = transport {
                        port.deal(transport, from, admission);
                    }
                }
            }
            drop(place);
        });
    }

    /// Gives a connection to a shard.
    fn deal(&self, transport: Transport, from: SocketAddr, admission: Admission) {
        let ListenConfig { framing, first_frame_limit, .. } = self.config;
        let newcomer = Newcomer::new(transport, from.ip(), framing, first_frame_limit, admission);
        if let Err(newcomer) = self.shards.adopt(newcomer)
            && let Transport::Tcp(socket) = newcomer.transport
            && let Ok(socket) = TcpStream::from_std(socket)
        {
            self.refuse(socket, from, Refusal::Busy);
        }
    }

    /// See `refuse`; nobody has counted it yet.
    fn refuse_counted(&self, socket: TcpStream, from: SocketAddr, reason: Refusal) {
        reason.count();
        self.refuse(socket, from, reason);
    }

    /// Tells a client that it is not let in, if not too many are being told.
    fn refuse(&self, socket: TcpStream, from: SocketAddr, reason: Refusal) {
        debug!(address = %from.ip(), %reason, port = self.config.label, "connection refused");
        if self.config.tls.is_some() || self.config.refusal.is_empty() {
            return;
        }
        let Ok(place) = self.refusals.clone().try_acquire_owned() else {
            return;
        };
        let refusal = self.config.refusal.clone();
        tokio::spawn(async move {
            // If it cannot be told in time it is closed without.
            let _ = timeout(REFUSAL_LINGER, tell(socket, &refusal)).await;
            drop(place);
        });
    }
}

/// Writes a last word, and reads until the client closes: closing with its bytes unread would
/// reset the connection and could take the word away from it.
async fn tell(mut socket: TcpStream, word: &[u8]) -> io::Result<()> {
    tokio::io::AsyncWriteExt::write_all(&mut socket, word).await?;
    SockRef::from(&socket).shutdown(Shutdown::Write)?;
    let mut ignored = [0; 1_024];
    while socket.read(&mut ignored).await? > 0 {}
    Ok(())
}

/// The first and the longest pause after a failed accept.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What to do when accepting fails, above all when the process has no descriptors left: then the
/// waiting connection stays readable for ever, and a plain retry would spin.
///
/// A descriptor is kept in reserve. It is given up to accept that one connection and close it, so
/// that its client knows; then there is a pause, doubled each time up to a second.
#[derive(Debug)]
pub(crate) struct AcceptBackoff {
    reserve: Option<File>,
    pause: Duration,
}

/// Kinds of accept errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AcceptError {
    /// The client had gone before it was accepted; the next one is not concerned.
    Connection,
    /// No descriptors or memory, or something unknown.
    Exhausted,
}

impl AcceptBackoff {
    /// With a descriptor in reserve.
    pub fn new() -> Self {
        Self { reserve: open_reserve(), pause: FIRST_PAUSE }
    }

    /// An accept has succeeded.
    pub fn reset(&mut self) {
        self.pause = FIRST_PAUSE;
    }

    /// Waits as the error deserves.
    pub async fn wait(&mut self, error: &io::Error, listener: &TcpListener) {
        let Some(pause) = self.pause_after(error) else {
            return;
        };
        warn!(%error, pause_ms = pause.as_millis() as u64, "cannot accept connections");
        if self.reserve.take().is_some() {
            // Polled once: takes what is there, waits for nothing, and closes it.
            let _ = timeout(Duration::ZERO, listener.accept()).await;
        }
        sleep(pause).await;
        self.reserve = open_reserve();
    }

    /// How long to pause; none: go on at once.
    fn pause_after(&mut self, error: &io::Error) -> Option<Duration> {
        match kind_of(error) {
            AcceptError::Connection => {
                counter!("throng_accept_errors_total", "kind" => "connection").increment(1);
                None
            }
            AcceptError::Exhausted => {
                counter!("throng_accept_errors_total", "kind" => "descriptors").increment(1);
                let pause = self.pause;
                self.pause = (pause * 2).min(LONGEST_PAUSE);
                Some(pause)
            }
        }
    }
}

fn open_reserve() -> Option<File> {
    let nothing = if cfg!(windows) { "NUL" } else { "/dev/null" };
    File::open(nothing).ok()
}

fn kind_of(error: &io::Error) -> AcceptError {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::Interrupted
        | io::ErrorKind::WouldBlock => AcceptError::Connection,
        _ => AcceptError::Exhausted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_descriptors_the_pause_doubles_up_to_a_second_and_starts_anew() {
        const EMFILE: i32 = 24;
        let mut backoff = AcceptBackoff::new();
        let mut pauses: Vec<u128> = Vec::new();
        for _ in 0..9 {
            let pause = backoff.pause_after(&io::Error::from_raw_os_error(EMFILE));
            pauses.push(pause.unwrap().as_millis());
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
        backoff.reset();
        let again = backoff.pause_after(&io::Error::from_raw_os_error(EMFILE));
        assert_eq!(again, Some(FIRST_PAUSE));
    }

    #[test]
    fn a_client_that_has_gone_pauses_nothing() {
        let gone = io::Error::from(io::ErrorKind::ConnectionAborted);
        assert_eq!(AcceptBackoff::new().pause_after(&gone), None);
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let first = bind("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address, 16).unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
