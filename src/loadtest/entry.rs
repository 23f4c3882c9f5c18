//! How bots come in: with a ticket of their own making where the login role's key can be read,
//! else by logging in, registering first where the account is not there yet.
//!
//! A password costs the server 18 ms of hashing, so ids are remembered beside the key (never
//! secrets) and the next run needs no log-in. A ticket that the server does not take, or that
//! turns out to be somebody else's, is a stale memory: the bot then logs in for real.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::options::Options;
use crate::client::{Client, ClientError, Endpoint};
use crate::geometry::Point;
use crate::ids::PlayerId;
use crate::names::Name;
use crate::proto::{self, ErrorCode};
use crate::tick::unix_millis;
use crate::token::TicketSigner;

/// The login role's key in its data folder.
pub const KEY: &str = "login.key";
/// The file of what is remembered, beside the key.
const REMEMBERED: &str = "loadtest-accounts.json";
/// What bots say they play on.
const DEVICE: &str = "loadtest";
/// Pause before the next try if a busy server names none.
const BUSY_PAUSE: Duration = Duration::from_millis(500);

/// What is kept from one run to the next.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    /// What the bots' posts lay around, so that the next run finds them in their places.
    middle: Option<[f32; 2]>,
    /// Player ids by name.
    ids: BTreeMap<String, u64>,
}

impl Memory {
    /// Of nobody yet; posts lie around `middle`.
    pub(super) fn around(middle: Point) -> Self {
        Self { middle: Some([middle.x, middle.y]), ids: BTreeMap::new() }
    }

    /// Whose account a name is.
    pub(super) fn know(&mut self, (name, player): (String, PlayerId)) {
        self.ids.insert(name, player.0);
    }

    /// Writes it where a run with this key looks for it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn write(&self, key: &Path) -> anyhow::Result<()> {
        Ok(std::fs::write(key.with_file_name(REMEMBERED), serde_json::to_string(self)?)?)
    }
}

/// The way in for all bots of a run.
pub(super) struct Door {
    login: Endpoint,
    game: Endpoint,
    password: String,
    signer: Option<TicketSigner>,
    remembered: PathBuf,
    memory: Mutex<Memory>,
}

/// A bot that is in the world.
pub(super) struct Inside {
    pub client: Client,
    pub player: proto::PlayerInfo,
}

/// A bot that has come in, on its way to its crew.
#[derive(Debug)]
pub(super) struct Arrived {
    pub index: usize,
    pub player: proto::PlayerInfo,
    /// In non-blocking mode.
    pub stream: std::net::TcpStream,
    /// What was read and not yet taken.
    pub unread: Vec<u8>,
    /// Packets sent so far.
    pub sent: u64,
}

impl Inside {
    /// Gives the connection away.
    ///
    /// # Errors
    /// If it is encrypted, which bots never ask for, or the socket is not to be had.
    pub(super) fn leave_door(self, index: usize) -> std::io::Result<Arrived> {
        let Self { client, player } = self;
        let parts = client.into_connection().into_parts();
        let parts = parts.ok_or_else(|| std::io::Error::other("an encrypted connection"))?;
        let stream = parts.stream.into_std()?;
        Ok(Arrived { index, player, stream, unread: parts.unread.to_vec(), sent: parts.sent })
    }
}

impl Door {
    pub(super) fn new(options: &Options) -> Self {
        let key = options.key();
        let remembered = key.with_file_name(REMEMBERED);
        // Only read: a key made here would be taken by the server for its own.
        let signer = key.is_file().then(|| TicketSigner::load_or_create(key).ok());
        let memory = std::fs::read(&remembered).ok();
        Self {
            login: Endpoint::plain(options.target(), options.login_port()),
            game: Endpoint::plain(options.target(), options.port()),
            password: options.password.clone(),
            signer: signer.flatten(),
            memory: Mutex::new(
                memory.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default(),
            ),
            remembered,
        }
    }

    /// Brings one bot in.
    ///
    /// # Errors
    /// What the server said, or the network.
    pub(super) async fn enter(&self, name: &str) -> Result<Inside, ClientError> {
        if let Some(ticket) = self.minted(name) {
            match self.use_ticket(&ticket).await {
                Ok(inside) if inside.player.name == name => return Ok(inside),
                // Somebody else's id, from another world's memory: leave that character alone.
                Ok(stranger) => drop(stranger.client.logout().await),
                Err(error) if error.code().is_none() || pause_after(&error).is_some() => {
                    return Err(error);
                }
                Err(_) => {}
            }
            self.memory.lock().ids.remove(name);
        }
        if let Some(player) = self.register(name).await? {
            self.memory.lock().ids.insert(name.to_owned(), player.0);
            if let Some(ticket) = self.minted(name) {
                return self.use_ticket(&ticket).await;
            }
        }
        self.log_in(name).await
    }

