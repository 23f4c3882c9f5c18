//! Words that players choose: names, chat texts and passwords, checked once, then carried as what
//! they are.
//!
//! Who holds a [`Name`] or a [`ChatText`] need not check it again: it is in NFC, within its
//! length, and free of characters that could break a line, turn text round or hide in it. What
//! looks like a trick in one language is a letter in another, so characters are judged by their
//! neighbours, in `context.rs`.

mod context;
mod password;
mod reserved;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use unicode_normalization::char::{canonical_combining_class, decompose_canonical};
use unicode_normalization::{UnicodeNormalization, is_nfc};
use unicode_script::{Script, ScriptExtension, UnicodeScript};

use crate::limits::{CHAT_TEXT_MAX, NAME_BYTES_MAX, NAME_MAX, NAME_MIN};
use context::{fits_in_name, fits_in_text, is_borrowed, is_joiner, is_mark, is_nonspacing};
pub use password::{check_new_password, normal_password};
pub use reserved::{NamesConfig, Reserved};

/// A player's, guild's or room's name: 3 to 16 letters, digits or `_`, of one script or of scripts
/// that are written together, in NFC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// A text that may be shown to others: 1 to 256 characters, NFC, no control or bidi characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatText(Arc<str>);

const LENGTH_RULE: &str = "a name has 3 to 16 characters";
const LETTERS_RULE: &str = "a name has letters, digits and _ only";
const SCRIPT_RULE: &str = "the letters of a name are of one script";
const START_RULE: &str = "a name has at least one letter";

const TEXT_RULE: &str = "a text has no control, direction or private-use characters, and hidden ones only where letters \
     or pictures need them";

/// A pattern of Braille without dots.
const BLANK: char = '\u{2800}';
/// Vowel signs, points and tone marks on one letter: Burmese takes five.
const SIGNS_MAX: usize = 5;
/// Those of them that take no place of their own: Hebrew and Tibetan take three.
const NONSPACING_MAX: usize = 3;
/// NFC makes at most one character of three, and never more characters than this many times.
const NFC_SLACK: usize = 4;

