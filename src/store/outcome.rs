//! What came of each operation, kept in the same transaction, so that a retry finds it.
//!
//! Used by every write that has an [`OperationId`]. Kept for
//! [`KEEP_OPERATIONS`](super::prune::KEEP_OPERATIONS).

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::connection::{Connection, values};
use super::failure::Failure;
use super::record::{DeclarationRecord, WarRecord};
use crate::ids::{GuildId, ItemId, Key, OperationId, PlayerId};
use crate::tick;
use crate::world::command::{ItemStack, Receipt};

/// The first outcome of an operation, as JSON in its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// A change of value was done: id, kind and quantity of the stacks, and the gold.
    Receipt { stacks: Vec<(ItemId, Key, u32)>, gold: u64 },
    /// Something was given: what the giver and the receiver own after it.
    Gift { from: PlayerId, gave: Owned, to: PlayerId, got: Owned },
    /// A guild was made.
    Guild(GuildId),
    /// A war was started, scored or ended: both guilds, both scores, the start.
    War {
        guilds: (GuildId, GuildId),
        /// Not in outcomes of older versions.
        attacker: Option<GuildId>,
        kills: (u32, u32),
        started_at: u64,
    },
    /// A war was declared: attacker and defender, when, and from when it will be fought.
    Declaration { guilds: (GuildId, GuildId), declared_at: u64, begins_at: u64 },
    /// Done, and there is nothing to say about it.
    Done,
}

/// Stacks, each with its kind and quantity, and gold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owned {
    stacks: Vec<(ItemId, Key, u32)>,
    gold: u64,
}

/// Like [`find`], for writes that lock no row of their own first: the same operation, sent a second
/// time while the first is still being committed (through another connection), waits for it.
pub(super) async fn find_locked(
    db: &mut Connection<'_>,
    id: OperationId,
) -> Result<Option<Outcome>, Failure> {
    // SQLite has one writer. PostgreSQL's lock ends with the transaction; two ids that share these
    // bits only wait for each other.
    if let Connection::Postgres(_) = db {
        let bits = (id.0 as u64 ^ (id.0 >> 64) as u64).cast_signed();
        db.row("SELECT 1 FROM pg_advisory_xact_lock($1)", values![bits]).await?;
    }
    find(db, id).await
}

/// What came of an operation that was done before.
pub(super) async fn find(
    db: &mut Connection<'_>,
    id: OperationId,
) -> Result<Option<Outcome>, Failure> {
    let Some(row) = db.row("SELECT outcome FROM operations WHERE id = $1", values![id]).await?
    else {
        return Ok(None);
    };
    let outcome = serde_json::from_str(&row.text(0)?)
        .map_err(|error| StoreError::Corrupt(format!("outcome of operation {id}: {error}")))?;
    Ok(Some(outcome))
}

/// Keeps what came of an operation.
pub(super) async fn keep(
    db: &mut Connection<'_>,
    id: OperationId,
    player: Option<PlayerId>,
    outcome: &Outcome,
) -> Result<(), Failure> {
    let text = serde_json::to_string(outcome)
        .map_err(|error| StoreError::Corrupt(format!("outcome of operation {id}: {error}")))?;
    let sql = "INSERT INTO operations (id, player_id, made_at, outcome) VALUES ($1, $2, $3, $4)";
    let player = player.map(|player| player.0.cast_signed());
    db.execute(sql, values![id, player, tick::unix_millis(), text.as_str()]).await?;
    Ok(())
}

/// The answer to an operation whose id was used for something else.
pub(super) fn mismatch(id: OperationId) -> Failure {
    StoreError::Corrupt(format!("operation {id} was another kind of change")).into()
}

impl Outcome {
    /// Of a change of value for that player.
    pub(super) fn of(player: PlayerId, receipt: &Receipt) -> Self {
        let own = Owned::from(receipt);
        match receipt.receiver.as_deref() {
            None => Self::Receipt { stacks: own.stacks, gold: own.gold },
            Some((to, got)) => Self::Gift { from: player, gave: own, to: *to, got: got.into() },
        }
    }

    /// As the answer to a change of value, for one whom it is about.
    pub(super) fn into_receipt_of(self, player: PlayerId) -> Option<Receipt> {
        match self {
            Self::Receipt { stacks, gold } => Some(Owned { stacks, gold }.into()),
            Self::Gift { from, gave, to, got } if player == from => {
                Some(Receipt { receiver: Some(Box::new((to, got.into()))), ..gave.into() })
            }
            Self::Gift { to, got, .. } if player == to => Some(got.into()),
            Self::Gift { .. }
            | Self::Guild(_)
            | Self::War { .. }
            | Self::Declaration { .. }
            | Self::Done => None,
        }
    }

    /// As the answer to something about a war.
    pub(super) fn into_war(self) -> Option<WarRecord> {
        let Self::War { guilds, attacker, kills, started_at } = self else { return None };
        let ((first, second), (first_kills, second_kills)) = (guilds, kills);
        let attacker = attacker.unwrap_or(first);
        Some(WarRecord { first, second, attacker, first_kills, second_kills, started_at })
    }

    /// As the answer to a declaration.
    pub(super) fn into_declaration(self) -> Option<DeclarationRecord> {
        let Self::Declaration { guilds, declared_at, begins_at } = self else { return None };
        let (attacker, defender) = guilds;
        Some(DeclarationRecord { attacker, defender, declared_at, begins_at })
    }
}

impl From<&Receipt> for Owned {
    fn from(receipt: &Receipt) -> Self {
        let stacks = receipt.stacks.iter();
        let stacks = stacks.map(|stack| (stack.id, stack.kind.clone(), stack.quantity)).collect();
        Self { stacks, gold: receipt.gold }
    }
}

impl From<Owned> for Receipt {
    fn from(owned: Owned) -> Self {
        let stack = |(id, kind, quantity)| ItemStack { id, kind, quantity };
        let stacks = owned.stacks.into_iter().map(stack).collect();
        Self { stacks, gold: owned.gold, receiver: None }
    }
}

impl From<&WarRecord> for Outcome {
    fn from(war: &WarRecord) -> Self {
        Self::War {
            guilds: (war.first, war.second),
            attacker: Some(war.attacker),
            kills: (war.first_kills, war.second_kills),
            started_at: war.started_at,
        }
    }
}

impl From<&DeclarationRecord> for Outcome {
    fn from(declared: &DeclarationRecord) -> Self {
        let DeclarationRecord { attacker, defender, declared_at, begins_at } = *declared;
        Self::Declaration { guilds: (attacker, defender), declared_at, begins_at }
    }
}
