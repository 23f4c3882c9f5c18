//! The ways between roles: one inbox for each role of this process, and outboxes to all roles there
//! are, here or elsewhere.
//!
//! Part of the composition. Roles hold clones of these outboxes and never learn where they lead;
//! `cluster.rs` turns them when processes come and go.

use crate::ids::{ServerId, ZoneId};
use crate::limits;
use crate::link::tcp::Hosted;
use crate::link::{Address, Directory, Inbox, Outbox, Switch, Wire, inbox};
use crate::msg::{ChatMsg, GatewayMsg, HostMsg, LoginMsg, MasterMsg, NodeMsg, ZoneMsg};
use crate::role::{Role, Roles};

/// Ways to every role.
#[derive(Clone)]
pub(super) struct Wiring {
    pub(super) loopback: bool,
    pub(super) master: Outbox<MasterMsg>,
    pub(super) login: Outbox<LoginMsg>,
    pub(super) chat: Outbox<ChatMsg>,
    pub(super) zones: Directory<ZoneId, ZoneMsg>,
    pub(super) gateways: Directory<ServerId, GatewayMsg>,
    pub(super) logins: Directory<ServerId, LoginMsg>,
    pub(super) nodes: Directory<ServerId, NodeMsg>,
    pub(super) hosts: Directory<ServerId, HostMsg>,
    /// Zones of this process alone.
    pub(super) own_zones: Directory<ZoneId, ZoneMsg>,
    pub(super) own: Own,
    pub(super) switches: Switches,
}

/// The sending ends of this process's own inboxes.
#[derive(Clone)]
pub(super) struct Own {
    pub(super) node: Outbox<NodeMsg>,
    pub(super) host: Option<Outbox<HostMsg>>,
    pub(super) master: Option<Outbox<MasterMsg>>,
    pub(super) login: Option<Outbox<LoginMsg>>,
    pub(super) chat: Option<Outbox<ChatMsg>>,
    pub(super) gateway: Option<Outbox<GatewayMsg>>,
}

/// What turns the outboxes to roles that move.
#[derive(Clone)]
pub(super) struct Switches {
    pub(super) master: Switch<MasterMsg>,
    pub(super) login: Switch<LoginMsg>,
    pub(super) chat: Switch<ChatMsg>,
}

/// The receiving ends of this process's own inboxes.
pub(super) struct Inboxes {
    pub(super) node: Inbox<NodeMsg>,
    pub(super) host: Option<Inbox<HostMsg>>,
    pub(super) master: Option<Inbox<MasterMsg>>,
    pub(super) login: Option<Inbox<LoginMsg>>,
    pub(super) chat: Option<Inbox<ChatMsg>>,
    pub(super) gateway: Option<Inbox<GatewayMsg>>,
}

impl Wiring {
    /// Lets the other processes send to the inboxes of this one.
    pub(super) fn host(&self, links: &Hosted) {
        let Own { node, host, master, login, chat, gateway } = self.own.clone();
        links.insert(Address::Node, node);
        admit(links, Address::Host, host);
        admit(links, Address::Master, master);
        admit(links, Address::Login, login);
        admit(links, Address::Chat, chat);
        admit(links, Address::Gateway, gateway);
    }
}

fn admit<M: Wire>(links: &Hosted, address: Address, outbox: Option<Outbox<M>>) {
    if let Some(outbox) = outbox {
        links.insert(address, outbox);
    }
}

/// An inbox if this process plays the role.
fn of_role<M: Wire>(
    roles: &Roles,
    role: Role,
    capacity: usize,
    loopback: bool,
) -> (Option<Outbox<M>>, Option<Inbox<M>>) {
    let pair = roles.has(role).then(|| inbox(capacity, loopback));
    pair.map_or((None, None), |(outbox, inbox)| (Some(outbox), Some(inbox)))
}

/// The inboxes of a process, with everything that leads to its own roles wired already.
pub(super) fn wire(roles: &Roles, loopback: bool, server: ServerId) -> (Wiring, Inboxes) {
    let (own_node, node) = inbox(limits::NODE_INBOX, loopback);
    let (own_host, host) = of_role(roles, Role::Zone, limits::HOST_INBOX, loopback);
    let (own_master, master) = of_role(roles, Role::Master, limits::MASTER_INBOX, loopback);
    let (own_login, login) = of_role(roles, Role::Login, limits::LOGIN_INBOX, loopback);
    let (own_chat, chat) = of_role(roles, Role::Chat, limits::CHAT_INBOX, loopback);
    let (own_gateway, gateway) = of_role(roles, Role::Gateway, limits::GATEWAY_INBOX, loopback);
    let (to_master, switch_master) = Outbox::switched();
    let (to_login, switch_login) = Outbox::switched();
    let (to_chat, switch_chat) = Outbox::switched();
    switch_master.set(own_master.clone());
    switch_login.set(own_login.clone());
    switch_chat.set(own_chat.clone());
    let wiring = Wiring {
        loopback,
        master: to_master,
        login: to_login,
        chat: to_chat,
        zones: Directory::default(),
        gateways: Directory::default(),
        logins: Directory::default(),
        nodes: Directory::default(),
        hosts: Directory::default(),
        own_zones: Directory::default(),
        own: Own {
            node: own_node,
            host: own_host,
            master: own_master,
            login: own_login,
            chat: own_chat,
            gateway: own_gateway,
        },
        switches: Switches { master: switch_master, login: switch_login, chat: switch_chat },
    };
    wiring.nodes.insert(server, wiring.own.node.clone());
    insert(&wiring.hosts, server, wiring.own.host.as_ref());
    insert(&wiring.gateways, server, wiring.own.gateway.as_ref());
    insert(&wiring.logins, server, wiring.own.login.as_ref());
    (wiring, Inboxes { node, host, master, login, chat, gateway })
}

fn insert<M>(directory: &Directory<ServerId, M>, server: ServerId, outbox: Option<&Outbox<M>>) {
    if let Some(outbox) = outbox {
        directory.insert(server, outbox.clone());
    }
}
