//! The `[net]` section of the configuration, and the part of it that a shard needs.
//!
//! Read once at start by whoever builds the listeners and shards; nothing here changes later.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::origin::Origin;
use super::proxy::TrustedProxies;
use super::rate::RateLimits;

/// Client connections: `[net]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetConfig {
    /// I/O shards, a thread each; 0: one per core. 0 to 256.
    pub io_threads: usize,
    /// Client connections of this process, all ports together. 1 to 1,000,000.
    pub max_connections: usize,
    /// Connections one address (IPv6: one /64) may hold whose players are not in the world. 1 to
    /// 1,000,000.
    pub per_address: usize,
    /// Connections the kernel keeps ready for `accept`. 1 to 65,535.
    pub backlog: u32,
    /// Bytes that may wait for a client that reads too slowly. 16,384 to 16,777,216.
    pub outbound_bytes: usize,
    /// Unsent bytes the kernel keeps for a client before it counts as slow (Linux); 0: the
    /// kernel's own idea, often megabytes, and so minutes behind. 0 or 4,096 to 16,777,216.
    pub kernel_unsent_bytes: u32,
    /// Milliseconds for the rest of a frame once it has started. 100 to 60,000.
    pub frame_timeout_ms: u64,
    /// Milliseconds that the oldest waiting byte may wait before its client is cut. 500 to 60,000.
    pub slow_client_ms: u64,
    /// Milliseconds for a TLS handshake. 500 to 60,000.
    pub tls_handshake_ms: u64,
    /// TLS handshakes at once, in all; more are refused, and more than an eighth of them from one
    /// address. 1 to 65,536.
    pub tls_handshakes: usize,
    /// Addresses and networks (`10.0.0.0/8`) of proxies that are believed when they tell a client's
    /// address: by the PROXY protocol on any client port, by `X-Forwarded-For` on the web port.
    pub trusted_proxies: Vec<String>,
    /// Origins (`https://example.org`) whose pages may open a WebSocket; empty: only pages from
    /// the host they connect to.
    pub allowed_origins: Vec<String>,
    /// TLS for the packet, login and web ports; without it they speak plainly.
    pub tls: TlsFiles,
    /// What one connection may send.
    pub rate: RateLimits,
}

/// Where the certificate is: `[net.tls]`. Both or none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsFiles {
    /// The certificate chain, PEM, the server's own first.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            io_threads: 0,
            max_connections: 5_000,
            per_address: 100,
            backlog: 1_024,
            outbound_bytes: 128 * 1_024,
            kernel_unsent_bytes: 64 * 1_024,
            frame_timeout_ms: 5_000,
            slow_client_ms: 10_000,
            tls_handshake_ms: 10_000,
            tls_handshakes: 512,
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            tls: TlsFiles::default(),
            rate: RateLimits::default(),
        }
    }
}

impl NetConfig {
    /// What is wrong with the values, each with its key and the allowed range.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut range = |key: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                found.push(format!("net.{key} must be {least} to {most}"));
            }
        };
        range("io_threads", self.io_threads as u64, 0, 256);
        range("max_connections", self.max_connections as u64, 1, 1_000_000);
        range("per_address", self.per_address as u64, 1, 1_000_000);
        range("backlog", u64::from(self.backlog), 1, 65_535);
        range("outbound_bytes", self.outbound_bytes as u64, 16_384, 16_777_216);
        if self.kernel_unsent_bytes > 0 {
            range("kernel_unsent_bytes", u64::from(self.kernel_unsent_bytes), 4_096, 16_777_216);
        }
        range("frame_timeout_ms", self.frame_timeout_ms, 100, 60_000);
        range("slow_client_ms", self.slow_client_ms, 500, 60_000);
        range("tls_handshake_ms", self.tls_handshake_ms, 500, 60_000);
        range("tls_handshakes", self.tls_handshakes as u64, 1, 65_536);
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            found.push(
                "net.tls.certificate must be given together with net.tls.key, or neither".into(),
            );
        }
        if let Err(other) = self.proxies() {
            found.push(format!(
                "net.trusted_proxies must be addresses or networks like 10.0.0.0/8, which {other:?} is not"
            ));
        }
        for origin in &self.allowed_origins {
            if Origin::parse(origin).is_none() {
                found.push(format!(
                    "net.allowed_origins must be like https://example.org, which {origin:?} is not"
                ));
            }
        }
        found.extend(self.rate.problems());
        found
    }

    /// The proxies that are believed. A PROXY header has as long as a TLS handshake.
    ///
    /// # Errors
    /// The first entry that is neither an address nor a network.
    pub fn proxies(&self) -> Result<TrustedProxies, String> {
        TrustedProxies::new(&self.trusted_proxies, Duration::from_millis(self.tls_handshake_ms))
    }

    /// How many shards to start: `io_threads`, or the number of cores.
    pub fn shard_count(&self) -> usize {
        match self.io_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        }
    }

    /// What a shard needs of this.
    pub fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            outbound_bytes: self.outbound_bytes,
            frame_timeout: Duration::from_millis(self.frame_timeout_ms),
            slow_after: Duration::from_millis(self.slow_client_ms),
            ..ConnectionLimits::default()
        }
    }
}

/// The bounds of every connection of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Bytes that may wait for the socket.
    pub outbound_bytes: usize,
    /// A started frame must be whole within this.
    pub frame_timeout: Duration,
    /// A client is cut when its oldest waiting byte has waited this long.
    pub slow_after: Duration,
    /// Between two sweeps, which enforce all time-outs: none is exact to less than this.
    pub sweep: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            outbound_bytes: 128 * 1_024,
            frame_timeout: Duration::from_secs(5),
            slow_after: Duration::from_secs(10),
            sweep: Duration::from_secs(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_allowed() {
        assert_eq!(NetConfig::default().problems(), [""; 0]);
    }

    #[test]
    fn everything_wrong_is_listed_at_once_with_its_key() {
        let rate = RateLimits { chat_messages: 0, ..RateLimits::default() };
        let tls = TlsFiles { certificate: Some("cert.pem".into()), key: None };
        let allowed_origins = vec!["https://good.example".into(), "good.example/".into()];
        let config = NetConfig {
            max_connections: 0,
            kernel_unsent_bytes: 1,
            allowed_origins,
            trusted_proxies: vec!["10.0.0.0/8".into(), "10.0.0.0/40".into()],
            tls,
            rate,
            ..NetConfig::default()
        };
        let problems = config.problems().join("\n");
        assert_eq!(problems.lines().count(), 6, "{problems}");
        for key in
            ["max_connections", "kernel_unsent_bytes", "tls.key", "good.example/", "10.0.0.0/40"]
        {
            assert!(problems.contains(key), "{key} is missing in {problems}");
        }
        assert!(problems.contains("net.rate.chat_messages must be 1 to 100"), "{problems}");
    }
}
