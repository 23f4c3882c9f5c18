//! Real sockets on free ports against a service that echoes; what the service saw is told as
//! events, which tests await instead of sleeping.

mod http;
mod limits;
mod pouring;
mod slow;
mod tcp;
mod tls;
mod websocket;

use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;

/// A test that waits longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the service pauses who asks for it.
pub(super) const PAUSE: Duration = Duration::from_millis(60);

/// What the service saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Opened(ConnId),
    Closed(ConnId, CloseReason),
    Drained(ConnId),
    Said(Written),
    Paused(ConnId, usize),
}

/// What tests tell the service.
#[derive(Debug, Clone)]
pub(super) enum Tell {
    /// Write to one and report what became of it.
    Say(ConnId, Bytes),
    /// Write to everybody; who refuses is cut.
    SayAll(Bytes),
    /// Close one.
    Close(ConnId),
    /// Panic between connections.
    Panic,
    /// Stand still until the test is there too, twice.
    Stand(Arc<Barrier>),
}

/// Echoes frames; a few words mean more.
struct Echo {
    seen: mpsc::Sender<Seen>,
    connections: Vec<(ConnId, Framing)>,
    /// Frames since the last turn.
    frames: usize,
    /// Frames echoed.
    handled: usize,
}

impl Echo {
    fn see(&self, seen: Seen) {
        self.seen.try_send(seen).expect("the test reads what the service saw");
    }

    fn reply(&self, io: &mut Io<'_>, conn: ConnId, body: &[u8]) {
        let framing = self.connections.iter().find(|(id, _)| *id == conn).unwrap().1;
        let bytes = match framing {
            Framing::Length => framed(body),
            Framing::Lines => [body, b"\n"].concat(),
        };
        if io.write(conn, &bytes) == Written::Refused {
            io.close(conn, CloseReason::TooSlow);
        }
    }
}

impl Service for Echo {
    type Msg = Tell;

    fn on_open(&mut self, _io: &mut Io<'_>, conn: ConnId, peer: Peer) {
        self.connections.push((conn, peer.framing));
        self.see(Seen::Opened(conn));
    }

    fn on_frame(&mut self, io: &mut Io<'_>, conn: ConnId, body: &[u8]) {
        match body {
            b"panic" => panic!("as the test wants"),
            b"login" => {
                io.authenticated(conn);
                io.limit_frames(conn, 16_384);
            }
            b"quit" => {
                self.reply(io, conn, b"bye");
                io.close(conn, CloseReason::Service);
                assert_eq!(io.write(conn, b"after the end"), Written::Refused);
                return;
            }
            b"how many" => return self.reply(io, conn, self.handled.to_string().as_bytes()),
            b"pause" => io.pause(conn, io.now() + PAUSE),
            _ => {}
        }
        self.frames += 1;
        self.handled += 1;
        self.reply(io, conn, body);
    }

    fn on_turn(&mut self, _io: &mut Io<'_>) {
        let frames = std::mem::take(&mut self.frames);
        assert!(frames <= 64, "{frames} frames in a turn");
    }

    fn on_paused(&mut self, _io: &mut Io<'_>, conn: ConnId, waiting: usize) {
        self.see(Seen::Paused(conn, waiting));
    }

    fn on_stall(&mut self, lost: Duration) {
        assert!(!lost.is_zero());
    }

    fn on_fault(&mut self, io: &mut Io<'_>, conn: ConnId, fault: FrameFault) {
        self.reply(io, conn, fault.to_string().as_bytes());
    }

    fn on_close(&mut self, _io: &mut Io<'_>, conn: ConnId, reason: CloseReason) {
        self.connections.retain(|(id, _)| *id != conn);
        self.see(Seen::Closed(conn, reason));
    }

    fn on_drained(&mut self, io: &mut Io<'_>, conn: ConnId) {
        assert_eq!((io.waiting(conn), io.waiting_since(conn)), (0, None));
        self.see(Seen::Drained(conn));
    }

