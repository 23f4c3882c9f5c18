//! Changes of value: items and gold in and out, and the completion of quests.
//!
//! Called by zones, which tell a player of a change only after its commit. Each is applied once per
//! operation id, all or nothing, and only under the epoch that owns the player.

use super::connection::{Connection, values};
use super::failure::Failure;
use super::job::Write;
use super::outcome::{self, Outcome};
use super::{Store, StoreError, inventory};
use crate::ids::{Key, PlayerId};
use crate::world::command::{Change, CommitRefusal, Operation, Receipt};

impl Store {
    /// Does one change of value, once, however often it is sent; committed when this returns.
    /// Waits in the writer's queue with others and shares their commit.
    ///
    /// # Errors
    /// Says why it was not done. A repeated operation that was done gets its receipt again; one that
    /// was refused is judged anew. After
    /// [`CommitRefusal::Unavailable`] it is not known whether it was done: send it again, under the
    /// same id.
    pub async fn commit(&self, operation: Operation) -> Result<Receipt, CommitRefusal> {
        let id = operation.id;
        self.write("commit", Commit(operation)).await.unwrap_or_else(|error| {
            if !matches!(error, StoreError::Unavailable(_)) {
                tracing::error!(operation = %id, %error, "operation cannot be done");
            }
            Err(CommitRefusal::Unavailable)
        })
    }
}

struct Commit(Operation);

impl Write for Commit {
    type Answer = Result<Receipt, CommitRefusal>;

    fn player(&self) -> Option<PlayerId> {
        Some(self.0.player)
    }

    async fn apply(&self, db: &mut Connection<'_>) -> Result<Self::Answer, Failure> {
        let Operation { id, player, epoch, change } = &self.0;
        // The row is locked first: whoever else changes this player waits, and so the outcome of
        // the same operation cannot appear after it was looked for.
        let lock = db.pick(PLAYER, PLAYER_LOCKED);
        let owned = db.row(lock, values![*player]).await?;
        if let Some(outcome) = outcome::find(db, *id).await? {
            return outcome.into_receipt().map(Ok).ok_or_else(|| outcome::mismatch(*id));
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
                left.map(|stack| Receipt { stacks: vec![stack], gold })
                    .ok_or(CommitRefusal::NotThere)
            }
        };
        // A refusal has changed nothing and is not kept: what is owed (a quest's reward has one id
        // for ever) may be asked for again once there is room.
        if let Ok(receipt) = &answer {
            outcome::keep(db, *id, Some(*player), &Outcome::from(receipt)).await?;
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
    quest: Option<&Key>,
) -> Result<Result<Receipt, CommitRefusal>, Failure> {
    if let Some(quest) = quest
        && is_completed(db, player, quest).await?
    {
        return Ok(Ok(Receipt { stacks: Vec::new(), gold }));
    }
    // Everything that can be refused is decided before anything is written.
    let held = inventory::read(db, player).await?;
    let total = gold.checked_add(more).filter(|total| i64::try_from(*total).is_ok());
    let (Some(placed), Some(total)) = (inventory::place(&held, items), total) else {
        return Ok(Err(CommitRefusal::Full));
    };
    if let Some(quest) = quest {
        db.execute(COMPLETE, values![player, &**quest]).await?;
    }
    let stacks = inventory::write(db, player, placed).await?;
    if more > 0 {
        db.execute("UPDATE players SET gold = $2 WHERE id = $1", values![player, total]).await?;
    }
    Ok(Ok(Receipt { stacks, gold: total }))
}

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
