//! The `[link]` section of the configuration: how messages travel between roles.
//!
//! Read once at start by the composition and given to `tcp/`; nothing here changes later.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Links between processes: `[link]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkConfig {
    /// Send even messages within this process through their wire form: slower, finds faults.
    pub loopback: bool,
    /// Where the master's links are, `host:port` each; empty: this process is the whole cluster.
    pub master: Vec<String>,
    /// The host name or address that other servers of the cluster reach this one by; empty:
    /// `ports.advertise`.
    pub advertise: String,
    /// The file with the cluster's secret; none: `cluster.secret` in the data folder.
    pub secret_file: Option<PathBuf>,
    /// Milliseconds between two heartbeats; a link that hears nothing for three is cut.
    /// 50 to 60,000.
    pub heartbeat_ms: u64,
    /// Seconds after its last sign of life when another process counts as dead. 1 to 3,600, and
    /// at least three heartbeats.
    pub dead_seconds: u64,
    /// Messages kept for one other process until it has acknowledged them. 64 to 1,000,000.
    pub queue_messages: usize,
    /// Bytes of them. 65,536 to 1,073,741,824.
    pub queue_bytes: usize,
    /// TLS between processes; without it they speak plainly.
    pub tls: LinkTls,
}

/// Where the certificates of links are: `[link.tls]`. All three or none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkTls {
    /// This process's certificate chain, PEM, its own first.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The authorities, PEM, that the others' certificates must come from.
    pub ca: Option<PathBuf>,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            loopback: false,
            master: Vec::new(),
            advertise: String::new(),
            secret_file: None,
            heartbeat_ms: 1_000,
            dead_seconds: 6,
            queue_messages: 65_536,
            queue_bytes: 32 * 1_024 * 1_024,
            tls: LinkTls::default(),
        }
    }
}

impl LinkConfig {
    /// What is wrong with the values, each with its key and what is allowed.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        for address in self.master.iter().filter(|address| host_and_port(address).is_none()) {
            found.push(format!("link.master must be like master.example:8091, not {address:?}"));
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".-:_".contains(&b);
        if self.advertise.len() > 253 || !self.advertise.bytes().all(plain) {
            found.push(
                "link.advertise must be a host name or an IP address, without a port, or empty"
                    .into(),
            );
        }
        let mut range = |key: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                found.push(format!("link.{key} must be {least} to {most}"));
            }
        };
        range("heartbeat_ms", self.heartbeat_ms, 50, 60_000);
        let least = self.heartbeat_ms.min(60_000) * 3;
        range("dead_seconds", self.dead_seconds, least.div_ceil(1_000), 3_600);
        range("queue_messages", self.queue_messages as u64, 64, 1_000_000);
        range("queue_bytes", self.queue_bytes as u64, 65_536, 1_073_741_824);
        let LinkTls { certificate, key, ca } = &self.tls;
        let given = [certificate, key, ca].into_iter().flatten().count();
        if given != 0 && given != 3 {
            found.push(
                "link.tls.certificate must be given together with link.tls.key and link.tls.ca, \
                 or none of them"
                    .into(),
            );
        }
        found
    }
}

/// The parts of `host:port`; an IPv6 address stands in brackets.
pub(super) fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    let (host, good) = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => (inner, inner.parse::<std::net::Ipv6Addr>().is_ok()),
        None => (host, !host.is_empty() && host.bytes().all(plain)),
    };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    good.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_allowed_and_faults_are_named() {
        assert_eq!(LinkConfig::default().problems(), [""; 0]);
        let config = LinkConfig {
            master: vec!["here:8091".into(), "here".into()],
            advertise: "a b".into(),
            heartbeat_ms: 3_000,
            tls: LinkTls { key: Some("key.pem".into()), ..LinkTls::default() },
            ..LinkConfig::default()
        };
        let problems = config.problems().join("\n");
        assert_eq!(problems.lines().count(), 4, "{problems}");
        for part in ["not \"here\"", "link.advertise", "dead_seconds must be 9 to", "link.tls.ca"] {
            assert!(problems.contains(part), "{part} is missing in {problems}");
        }
    }

    #[test]
    fn addresses_are_taken_apart() {
        assert_eq!(host_and_port("master.example:8091"), Some(("master.example", 8091)));
        assert_eq!(host_and_port("[::1]:80"), Some(("::1", 80)));
        assert_eq!(host_and_port("10.0.0.1:80"), Some(("10.0.0.1", 80)));
        for wrong in
            ["", ":", ":80", "here", "here:0", "here:70000", "::1:80", "[here]:80", "a/b:1"]
        {
            assert_eq!(host_and_port(wrong), None, "{wrong}");
        }
    }
}
