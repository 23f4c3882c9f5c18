//! The ranges of the sections whose structs are plain data elsewhere.
//!
//! Each function returns one line for each value that is not allowed, as `Config::problems` wants
//! them.

use std::fmt::Display;

use crate::chat::ChatConfig;
use crate::gateway::GatewayConfig;
use crate::net::NetConfig;
use crate::net::rate::RateLimits;
use crate::store::StoreConfig;
use crate::zone::ZoneConfig;

use super::sections;

/// Collects the lines of one section.
struct Checks {
    section: &'static str,
    found: Vec<String>,
}

impl Checks {
    fn of(section: &'static str) -> Self {
        Self { section, found: Vec::new() }
    }

    fn range<T: PartialOrd + Display>(&mut self, key: &str, value: T, least: T, most: T) {
        let fits = (&least..=&most).contains(&&value);
        self.require(fits, key, &format!("{least} to {most}"));
    }

    fn require(&mut self, fits: bool, key: &str, allowed: &str) {
        if !fits {
            self.found.push(format!("{}.{key} must be {allowed}", self.section));
        }
    }
}

pub(super) fn net(net: &NetConfig) -> Vec<String> {
    let mut checks = Checks::of("net");
    checks.range("io_threads", net.io_threads, 0, 256);
    checks.range("max_connections", net.max_connections, 1, 1_000_000);
    checks.range("per_address", net.per_address, 1, 1_000_000);
    checks.range("backlog", net.backlog, 1, 65_535);
    checks.range("outbound_bytes", net.outbound_bytes, 16_384, 16_777_216);
    let kernel = net.kernel_unsent_bytes;
    let fits = kernel == 0 || (4_096..=16_777_216).contains(&kernel);
    checks.require(fits, "kernel_unsent_bytes", "0, or 4096 to 16777216");
    checks.range("frame_timeout_ms", net.frame_timeout_ms, 100, 60_000);
    checks.range("slow_client_ms", net.slow_client_ms, 500, 60_000);
    checks.range("tls_handshake_ms", net.tls_handshake_ms, 500, 60_000);
    checks.range("tls_handshakes", net.tls_handshakes, 1, 65_536);
    let origins = &net.allowed_origins;
    let plain = |origin: &String| {
        origin.split_once("://").is_some_and(|(scheme, host)| {
            ["http", "https"].contains(&scheme) && !host.is_empty() && !host.contains('/')
        })
    };
    checks.require(
        origins.iter().all(plain),
        "allowed_origins",
        "a list of origins such as \"https://example.org\", without a path",
    );
    checks.found.extend(tls(net));
    checks.found.extend(rate(&net.rate));
    checks.found
}

/// Both files or none, and both there.
fn tls(net: &NetConfig) -> Vec<String> {
    let mut checks = Checks::of("net.tls");
    let (certificate, key) = (&net.tls.certificate, &net.tls.key);
    for (name, file, other, partner) in [
        ("certificate", certificate, "key", key),
        ("key", key, "certificate", certificate),
    ] {
        match file {
            Some(path) => checks.require(path.is_file(), name, "a PEM file that is there"),
            None => {
                let allowed = format!("a PEM file too, because net.tls.{other} is set");
                checks.require(partner.is_none(), name, &allowed);
            }
        }
    }
    checks.found
}

fn rate(rate: &RateLimits) -> Vec<String> {
    let mut checks = Checks::of("net.rate");
    checks.range("packets_per_second", rate.packets_per_second, 1, 10_000);
    checks.range("packet_burst", rate.packet_burst, 1, 10_000);
    checks.range("moves_per_second", rate.moves_per_second, 1, 1_000);
    checks.range("abilities_per_second", rate.abilities_per_second, 1, 1_000);
    checks.range("chat_messages", rate.chat_messages, 1, 100);
    checks.range("chat_seconds", rate.chat_seconds, 1, 3_600);
    checks.range("mute_messages", rate.mute_messages, 2, 100);
    checks.range("mute_seconds", rate.mute_seconds, 1, 3_600);
    checks.found
}

pub(super) fn gateway(gateway: &GatewayConfig) -> Vec<String> {
    let mut checks = Checks::of("gateway");
    checks.range("auth_seconds", gateway.auth_seconds, 1, 600);
    checks.range("dead_seconds", gateway.dead_seconds, 2, 3_600);
    checks.range("text_idle_seconds", gateway.text_idle_seconds, 5, 86_400);
    checks.range("text_sync_hz", gateway.text_sync_hz, 1, 20);
    checks.range("resume_seconds", gateway.resume_seconds, 0, 3_600);
    checks.range("strikes", gateway.strikes, 1, 1_000);
    checks.range("bandwidth", gateway.bandwidth, 1_000, 10_000_000);
    let peak = gateway.bandwidth_peak;
    checks.require(
        (gateway.bandwidth..=100_000_000).contains(&peak),
        "bandwidth_peak",
        "at least gateway.bandwidth, at most 100000000",
    );
    checks.range("resume_packets", gateway.resume_packets, 0, 65_536);
    checks.found
}

pub(super) fn zone(zone: &ZoneConfig) -> Vec<String> {
    let mut checks = Checks::of("zone");
    checks.range("max_players", zone.max_players, 1, 50_000);
    checks.range("save_seconds", zone.save_seconds, 1, 3_600);
    checks.range("overruns_before_dilation", zone.overruns_before_dilation, 1, 1_000);
    checks.range("dilation_floor", zone.dilation_floor, 0.05, 1.0);
    checks.found
}

pub(super) fn chat(chat: &ChatConfig) -> Vec<String> {
    let mut checks = Checks::of("chat");
    checks.range("invitation_seconds", chat.invitation_seconds, 1, 86_400);
    checks.range("guild_wait_ms", chat.guild_wait_ms, 10, 60_000);
    checks.range("reload_ms", chat.reload_ms, 10, 60_000);
    checks.found
}

pub(super) fn store(store: &StoreConfig) -> Vec<String> {
    let mut checks = Checks::of("store");
    let postgres = store.url.starts_with("postgres://") || store.url.starts_with("postgresql://");
    let known = sections::is_sqlite(store) || postgres;
    checks.require(known, "url", "sqlite, sqlite:PATH or a postgres:// address");
    checks.range("connections", store.connections, 2, 1_000);
    checks.range("timeout_ms", store.timeout_ms, 10, 60_000);
    checks.range("group_commit_ms", store.group_commit_ms, 0, 100);
    checks.range("group_commit_max", store.group_commit_max, 1, 4_096);
    checks.found
}
