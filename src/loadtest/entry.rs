//! How bots come in: with a ticket of their own making where the login role's key can be read,
//! else by logging in, registering first where the account is not there yet.
//!
//! A password costs the server 18 ms of hashing, so ids are remembered beside the key (never
//! secrets) and the next run needs no log-in. A ticket that the server does not take is a stale
//! memory: the bot then logs in for real.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::options::Options;
use crate::client::{Client, ClientError, Endpoint};
use crate::ids::PlayerId;
use crate::names::Name;
use crate::proto;
use crate::tick::unix_millis;
use crate::token::TicketSigner;

/// The file of remembered ids, beside the key.
const REMEMBERED: &str = "loadtest-accounts.json";
/// What bots say they play on.
const DEVICE: &str = "loadtest";

/// The way in for all bots of a run.
pub(super) struct Door {
    endpoint: Endpoint,
    password: String,
    signer: Option<TicketSigner>,
    remembered: PathBuf,
    ids: Mutex<BTreeMap<String, u64>>,
}

/// A bot that is in the world.
pub(super) struct Inside {
    pub client: Client,
    pub player: proto::PlayerInfo,
}

impl Door {
    pub(super) fn new(options: &Options) -> Self {
        let remembered = options.key.with_file_name(REMEMBERED);
        let signer = options.key.is_file().then(|| TicketSigner::load_or_create(&options.key).ok());
        let ids = std::fs::read_to_string(&remembered).ok();
        Self {
            endpoint: Endpoint::plain(options.target.clone(), options.port),
            password: options.password.clone(),
            signer: signer.flatten(),
            ids: Mutex::new(
                ids.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
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
            let mut client = Client::connect(self.endpoint.clone()).await?;
            match client.enter(&ticket).await {
                Ok(entered) => return inside(client, entered),
                Err(error) if error.code().is_some() => {
                    self.ids.lock().remove(name);
                }
                Err(error) => return Err(error),
            }
        }
        let (mut client, ticket) = self.log_in(name).await?;
        let entered = client.enter(&ticket).await?;
        inside(client, entered)
    }

    /// Logs in with the password, registering first if need be.
    ///
    /// # Errors
    /// What the server said, or the network.
    pub(super) async fn log_in(&self, name: &str) -> Result<(Client, String), ClientError> {
        let mut client = Client::connect(self.endpoint.clone()).await?;
        let known = self.ids.lock().contains_key(name);
        if !known {
            match client.register(name, &self.password).await {
                Ok(_) => {}
                Err(error) if error.code() == Some(proto::ErrorCode::ErrorNameTaken) => {}
                Err(error) => return Err(error),
            }
        }
        let login = client.login(name, &self.password).await?;
        self.ids.lock().insert(name.to_owned(), login.player_id);
        Ok((client, login.session_token))
    }

    fn minted(&self, name: &str) -> Option<String> {
        let signer = self.signer.as_ref()?;
        let player = PlayerId(*self.ids.lock().get(name)?);
        signer.sign(player, &Name::parse(name).ok()?, DEVICE, unix_millis()).ok()
    }

    /// Remembers ids for the next run, if they can be of use there.
    pub(super) fn remember(&self) {
        if self.signer.is_some()
            && self.remembered.parent().is_some_and(Path::is_dir)
            && let Ok(text) = serde_json::to_string(&*self.ids.lock())
        {
            // The next run logs in instead.
            let _ = std::fs::write(&self.remembered, text);
        }
    }
}

fn inside(client: Client, entered: proto::EnterWorldResponse) -> Result<Inside, ClientError> {
    let player = entered
        .player
        .ok_or_else(|| ClientError::Protocol("ENTER_WORLD_RESPONSE without a player".to_owned()))?;
    Ok(Inside { client, player })
}
