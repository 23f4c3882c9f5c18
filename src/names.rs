//! Words that players choose: names and chat texts, checked once, then carried as what they are.
//!
//! Who holds a [`Name`] or a [`ChatText`] need not check it again.

use std::fmt;
use std::sync::Arc;

/// A player's, guild's or room's name: 3 to 16 letters, digits or `_`, of one script, in NFC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// A text that may be shown to others: 1 to 256 characters, NFC, no control or bidi characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatText(Arc<str>);

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// Says in words for the user what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let _ = text;
        todo!()
    }

    /// As chosen.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As compared: two names are the same if these are (NFKC, case-folded).
    pub fn folded(&self) -> String {
        todo!()
    }

    /// For sharing without a copy.
    pub fn key(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl ChatText {
    /// Checks a text.
    ///
    /// # Errors
    /// Says in words for the user what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let _ = text;
        todo!()
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For sharing without a copy.
    pub fn key(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ChatText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
