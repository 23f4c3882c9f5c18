//! A process of the simulation: what it knows of the others, its ways to them, and the role it
//! plays. What `run/cluster.rs` does with links and directories is done here by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;

use super::counts::Counts;
use super::desk::{Answer, Requests};
use super::gateway::Gateway;
use super::host::Host;
use super::net::{End, Event};
use crate::ids::{PlayerId, ServerId, ZoneId};
use crate::link::{Address, Directory, Outbox, SendError, Switch, Wire};
use crate::master::{self, MasterConfig};
use crate::msg::master::{ServerStatus, ZoneStatus};
use crate::msg::node::Introduction;
use crate::msg::{GatewayMsg, HostMsg, LoginMsg, MasterMsg, NodeMsg, Source, ZoneMsg};
use crate::role::{Role, Roles};
use crate::run::roster::{Roster, talk};
use crate::store::Store;
use crate::world::content::Content;
use crate::zone;

/// How often what could not be sent is sent again, ms.
const AGAIN: u64 = 250;
const SECOND: u64 = 1_000;
const BEAT: u64 = 100;

/// What a process plays.
pub(super) enum Part {
    Master(Box<master::rig::Rig>, Outbox<MasterMsg>),
    Zones(Box<Host>),
    Gateway(Box<Gateway>),
}

/// What all processes are made with.
pub(super) struct Ground {
    pub content: Arc<Content>,
    pub requests: Requests,
    /// For the masters' look for bans alone.
    pub store: Store,
    pub seed: u64,
}

/// The ways to the others.
#[derive(Default)]
struct Ways {
    nodes: Directory<ServerId, NodeMsg>,
    hosts: Directory<ServerId, HostMsg>,
    gateways: Directory<ServerId, GatewayMsg>,
    zones: Directory<ZoneId, ZoneMsg>,
}

/// A process.
pub(super) struct Node {
    pub id: ServerId,
    pub role: Role,
    /// Of two masters the younger is the one.
    started_at: u64,
    roster: Roster,
    ways: Ways,
    ends: BTreeMap<ServerId, Arc<End>>,
    master: (Outbox<MasterMsg>, Switch<MasterMsg>),
    pub master_at: Option<ServerId>,
    zones_at: BTreeMap<ZoneId, ServerId>,
    untold: BTreeSet<ServerId>,
    pub part: Part,
    next_second: u64,
    next_again: u64,
    next_beat: u64,
    /// Since when, and until when, it stands still.
    pub frozen: Option<(u64, u64)>,
}

impl Node {
    pub(super) fn start(id: ServerId, role: Role, now: u64, ground: &Ground) -> Self {
        let ways = Ways::default();
        let master = Outbox::switched();
        let part = match role {
            Role::Master => {
                let peers = master::Peers {
                    gateways: ways.gateways.clone(),
                    login: Directory::<ServerId, LoginMsg>::default(),
                    nodes: ways.nodes.clone(),
                    hosts: ways.hosts.clone(),
                };
                let zones = ground.content.zones.iter().map(|zone| zone.id).collect();
                let config = MasterConfig::default();
                let store = ground.store.clone();
                let parts = master::Parts { config, zones, alone: false, peers, store };
                let (rig, outbox) = master::rig::Rig::start(parts);
                Part::Master(Box::new(rig), outbox)
            }
            Role::Zone => {
                let peers = zone::Peers {
                    gateways: ways.gateways.clone(),
                    zones: ways.zones.clone(),
                    // There is nobody who chats.
                    chat: Outbox::switched().0,
                    master: master.0.clone(),
                };
                let (content, requests) = (ground.content.clone(), ground.requests.clone());
                Part::Zones(Box::new(Host::new(id, content, peers, requests, ground.seed)))
            }
            Role::Gateway | Role::Login | Role::Chat => {
                let (zones, master) = (ways.zones.clone(), master.0.clone());
                Part::Gateway(Box::new(Gateway::new(id, zones, master, ground.requests.clone())))
            }
        };
        let mut node = Self {
            id,
            role,
            started_at: now,
            roster: Roster::new(id, &Roles::of([role]).unwrap(), now),
            ways,
            ends: BTreeMap::new(),
            master,
            master_at: None,
            zones_at: BTreeMap::new(),
            untold: BTreeSet::new(),
            part,
            next_second: now,
            next_again: now,
            next_beat: now,
            frozen: None,
        };
        node.settle(now);
        node
    }

    /// Whether the two have anything to say to each other.
    pub(super) fn talks_with(&self, other: &Node) -> bool {
        talk(&Roles::of([self.role]).unwrap(), &[other.role])
    }

