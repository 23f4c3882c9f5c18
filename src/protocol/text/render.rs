//! Packets for a client to lines: which packet becomes which, and those about the session.

use prost::Message;

use crate::geometry::Point;
use crate::proto::{self, ErrorCode, PacketType};
use crate::protocol::text::lines::{Lines, Word};
use crate::protocol::text::view::TextView;
use crate::protocol::text::{render_talk, render_world};

/// Turns one packet of the server's into its lines, each ended by `\n`; an empty string if it has
/// none. Never fails: what is no such message, and so not of our making, has no lines.
pub fn render(kind: PacketType, payload: &[u8], view: &mut TextView) -> String {
    let mut lines = Lines::default();
    // What cannot be decoded adds no line; there is nobody to tell.
    let _ = match kind as i32 {
        ..2_000 => session(kind, payload, &mut lines),
        2_000..3_000 => render_world::world(kind, payload, view, &mut lines),
        3_000..4_000 => render_talk::guild(kind, payload, &mut lines),
        _ => render_talk::talk(kind, payload, view, &mut lines),
    };
    lines.finish()
}

/// The line of a player who sets out for a place, ended by `\n`.
pub fn set_out(id: u64, to: Point) -> String {
    let mut lines = Lines::default();
    lines.push(format_args!("PLAYER_MOVE {id} {:.2} {:.2}", to.x, to.y));
    lines.finish()
}

/// What a renderer gives; the error only says that the payload was none.
pub(super) type Rendered = Result<(), prost::DecodeError>;

fn session(kind: PacketType, payload: &[u8], lines: &mut Lines) -> Rendered {
    match kind {
        PacketType::LoginResponse => {
            let it = proto::LoginResponse::decode(payload)?;
            if !it.success {
                refused(lines, it.error_code(), &it.error_message);
            }
        }
        PacketType::RegisterResponse => {
            let it = proto::RegisterResponse::decode(payload)?;
            if it.success {
                lines.push(format_args!("REGISTERED {}", it.player_id));
            } else {
                refused(lines, it.error_code(), &it.error_message);
            }
        }
        PacketType::ResumeResponse => {
            let it = proto::ResumeResponse::decode(payload)?;
            if it.success {
                lines.push(format_args!("WELCOME {}", Word(&it.session_id)));
            } else {
                refused(lines, it.error_code(), &it.error_message);
            }
        }
        PacketType::LoginQueue => {
            let it = proto::LoginQueue::decode(payload)?;
            let (place, all, wait) = (it.position, it.length, it.estimated_wait_ms);
            lines.push(format_args!("QUEUE {place} {all} {wait}"));
        }
        PacketType::LogoutResponse => lines.push(format_args!("BYE")),
        PacketType::HeartbeatResponse => lines.push(format_args!("PONG")),
        PacketType::Error => {
            let it = proto::Error::decode(payload)?;
            refused(lines, it.code(), &it.message);
        }
        PacketType::DisconnectNotice => {
            let it = proto::DisconnectNotice::decode(payload)?;
            lines.push(format_args!("BYE {}", it.message));
        }
        PacketType::Redirect => {
            let it = proto::Redirect::decode(payload)?;
            // As it is: the colons of an IPv6 address are its own.
            lines.push(format_args!("REDIRECT {} {}", it.host, it.port));
        }
        _ => {}
    }
    Ok(())
}

/// `ERROR` with the reason in words, or the code's name where there are none.
pub(super) fn refused(lines: &mut Lines, code: ErrorCode, message: &str) {
    if message.is_empty() {
        lines.push(format_args!("ERROR {}", code.as_str_name()));
    } else {
        lines.push(format_args!("ERROR {message}"));
    }
}

#[cfg(test)]
mod tests;
