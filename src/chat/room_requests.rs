//! What players do with rooms, and who hears of it.

use super::Chat;
use super::refusal::Refusal;
use super::rooms::Room;
use crate::ids::{PlayerId, SessionRef};
use crate::msg::chat::RoomAction;
use crate::msg::{GatewayMsg, Outgoing};
use crate::names::Name;
use crate::protocol::server;

impl Chat {
    pub(super) fn on_room(&mut self, player: PlayerId, request: u64, action: &RoomAction) {
        let Some(online) = self.presence.get(player) else { return };
        let name = online.name.clone();
        let done = match action {
            RoomAction::Create(room) => self.create_room(player, room),
            RoomAction::Join(room) => self.join_room(player, name.as_str(), room),
            RoomAction::Leave(room) => self.leave_room(player, name.as_str(), room),
            RoomAction::List => {
                self.list_rooms(player);
                Ok(())
            }
            RoomAction::Members(room) => {
                let members = self.rooms.get(room).map(|room| self.members_packet(room));
                members.map(|packet| self.tell(player, packet))
            }
        };
        if let Err(refusal) = done {
            self.refuse(player, request, &refusal);
        }
    }

    fn create_room(&mut self, player: PlayerId, room: &Name) -> Result<(), Refusal> {
        if self.reserved.holds(room) {
            return Err(Refusal::RESERVED);
        }
        self.rooms.create(room, player)?;
        let packet = self.members_packet(self.rooms.get(room)?);
        self.tell(player, packet);
        self.tell_rooms(player);
        Ok(())
    }

    fn join_room(&mut self, player: PlayerId, name: &str, room: &Name) -> Result<(), Refusal> {
        let (_, new) = self.rooms.join(room, player)?;
        let room = self.rooms.get(room)?;
        self.tell(player, self.members_packet(room));
        if new {
            let others = room.members.iter().copied().filter(|member| *member != player);
            self.tell_all(others, server::room_joined(room.name.as_str(), name));
            self.tell_rooms(player);
        }
        Ok(())
    }

    fn leave_room(&mut self, player: PlayerId, name: &str, room: &Name) -> Result<(), Refusal> {
        let (room, rest) = self.rooms.leave(room, player)?;
        let everybody = rest.into_iter().chain([player]);
        self.tell_all(everybody, server::room_left(room.as_str(), name));
        self.tell_rooms(player);
        Ok(())
    }

    /// Tells a player's gateway the rooms it is in: the next chat role hears of them from there.
    pub(super) fn tell_rooms(&mut self, player: PlayerId) {
        if let Some(online) = self.presence.get(player) {
            let SessionRef { gateway, key } = online.session;
            let rooms = self.rooms.of(player);
            self.courier.keep_for(gateway, GatewayMsg::Rooms { session: key, rooms });
        }
    }

    /// The player has left the world.
    pub(super) fn leave_all_rooms(&mut self, player: PlayerId, name: &str) {
        for (room, rest) in self.rooms.leave_all(player) {
            self.tell_all(rest, server::room_left(room.as_str(), name));
        }
    }

    fn list_rooms(&self, player: PlayerId) {
        let rooms = self.rooms.iter().map(|room| (room.name.as_str(), room.members.len()));
        self.tell(player, server::room_list(rooms));
    }

    fn members_packet(&self, room: &Room) -> Outgoing {
        let online = room.members.iter().filter_map(|member| self.presence.get(*member));
        let mut names: Vec<&str> = online.map(|online| online.name.as_str()).collect();
        names.sort_unstable();
        server::room_members(room.name.as_str(), names, room.members.len())
    }
}
