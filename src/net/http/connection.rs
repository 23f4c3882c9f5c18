//! One connection of an HTTP port: its bytes, plain or under TLS, and what it is doing, by which it
//! is judged when it takes too long.
//!
//! The connection itself notes what moves; `http/mod.rs` waits for what is overdue, and ends it.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::Place;
use crate::net::gate::{Admission, Refusal};
use crate::tick::now;

/// From a connection's or a request's first moment to the end of the request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// Without a request, or without a byte of the answer taken.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// For a request's handling, its body among it.
const HANDLED_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks, so that none of these is overstepped by more.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What carries the bytes.
#[derive(Debug)]
pub(in crate::net) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A request's head is to come, or coming.
    Head,
    /// A request is handled.
    Handled,
    /// An answer is on its way, or nothing is asked for.
    Idle,
}

/// What is known of a connection, for whoever serves it.
#[derive(Debug)]
pub(in crate::net) struct Watch {
    stage: Mutex<(Stage, Instant)>,
    place: Mutex<Option<Place>>,
    /// It has to make room.
    pub(super) evicted: CancellationToken,
}

impl Watch {
    /// A new connection's.
    pub(super) fn new(place: Place) -> Arc<Self> {
        Arc::new(Self {
            stage: Mutex::new((Stage::Head, now())),
            place: Mutex::new(Some(place)),
            evicted: CancellationToken::new(),
        })
    }

    fn set(&self, stage: Stage) {
        *self.stage.lock() = (stage, now());
    }

    /// The first request may come.
    pub(super) fn ready(&self) {
        self.set(Stage::Head);
    }

    /// A request's head has come, or hands are shaken.
    pub(super) fn begin(&self) {
        self.set(Stage::Handled);
    }

    /// Its answer is ready.
    pub(super) fn done(&self) {
        self.set(Stage::Idle);
    }

    /// Bytes have come.
    fn heard(&self) {
        let mut stage = self.stage.lock();
        if stage.0 == Stage::Idle {
            *stage = (Stage::Head, now());
        }
    }

    /// Bytes were taken.
    fn written(&self) {
        let mut stage = self.stage.lock();
        if stage.0 == Stage::Idle {
            stage.1 = now();
        }
    }

    /// Whether a request of it is handled now.
    pub(super) fn is_busy(&self) -> bool {
        self.stage.lock().0 == Stage::Handled
    }

    fn deadline(&self) -> Instant {
        let (stage, since) = *self.stage.lock();
        since
            + match stage {
                Stage::Head => HEAD_WITHIN,
                Stage::Handled => HANDLED_WITHIN,
                Stage::Idle => IDLE_MAX,
            }
    }

    /// Waits until it has taken too long with something.
    pub(super) async fn overdue(&self) {
        loop {
            let (deadline, at) = (self.deadline(), now());
            if deadline <= at {
                return;
            }
            // What it does may change meanwhile, and what has less time begin.
            tokio::time::sleep((deadline - at).min(LOOK_AGAIN)).await;
        }
    }

    /// A trusted proxy asks for somebody: its place counts for that address from now on.
    ///
    /// # Errors
    /// The address has too many.
    pub(super) fn count_for(&self, address: IpAddr) -> Result<(), Refusal> {
        match &*self.place.lock() {
            Some(Place::Gate(admission)) => admission.count_for(address),
            Some(Place::Own) | None => Ok(()),
        }
    }

    /// Gives its place to what it becomes: a connection of the port with that label. None: it has
    /// none of the gate's.
    pub(in crate::net) fn hand_over(&self, port: &'static str) -> Option<Admission> {
        let mut place = self.place.lock();
        match place.take() {
            Some(Place::Gate(mut admission)) => {
                admission.move_to(port);
                Some(admission)
            }
            other => {
                *place = other;
                None
            }
        }
    }
}

/// A connection as hyper reads and writes it.
#[derive(Debug)]
pub(in crate::net) struct Connection {
    stream: Stream,
    watch: Arc<Watch>,
}

impl Connection {
    pub(super) fn new(stream: Stream, watch: Arc<Watch>) -> Self {
        Self { stream, watch }
    }

    /// About how many bytes the client has sent that nobody has read.
    pub(in crate::net) fn unread(&self) -> usize {
        let socket = match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => stream.get_ref().0,
        };
        crate::net::transport::unread(socket)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        if buf.filled().len() > before {
            self.watch.heard();
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        };
        if matches!(polled, Poll::Ready(Ok(count)) if count > 0) {
            self.watch.written();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
