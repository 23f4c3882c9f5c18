//! Which processes a demonstration has, on which ports, with which settings. Pure but for the look
//! which ports are free.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::process::Signal;

use super::member::{Member, Probe};
use crate::config::PortsConfig;
use crate::role::Role;

/// Where ports are looked for that are not the default ones: above those, and below the ones that
/// the system gives to outgoing connections, which may take them while a process is away.
const OTHER_PORTS: u16 = 8_100;

/// The ports of one process; 0 where its role opens none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) login: u16,
    pub(super) gateway: u16,
    pub(super) text: u16,
    pub(super) http: u16,
    pub(super) link: u16,
    pub(super) admin: u16,
}

/// One process of the cluster.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) ports: Ports,
}

/// What all servers are told.
pub(super) struct Common {
    /// This program.
    pub(super) program: PathBuf,
    /// Flags to pass on, such as `--config`.
    pub(super) flags: Vec<String>,
    pub(super) folder: PathBuf,
    pub(super) secret: PathBuf,
    /// The database's address.
    pub(super) store: String,
    /// The master's port for links.
    pub(super) master: u16,
}

/// Lays out a cluster. Without a base the first of each kind has its default port where that is
/// free; with one, ports are the free ones from there on.
///
/// # Errors
/// If no free ports are found.
pub(super) fn servers(zones: u32, gateways: u32, base: Option<u16>) -> anyhow::Result<Vec<Server>> {
    let mut free = FreePorts { next: base.unwrap_or(OTHER_PORTS), held: Vec::new() };
    let wishes = if base.is_none() { PortsConfig::default() } else { no_wishes() };
    let kinds = [(Role::Master, 1), (Role::Chat, 1), (Role::Login, 1)];
    let many = [(Role::Zone, zones), (Role::Gateway, gateways)];
    let mut servers = Vec::new();
    for (role, count) in kinds.into_iter().chain(many) {
        for number in 1..=count {
            let name = match role {
                Role::Zone | Role::Gateway => format!("{role}-{number}"),
                _ => role.to_string(),
            };
            // The defaults are for the first of its kind; a process without a wish gets any.
            let wishes = if number == 1 { wishes.clone() } else { no_wishes() };
            servers.push(Server { name, role, ports: free.for_role(role, &wishes)? });
        }
    }
    Ok(servers)
}

fn no_wishes() -> PortsConfig {
    let admin = (Ipv4Addr::LOCALHOST, 0).into();
    PortsConfig { login: 0, gateway: 0, text: 0, http: 0, link: 0, admin, ..PortsConfig::default() }
}

/// Ports that nobody listens on. Held until all are chosen, so that none is chosen twice.
struct FreePorts {
    next: u16,
    held: Vec<TcpListener>,
}

impl FreePorts {
    fn for_role(&mut self, role: Role, wishes: &PortsConfig) -> anyhow::Result<Ports> {
        let mut ports = Ports::default();
        let master = role == Role::Master;
        ports.admin = self.take(if master { wishes.admin.port() } else { 0 })?;
        ports.link = self.take(if master { wishes.link } else { 0 })?;
        match role {
            Role::Login => ports.login = self.take(wishes.login)?,
            Role::Gateway => {
                ports.gateway = self.take(wishes.gateway)?;
                ports.text = self.take(wishes.text)?;
                ports.http = self.take(wishes.http)?;
            }
            Role::Master | Role::Zone | Role::Chat => {}
        }
        Ok(ports)
    }

    /// The wished port if it is free (0: no wish), else the next one that is.
    fn take(&mut self, wish: u16) -> anyhow::Result<u16> {
        if wish != 0 && self.hold(wish) {
            return Ok(wish);
        }
        loop {
            let port = self.next;
            self.next = port.checked_add(1).context("there are not enough free ports")?;
            if self.hold(port) {
                return Ok(port);
            }
        }
    }

    fn hold(&mut self, port: u16) -> bool {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => {
                self.held.push(listener);
                true
            }
            Err(_) => false,
        }
    }
}

