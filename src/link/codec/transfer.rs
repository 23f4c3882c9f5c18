//! A player on its way from one zone to another, as it travels.

use super::DecodeError;
use super::reading::{self, At};
use super::shared::{self, put_guild, put_operation, put_player, put_point, put_session};
use crate::ids::{ItemId, SessionRef};
use crate::proto::link as wire;
use crate::world::command::{Owed, StreamState, Transfer};

/// What is the same for one player over a border and for all players of a zone that moves: where
/// it comes from and in which hand-over is the caller's to set.
pub(super) fn put(transfer: &Transfer, session: &SessionRef) -> wire::PlayerTransfer {
    let Transfer {
        state,
        guild,
        destination,
        haste,
        leaves,
        travel_ahead,
        stream,
        owed,
    } = transfer;
    let StreamState { sequence, suspicion, impossible, unseen_ms } = *stream;
    wire::PlayerTransfer {
        state: Some(put_player(state)),
        guild: guild.as_ref().map(put_guild),
        destination: destination.map(put_point),
        haste: haste.map(|(left_ms, factor)| wire::Haste { left_ms, factor }),
        leaves: *leaves,
        movement_sequence: sequence,
        movement_debt: *travel_ahead,
        corrections: impossible,
        from_zone_id: 0,
        session: Some(put_session(session)),
        owner: 0,
        handover: None,
        owed: put_owed(owed),
        movement_suspicion: suspicion,
        correction_unseen_ms: unseen_ms,
    }
}

pub(super) fn read(transfer: wire::PlayerTransfer) -> Result<(Transfer, SessionRef), DecodeError> {
    const NAME: &str = "PlayerTransfer";
    let wire::PlayerTransfer {
        state,
        guild,
        destination,
        haste,
        leaves,
        movement_sequence,
        movement_debt,
        corrections,
        from_zone_id: _,
        session,
        owner: _,
        handover: _,
        owed,
        movement_suspicion,
        correction_unseen_ms,
    } = transfer;
    let place = |point| reading::point(At(NAME, "destination"), point);
    let haste = haste.map(|wire::Haste { left_ms, factor }| {
        Ok::<_, DecodeError>((left_ms, reading::finite(At("Haste", "factor"), factor)?))
    });
    let transfer = Transfer {
        state: shared::player(At(NAME, "state"), state)?,
        guild: guild.map(shared::guild).transpose()?,
        destination: destination.map(place).transpose()?,
        haste: haste.transpose()?,
        leaves,
        travel_ahead: reading::finite(At(NAME, "movement_debt"), movement_debt)?,
        stream: StreamState {
            sequence: movement_sequence,
            suspicion: reading::finite(At(NAME, "movement_suspicion"), movement_suspicion)?,
            impossible: corrections,
            unseen_ms: correction_unseen_ms,
        },
        owed: owed.map(read_owed).transpose()?.unwrap_or_default(),
    };
    Ok((transfer, reading::session(At(NAME, "session"), session)?))
}

/// Nothing for a player who is owed nothing, as nearly all are.
fn put_owed(owed: &Owed) -> Option<wire::Owed> {
    let Owed { gold, unclear_gold, unclear_use } = *owed;
    (*owed != Owed::default()).then(|| wire::Owed {
        gold,
        unclear_gold: unclear_gold.map(|(operation, _)| put_operation(operation)),
        unclear_gold_amount: unclear_gold.map_or(0, |(_, amount)| amount),
        unclear_use: unclear_use.map(|(_, operation)| put_operation(operation)),
        unclear_use_item: unclear_use.map_or(0, |(item, _)| item.0),
    })
}

fn read_owed(owed: wire::Owed) -> Result<Owed, DecodeError> {
    let wire::Owed { gold, unclear_gold, unclear_gold_amount, unclear_use, unclear_use_item } =
        owed;
    let operation = |field, id: Option<_>| {
        id.map(|id| reading::operation(At("Owed", field), Some(id))).transpose()
    };
    let unclear_gold = operation("unclear_gold", unclear_gold)?;
    let unclear_use = operation("unclear_use", unclear_use)?;
    Ok(Owed {
        gold,
        unclear_gold: unclear_gold.map(|operation| (operation, unclear_gold_amount)),
        unclear_use: unclear_use.map(|operation| (ItemId(unclear_use_item), operation)),
    })
}