impl Name {
    /// Checks a name. Letters are those of one Unicode script (their script extensions have one
    /// in common) or of Japanese, Chinese or Korean writing, with their own signs; digits are 0-9.
    /// Joiners stand where the script needs them. A letter with its signs counts as one towards
    /// the most, and each sign counts towards the least.
    ///
    /// # Errors
    /// Says in words for the user what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.chars().nth(NAME_BYTES_MAX * NFC_SLACK).is_some() {
            return Err(LENGTH_RULE);
        }
        let name: String = text.nfc().collect();
        let chars: Vec<char> = name.chars().collect();
        let seen = chars.iter().filter(|c| !is_joiner(**c)).count();
        let letters = chars.iter().filter(|c| !is_joiner(**c) && !is_mark(**c)).count();
        if seen < NAME_MIN || letters > NAME_MAX || name.len() > NAME_BYTES_MAX {
            return Err(LENGTH_RULE);
        }
        let mut writing = Writing::default();
        let mut on_letter = Signs::default();
        for (at, &c) in chars.iter().enumerate() {
            if c.is_ascii_digit() || c == '_' {
                on_letter = Signs::default();
            } else if is_joiner(c) {
                if !fits_in_name(&chars, at) {
                    return Err(LETTERS_RULE);
                }
            } else if is_mark(c) {
                on_letter.add(c)?;
                if !is_borrowed(c) {
                    writing.add(c)?;
                }
            } else {
                on_letter = Signs::on(c)?;
                writing.add(c)?;
            }
        }
        if writing.scripts.is_none() {
            return Err(START_RULE);
        }
        Ok(Self(name.into()))
    }

    /// A name that was checked when it was made, perhaps by rules that were others then: out of
    /// the database, or from another server.
    ///
    /// # Errors
    /// If it could never have been one.
    pub fn made(text: &str) -> Result<Self, &'static str> {
        let plain = |c: char| !c.is_control() && !c.is_whitespace();
        if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.chars().all(plain) {
            return Err(LENGTH_RULE);
        }
        Ok(Self(text.into()))
    }

    /// As chosen.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As compared: two names are the same if these are (NFKC, case-folded, without joiners).
    pub fn folded(&self) -> String {
        fold(&self.0)
    }

    /// For sharing without a copy.
    pub fn key(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl ChatText {
    /// Checks a text: NFC, white space at both ends cut off, 1 to 256 characters, every one of
    /// them visible in its own place.
    ///
    /// # Errors
    /// Says in words for the user what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.chars().nth(CHAT_TEXT_MAX * NFC_SLACK).is_some() {
            return Err("a text has at most 256 characters");
        }
        let normal: String;
        let text = if is_nfc(text) {
            text.trim()
        } else {
            normal = text.nfc().collect();
            normal.trim()
        };
        if text.chars().all(|c| c.is_whitespace() || c == BLANK) {
            return Err("a text has at least one character");
        }
        if text.chars().nth(CHAT_TEXT_MAX).is_some() {
            return Err("a text has at most 256 characters");
        }
        if !text.is_ascii() || text.bytes().any(|byte| byte.is_ascii_control()) {
            let chars: Vec<char> = text.chars().collect();
            if !(0..chars.len()).all(|at| fits_in_text(&chars, at)) {
                return Err(TEXT_RULE);
            }
        }
        Ok(Self(text.into()))
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

/// NFKC and full case folding, without joiners, which show nothing of their own. Folding by way of upper case takes the letters that have no
/// one-to-one partner along (ß and SS, ς and σ, ı and i). One round can undo another's work, so
/// it goes on until nothing changes; two rounds do for every character there is.
fn fold(text: &str) -> String {
    const ROUNDS_MAX: usize = 8;
    let mut folded: String = text.chars().filter(|c| !is_joiner(*c)).nfkc().collect();
    for _ in 0..ROUNDS_MAX {
        let upper = folded.chars().flat_map(char::to_uppercase);
        let next: String = upper.flat_map(char::to_lowercase).nfkc().collect();
        if next == folded {
            break;
        }
        folded = next;
    }
    folded
}

/// The scripts that a name's letters can be of.
#[derive(Default)]
struct Writing {
    /// What all letters so far have in common.
    scripts: Option<ScriptExtension>,
    /// Which ways of writing several scripts together still take all letters.
    mixed: Option<[bool; 3]>,
}

/// Scripts that are written together, and with Latin (UTS #39, "highly restrictive").
const TOGETHER: [&[Script]; 3] = [
    &[Script::Latin, Script::Han, Script::Hiragana, Script::Katakana],
    &[Script::Latin, Script::Han, Script::Bopomofo],
    &[Script::Latin, Script::Han, Script::Hangul],
];

impl Writing {
    fn add(&mut self, c: char) -> Result<(), &'static str> {
        let scripts = c.script_extension();
        if scripts.is_common() || scripts.is_inherited() {
            return Err(LETTERS_RULE);
        }
        let shared = self.scripts.map_or(scripts, |so_far| so_far.intersection(scripts));
        let before = self.mixed.unwrap_or([true; 3]);
        let mut mixed = before;
        for (fits, together) in mixed.iter_mut().zip(TOGETHER) {
            *fits &= together.iter().any(|script| scripts.contains_script(*script));
        }
        if shared.is_empty() && mixed == [false; 3] {
            return Err(SCRIPT_RULE);
        }
        (self.scripts, self.mixed) = (Some(shared), Some(mixed));
        Ok(())
    }
}

/// The signs on the letter that a name has come to.
#[derive(Default)]
struct Signs {
    letter: Option<char>,
    all: usize,
    nonspacing: usize,
    borrowed: usize,
}

impl Signs {
    /// None yet on this letter.
    fn on(c: char) -> Result<Self, &'static str> {
        if !c.is_alphabetic() || context::looks_empty(c) {
            return Err(LETTERS_RULE);
        }
        Ok(Self { letter: Some(c), ..Self::default() })
    }

    /// One more. Of the accents that any script may borrow a letter has one at most, of those that
    /// languages need beside the composed letters, and none where it has one anyway.
    fn add(&mut self, c: char) -> Result<(), &'static str> {
        let letter = self.letter.ok_or(LETTERS_RULE)?;
        self.all += 1;
        self.nonspacing += usize::from(is_nonspacing(c));
        if is_borrowed(c) {
            self.borrowed += 1;
            let script = letter.script();
            let alphabet = matches!(script, Script::Latin | Script::Greek | Script::Cyrillic);
            let needed = matches!(
                c,
                '\u{300}'
                    ..='\u{304}'
                        | '\u{306}'
                        | '\u{308}'
                        | '\u{30c}'
                        | '\u{323}'
                        | '\u{327}'
                        | '\u{328}'
                        | '\u{329}'
                        | '\u{331}'
            );
            if self.borrowed > 1 || !alphabet || !needed || has_one_there(letter, c) {
                return Err(LETTERS_RULE);
            }
        }
        let fits = self.all <= SIGNS_MAX
            && self.nonspacing <= NONSPACING_MAX
            && !context::looks_empty(c)
            && c != '\u{34f}'
            && !context::is_selector(c);
        if fits { Ok(()) } else { Err(LETTERS_RULE) }
    }
}

/// Whether a letter is composed with an accent in the place of this one.
fn has_one_there(letter: char, accent: char) -> bool {
    let place = canonical_combining_class(accent);
    let mut has = false;
    decompose_canonical(letter, |part| has |= canonical_combining_class(part) == place);
    has
}
