//! Where items go in an inventory, and the rows they end up in.
//!
//! Used by operations and by the making of a character. Deciding ([`place`]) is pure and comes
//! first, so that a grant that does not fit changes nothing.

use std::collections::BTreeMap;

use super::connection::{Connection, values};
use super::failure::Failure;
use crate::ids::{ItemId, Key, PlayerId};
use crate::limits::{INVENTORY_MAX, STACK_MAX};
use crate::world::command::ItemStack;

/// What is to be written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Placed {
    /// Stacks that are there, with what they will hold.
    pub(super) grown: Vec<ItemStack>,
    /// Kind and quantity of stacks to be made.
    pub(super) made: Vec<(Key, u32)>,
}

/// Finds a place for all `items` (kind, quantity, whether equal ones share a stack) beside `held`;
/// none if there is none. The oldest stack is filled first.
pub(super) fn place(held: &[ItemStack], items: &[(Key, u32, bool)]) -> Option<Placed> {
    let mut shared: BTreeMap<&Key, u64> = BTreeMap::new();
    let mut placed = Placed::default();
    let room = INVENTORY_MAX.saturating_sub(held.len());
    for (kind, quantity, share) in items {
        if *share {
            *shared.entry(kind).or_default() += u64::from(*quantity);
        } else {
            if *quantity as usize > room {
                return None;
            }
            placed.made.extend((0..*quantity).map(|_| (kind.clone(), 1)));
        }
    }
    for (kind, mut left) in shared {
        for stack in held.iter().filter(|stack| stack.kind == *kind) {
            let taken = left.min(STACK_MAX.saturating_sub(stack.quantity).into());
            if taken > 0 {
                let quantity = stack.quantity + taken as u32;
                placed.grown.push(ItemStack { quantity, ..stack.clone() });
                left -= taken;
            }
        }
        if left.div_ceil(STACK_MAX.into()) > room as u64 {
            return None;
        }
        while left > 0 {
            let quantity = left.min(STACK_MAX.into());
            placed.made.push((kind.clone(), quantity as u32));
            left -= quantity;
        }
    }
    (placed.made.len() <= room).then_some(placed)
}

/// Writes what [`place`] has decided; gives the changed stacks.
pub(super) async fn write(
    db: &mut Connection<'_>,
    player: PlayerId,
    placed: Placed,
) -> Result<Vec<ItemStack>, Failure> {
    let mut changed = placed.grown;
    for stack in &changed {
        db.execute(SET_QUANTITY, values![stack.id, stack.quantity]).await?;
    }
    for (kind, quantity) in placed.made {
        let values = values![player, &*kind, quantity];
        if let Some(row) = db.row(INSERT, values).await? {
            changed.push(ItemStack { id: ItemId(row.number(0)?), kind, quantity });
        }
    }
    Ok(changed)
}

/// Takes `quantity` out of one of the player's stacks and gives what is left of it; none, and
/// nothing changed, if it is not there or holds less.
pub(super) async fn take(
    db: &mut Connection<'_>,
    player: PlayerId,
    item: ItemId,
    quantity: u32,
) -> Result<Option<ItemStack>, Failure> {
    let Some(row) = db.row(ONE, values![item, player]).await? else { return Ok(None) };
    let held: u32 = row.number(1)?;
    let Some(left) = held.checked_sub(quantity) else { return Ok(None) };
    if left == 0 {
        db.execute("DELETE FROM items WHERE id = $1", values![item]).await?;
    } else {
        db.execute(SET_QUANTITY, values![item, left]).await?;
    }
    Ok(Some(ItemStack { id: item, kind: row.text(0)?.into(), quantity: left }))
}

/// The kind of a stack of the player's that holds at least `quantity`, which is not 0.
pub(super) async fn kind_of(
    db: &mut Connection<'_>,
    player: PlayerId,
    item: ItemId,
    quantity: u32,
) -> Result<Option<Key>, Failure> {
    let Some(row) = db.row(ONE, values![item, player]).await? else { return Ok(None) };
    let enough = quantity > 0 && row.number::<u32>(1)? >= quantity;
    Ok(if enough { Some(row.text(0)?.into()) } else { None })
}

/// All stacks of a player, oldest first.
pub(super) async fn read(
    db: &mut Connection<'_>,
    player: PlayerId,
) -> Result<Vec<ItemStack>, Failure> {
    let rows = db.rows(ALL, values![player]).await?;
    rows.iter()
        .map(|row| {
            let (id, kind) = (ItemId(row.number(0)?), row.text(1)?.into());
            Ok(ItemStack { id, kind, quantity: row.number(2)? })
        })
        .collect()
}

const ALL: &str = "SELECT id, kind, quantity FROM items WHERE player_id = $1 ORDER BY id";
const ONE: &str = "SELECT kind, quantity FROM items WHERE id = $1 AND player_id = $2";
const SET_QUANTITY: &str = "UPDATE items SET quantity = $2 WHERE id = $1";
const INSERT: &str =
    "INSERT INTO items (player_id, kind, quantity) VALUES ($1, $2, $3) RETURNING id";

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(id: u64, kind: &str, quantity: u32) -> ItemStack {
        ItemStack { id: ItemId(id), kind: kind.into(), quantity }
    }

    #[test]
    fn equal_things_share_a_stack_until_it_is_full() {
        let held = [stack(1, "pelt", STACK_MAX - 1), stack(2, "sword", 1)];
        let placed = place(&held, &[("pelt".into(), 2, true), ("pelt".into(), 1, true)]).unwrap();
        assert_eq!(placed.grown, [stack(1, "pelt", STACK_MAX)]);
        assert_eq!(placed.made, [("pelt".into(), 2)]);
    }

    #[test]
    fn things_that_do_not_stack_lie_apart() {
        let placed = place(&[stack(1, "sword", 1)], &[("sword".into(), 2, false)]).unwrap();
        assert!(placed.grown.is_empty());
        assert_eq!(placed.made, [("sword".into(), 1), ("sword".into(), 1)]);
    }

    #[test]
    fn what_does_not_fit_is_not_begun() {
        let held: Vec<_> = (0..INVENTORY_MAX as u64).map(|id| stack(id, "sword", 1)).collect();
        assert_eq!(place(&held, &[("pelt".into(), 1, true)]), None);
        assert_eq!(place(&held, &[("sword".into(), 1, false)]), None);
        assert_eq!(place(&[], &[("sword".into(), u32::MAX, false)]), None);
        assert_eq!(place(&[], &[("pelt".into(), u32::MAX, true)]), None);
        assert_eq!(place(&held, &[("pelt".into(), 0, true)]), Some(Placed::default()));
    }

    #[test]
    fn the_last_place_is_used() {
        let held: Vec<_> = (1..INVENTORY_MAX as u64).map(|id| stack(id, "sword", 1)).collect();
        let placed = place(&held, &[("pelt".into(), STACK_MAX, true)]).unwrap();
        assert_eq!(placed.made, [("pelt".into(), STACK_MAX)]);
        assert_eq!(place(&held, &[("pelt".into(), STACK_MAX + 1, true)]), None);
    }
}
