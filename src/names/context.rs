//! Which characters may stand where: joiners, marks, selectors and tags are right in one place and a
//! trick in another, so each is looked at among its neighbours.
//!
//! Called by the checks of names and texts alone. The rules are those of Unicode (UAX #31, UTS #39,
//! UTS #51) and of RFC 5892, appendix A; where people write otherwise a chat text is let through,
//! for it is read and not compared.

use unicode_joining_type::{JoiningType, get_joining_type};
use unicode_normalization::char::canonical_combining_class;
use unicode_properties::{GeneralCategory as Category, UnicodeEmoji, UnicodeGeneralCategory};
use unicode_script::{Script, UnicodeScript};

/// U+200C: keeps letters apart that would join.
pub(super) const NON_JOINER: char = '\u{200c}';
/// U+200D: joins what would stand apart.
pub(super) const JOINER: char = '\u{200d}';

/// Nonspacing marks on one character that any script may borrow (UTS #39, 5.4), and those that
/// are of its own script: points and accents of Hebrew scripture take six.
const BORROWED_MARKS_MAX: usize = 4;
const OWN_MARKS_MAX: usize = 6;
/// Marks of all kinds on one character: Burmese takes seven.
const MARKS_MAX: usize = 8;
/// Letters and digits of a flag's tag: country and part of it (`gbsct`).
const FLAG_TAG: std::ops::RangeInclusive<usize> = 3..=6;

/// Whether one of the two joiners.
pub(super) fn is_joiner(c: char) -> bool {
    matches!(c, NON_JOINER | JOINER)
}

/// Whether a mark: it stands on, under, in or beside a letter.
pub(super) fn is_mark(c: char) -> bool {
    matches!(
        c.general_category(),
        Category::NonspacingMark | Category::SpacingMark | Category::EnclosingMark
    )
}

/// Whether it takes no place of its own.
pub(super) fn is_nonspacing(c: char) -> bool {
    matches!(c.general_category(), Category::NonspacingMark | Category::EnclosingMark)
}

