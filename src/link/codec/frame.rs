//! What a link carries of a zone's frame.

use bytes::Bytes;

use super::DecodeError;
use super::reading::{self, At, each, present};
use super::shared::{self, put_packet, put_point};
use crate::geometry::Rect;
use crate::ids::EntityId;
use crate::msg::Outgoing;
use crate::msg::frame::{FrameDelta, FrameEvent, HealthTold};
use crate::proto::link as wire;
use crate::tick::Tick;
use crate::world::event::{Audience, Weight};
use crate::world::frame::PackedPosition;

pub(super) fn put(delta: &FrameDelta) -> wire::Frame {
    let FrameDelta {
        zone,
        origin,
        tick,
        bounds,
        dilation_percent,
        base,
        moved,
        entered,
        left,
        described,
        events,
        set_out,
    } = delta;
    let Rect { min_x, min_y, max_x, max_y } = *bounds;
    wire::Frame {
        zone_id: zone.0.into(),
        origin: *origin,
        tick: tick.0,
        bounds: Some(wire::Rect { min_x, min_y, max_x, max_y }),
        base: base.map(|tick| tick.0),
        moved: moved.iter().map(|position| position.0).collect(),
        entered: entered
            .iter()
            .map(|(handle, id)| wire::EntityEntered { handle: handle.0.into(), entity_id: id.0 })
            .collect(),
        left: left.iter().map(|handle| handle.0.into()).collect(),
        described: described
            .iter()
            .map(|(handle, announced, descriptor)| wire::EntityDescribed {
                handle: handle.0.into(),
                announced: *announced,
                descriptor: descriptor.clone(),
            })
            .collect(),
        events: events.iter().map(put_event).collect(),
        dilation_percent: (*dilation_percent).into(),
        set_out: set_out
            .iter()
            .map(|(handle, to)| wire::SetOut { handle: handle.0.into(), to: Some(put_point(*to)) })
            .collect(),
    }
}

pub(super) fn read(frame: wire::Frame) -> Result<FrameDelta, DecodeError> {
    const NAME: &str = "Frame";
    let wire::Frame {
        zone_id,
        origin,
        tick,
        bounds,
        base,
        moved,
        entered,
        left,
        described,
        events,
        dilation_percent,
        set_out,
    } = frame;
    Ok(FrameDelta {
        zone: reading::zone(At(NAME, "zone_id"), zone_id)?,
        origin,
        tick: Tick(tick),
        bounds: reading::bounds(At(NAME, "bounds"), bounds)?,
        dilation_percent: reading::percent(At(NAME, "dilation_percent"), dilation_percent)?,
        base: base.map(Tick),
        moved: each(moved, |bits| {
            let position = PackedPosition(bits);
            reading::handle(At(NAME, "moved"), position.handle().0.into())?;
            Ok(position)
        })?,
        entered: each(entered, |wire::EntityEntered { handle, entity_id }| {
            Ok((reading::handle(At("EntityEntered", "handle"), handle)?, EntityId(entity_id)))
        })?,
        left: each(left, |handle| reading::handle(At(NAME, "left"), handle))?,
        described: each(described, |wire::EntityDescribed { handle, announced, descriptor }| {
            let handle = reading::handle(At("EntityDescribed", "handle"), handle)?;
            // Mirrors keep it for long, and must not keep all that was read with it.
            Ok((handle, announced, Bytes::copy_from_slice(&descriptor)))
        })?,
        events: each(events, read_event)?,
        set_out: each(set_out, |wire::SetOut { handle, to }| {
            let place = present(At("SetOut", "to"), to)?;
            let handle = reading::handle(At("SetOut", "handle"), handle)?;
            Ok((handle, reading::point(At("SetOut", "to"), place)?))
        })?,
    })
}

fn put_event(event: &FrameEvent) -> wire::FrameEvent {
    let FrameEvent { at, audience, weight, concerns, health, kind, payload } = event;
    let (within, except) = match audience {
        Audience::Within(metres) => (Some(*metres), None),
        Audience::Zone => (None, None),
        Audience::Beside(metres, except) => (Some(*metres), Some(except.0)),
    };
    let weight = match weight {
        Weight::Other => 0,
        Weight::Death => 1,
        Weight::Talk => 2,
    };
    let packet = Outgoing { kind: *kind, payload: payload.clone() };
    let (at, packet) = (Some(put_point(*at)), Some(put_packet(&packet)));
    wire::FrameEvent {
        at,
        within,
        packet,
        except,
        concerns: concerns.iter().map(|entity| entity.0).collect(),
        weight,
        health_handle: health.map(|health| health.handle.0.into()),
        health_settled: health.is_some_and(|health| health.settled),
    }
}

fn read_event(event: wire::FrameEvent) -> Result<FrameEvent, DecodeError> {
    const NAME: &str = "FrameEvent";
    let wire::FrameEvent {
        at,
        within,
        packet,
        except,
        concerns,
        weight,
        health_handle,
        health_settled,
    } = event;
    let Outgoing { kind, payload } = shared::packet(At(NAME, "packet"), packet)?;
    let audience = match (within, except) {
        (Some(metres), except) => {
            let metres = reading::finite(At(NAME, "within"), metres)?;
            except.map_or(Audience::Within(metres), |them| Audience::Beside(metres, EntityId(them)))
        }
        (None, _) => Audience::Zone,
    };
    let weight = match weight {
        1 => Weight::Death,
        2 => Weight::Talk,
        _ => Weight::Other,
    };
    let concerns = [0, 1].map(|place| EntityId(concerns.get(place).copied().unwrap_or_default()));
    let health = health_handle
        .map(|handle| reading::handle(At(NAME, "health_handle"), handle))
        .transpose()?
        .map(|handle| HealthTold { handle, settled: health_settled });
    let place = present(At(NAME, "at"), at)?;
    let at = reading::point(At(NAME, "at"), place)?;
    Ok(FrameEvent { at, audience, weight, concerns, health, kind, payload })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::geometry::Rect;
    use crate::ids::ZoneId;
    use crate::link::Wire;
    use crate::msg::GatewayMsg;
    use crate::msg::frame::{Descriptors, EncodedFrame, WireBytes};
    use crate::tick::Tick;
    use crate::world::frame::Frame;

    #[test]
    fn a_frame_is_encoded_once_for_all_its_links() {
        let bounds = Rect { min_x: 0.0, min_y: 0.0, max_x: 100.0, max_y: 100.0 };
        let frame = Arc::new(EncodedFrame {
            frame: Frame::empty(ZoneId(1), 7, Tick(3), bounds),
            descriptors: Descriptors::default(),
            entered: vec![],
            left: vec![],
            described: vec![],
            announced: vec![],
            events: vec![],
            wire: WireBytes::default(),
        });
        let first = GatewayMsg::Frame(frame.clone()).encode();
        let second = GatewayMsg::Frame(frame.clone()).encode();
        assert_eq!(first.as_ptr(), second.as_ptr());

        let mut later = EncodedFrame::clone(&frame);
        later.frame.tick = Tick(4);
        let later = GatewayMsg::Frame(Arc::new(later)).encode();
        assert_ne!(later, first, "a changed copy has bytes of its own");
    }
}
