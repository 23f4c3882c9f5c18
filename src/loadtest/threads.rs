//! Which of a server's threads its processor time goes to: all zones, all I/O shards, hashing and so
//! on. Linux only; elsewhere nothing is told.
//!
//! A tick's length on a core that is shared with the shards says how long it took, not what it cost;
//! this does.

use std::collections::BTreeMap;
use std::fs;

use super::process::{Processes, Spent};

/// Processor time by kind of thread: seconds, or a share of one core.
pub(super) type Threads = BTreeMap<String, f64>;

/// Seconds so far of all threads that there are, by their names without a number at the end.
pub(super) fn spent(processes: &Processes) -> Threads {
    let mut threads = Threads::new();
    for process in processes.iter() {
        let tasks = fs::read_dir(format!("/proc/{}/task", process.pid()));
        for task in tasks.into_iter().flatten().flatten() {
            // A thread that has just ended is not there any more.
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            if let (Some(kind), Some(spent)) = (kind_of(&stat), Spent::in_stat(&stat)) {
                *threads.entry(kind.to_owned()).or_default() += spent.all;
            }
        }
    }
    threads
}

/// What was spent in so many seconds, as shares of one core; kinds that spent nothing are left out.
pub(super) fn shares(before: &Threads, after: &Threads, seconds: f64) -> Threads {
    let share = |(kind, spent): (&String, &f64)| {
        let more = spent - before.get(kind).copied().unwrap_or(0.0);
        (more > 0.0).then(|| (kind.clone(), more / seconds))
    };
    after.iter().filter_map(share).collect()
}

/// The name in a thread's `stat`, without its number: `io-3` is of the kind `io`.
fn kind_of(stat: &str) -> Option<&str> {
    let (_, rest) = stat.split_once('(')?;
    let (name, _) = rest.rsplit_once(')')?;
    let kind = name.trim_end_matches(|letter: char| letter.is_ascii_digit()).trim_end_matches('-');
    (!kind.is_empty()).then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_a_kind_are_added_up() {
        assert_eq!(kind_of("7 (zone-12) S 1"), Some("zone"));
        assert_eq!(kind_of("7 (hashing) S 1"), Some("hashing"));
        assert_eq!(kind_of("7 (12) S 1"), None);
        assert_eq!(kind_of(""), None);
    }

    #[test]
    fn only_what_is_spent_between_counts() {
        let threads =
            |zone: f64, io: f64| Threads::from([("zone".to_owned(), zone), ("io".to_owned(), io)]);
        let shares = shares(&threads(1.0, 2.0), &threads(3.0, 2.0), 4.0);
        assert_eq!(shares, Threads::from([("zone".to_owned(), 0.5)]));
    }
}
