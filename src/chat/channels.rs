//! Talk: to the world, to one player, to one's guild, to a room. The speaker gets what it said as
//! well: that is the answer.

use metrics::counter;
use tracing::debug;

use super::Chat;
use super::refusal::Refusal;
use crate::ids::PlayerId;
use crate::msg::chat::Addressee;
use crate::names::{ChatText, Name};
use crate::proto::{ChatChannel, ErrorCode};
use crate::protocol::server;
use crate::tick;

impl Chat {
    pub(super) fn on_say(
        &mut self,
        player: PlayerId,
        request: u64,
        to: Addressee,
        text: &ChatText,
    ) {
        let Some(speaker) = self.presence.get(player) else {
            debug!(%player, "somebody who is not in the world speaks");
            return;
        };
        let name = speaker.name.clone();
        debug!(%player, ?to, text = %text.as_str().escape_debug(), "says");
        let said = match to {
            Addressee::World => {
                self.say_to_world(player, &name, text);
                Ok("world")
            }
            Addressee::Player(to) => self.whisper(player, &name, &to, text).map(|()| "whisper"),
            Addressee::Guild => self.say_to_guild(player, &name, text).map(|()| "guild"),
            Addressee::Room(room) => self.say_to_room(player, &name, &room, text).map(|()| "room"),
        };
        match said {
            Ok(channel) => {
                counter!("throng_chat_messages_total", "channel" => channel).increment(1);
            }
            Err(refusal) => self.refuse(player, request, &refusal),
        }
    }

    fn say_to_world(&self, player: PlayerId, name: &Name, text: &ChatText) {
        let channel = ChatChannel::ChatWorld;
        let packet =
            server::chat_message(channel, player, name.as_str(), "", text, tick::unix_millis());
        self.courier.to_everybody(&packet);
    }

    fn whisper(
        &self,
        player: PlayerId,
        name: &Name,
        to: &Name,
        text: &ChatText,
    ) -> Result<(), Refusal> {
        const NOT_HERE: Refusal =
            Refusal::new(ErrorCode::ErrorNoSuchPlayer, "nobody of that name is in the world");
        let recipient = self.presence.named(to).ok_or(NOT_HERE)?;
        let shown = self.presence.get(recipient).ok_or(NOT_HERE)?.name.clone();
        let packet = server::chat_message(
            ChatChannel::ChatWhisper,
            player,
            name.as_str(),
            shown.as_str(),
            text,
            tick::unix_millis(),
        );
        let both = [recipient, player];
        let count = if recipient == player { 1 } else { 2 };
        self.tell_all(both.into_iter().take(count), packet);
        Ok(())
    }

    fn say_to_guild(&self, player: PlayerId, name: &Name, text: &ChatText) -> Result<(), Refusal> {
        if !self.queue.has_loaded() {
            return Err(Refusal::UNAVAILABLE);
        }
        let guild = self.guilds.of(player)?;
        let packet = server::chat_message(
            ChatChannel::ChatGuild,
            player,
            name.as_str(),
            guild.name.as_str(),
            text,
            tick::unix_millis(),
        );
        self.tell_all(guild.players(), packet);
        Ok(())
    }

    fn say_to_room(
        &self,
        player: PlayerId,
        name: &Name,
        room: &Name,
        text: &ChatText,
    ) -> Result<(), Refusal> {
        let room = self.rooms.with(room, player)?;
        let packet = server::chat_message(
            ChatChannel::ChatRoom,
            player,
            name.as_str(),
            room.name.as_str(),
            text,
            tick::unix_millis(),
        );
        self.tell_all(room.members.iter().copied(), packet);
        Ok(())
    }

    /// Who is in the world: how many, and the first by name.
    pub(super) fn on_who(&self, player: PlayerId) {
        let mut names: Vec<&str> =
            self.presence.iter().map(|(_, online)| online.name.as_str()).collect();
        names.sort_unstable();
        self.tell(player, server::who(names, self.presence.len()));
    }

    /// Words of the operators for everybody.
    pub(super) fn on_announce(&self, text: &ChatText) {
        counter!("throng_chat_messages_total", "channel" => "system").increment(1);
        self.courier.to_everybody(&server::system_message(text, tick::unix_millis()));
    }
}
