//! A client of Throng for any Rust game: connects, logs in, acts, and tells what happens.
//!
//! A [`Client`] is one session and what it has seen. It has no task or thread of its own:
//! whatever is awaited on it also sends the heartbeats that are due, so a game that calls
//! [`Client::next`] in a loop stays connected. Any call may be cancelled (in a `select!`, by a
//! time limit) without losing a packet. When the connection is lost, or the gateway sends its
//! clients elsewhere, the client goes on with the session by itself ([`Recovery`]) and says so
//! ([`Event::Reconnecting`], [`Event::Resumed`]).
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
mod recovery;
mod session;
mod tls;
mod view;
mod wire;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod recovery_tests;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use error::ClientError;
pub use packets::{ClientMessage, Event};
pub use recovery::Recovery;
pub(crate) use session::password_hash;
pub use session::{Resumed, Session};
pub use tls::Tls;
pub use view::{SHOWN_LATE_MS, Seen, WorldView};
pub use wire::{Connection, ConnectionParts, Endpoint, Incoming};

use crate::proto;
use crate::tick;
use recovery::Recovering;

/// A heartbeat is sent after this long without another packet.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// Sent sooner when nothing was heard for so long: is the other side there still?
const QUIET: Duration = Duration::from_secs(3);
/// A connection over which nothing came for so long after that is dead.
const DEAD: Duration = Duration::from_secs(5);
/// How long a call waits for its answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Events that may wait for [`Client::next`] while other calls are awaited.
pub const BACKLOG_MAX: usize = 8_192;

