//! Tells what the bots notice: one line when something began and is over, one a minute when all is
//! well. Reads their counters, and knows nothing of why.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::crowd::Counts;

/// Between two quiet lines.
const QUIET: Duration = Duration::from_secs(60);
/// An episode is over when nothing new was noticed for so long.
const CALM: Duration = Duration::from_millis(1_500);

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) inside: u64,
    pub(super) lost: u64,
    pub(super) sent_on: u64,
    pub(super) resumed: u64,
    pub(super) logged_in: u64,
    pub(super) silences: u64,
    pub(super) updates: u64,
}

/// Follows the counters.
pub(super) struct News {
    bots: u64,
    began: Instant,
    all_came: bool,
    /// When the present episode began, and the counters then.
    episode: Option<(Instant, Seen)>,
    changed: Instant,
    last: Seen,
    longest_silence: u64,
    quiet: (Instant, u64),
}

impl Seen {
    /// The counters now.
    pub(super) fn of(counts: &Counts) -> Self {
        Self {
            inside: counts.inside.load(Relaxed),
            lost: counts.lost.load(Relaxed),
            sent_on: counts.sent_on.load(Relaxed),
            resumed: counts.resumed.load(Relaxed),
            logged_in: counts.logged_in.load(Relaxed),
            silences: counts.silences.load(Relaxed),
            updates: counts.updates.load(Relaxed),
        }
    }
}

impl News {
    /// Nobody is in yet.
    pub(super) fn new(bots: u32, now: Instant) -> Self {
        Self {
            bots: u64::from(bots),
            began: now,
            all_came: false,
            episode: None,
            changed: now,
            last: Seen::default(),
            longest_silence: 0,
            quiet: (now, 0),
        }
    }

    /// Takes the counters in; gives a line if there is something to say.
    /// `longest_silence` is that since the last call, milliseconds.
    pub(super) fn hear(
        &mut self,
        seen: Seen,
        longest_silence: u64,
        now: Instant,
    ) -> Option<String> {
        let last = std::mem::replace(&mut self.last, seen);
        if !self.all_came {
            self.all_came = seen.inside == self.bots;
            self.quiet = (now, seen.updates);
            let after = (now - self.began).as_secs_f64();
            return self
                .all_came
                .then(|| format!("all {} bots are in, after {after:.1} s", self.bots));
        }
        let noticed =
            (seen.lost, seen.sent_on, seen.silences) != (last.lost, last.sent_on, last.silences);
        if noticed || seen.inside != last.inside {
            self.changed = now;
        }
        if noticed && self.episode.is_none() {
            self.episode = Some((now, last));
            self.longest_silence = 0;
        }
        self.longest_silence = self.longest_silence.max(longest_silence);
        match self.episode {
            Some((_, before)) if seen.inside == self.bots && now - self.changed >= CALM => {
                self.episode = None;
                self.quiet = (now, seen.updates);
                Some(self.told(before, seen))
            }
            None if now - self.quiet.0 >= QUIET => {
                let seconds = (now - self.quiet.0).as_secs_f64();
                let rate = (seen.updates - self.quiet.1) as f64 / seconds;
                self.quiet = (now, seen.updates);
                Some(format!("bots: all {} play, {rate:.0} position updates a second", self.bots))
            }
            _ => None,
        }
    }

    fn told(&self, before: Seen, after: Seen) -> String {
        let silence = self.longest_silence as f64 / 1_000.0;
        let (lost, sent_on) = (after.lost - before.lost, after.sent_on - before.sent_on);
        let bots = self.bots;
        if lost + sent_on == 0 {
            return format!(
                "bots: nothing moved for up to {silence:.1} s; nobody lost the connection, all \
                 {bots} play"
            );
        }
        let what = match (lost, sent_on) {
            (_, 0) => format!("{lost} lost the connection"),
            (0, _) => format!("{sent_on} were sent to another gateway"),
            _ => format!("{lost} lost the connection, {sent_on} were sent to another gateway"),
        };
        format!(
            "bots: {what}, {} resumed, {} logged in again; nothing moved for up to {silence:.1} s; \
             all {bots} play",
            after.resumed - before.resumed,
            after.logged_in - before.logged_in,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes the counters in at a time of seconds after the beginning.
    struct Told {
        start: Instant,
        news: News,
    }

    impl Told {
        fn new() -> Self {
            let start = crate::tick::now();
            Self { start, news: News::new(10, start) }
        }

        fn at(&mut self, seconds: f64, seen: Seen, silence: u64) -> Option<String> {
            self.news.hear(seen, silence, self.start + Duration::from_secs_f64(seconds))
        }
    }

    const ALL: Seen = Seen {
        inside: 10,
        logged_in: 10,
        lost: 0,
        sent_on: 0,
        resumed: 0,
        silences: 0,
        updates: 0,
    };

    #[test]
    fn a_gateway_s_death_is_one_line_when_all_are_back() {
        let mut told = Told::new();
        assert_eq!(told.at(0.5, Seen { inside: 9, ..ALL }, 0), None);
        assert_eq!(told.at(1.0, ALL, 0).unwrap(), "all 10 bots are in, after 1.0 s");
        let away = Seen { inside: 5, lost: 5, ..ALL };
        assert_eq!(told.at(2.0, away, 0), None);
        let back = Seen { inside: 10, resumed: 4, logged_in: 11, silences: 5, ..away };
        assert_eq!(told.at(4.0, back, 1_900), None, "there may be more");
        assert_eq!(
            told.at(6.0, back, 0).unwrap(),
            "bots: 5 lost the connection, 4 resumed, 1 logged in again; nothing moved for up to \
             1.9 s; all 10 play"
        );
        assert_eq!(told.at(7.0, back, 0), None);
    }

    #[test]
    fn a_gateway_that_drains_loses_nobody() {
        let mut told = Told::new();
        assert!(told.at(1.0, ALL, 0).is_some());
        let away = Seen { inside: 6, sent_on: 4, ..ALL };
        assert_eq!(told.at(2.0, away, 0), None);
        let back = Seen { inside: 10, resumed: 4, ..away };
        assert_eq!(told.at(2.5, back, 0), None);
        let line = told.at(4.5, back, 0).unwrap();
        assert!(line.starts_with("bots: 4 were sent to another gateway, 4 resumed, 0"), "{line}");
        let both = Seen { inside: 10, lost: 1, sent_on: 6, resumed: 7, ..back };
        assert_eq!(told.at(5.0, both, 0), None);
        let line = told.at(7.0, both, 0).unwrap();
        assert!(
            line.starts_with("bots: 1 lost the connection, 2 were sent to another gateway, 3 "),
            "{line}"
        );
    }

    #[test]
    fn a_zone_s_death_is_a_silence() {
        let mut told = Told::new();
        assert!(told.at(1.0, ALL, 0).is_some());
        assert_eq!(told.at(9.0, Seen { silences: 3, ..ALL }, 7_200), None);
        let line = told.at(11.0, Seen { silences: 3, ..ALL }, 0).unwrap();
        assert!(line.starts_with("bots: nothing moved for up to 7.2 s; nobody"), "{line}");
    }

    #[test]
    fn all_is_well_once_a_minute() {
        let mut told = Told::new();
        assert!(told.at(1.0, ALL, 0).is_some());
        assert_eq!(told.at(60.0, Seen { updates: 6_000, ..ALL }, 0), None);
        let line = told.at(61.0, Seen { updates: 6_000, ..ALL }, 0).unwrap();
        assert_eq!(line, "bots: all 10 play, 100 position updates a second");
    }
}
