//! The line protocol: the same commands and packets as lines of words, for `nc`, debugging and
//! bots in any language.
//!
//! A gateway hands each line to [`parse`] and each packet for a text session to [`render`]. It is
//! a codec and nothing more: sessions, checks and rates are those of the packet port. Whatever
//! players typed, no line that comes out holds a control character.

mod help;
mod lines;
mod parse;
mod render;
mod render_talk;
mod render_world;
mod view;

use crate::protocol::client::ClientPacket;

pub use help::HELP;
pub use lines::LINE_OUT_MAX;
pub use parse::parse;
pub use render::{render, set_out};
pub use view::TextView;

/// The answer to [`TextCommand::Ping`].
pub const PONG: &str = "PONG\n";
/// The answer to [`TextCommand::Quit`].
pub const BYE: &str = "BYE\n";
/// The answer to [`TextCommand::Route`] when there is nowhere to go.
pub const NO_SERVERS: &str = "ERROR No available servers\n";

/// What a line asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum TextCommand {
    /// The same as a packet would.
    Packet(ClientPacket),
    /// A server to go to; only as the first line.
    Route(RouteKind),
    /// [`PONG`].
    Ping,
    /// [`HELP`].
    Help,
    /// [`BYE`], and the end.
    Quit,
    /// Who is in the world.
    Who,
}

/// The kinds of server that a first line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    /// `LOGIN`.
    Login,
    /// `WORLD`.
    World,
    /// `ZONE`.
    Zone,
    /// `CHAT`.
    Chat,
}