/// One connection to a server, and what it has seen.
pub struct Client {
    endpoint: Endpoint,
    connection: Connection,
    session: Option<Session>,
    /// Where REDIRECT said to go on.
    redirect: Option<(String, u16)>,
    /// Other gateways, as the log-in told of them.
    gateways: Vec<(String, u16)>,
    recovery: Option<Recovery>,
    recovering: Option<Recovering>,
    /// A recovery has failed: what follows is the caller's.
    gave_up: bool,
    /// The server's parting word; the connection ends after it.
    notice: Option<proto::DisconnectNotice>,
    /// Events that came while an answer was awaited.
    backlog: VecDeque<Event>,
    view: WorldView,
    round_trip: Option<Duration>,
    started: Instant,
    heartbeat: Duration,
    /// [`QUIET`] and [`DEAD`].
    quiet: Duration,
    dead: Duration,
    /// Since when a heartbeat, or anything else, is waited for.
    probed_at: Option<Instant>,
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
            recovery: Some(Recovery::default()),
            recovering: None,
            gave_up: false,
            notice: None,
            backlog: VecDeque::new(),
            view: WorldView::default(),
            round_trip: None,
            started: tick::now(),
            heartbeat: HEARTBEAT,
            quiet: QUIET,
            dead: DEAD,
            probed_at: None,
            move_sequence: 0,
        })
    }

    /// What happens next. Answers to other calls of this client don't appear here, nor do
    /// heartbeats.
    ///
    /// # Errors
    /// The connection is over (see [`ClientError::is_disconnect`]) and this client does not go on
    /// by itself, or could not.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        if let Some(event) = self.backlog.pop_front() {
            return Ok(event);
        }
        if self.recovering.is_some() {
            return self.recover().await.map(Event::Resumed);
        }
        loop {
            match self.receive().await {
                Ok(Event::Heartbeat(_)) => {}
                Ok(event) => return Ok(event),
                Err(error) => return self.begin_recovery(error),
            }
        }
    }

    /// Sends any message; gives the header sequence that an ERROR would name. If the connection is
    /// lost, it is sent once the session goes on.
    ///
    /// # Errors
    /// The connection broke and the session cannot go on, or the message is too large.
    pub async fn send<M: ClientMessage>(&mut self, message: &M) -> Result<u64, ClientError> {
        loop {
            if self.recovering.is_some() {
                let resumed = self.recover().await?;
                self.keep(Event::Resumed(resumed))?;
            }
            let sequence = self.connection.queue(message)?;
            match self.connection.flush().await {
                Ok(()) => return Ok(sequence),
                Err(error) => {
                    // What could not be written whole was not read by anybody.
                    let error = self.parting(error);
                    let lost = self.begin_recovery(error)?;
                    self.keep(lost)?;
                }
            }
        }
    }

    /// Sends a message and waits for its answer: the first event that `answer` takes. Whatever
    /// else comes meanwhile waits for [`Self::next`].
    ///
    /// # Errors
    /// The server refused it by an ERROR that names it, nothing came in [`ANSWER_TIMEOUT`], the
    /// connection was lost meanwhile ([`ClientError::Interrupted`]: the next call goes on), or for
    /// good.
    pub async fn request<M: ClientMessage, T>(
        &mut self,
        asked: &'static str,
        message: &M,
        mut answer: impl FnMut(&Event) -> Option<T>,
    ) -> Result<T, ClientError> {
        self.request_numbered(asked, message, |_, event| answer(event)).await
    }

    /// [`Self::request`] for answers that name the request by its header sequence.
    async fn request_numbered<M: ClientMessage, T>(
        &mut self,
        asked: &'static str,
        message: &M,
        mut answer: impl FnMut(u64, &Event) -> Option<T>,
    ) -> Result<T, ClientError> {
        let sequence = self.send(message).await?;
        let mut deadline = tick::now() + ANSWER_TIMEOUT;
        loop {
            let received = tokio::time::timeout_at(deadline.into(), self.receive())
                .await
                .map_err(|_| ClientError::Timeout { asked, after: ANSWER_TIMEOUT })?;
            let event = match received {
                Ok(event) => event,
                Err(error) => {
                    let lost = self.begin_recovery(error)?;
                    self.keep(lost)?;
                    return Err(ClientError::Interrupted { asked });
                }
            };
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
                event => match answer(sequence, &event) {
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
    /// server gives a silent client up after 25 s. In the world one is sent after 3 s without
    /// hearing anything, too, to find out whether the server is there.
    pub fn set_heartbeat(&mut self, every: Duration) {
        self.heartbeat = every;
    }

    /// Gives up the connection to somebody who drives it alone, and what was seen is forgotten.
    pub fn into_connection(self) -> Connection {
        self.connection
    }

    /// The next packet as an event, seen and noted; heartbeats go out meanwhile.
    async fn receive(&mut self) -> Result<Event, ClientError> {
        loop {
            self.connection.flush().await?;
            let due = self.heartbeat_due();
            let incoming = tokio::select! {
                biased;
                incoming = self.connection.receive() => incoming,
                () = tokio::time::sleep_until(due.into()) => {
                    self.beat()?;
                    continue;
                }
            };
            self.probed_at = None;
            let packet = incoming.map_err(|error| self.parting(error))?;
            let event = Event::decode(packet.kind, packet.payload).map_err(|error| {
                ClientError::Protocol(format!("packet type {}: {error}", packet.kind))
            })?;
            self.note(&event);
            return Ok(event);
        }
    }

    /// When the next heartbeat is due, or the connection is to be given up.
    fn heartbeat_due(&self) -> Instant {
        let due = self.connection.last_send() + self.heartbeat;
        match self.probed_at {
            _ if self.session.is_none() => due,
            Some(at) => due.min(at + self.dead),
            None => due.min(self.connection.last_receive() + self.quiet),
        }
    }

    /// Sends the heartbeat that is due. In a quiet world its answer tells silence from death.
    fn beat(&mut self) -> Result<(), ClientError> {
        let now = tick::now();
        if self.session.is_some() {
            let since = *self.probed_at.get_or_insert(now);
            if now.saturating_duration_since(since) >= self.dead {
                return Err(self.parting(ClientError::Silent(self.dead)));
            }
        }
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
            Event::Login(answer) if answer.success => self.learn_gateways(&answer.game_servers),
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
