//! Going on after a lost connection: at the gateway that a REDIRECT named, at the same one, or at
//! any other that the log-in told of, again and again with growing, uneven pauses, for as long as
//! servers keep a session.
//!
//! All that a recovery has done so far is kept in [`Recovering`], so that a call that waits for it
//! may be cancelled and the next one goes on from there: a resume token works once.

use std::pin::Pin;
use std::time::{Duration, Instant};

use super::{Client, ClientError, Connection, Endpoint, Event, Resumed, Session};
use crate::ids::PlayerId;
use crate::proto::{self, ErrorCode};
use crate::tick;

/// How long a server keeps the session of a lost connection.
const RESUME_WINDOW: Duration = Duration::from_secs(60);
/// First pause between two tries; it doubles.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// Longest pause between two tries.
const RETRY_LONGEST: Duration = Duration::from_secs(2);
/// Tries at one gateway before the next has its turn.
const TRIES_AT_ONE: u32 = 2;
/// How long a gateway may take to take the connection, and to answer.
const ATTEMPT: Duration = Duration::from_secs(5);

/// What a client does by itself when its connection is lost in the world.
#[derive(Clone)]
pub struct Recovery {
    /// How long it tries to go on with the session. Servers keep one for 60 s.
    pub within: Duration,
    /// Name and password to log in with anew when no gateway can go on with the session any more;
    /// none: that is an error.
    pub log_in: Option<(String, String)>,
}

impl Default for Recovery {
    fn default() -> Self {
        Self { within: RESUME_WINDOW, log_in: None }
    }
}

type Future<T> = Pin<Box<dyn std::future::Future<Output = Result<T, ClientError>> + Send>>;

/// A recovery under way.
pub(super) struct Recovering {
    until: Instant,
    /// Where to try, in this order and over again.
    places: Vec<Endpoint>,
    tries: u32,
    token: String,
    last_sequence: u64,
    log_in: Option<(String, String)>,
    /// Whether the session is given up and a new log-in tried.
    anew: bool,
    step: Step,
}

enum Step {
    /// Until the next try.
    Pausing(Instant),
    /// On the way to a gateway.
    Opening(Future<Connection>),
    /// The token is shown; the answer is due by then.
    Asking(Box<Connection>, Instant),
    /// Logging in and entering anew.
    LoggingIn(Future<Client>),
}

/// How a recovery ends well.
enum Done {
    Resumed(Box<Connection>, proto::ResumeResponse),
    LoggedIn(Box<Client>),
}

impl Recovering {
    /// Gets on until the end of this try. Cancelling it loses nothing.
    async fn advance(&mut self) -> Result<Done, ClientError> {
        loop {
            match &mut self.step {
                Step::Pausing(until) => {
                    tokio::time::sleep_until((*until).into()).await;
                    self.begin_try();
                }
                Step::Opening(opening) => {
                    let mut connection = opening.await?;
                    connection.queue(&proto::ResumeRequest {
                        resume_token: self.token.clone(),
                        last_sequence: self.last_sequence,
                    })?;
                    self.step = Step::Asking(Box::new(connection), tick::now() + ATTEMPT);
                }
                Step::Asking(connection, until) => {
                    let answer = ask(connection, *until).await?;
                    let step = std::mem::replace(&mut self.step, Step::Pausing(tick::now()));
                    if let Step::Asking(connection, _) = step {
                        return Ok(Done::Resumed(connection, answer));
                    }
                }
                Step::LoggingIn(client) => return Ok(Done::LoggedIn(Box::new(client.await?))),
            }
        }
    }

    fn place(&self) -> Endpoint {
        let turn = (self.tries / TRIES_AT_ONE) as usize % self.places.len();
        self.places[turn].clone()
    }

    fn begin_try(&mut self) {
        let place = self.place();
        self.step = match &self.log_in {
            Some((name, password)) if self.anew => {
                Step::LoggingIn(log_in_anew(place, name.clone(), password.clone()))
            }
            _ => Step::Opening(open(place)),
        };
    }

