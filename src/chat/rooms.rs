//! Rooms: made by somebody, open to all, gone with their last member. Nothing of them is stored.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tracing::debug;

use super::refusal::Refusal;
use crate::ids::PlayerId;
use crate::limits::{ROOM_MEMBERS_MAX, ROOMS_MAX, ROOMS_PER_PLAYER_MAX};
use crate::names::Name;
use crate::proto::ErrorCode;

/// One room.
#[derive(Debug)]
pub(super) struct Room {
    pub name: Name,
    pub members: BTreeSet<PlayerId>,
}

/// All rooms by folded name.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    rooms: BTreeMap<String, Room>,
    of_player: HashMap<PlayerId, BTreeSet<String>>,
}

const NO_SUCH_ROOM: Refusal =
    Refusal::new(ErrorCode::ErrorNoSuchRoom, "there is no room of that name");
const NOT_IN_ROOM: Refusal = Refusal::new(ErrorCode::ErrorNotInRoom, "you are not in that room");
const ROOM_EXISTS: Refusal =
    Refusal::new(ErrorCode::ErrorRoomExists, "there is a room of that name already");
const ROOM_FULL: Refusal = Refusal::new(ErrorCode::ErrorRoomFull, "the room is full");
const IN_TOO_MANY: Refusal =
    Refusal::new(ErrorCode::ErrorNotAllowed, "you are in 16 rooms already; leave one first");
const TOO_MANY: Refusal =
    Refusal::new(ErrorCode::ErrorNotAllowed, "there are too many rooms; join one");

impl Rooms {
    /// Makes a room with its first member.
    pub(super) fn create(&mut self, name: &Name, player: PlayerId) -> Result<&Room, Refusal> {
        let folded = name.folded();
        if self.rooms.contains_key(&folded) {
            return Err(ROOM_EXISTS);
        }
        if self.rooms.len() >= ROOMS_MAX {
            return Err(TOO_MANY);
        }
        self.enter(&folded, player)?;
        let room = Room { name: name.clone(), members: BTreeSet::from([player]) };
        Ok(self.rooms.entry(folded).or_insert(room))
    }

    /// Lets a player in. True: it was not in before.
    pub(super) fn join(&mut self, name: &Name, player: PlayerId) -> Result<(&Room, bool), Refusal> {
        let folded = name.folded();
        let room = self.rooms.get(&folded).ok_or(NO_SUCH_ROOM)?;
        let new = !room.members.contains(&player);
        if new {
            if room.members.len() >= ROOM_MEMBERS_MAX {
                return Err(ROOM_FULL);
            }
            self.enter(&folded, player)?;
        }
        let room = self.rooms.get_mut(&folded).ok_or(NO_SUCH_ROOM)?;
        room.members.insert(player);
        Ok((room, new))
    }

    /// Lets a player out; the room's name and who is left in it.
    pub(super) fn leave(
        &mut self,
        name: &Name,
        player: PlayerId,
    ) -> Result<(Name, Vec<PlayerId>), Refusal> {
        self.with(name, player)?;
        self.take_out(&name.folded(), player).ok_or(NOT_IN_ROOM)
    }

    /// Lets a player out of every room; each with who is left in it.
    pub(super) fn leave_all(&mut self, player: PlayerId) -> Vec<(Name, Vec<PlayerId>)> {
        let rooms = self.of_player.get(&player).cloned().unwrap_or_default();
        rooms.iter().filter_map(|folded| self.take_out(folded, player)).collect()
    }

    /// Puts a player back into rooms that it was in with another chat role; one that is not there
    /// is made. What is full by now is left out.
    pub(super) fn restore(&mut self, player: PlayerId, names: &[Name]) {
        for name in names {
            if self.join(name, player).is_err() && self.create(name, player).is_err() {
                debug!(%player, room = %name, "a room cannot be gone back to");
            }
        }
    }

    /// The rooms that a player is in.
    pub(super) fn of(&self, player: PlayerId) -> Vec<Name> {
        let folded = self.of_player.get(&player).into_iter().flatten();
        folded.filter_map(|folded| Some(self.rooms.get(folded)?.name.clone())).collect()
    }

    pub(super) fn get(&self, name: &Name) -> Result<&Room, Refusal> {
        self.rooms.get(&name.folded()).ok_or(NO_SUCH_ROOM)
    }

