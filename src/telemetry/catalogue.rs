//! Every metric of the program: its name, kind, unit, labels and meaning.
//!
//! Whoever counts something uses a name from this table; a test looks through the source for names
//! that are not here, and another keeps `docs/metrics.md` the same as the table. No label may hold
//! a player, an address or a text that somebody typed.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values by size.
    Histogram,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// As Prometheus sees it.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it counts in; none: a plain number.
    pub unit: Option<Unit>,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const fn counter(
    name: &'static str,
    unit: Option<Unit>,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Counter, unit, labels, help }
}

const fn gauge(
    name: &'static str,
    unit: Option<Unit>,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, labels, help }
}

const fn histogram(
    name: &'static str,
    unit: Option<Unit>,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Histogram, unit, labels, help }
}

const S: Option<Unit> = Some(Unit::Seconds);
const B: Option<Unit> = Some(Unit::Bytes);

/// All of them, by room.
#[rustfmt::skip]
pub const METRICS: &[Metric] = &[
    gauge("throng_build_info", None, &["version"], "Always 1; its label is the version."),
    gauge("throng_process_cpu_seconds_total", S, &[], "User and system time of the process so far."),
    gauge("throng_process_resident_bytes", B, &[], "Memory of the process that is in RAM."),
    gauge("throng_process_threads", None, &[], "Threads of the process."),
    gauge("throng_process_start_seconds", S, &[], "When the process started, in Unix time."),
    gauge("throng_process_open_descriptors", None, &[], "Files and sockets that the process has open."),
    gauge("throng_process_max_descriptors", None, &[], "Files and sockets that it may have open."),
    counter("throng_log_lines_dropped_total", None, &[], "Log lines lost because standard error was not read."),

    gauge(
        "throng_connections",
        None,
        &["port"],
        "Open connections that came to a port: of clients, at `link` of other servers.",
    ),
    counter("throng_connections_accepted_total", None, &["port"], "Connections to a port let in."),
    counter("throng_connections_refused_total", None, &["reason"], "Client connections not let in, or closed to make room at the operators' port."),
    counter("throng_accept_errors_total", None, &["kind"], "Connections the kernel could not give us."),
    counter("throng_tls_handshakes_failed_total", None, &["reason"], "TLS handshakes that did not end well."),
    counter("throng_tls_renewals_total", None, &["result"], "Times that a changed certificate was read: `taken`, or `refused` while the one before is served on."),
    counter("throng_service_panics_total", None, &[], "Panics while a connection was served; each ended one connection."),
    counter("throng_bytes_total", B, &["direction"], "Bytes of client connections."),
    counter("throng_packets_total", None, &["direction", "type"], "Packets and lines of clients."),
    gauge("throng_packets_per_second", None, &["direction"], "Packets and lines of the last second."),
    gauge("throng_outbound_queue_bytes", B, &[], "Bytes that wait for clients' sockets."),
    counter("throng_slow_clients_cut_total", None, &[], "Connections ended because the client read too slowly."),
    counter("throng_reads_paused_total", None, &[], "Times that nothing more was read of a client for a while: it had used up its rate."),
    counter("throng_refusals_withheld_total", None, &["class"], "Refusals for a rate that were not told: one a second of each class is."),
    counter("throng_floods_closed_total", None, &[], "Connections ended because more than ten times as many packets waited as are allowed at once."),
    histogram("throng_packet_handling_seconds", S, &[], "Time to decode, check and pass on a client's packet."),
    histogram("throng_round_trip_seconds", S, &[], "From sending a view to the client's strike at something in it."),

    histogram("throng_login_seconds", S, &["request", "result"], "From a log-in or registration to its answer."),
    gauge("throng_login_queue_depth", None, &[], "Log-ins and registrations in progress."),
    gauge("throng_sessions", None, &["state"], "Sessions of players."),
    counter("throng_resumes_total", None, &["result"], "Tries to go on with a session: `same_gateway`, `other_gateway`, `refused` for good, `unavailable` for now."),
    counter("throng_redirects_total", None, &["reason"], "Clients sent to another gateway: `drain`, or `routing` asked for on the text port."),
    counter("throng_frames_ignored_total", None, &["reason"], "Zone frames that do not count: `stale` ones of a server that has lost the zone."),
    counter("throng_players_brought_in_total", None, &[], "Players who were not in their zone and whom a gateway asked a zone to let in again."),
    histogram("throng_visible_entities", None, &[], "Entities in a session's view, sampled."),
    counter("throng_updates_sent_total", None, &[], "Entity positions sent to clients."),
    counter("throng_frames_passed_over_total", None, &[], "Zone frames that a late shard did not show because a later one stood behind them."),
    counter("throng_events_shed_total", None, &["reason"], "Events that a client was not told for lack of bandwidth: talk, death, other; backlog: of frames that could not be handed on for long."),
    counter("throng_entities_retold_total", None, &[], "Entities described again to a client that may have missed a change of health."),
    counter("throng_updates_shed_total", None, &[], "Entity positions put off for lack of bandwidth."),
    counter("throng_refusals_total", None, &["reason"], "Requests and messages that were turned away."),
    counter("throng_errors_total", None, &["code"], "ERROR packets sent to clients."),

    histogram("throng_zone_tick_seconds", S, &["zone"], "Work of one zone tick."),
    histogram("throng_zone_tick_lag_seconds", S, &["zone"], "How late a zone tick began."),
    counter("throng_zone_overruns_total", None, &["zone"], "Zone ticks that took longer than they may."),
    counter("throng_zone_stalled_total", None, &["zone"], "Times that a zone's thread did not go on for two seconds."),
    gauge("throng_zone_dilation", None, &["zone"], "Speed of a zone's time; 1 is real time."),
    gauge("throng_zone_players", None, &["zone"], "Players in a zone."),
    gauge("throng_zone_npcs", None, &["zone"], "Living NPCs in a zone."),
    gauge("throng_zone_items", None, &["zone"], "Things on the ground of a zone."),
    counter("throng_events_total", None, &["kind"], "Events handled."),
    histogram("throng_event_queueing_seconds", S, &[], "From an event to its handling."),
    counter("throng_handovers_total", None, &["result"], "Players who crossed a border between zones."),
    histogram("throng_handover_seconds", S, &[], "From leaving one zone to standing in the next."),
    gauge("throng_zone_running", None, &["zone"], "By the master: 1 where a zone runs on a server, 0 where it runs nowhere."),
    gauge("throng_servers", None, &["state"], "By the master: servers it knows, by state: alive, suspect, draining, dead."),
    counter("throng_zone_moves_total", None, &["result"], "Whole zones that were to go to another server: done, refused, reclaimed."),

    counter("throng_chat_messages_total", None, &["channel"], "Chat messages."),
    counter("throng_chat_dropped_total", None, &[], "Chat packets that a gateway had no room for."),
    gauge("throng_chat_rooms", None, &[], "Chat rooms."),
    gauge("throng_guilds", None, &[], "Guilds."),
    gauge("throng_guild_wars", None, &[], "Guild wars."),
    counter("throng_war_kills_lost_total", None, &[], "Kills of a guild war that could not be counted."),

    gauge("throng_inbox_depth", None, &["role"], "Messages that wait in a role's inbox."),
    gauge("throng_links_up", None, &[], "Links to other processes."),
    counter("throng_link_messages_total", None, &["direction", "kind"], "Messages of links."),
    counter("throng_link_bytes_total", B, &["direction"], "Bytes of links."),
    counter("throng_link_resends_total", None, &[], "Messages of links that were sent again."),
    counter("throng_link_repeats_total", None, &[], "Messages of links that came again and were left out."),
    counter("throng_link_drops_total", None, &["reason"], "Messages of links that were not taken or not delivered."),
    counter("throng_link_greetings_failed_total", None, &["side", "reason"], "Connections between processes that became no link."),
    histogram("throng_link_round_trip_seconds", S, &[], "From a link's heartbeat to its answer."),
    gauge("throng_link_queue_bytes", B, &[], "Bytes that wait for other processes."),

    histogram("throng_database_seconds", S, &["operation"], "From a call of the store to its answer, waiting included."),
    counter("throng_database_errors_total", None, &["kind"], "Calls of the store that failed."),
    counter("throng_commits_total", None, &[], "Transactions committed."),
    histogram("throng_commit_group_size", None, &[], "Writes that shared a commit."),
    gauge("throng_database_queue_depth", None, &[], "Writes that wait for the store's writer."),
    histogram("throng_database_queue_seconds", S, &[], "How long a write waited for its transaction to begin."),
    gauge("throng_save_queue_depth", None, &["zone"], "Players whose save waits for the store."),
    gauge("throng_save_queue_age_seconds", S, &["zone"], "How long the oldest of them has waited."),
];

