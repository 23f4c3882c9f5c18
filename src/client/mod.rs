//! A client of Throng for any Rust game: connects, logs in, acts, and tells what happens.
//!
//! A [`Client`] is one connection and what it has seen. It has no task or thread of its own:
//! whatever is awaited on it also sends the heartbeats that are due, so a game that calls
//! [`Client::next`] in a loop stays connected. Any call may be cancelled (in a `select!`, by a
//! time limit) without losing a packet.
//!
//! A whole bot that walks to the nearest creature and fights it:
//!
//! ```no_run
//! use std::time::Duration;
//! use throng::client::{Client, ClientError, Endpoint, Event};
//! use throng::proto::EntityKind;
//!
//! # async fn bot() -> Result<(), ClientError> {
//! let mut client = Client::connect(Endpoint::plain("127.0.0.1", 8081)).await?;
//! if let Err(error) = client.register("wanderer", "a long password").await {
//!     println!("{error}"); // the name is taken: perhaps by an earlier run of this bot
//! }
//! let login = client.login("wanderer", "a long password").await?;
//! client.enter(&login.session_token).await?;
//! client.say("hello").await?;
//! loop {
//!     match tokio::time::timeout(Duration::from_millis(500), client.next()).await {
//!         Ok(Ok(Event::Game(event))) => println!("{event:?}"),
//!         Ok(Err(error)) if error.is_disconnect() => drop(client.reconnect().await?),
//!         Ok(other) => drop(other?),
//!         Err(_) => {} // nothing happens: high time to do something
//!     }
//!     let target = client.view().nearest(EntityKind::EntityNpc);
//!     if let Some((id, place)) = target.map(|(id, seen)| (id, seen.newest.at)) {
//!         client.move_to(place.x, place.y).await?;
//!         match client.attack(id).await {
//!             Ok(event) => println!("hit for {}", event.amount),
//!             Err(refused) => println!("{refused}"), // out of reach still, or too soon
//!         }
//!     }
//! }
//! # }
//! ```

mod actions;
mod error;
mod packets;
mod session;
mod tls;
mod view;
mod wire;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

pub use error::ClientError;
pub use packets::{ClientMessage, Event};
pub use session::{Resumed, Session};
pub use tls::Tls;
pub use view::{SHOWN_LATE_MS, Seen, WorldView};
pub use wire::{Connection, ConnectionParts, Endpoint, Incoming};

use crate::proto;
use crate::tick;

/// A heartbeat is sent after this long without another packet.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// A server that has not said anything for so long, not even in answer to a heartbeat, is given up.
pub const SILENCE: Duration = Duration::from_secs(10);
/// How long a call waits for its answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Events that may wait for [`Client::next`] while other calls are awaited.
pub const BACKLOG_MAX: usize = 8_192;

/// What a client does when nothing comes.
enum Due {
    /// Show that it is there itself.
    Heartbeat,
    /// Ask whether the server is.
    Question,
    /// Take the server for dead.
    GiveUp,
}

/// One connection to a server, and what it has seen.
pub struct Client {
    endpoint: Endpoint,
    connection: Connection,
    session: Option<Session>,
    /// Where REDIRECT said to go on.
    redirect: Option<(String, u16)>,
    /// Gateways that would take the session too, best first.
    gateways: Vec<(String, u16)>,
    /// The server's parting word; the connection ends after it.
    notice: Option<proto::DisconnectNotice>,
    /// Events that came while an answer was awaited.
    backlog: VecDeque<Event>,
    view: WorldView,
    round_trip: Option<Duration>,
    started: Instant,
    heartbeat: Duration,
    silence: Duration,
    /// When the last packet came.
    heard: Instant,
    /// When a heartbeat was sent because nothing had come for a while; none: something came since.
    asked: Option<Instant>,
    move_sequence: u32,
}

