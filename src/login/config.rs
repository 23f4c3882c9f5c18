//! `[login]` of the configuration.

use serde::{Deserialize, Serialize};

use super::attempts::AttemptLimits;
use super::hashing::Argon2Config;

/// What happens when an account that plays logs in again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplicate {
    /// The newest log-in wins; the older session is told to go when the newer enters.
    #[default]
    Kick,
    /// The newer log-in is refused, unless it comes from the same device.
    Reject,
}

/// `[login]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoginConfig {
    /// What happens when an account that plays logs in again.
    pub duplicate: Duplicate,
    /// Oldest client that is let in, "major.minor.patch".
    pub minimum_client_version: String,
    /// Log-ins and registrations in progress at once, 1 to 100,000; more are sent away.
    pub queue_length: usize,
    /// Failed log-ins within a minute to one name from one device or network, 1 to 1,000. Strangers
    /// have four times as many together, and then take turns; where the owner has logged in before
    /// they count for nothing.
    pub failures_per_name: u32,
    /// Failed log-ins within a minute from one address (IPv6: one /64), 1 to 100,000.
    pub failures_per_address: u32,
    /// Registrations within a minute from one address, 1 to 1,000,000.
    pub registrations_per_address: u32,
    /// Whether that limit holds for this machine's own addresses too. Set it where a proxy on this
    /// machine passes strangers on.
    pub limit_local_registrations: bool,
    /// Cost of a new hash.
    pub argon2: Argon2Config,
}

impl Default for LoginConfig {
    fn default() -> Self {
        Self {
            duplicate: Duplicate::default(),
            minimum_client_version: "0.1.0".into(),
            queue_length: 1_000,
            failures_per_name: 5,
            failures_per_address: 20,
            registrations_per_address: 10,
            limit_local_registrations: false,
            argon2: Argon2Config::default(),
        }
    }
}

impl LoginConfig {
    /// What is wrong with the values, each with its key and the allowed range.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.argon2.problems();
        let mut range = |key: &str, value: u64, most: u64| {
            if !(1..=most).contains(&value) {
                problems.push(format!("login.{key} must be 1 to {most}"));
            }
        };
        range("queue_length", self.queue_length as u64, 100_000);
        range("failures_per_name", u64::from(self.failures_per_name), 1_000);
        range("failures_per_address", u64::from(self.failures_per_address), 100_000);
        range("registrations_per_address", u64::from(self.registrations_per_address), 1_000_000);
        if self.minimum_version().is_none() {
            problems.push("login.minimum_client_version must be \"major.minor.patch\"".to_owned());
        }
        problems
    }

    /// The oldest client's version as numbers; none if it is no version.
    pub fn minimum_version(&self) -> Option<(u32, u32, u32)> {
        let mut parts = self.minimum_client_version.splitn(3, '.').map(|part| part.parse().ok());
        let mut part = || parts.next().flatten();
        Some((part()?, part()?, part()?))
    }

    pub(super) fn limits(&self) -> AttemptLimits {
        AttemptLimits {
            by_name: self.failures_per_name,
            by_address: self.failures_per_address,
            registrations: self.registrations_per_address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_allowed_and_nonsense_is_not() {
        let defaults = LoginConfig::default();
        assert_eq!(defaults.problems(), [""; 0]);
        assert_eq!(defaults.minimum_version(), Some((0, 1, 0)));
        let minimum_client_version = "1.x".to_owned();
        let wrong = LoginConfig { minimum_client_version, queue_length: 0, ..defaults };
        assert_eq!(wrong.problems().len(), 2);
    }

    #[test]
    fn the_file_names_what_it_sets() {
        let read: LoginConfig =
            toml::from_str("duplicate = \"reject\"\n[argon2]\npasses = 3").unwrap();
        assert_eq!((read.duplicate, read.argon2.passes), (Duplicate::Reject, 3));
        assert!(toml::from_str::<LoginConfig>("dupe = \"kick\"").is_err());
    }
}
