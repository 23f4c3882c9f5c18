//! Changing a player's owner while it is in the world: one compare-and-set, in which the player's
//! state is saved too.
//!
//! Called by zones of different processes between which a player goes. Each hand-over has an id that
//! stands in the player's row until its owner changes again, so that a call whose answer was lost
//! can be repeated.

use super::connection::{Connection, values};
use super::failure::Failure;
use super::job::Write;
use super::save::{is_sound, save_quests};
use super::{Store, StoreError};
use crate::ids::{Epoch, OperationId, PlayerId, ServerId};
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

const TAKE_OVER: &str = "UPDATE players SET epoch = epoch + 1, owner = $3, handover = $4, \
    zone = $5, x = $6, y = $7, rotation = $8, level = $9, experience = $10, health = $11, \
    power = $12 WHERE id = $1 AND epoch = $2 AND owner IS NOT NULL";
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
            *power
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
