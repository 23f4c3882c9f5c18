//! A player on its way from one zone to another, as it travels.

use super::DecodeError;
use super::reading::{self, At};
use super::shared::{self, put_guild, put_key, put_player, put_point, put_session};
use crate::ids::SessionRef;
use crate::proto::link as wire;
use crate::world::command::Transfer;

/// What is the same for one player over a border and for all players of a zone that moves: where
/// it comes from and in which hand-over is the caller's to set.
pub(super) fn put(transfer: &Transfer, session: &SessionRef) -> wire::PlayerTransfer {
    let Transfer {
        state,
        guild,
        destination,
        attack_ready_ms,
        skills_ready_ms,
        haste,
        combat_ms,
        respawn_ms,
        movement_sequence,
        movement_debt,
        corrections,
    } = transfer;
    wire::PlayerTransfer {
        state: Some(put_player(state)),
        guild: guild.as_ref().map(put_guild),
        destination: destination.map(put_point),
        attack_ready_ms: *attack_ready_ms,
        skills: skills_ready_ms
            .iter()
            .map(|(skill, ready_ms)| wire::SkillCooldown {
                skill: put_key(skill),
                ready_ms: *ready_ms,
            })
            .collect(),
        haste: haste.map(|(left_ms, factor)| wire::Haste { left_ms, factor }),
        combat_ms: *combat_ms,
        respawn_ms: *respawn_ms,
        movement_sequence: *movement_sequence,
        movement_debt: *movement_debt,
        corrections: *corrections,
        from_zone_id: 0,
        session: Some(put_session(session)),
        owner: 0,
        handover: None,
    }
}

pub(super) fn read(transfer: wire::PlayerTransfer) -> Result<(Transfer, SessionRef), DecodeError> {
    const NAME: &str = "PlayerTransfer";
    let wire::PlayerTransfer {
        state,
        guild,
        destination,
        attack_ready_ms,
        skills,
        haste,
        combat_ms,
        respawn_ms,
        movement_sequence,
        movement_debt,
        corrections,
        from_zone_id: _,
        session,
        owner: _,
        handover: _,
    } = transfer;
    let place = |point| reading::point(At(NAME, "destination"), point);
    let haste = haste.map(|wire::Haste { left_ms, factor }| {
        Ok::<_, DecodeError>((left_ms, reading::finite(At("Haste", "factor"), factor)?))
    });
    let transfer = Transfer {
        state: shared::player(At(NAME, "state"), state)?,
        guild: guild.map(shared::guild).transpose()?,
        destination: destination.map(place).transpose()?,
        attack_ready_ms,
        skills_ready_ms: skills
            .into_iter()
            .map(|wire::SkillCooldown { skill, ready_ms }| (skill.into(), ready_ms))
            .collect(),
        haste: haste.transpose()?,
        combat_ms,
        respawn_ms,
        movement_sequence,
        movement_debt: reading::finite(At(NAME, "movement_debt"), movement_debt)?,
        corrections,
    };
    Ok((transfer, reading::session(At(NAME, "session"), session)?))
}
