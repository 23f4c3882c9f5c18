//! The way of one request: look-up, hashing, question to the master, decision.
//!
//! Each stage keeps the request where its answer will find it; the login task calls the next one
//! when the answer is there.

use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::asker::{Asker, Origin, busy, refused, refused_for, store_failed};
use super::hashing::HashError;
use super::places::Place;
use super::worker::{Hashed, JobId, Work};
use super::{Duplicate, Login};
use crate::geometry::Pose;
use crate::ids::{PlayerId, RequestId};
use crate::msg::MasterMsg;
use crate::msg::login::{LoginDecision, RegisterDecision};
use crate::proto::ErrorCode;
use crate::store::StoreError;
use crate::store::record::{Account, LoginRecord, NewCharacter};
use crate::tick;
use crate::world::content::Content;

/// How long the master may take to say whether a player is in. A new one listens to its servers for
/// three seconds first; behind one that hangs nobody is to wait until that is known.
const MASTER_PATIENCE: Duration = Duration::from_secs(4);

/// Places on their way into the store at once.
const REMEMBERING_MAX: usize = 64;
/// How often it is written again that a place is in use, ms: a day.
const SEEN_EVERY_MS: u64 = 24 * 3_600_000;

/// What an asker wants. No `Debug`: it holds a secret.
pub(super) enum Want {
    /// Into the account.
    LogIn {
        /// What is to be proven.
        secret: String,
        /// The client's device, may be empty.
        device: String,
    },
    /// A new account.
    Register {
        /// What is to be hashed.
        secret: String,
    },
}

/// What came back from the store.
pub(super) enum Stored {
    /// The account of the asker's name.
    Account {
        /// Who asks.
        asker: Asker,
        /// What for.
        want: Want,
        /// What there is.
        account: Result<Option<LoginRecord>, StoreError>,
    },
    /// A new account.
    Created {
        /// Who asked.
        asker: Asker,
        /// Who it is.
        player: Result<PlayerId, StoreError>,
    },
}

/// A request at the hashing thread.
pub(super) struct Hashing {
    asker: Asker,
    then: Then,
    /// The place it was last told; 0: none.
    told: u32,
}

enum Then {
    LogIn { account: Option<LoginRecord>, device: String },
    Register,
}

/// A log-in that waits for the master's word.
pub(super) struct AtMaster {
    asker: Asker,
    account: Account,
    device: String,
    until: Instant,
}

impl Login {
    /// Stage one: which account is it?
    pub(super) fn look_up(&mut self, asker: Asker, want: Want) {
        let store = self.store.clone();
        self.stored.spawn(async move {
            let account = store.login_record(&asker.name).await;
            Stored::Account { asker, want, account }
        });
    }

    pub(super) fn on_stored(&mut self, stored: Stored) {
        match stored {
            Stored::Account { asker, want, account: Ok(account) } => {
                self.submit(asker, want, account);
            }
            Stored::Account { mut asker, want, account: Err(error) } => {
                warn!(%error, "cannot look an account up");
                self.end_attempt(&mut asker, None, None);
                self.refuse(&asker, &want, store_failed(&error));
            }
            Stored::Created { asker, player } => self.on_created(&asker, player),
        }
    }

    /// Stage two: the hashing thread's queue. An unknown name goes through it too and costs the
    /// same time there.
    fn submit(&mut self, mut asker: Asker, want: Want, account: Option<LoginRecord>) {
        let (work, then) = match want {
            Want::Register { .. } if account.is_some() => {
                let taken = store_failed(&StoreError::NameTaken);
                return self.decide_registration(&asker, RegisterDecision::Refused(taken));
            }
            Want::Register { secret } => (Work::Hash { secret }, Then::Register),
            Want::LogIn { secret, device } => {
                let stored = account.as_ref().map(|known| known.account.secret_hash.clone());
                (Work::Verify { secret, stored }, Then::LogIn { account, device })
            }
        };
        let Some(job) = self.worker.submit(work, asker.gone.clone()) else {
            let refusal = busy(self.worker.wait());
            return match then {
                Then::LogIn { .. } => {
                    self.end_attempt(&mut asker, None, None);
                    self.decide(&asker, LoginDecision::Refused(refusal));
                }
                Then::Register => {
                    self.decide_registration(&asker, RegisterDecision::Refused(refusal));
                }
            };
        };
        let place = self.worker.place(job);
        // LOGIN_QUEUE is about log-ins; who registers waits without it.
        let waits = place.position > 1 && matches!(then, Then::LogIn { .. });
        let told = if waits { place.position } else { 0 };
        if told > 0 {
            self.tell_place(&asker, place);
        }
        self.hashing.insert(job, Hashing { asker, then, told });
    }

