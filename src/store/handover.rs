//! Changing a player's owner while it is in the world: one compare-and-set, in which the player's
//! state is saved too.
//!
//! Called by zones of different processes between which a player goes. Each hand-over has an id that
//! stands in the player's row until its owner changes again, so that a call whose answer was lost
//! can be repeated.

use std::collections::BTreeSet;
use std::time::Duration;

use super::connection::{Connection, values};
use super::failure::Failure;
use super::job::Write;
use super::leases::ChangeLease;
use super::players::timers_text;
use super::save::{is_sound, save_quests, update_players};
use super::{Store, StoreError};
use crate::ids::{Epoch, OperationId, PlayerId, ServerId};
use crate::tick;
use crate::world::command::PlayerState;

impl Store {
    /// Makes `owner` the owner of a player that is handed over to it, under the epoch after the
    /// state's, and saves the state, at once. Gives the new epoch, also if this hand-over has done
    /// so before.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] if the player has left or another has it: nothing was changed.
    /// After [`StoreError::Unavailable`] nobody knows.
    pub async fn take_over(
        &self,
        state: PlayerState,
        owner: ServerId,
        handover: OperationId,
    ) -> Result<Epoch, StoreError> {
        self.write("take_over", TakeOver { state, owner, handover }).await
    }

    /// Makes a server the owner of a whole zone: of its lease and of all players in it, each under
    /// the next epoch and with its state saved, at once. Gives the epoch of the lease and the
    /// players that it now owns; the others have left or are another's. Done again, it gives the
    /// same.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] if the lease is not under that epoch any more: nothing was
    /// changed. After [`StoreError::Unavailable`] nobody knows.
    pub async fn take_over_zone(
        &self,
        zone: ZoneTakeOver,
    ) -> Result<(Epoch, BTreeSet<PlayerId>), StoreError> {
        self.write("take_over_zone", zone).await
    }

    /// Gives a player back to `owner`, who has offered it in a hand-over and does not know what came
    /// of it: afterwards nobody else can have it under that epoch any more. Gives the new epoch,
    /// also if this was done before.
    ///
    /// # Errors
    /// As [`Self::take_over`].
    pub async fn reclaim(
        &self,
        player: PlayerId,
        epoch: Epoch,
        owner: ServerId,
        handover: OperationId,
    ) -> Result<Epoch, StoreError> {
        self.write("reclaim", Reclaim { player, epoch, owner, handover }).await
    }
}

/// A zone that changes its server, with everybody in it.
#[derive(Debug, Clone, PartialEq)]
pub struct ZoneTakeOver {
    /// What its lease is called.
    pub lease: String,
    /// Who has it, and under which epoch.
    pub from: (ServerId, Epoch),
    /// Who gets it.
    pub to: ServerId,
    /// For how long from then on.
    pub lasts: Duration,
    /// Which hand-over.
    pub handover: OperationId,
    /// Everybody in it, under the epochs so far.
    pub players: Vec<PlayerState>,
}

impl Write for ZoneTakeOver {
    type Answer = (Epoch, BTreeSet<PlayerId>);

    fn partners(&self) -> Vec<PlayerId> {
        self.players.iter().map(|state| state.id).collect()
    }

    async fn apply(&self, db: &mut Connection<'_>) -> Result<Self::Answer, Failure> {
        let Self { lease, from: (from, epoch), to, lasts, handover, players } = self;
        let change =
            ChangeLease { name: lease.clone(), from: *from, epoch: *epoch, to: *to, lasts: *lasts };
        let lease = change.apply(db).await?;
        let states: Vec<PlayerState> =
            players.iter().filter(|state| is_sound(state)).cloned().collect();
        let besides = values![*to, *handover];
        let taken = [TAKE_ALL_SQLITE, TAKE_ALL_POSTGRES];
        let mut owned = update_players(db, &states, taken, besides).await?;
        save_quests(db, states.iter().filter(|state| owned.contains(&state.id))).await?;
        // Those that were taken when this was done before.
        let found = [FIND_ALL_SQLITE, FIND_ALL_POSTGRES];
        owned.extend(update_players(db, &states, found, besides).await?);
        Ok((lease, owned))
    }
}

const TAKE_ALL_SQLITE: &str = "UPDATE players SET epoch = s.epoch + 1, owner = $2, \
    handover = $3, zone = s.zone, x = s.x, y = s.y, rotation = s.rotation, level = s.level, \
    experience = CASE WHEN players.experience > s.experience THEN players.experience \
    ELSE s.experience END, health = s.health, power = s.power, \
    timers = s.timers \
    FROM (SELECT value ->> 0 AS id, value ->> 1 AS epoch, value ->> 2 AS zone, value ->> 3 AS x, \
    value ->> 4 AS y, value ->> 5 AS rotation, value ->> 6 AS level, value ->> 7 AS experience, \
    value ->> 8 AS health, value ->> 9 AS power, value ->> 10 AS timers \
    FROM json_each($1)) AS s \
    WHERE players.id = s.id AND players.epoch = s.epoch AND players.owner IS NOT NULL \
    RETURNING players.id";
