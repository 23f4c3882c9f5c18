//! Who plays what in the cluster, as this process knows it: its peers, what they said of
//! themselves, and what follows from that: which of two masters or chats is the one, and where each
//! zone runs.
//!
//! Kept by `cluster.rs`. Pure: it is told what happens and only answers.

use std::collections::BTreeMap;

use crate::ids::{ServerId, ZoneId};
use crate::msg::node::{HostedZone, Introduction};
use crate::role::{Role, Roles};

/// A process at the other end of a link, or this one.
#[derive(Debug, Clone)]
struct Member {
    roles: Vec<Role>,
    /// Unix ms; 0 until it has introduced itself.
    started_at: u64,
    introduced: bool,
    zones: Vec<HostedZone>,
}

/// All processes that this one is linked with, and itself.
#[derive(Debug)]
pub(crate) struct Roster {
    own: ServerId,
    members: BTreeMap<ServerId, Member>,
}

impl Roster {
    /// This process alone.
    pub(crate) fn new(own: ServerId, roles: &Roles, started_at: u64) -> Self {
        let roles = roles.iter().collect();
        let member = Member { roles, started_at, introduced: true, zones: Vec::new() };
        Self { own, members: BTreeMap::from([(own, member)]) }
    }

    /// A link to a process is up. False: it was known before.
    pub(crate) fn linked(&mut self, server: ServerId, roles: &[Role]) -> bool {
        let known = self.members.contains_key(&server);
        if !known {
            let (roles, zones) = (roles.to_vec(), Vec::new());
            let member = Member { roles, started_at: 0, introduced: false, zones };
            self.members.insert(server, member);
        }
        !known
    }

    /// A process has said what it plays and hosts. False: it is not linked, or is this one itself,
    /// and is not heard.
    pub(crate) fn introduced(&mut self, introduction: Introduction) -> bool {
        let Introduction { server, roles, started_at, ticket_key: _, zones } = introduction;
        let member = self.members.get_mut(&server).filter(|_| server != self.own);
        let known = member.is_some();
        if let Some(member) = member {
            *member = Member { roles, started_at, introduced: true, zones };
        }
        known
    }

    /// A process is gone.
    pub(crate) fn lost(&mut self, server: ServerId) {
        if server != self.own {
            self.members.remove(&server);
        }
    }

    /// What this process hosts now.
    pub(crate) fn hosts(&mut self, zones: Vec<HostedZone>) {
        if let Some(own) = self.members.get_mut(&self.own) {
            own.zones = zones;
        }
    }

    /// See [`Self::hosts`].
    pub(crate) fn hosted(&self) -> &[HostedZone] {
        self.members.get(&self.own).map_or(&[], |own| &own.zones)
    }

    /// Who is the one for a role that one process plays at a time: the youngest, since an older one
    /// is being replaced, or was away and does not know it yet.
    pub(crate) fn chosen(&self, role: Role) -> Option<ServerId> {
        let of_role = self.players(role);
        of_role.max_by_key(|(server, member)| (member.started_at, **server)).map(|(s, _)| *s)
    }

    /// All that play a role.
    pub(crate) fn all(&self, role: Role) -> Vec<ServerId> {
        self.players(role).map(|(server, _)| *server).collect()
    }

    fn players(&self, role: Role) -> impl Iterator<Item = (&ServerId, &Member)> {
        self.members.iter().filter(move |(_, m)| m.introduced && m.roles.contains(&role))
    }

    /// Where each zone runs: of several incarnations the newest counts.
    pub(crate) fn zones(&self) -> BTreeMap<ZoneId, ServerId> {
        let mut newest: BTreeMap<ZoneId, (u64, ServerId)> = BTreeMap::new();
        for (server, member) in &self.members {
            for HostedZone { zone, origin } in &member.zones {
                let place = newest.entry(*zone).or_insert((*origin, *server));
                if *origin > place.0 {
                    *place = (*origin, *server);
                }
            }
        }
        newest.into_iter().map(|(zone, (_, server))| (zone, server)).collect()
    }
}