    /// The room, if this player is in it.
    pub(super) fn with(&self, name: &Name, player: PlayerId) -> Result<&Room, Refusal> {
        let room = self.get(name)?;
        if room.members.contains(&player) { Ok(room) } else { Err(NOT_IN_ROOM) }
    }

    /// All, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Room> {
        self.rooms.values()
    }

    pub(super) fn len(&self) -> usize {
        self.rooms.len()
    }

    fn enter(&mut self, folded: &str, player: PlayerId) -> Result<(), Refusal> {
        let rooms = self.of_player.entry(player).or_default();
        if rooms.len() >= ROOMS_PER_PLAYER_MAX {
            return Err(IN_TOO_MANY);
        }
        rooms.insert(folded.to_owned());
        Ok(())
    }

    fn take_out(&mut self, folded: &str, player: PlayerId) -> Option<(Name, Vec<PlayerId>)> {
        let room = self.rooms.get_mut(folded)?;
        if !room.members.remove(&player) {
            return None;
        }
        let left = (room.name.clone(), room.members.iter().copied().collect());
        if room.members.is_empty() {
            self.rooms.remove(folded);
        }
        if let Some(rooms) = self.of_player.get_mut(&player) {
            rooms.remove(folded);
            if rooms.is_empty() {
                self.of_player.remove(&player);
            }
        }
        Some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn a_room_ends_with_its_last_member() {
        let mut rooms = Rooms::default();
        rooms.create(&name("Tavern"), PlayerId(1)).unwrap();
        assert_eq!(rooms.create(&name("TAVERN"), PlayerId(2)).unwrap_err(), ROOM_EXISTS);
        assert!(rooms.join(&name("tavern"), PlayerId(2)).unwrap().1);
        assert!(!rooms.join(&name("tavern"), PlayerId(2)).unwrap().1);
        let (shown, rest) = rooms.leave(&name("tavern"), PlayerId(1)).unwrap();
        assert_eq!((shown.as_str(), rest), ("Tavern", vec![PlayerId(2)]));
        assert_eq!(rooms.leave(&name("tavern"), PlayerId(1)).unwrap_err(), NOT_IN_ROOM);
        assert_eq!(rooms.leave_all(PlayerId(2)).len(), 1);
        assert_eq!(rooms.join(&name("tavern"), PlayerId(1)).unwrap_err(), NO_SUCH_ROOM);
        assert!(rooms.of_player.is_empty() && rooms.len() == 0);
    }

    #[test]
    fn rooms_are_gone_back_to_in_whatever_order_their_members_come() {
        let mut rooms = Rooms::default();
        let (tavern, docks) = (name("Tavern"), name("Docks"));
        rooms.restore(PlayerId(2), &[name("Tavern"), docks.clone()]);
        rooms.restore(PlayerId(1), &[name("TAVERN")]);
        rooms.restore(PlayerId(1), &[name("TAVERN")]);
        assert_eq!(rooms.of(PlayerId(1)), [name("Tavern")], "under its first name");
        assert_eq!(rooms.of(PlayerId(2)), [docks, name("Tavern")]);
        assert_eq!(rooms.get(&tavern).unwrap().members.len(), 2);
        let many: Vec<Name> =
            (0..ROOMS_PER_PLAYER_MAX + 3).map(|number| name(&format!("room_{number}"))).collect();
        rooms.restore(PlayerId(3), &many);
        assert_eq!(rooms.of(PlayerId(3)).len(), ROOMS_PER_PLAYER_MAX);
        assert_eq!(rooms.len(), 2 + ROOMS_PER_PLAYER_MAX, "no empty room is left");
    }

    #[test]
    fn rooms_have_limits() {
        let mut rooms = Rooms::default();
        for number in 0..ROOMS_PER_PLAYER_MAX {
            rooms.create(&name(&format!("room_{number}")), PlayerId(1)).unwrap();
        }
        assert_eq!(rooms.create(&name("one_more"), PlayerId(1)).unwrap_err(), IN_TOO_MANY);
        assert_eq!(rooms.get(&name("one_more")).unwrap_err(), NO_SUCH_ROOM);
        rooms.create(&name("one_more"), PlayerId(2)).unwrap();
        for player in 3..=ROOM_MEMBERS_MAX as u64 + 1 {
            rooms.join(&name("one_more"), PlayerId(player)).unwrap();
        }
        assert_eq!(rooms.join(&name("one_more"), PlayerId(5_000)).unwrap_err(), ROOM_FULL);
    }
}