/// Whether an accent that any script may borrow.
pub(super) fn is_borrowed(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Whether it picks one of several forms of the character before it.
pub(super) fn is_selector(c: char) -> bool {
    matches!(c, '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Letters by Unicode's word that show nothing: Hangul fillers and Khmer inherent vowels.
pub(super) fn looks_empty(c: char) -> bool {
    matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{17b4}' | '\u{17b5}')
}

/// Whether the character at `at` may stand there in a text that others see.
pub(super) fn fits_in_text(text: &[char], at: usize) -> bool {
    let Some(&c) = text.get(at) else { return false };
    match c {
        _ if c.is_ascii() => !c.is_ascii_control(),
        NON_JOINER => fits_in_name(text, at) || between_joining_scripts(text, at),
        JOINER => fits_in_name(text, at) || joins_emoji(text, at) || shapes(text, at),
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => selects(text, at),
        '\u{180b}'..='\u{180f}' => before(text, at).is_some_and(|c| is_of(c, Script::Mongolian)),
        '\u{e0020}'..='\u{e007f}' => in_flag(text, at),
        // They enclose the number that follows.
        '\u{600}'..='\u{605}' | '\u{6dd}' | '\u{890}' | '\u{891}' | '\u{8e2}' => true,
        '\u{34f}' => false,
        _ if looks_empty(c) => false,
        _ if is_mark(c) => is_on_a_base(text, at),
        _ => !matches!(
            c.general_category(),
            Category::Control
                | Category::Format
                | Category::PrivateUse
                | Category::Surrogate
                | Category::Unassigned
                | Category::LineSeparator
                | Category::ParagraphSeparator
        ),
    }
}

/// Whether the joiner at `at` may stand there in a name: after a virama (CONTEXTJ); in Bengali
/// also before one, where it keeps the first letter whole; the non-joiner also between letters
/// that would join.
pub(super) fn fits_in_name(text: &[char], at: usize) -> bool {
    let virama = |c: Option<char>| c.is_some_and(|c| canonical_combining_class(c) == 9);
    if virama(before(text, at)) {
        return true;
    }
    if text.get(at) == Some(&JOINER) {
        return virama(after(text, at)) && before(text, at).is_some_and(|c| c.is_alphabetic());
    }
    let (left, right) = (neighbour_before(text, at), neighbour_after(text, at));
    left.is_some_and(joins_left) && right.is_some_and(joins_right)
}

/// Joins the letter after it.
fn joins_left(c: char) -> bool {
    matches!(get_joining_type(c), JoiningType::LeftJoining | JoiningType::DualJoining)
}

/// Joins the letter before it.
fn joins_right(c: char) -> bool {
    matches!(get_joining_type(c), JoiningType::RightJoining | JoiningType::DualJoining)
}

fn before(text: &[char], at: usize) -> Option<char> {
    at.checked_sub(1).and_then(|at| text.get(at)).copied()
}

fn after(text: &[char], at: usize) -> Option<char> {
    text.get(at + 1).copied()
}

/// The next character to the left that is no mark.
fn neighbour_before(text: &[char], at: usize) -> Option<char> {
    text.get(..at)?.iter().rev().copied().find(|c| !is_transparent(*c))
}

/// The next character to the right that is no mark.
fn neighbour_after(text: &[char], at: usize) -> Option<char> {
    text.get(at + 1..)?.iter().copied().find(|c| !is_transparent(*c))
}

fn is_transparent(c: char) -> bool {
    !is_joiner(c) && get_joining_type(c) == JoiningType::Transparent
}

fn is_of(c: char, script: Script) -> bool {
    c.script_extension().contains_script(script)
}

/// Between two letters of a script that joins, even if these two would not: many type it so.
fn between_joining_scripts(text: &[char], at: usize) -> bool {
    let joining = |c: char| {
        c.is_alphabetic()
            && [
                Script::Arabic,
                Script::Syriac,
                Script::Nko,
                Script::Mandaic,
                Script::Mongolian,
                Script::Phags_Pa,
                Script::Adlam,
                Script::Hanifi_Rohingya,
            ]
            .into_iter()
            .any(|script| c.script() != Script::Common && is_of(c, script))
    };
    neighbour_before(text, at).is_some_and(joining)
        && neighbour_after(text, at).is_some_and(joining)
}

/// After a letter that joins and before none: it gives the letter its joining shape.
fn shapes(text: &[char], at: usize) -> bool {
    let free = |c: char| !joins_right(c) && !is_joiner(c);
    neighbour_before(text, at).is_some_and(joins_left) && neighbour_after(text, at).is_none_or(free)
}

/// Between two pictures, the left one perhaps with a selector, a skin tone or a flag's tag.
fn joins_emoji(text: &[char], at: usize) -> bool {
    let decoration =
        |c: &char| matches!(c, '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}');
    let Some(left) = text.get(..at) else { return false };
    let left = left.iter().rev().copied().find(|c| !decoration(c));
    left.is_some_and(is_picture) && after(text, at).is_some_and(is_picture)
}

/// A picture that may stand alone, not a digit, a flag's letter or a skin tone.
fn is_picture(c: char) -> bool {
    let part = matches!(c, '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f3fb}'..='\u{1f3ff}');
    !c.is_ascii() && !part && c.is_emoji_char()
}

/// A selector after what has more than one form: pictures and symbols, keycaps, Han and some other
/// letters.
fn selects(text: &[char], at: usize) -> bool {
    let (Some(&selector), Some(base)) = (text.get(at), before(text, at)) else { return false };
    let symbol = matches!(
        base.general_category(),
        Category::MathSymbol | Category::OtherSymbol | Category::OtherPunctuation
    ) && !base.is_ascii();
    let letter = |scripts: &[Script]| scripts.iter().any(|script| base.script() == *script);
    match selector {
        '\u{fe0e}' | '\u{fe0f}' => {
            let keycap =
                matches!(base, '0'..='9' | '#' | '*') && after(text, at) == Some('\u{20e3}');
            keycap || symbol || (!base.is_ascii() && base.is_emoji_char())
        }
        '\u{fe00}'..='\u{fe0d}' => {
            symbol || letter(&[Script::Han, Script::Myanmar, Script::Phags_Pa])
        }
        _ => letter(&[Script::Han]),
    }
}

/// In the tag of a flag, which is complete: a black flag, letters and digits, the end.
fn in_flag(text: &[char], at: usize) -> bool {
    const FLAG: char = '\u{1f3f4}';
    const END: char = '\u{e007f}';
    let tag = |c: &char| matches!(c, '\u{e0030}'..='\u{e0039}' | '\u{e0061}'..='\u{e007a}');
    let (Some(left), Some(right)) = (text.get(..at), text.get(at..)) else { return false };
    let begun = left.iter().rev().take_while(|c| tag(c)).count();
    let more = right.iter().take_while(|c| tag(c)).count();
    before(text, at - begun) == Some(FLAG)
        && right.get(more) == Some(&END)
        && FLAG_TAG.contains(&(begun + more))
}

/// A mark on something that is seen, among not too many.
fn is_on_a_base(text: &[char], at: usize) -> bool {
    let (mut marks, mut nonspacing) = (0, 0);
    let upto = text.get(..=at).unwrap_or_default();
    for &c in upto.iter().rev() {
        if is_mark(c) && !is_selector(c) {
            marks += 1;
            nonspacing += usize::from(is_nonspacing(c));
            if marks > MARKS_MAX {
                return false;
            }
        } else if !is_mark(c) && !is_joiner(c) {
            let borrowed = text.get(at).is_some_and(|c| is_borrowed(*c));
            let most = if borrowed { BORROWED_MARKS_MAX } else { OWN_MARKS_MAX };
            return nonspacing <= most && (c == '\u{a0}' || !c.is_whitespace());
        }
    }
    false
}
