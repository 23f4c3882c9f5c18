//! WebSocket: `/ws` on the public HTTP port. One binary message is one packet, without the length
//! that the packet port puts before it.
//!
//! Each socket has a task here that bridges it to a shard, which treats it like any other
//! connection. Both directions are bounded: a browser that reads too slowly fills the bridge, then
//! the connection's outbound bytes, and is cut like any slow client.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::gate::{Gate, Refusal};
use super::origin::Pages;
use super::shard::{Newcomer, Shards};
use super::tls::ClientAddress;
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
/// The port's label in metrics.
const LABEL: &str = "websocket";

/// What the route needs to know.
#[derive(Debug, Clone)]
pub struct WebSocketConfig {
    /// Origins whose pages may connect, such as `https://example.org`; empty: only the host that
    /// is connected to. Programs, which send no origin, always may.
    pub allowed_origins: Vec<String>,
    /// Whether the port speaks TLS itself.
    pub secure: bool,
}

struct Shared<M> {
    pages: Pages,
    shards: Shards<M>,
    gate: Arc<Gate>,
    stop: CancellationToken,
}

/// The route `/ws`. The service must be made with
/// `into_make_service_with_connect_info::<ClientAddress>()`.
pub fn router<M: Send + 'static>(
    config: WebSocketConfig,
    shards: Shards<M>,
    gate: Arc<Gate>,
    stop: CancellationToken,
) -> Router {
    let pages = Pages::new(&config.allowed_origins, config.secure);
    let shared = Arc::new(Shared { pages, shards, gate, stop });
    Router::new().route("/ws", any(on_upgrade::<M>)).with_state(shared)
}

async fn on_upgrade<M: Send + 'static>(
    State(shared): State<Arc<Shared<M>>>,
    ConnectInfo(ClientAddress(from)): ConnectInfo<ClientAddress>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if let Err(why) = shared.pages.check(&headers) {
        Refusal::Origin.count();
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    if shared.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the server is stopping").into_response();
    }
    let admission = match shared.gate.admit(from.ip(), LABEL) {
        Ok(admission) => admission,
        Err(Refusal::Address) => {
            return (StatusCode::TOO_MANY_REQUESTS, "too many connections").into_response();
        }
        Err(_) => return (StatusCode::SERVICE_UNAVAILABLE, "the server is full").into_response(),
    };
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_MAX)
        .max_message_size(MESSAGE_MAX)
        .max_frame_size(MESSAGE_MAX)
        .on_upgrade(move |socket| async move {
            let (bridge, end) = transport::bridge();
            let newcomer = Newcomer::new(
                Transport::Bridge(bridge),
                from.ip(),
                Framing::Length,
                limits::CLIENT_FRAME_MAX_BEFORE_LOGIN,
                admission,
            );
            match shared.shards.adopt(newcomer) {
                Ok(()) => Box::pin(carry(socket, end)).await,
                Err(_) => close(socket, close_code::AGAIN, "the server is busy").await,
            }
        })
}

/// How a bridge came to its end.
enum Ended {
    /// The client has closed, or cannot be reached.
    Client,
    /// The client has sent what is not allowed; the code and words for it.
    Fault(u16, &'static str),
    /// The shard has closed.
    Shard(CloseReason),
}

/// Carries messages between a socket and a shard until one of them ends.
async fn carry(mut socket: WebSocket, mut end: BridgeEnd) {
    let mut frames = Frames::default();
    let ended = loop {
        tokio::select! {
            reason = &mut end.closed => break Ended::Shard(reason.unwrap_or(CloseReason::Service)),
            chunk = end.chunks.recv() => {
                // None: the shard has closed, and the reason is there or about to be.
                let Some(chunk) = chunk else { continue };
                frames.push(chunk);
                if let Err(ended) = deliver(&mut socket, &mut frames, &mut end.closed).await {
                    break ended;
                }
            }
            message = socket.recv() => match on_message(message) {
                Ok(None) => {}
                Ok(Some(body)) => {
                    // Fails only when the shard has closed, and then `closed` says why.
                    let _ = end.bodies.send(body).await;
                }
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
                while let Ok(chunk) = end.chunks.try_recv() {
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

/// What a message from the client is to the shard; none: nothing.
fn on_message(message: Option<Result<Message, axum::Error>>) -> Result<Option<Bytes>, Ended> {
    match message {
        Some(Ok(Message::Binary(body))) => Ok(Some(body)),
        // The library answers pings by itself.
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Text(_))) => {
            Err(Ended::Fault(close_code::UNSUPPORTED, "packets are binary messages"))
        }
        Some(Ok(Message::Close(_))) | None => Err(Ended::Client),
        Some(Err(error)) => {
            debug!(%error, "websocket failed");
            Err(Ended::Fault(close_code::PROTOCOL, "the message is not allowed"))
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

async fn send_all(socket: &mut WebSocket, frames: &mut Frames) -> Result<(), axum::Error> {
    while let Some(body) = frames.next() {
        socket.send(Message::Binary(body)).await?;
    }
    Ok(())
}

/// The close code (RFC 6455, 7.4.1) and words for a reason.
fn close_words(reason: &CloseReason) -> (u16, &'static str) {
    match reason {
        CloseReason::Peer | CloseReason::Service => (close_code::NORMAL, "bye"),
        CloseReason::BadFrame(_) => (close_code::POLICY, "a packet's size is not allowed"),
        CloseReason::TooSlow => (close_code::POLICY, "reading too slowly"),
        CloseReason::Stalled => (close_code::POLICY, "a packet was not finished"),
        CloseReason::Shutdown => (close_code::AWAY, "the server stops"),
    }
}

/// Sends a close and waits, bounded, for the client's.
async fn close(mut socket: WebSocket, code: u16, reason: &'static str) {
    let farewell = async {
        let frame = CloseFrame { code, reason: reason.into() };
        socket.send(Message::Close(Some(frame))).await?;
        while let Some(Ok(_)) = socket.recv().await {}
        Ok::<(), axum::Error>(())
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
