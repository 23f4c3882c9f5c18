//! Counters that are there, at 0, from the start of the process: a rate over a counter that is born with
//! its first event misses that event, and a healthy server would show gaps instead of zeros.
//!
//! Telemetry's start calls it once. A counter without labels is born by itself; one with a label
//! whose words are few and known stands in the table. Words that come from content or from clients
//! never do.

use metrics::counter;

use super::catalogue::{Kind, METRICS};

/// Counters with one label, and all words of it that are known beforehand.
const LABELLED: &[(&str, &str, &[&str])] = &[
    ("throng_accept_errors_total", "kind", &["connection", "descriptors"]),
    ("throng_bytes_total", "direction", &["in", "out"]),
    ("throng_chat_messages_total", "channel", &["system"]),
    (
        "throng_connections_refused_total",
        "reason",
        &["full", "address", "handshakes", "busy", "origin"],
    ),
    (
        "throng_database_errors_total",
        "kind",
        &["constraint", "database", "connection", "pool", "nonsense", "other", "timeout", "panic"],
    ),
    ("throng_events_shed_total", "reason", &["talk", "death", "other", "backlog"]),
    ("throng_frames_ignored_total", "reason", &["stale"]),
    ("throng_handovers_total", "result", &["done", "refused"]),
    ("throng_redirects_total", "reason", &["drain", "routing"]),
    (
        "throng_refusals_total",
        "reason",
        &[
            "backlog_full",
            "event_queue_full",
            "gateway_inbox_full",
            "handover_backlog_full",
            "registry_full",
            "shard_inbox_full",
            "wrong_source",
            "zone_inbox_full",
        ],
    ),
    (
        "throng_resumes_total",
        "result",
        &["same_gateway", "other_gateway", "refused", "unavailable"],
    ),
    ("throng_zone_moves_total", "result", &["done", "refused", "reclaimed"]),
];

/// Has them all begin at 0.
pub(super) fn begin() {
    let plain = METRICS.iter().filter(|it| it.kind == Kind::Counter && it.labels.is_empty());
    for metric in plain {
        counter!(metric.name).increment(0);
    }
    for &(name, label, words) in LABELLED {
        for &word in words {
            counter!(name, label => word).increment(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files =
            entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
        files.filter(|path| path.extension().is_some_and(|ending| ending == "rs")).collect()
    }

    /// The words of `"NAME", "LABEL" => "WORD")` after a counter's opening bracket.
    fn literal(call: &str) -> Option<(&str, &str, &str)> {
        let call = call.trim_start().strip_prefix('"')?;
        let (name, rest) = call.split_once('"')?;
        let (label, rest) =
            rest.trim_start_matches([',', ' ', '\n']).strip_prefix('"')?.split_once('"')?;
        let word = rest.trim_start().strip_prefix("=>")?.trim_start().strip_prefix('"')?;
        let (word, end) = word.split_once('"')?;
        end.trim_start_matches([',', ' ', '\n']).starts_with(')').then_some((name, label, word))
    }

    #[test]
    fn every_counter_whose_word_stands_in_the_source_is_born() {
        let mut seen = 0;
        for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
            let source = std::fs::read_to_string(&path).unwrap();
            for call in source.split("counter!(").skip(1) {
                let Some((name, label, word)) = literal(call) else { continue };
                let born = LABELLED
                    .iter()
                    .any(|(its, of, words)| (*its, *of) == (name, label) && words.contains(&word));
                assert!(born, "{}: {name} {label}={word} is not there at 0", path.display());
                seen += 1;
            }
        }
        assert!(seen > 20, "{seen} are too few: the search has gone blind");
    }

    #[test]
    fn the_table_speaks_of_counters_that_there_are() {
        for (name, label, words) in LABELLED {
            let metric = METRICS.iter().find(|metric| metric.name == *name);
            let metric = metric.unwrap_or_else(|| panic!("there is no {name}"));
            assert_eq!((metric.kind, metric.labels), (Kind::Counter, &[*label][..]), "{name}");
            assert!(!words.is_empty());
        }
    }
}