impl Server {
    /// Where its process keeps what it makes.
    pub(super) fn data(&self, folder: &Path) -> PathBuf {
        folder.join(&self.name)
    }

    /// An address on its operators' port.
    pub(super) fn admin(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.admin)
    }

    /// The process. Its settings are in its environment, for an address of a database may hold a
    /// password, and arguments are for everybody on the machine to read.
    pub(super) fn member(&self, common: &Common) -> Member {
        let Ports { login, gateway, text, http, link, admin } = self.ports;
        let mut settings = vec![
            ("NAME", self.name.clone()),
            ("DATA_DIR", self.data(&common.folder).display().to_string()),
            ("PORTS__BIND", Ipv4Addr::LOCALHOST.to_string()),
            ("PORTS__ADVERTISE", Ipv4Addr::LOCALHOST.to_string()),
            ("PORTS__LOGIN", login.to_string()),
            ("PORTS__GATEWAY", gateway.to_string()),
            ("PORTS__TEXT", text.to_string()),
            ("PORTS__HTTP", http.to_string()),
            ("PORTS__LINK", link.to_string()),
            ("PORTS__ADMIN", format!("127.0.0.1:{admin}")),
            ("LINK__SECRET_FILE", common.secret.display().to_string()),
            ("STORE__URL", common.store.clone()),
        ];
        if self.role != Role::Master {
            settings.push(("LINK__MASTER", format!("[\"127.0.0.1:{}\"]", common.master)));
        }
        let name = |(key, value): (&str, String)| (format!("THRONG_{key}"), value);
        let role = ["--role".to_owned(), self.role.to_string()];
        Member {
            name: self.name.as_str().into(),
            program: common.program.clone(),
            arguments: common.flags.iter().cloned().chain(role).collect(),
            environment: settings.into_iter().map(name).collect(),
            account: None,
            end: Signal::TERM,
            ready: Probe::Http(self.admin("/readyz")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all_ports(servers: &[Server]) -> Vec<u16> {
        let every = servers.iter().flat_map(|server| {
            let Ports { login, gateway, text, http, link, admin } = server.ports;
            [login, gateway, text, http, link, admin]
        });
        every.filter(|port| *port != 0).collect()
    }

    #[test]
    fn every_process_has_its_own_ports_and_those_of_its_role_only() {
        let servers = servers(3, 2, None).unwrap();
        let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
        let wanted =
            ["master", "chat", "login", "zone-1", "zone-2", "zone-3", "gateway-1", "gateway-2"];
        assert_eq!(names, wanted);
        let ports = all_ports(&servers);
        // Two of each process, one more of the login server's, three more of a gateway's.
        assert_eq!(ports.len(), 2 * 8 + 1 + 2 * 3);
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len(), "{ports:?}");
        let zone = servers[3].ports;
        assert_eq!((zone.login, zone.gateway, zone.text, zone.http), (0, 0, 0, 0));
    }

    #[test]
    fn a_taken_port_is_passed_over() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = taken.local_addr().unwrap().port();
        let Ok(servers) = servers(1, 1, Some(base)) else {
            assert!(base > 60_000, "the ports from {base} on are not all taken");
            return;
        };
        let ports = all_ports(&servers);
        assert!(ports.iter().all(|port| *port > base), "{ports:?} from {base}");
    }

    #[test]
    fn no_address_of_a_database_stands_in_the_arguments() {
        let server = &servers(1, 1, None).unwrap()[0];
        let common = Common {
            program: "throng".into(),
            flags: vec!["--config".into(), "x.toml".into()],
            folder: "/f".into(),
            secret: "/f/cluster.secret".into(),
            store: "postgres://me:secret@db/x".into(),
            master: 8091,
        };
        let member = server.member(&common);
        assert_eq!(member.arguments, ["--config", "x.toml", "--role", "master"]);
        assert!(
            member.environment.contains(&(
                "THRONG_STORE__URL".to_owned(),
                "postgres://me:secret@db/x".to_owned()
            ))
        );
    }
}
