//! The configuration of a process: its sections, where their values come from, what is allowed.
//!
//! `main` and the command line call [`load`] once, before anything else is started. Nothing in here
//! opens a socket or a database, and nothing prints: problems are values that say each key, where
//! it came from and what would be allowed.
//!
//! To add a section: a field of [`Config`], a line in its default and one in [`Config::problems`],
//! its keys in `config.toml`. A problem is a line that begins with its key's whole path and goes on
//! with "must be" and what is allowed; the value and its origin are added by [`load`].

mod key;
mod layers;
mod lines;
mod load;
mod sections;
mod world;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::admin::AdminConfig;
use crate::chat::ChatConfig;
use crate::gateway::GatewayConfig;
use crate::link::LinkConfig;
use crate::login::LoginConfig;
use crate::master::MasterConfig;
use crate::names::NamesConfig;
use crate::net::NetConfig;
use crate::role::{Role, Roles};
use crate::store::StoreConfig;
use crate::world::content::Content;
use crate::zone::ZoneConfig;

pub use layers::{Flag, Sources};
pub use load::{BadConfig, Finding, load};
pub use sections::{LogConfig, LogFormat, PortsConfig, store_address};

/// Longest name of a server, bytes.
const NAME_MAX: usize = 64;

/// Everything an operator can set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// What people call this server; empty: after its roles.
    pub name: String,
    /// The folder of what the server makes itself: database, keys, tokens.
    pub data_dir: PathBuf,
    /// `[log]`
    pub log: LogConfig,
    /// `[ports]`
    pub ports: PortsConfig,
    /// `[admin]`
    pub admin: AdminConfig,
    /// `[net]`
    pub net: NetConfig,
    /// `[login]`
    pub login: LoginConfig,
    /// `[gateway]`
    pub gateway: GatewayConfig,
    /// `[zone]`
    pub zone: ZoneConfig,
    /// `[names]`
    pub names: NamesConfig,
    /// `[chat]`
    pub chat: ChatConfig,
    /// `[master]`
    pub master: MasterConfig,
    /// `[link]`
    pub link: LinkConfig,
    /// `[store]`
    pub store: StoreConfig,
    /// `[world]`: read apart from the others, see `world.rs`.
    #[serde(skip, default = "world::standard")]
    pub world: Arc<Content>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::new(),
            data_dir: "throng-data".into(),
            log: LogConfig::default(),
            ports: PortsConfig::default(),
            admin: AdminConfig::default(),
            net: NetConfig::default(),
            login: LoginConfig::default(),
            gateway: GatewayConfig::default(),
            zone: ZoneConfig::default(),
            names: NamesConfig::default(),
            chat: ChatConfig::default(),
            master: MasterConfig::default(),
            link: LinkConfig::default(),
            store: StoreConfig::default(),
            world: world::standard(),
        }
    }
}

impl Config {
    /// Every value that is out of its range, and every combination that cannot work.
    pub fn problems(&self, roles: &Roles) -> Vec<String> {
        let mut found = self.ranges();
        found.extend(self.combinations(roles));
        found
    }

    /// Every value that is out of its range.
    fn ranges(&self) -> Vec<String> {
        let mut found = Vec::new();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
        if self.name.len() > NAME_MAX || !self.name.bytes().all(plain) {
            found.push(format!(
                "name must be at most {NAME_MAX} letters, digits, dots, - or _, or empty"
            ));
        }
        found.extend(self.log.problems());
        found.extend(self.ports.problems());
        found.extend(self.admin.problems());
        found.extend(self.net.problems());
        found.extend(self.login.problems());
        found.extend(self.gateway.problems());
        found.extend(self.zone.problems());
        found.extend(self.names.problems());
        found.extend(self.chat.problems());
        found.extend(self.master.problems());
        found.extend(self.link.problems());
        found.extend(sections::store_problems(&self.store));
        found.extend(self.world.problems().into_iter().map(|line| format!("world.{line}")));
        found
    }

    /// What only shows when several sections are seen together.
    fn combinations(&self, roles: &Roles) -> Vec<String> {
        let mut found = Vec::new();
        if !roles.is_all() && sections::is_sqlite(&self.store) {
            found.push(format!(
                "store.url must be a postgres:// address when the roles are spread over several \
                 processes (this one runs --role {roles}; SQLite serves --role all only)"
            ));
        }
        if !roles.has(Role::Master) && self.link.master.is_empty() {
            found.push(format!(
                "link.master must be where the master's links are, like [\"master.example:8091\"]: \
                 this process runs --role {roles}, without a master of its own"
            ));
        }
        found
    }

    /// What can work but is most likely a slip, to be said at start: a process that is only reached
    /// from its own machine, while its master is on another one.
    pub fn doubts(&self, roles: &Roles) -> Vec<String> {
        let here = |host: &str| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        };
        let is_here = |address: &String| address.rsplit_once(':').is_some_and(|(it, _)| here(it));
        let mut found = Vec::new();
        if self.link.master.iter().all(is_here) {
            return found;
        }
        let (link, clients) = (self.link_host(), &self.ports.advertise);
        if here(link) {
            found.push(format!(
                "other servers are told to reach this one at {link}, but the master is on another \
                 machine: set ports.advertise or link.advertise"
            ));
        }
        if roles.has(Role::Gateway) && here(clients) {
            found.push(format!(
                "clients are told to come to {clients}, but the master is on another machine: set \
                 ports.advertise"
            ));
        }
        found
    }

    /// The host by which other servers of the cluster reach this one's links.
    pub fn link_host(&self) -> &str {
        if self.link.advertise.is_empty() { &self.ports.advertise } else { &self.link.advertise }
    }

    /// The names under which the operators' port may be asked for: those that are listed for it, and
    /// those that the process is reached by.
    pub fn admin_hosts(&self) -> Vec<String> {
        let reached = [self.ports.advertise.as_str(), self.link_host()].map(str::to_owned);
        self.admin.allowed_hosts.iter().cloned().chain(reached).collect()
    }

    /// What people call a process that plays `roles`: one that plays all of them is a world. It is
    /// not called "all", which would read like everybody in `throng drain all`.
    pub fn name_for(&self, roles: &Roles) -> String {
        match self.name.as_str() {
            "" if roles.is_all() => "world".to_owned(),
            "" => roles.to_string(),
            name => name.to_owned(),
        }
    }

    /// All of it but the world as TOML, with passwords left out: for people to read.
    pub fn in_force(&self) -> String {
        let mut shown = self.clone();
        shown.store.url = store_address(&self.store.url);
        toml::to_string(&shown).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
    }
}

#[cfg(test)]
mod tests;
