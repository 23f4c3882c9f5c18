//! What the master's answers say, as far as these commands show it. Fields that an older master does
//! not know have defaults, those of a newer one are left out.

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The answer to `/cluster`.
#[derive(Debug, Deserialize)]
pub(super) struct Cluster {
    pub(super) version: String,
    pub(super) uptime_seconds: u64,
    #[serde(default)]
    pub(super) settling: bool,
    pub(super) balancing: String,
    pub(super) players: u64,
    pub(super) servers: Vec<Server>,
    pub(super) zones: Vec<Zone>,
}

/// One server.
#[derive(Debug, Deserialize)]
pub(super) struct Server {
    pub(super) server_id: u64,
    pub(super) name: String,
    #[serde(default)]
    pub(super) source: String,
    pub(super) does: Vec<String>,
    pub(super) version: String,
    pub(super) host: String,
    pub(super) port: u16,
    #[serde(default)]
    pub(super) link_host: String,
    #[serde(default)]
    pub(super) link_port: u16,
    #[serde(default)]
    pub(super) links: u32,
    #[serde(default)]
    pub(super) started_at: Option<u64>,
    pub(super) players: u32,
    pub(super) capacity: u32,
    pub(super) load: u8,
    pub(super) state: String,
    pub(super) cpu_percent: Option<f32>,
    pub(super) memory_bytes: Option<u64>,
    #[serde(default)]
    pub(super) zones: Vec<u16>,
}

impl Cluster {
    /// The one living server of the cluster, if there are no others.
    pub(super) fn only_server(&self) -> Option<&Server> {
        // What registers over HTTP takes over no zone and no player.
        let mut living = self.servers.iter().filter(|s| s.source != "http" && s.state != "dead");
        living.next().filter(|_| living.next().is_none())
    }
}

impl Server {
    /// Whether an operator means it by `text`: its id, its name, or how one of them begins.
    pub(super) fn is_called(&self, text: &str) -> bool {
        !text.is_empty()
            && (self.server_id.to_string().starts_with(text) || self.name.starts_with(text))
    }
}

/// One zone.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Zone {
    pub(super) zone: u16,
    #[serde(default)]
    pub(super) name: String,
    pub(super) players: u32,
    pub(super) state: String,
    #[serde(default)]
    pub(super) server: Option<u64>,
    #[serde(default)]
    pub(super) from: Option<u64>,
}

/// The answer to a move.
#[derive(Debug, Deserialize)]
pub(super) struct Moving {
    pub(super) zone: u16,
    pub(super) to: u64,
}

/// The answer to a drain.
#[derive(Debug, Deserialize)]
pub(super) struct Draining {
    pub(super) server_id: u64,
    pub(super) name: String,
}

/// The answer to an announcement.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    pub(super) gateways: u64,
}

/// Reads an answer.
///
/// # Errors
/// If it is not what a master says.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    serde_json::from_str(text).context("the answer is none of a master's")
}
