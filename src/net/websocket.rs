//! WebSocket: `/ws` on the public HTTP port. One binary message is one packet, without the length
//! that the packet port puts before it.
//!
//! Each socket has a task here that bridges it to a shard, which treats it like any other
//! connection. Both directions are bounded: a browser that reads too slowly fills the bridge, then
//! the connection's outbound bytes, and is cut like any slow client; one that sends too much is not
//! read from (`meter.rs` counts its frames, the shard its packets).

mod handshake;
mod meter;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Router};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use metrics::counter;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig as Limits};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::meter::Meter;
use super::gate::{Admission, Refusal};
use super::http::{Connection, HttpPeer};
use super::origin::Pages;
use super::rate::RateLimits;
use super::shard::{Newcomer, Shards};
use super::transport::{self, BridgeEnd, Transport};
use super::{CloseReason, Framing};
use crate::limits;

/// Bytes read from a socket at once.
const READ_BUFFER: usize = 4_096;
/// Bytes of a client's message: a frame and a byte, so that the shard sees what is too long and
/// can say so.
const MESSAGE_MAX: usize = limits::CLIENT_FRAME_MAX + 1;
/// Bytes that may wait in the socket's own buffer.
const WRITE_BUFFER_MAX: usize = 2 * limits::SERVER_FRAME_MAX;
/// For the last messages and the closing handshake.
const CLOSE_TIME: Duration = Duration::from_secs(2);
/// Bytes of the length before each frame from the service.
const PREFIX: usize = 4;
/// The label in metrics.
const LABEL: &str = "websocket";

/// What the route needs to know.
#[derive(Debug, Clone)]
pub struct WebSocketConfig {
    /// Origins whose pages may connect, such as `https://example.org`; empty: only the host that
    /// is connected to. Programs, which send no origin, always may.
    pub allowed_origins: Vec<String>,
    /// Whether the port speaks TLS itself.
    pub secure: bool,
    /// What one connection may send.
    pub rate: RateLimits,
}

/// A client's socket.
type WebSocket = WebSocketStream<Meter>;

struct Shared<M> {
    pages: Pages,
    rate: RateLimits,
    shards: Shards<M>,
    stop: CancellationToken,
}

/// The route `/ws`, for a port that [`super::http::serve`] serves with places of the gate's.
pub fn router<M: Send + 'static>(
    config: WebSocketConfig,
    shards: Shards<M>,
    stop: CancellationToken,
) -> Router {
    let pages = Pages::new(&config.allowed_origins, config.secure);
    let shared = Arc::new(Shared { pages, rate: config.rate, shards, stop });
    Router::new().route("/ws", any(on_upgrade::<M>)).with_state(shared)
}

async fn on_upgrade<M: Send + 'static>(
    State(shared): State<Arc<Shared<M>>>,
    Extension(peer): Extension<HttpPeer>,
    mut request: Request,
) -> Response {
    if let Err(why) = shared.pages.check(request.headers()) {
        Refusal::Origin.count();
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    if shared.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the server is stopping").into_response();
    }
    let response = match handshake::answer(request.method(), request.headers()) {
        Ok(response) => response,
        Err(refusal) => return refusal.into_response(),
    };
    let Some(admission) = peer.watch.hand_over(LABEL) else {
        return (StatusCode::CONFLICT, "this connection is upgraded already").into_response();
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(Box::pin(serve(shared, peer, upgrade, admission)));
    response
}

/// Serves a socket to its end. If the client does not take the answer, the upgrade fails with its
/// connection.
async fn serve<M: Send + 'static>(
    shared: Arc<Shared<M>>,
    peer: HttpPeer,
    upgrade: OnUpgrade,
    admission: Admission,
) {
    let Ok(upgraded) = upgrade.await else { return };
    let Ok(parts) = upgraded.downcast::<TokioIo<Connection>>() else { return };
    let metered = Meter::new(parts.io.into_inner(), parts.read_buf, &shared.rate);
    let limits = Limits::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_MAX)
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    let socket = WebSocketStream::from_raw_socket(metered, Role::Server, Some(limits)).await;
    let (bridge, end) = transport::bridge();
    let newcomer = Newcomer::new(
        Transport::Bridge(bridge),
        peer.address.ip(),
        Framing::Length,
        limits::CLIENT_FRAME_MAX_BEFORE_LOGIN,
        admission,
    );
    match shared.shards.adopt(newcomer) {
        Ok(()) => carry(socket, end).await,
        Err(_) => close(socket, CloseCode::Again, "the server is busy").await,
    }
}