    pub(super) fn host(&self) -> Option<&Host> {
        match &self.part {
            Part::Zones(host) => Some(host),
            _ => None,
        }
    }

    pub(super) fn gateway(&self) -> Option<&Gateway> {
        match &self.part {
            Part::Gateway(gateway) => Some(gateway),
            _ => None,
        }
    }

    pub(super) fn gateway_mut(&mut self) -> Option<&mut Gateway> {
        match &mut self.part {
            Part::Gateway(gateway) => Some(gateway),
            _ => None,
        }
    }

    /// Where this process believes a zone to run.
    pub(super) fn zone_at(&self, zone: ZoneId) -> Option<ServerId> {
        self.zones_at.get(&zone).copied()
    }

    pub(super) fn on_event(&mut self, event: Event, role: Role, now: u64, counts: &mut Counts) {
        match event {
            Event::Up { peer, fresh, end, .. } => self.on_up(peer, role, fresh, end),
            Event::Lost { peer, clean, .. } => self.on_lost(peer, clean, now),
            Event::Message { peer, to, body, .. } => {
                let source = Source { server: peer, roles: Roles::of([role]).unwrap() };
                self.on_message(to, body, &source, now, counts);
            }
        }
    }

    fn on_up(&mut self, peer: ServerId, role: Role, fresh: bool, end: Arc<End>) {
        self.ends.insert(peer, end.clone());
        if !self.roster.linked(peer, &[role]) && !fresh {
            return;
        }
        self.ways.nodes.insert(peer, Outbox::linked(end.clone(), Address::Node));
        match role {
            Role::Zone => self.ways.hosts.insert(peer, Outbox::linked(end, Address::Host)),
            Role::Gateway => self.ways.gateways.insert(peer, Outbox::linked(end, Address::Gateway)),
            Role::Master | Role::Chat | Role::Login => {}
        }
        self.untold.insert(peer);
        self.introduce();
    }

    fn on_lost(&mut self, peer: ServerId, clean: bool, now: u64) {
        self.ends.remove(&peer);
        self.ways.nodes.remove(peer);
        self.ways.hosts.remove(peer);
        self.ways.gateways.remove(peer);
        self.untold.remove(&peer);
        self.roster.lost(peer);
        if let Part::Master(_, own) = &self.part {
            own.send(MasterMsg::Lost { server: peer, clean }).unwrap();
        }
        self.settle(now);
    }

    fn on_message(
        &mut self,
        to: Address,
        body: Bytes,
        source: &Source,
        now: u64,
        counts: &mut Counts,
    ) {
        match (to, &mut self.part) {
            (Address::Node, _) => {
                if let NodeMsg::Introduced(introduction) = heard(body, source) {
                    self.roster.introduced(*introduction);
                    self.settle(now);
                }
            }
            (Address::Host, Part::Zones(host)) => {
                host.on_message(heard(body, source), now);
            }
            (Address::Zone(zone), Part::Zones(host)) => {
                let message = ZoneMsg::decode(body).unwrap();
                // Gateways stand in here for neighbours that have something to give.
                if !matches!(message, ZoneMsg::Credit { .. }) {
                    check_source(&message, source);
                }
                counts.uncertain +=
                    usize::from(matches!(message, ZoneMsg::NotArrived { certain: false, .. }));
                // A zone that is ending takes nothing any more.
                let sent = host.doors.get(&zone).map(|door| door.send(message));
                assert!(!matches!(sent, Some(Err(SendError::Full(_)))), "zone {zone} is full");
            }
            (Address::Gateway, Part::Gateway(gateway)) => {
                gateway.on_message(heard(body, source), now, counts);
            }
            (Address::Master, Part::Master(_, own)) => {
                own.send(heard(body, source)).unwrap();
            }
            (to, _) => panic!("a message for {to} came to {}, which plays {}", self.id, self.role),
        }
    }

    pub(super) fn on_answer(
        &mut self,
        answer: Answer,
        now: u64,
        ground: &Ground,
        counts: &mut Counts,
    ) {
        match &mut self.part {
            Part::Zones(host) => host.on_answer(answer, now, counts),
            Part::Gateway(gateway) => gateway.on_answer(answer, &ground.content),
            Part::Master(..) => {}
        }
    }

