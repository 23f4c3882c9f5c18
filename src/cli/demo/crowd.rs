//! The bots of a demonstration: they come in over all gateways, walk about, talk a little, and
//! notice what a player would: lost connections, new log-ins, moments in which nothing moves.
//!
//! Uses the client library as a game would, so that what it does by itself is seen to work. One
//! thread runs all bots; the demonstration only reads their counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use rand::RngExt;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, ClientError, Endpoint, Event};
use crate::geometry::Point;
use crate::proto::{DisconnectReason, ErrorCode};
use crate::tick::now;

/// Bots that come in at once.
const AT_THE_DOOR: usize = 20;
/// Time between two new ways; a bot is still on its way when it gets the next one.
const NEW_WAY: Duration = Duration::from_secs(2);
/// How far a way leads, metres: at 5 m/s longer than the time to the next one.
const WAY: std::ops::Range<f32> = 15.0..30.0;
/// How far from the world's middle bots have their homes, metres: some beyond a border.
const HOMES: f32 = 260.0;
/// Between two words of a bot.
const WORD_EVERY: Duration = Duration::from_secs(60);
/// Nothing moved for so long: a player would notice.
const SILENCE: Duration = Duration::from_millis(500);
/// Pause after a failed log-in.
const PAUSE: Duration = Duration::from_secs(1);
/// The golden angle, radians: spreads any number of bots over a circle.
const GOLDEN_ANGLE: f32 = 2.399_963;

/// What the bots have noticed so far. All but `inside` only rise.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// In the world now, connected.
    pub(super) inside: AtomicU64,
    /// Connections lost.
    pub(super) lost: AtomicU64,
    /// Connections that a gateway has ended which drains: their bots were sent to another one.
    pub(super) sent_on: AtomicU64,
    /// Sessions gone on with after that.
    pub(super) resumed: AtomicU64,
    /// Log-ins, the first ones included.
    pub(super) logged_in: AtomicU64,
    /// Log-ins and entries that failed.
    pub(super) failed: AtomicU64,
    /// Ends of times in which nothing moved.
    pub(super) silences: AtomicU64,
    /// The longest of them, milliseconds, since it was last taken.
    pub(super) longest_silence: AtomicU64,
    /// Position updates.
    pub(super) updates: AtomicU64,
}

/// The bots.
pub(super) struct Crowd {
    pub(super) counts: Arc<Counts>,
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

/// What the bots of a run share.
struct Run {
    bots: u32,
    login: Endpoint,
    /// Makes names that no other run has, and a password that nobody knows.
    names: String,
    password: String,
    door: Semaphore,
    counts: Arc<Counts>,
    stop: CancellationToken,
}

impl Crowd {
    /// Sends the bots in, by the login port of this machine.
    ///
    /// # Errors
    /// If there is no thread for them.
    pub(super) fn start(bots: u32, login_port: u16) -> anyhow::Result<Self> {
        let (counts, stop) = (Arc::new(Counts::default()), CancellationToken::new());
        let run = Run {
            bots,
            login: Endpoint::plain("127.0.0.1", login_port),
            names: format!("bot_{:04x}_", rand::random::<u16>()),
            password: format!("{:032x}", rand::random::<u128>()),
            door: Semaphore::new(AT_THE_DOOR),
            counts: counts.clone(),
            stop: stop.clone(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new()
            .name("bots".to_owned())
            .spawn(move || {
                let run = Arc::new(run);
                let all = LocalSet::new();
                for index in 0..run.bots {
                    all.spawn_local(Bot::new(index, run.clone()).live());
                }
                runtime.block_on(all);
            })
            .context("there is no thread for the bots")?;
        Ok(Self { counts, stop, thread })
    }

    /// Lets them log out, and waits for that a few seconds at most.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        let _ = tokio::task::spawn_blocking(move || self.thread.join()).await;
    }
}

struct Bot {
    index: u32,
    run: Arc<Run>,
    home: Point,
    /// When something last moved in its view.
    moved: Option<Instant>,
    next_way: Instant,
    next_word: Instant,
}

impl Bot {
    fn new(index: u32, run: Arc<Run>) -> Self {
        let share = (index as f32 + 0.5) / run.bots.max(1) as f32;
        let (sin, cos) = (index as f32 * GOLDEN_ANGLE).sin_cos();
        let distance = HOMES * share.sqrt();
        let first_word = now() + WORD_EVERY.mul_f32(share);
        let home = Point { x: distance * cos, y: distance * sin };
        Self { index, run, home, moved: None, next_way: now(), next_word: first_word }
    }

