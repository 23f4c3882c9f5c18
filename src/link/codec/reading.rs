//! Reading single fields: each function takes where the field stands, for its error, and gives the
//! checked domain value.

use uuid::Uuid;

use super::DecodeError;
use crate::geometry::{Point, Pose, Rect};
use crate::ids::{GuildId, GuildRank, OperationId, PlayerId, ServerId, SessionRef, ZoneId};
use crate::limits;
use crate::names::{ChatText, Name};
use crate::proto;
use crate::proto::link as wire;
use crate::role::Role;
use crate::world::entity::Handle;

/// A message and its field, as `link.proto` calls them.
#[derive(Debug, Clone, Copy)]
pub(super) struct At(pub &'static str, pub &'static str);

impl At {
    /// The error that this field is wrong.
    pub(super) fn wrong(self, problem: &'static str) -> DecodeError {
        DecodeError::Field { message: self.0, field: self.1, problem }
    }
}

/// What must be there.
pub(super) fn present<T>(at: At, value: Option<T>) -> Result<T, DecodeError> {
    value.ok_or_else(|| at.wrong("not set"))
}

pub(super) fn player(at: At, id: u64) -> Result<PlayerId, DecodeError> {
    match id {
        1..=0xffff_ffff => Ok(PlayerId(id)),
        _ => Err(at.wrong("no player's id")),
    }
}

pub(super) fn zone(at: At, id: u32) -> Result<ZoneId, DecodeError> {
    match u16::try_from(id) {
        Ok(id @ 1..) => Ok(ZoneId(id)),
        _ => Err(at.wrong("no zone's id")),
    }
}

pub(super) fn server(at: At, id: u64) -> Result<ServerId, DecodeError> {
    if id != 0 && id < 1 << 53 { Ok(ServerId(id)) } else { Err(at.wrong("no server's id")) }
}

pub(super) fn guild(at: At, id: u64) -> Result<GuildId, DecodeError> {
    if id != 0 { Ok(GuildId(id)) } else { Err(at.wrong("no guild's id")) }
}

pub(super) fn session(at: At, session: Option<wire::Session>) -> Result<SessionRef, DecodeError> {
    let wire::Session { gateway, key } = present(at, session)?;
    Ok(SessionRef { gateway: server(At("Session", "gateway"), gateway)?, key: session_key(key) })
}

pub(super) fn session_key(key: u64) -> crate::ids::SessionKey {
    crate::ids::SessionKey(key)
}

pub(super) fn operation(at: At, id: Option<wire::OperationId>) -> Result<OperationId, DecodeError> {
    let wire::OperationId { high, low } = present(at, id)?;
    Ok(OperationId::new(high, low))
}

pub(super) fn uuid(at: At, bytes: &[u8]) -> Result<Uuid, DecodeError> {
    Uuid::from_slice(bytes).map_err(|_| at.wrong("not 16 bytes of UUID"))
}

pub(super) fn port(at: At, port: u32) -> Result<u16, DecodeError> {
    u16::try_from(port).map_err(|_| at.wrong("no port"))
}

pub(super) fn handle(at: At, handle: u32) -> Result<Handle, DecodeError> {
    match u16::try_from(handle) {
        Ok(number) if usize::from(number) < limits::ZONE_ENTITIES_MAX => Ok(Handle(number)),
        _ => Err(at.wrong("no handle")),
    }
}

/// A share that is more than none.
pub(super) fn percent(at: At, number: u32) -> Result<u8, DecodeError> {
    match u8::try_from(number) {
        Ok(percent @ 1..=100) => Ok(percent),
        _ => Err(at.wrong("not 1 to 100 percent")),
    }
}

pub(super) fn finite(at: At, number: f32) -> Result<f32, DecodeError> {
    if number.is_finite() { Ok(number) } else { Err(at.wrong("not finite")) }
}

pub(super) fn point(at: At, point: wire::Point) -> Result<Point, DecodeError> {
    let wire::Point { x, y } = point;
    Point::checked(x, y).ok_or_else(|| at.wrong("outside the world"))
}

pub(super) fn pose(at: At, pose: Option<wire::Pose>) -> Result<Pose, DecodeError> {
    let wire::Pose { at: place, rotation } = present(at, pose)?;
    if !(0.0..360.0).contains(&rotation) {
        return Err(at.wrong("turned by more than a turn"));
    }
    Ok(Pose { at: point(at, present(at, place)?)?, rotation })
}

/// A zone's bounds: inside the world, with sides that a packed position reaches.
pub(super) fn bounds(at: At, rect: Option<wire::Rect>) -> Result<Rect, DecodeError> {
    let wire::Rect { min_x, min_y, max_x, max_y } = present(at, rect)?;
    point(at, wire::Point { x: min_x, y: min_y })?;
    point(at, wire::Point { x: max_x, y: max_y })?;
    let rect = Rect { min_x, min_y, max_x, max_y };
    let side = |length: f32| length > 0.0 && length <= limits::ZONE_SIDE_MAX;
    if side(rect.width()) && side(rect.height()) {
        Ok(rect)
    } else {
        Err(at.wrong("no rectangle of a zone"))
    }
}

pub(super) fn name(at: At, text: &str) -> Result<Name, DecodeError> {
    Name::made(text).map_err(|problem| at.wrong(problem))
}

pub(super) fn names(at: At, texts: Vec<String>) -> Result<Vec<Name>, DecodeError> {
    each(texts, |text| name(at, &text))
}

pub(super) fn chat_text(at: At, text: &str) -> Result<ChatText, DecodeError> {
    ChatText::parse(text).map_err(|problem| at.wrong(problem))
}

pub(super) fn rank(at: At, number: i32) -> Result<GuildRank, DecodeError> {
    match proto::GuildRank::try_from(number) {
        Ok(proto::GuildRank::Member) => Ok(GuildRank::Member),
        Ok(proto::GuildRank::Officer) => Ok(GuildRank::Officer),
        Ok(proto::GuildRank::Leader) => Ok(GuildRank::Leader),
        Ok(proto::GuildRank::Unspecified) | Err(_) => Err(at.wrong("no rank")),
    }
}

pub(super) fn role(at: At, number: i32) -> Result<Role, DecodeError> {
    match wire::Role::try_from(number) {
        Ok(wire::Role::Master) => Ok(Role::Master),
        Ok(wire::Role::Login) => Ok(Role::Login),
        Ok(wire::Role::Gateway) => Ok(Role::Gateway),
        Ok(wire::Role::Zone) => Ok(Role::Zone),
        Ok(wire::Role::Chat) => Ok(Role::Chat),
        Ok(wire::Role::Unspecified | wire::Role::Node | wire::Role::Host) | Err(_) => {
            Err(at.wrong("no role"))
        }
    }
}

/// A number of a generated enum whose 0 means "not set".
pub(super) fn known<E: TryFrom<i32>>(at: At, number: i32) -> Result<E, DecodeError> {
    match E::try_from(number) {
        Ok(value) if number != 0 => Ok(value),
        _ => Err(at.wrong("no known number")),
    }
}

/// Each of a list.
pub(super) fn each<A, B>(
    list: Vec<A>,
    read: impl Fn(A) -> Result<B, DecodeError>,
) -> Result<Vec<B>, DecodeError> {
    list.into_iter().map(read).collect()
}