/// Tells the recorder every metric's unit and meaning.
pub fn describe_all() {
    for Metric { name, kind, unit, help, .. } in METRICS {
        let unit = unit.unwrap_or(Unit::Count);
        match kind {
            Kind::Counter => describe_counter!(*name, unit, *help),
            Kind::Gauge => describe_gauge!(*name, unit, *help),
            Kind::Histogram => describe_histogram!(*name, unit, *help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn row(metric: &Metric) -> String {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let unit = metric.unit.map_or("", |unit| unit.as_str());
        let Metric { name, kind, help, .. } = metric;
        format!("| `{name}` | {} | {unit} | {} | {help} |", kind.as_str(), labels.join(", "))
    }

    #[test]
    fn the_documentation_lists_exactly_these() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
        let text = std::fs::read_to_string(path).unwrap();
        let documented: Vec<&str> =
            text.lines().filter(|line| line.starts_with("| `throng_")).collect();
        let wanted: Vec<String> = METRICS.iter().map(row).collect();
        assert_eq!(documented, wanted, "docs/metrics.md must hold:\n{}", wanted.join("\n"));
    }

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        for Metric { name, kind, unit, .. } in METRICS {
            assert!(name.starts_with("throng_"), "{name}");
            assert!(*kind != Kind::Counter || name.ends_with("_total"), "{name}");
            if *unit == Some(Unit::Seconds) {
                assert!(name.ends_with("_seconds") || name.ends_with("_seconds_total"), "{name}");
            }
        }
        let mut names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len(), "each name once");
    }

    #[test]
    fn the_source_counts_nothing_that_is_not_here() {
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ext| ext == "rs") {
                    check(&path, &std::fs::read_to_string(&path).unwrap());
                }
            }
        }
    }

    fn check(path: &Path, source: &str) {
        for rest in source.split("\"throng_").skip(1) {
            let word: String = rest.chars().take_while(|c| *c != '"').collect();
            let plain =
                !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            let name = format!("throng_{word}");
            let known = METRICS.iter().any(|metric| metric.name == name);
            assert!(!plain || known, "{}: {name} is not in the catalogue", path.display());
        }
    }
}
