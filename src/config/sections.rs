//! The sections that belong to the process rather than to a role: log, ports, links; and the
//! checks of the store's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::store::StoreConfig;

/// `[log]`: what is written to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    /// For people or for machines.
    pub format: LogFormat,
    /// What to log: a level, or a list such as `info,throng::net=debug`.
    pub filter: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line.
    Human,
    /// One JSON object a line.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Human, filter: "info".into() }
    }
}

impl LogConfig {
    pub(super) fn problems(&self) -> Vec<String> {
        let fault = match EnvFilter::try_new(&self.filter) {
            Ok(_) if !self.filter.trim().is_empty() => return Vec::new(),
            Ok(_) => "it is empty".to_owned(),
            Err(error) => error.to_string(),
        };
        vec![format!(
            "log.filter must be a level (off, error, warn, info, debug, trace) or a list such as \
             'info,throng::net=debug': {fault}"
        )]
    }
}

/// `[ports]`: where the process listens, and what it tells others about that. Port 0 is any that
/// is free; the start-up lines say which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortsConfig {
    /// The address that all ports but the operators' are opened on.
    pub bind: IpAddr,
    /// The host name or address that clients and other servers are told to come to.
    pub advertise: String,
    /// Where this machine stands, for the `geographic` balancing of the master; may be empty.
    pub region: String,
    /// Packet protocol, log-in and registration only.
    pub login: u16,
    /// Packet protocol, the game.
    pub gateway: u16,
    /// Text lines.
    pub text: u16,
    /// Web client and WebSocket.
    pub http: u16,
    /// Links between processes.
    pub link: u16,
    /// Metrics, health, registry and dashboard: an address of their own, for operators alone.
    pub admin: SocketAddr,
}

impl Default for PortsConfig {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            advertise: "127.0.0.1".into(),
            region: String::new(),
            login: 8080,
            gateway: 8081,
            text: 8082,
            http: 8088,
            link: 8091,
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 8090)),
        }
    }
}

impl PortsConfig {
    pub(super) fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let ports = [
            ("login", self.login),
            ("gateway", self.gateway),
            ("text", self.text),
            ("http", self.http),
            ("link", self.link),
            ("admin", self.admin.port()),
        ];
        for (place, (key, port)) in ports.iter().enumerate() {
            let taken = ports[..place].iter().find(|(_, other)| other == port && *port != 0);
            if let Some((other, _)) = taken {
                found.push(format!("ports.{key} must be a port of its own: ports.{other} has it"));
            }
        }
        let host = &self.advertise;
        let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:_".contains(&b));
        if !plain || !(1..=253).contains(&host.len()) {
            found.push(
                "ports.advertise must be a host name or an IP address, without a port".into(),
            );
        }
        if self.region.len() > 64 || self.region.chars().any(char::is_control) {
            found.push("ports.region must be a word of at most 64 bytes, or empty".into());
        }
        found
    }
}

/// Whether the store is a file of this machine.
pub(super) fn is_sqlite(store: &StoreConfig) -> bool {
    store.url == "sqlite" || store.url.starts_with("sqlite:")
}

/// The store's address without its password.
pub fn store_address(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.into() };
    // The last `@` of the authority: a password may hold one itself.
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let shown = match authority.rsplit_once('@') {
        Some((user, host)) => {
            let name = user.split_once(':').map_or(user, |(name, _)| name);
            format!("{name}@{host}")
        }
        None => authority.into(),
    };
    // Parameters may hold a password too.
    let path = rest[end..].split_once('?').map_or(&rest[end..], |(path, _)| path);
    format!("{scheme}://{shown}{path}")
}

/// What is wrong with the values of `[store]`.
pub(super) fn store_problems(store: &StoreConfig) -> Vec<String> {
    let mut found = Vec::new();
    let postgres = store.url.starts_with("postgres://") || store.url.starts_with("postgresql://");
    if !is_sqlite(store) && !postgres {
        found.push("store.url must be sqlite, sqlite:PATH or a postgres:// address".into());
    }
    let mut range = |key: &str, value: u64, least: u64, most: u64| {
        if !(least..=most).contains(&value) {
            found.push(format!("store.{key} must be {least} to {most}"));
        }
    };
    range("connections", u64::from(store.connections), 2, 1_000);
    range("timeout_ms", store.timeout_ms, 10, 60_000);
    range("group_commit_ms", store.group_commit_ms, 0, 100);
    range("group_commit_max", store.group_commit_max as u64, 1, 4_096);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for (url, shown) in [
            ("sqlite", "sqlite"),
            ("postgres://me:se@cret@db:5432/game", "postgres://me@db:5432/game"),
            ("postgres://me@db/game?password=secret", "postgres://me@db/game"),
            ("postgres://db", "postgres://db"),
        ] {
            assert_eq!(store_address(url), shown);
        }
    }
}
