//! Names that nobody may choose, because others would take their bearer for the server or for one
//! of its operators.
//!
//! Asked by the login role for accounts and by the chat role for guilds and rooms, when they are
//! made; whatever exists already, or is made by an operator's command, keeps its name.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Name, fold};

/// `[names]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NamesConfig {
    /// Words that no account, guild or room may be called, also with other case, digits or `_`.
    pub reserved: Vec<String>,
}

/// Words in the list.
const WORDS_MAX: usize = 1_000;

impl Default for NamesConfig {
    fn default() -> Self {
        let words = [
            "admin",
            "administrator",
            "gamemaster",
            "gm",
            "mod",
            "moderator",
            "operator",
            "root",
            "server",
            "staff",
            "support",
            "system",
            "throng",
        ];
        Self { reserved: words.map(str::to_owned).to_vec() }
    }
}

impl NamesConfig {
    /// What is wrong with the values, each with its key and the allowed range.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.reserved.len() > WORDS_MAX {
            problems.push(format!("names.reserved has at most {WORDS_MAX} words"));
        }
        let empty = self.reserved.iter().find(|word| letters(&fold(word)).is_empty());
        if let Some(word) = empty {
            problems.push(format!("names.reserved has words with letters, which {word:?} is not"));
        }
        problems
    }
}

/// The list, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct Reserved(BTreeSet<String>);

impl Reserved {
    /// Makes the list of a configuration.
    pub fn new(config: &NamesConfig) -> Self {
        Self(config.reserved.iter().map(|word| letters(&fold(word))).collect())
    }

    /// Whether a name is one of them: by its letters alone, so that `Admin_1` is one too.
    pub fn holds(&self, name: &Name) -> bool {
        self.0.contains(&letters(&name.folded()))
    }
}

fn letters(folded: &str) -> String {
    folded.chars().filter(|c| !c.is_ascii_digit() && *c != '_').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_official_are_held_and_others_are_not() {
        let reserved = Reserved::new(&NamesConfig::default());
        let holds = |text: &str| reserved.holds(&Name::parse(text).unwrap());
        for held in [
            "system",
            "Server",
            "ADMIN",
            "Admin_1",
            "_gm",
            "gm2",
            "mo_d",
            "Ｓｙｓｔｅｍ",
            "s_y_s_t_e_m",
        ] {
            assert!(holds(held), "{held}");
        }
        for free in ["Adam", "servant", "systematic", "model", "Gmelina", "supporter"] {
            assert!(!holds(free), "{free}");
        }
        let own = NamesConfig { reserved: vec!["Wächter".into()] };
        assert!(Reserved::new(&own).holds(&Name::parse("wa\u{308}chter9").unwrap()));
        assert!(!Reserved::new(&own).holds(&Name::parse("admin").unwrap()));
    }

    #[test]
    fn a_list_of_nothing_is_allowed_and_a_word_of_nothing_is_not() {
        assert_eq!(NamesConfig::default().problems(), [""; 0]);
        assert_eq!(NamesConfig { reserved: vec![] }.problems(), [""; 0]);
        assert_eq!(NamesConfig { reserved: vec!["__".into()] }.problems().len(), 1);
        let many = NamesConfig { reserved: vec!["word".into(); 1_001] };
        assert_eq!(many.problems().len(), 1);
    }
}