    fn on_msgs(&mut self, io: &mut Io<'_>, msgs: &mut Vec<Tell>) {
        for tell in msgs.drain(..) {
            match tell {
                Tell::Say(conn, bytes) => {
                    let written = io.write(conn, &bytes);
                    assert_eq!(io.waiting(conn) > 0, io.waiting_since(conn).is_some());
                    self.see(Seen::Said(written));
                }
                Tell::SayAll(bytes) => {
                    for (conn, _) in &self.connections {
                        if io.write(*conn, &bytes) == Written::Refused {
                            io.close(*conn, CloseReason::TooSlow);
                        }
                    }
                }
                Tell::Close(conn) => io.close(conn, CloseReason::Service),
                Tell::Panic => panic!("as the test wants"),
                Tell::Stand(barrier) => {
                    barrier.wait();
                    barrier.wait();
                }
            }
        }
    }

    fn on_sweep(&mut self, io: &mut Io<'_>, now: Instant) {
        assert_eq!(io.now(), now);
    }
}

/// A running server.
pub(super) struct Server {
    pub shards: Shards<Tell>,
    pub gate: Arc<Gate>,
    pub stop: CancellationToken,
    pub seen: mpsc::Receiver<Seen>,
}

impl Server {
    /// With this many shards; the address limits don't matter.
    pub fn start(shards: usize) -> Self {
        let limits = ConnectionLimits {
            frame_timeout: Duration::from_millis(200),
            sweep: Duration::from_millis(20),
            ..ConnectionLimits::default()
        };
        Self::start_with(shards, limits, Gate::new(10_000, 10_000))
    }

    pub fn start_with(shards: usize, limits: ConnectionLimits, gate: Arc<Gate>) -> Self {
        let stop = CancellationToken::new();
        let (sender, seen) = mpsc::channel(10_000);
        let make =
            move |_| Echo { seen: sender.clone(), connections: Vec::new(), frames: 0, handled: 0 };
        let shards = spawn_shards(shards, 1_024, limits, stop.clone(), make);
        Self { shards, gate, stop, seen }
    }

    /// Opens a port.
    pub fn listen(&self, framing: Framing, change: impl FnOnce(&mut ListenConfig)) -> SocketAddr {
        let local = "127.0.0.1:0".parse().unwrap();
        let mut config = ListenConfig::new(&NetConfig::default(), local, framing, 1_024, "test");
        change(&mut config);
        listen(config, self.shards.clone(), self.gate.clone(), self.stop.clone()).unwrap().0
    }

    /// The next thing the service saw.
    pub async fn saw(&mut self) -> Seen {
        soon(self.seen.recv()).await.expect("the service lives")
    }

    /// The id of the connection that opens next.
    pub async fn opened(&mut self) -> ConnId {
        match self.saw().await {
            Seen::Opened(conn) => conn,
            other => panic!("expected a connection, saw {other:?}"),
        }
    }

    /// Stops and waits for the threads.
    pub async fn end(self) {
        self.stop.cancel();
        soon(self.shards.join()).await;
    }
}

/// Waits, but not for ever.
pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it happens in time")
}

/// A frame as it is sent.
pub(super) fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes(), body].concat()
}

/// Connects.
pub(super) async fn connect(address: SocketAddr) -> TcpStream {
    let stream = soon(TcpStream::connect(address)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends a frame.
pub(super) async fn send(stream: &mut (impl AsyncWrite + Unpin), body: &[u8]) {
    soon(stream.write_all(&framed(body))).await.unwrap();
}

/// Receives a frame; none: the server has closed.
pub(super) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut prefix = [0; 4];
    let read = soon(stream.read_exact(&mut prefix)).await;
    match read {
        Ok(_) => {
            let mut body = vec![0; u32::from_le_bytes(prefix) as usize];
            soon(stream.read_exact(&mut body)).await.unwrap();
            Some(body)
        }
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => None,
        Err(error) => panic!("the connection broke: {error}"),
    }
}

/// Sends a frame and receives one.
pub(super) async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    body: &[u8],
) -> Option<Vec<u8>> {
    send(stream, body).await;
    receive(stream).await
}
