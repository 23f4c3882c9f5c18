//! Two small clocks of one connection: how often it has offended, and how many bytes its view may
//! take now, and of them each kind of news.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

/// Offences count for so long.
const STRIKE_WINDOW: Duration = Duration::from_secs(10);

/// Undecodable and forbidden packets of the last ten seconds.
#[derive(Debug, Default)]
pub(super) struct Strikes(SmallVec<[Instant; 3]>);

impl Strikes {
    /// Counts one; true if it was the last that is borne.
    pub(super) fn strike(&mut self, now: Instant, most: usize) -> bool {
        self.0.retain(|at| now - *at < STRIKE_WINDOW);
        self.0.push(now);
        self.0.len() >= most
    }

    /// How long ago each was, ms.
    pub(super) fn ages(&self, now: Instant) -> Vec<u32> {
        let recent = self.0.iter().map(|at| now.saturating_duration_since(*at));
        let recent = recent.filter(|ago| *ago < STRIKE_WINDOW);
        recent.map(|ago| u32::try_from(ago.as_millis()).unwrap_or(u32::MAX)).collect()
    }

    /// Goes on with those of another connection.
    pub(super) fn take_on(&mut self, ages: &[u32], now: Instant) {
        if ages.len() > self.0.len() {
            let at = |ago: &u32| now.checked_sub(Duration::from_millis((*ago).into()));
            self.0 = ages.iter().filter_map(at).collect();
        }
    }
}

/// The bytes a view may take: `average` a second, with up to a second's difference to `peak`
/// saved up for a sudden crowd.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByteBudget {
    saved: f32,
    refill: f32,
    saved_max: f32,
    most_at_once: f32,
}

impl ByteBudget {
    /// A full budget. Bytes a second; `ticks` a second.
    pub(super) fn new(average: u32, peak: u32, ticks: f32) -> Self {
        let saved_max = peak.saturating_sub(average).max(average / 10) as f32;
        Self {
            saved: saved_max,
            refill: average as f32 / ticks,
            saved_max,
            most_at_once: peak as f32 / ticks,
        }
    }

    /// A tick has passed: what may be sent in it.
    pub(super) fn refill(&mut self) -> usize {
        self.saved = (self.saved + self.refill).min(self.saved_max + self.refill);
        self.allowed()
    }

    /// What may be sent now.
    pub(super) fn allowed(&self) -> usize {
        self.saved.min(self.most_at_once).max(0.0) as usize
    }

    /// What may be sent now at the cost of the time to come.
    pub(super) fn borrowed(&self) -> usize {
        (self.saved + self.saved_max).max(0.0) as usize
    }

    /// So many bytes were sent; more than allowed is owed.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.saved = (self.saved - bytes as f32).max(-self.saved_max);
    }
}

/// One client's bytes, shared out: whatever happens around it, it goes on seeing who moves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budgets {
    /// All of it, whoever uses it.
    pub view: ByteBudget,
    /// Of that, what events may take: a third. Those that concern it are told even where they take
    /// more.
    pub events: ByteBudget,
    /// Of that, what descriptions may take that are told again: an eighth.
    pub again: ByteBudget,
    /// Bytes of positions that a tick has room for whatever else was sent: half of the average.
    pub positions: usize,
}

impl Budgets {
    /// Full ones, of so many bytes a second; `ticks` a second.
    pub(super) fn new(average: u32, peak: u32, ticks: f32) -> Self {
        Self {
            view: ByteBudget::new(average, peak, ticks),
            // Blows come in bursts: in one tick they may take half of what the peak allows.
            events: ByteBudget::new(average / 3, peak / 2, ticks),
            again: ByteBudget::new(average / 8, peak / 8, ticks),
            positions: (average as f32 / ticks / 2.0) as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_strikes_count_only_within_ten_seconds() {
        let start = crate::tick::now();
        let mut strikes = Strikes::default();
        assert!(!strikes.strike(start, 3));
        assert!(!strikes.strike(start + Duration::from_secs(1), 3));
        assert!(!strikes.strike(start + Duration::from_secs(10), 3), "the first is forgotten");
        assert!(strikes.strike(start + Duration::from_millis(10_500), 3));
    }

    #[test]
    fn strikes_go_along_to_another_connection() {
        let start = crate::tick::now();
        let (mut old, mut new) = (Strikes::default(), Strikes::default());
        old.strike(start, 3);
        old.strike(start + Duration::from_secs(4), 3);
        let now = start + Duration::from_secs(5);
        new.take_on(&old.ages(now), now);
        new.take_on(&old.ages(now), now);
        assert!(new.strike(start + Duration::from_secs(6), 3));
        assert!(old.ages(start + Duration::from_secs(20)).is_empty());
    }

    #[test]
    fn a_view_stays_within_average_and_peak() {
        let mut budget = ByteBudget::new(30_000, 60_000, 20.0);
        let mut total = 0;
        for tick in 0..200 {
            let allowed = budget.refill();
            assert!(allowed <= 3_000, "peak in tick {tick}");
            budget.spend(allowed);
            total += allowed;
        }
        assert!((300_000..=330_000).contains(&total), "{total}");
    }
}