const TAKE_ALL_POSTGRES: &str = "UPDATE players SET epoch = s.epoch + 1, owner = $12, \
    handover = $13, zone = s.zone, x = s.x, y = s.y, rotation = s.rotation, level = s.level, \
    experience = CASE WHEN players.experience > s.experience THEN players.experience \
    ELSE s.experience END, health = s.health, power = s.power, \
    timers = s.timers FROM UNNEST($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
    AS s (id, epoch, zone, x, y, rotation, level, experience, health, power, timers) \
    WHERE players.id = s.id AND players.epoch = s.epoch AND players.owner IS NOT NULL \
    RETURNING players.id";
const FIND_ALL_SQLITE: &str = "SELECT p.id FROM players p \
    JOIN (SELECT value ->> 0 AS id, value ->> 1 AS epoch FROM json_each($1)) AS s \
    ON p.id = s.id AND p.epoch = s.epoch + 1 WHERE p.owner = $2 AND p.handover = $3";
const FIND_ALL_POSTGRES: &str = "SELECT p.id FROM players p \
    JOIN UNNEST($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
    AS s (id, epoch, zone, x, y, rotation, level, experience, health, power, timers) \
    ON p.id = s.id AND p.epoch = s.epoch + 1 WHERE p.owner = $12 AND p.handover = $13";

const TAKE_OVER: &str = "UPDATE players SET epoch = epoch + 1, owner = $3, handover = $4, \
    zone = $5, x = $6, y = $7, rotation = $8, level = $9, \
    experience = CASE WHEN experience > $10 THEN experience ELSE $10 END, health = $11, \
    power = $12, timers = $13 WHERE id = $1 AND epoch = $2 AND owner IS NOT NULL";
const RECLAIM: &str = "UPDATE players SET epoch = epoch + 1, owner = $3, handover = $4 \
    WHERE id = $1 AND epoch = $2 AND owner IS NOT NULL";
const DONE: &str = "SELECT epoch FROM players \
    WHERE id = $1 AND epoch = $2 + 1 AND owner = $3 AND handover = $4";

struct TakeOver {
    state: PlayerState,
    owner: ServerId,
    handover: OperationId,
}

impl Write for TakeOver {
    type Answer = Epoch;

    fn player(&self) -> Option<PlayerId> {
        Some(self.state.id)
    }

    async fn apply(&self, db: &mut Connection<'_>) -> Result<Epoch, Failure> {
        let PlayerState { id, epoch, zone, pose, level, experience, health, power, .. } =
            &self.state;
        if !is_sound(&self.state) {
            return Err(StoreError::Conflict("the player's state is unsound").into());
        }
        let timers = timers_text(&self.state.timers, tick::unix_millis());
        let values = values![
            *id,
            *epoch,
            self.owner,
            self.handover,
            *zone,
            pose.at.x,
            pose.at.y,
            pose.rotation,
            *level,
            *experience,
            *health,
            *power,
            timers.as_str()
        ];
        if db.execute(TAKE_OVER, values).await? == 0 {
            return done_before(db, *id, *epoch, self.owner, self.handover).await;
        }
        save_quests(db, std::iter::once(&self.state)).await?;
        Ok(Epoch(epoch.0 + 1))
    }
}

struct Reclaim {
    player: PlayerId,
    epoch: Epoch,
    owner: ServerId,
    handover: OperationId,
}

impl Write for Reclaim {
    type Answer = Epoch;

    fn player(&self) -> Option<PlayerId> {
        Some(self.player)
    }

    async fn apply(&self, db: &mut Connection<'_>) -> Result<Epoch, Failure> {
        let Self { player, epoch, owner, handover } = *self;
        if db.execute(RECLAIM, values![player, epoch, owner, handover]).await? == 0 {
            return done_before(db, player, epoch, owner, handover).await;
        }
        Ok(Epoch(epoch.0 + 1))
    }
}

/// The epoch that this very hand-over has given before, if nothing has happened since.
async fn done_before(
    db: &mut Connection<'_>,
    player: PlayerId,
    epoch: Epoch,
    owner: ServerId,
    handover: OperationId,
) -> Result<Epoch, Failure> {
    match db.row(DONE, values![player, epoch, owner, handover]).await? {
        Some(row) => Ok(Epoch(row.number(0)?)),
        None => Err(StoreError::StaleEpoch.into()),
    }
}