/// Whether processes that play these roles have anything to say to each other.
pub(crate) fn talk(ours: &Roles, theirs: &[Role]) -> bool {
    let pair = |a: Role, b: Role| match (a, b) {
        (Role::Master, other) | (other, Role::Master) => other != Role::Master,
        (Role::Zone, Role::Zone) => true,
        (Role::Gateway, Role::Zone | Role::Chat | Role::Login)
        | (Role::Zone | Role::Chat | Role::Login, Role::Gateway)
        | (Role::Zone, Role::Chat)
        | (Role::Chat, Role::Zone) => true,
        (Role::Gateway, Role::Gateway)
        | (Role::Chat | Role::Login, Role::Chat | Role::Login)
        | (Role::Zone, Role::Login)
        | (Role::Login, Role::Zone) => false,
    };
    ours.iter().any(|ours| theirs.iter().any(|theirs| pair(ours, *theirs)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn introduction(server: u64, roles: &[Role], started_at: u64) -> Introduction {
        Introduction {
            server: ServerId(server),
            roles: roles.to_vec(),
            started_at,
            ticket_key: None,
            zones: Vec::new(),
        }
    }

    fn roster(roles: &str) -> Roster {
        Roster::new(ServerId(1), &roles.parse().unwrap(), 100)
    }

    #[test]
    fn the_youngest_of_two_is_the_one_and_the_older_takes_over_again() {
        let mut roster = roster("chat");
        assert_eq!(roster.chosen(Role::Chat), Some(ServerId(1)));
        assert!(roster.linked(ServerId(2), &[Role::Chat]));
        assert!(!roster.linked(ServerId(2), &[Role::Chat]));
        assert_eq!(roster.chosen(Role::Chat), Some(ServerId(1)), "it has not introduced itself");
        assert!(roster.introduced(introduction(2, &[Role::Chat], 200)));
        assert_eq!(roster.chosen(Role::Chat), Some(ServerId(2)));
        roster.lost(ServerId(2));
        assert_eq!(roster.chosen(Role::Chat), Some(ServerId(1)));
        assert_eq!(roster.chosen(Role::Master), None);
    }

    #[test]
    fn a_zone_is_where_its_newest_incarnation_runs() {
        let mut roster = roster("zone");
        let zone = |origin| HostedZone { zone: ZoneId(4), origin };
        roster.hosts(vec![zone(7)]);
        roster.linked(ServerId(2), &[Role::Zone]);
        let told = introduction(2, &[Role::Zone], 1);
        roster.introduced(Introduction { zones: vec![zone(6)], ..told.clone() });
        assert_eq!(roster.zones(), BTreeMap::from([(ZoneId(4), ServerId(1))]));
        roster.introduced(Introduction { zones: vec![zone(8)], ..told });
        assert_eq!(roster.zones(), BTreeMap::from([(ZoneId(4), ServerId(2))]));
        roster.lost(ServerId(2));
        roster.hosts(Vec::new());
        assert!(roster.zones().is_empty());
    }

    #[test]
    fn strangers_and_forgeries_change_nothing() {
        let mut roster = roster("chat");
        assert!(!roster.introduced(introduction(9, &[Role::Chat], 999)));
        assert!(!roster.introduced(introduction(1, &[Role::Master], 999)));
        roster.lost(ServerId(1));
        assert_eq!(roster.chosen(Role::Chat), Some(ServerId(1)));
        assert_eq!(roster.chosen(Role::Master), None);
    }

    #[test]
    fn only_those_link_who_have_something_to_say() {
        let talk = |ours: &str, theirs: &str| {
            let theirs: Vec<Role> = theirs.parse::<Roles>().unwrap().iter().collect();
            super::talk(&ours.parse().unwrap(), &theirs)
        };
        for role in ["login", "gateway", "zone", "chat"] {
            assert!(talk("master", role) && talk(role, "master"), "{role}");
            assert!(talk("gateway", role) || role == "gateway", "{role}");
        }
        assert!(talk("zone", "zone") && talk("chat", "zone") && talk("chat,login", "zone"));
        for (a, b) in [("login", "zone"), ("login", "chat"), ("gateway", "gateway")] {
            assert!(!talk(a, b) && !talk(b, a), "{a} {b}");
        }
    }
}
