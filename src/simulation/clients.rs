//! Those who play in a simulation: they come, walk to and fro over the borders, use and pick up
//! things, earn gold, leave, and come again over another gateway.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::gateway::Stage;
use super::{Part, Process, Simulation};
use crate::ids::{EntityId, ItemId, PlayerId, ServerId, SessionKey, SessionRef, TicketUse, ZoneId};
use crate::msg::ZoneMsg;
use crate::role::Role;
use crate::world::command::{Action, Credit, Gift};

/// Things that lie in each zone, and some of those that were dropped there.
const THINGS: u32 = 9;
/// Credits of one player: each is another power of 4, so that gold tells which were given, and
/// whether one was given twice.
const CREDITS: u32 = 31;
/// How many things are dropped at once; two drops of one number are taken for each other.
pub(super) const DROPPED: std::ops::RangeInclusive<u32> = 2..=40;

/// One of them.
#[derive(Debug)]
pub(super) struct Client {
    pub player: PlayerId,
    /// Whether it wants to play.
    pub wants_in: bool,
    session: Option<(ServerId, SessionKey)>,
    tickets: u128,
    next: u64,
    /// Credits sent so far.
    pub credits: u32,
    /// Uses of an item asked so far.
    pub uses: usize,
    /// Things dropped, and destroyed, likewise.
    pub discards: usize,
    /// Things and gold given, likewise.
    pub gifts: usize,
}

impl Client {
    pub(super) fn new(player: PlayerId) -> Self {
        let (session, tickets, next, credits) = (None, 0, 0, 0);
        let (uses, discards, gifts) = (0, 0, 0);
        let wants_in = false;
        Self { player, wants_in, session, tickets, next, credits, uses, discards, gifts }
    }

    /// All gold it may have.
    pub(super) fn earned(&self) -> u64 {
        (0..self.credits).map(|number| 1 << (2 * number)).sum()
    }

    fn ticket(&mut self) -> TicketUse {
        self.tickets += 1;
        let id = uuid::Uuid::from_u128(u128::from(self.player.0) << 64 | self.tickets);
        TicketUse { id, expires_at: u64::MAX >> 1 }
    }
}

impl Simulation {
    pub(super) fn run_clients(&mut self) {
        for place in 0..self.clients.len() {
            if self.clients[place].next <= self.now {
                self.clients[place].next = self.now + self.chance.random_range(50..400);
                self.run_client(place);
            }
        }
    }

    fn stage_of(&self, (gateway, key): (ServerId, SessionKey)) -> Option<(Stage, Option<ZoneId>)> {
        let session = self.node(gateway)?.gateway()?.sessions.get(&key)?;
        Some((session.stage, session.zone))
    }

    fn run_client(&mut self, place: usize) {
        let session = self.clients[place].session;
        let stage = session.and_then(|session| self.stage_of(session));
        match (session, stage) {
            (Some(session), _) if !self.clients[place].wants_in => {
                self.clients[place].session = None;
                self.at_gateway(session.0, |gateway, _| gateway.release(session.1));
            }
            (_, None | Some((Stage::Displaced { .. }, _))) if self.clients[place].wants_in => {
                self.log_in(place, session.is_some());
            }
            (Some(session), Some((Stage::Attached, Some(zone)))) if self.playing => {
                self.act(place, session, zone);
            }
            _ => {}
        }
    }

    fn at_gateway(&mut self, id: ServerId, act: impl FnOnce(&mut super::gateway::Gateway, u64)) {
        if let Some(Process::Runs(node)) = self.processes.get_mut(&id)
            && node.frozen.is_none()
            && let Some(gateway) = node.gateway_mut()
        {
            act(gateway, self.now);
        }
    }

    /// Comes in over some gateway, with a ticket or, if it played before, as one who resumes.
    fn log_in(&mut self, place: usize, again: bool) {
        let awake = self.nodes().filter(|n| n.role == Role::Gateway && n.frozen.is_none());
        let gateways: Vec<ServerId> = awake.map(|node| node.id).collect();
        let Some(gateway) = gateways.choose(&mut self.chance).copied() else { return };
        let resumes = again && self.chance.random_bool(0.5);
        let client = &mut self.clients[place];
        let (player, ticket) = (client.player, (!resumes).then(|| client.ticket()));
        let mut key = None;
        self.at_gateway(gateway, |gateway, now| key = Some(gateway.begin(player, ticket, now)));
        self.counts.sessions += 1;
        self.clients[place].session = key.map(|key| (gateway, key));
        self.note(|| format!("player {player} comes over gateway {gateway}"));
    }

    fn act(&mut self, place: usize, session: (ServerId, SessionKey), zone: ZoneId) {
        match self.chance.random_range(0..100) {
            0..45 => {
                let action = walk(&mut self.chance);
                self.at_gateway(session.0, |gateway, _| gateway.act(session.1, action));
            }
            45..58 => self.use_something(place, session),
            58..63 => self.discard(place, session),
            63..70 => self.give(place, session),
            70..80 => {
                let thing = EntityId::of_zone(zone, self.chance.random_range(1..=THINGS));
                let action = Action::PickUp(thing);
                self.at_gateway(session.0, |gateway, _| gateway.act(session.1, action));
            }
            80..92 => self.earn(place, session, zone),
            92..95 => {
                self.clients[place].session = None;
                self.at_gateway(session.0, |gateway, _| gateway.release(session.1));
            }
            95..98 => self.log_in(place, true),
            _ => {}
        }
    }

