//! `[master]` of the configuration.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::balance::Strategy;
use super::registry::Patience;

/// `[master]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MasterConfig {
    /// How newcomers are spread over the gateways.
    pub balancing: Strategy,
    /// Most servers in the registry, 1 to 100,000.
    pub servers_max: usize,
    /// Seconds of silence after which a server of the cluster gets no newcomers, 1 to 3,600.
    pub suspect_seconds: u64,
    /// Seconds of silence after which it is dead; more than `suspect_seconds`.
    pub dead_seconds: u64,
    /// Seconds of silence after which a server registered over HTTP is dead, 1 to 86,400.
    pub http_dead_seconds: u64,
}

impl Default for MasterConfig {
    fn default() -> Self {
        Self {
            balancing: Strategy::default(),
            servers_max: 10_000,
            suspect_seconds: 3,
            dead_seconds: 6,
            http_dead_seconds: 30,
        }
    }
}

impl MasterConfig {
    /// What is wrong with the values, each with its key and the allowed range.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(1..=100_000).contains(&self.servers_max) {
            problems.push("master.servers_max must be 1 to 100000".to_owned());
        }
        if !(1..=3_600).contains(&self.suspect_seconds) {
            problems.push("master.suspect_seconds must be 1 to 3600".to_owned());
        }
        if self.dead_seconds <= self.suspect_seconds || self.dead_seconds > 86_400 {
            problems.push(
                "master.dead_seconds must be more than master.suspect_seconds, at most 86400"
                    .to_owned(),
            );
        }
        if !(1..=86_400).contains(&self.http_dead_seconds) {
            problems.push("master.http_dead_seconds must be 1 to 86400".to_owned());
        }
        problems
    }

    pub(super) fn patience(&self) -> Patience {
        Patience {
            suspect: Duration::from_secs(self.suspect_seconds),
            dead: Duration::from_secs(self.dead_seconds),
            http_dead: Duration::from_secs(self.http_dead_seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_allowed_and_nonsense_is_not() {
        assert_eq!(MasterConfig::default().problems(), [""; 0]);
        let wrong = MasterConfig { servers_max: 0, dead_seconds: 3, ..MasterConfig::default() };
        assert_eq!(wrong.problems().len(), 2);
    }

    #[test]
    fn strategies_have_the_names_of_the_file() {
        for name in
            ["round_robin", "least_connections", "weighted_round_robin", "random", "geographic"]
        {
            let read: Result<MasterConfig, _> = toml::from_str(&format!("balancing = '{name}'"));
            assert!(read.is_ok(), "{name}");
        }
        assert!(toml::from_str::<MasterConfig>("balancing = 'best'").is_err());
    }
}
