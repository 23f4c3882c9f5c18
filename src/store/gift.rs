//! What one player gives another: one transaction in which it leaves the one and comes to the other.
//!
//! Part of an operation; the giver's row is locked and its epoch checked by then. Everything that
//! can be refused is decided before anything is written.

use super::connection::{Connection, values};
use super::failure::Failure;
use super::inventory;
use super::operations::SET_GOLD;
use crate::ids::{Epoch, PlayerId};
use crate::world::command::{CommitRefusal, Gift, Receipt};

/// Who gives, and the gold it has.
pub(super) struct Giver {
    pub(super) player: PlayerId,
    pub(super) gold: u64,
}

/// Moves a gift; the receipt is the giver's, with the receiver's in it.
pub(super) async fn give(
    db: &mut Connection<'_>,
    giver: Giver,
    (to, to_epoch): (PlayerId, Epoch),
    gift: &Gift,
    share: bool,
) -> Result<Result<Receipt, CommitRefusal>, Failure> {
    let lock = db.pick(RECEIVER, RECEIVER_LOCKED);
    let Some(row) = db.row(lock, values![to]).await? else {
        return Ok(Err(CommitRefusal::ReceiverGone));
    };
    // Who has left has no owner any more: what it owns is not to change until it is back.
    if row.number::<u64>(0)? != to_epoch.0
        || row.maybe_number::<i64>(2)?.is_none()
        || to == giver.player
    {
        return Ok(Err(CommitRefusal::ReceiverGone));
    }
    let gold = row.number(1)?;
    match gift {
        Gift::Gold(amount) => give_gold(db, giver, (to, gold), *amount).await,
        Gift::Items { item, quantity } => {
            let Some(kind) = inventory::kind_of(db, giver.player, *item, *quantity).await? else {
                return Ok(Err(CommitRefusal::NotThere));
            };
            let held = inventory::read(db, to).await?;
            let Some(placed) = inventory::place(&held, &[(kind, *quantity, share)]) else {
                return Ok(Err(CommitRefusal::ReceiverFull));
            };
            let Some(left) = inventory::take(db, giver.player, *item, *quantity).await? else {
                return Ok(Err(CommitRefusal::NotThere));
            };
            let stacks = inventory::write(db, to, placed).await?;
            let got = Receipt { stacks, gold, receiver: None };
            let receiver = Some(Box::new((to, got)));
            Ok(Ok(Receipt { stacks: vec![left], gold: giver.gold, receiver }))
        }
    }
}

async fn give_gold(
    db: &mut Connection<'_>,
    giver: Giver,
    (to, has): (PlayerId, u64),
    amount: u64,
) -> Result<Result<Receipt, CommitRefusal>, Failure> {
    let Some(left) = giver.gold.checked_sub(amount) else {
        return Ok(Err(CommitRefusal::NotThere));
    };
    let total = has.checked_add(amount).filter(|total| i64::try_from(*total).is_ok());
    let Some(total) = total else { return Ok(Err(CommitRefusal::ReceiverFull)) };
    db.execute(SET_GOLD, values![giver.player, left]).await?;
    db.execute(SET_GOLD, values![to, total]).await?;
    let got = Receipt { gold: total, ..Receipt::default() };
    Ok(Ok(Receipt { gold: left, receiver: Some(Box::new((to, got))), ..Receipt::default() }))
}

const RECEIVER: &str = "SELECT epoch, gold, owner FROM players WHERE id = $1";
const RECEIVER_LOCKED: &str = "SELECT epoch, gold, owner \
    FROM players WHERE id = $1 FOR NO KEY UPDATE";