    fn potion_of(&self, place: usize) -> Option<ItemId> {
        let held = &self.model.rows[&self.clients[place].player].state.inventory;
        held.iter().find(|stack| &*stack.kind == "potion").map(|stack| stack.id)
    }

    fn use_something(&mut self, place: usize, session: (ServerId, SessionKey)) {
        let Some(potion) = self.potion_of(place) else { return };
        self.clients[place].uses += 1;
        let action = Action::UseItem(potion);
        self.at_gateway(session.0, |gateway, _| gateway.act(session.1, action));
    }

    /// Drops some potions or does away with more: how many tells which it was.
    fn discard(&mut self, place: usize, session: (ServerId, SessionKey)) {
        let Some(item) = self.potion_of(place) else { return };
        self.clients[place].discards += 1;
        let action = if self.chance.random_bool(0.7) {
            Action::Drop { item, quantity: self.chance.random_range(DROPPED) }
        } else {
            Action::Destroy { item, quantity: *DROPPED.end() + 1 }
        };
        self.at_gateway(session.0, |gateway, _| gateway.act(session.1, action));
    }

    /// Gives somebody, who may be anywhere, some potions or gold.
    fn give(&mut self, place: usize, session: (ServerId, SessionKey)) {
        let other = self.chance.random_range(0..self.clients.len());
        let to = EntityId::from(self.clients[other].player);
        let gift = match self.potion_of(place) {
            Some(item) if self.chance.random_bool(0.7) => {
                Gift::Items { item, quantity: self.chance.random_range(1..9) }
            }
            _ => Gift::Gold(self.chance.random_range(1..9)),
        };
        self.clients[place].gifts += 1;
        let action = Action::Give { to, gift };
        self.at_gateway(session.0, |gateway, _| gateway.act(session.1, action));
    }

    /// A neighbour's word of a kill.
    fn earn(&mut self, place: usize, session: (ServerId, SessionKey), zone: ZoneId) {
        let client = &mut self.clients[place];
        if client.credits >= CREDITS {
            return;
        }
        let gold = 1 << (2 * client.credits);
        client.credits += 1;
        let player = client.player;
        let credit = Credit { experience: 1, gold, npc: None };
        self.at_gateway(session.0, |gateway, _| {
            gateway.tell_zone(zone, ZoneMsg::Credit { player, credit });
        });
    }

    /// What is wrong with a client that wants to play, when all is calm.
    pub(super) fn unrest_of(&self, client: &Client) -> Option<String> {
        let player = client.player;
        let Some((gateway, key)) = client.session else { return Some(format!("{player} is out")) };
        let session = SessionRef { gateway, key };
        let Some((Stage::Attached, Some(zone))) = self.stage_of((gateway, key)) else {
            let stage = self.stage_of((gateway, key));
            return Some(format!("player {player} does not play through {session:?}: {stage:?}"));
        };
        let sessions = self.nodes().filter_map(|node| node.gateway()).flat_map(|gateway| {
            gateway.sessions.values().filter(|session| {
                session.player == player && matches!(session.stage, Stage::Attached)
            })
        });
        if sessions.count() != 1 {
            return Some(format!("player {player} plays through several sessions"));
        }
        let row = &self.model.rows[&player];
        let places: Vec<_> = self
            .nodes()
            .flat_map(|node| {
                node.host()
                    .into_iter()
                    .flat_map(move |host| host.running().map(move |r| (node.id, r)))
            })
            .filter(|(_, (_, rig))| rig.shows(player))
            .map(|(server, (zone, rig))| {
                (server, zone, rig.session(player), rig.state(player).map(|s| s.epoch))
            })
            .collect();
        let should = (row.owner?, zone, Some(session), Some(row.state.epoch));
        if places != [should] {
            return Some(format!("player {player} should be {should:?}, but is {places:?}"));
        }
        let owner = self.ground.content.zone_at(self.place_of(should.0, zone, player)?);
        if owner.map(|zone| zone.id) != Some(zone) {
            return Some(format!("player {player} stands beyond the border of zone {zone}"));
        }
        // Where it stands is a hint that may be old; whose it is must be right.
        let masters = self.nodes().filter_map(|node| match &node.part {
            Part::Master(master, _) => Some(master.present(player).map(|(session, _)| session)),
            _ => None,
        });
        let known: Vec<_> = masters.collect();
        (known != [Some(session)])
            .then(|| format!("the master believes player {player} to be {known:?}'s"))
    }

    fn place_of(
        &self,
        server: ServerId,
        zone: ZoneId,
        player: PlayerId,
    ) -> Option<crate::geometry::Point> {
        Some(self.node(server)?.host()?.rig(zone)?.state(player)?.pose.at)
    }
}

/// Somewhere near the middle, where the borders are.
fn walk(chance: &mut ChaCha8Rng) -> Action {
    let mut side = || chance.random_range(-25.0..25.0);
    Action::MoveTo { x: side(), y: side() }
}
