//! Changes of value: items and gold in and out, and the completion of quests.
//!
//! Called by zones, which tell a player of a change only after its commit. Each is applied once per
//! operation id, all or nothing, and only under the epoch that owns the player; a gift under the
//! epochs of both.

use super::connection::{Connection, values};
use super::failure::Failure;
use super::job::Write;
use super::outcome::{self, Outcome};
use super::{Store, StoreError, gift, inventory};
use crate::ids::{Key, OperationId, PlayerId};
use crate::world::command::{Change, CommitRefusal, Operation, Receipt};

impl Store {
    /// Does one change of value, once, however often it is sent; committed when this returns.
    /// Waits in the writer's queue with others and shares their commit.
    ///
    /// # Errors
    /// Says why it was not done. A repeated operation that was done gets its receipt again; one that
    /// was refused is judged anew. After
    /// [`CommitRefusal::Unavailable`] it is not known whether it was done: send it again, under the
    /// same id, or [look it up](Self::look_up).
    pub async fn commit(&self, operation: Operation) -> Result<Receipt, CommitRefusal> {
        let id = operation.id;
        self.write("commit", Commit(operation)).await.unwrap_or_else(|error| {
            if !matches!(error, StoreError::Unavailable(_)) {
                tracing::error!(operation = %id, %error, "operation cannot be done");
            }
            Err(CommitRefusal::Unavailable)
        })
    }

    /// What came of an operation that `asker` has asked for: what `player`, who is the same or has
    /// got its gift, owned after it. It waits for the asker's operations that are under way in this
    /// process, and for the transaction that may still be doing it; so what it does not find never
    /// comes to be, as long as nobody asks for it again.
    ///
    /// # Errors
    /// [`CommitRefusal::NotDone`] if it was not done; [`CommitRefusal::Unavailable`] if nobody
    /// knows.
    pub async fn look_up(
        &self,
        operation: OperationId,
        player: PlayerId,
        asker: PlayerId,
    ) -> Result<Receipt, CommitRefusal> {
        let found = self.write("look_up", LookUp { operation, player, asker }).await;
        found.unwrap_or_else(|error| {
            if !matches!(error, StoreError::Unavailable(_)) {
                tracing::error!(%operation, %error, "operation cannot be looked up");
            }
            Err(CommitRefusal::Unavailable)
        })
    }
}

struct LookUp {
    operation: OperationId,
    player: PlayerId,
    asker: PlayerId,
}

impl Write for LookUp {
    type Answer = Result<Receipt, CommitRefusal>;

    fn proves_saving(&self) -> bool {
        false
    }

    fn player(&self) -> Option<PlayerId> {
        Some(self.asker)
    }

    async fn apply(&self, db: &mut Connection<'_>) -> Result<Self::Answer, Failure> {
        // Whoever still commits it has this row: it is waited for.
        let lock = db.pick(PLAYER, PLAYER_LOCKED);
        db.row(lock, values![self.asker]).await?;
        let Some(outcome) = outcome::find(db, self.operation).await? else {
            return Ok(Err(CommitRefusal::NotDone));
        };
        let own = self.player == self.asker || matches!(outcome, Outcome::Gift { .. });
        let receipt = outcome.into_receipt_of(self.player).filter(|_| own);
        receipt.map(Ok).ok_or_else(|| outcome::mismatch(self.operation))
    }
}

struct Commit(Operation);

impl Write for Commit {
    type Answer = Result<Receipt, CommitRefusal>;

    fn player(&self) -> Option<PlayerId> {
        Some(self.0.player)
    }

    fn partners(&self) -> Vec<PlayerId> {
        match self.0.change {
            Change::Give { to, .. } => vec![to],
            Change::Grant { .. } | Change::Consume { .. } | Change::Abandon { .. } => Vec::new(),
        }
    }