    /// Tells those in the queue whose place has changed.
    pub(super) fn tell_places(&mut self) {
        let mut waiting = std::mem::take(&mut self.hashing);
        for (job, hashing) in &mut waiting {
            let place = self.worker.place(*job);
            if hashing.told > 0 && place.position < hashing.told {
                hashing.told = place.position;
                self.tell_place(&hashing.asker, place);
            }
        }
        self.hashing = waiting;
    }

    pub(super) fn on_hashed(&mut self, job: JobId, hashed: Hashed) {
        let Some(Hashing { mut asker, then, .. }) = self.hashing.remove(&job) else { return };
        match (then, hashed) {
            (Then::LogIn { account, device }, Hashed::Verified(fits)) => {
                self.on_verified(asker, account, device, fits);
            }
            (Then::LogIn { .. }, _) => self.end_attempt(&mut asker, None, None),
            (Then::Register, Hashed::Made(hash)) => self.on_made(asker, hash),
            (Then::Register, _) => {}
        }
    }

    fn on_verified(
        &mut self,
        mut asker: Asker,
        known: Option<LoginRecord>,
        device: String,
        fits: Result<bool, HashError>,
    ) {
        let fits = match fits {
            Ok(fits) => fits && known.is_some(),
            Err(error) => {
                let player = known.map(|known| known.account.player);
                warn!(?player, %error, "an account cannot be checked");
                self.end_attempt(&mut asker, None, None);
                let refusal = refused(ErrorCode::ErrorInternal, "a fault of the server's own");
                return self.decide(&asker, LoginDecision::Refused(refusal));
            }
        };
        self.end_attempt(&mut asker, Some(fits), known.as_ref());
        let (Some(LoginRecord { account, .. }), true) = (known, fits) else {
            let words = "the name or the password is wrong";
            let refusal = refused(ErrorCode::ErrorBadCredentials, words);
            return self.decide(&asker, LoginDecision::Refused(refusal));
        };
        // Only who has proven to be the owner learns of a ban.
        if let Some(ban) = &account.ban {
            let refusal = refused(ErrorCode::ErrorBanned, format!("you are banned: {ban}"));
            return self.decide(&asker, LoginDecision::Refused(refusal));
        }
        match self.config.duplicate {
            Duplicate::Kick => self.accept(&asker, &account, &device),
            Duplicate::Reject => self.ask_master(asker, account, device),
        }
    }

    /// A log-in has a verdict, or will have none. From where an owner has logged in is kept, and
    /// looked at again when somebody fails there.
    fn end_attempt(
        &mut self,
        asker: &mut Asker,
        fitted: Option<bool>,
        known: Option<&LoginRecord>,
    ) {
        let Some(begun) = asker.begun.take() else { return };
        let places = known.map_or(&[][..], |known| &known.places);
        let stored = places.iter().map(|(place, _)| Place(*place));
        let proven = self.attempts.end_login(begun, fitted, stored, tick::now());
        let Some(known) = known else { return };
        let now = tick::unix_millis();
        let is_new = |proven: &Place| {
            let seen = places.iter().find(|(place, _)| *place == proven.0);
            seen.is_none_or(|(_, seen_at)| seen_at + SEEN_EVERY_MS <= now)
        };
        let new: Vec<[u8; 32]> = proven.into_iter().filter(is_new).map(|place| place.0).collect();
        // With so many under way the next log-in from there is soon enough.
        if !new.is_empty() && self.remembering.len() < REMEMBERING_MAX {
            let (store, player) = (self.store.clone(), known.account.player);
            self.remembering.spawn(async move {
                if let Err(error) = store.remember_places(player, new, now).await {
                    debug!(%player, %error, "where an owner has logged in from is not kept");
                }
            });
        }
    }

    /// Stage three, under `duplicate = "reject"`: is the player in?
    fn ask_master(&mut self, asker: Asker, account: Account, device: String) {
        // The master's answer goes to every login role, so the id must be nobody else's.
        let request = RequestId(rand::random());
        let question = MasterMsg::WhereIs { request, player: account.player };
        if let Err(error) = self.peers.master.send(question) {
            warn!(%error, "the master cannot be asked");
            return self.refuse_without_master(&asker);
        }
        let until = tick::now() + MASTER_PATIENCE;
        self.at_master.insert(request, AtMaster { asker, account, device, until });
    }