impl Client {
    /// Opens a connection. Log in next (or resume).
    ///
    /// # Errors
    /// Nobody answers there, or TLS fails.
    pub async fn connect(endpoint: Endpoint) -> Result<Self, ClientError> {
        let connection = Connection::open(&endpoint).await?;
        Ok(Self {
            endpoint,
            connection,
            session: None,
            redirect: None,
            gateways: Vec::new(),
            notice: None,
            backlog: VecDeque::new(),
            view: WorldView::default(),
            round_trip: None,
            started: tick::now(),
            heartbeat: HEARTBEAT,
            silence: SILENCE,
            heard: tick::now(),
            asked: None,
            move_sequence: 0,
        })
    }

    /// What happens next. Answers to other calls of this client don't appear here, nor do
    /// heartbeats.
    ///
    /// # Errors
    /// The connection is over (see [`ClientError::is_disconnect`] and [`Self::reconnect`]).
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        if let Some(event) = self.backlog.pop_front() {
            return Ok(event);
        }
        loop {
            let event = self.receive().await?;
            if !matches!(event, Event::Heartbeat(_)) {
                return Ok(event);
            }
        }
    }

    /// Sends any message; gives the header sequence that an ERROR would name.
    ///
    /// # Errors
    /// The connection broke, or the message is too large.
    pub async fn send<M: ClientMessage>(&mut self, message: &M) -> Result<u64, ClientError> {
        let sequence = self.connection.queue(message)?;
        self.connection.flush().await?;
        Ok(sequence)
    }

    /// Sends a message and waits for its answer: the first event that `answer` takes. Whatever
    /// else comes meanwhile waits for [`Self::next`].
    ///
    /// # Errors
    /// The server refused it by an ERROR that names it, nothing came in [`ANSWER_TIMEOUT`], or
    /// the connection broke.
    pub async fn request<M: ClientMessage, T>(
        &mut self,
        asked: &'static str,
        message: &M,
        mut answer: impl FnMut(&Event) -> Option<T>,
    ) -> Result<T, ClientError> {
        let sequence = self.send(message).await?;
        let mut deadline = tick::now() + ANSWER_TIMEOUT;
        loop {
            let event = tokio::time::timeout_at(deadline.into(), self.receive())
                .await
                .map_err(|_| ClientError::Timeout { asked, after: ANSWER_TIMEOUT })??;
            match event {
                Event::Error(error) if error.in_reply_to == sequence => {
                    let proto::Error { code, message, retry_after_ms, .. } = error;
                    return Err(ClientError::refused(code, message, retry_after_ms));
                }
                Event::LoginQueue(queue) => {
                    // The answer will come, but not before those ahead have theirs.
                    deadline = tick::now()
                        + ANSWER_TIMEOUT
                        + Duration::from_millis(u64::from(queue.estimated_wait_ms));
                    self.keep(Event::LoginQueue(queue))?;
                }
                event => match answer(&event) {
                    Some(taken) => return Ok(taken),
                    None => self.keep(event)?,
                },
            }
        }
    }

    /// What this client sees.
    pub fn view(&self) -> &WorldView {
        &self.view
    }

    /// The session in the world, once entered.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// How long the last heartbeat and its answer took.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Sends a heartbeat and waits for its answer.
    ///
    /// # Errors
    /// No answer, or the connection broke.
    pub async fn ping(&mut self) -> Result<Duration, ClientError> {
        let sent = self.started.elapsed();
        let message = proto::HeartbeatRequest { client_time: sent.as_nanos() as u64 };
        self.request("a heartbeat", &message, |event| match event {
            Event::Heartbeat(answer) if answer.client_time == message.client_time => Some(()),
            _ => None,
        })
        .await?;
        Ok(self.started.elapsed().saturating_sub(sent))
    }

    /// Sends heartbeats after this long without another packet, instead of [`HEARTBEAT`]. The
    /// server gives a silent client up after 25 s.
    pub fn set_heartbeat(&mut self, every: Duration) {
        self.heartbeat = every;
    }

    /// Gives a server up after this long without a packet, instead of [`SILENCE`]; half of it is
    /// for the answer to a heartbeat. Only in the world.
    pub fn set_silence(&mut self, after: Duration) {
        self.silence = after;
    }

    /// The gateways that a lost session may go on at besides the present one, as LOGIN_RESPONSE
    /// lists them. [`Self::login`] sets them by itself; a client that has its ticket from
    /// another connection is told here.
    pub fn set_gateways(&mut self, servers: &[proto::ServerInfo]) {
        let place = |server: &proto::ServerInfo| {
            Some((server.ip_address.clone(), u16::try_from(server.port).ok()?))
        };
        self.gateways = servers.iter().filter_map(place).collect();
    }

    /// Gives up the connection to somebody who drives it alone, and what was seen is forgotten.
    pub fn into_connection(self) -> Connection {
        self.connection
    }

    /// The next packet as an event, seen and noted; heartbeats go out meanwhile.
    async fn receive(&mut self) -> Result<Event, ClientError> {
        loop {
            self.connection.flush().await?;
            let (due, at) = self.due();
            let incoming = tokio::select! {
                incoming = self.connection.receive() => incoming,
                () = tokio::time::sleep_until(at.into()) => match due {
                    Due::Heartbeat => {
                        self.queue_heartbeat()?;
                        continue;
                    }
                    Due::Question => {
                        self.queue_heartbeat()?;
                        self.asked = Some(tick::now());
                        continue;
                    }
                    // Unless it has spoken, and nobody was there to listen.
                    Due::GiveUp => tokio::time::timeout(Duration::ZERO, self.connection.receive())
                        .await
                        .unwrap_or_else(|_| Err(std::io::Error::from(ErrorKind::TimedOut).into())),
                },
            };
            let packet = incoming.map_err(|error| self.parting(error))?;
            (self.heard, self.asked) = (tick::now(), None);
            let event = Event::decode(packet.kind, packet.payload).map_err(|error| {
                ClientError::Protocol(format!("packet type {}: {error}", packet.kind))
            })?;
            self.note(&event);
            return Ok(event);
        }
    }

    /// What is to be done next if nothing comes, and when.
    fn due(&self) -> (Due, Instant) {
        let heartbeat = (Due::Heartbeat, self.connection.last_send() + self.heartbeat);
        let patience = self.silence / 2;
        let other = match (&self.session, self.asked) {
            (None, _) => return heartbeat,
            (Some(_), None) => (Due::Question, self.heard + patience),
            (Some(_), Some(asked)) => (Due::GiveUp, asked + patience),
        };
        if other.1 < heartbeat.1 { other } else { heartbeat }
    }

    fn queue_heartbeat(&mut self) -> Result<(), ClientError> {
        let client_time = self.started.elapsed().as_nanos() as u64;
        self.connection.queue(&proto::HeartbeatRequest { client_time })?;
        Ok(())
    }

    /// Remembers what an event says about the connection, the session and the world.
    fn note(&mut self, event: &Event) {
        match event {
            Event::Heartbeat(answer) => {
                let sent = Duration::from_nanos(answer.client_time);
                self.round_trip = self.started.elapsed().checked_sub(sent);
            }
            Event::Disconnect(notice) => self.notice = Some(notice.clone()),
            Event::Redirect(to) => {
                self.redirect = u16::try_from(to.port).ok().map(|port| (to.host.clone(), port));
            }
            event => self.view.fold(event, tick::now()),
        }
    }

    /// A broken connection's error, with the server's parting word if it has left one.
    fn parting(&mut self, error: ClientError) -> ClientError {
        match &self.notice {
            Some(notice) if error.is_disconnect() => ClientError::Disconnected {
                reason: notice.reason(),
                message: notice.message.clone(),
                may_resume: notice.may_resume,
            },
            _ => error,
        }
    }

    /// Lets an event wait for [`Self::next`].
    fn keep(&mut self, event: Event) -> Result<(), ClientError> {
        if matches!(event, Event::Heartbeat(_)) {
            return Ok(());
        }
        if self.backlog.len() >= BACKLOG_MAX {
            return Err(ClientError::Backlog(BACKLOG_MAX));
        }
        self.backlog.push_back(event);
        Ok(())
    }
}