    async fn live(mut self) {
        let stop = self.run.stop.clone();
        while !stop.is_cancelled() {
            let Some(entered) = stop.run_until_cancelled(self.come_in()).await else { return };
            let Ok(mut client) = entered else {
                self.run.counts.failed.fetch_add(1, Relaxed);
                let _ = stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
                continue;
            };
            let counts = self.run.counts.clone();
            counts.inside.fetch_add(1, Relaxed);
            let over = stop.run_until_cancelled(self.play(&mut client)).await;
            if over.is_none() {
                // Who cannot say goodbye is left standing for a minute; the world ends anyway.
                let _ = tokio::time::timeout(PAUSE, client.logout()).await;
                return;
            }
        }
    }

    /// By the login port to one of the gateways, each bot to the next one.
    async fn come_in(&mut self) -> Result<Client, ClientError> {
        let run = self.run.clone();
        // It is never closed.
        let _place = run.door.acquire().await;
        let name = format!("{}{:04}", run.names, self.index);
        let mut door = Client::connect(run.login.clone()).await?;
        match door.register(&name, &run.password).await {
            Err(error) if error.code() != Some(ErrorCode::ErrorNameTaken) => return Err(error),
            _ => {}
        }
        let login = door.login(&name, &run.password).await?;
        run.counts.logged_in.fetch_add(1, Relaxed);
        let servers = &login.game_servers;
        let server = servers
            .get(self.index as usize % servers.len().max(1))
            .ok_or_else(|| ClientError::Protocol("no gateway is named".to_owned()))?;
        let port = u16::try_from(server.port).unwrap_or_default();
        let mut client = Client::connect(Endpoint::plain(server.ip_address.clone(), port)).await?;
        // Lost connections are counted, so they are this bot's business.
        client.set_recovery(None);
        client.learn_gateways(servers);
        client.enter(&login.session_token).await?;
        Ok(client)
    }

    /// Plays until the session is over.
    async fn play(&mut self, client: &mut Client) {
        let counts = self.run.counts.clone();
        loop {
            let Err(error) = self.go_on(client).await else { continue };
            counts.inside.fetch_sub(1, Relaxed);
            if !error.is_disconnect() {
                counts.failed.fetch_add(1, Relaxed);
                return;
            }
            let ended = if is_sent_on(&error) { &counts.sent_on } else { &counts.lost };
            ended.fetch_add(1, Relaxed);
            if client.reconnect().await.is_err() {
                return;
            }
            counts.resumed.fetch_add(1, Relaxed);
            counts.inside.fetch_add(1, Relaxed);
        }
    }

    /// One step: what is due to be done, or what comes.
    async fn go_on(&mut self, client: &mut Client) -> Result<(), ClientError> {
        let now = now();
        if now >= self.next_way {
            self.next_way = now + NEW_WAY;
            let to = self.way(client);
            client.move_to(to.x, to.y).await?;
        }
        if now >= self.next_word {
            self.next_word = now + WORD_EVERY;
            let text = "what a crowd".to_owned();
            let channel = crate::proto::ChatChannel::ChatNear as i32;
            client.send(&crate::proto::ChatSend { channel, target: String::new(), text }).await?;
        }
        let until = self.next_way.min(self.next_word);
        if let Ok(event) = tokio::time::timeout_at(until.into(), client.next()).await {
            self.hear(&event?, client);
        }
        Ok(())
    }

    /// Somewhere near home, and far enough not to arrive before the next way.
    fn way(&self, client: &Client) -> Point {
        let mut chance = rand::rng();
        let me = client.session().map(|session| crate::ids::EntityId(session.player.0));
        let seen = me.and_then(|me| client.view().get(me)).map(|seen| seen.newest.at);
        let at = seen.unwrap_or(self.home);
        let (dx, dy) = (self.home.x - at.x, self.home.y - at.y);
        let far = dx.hypot(dy);
        let angle = match far > WAY.end {
            true => dy.atan2(dx) + chance.random_range(-0.5..0.5f32),
            false => chance.random_range(0.0..std::f32::consts::TAU),
        };
        let length = chance.random_range(WAY);
        Point { x: at.x + length * angle.cos(), y: at.y + length * angle.sin() }
    }

    fn hear(&mut self, event: &Event, client: &Client) {
        let counts = &self.run.counts;
        match event {
            Event::SyncPositions(sync) => {
                counts.updates.fetch_add(sync.records.len() as u64, Relaxed);
                let now = now();
                if let Some(moved) = self.moved.replace(now)
                    && now - moved > SILENCE
                {
                    counts.silences.fetch_add(1, Relaxed);
                    let millis = (now - moved).as_millis() as u64;
                    counts.longest_silence.fetch_max(millis, Relaxed);
                }
            }
            // The dead do not walk; their silence says nothing.
            Event::Game(_) if client.view().me().is_some_and(|me| me.health == 0) => {
                self.moved = None;
            }
            _ => {}
        }
    }
}

/// Whether the gateway has named another one before it ended the connection.
fn is_sent_on(error: &ClientError) -> bool {
    matches!(error, ClientError::Disconnected { reason: DisconnectReason::DisconnectDrain, .. })
}