    pub(super) fn on_presence(&mut self, request: RequestId, playing: Option<String>) {
        let Some(AtMaster { asker, account, device, .. }) = self.at_master.remove(&request) else {
            return;
        };
        // An empty device is no device, so two of them are not the same one.
        let same_device = !device.is_empty() && playing.as_ref() == Some(&device);
        if playing.is_none() || same_device {
            return self.accept(&asker, &account, &device);
        }
        let words = "this account is playing already";
        let refusal = refused(ErrorCode::ErrorAlreadyLoggedIn, words);
        self.decide(&asker, LoginDecision::Refused(refusal));
    }

    /// Sends those away whom the master has left without an answer.
    pub(super) fn give_up_on_master(&mut self, now: Instant) {
        let late: Vec<(RequestId, AtMaster)> =
            self.at_master.extract_if(.., |_, waits| waits.until <= now).collect();
        for (_, AtMaster { asker, .. }) in late {
            self.refuse_without_master(&asker);
        }
    }

    fn refuse_without_master(&self, asker: &Asker) {
        let words = "not possible now: the master is away";
        let wait = MASTER_PATIENCE;
        let refusal = refused_for(wait, ErrorCode::ErrorUnavailable, words);
        self.decide(asker, LoginDecision::Refused(refusal));
    }

    /// The last stage: a ticket, and where to use it.
    fn accept(&self, asker: &Asker, account: &Account, device: &str) {
        // Who asks through a gateway can play right there.
        if self.servers.is_empty() && matches!(asker.origin, Origin::Port { .. }) {
            let wait = Duration::from_secs(1);
            let words = "there is no game server with room now";
            let refusal = refused_for(wait, ErrorCode::ErrorNoServers, words);
            return self.decide(asker, LoginDecision::Refused(refusal));
        }
        let Account { player, name, .. } = account;
        match self.signer.sign(*player, name, device, tick::unix_millis()) {
            Ok(ticket) => {
                let (player, name, servers) = (*player, name.clone(), self.servers.clone());
                self.decide(asker, LoginDecision::Accepted { player, name, ticket, servers });
            }
            Err(error) => {
                warn!(%error, "a ticket cannot be signed");
                let refusal = refused(ErrorCode::ErrorInternal, "a fault of the server's own");
                self.decide(asker, LoginDecision::Refused(refusal));
            }
        }
    }

    /// A new secret is hashed: the account can be made.
    fn on_made(&mut self, asker: Asker, hash: Result<String, HashError>) {
        let (hash, character) = match (hash, new_character(&self.content)) {
            (Ok(hash), Some(character)) => (hash, character),
            (hash, _) => {
                warn!(error = ?hash.err(), "an account cannot be made");
                let refusal = refused(ErrorCode::ErrorInternal, "a fault of the server's own");
                return self.decide_registration(&asker, RegisterDecision::Refused(refusal));
            }
        };
        let store = self.store.clone();
        self.stored.spawn(async move {
            let player = store.create_account(&asker.name, &hash, character).await;
            Stored::Created { asker, player }
        });
    }

    fn on_created(&mut self, asker: &Asker, player: Result<PlayerId, StoreError>) {
        let decision = match player {
            Ok(player) => {
                info!(%player, name = %asker.name, "a new account");
                RegisterDecision::Created(player)
            }
            Err(error) => {
                if error != StoreError::NameTaken {
                    warn!(%error, "an account cannot be made");
                }
                RegisterDecision::Refused(store_failed(&error))
            }
        };
        self.decide_registration(asker, decision);
    }
}

/// What a new character begins with: the first zone's spawn, full health and power. None: there is
/// no zone.
pub fn new_character(content: &Content) -> Option<NewCharacter> {
    let zone = content.zones.first()?;
    let rules = &content.rules;
    let stackable = |kind| content.items.get(kind).is_none_or(|item| item.stackable);
    let items = rules.starting_items.iter().filter(|(_, quantity)| **quantity > 0);
    Some(NewCharacter {
        zone: zone.id,
        pose: Pose { at: zone.spawn, rotation: 0.0 },
        health: rules.base_health,
        power: rules.base_power,
        items: items.map(|(kind, n)| (kind.clone(), *n, stackable(kind))).collect(),
    })
}
