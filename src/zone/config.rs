//! `[zone]` of the configuration, with the ranges of its values. `config/` reads it; nothing here
//! looks anything up.

use serde::{Deserialize, Serialize};

/// `[zone]` of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ZoneConfig {
    /// Most players in one zone.
    pub max_players: usize,
    /// Seconds between two saves of those that changed: what a crash loses at most.
    pub save_seconds: u64,
    /// Seconds for which a player stands whose gateway has vanished, so that its client can go on
    /// over another one.
    pub orphan_seconds: u64,
    /// Ticks overrun in a row after which a zone slows its time.
    pub overruns_before_dilation: u32,
    /// Slowest a zone's time may run, share of real time.
    pub dilation_floor: f64,
    /// Seed of all chance; 0: a new one at each start.
    pub seed: u64,
}

impl Default for ZoneConfig {
    fn default() -> Self {
        Self {
            max_players: 10_000,
            save_seconds: 5,
            orphan_seconds: 60,
            overruns_before_dilation: 3,
            dilation_floor: 0.25,
            seed: 0,
        }
    }
}

impl ZoneConfig {
    /// What is wrong with the values, each with its key and the allowed range.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut range = |key: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                problems.push(format!("zone.{key} must be {least} to {most}"));
            }
        };
        range("max_players", self.max_players as u64, 1, 50_000);
        range("save_seconds", self.save_seconds, 1, 3_600);
        range("orphan_seconds", self.orphan_seconds, 1, 3_600);
        range("overruns_before_dilation", u64::from(self.overruns_before_dilation), 1, 1_000);
        if !(0.1..=1.0).contains(&self.dilation_floor) {
            problems.push("zone.dilation_floor must be 0.1 to 1".to_owned());
        }
        problems
    }
}
