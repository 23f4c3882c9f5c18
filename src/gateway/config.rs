//! `[gateway]` of the configuration.
//!
//! Read by the session manager and its shards; checked once, at start.

use serde::{Deserialize, Serialize};

/// `[gateway]` of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// Seconds a client may take to authenticate.
    pub auth_seconds: u64,
    /// Seconds without any packet after which a packet client is taken for dead.
    pub dead_seconds: u64,
    /// Seconds without a line after which a text client is sent away.
    pub text_idle_seconds: u64,
    /// Position updates a second on the text port.
    pub text_sync_hz: u64,
    /// Seconds a character stands after its connection was lost, and can be resumed.
    pub resume_seconds: u64,
    /// Undecodable or forbidden packets within ten seconds that close a connection.
    pub strikes: usize,
    /// Bytes a second for one client's view, on average.
    pub bandwidth: u32,
    /// Bytes a second for one client's view, at most.
    pub bandwidth_peak: u32,
    /// Whether payloads over 512 bytes are compressed.
    pub compress: bool,
    /// Reliable packets kept for a resume, per session.
    pub resume_packets: usize,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            auth_seconds: 10,
            dead_seconds: 25,
            text_idle_seconds: 300,
            text_sync_hz: 2,
            resume_seconds: 60,
            strikes: 3,
            bandwidth: 30_000,
            bandwidth_peak: 60_000,
            compress: false,
            resume_packets: 256,
        }
    }
}

impl GatewayConfig {
    /// What is wrong with the values, each with its key and the allowed range.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut range = |key: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                problems.push(format!("gateway.{key} must be {least} to {most}"));
            }
        };
        range("auth_seconds", self.auth_seconds, 1, 3_600);
        range("dead_seconds", self.dead_seconds, 2, 3_600);
        range("text_idle_seconds", self.text_idle_seconds, 2, 86_400);
        range("text_sync_hz", self.text_sync_hz, 1, 20);
        range("resume_seconds", self.resume_seconds, 1, 3_600);
        range("strikes", self.strikes as u64, 1, 1_000);
        range("bandwidth", u64::from(self.bandwidth), 2_000, 100_000_000);
        range("bandwidth_peak", u64::from(self.bandwidth_peak), 2_000, 100_000_000);
        range("resume_packets", self.resume_packets as u64, 0, 10_000);
        if self.bandwidth_peak < self.bandwidth {
            problems.push("gateway.bandwidth_peak must be at least gateway.bandwidth".to_owned());
        }
        problems
    }
}