    /// Logs in with the password and enters; the account is there.
    ///
    /// # Errors
    /// What the server said, or the network.
    pub(super) async fn log_in(&self, name: &str) -> Result<Inside, ClientError> {
        let mut client = Client::connect(self.login.clone()).await?;
        let login = client.login(name, &self.password).await?;
        // Before the next one opens: the server counts an address's connections.
        drop(client);
        self.memory.lock().ids.insert(name.to_owned(), login.player_id);
        self.use_ticket(&login.session_token).await
    }

    /// Makes sure of an account; none: it was there already.
    ///
    /// # Errors
    /// What the server said, or the network.
    pub(super) async fn register(&self, name: &str) -> Result<Option<PlayerId>, ClientError> {
        let mut client = Client::connect(self.login.clone()).await?;
        match client.register(name, &self.password).await {
            Ok(player) => Ok(Some(player)),
            Err(error) if error.code() == Some(ErrorCode::ErrorNameTaken) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn use_ticket(&self, ticket: &str) -> Result<Inside, ClientError> {
        let mut client = Client::connect(self.game.clone()).await?;
        let entered = client.enter(ticket).await?;
        let player = entered
            .player
            .ok_or_else(|| ClientError::Protocol("entered without a player".to_owned()))?;
        Ok(Inside { client, player })
    }

    /// Enters with a ticket of one's own making, loses the connection, and resumes; the account is
    /// known.
    ///
    /// # Errors
    /// What the server said, or the network; that the key is not to be had.
    pub(super) async fn enter_and_resume(&self, name: &str) -> Result<Inside, ClientError> {
        let ticket = self.minted(name).ok_or_else(|| {
            ClientError::Protocol("tickets need the login role's key: --key, or --start".to_owned())
        })?;
        let mut inside = self.use_ticket(&ticket).await?;
        inside.client.reconnect().await?;
        Ok(inside)
    }

    /// Logs in with the password and goes away: what costs the server a hash, and nothing else.
    ///
    /// # Errors
    /// What the server said, or the network.
    pub(super) async fn only_log_in(&self, name: &str) -> Result<(), ClientError> {
        let mut client = Client::connect(self.login.clone()).await?;
        client.login(name, &self.password).await.map(drop)
    }

    /// Notes whose account a name is.
    pub(super) fn know(&self, name: &str, player: PlayerId) {
        self.memory.lock().know((name.to_owned(), player));
    }

    /// Whether it is known whose account a name is.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.memory.lock().ids.contains_key(name)
    }

    fn minted(&self, name: &str) -> Option<String> {
        let signer = self.signer.as_ref()?;
        let player = PlayerId(*self.memory.lock().ids.get(name)?);
        signer.sign(player, &Name::parse(name).ok()?, DEVICE, unix_millis()).ok()
    }

    /// What the last run's posts lay around.
    pub(super) fn middle(&self) -> Option<Point> {
        self.memory.lock().middle.map(|[x, y]| Point { x, y })
    }

    /// Remembers for the next run, if that can be of use there.
    pub(super) fn remember(&self, middle: Option<Point>) {
        let mut memory = self.memory.lock();
        memory.middle = middle.map(|at| [at.x, at.y]).or(memory.middle);
        if self.signer.is_some()
            && self.remembered.parent().is_some_and(Path::is_dir)
            && let Ok(text) = serde_json::to_string(&*memory)
        {
            // The next run logs in instead.
            let _ = std::fs::write(&self.remembered, text);
        }
    }
}

/// How long to wait before asking a busy server again; none: asking again is no use.
pub(super) fn pause_after(error: &ClientError) -> Option<Duration> {
    match error {
        ClientError::Refused { code, retry_after, .. } => matches!(
            code,
            ErrorCode::ErrorRateLimited
                | ErrorCode::ErrorUnavailable
                | ErrorCode::ErrorLoginThrottled
                | ErrorCode::ErrorNoServers
        )
        .then(|| retry_after.unwrap_or(BUSY_PAUSE)),
        // A server closes what is beyond its limits; there may be room in a moment.
        ClientError::Io(_) | ClientError::Closed | ClientError::Disconnected { .. } => {
            Some(BUSY_PAUSE)
        }
        _ => None,
    }
}