    /// A try has failed: the next one, or the end.
    fn after(&mut self, error: ClientError) -> Result<(), ClientError> {
        let now = tick::now();
        let pause = match &error {
            ClientError::Refused { retry_after: Some(wait), .. } => wait.mul_f32(uneven(1.0..1.5)),
            ClientError::Refused { code: ErrorCode::ErrorUnavailable, .. }
            | ClientError::Connect { .. }
            | ClientError::Tls(_)
            | ClientError::Io(_)
            | ClientError::Closed
            | ClientError::Disconnected { .. }
            | ClientError::Protocol(_)
            | ClientError::Timeout { .. } => {
                let doubled = RETRY_FIRST * 2u32.saturating_pow(self.tries.min(16));
                doubled.min(RETRY_LONGEST).mul_f32(uneven(0.5..1.5))
            }
            ClientError::Refused { .. } if !self.anew && self.log_in.is_some() => {
                // No gateway will say anything else about this session.
                (self.anew, self.tries, self.until) = (true, 0, now + RESUME_WINDOW);
                self.begin_try();
                return Ok(());
            }
            _ => return Err(error),
        };
        if now + pause >= self.until {
            return Err(error);
        }
        self.tries += 1;
        if matches!(&error, ClientError::Timeout { .. }) {
            // One that says nothing is not worth a second wait.
            self.tries = self.tries.next_multiple_of(TRIES_AT_ONE);
        }
        self.step = Step::Pausing(now + pause);
        Ok(())
    }
}

/// A factor within these bounds: clients that have lost the same gateway must not come back all at
/// once.
fn uneven(bounds: std::ops::Range<f32>) -> f32 {
    rand::random_range(bounds)
}

fn open(place: Endpoint) -> Future<Connection> {
    Box::pin(async move {
        let opening = tokio::time::timeout(ATTEMPT, Connection::open(&place)).await;
        opening.unwrap_or(Err(ClientError::Timeout { asked: "a connection", after: ATTEMPT }))
    })
}

fn log_in_anew(place: Endpoint, name: String, password: String) -> Future<Client> {
    Box::pin(async move {
        let mut client = Client::connect(place).await?;
        client.set_recovery(None);
        let login = client.login(&name, &password).await?;
        client.enter(&login.session_token).await?;
        Ok(client)
    })
}

/// Waits for the answer to a resumption.
async fn ask(
    connection: &mut Connection,
    until: Instant,
) -> Result<proto::ResumeResponse, ClientError> {
    let answer = async {
        connection.flush().await?;
        connection.receive().await
    };
    let late = |_| ClientError::Timeout { asked: "a resumption", after: ATTEMPT };
    let packet = tokio::time::timeout_at(until.into(), answer).await.map_err(late)??;
    match Event::decode(packet.kind, packet.payload) {
        Ok(Event::Resume(answer)) if answer.success => Ok(answer),
        Ok(Event::Resume(answer)) => {
            Err(ClientError::refused(answer.error_code, answer.error_message, 0))
        }
        Ok(Event::Error(error)) => {
            let proto::Error { code, message, retry_after_ms, .. } = error;
            Err(ClientError::refused(code, message, retry_after_ms))
        }
        Ok(Event::Disconnect(notice)) => Err(ClientError::Disconnected {
            reason: notice.reason(),
            message: notice.message,
            may_resume: true,
        }),
        Ok(other) => Err(ClientError::Protocol(format!("a resumption answered by {other:?}"))),
        Err(error) => Err(ClientError::Protocol(error.to_string())),
    }
}

impl Client {
    /// What this client does by itself when its connection is lost in the world; none: it gives
    /// the error, and [`Self::reconnect`] is the caller's to call. By default it goes on with the
    /// session within 60 s, and does not log in anew.
    pub fn set_recovery(&mut self, recovery: Option<Recovery>) {
        self.recovery = recovery;
    }

    /// Gateways to go on at when this one is lost, as a log-in at another port has told of them.
    /// [`Self::login`] does this by itself.
    pub fn learn_gateways(&mut self, servers: &[proto::ServerInfo]) {
        let place = |server: &proto::ServerInfo| {
            Some((server.ip_address.clone(), u16::try_from(server.port).ok()?))
        };
        self.gateways = servers.iter().filter_map(place).collect();
    }

