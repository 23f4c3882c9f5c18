//! Passwords, where they are seen: by whoever hashes them before they travel.
//!
//! The line protocol and the command line call this, and every client does the same. A server that
//! gets a hash cannot know what it is of, so the least length is kept by these alone.

use unicode_normalization::UnicodeNormalization;

use crate::limits::PASSWORD_MIN;

/// A password as it is hashed: NFC, so that it is the same from any keyboard. What is ASCII stays
/// as it is.
pub fn normal_password(text: &str) -> String {
    text.nfc().collect()
}

/// Checks a password that somebody chooses; one that is there already is taken as it is.
///
/// # Errors
/// Says in words for the user what is wrong with it, and never repeats it.
pub fn check_new_password(text: &str) -> Result<(), &'static str> {
    let normal = normal_password(text);
    if normal.chars().count() < PASSWORD_MIN {
        return Err("a password has at least 8 characters");
    }
    if normal.chars().any(char::is_control) {
        return Err("a password has no control characters");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_same_however_it_is_typed() {
        assert_eq!(normal_password("Pa\u{308}sswo\u{308}rter"), normal_password("Pässwörter"));
        assert_eq!(normal_password("swordfish-9 "), "swordfish-9 ");
    }

    #[test]
    fn a_new_password_is_long_enough_in_any_language() {
        for good in [
            "swordfish-9",
            "12345678",
            "пароль-1",
            "می‌روم‌خانه",
            "密码密码密码密码",
            "🐎🔋📎✅🐎🔋📎✅",
        ] {
            assert_eq!(check_new_password(good), Ok(()), "{good}");
        }
        for bad in ["", "1", "123", "seven77", "a\u{308}o\u{308}u\u{308}e\u{301}", "tab\tbed-12"] {
            assert!(check_new_password(bad).is_err(), "{bad:?}");
        }
        assert_eq!("8".parse(), Ok(PASSWORD_MIN), "the words say the bound");
    }
}
