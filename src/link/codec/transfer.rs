//! A player on its way from one zone to another, as it travels.

use super::DecodeError;
use super::reading::{self, At, present};
use super::shared::{
    self, NOTHING, put_guild, put_key, put_operation, put_player, put_point, put_session,
};
use crate::ids::{EntityId, ItemId, SessionRef};
use crate::proto::link as wire;
use crate::world::command::{Doubt, Owed, Purpose, StreamState, Transfer};
use wire::doubt::Purpose as WirePurpose;

/// What is the same for one player over a border and for all players of a zone that moves: where
/// it comes from and in which hand-over is the caller's to set.
pub(super) fn put(transfer: &Transfer, session: &SessionRef) -> wire::PlayerTransfer {
    let Transfer { state, guild, destination, haste, leaves, travel_ahead, stream, owed } =
        transfer;
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
    let Owed { gold, doubt } = owed;
    (*owed != Owed::default())
        .then(|| wire::Owed { gold: *gold, doubt: doubt.as_ref().map(put_doubt) })
}

fn read_owed(owed: wire::Owed) -> Result<Owed, DecodeError> {
    let wire::Owed { gold, doubt } = owed;
    Ok(Owed { gold, doubt: doubt.map(read_doubt).transpose()? })
}

fn put_doubt(doubt: &Doubt) -> wire::Doubt {
    let Doubt { operation, purpose } = doubt;
    let purpose = match purpose {
        Purpose::PickUp { thing, kind, quantity } => WirePurpose::PickUp(wire::DoubtfulPickUp {
            thing: thing.0,
            kind: put_key(kind),
            quantity: *quantity,
        }),
        Purpose::Use { item, kind } => {
            WirePurpose::Use(wire::DoubtfulUse { item: item.0, kind: put_key(kind) })
        }
        Purpose::Drop { kind, quantity, at } => WirePurpose::Drop(wire::DoubtfulDrop {
            kind: put_key(kind),
            quantity: *quantity,
            at: Some(put_point(*at)),
        }),
        Purpose::Destroy => WirePurpose::Destroy(NOTHING),
        Purpose::Give { to } => WirePurpose::GiveTo(to.0),
        Purpose::Receive { from } => WirePurpose::ReceiveFrom(from.0),
        Purpose::Gold(amount) => WirePurpose::Gold(*amount),
        Purpose::Quest(quest) => WirePurpose::Quest(put_key(quest)),
        Purpose::Abandon(quest) => WirePurpose::Abandon(put_key(quest)),
    };
    wire::Doubt { operation: Some(put_operation(*operation)), purpose: Some(purpose) }
}

fn read_doubt(doubt: wire::Doubt) -> Result<Doubt, DecodeError> {
    const NAME: &str = "Doubt";
    let wire::Doubt { operation, purpose } = doubt;
    let operation = reading::operation(At(NAME, "operation"), operation)?;
    let purpose = match present(At(NAME, "purpose"), purpose)? {
        WirePurpose::PickUp(wire::DoubtfulPickUp { thing, kind, quantity }) => {
            Purpose::PickUp { thing: EntityId(thing), kind: kind.into(), quantity }
        }
        WirePurpose::Use(wire::DoubtfulUse { item, kind }) => {
            Purpose::Use { item: ItemId(item), kind: kind.into() }
        }
        WirePurpose::Drop(wire::DoubtfulDrop { kind, quantity, at }) => {
            let at = present(At("DoubtfulDrop", "at"), at)?;
            let at = reading::point(At("DoubtfulDrop", "at"), at)?;
            Purpose::Drop { kind: kind.into(), quantity, at }
        }
        WirePurpose::Destroy(wire::Nothing {}) => Purpose::Destroy,
        WirePurpose::GiveTo(to) => Purpose::Give { to: reading::player(At(NAME, "give_to"), to)? },
        WirePurpose::ReceiveFrom(from) => {
            Purpose::Receive { from: reading::player(At(NAME, "receive_from"), from)? }
        }
        WirePurpose::Gold(amount) => Purpose::Gold(amount),
        WirePurpose::Quest(quest) => Purpose::Quest(quest.into()),
        WirePurpose::Abandon(quest) => Purpose::Abandon(quest.into()),
    };
    Ok(Doubt { operation, purpose })
}