    /// Goes on with the session after the connection was lost, at the gateway of the last REDIRECT,
    /// at the same one or at another, trying again for as long as servers keep it (60 s). Then
    /// the missed packets and a fresh view follow as events. For clients that do not do so by
    /// themselves; see [`Self::set_recovery`].
    ///
    /// # Errors
    /// [`ClientError::NoSession`] if the world was never entered; else the server's refusal, or
    /// the last reason why nobody answered.
    pub async fn reconnect(&mut self) -> Result<Resumed, ClientError> {
        if self.notice.as_ref().is_some_and(|notice| !notice.may_resume) {
            return Err(self.parting(ClientError::Closed));
        }
        if self.recovering.is_none() {
            let recovery = self.recovery.clone().unwrap_or_default();
            self.begin(recovery, self.probed_at.is_some())?;
        }
        self.recover().await
    }

    /// The connection is lost: a recovery begins, or the error is the caller's.
    pub(super) fn begin_recovery(&mut self, error: ClientError) -> Result<Event, ClientError> {
        let resumable = self.notice.as_ref().is_none_or(|notice| notice.may_resume);
        match self.recovery.clone() {
            Some(recovery)
                if error.is_disconnect()
                    && resumable
                    && self.session.is_some()
                    && !self.gave_up =>
            {
                self.begin(recovery, matches!(error, ClientError::Silent(_)))?;
                Ok(Event::Reconnecting { why: error.to_string() })
            }
            _ => Err(error),
        }
    }

    /// `silent`: the gateway takes connections perhaps, and says nothing.
    fn begin(&mut self, recovery: Recovery, silent: bool) -> Result<(), ClientError> {
        let token = self.session.as_ref().ok_or(ClientError::NoSession)?.resume_token.clone();
        let (redirect, own) = (self.redirect.take(), self.endpoint.clone());
        let here = (own.host.clone(), own.port);
        // A gateway that has named another one is going away itself: it comes last, like one that
        // has fallen silent.
        let last = silent || redirect.is_some();
        let (first, others) = if last {
            let others = self.gateways.iter().filter(|place| **place != here);
            (None, others.cloned().collect::<Vec<_>>())
        } else {
            (Some(here.clone()), self.gateways.clone())
        };
        let all = redirect.into_iter().chain(first).chain(others);
        let mut places: Vec<Endpoint> = Vec::new();
        for (host, port) in all.chain([here]) {
            if !places.iter().any(|known| known.host == host && known.port == port) {
                places.push(Endpoint { host, port, tls: own.tls.clone() });
            }
        }
        let now = tick::now();
        // At once where one was sent; else those who have lost the same gateway come one by one.
        let pause = RETRY_FIRST.mul_f32(uneven(0.0..1.0));
        self.recovering = Some(Recovering {
            until: now + recovery.within,
            places,
            tries: 0,
            token,
            last_sequence: self.connection.received(),
            log_in: recovery.log_in,
            anew: false,
            step: Step::Pausing(now + pause),
        });
        Ok(())
    }

    /// Goes on with the recovery that is under way, to its end. Only a connection that has resumed
    /// replaces the old one, whose sequence the next try needs.
    pub(super) async fn recover(&mut self) -> Result<Resumed, ClientError> {
        loop {
            let Some(recovering) = &mut self.recovering else { return Err(ClientError::NoSession) };
            match recovering.advance().await {
                Ok(done) => {
                    let place = recovering.place();
                    self.recovering = None;
                    (self.endpoint, self.notice, self.gave_up) = (place, None, false);
                    self.probed_at = None;
                    return self.take_over(done);
                }
                Err(error) => {
                    if let Err(error) = recovering.after(error) {
                        self.recovering = None;
                        self.gave_up = true;
                        return Err(error);
                    }
                }
            }
        }
    }

    fn take_over(&mut self, done: Done) -> Result<Resumed, ClientError> {
        match done {
            Done::Resumed(connection, answer) => {
                self.connection = *connection;
                self.session = Some(Session {
                    session_id: answer.session_id,
                    player: PlayerId(answer.player_id),
                    resume_token: answer.resume_token,
                });
                Ok(Resumed {
                    replayed: answer.replayed,
                    lost: answer.lost,
                    last_client_sequence: answer.last_client_sequence,
                    anew: false,
                })
            }
            Done::LoggedIn(client) => {
                let Client { connection, session, backlog, view, gateways, .. } = *client;
                (self.connection, self.session, self.view) = (connection, session, view);
                self.gateways = gateways;
                for event in backlog {
                    self.keep(event)?;
                }
                Ok(Resumed { replayed: 0, lost: true, last_client_sequence: 0, anew: true })
            }
        }
    }
}
