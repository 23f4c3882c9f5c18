//! Argon2id: what a secret is stored as, and how one is checked.
//!
//! Called on the hashing thread and by the command line, never on an async thread: one call costs
//! some 20 ms. No secret and no hash ever reaches a log.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

/// Most memory that a stored hash may ask for, KiB. What is above was not made by this program.
const STORED_MEMORY_MAX: u32 = 256 * 1024;
/// Most passes that a stored hash may ask for.
const STORED_PASSES_MAX: u32 = 16;
/// Most lanes that a stored hash may ask for.
const STORED_LANES_MAX: u32 = 16;

/// `[login.argon2]` of the configuration: the cost of a new hash. Old ones keep theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Argon2Config {
    /// Memory, KiB: 8 to 262,144.
    pub memory_kib: u32,
    /// Passes over it: 1 to 16.
    pub passes: u32,
    /// Lanes: 1 to 16. Computed one after the other.
    pub lanes: u32,
}

impl Default for Argon2Config {
    fn default() -> Self {
        Self { memory_kib: 19_456, passes: 2, lanes: 1 }
    }
}

impl Argon2Config {
    /// What is wrong with the values, each with its key and the allowed range.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(8..=STORED_MEMORY_MAX).contains(&self.memory_kib) || self.memory_kib < 8 * self.lanes {
            problems.push(format!(
                "login.argon2.memory_kib must be 8 for each lane to {STORED_MEMORY_MAX}"
            ));
        }
        if !(1..=STORED_PASSES_MAX).contains(&self.passes) {
            problems.push(format!("login.argon2.passes must be 1 to {STORED_PASSES_MAX}"));
        }
        if !(1..=STORED_LANES_MAX).contains(&self.lanes) {
            problems.push(format!("login.argon2.lanes must be 1 to {STORED_LANES_MAX}"));
        }
        problems
    }
}

/// Why nothing was hashed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The configured cost is not possible.
    #[error("impossible argon2 parameters: {0}")]
    Parameters(String),
    /// The stored text is no Argon2id hash, or one at an absurd cost.
    #[error("the stored hash is not one of ours: {0}")]
    Stored(String),
}

/// Makes and checks hashes at one cost. It computes on the caller's thread.
#[derive(Clone)]
pub struct SecretHasher {
    argon2: Argon2<'static>,
    /// A hash of nothing anybody knows, at the same cost as a real one.
    dummy: Arc<str>,
}

impl SecretHasher {
    /// A hasher at that cost.
    ///
    /// # Errors
    /// If the parameters are not possible.
    pub fn new(config: Argon2Config) -> Result<Self, HashError> {
        let impossible = |error: &dyn std::fmt::Display| HashError::Parameters(error.to_string());
        let params = Params::new(config.memory_kib, config.passes, config.lanes, None)
            .map_err(|error| impossible(&error))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let unknowable: [u8; 32] = rand::random();
        let dummy = argon2.hash_password(&unknowable).map_err(|error| impossible(&error))?;
        Ok(Self { argon2, dummy: dummy.to_string().into() })
    }

    /// The PHC string of a secret under a new random salt.
    ///
    /// # Errors
    /// If the parameters are not possible; they were when this was made.
    pub fn hash(&self, secret: &str) -> Result<String, HashError> {
        self.argon2
            .hash_password(secret.as_bytes())
            .map(|hash| hash.to_string())
            .map_err(|error| HashError::Parameters(error.to_string()))
    }

    /// Whether the secret is the one that was hashed. Takes as long without a stored hash, and is
    /// then never so.
    ///
    /// # Errors
    /// If the stored text is no hash of this program.
    pub fn verify(&self, secret: &str, stored: Option<&str>) -> Result<bool, HashError> {
        let foreign = |error: &dyn std::fmt::Display| HashError::Stored(error.to_string());
        let hash = PasswordHash::new(stored.unwrap_or(&self.dummy)).map_err(|e| foreign(&e))?;
        if hash.algorithm != ARGON2ID_IDENT {
            return Err(foreign(&"it is not argon2id"));
        }
        let params = Params::try_from(&hash).map_err(|error| foreign(&error))?;
        if params.m_cost() > STORED_MEMORY_MAX
            || params.t_cost() > STORED_PASSES_MAX
            || params.p_cost() > STORED_LANES_MAX
        {
            return Err(foreign(&"its cost is absurd"));
        }
        let fits = self.argon2.verify_password(secret.as_bytes(), &hash).is_ok();
        Ok(fits && stored.is_some())
    }
}

impl std::fmt::Debug for SecretHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretHasher").finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// As cheap as Argon2 gets.
    pub(crate) const TINY: Argon2Config = Argon2Config { memory_kib: 8, passes: 1, lanes: 1 };

    #[test]
    fn only_the_right_secret_fits() {
        let hasher = SecretHasher::new(TINY).unwrap();
        let stored = hasher.hash("right").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{stored}");
        assert_ne!(stored, hasher.hash("right").unwrap(), "each has its own salt");
        assert_eq!(hasher.verify("right", Some(&stored)), Ok(true));
        assert_eq!(hasher.verify("wrong", Some(&stored)), Ok(false));
        assert_eq!(hasher.verify("", Some(&stored)), Ok(false));
    }

    #[test]
    fn nobody_has_no_secret_at_the_same_cost() {
        let hasher = SecretHasher::new(TINY).unwrap();
        assert_eq!(hasher.verify("anything", None), Ok(false));
        assert!(hasher.dummy.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
    }

    #[test]
    fn a_hash_at_another_cost_is_checked_at_its_own() {
        let old = SecretHasher::new(Argon2Config { passes: 3, ..TINY }).unwrap();
        let stored = old.hash("right").unwrap();
        assert_eq!(SecretHasher::new(TINY).unwrap().verify("right", Some(&stored)), Ok(true));
    }

    #[test]
    fn what_is_stored_is_not_trusted() {
        let hasher = SecretHasher::new(TINY).unwrap();
        let good = hasher.hash("right").unwrap();
        for bad in [
            String::new(),
            "secret".to_owned(),
            good.replace("argon2id", "argon2i"),
            good.replace("m=8", "m=4194304"),
            good.replace("t=1", "t=4000000000"),
            good.replace("p=1", "p=255").replace("m=8", "m=4096"),
        ] {
            let answer = hasher.verify("right", Some(&bad));
            assert!(matches!(answer, Err(HashError::Stored(_))), "{bad}: {answer:?}");
        }
    }

    #[test]
    fn impossible_costs_are_refused() {
        assert!(SecretHasher::new(Argon2Config { memory_kib: 1, ..TINY }).is_err());
        assert_eq!(Argon2Config::default().problems(), [""; 0]);
        assert_eq!(Argon2Config { memory_kib: 8, passes: 0, lanes: 99 }.problems().len(), 3);
    }
}