    /// Time passes in this process. `sees` as in [`Gateway::beat`].
    pub(super) fn turn(
        &mut self,
        now: u64,
        sees: impl Fn(ZoneId, PlayerId) -> Option<bool>,
        counts: &mut Counts,
    ) {
        let second = now >= self.next_second;
        if second {
            self.next_second = now + SECOND;
        }
        match &mut self.part {
            Part::Master(rig, _) => rig.turn(second),
            Part::Zones(host) => host.turn(now, counts),
            Part::Gateway(gateway) if now >= self.next_beat => {
                self.next_beat = now + BEAT;
                gateway.beat(now, sees, counts);
            }
            Part::Gateway(_) => {}
        }
        let rehoused = self.on_hosting(now);
        if now >= self.next_again {
            self.next_again = now + AGAIN;
            self.introduce();
        }
        if second || rehoused {
            self.report();
        }
    }

    /// What runs here may have changed: the own ways lead there, and the peers are told.
    fn on_hosting(&mut self, now: u64) -> bool {
        let Part::Zones(host) = &self.part else { return false };
        let zones = host.hosted();
        if zones == self.roster.hosted() {
            return false;
        }
        for hosted in &zones {
            self.zones_at.remove(&hosted.zone);
        }
        self.roster.hosts(zones);
        self.settle(now);
        self.untold = self.ways.nodes.snapshot().keys().copied().collect();
        self.introduce();
        true
    }

    fn introduce(&mut self) {
        let introduction = Introduction {
            server: self.id,
            roles: vec![self.role],
            started_at: self.started_at,
            ticket_key: None,
            zones: self.roster.hosted().to_vec(),
        };
        let nodes = self.ways.nodes.snapshot();
        self.untold.retain(|peer| {
            let message = NodeMsg::Introduced(Box::new(introduction.clone()));
            nodes.get(peer).is_some_and(|node| node.send(message).is_err())
        });
    }

    /// Turns the ways to where the roster says.
    fn settle(&mut self, now: u64) {
        let master = self.roster.chosen(Role::Master);
        if master != self.master_at {
            self.master_at = master;
            let way = match &self.part {
                Part::Master(_, own) if master == Some(self.id) => Some(own.clone()),
                _ => self.way(master, Address::Master),
            };
            self.master.1.set(way);
            if master.is_some()
                && let Part::Gateway(gateway) = &mut self.part
            {
                gateway.on_introduce(now);
            }
        }
        let places = self.roster.zones();
        let mut moved = Vec::new();
        for (zone, server) in &places {
            if self.zones_at.get(zone) == Some(server) {
                continue;
            }
            let way = match &self.part {
                Part::Zones(host) if *server == self.id => host.doors.get(zone).cloned(),
                _ => self.way(Some(*server), Address::Zone(*zone)),
            };
            if let Some(way) = way {
                self.ways.zones.insert(*zone, way);
                moved.push(*zone);
            }
        }
        for zone in self.zones_at.keys().filter(|zone| !places.contains_key(zone)) {
            self.ways.zones.remove(*zone);
        }
        self.zones_at = places;
        if let Part::Gateway(gateway) = &mut self.part {
            moved.into_iter().for_each(|zone| gateway.on_moved_zone(zone));
        }
    }

    fn way<M: Wire>(&self, server: Option<ServerId>, to: Address) -> Option<Outbox<M>> {
        let end = self.ends.get(&server?)?;
        Some(Outbox::linked(end.clone(), to))
    }

    /// Tells the master how this process is.
    fn report(&mut self) {
        let zones: Vec<ZoneStatus> = match &self.part {
            Part::Zones(host) => {
                let status = |(zone, rig): (ZoneId, &zone::rig::Rig)| ZoneStatus {
                    zone,
                    players: rig.population(),
                    origin: rig.hosted.origin,
                };
                host.running().map(status).collect()
            }
            _ => Vec::new(),
        };
        let draining = self.host().is_some_and(|host| host.stopping);
        let status = ServerStatus {
            server: self.id,
            name: format!("{}-{}", self.role, self.id),
            roles: vec![self.role],
            version: "0".into(),
            region: String::new(),
            host: "127.0.0.1".into(),
            port: u16::from(self.role == Role::Gateway),
            text_port: 0,
            players: 0,
            capacity: 100,
            cpu_percent: 0.0,
            memory: 0,
            zones,
            draining,
            link_host: "127.0.0.1".into(),
            link_port: 1,
            started_at: self.started_at,
            links: 0,
        };
        // The next one comes in a second.
        let _ = self.master.0.send(MasterMsg::Status(Box::new(status)));
    }
}

/// A message from another process, which that process may send.
fn heard<M: Wire + Debug>(body: Bytes, source: &Source) -> M {
    let message = M::decode(body).unwrap();
    check_source(&message, source);
    message
}

/// What honest processes say is never refused.
fn check_source<M: Wire + Debug>(message: &M, source: &Source) {
    let fits = message.may_come_from(source);
    assert_eq!(fits, Ok(()), "from {source:?}: {message:?}");
}
