//! Words that players choose: names and chat texts, checked once, then carried as what they are.
//!
//! Who holds a [`Name`] or a [`ChatText`] need not check it again: it is in NFC, within its
//! length, and free of characters that could break a line, turn text round or hide in it.

use std::fmt;
use std::sync::Arc;

use unicode_normalization::char::is_combining_mark;
use unicode_normalization::{UnicodeNormalization, is_nfc};
use unicode_script::{Script, ScriptExtension, UnicodeScript};

use crate::limits::{CHAT_TEXT_MAX, NAME_MAX, NAME_MIN};

/// A player's, guild's or room's name: 3 to 16 letters, digits or `_`, of one script, in NFC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// A text that may be shown to others: 1 to 256 characters, NFC, no control or bidi characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatText(Arc<str>);

const LENGTH_RULE: &str = "a name has 3 to 16 characters";
const LETTERS_RULE: &str = "a name has letters, digits and _ only";
const SCRIPT_RULE: &str = "the letters of a name are of one script";
const START_RULE: &str = "a name has at least one letter";

/// Vowel signs and tone marks on one letter.
const SIGNS_MAX: usize = 2;
/// NFC makes at most one character of three, and never more characters than this many times.
const NFC_SLACK: usize = 4;

impl Name {
    /// Checks a name. Letters are those of one Unicode script (their script extensions have one
    /// in common), with its own vowel signs; digits are 0-9.
    ///
    /// # Errors
    /// Says in words for the user what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.chars().nth(NAME_MAX * NFC_SLACK).is_some() {
            return Err(LENGTH_RULE);
        }
        let name: String = text.nfc().collect();
        if !(NAME_MIN..=NAME_MAX).contains(&name.chars().count()) {
            return Err(LENGTH_RULE);
        }
        let mut script: Option<ScriptExtension> = None;
        let mut signs = 0;
        for c in name.chars().filter(|c| !c.is_ascii_digit() && *c != '_') {
            let scripts = c.script_extension();
            // Accents that any script may borrow (their script is Inherited) are no letters: what
            // has a letter of its own with one is that letter in NFC.
            let sign = is_combining_mark(c) && script.is_some() && c.script() != Script::Inherited;
            signs = if sign { signs + 1 } else { 0 };
            if signs > SIGNS_MAX || is_combining_mark(c) && !sign {
                return Err(LETTERS_RULE);
            }
            let of_a_script = !scripts.is_common() && !scripts.is_inherited();
            if !(c.is_alphabetic() || sign) || !of_a_script || looks_empty(c) {
                return Err(LETTERS_RULE);
            }
            let shared = script.map_or(scripts, |so_far| so_far.intersection(scripts));
            if shared.is_empty() {
                return Err(SCRIPT_RULE);
            }
            script = Some(shared);
        }
        if script.is_none() {
            return Err(START_RULE);
        }
        Ok(Self(name.into()))
    }

    /// As chosen.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As compared: two names are the same if these are (NFKC, case-folded).
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
        if text.is_empty() || text.chars().all(char::is_whitespace) {
            return Err("a text has at least one character");
        }
        if text.chars().nth(CHAT_TEXT_MAX).is_some() {
            return Err("a text has at most 256 characters");
        }
        if text.chars().any(is_refused_in_text) {
            return Err("a text has no control, direction, invisible or private-use characters");
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

/// NFKC and full case folding. Folding by way of upper case takes the letters that have no
/// one-to-one partner along (ß and SS, ς and σ, ı and i). One round can undo another's work, so
/// it goes on until nothing changes; two rounds do for every character there is.
fn fold(text: &str) -> String {
    const ROUNDS_MAX: usize = 8;
    let mut folded: String = text.nfkc().collect();
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

/// Letters by Unicode's word that show nothing: Hangul fillers and Khmer inherent vowels.
fn looks_empty(c: char) -> bool {
    matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{17b4}' | '\u{17b5}')
}

/// What must not be in a text that others see.
fn is_refused_in_text(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    c.is_control() || is_format(c) || is_private(c) || looks_empty(c)
}

/// Unicode's format characters (bidi controls, zero-width ones, tags) with the line and paragraph
/// separators and the variation selectors beyond emoji's, as of Unicode 16.
fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Private use and non-characters: they look like something else on each machine.
fn is_private(c: char) -> bool {
    let code = c as u32;
    matches!(code, 0xe000..=0xf8ff | 0xfdd0..=0xfdef | 0xf_0000..) || code & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_many_scripts_are_taken() {
        for good in [
            "Ann",
            "wolf_77",
            "Ëlodie",
            "Мария",
            "Ελένη",
            "שלום",
            "محمد",
            "हिन्दी",
            "さくらー",
            "李小龙",
            "홍길동",
            "x_1",
        ] {
            assert!(Name::parse(good).is_ok(), "{good}: {:?}", Name::parse(good));
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_its_reason() {
        for (bad, reason) in [
            ("ab", LENGTH_RULE),
            ("", LENGTH_RULE),
            ("seventeen_letters", LENGTH_RULE),
            ("a b c", LETTERS_RULE),
            ("rob';--", LETTERS_RULE),
            ("tab\tbed", LETTERS_RULE),
            ("new\nline", LETTERS_RULE),
            ("zero\u{200b}width", LETTERS_RULE),
            ("turn\u{202e}ed", LETTERS_RULE),
            ("fill\u{3164}er", LETTERS_RULE),
            ("\u{3164}\u{3164}\u{3164}", LETTERS_RULE),
            ("a\u{300}\u{301}\u{302}bc", LETTERS_RULE),
            ("\u{1d400}\u{1d401}\u{1d402}", LETTERS_RULE),
            ("raт", SCRIPT_RULE),
            ("Αpollo", SCRIPT_RULE),
            ("123", START_RULE),
            ("___", START_RULE),
        ] {
            assert_eq!(Name::parse(bad), Err(reason), "{bad:?}");
        }
    }

    #[test]
    fn names_that_look_alike_by_case_or_width_are_the_same() {
        let folded = |text: &str| Name::parse(text).unwrap().folded();
        assert_eq!(folded("ANNA"), folded("anna"));
        assert_eq!(folded("Straße"), folded("STRASSE"));
        assert_eq!(folded("ΟΔΟΣ"), folded("οδος"));
        assert_eq!(folded("Ａｎｎａ"), folded("anna"));
        assert_eq!(folded("e\u{301}lan"), folded("Élan"));
        assert_ne!(folded("anna"), folded("ann_a"));
    }

    #[test]
    fn texts_are_trimmed_and_bounded() {
        assert_eq!(ChatText::parse("  hello there \r\n").unwrap().as_str(), "hello there");
        assert_eq!(ChatText::parse("e\u{301}").unwrap().as_str(), "é");
        assert!(ChatText::parse(&"x".repeat(256)).is_ok());
        assert!(ChatText::parse(&"x".repeat(257)).is_err());
        assert!(ChatText::parse(&"x".repeat(100_000)).is_err());
        for empty in ["", " ", "\n\t", "\u{3000}"] {
            assert!(ChatText::parse(empty).is_err(), "{empty:?}");
        }
        assert!(ChatText::parse("heart ❤\u{fe0f} 漢字 'quoted'; DROP TABLE").is_ok());
    }

    #[test]
    fn nothing_that_hides_or_turns_text_is_taken() {
        for code in [
            0x0, 0x7, 0xa, 0x1b, 0x7f, 0x85, 0x9b, 0xad, 0x61c, 0x200b, 0x200d, 0x200e, 0x200f,
            0x2028, 0x2029, 0x202a, 0x202e, 0x2060, 0x2066, 0x2069, 0x3164, 0xe000, 0xfeff, 0xfffe,
            0xfdd0, 0xe0041, 0xf_0000, 0x10_fffd,
        ] {
            let text = format!("a{}b", char::from_u32(code).unwrap());
            assert!(ChatText::parse(&text).is_err(), "{code:#x}");
        }
    }

    proptest! {
        #[test]
        fn any_string_is_a_name_or_refused(text in any::<String>()) {
            if let Ok(name) = Name::parse(&text) {
                prop_assert_eq!(&Name::parse(name.as_str()).unwrap(), &name);
                prop_assert!((NAME_MIN..=NAME_MAX).contains(&name.as_str().chars().count()));
            }
        }

        #[test]
        fn a_name_of_letters_stays_itself(text in "[\\p{L}\\p{M}0-9_]{1,20}") {
            if let Ok(name) = Name::parse(&text) {
                prop_assert_eq!(&Name::parse(name.as_str()).unwrap(), &name);
            }
        }

        #[test]
        fn folding_twice_is_folding_once(text in any::<String>()) {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn any_string_is_a_text_or_refused(text in any::<String>()) {
            if let Ok(parsed) = ChatText::parse(&text) {
                prop_assert_eq!(&ChatText::parse(parsed.as_str()).unwrap(), &parsed);
                prop_assert!(!parsed.as_str().chars().any(char::is_control));
            }
        }
    }

    #[test]
    fn every_character_folds_to_the_same_when_folded_again() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let once = fold(c.encode_utf8(&mut [0; 4]));
            assert_eq!(fold(&once), once, "{:#x}", c as u32);
        }
    }
}