    async fn apply(&self, db: &mut Connection<'_>) -> Result<Self::Answer, Failure> {
        let Operation { id, player, epoch, change } = &self.0;
        // The row is locked first: whoever else changes this player waits, and so the outcome of
        // the same operation cannot appear after it was looked for.
        let lock = db.pick(PLAYER, PLAYER_LOCKED);
        let owned = db.row(lock, values![*player]).await?;
        if let Some(outcome) = outcome::find(db, *id).await? {
            return outcome.into_receipt_of(*player).map(Ok).ok_or_else(|| outcome::mismatch(*id));
        }
        let Some(row) = owned else { return Ok(Err(CommitRefusal::StaleEpoch)) };
        if row.number::<u64>(0)? != epoch.0 {
            return Ok(Err(CommitRefusal::StaleEpoch));
        }
        let gold = row.number(1)?;
        let answer = match change {
            Change::Grant { items, gold: more, quest } => {
                grant(db, *player, gold, items, *more, quest.as_ref()).await?
            }
            Change::Consume { item, quantity } => {
                let left = inventory::take(db, *player, *item, *quantity).await?;
                left.map(|stack| Receipt { stacks: vec![stack], gold, receiver: None })
                    .ok_or(CommitRefusal::NotThere)
            }
            Change::Give { to, to_epoch, gift, share } => {
                let giver = gift::Giver { player: *player, gold };
                gift::give(db, giver, (*to, *to_epoch), gift, *share).await?
            }
            Change::Abandon { quest } => {
                db.execute(ABANDON, values![*player, &**quest]).await?;
                Ok(Receipt { gold, ..Receipt::default() })
            }
        };
        // A refusal has changed nothing and is not kept: what is owed (a quest's reward has one id
        // for ever) may be asked for again once there is room.
        if let Ok(receipt) = &answer {
            outcome::keep(db, *id, Some(*player), &Outcome::of(*player, receipt)).await?;
        }
        Ok(answer)
    }
}

const PLAYER: &str = "SELECT epoch, gold FROM players WHERE id = $1";
const PLAYER_LOCKED: &str = "SELECT epoch, gold FROM players WHERE id = $1 FOR NO KEY UPDATE";

/// Gives items and gold, and completes the quest they reward. A quest that is completed already
/// gives nothing more, whatever the operation's id: its reward was given with its completion.
async fn grant(
    db: &mut Connection<'_>,
    player: PlayerId,
    gold: u64,
    items: &[(Key, u32, bool)],
    more: u64,
    quest: Option<&(Key, u64)>,
) -> Result<Result<Receipt, CommitRefusal>, Failure> {
    if let Some((quest, _)) = quest
        && is_completed(db, player, quest).await?
    {
        return Ok(Ok(Receipt { gold, ..Receipt::default() }));
    }
    // Everything that can be refused is decided before anything is written.
    let held = inventory::read(db, player).await?;
    let total = gold.checked_add(more).filter(|total| i64::try_from(*total).is_ok());
    let (Some(placed), Some(total)) = (inventory::place(&held, items), total) else {
        return Ok(Err(CommitRefusal::Full));
    };
    if let Some((quest, experience)) = quest {
        db.execute(COMPLETE, values![player, &**quest]).await?;
        db.execute(EXPERIENCE, values![player, *experience]).await?;
    }
    let stacks = inventory::write(db, player, placed).await?;
    if more > 0 {
        db.execute(SET_GOLD, values![player, total]).await?;
    }
    Ok(Ok(Receipt { stacks, gold: total, receiver: None }))
}

pub(super) const SET_GOLD: &str = "UPDATE players SET gold = $2 WHERE id = $1";
/// Nobody's experience ever falls, also where a save overtakes a reward.
const EXPERIENCE: &str = "UPDATE players SET experience = $2 WHERE id = $1 AND experience < $2";
const ABANDON: &str = "DELETE FROM quests WHERE player_id = $1 AND quest = $2 AND completed = 0";

const COMPLETE: &str = "INSERT INTO quests (player_id, quest, done, completed) \
    VALUES ($1, $2, '', 1) \
    ON CONFLICT (player_id, quest) DO UPDATE SET completed = 1";

async fn is_completed(
    db: &mut Connection<'_>,
    player: PlayerId,
    quest: &Key,
) -> Result<bool, Failure> {
    let sql = "SELECT 1 FROM quests WHERE player_id = $1 AND quest = $2 AND completed = 1";
    Ok(db.row(sql, values![player, &**quest]).await?.is_some())
}