/// How a bridge came to its end.
enum Ended {
    /// The client has closed, or cannot be reached.
    Client,
    /// The client has sent what is not allowed; the code and words for it.
    Fault(CloseCode, &'static str),
    /// The shard has closed.
    Shard(CloseReason),
}

/// Carries messages between a socket and a shard until one of them ends.
async fn carry(mut socket: WebSocket, end: BridgeEnd) {
    let BridgeEnd { bodies, mut chunks, mut closed } = end;
    let mut frames = Frames::default();
    // A place for the next message: the client is not read from without one.
    let mut place: Option<mpsc::Permit<'_, Bytes>> = None;
    let ended = loop {
        tokio::select! {
            reason = &mut closed => break Ended::Shard(reason.unwrap_or(CloseReason::Service)),
            chunk = chunks.recv() => {
                // None: the shard has closed, and the reason is there or about to be.
                let Some(chunk) = chunk else { continue };
                frames.push(chunk);
                if let Err(ended) = deliver(&mut socket, &mut frames, &mut closed).await {
                    break ended;
                }
            }
            free = bodies.reserve(), if place.is_none() && !bodies.is_closed() => {
                // Fails only when the shard has closed, and then `closed` says why.
                place = free.ok();
            }
            message = socket.next(), if place.is_some() => match on_message(message) {
                Ok(None) => {}
                Ok(Some(body)) => {
                    if let Some(place) = place.take() {
                        place.send(body);
                    }
                    if bodies.capacity() == 0 && socket.get_mut().is_flooded() {
                        break Ended::flood();
                    }
                }
                Err(_) if socket.get_mut().is_flooded() => break Ended::flood(),
                Err(ended) => break ended,
            },
        }
    };
    match ended {
        Ended::Client => {}
        Ended::Fault(code, words) => close(socket, code, words).await,
        Ended::Shard(CloseReason::TooSlow) => {}
        Ended::Shard(reason) => {
            let last = async {
                while let Ok(chunk) = chunks.try_recv() {
                    frames.push(chunk);
                }
                send_all(&mut socket, &mut frames).await
            };
            if matches!(timeout(CLOSE_TIME, last).await, Ok(Ok(()))) {
                let (code, words) = close_words(&reason);
                close(socket, code, words).await;
            }
        }
    }
}

impl Ended {
    /// The client pours.
    fn flood() -> Self {
        counter!("throng_floods_closed_total").increment(1);
        Self::Fault(CloseCode::Policy, "more than ten times as many frames as are allowed")
    }
}

/// What a message from the client is to the shard; none: nothing.
fn on_message(
    message: Option<Result<Message, tungstenite::Error>>,
) -> Result<Option<Bytes>, Ended> {
    match message {
        Some(Ok(Message::Binary(body))) => Ok(Some(body)),
        // The library answers pings by itself.
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(None),
        Some(Ok(Message::Text(_))) => {
            Err(Ended::Fault(CloseCode::Unsupported, "packets are binary messages"))
        }
        Some(Ok(Message::Close(_))) | None => Err(Ended::Client),
        Some(Err(error)) => {
            debug!(%error, "websocket failed");
            Err(Ended::Fault(CloseCode::Protocol, "the message is not allowed"))
        }
    }
}

/// Sends what there is. If the shard closes meanwhile, a client that is too slow gets no more, any
/// other one has a moment for the rest.
async fn deliver(
    socket: &mut WebSocket,
    frames: &mut Frames,
    closed: &mut oneshot::Receiver<CloseReason>,
) -> Result<(), Ended> {
    let sending = send_all(socket, frames);
    tokio::pin!(sending);
    let reason = tokio::select! {
        sent = &mut sending => return sent.map_err(|_| Ended::Client),
        reason = closed => reason.unwrap_or(CloseReason::Service),
    };
    if reason != CloseReason::TooSlow && !matches!(timeout(CLOSE_TIME, sending).await, Ok(Ok(()))) {
        return Err(Ended::Client);
    }
    Err(Ended::Shard(reason))
}

async fn send_all(socket: &mut WebSocket, frames: &mut Frames) -> Result<(), tungstenite::Error> {
    while let Some(body) = frames.next() {
        socket.send(Message::Binary(body)).await?;
    }
    Ok(())
}

/// The close code (RFC 6455, 7.4.1) and words for a reason.
fn close_words(reason: &CloseReason) -> (CloseCode, &'static str) {
    match reason {
        CloseReason::Peer | CloseReason::Service => (CloseCode::Normal, "bye"),
        CloseReason::BadFrame(_) => (CloseCode::Policy, "a packet's size is not allowed"),
        CloseReason::TooSlow => (CloseCode::Policy, "reading too slowly"),
        CloseReason::Stalled => (CloseCode::Policy, "a packet was not finished"),
        CloseReason::Shutdown => (CloseCode::Away, "the server stops"),
    }
}

/// Sends a close and waits, bounded, for the client's.
async fn close(mut socket: WebSocket, code: CloseCode, reason: &'static str) {
    let farewell = async {
        let frame = CloseFrame { code, reason: reason.into() };
        socket.send(Message::Close(Some(frame))).await?;
        while let Some(Ok(_)) = socket.next().await {}
        if socket.get_mut().is_flooded() {
            // The library reads no further; one that pours is heard out, to a bound.
            let _ = socket.get_mut().read(&mut [0]).await?;
        }
        Ok::<(), tungstenite::Error>(())
    };
    // A client that doesn't answer in time is just dropped.
    let _ = timeout(CLOSE_TIME, farewell).await;
}

/// Cuts what the service has written into packets: chunks may hold several, or parts.
#[derive(Debug, Default)]
struct Frames {
    chunk: Bytes,
}

impl Frames {
    /// Adds a chunk.
    fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            let mut joined = BytesMut::from(&self.chunk[..]);
            joined.extend_from_slice(&chunk);
            self.chunk = joined.freeze();
        }
    }

    /// The next whole packet.
    fn next(&mut self) -> Option<Bytes> {
        let prefix = self.chunk.first_chunk::<PREFIX>()?;
        let length = u32::from_le_bytes(*prefix) as usize;
        if self.chunk.len() < PREFIX + length {
            return None;
        }
        self.chunk.advance(PREFIX);
        Some(self.chunk.split_to(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_whole_out_of_any_chunks() {
        let stream = [&[3, 0, 0, 0][..], b"one", &[2, 0, 0, 0], b"to"].concat();
        for size in 1..=stream.len() {
            let mut frames = Frames::default();
            let mut packets = Vec::new();
            for chunk in stream.chunks(size) {
                frames.push(Bytes::copy_from_slice(chunk));
                packets.extend(std::iter::from_fn(|| frames.next()));
            }
            assert_eq!(packets, [&b"one"[..], b"to"]);
        }
    }
}
