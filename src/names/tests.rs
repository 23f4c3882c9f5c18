//! Real words of many languages that are taken, and tricks that are not.

use proptest::prelude::*;

use super::*;

#[test]
fn names_of_many_scripts_are_taken() {
    for good in [
        "Ann",
        "wolf_77",
        "Ëlodie",
        "Nguyễn_Thị",
        "Adébáyọ\u{300}",
        "Мария",
        "Київ_їжак",
        "Ελένη",
        "Ὀδυσσεύς",
        "Գայանե",
        "ნინო_შვილი",
        "שלום",
        "שַׁבָּת",
        "محمد",
        "مُحَمَّد",
        "محـــمد",
        "علی\u{200c}رضا",
        "می\u{200c}روم",
        "اردو_شاعر",
        "हिन्दी",
        "क्\u{200d}षत्रिय",
        "বাংলা_গান",
        "র\u{200d}\u{9cd}যাব",
        "தமிழ்_நாடு",
        "తెలుగు",
        "ಕನ್ನಡ",
        "മലയാളം",
        "ശ്രീ",
        "ශ්\u{200d}රී_ලංකා",
        "สมชาย",
        "กตัญญู_ที่นี่",
        "ສະບາຍດີ",
        "မြန်မာ",
        "လျှော့",
        "ភាសាខ្មែរ",
        "བོད་ཡིག".replace('་', "_").as_str(),
        "ᠮᠣᠩᠭᠣᠯ",
        "ኢትዮጵያ",
        "さくらー",
        "山田たろう",
        "ワタナベ恵",
        "Neo龍",
        "李小龙",
        "ㄅㄆㄇ中文",
        "홍길동",
        "金길동",
        "ᏣᎳᎩ",
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
        ("a\u{300}\u{302}bc", LETTERS_RULE),
        ("i\u{307}stanbul", LETTERS_RULE),
        ("\u{301}abc", LETTERS_RULE),
        ("ab1\u{301}", LETTERS_RULE),
        ("ab_\u{93f}", LETTERS_RULE),
        ("an\u{200c}na", LETTERS_RULE),
        ("an\u{200d}na", LETTERS_RULE),
        ("Ан\u{200d}на", LETTERS_RULE),
        ("李\u{200d}小龙", LETTERS_RULE),
        ("र\u{200c}ाम", LETTERS_RULE),
        ("رد\u{200c}م", LETTERS_RULE),
        ("محمد\u{200d}", LETTERS_RULE),
        ("م\u{200c}\u{200c}حمد", LETTERS_RULE),
        ("葛\u{e0100}城市", LETTERS_RULE),
        ("ann\u{fe0f}", LETTERS_RULE),
        ("a\u{34f}bc", LETTERS_RULE),
        ("ann\u{1f600}", LETTERS_RULE),
        ("กก\u{e48}\u{e48}\u{e48}\u{e48}", LETTERS_RULE),
        ("Ἀ\u{20e3}ΒΓ", LETTERS_RULE),
        ("17_letters_are_17x", LENGTH_RULE),
        ("क्\u{200d}", LENGTH_RULE),
        ("raт", SCRIPT_RULE),
        ("さくらабв", SCRIPT_RULE),
        ("さくら한글", SCRIPT_RULE),
        ("ㄅㄆ한글", SCRIPT_RULE),
        ("한글カナ", SCRIPT_RULE),
        ("Ελένη漢字", SCRIPT_RULE),
        ("हिन্দী", SCRIPT_RULE),
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
    assert_eq!(folded("علی\u{200c}رضا"), folded("علیرضا"));
    assert_eq!(folded("क्\u{200d}षत्रिय"), folded("क्षत्रिय"));
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
fn texts_of_many_languages_are_taken_as_they_are() {
    for good in [
        "Привет, мир! Ça va? ¿Qué tal?",
        "👨\u{200d}👩\u{200d}👧 hello",
        "👩\u{200d}🌾",
        "👩🏽\u{200d}🚀 🧑🏿\u{200d}🤝\u{200d}🧑🏻",
        "🏳\u{fe0f}\u{200d}🌈 🏴\u{200d}☠\u{fe0f}",
        "👁\u{fe0f}\u{200d}🗨\u{fe0f}",
        "🙂\u{200d}↔\u{fe0f}",
        "👍🏻👍🏿 🇩🇪🇫🇷",
        "1\u{fe0f}\u{20e3} #\u{20e3}",
        "❤\u{fe0f} ☎\u{fe0e} ©\u{fe0f}",
        "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}!",
        "می\u{200c}روم به خانه\u{200c}ها، کار\u{200c}ها",
        "سال ۱۳۴۵ه\u{200d} بود",
        "السَّلَامُ عَلَيْكُمْ محـــمد",
        "וַיֹּ֥אמֶר אֱלֹהִ֖ים יְהִ֣י א֑וֹר",
        "क्\u{200d}ष और क्\u{200c}ष",
        "র\u{200d}\u{9cd}যাব",
        "ශ්\u{200d}රී ලංකා",
        "ที่นี่มีน้ำ",
        "လျှော့ပေးပါ",
        "ཧཱུྃ ཨོཾ་མ་ཎི་པདྨེ་ཧཱུྃ",
        "ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ\u{180c}",
        "葛\u{e0100}城市と渡\u{fe00}辺",
        "한국어 ภาษา ქართული አማርኛ",
        "r\u{325}\u{304}\u{301} in transliteration",
        "∩\u{fe00} ≠ ∪",
        "⠓⠑⠇⠇⠕⠀⠺⠕⠗⠇⠙",
        "an accent:\u{a0}\u{301}",
    ] {
        assert_eq!(
            ChatText::parse(good).map(|text| text.to_string()),
            Ok(good.nfc().collect()),
            "{good}"
        );
    }
}

#[test]
fn nothing_that_hides_or_turns_text_is_taken() {
    for code in [
        0x0, 0x7, 0xa, 0x1b, 0x7f, 0x85, 0x9b, 0xad, 0x34f, 0x61c, 0x180b, 0x180e, 0x200b, 0x200c,
        0x200d, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2060, 0x2065, 0x2066, 0x2069,
        0x3164, 0xe000, 0xfe00, 0xfe0f, 0xfeff, 0xfffe, 0xfdd0, 0xe0041, 0xe0100, 0xf_0000,
        0x10_fffd, 0x378,
    ] {
        let hidden = char::from_u32(code).unwrap();
        for text in [format!("a{hidden}b"), format!("д{hidden}д"), format!("漢{hidden}字a")] {
            let shown = code == 0xfe00 || code == 0xe0100;
            let refused = ChatText::parse(&text).is_err();
            assert!(refused || shown && text.starts_with('漢'), "{code:#x} in {text}");
        }
    }
    for bad in [
        "pass\u{200b}word",
        "abc\u{202e}def",
        "😀\u{200d}a",
        "a\u{200d}😀",
        "1\u{200d}2",
        "🇩\u{200d}🇪",
        "😀\u{200d}\u{200d}😀",
        "😀\u{200c}😀",
        "م\u{200c}\u{200c}ح",
        "م\u{200d}ح",
        "🏴\u{e0067}\u{e0062}",
        "🏴\u{e0067}\u{e007f}",
        "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e0074}\u{e0074}\u{e007f}",
        "😀\u{e0067}\u{e0062}\u{e0073}\u{e007f}",
        "\u{e0067}\u{e0062}\u{e0073}\u{e007f}",
        "🏴\u{e0067}\u{e0062}\u{e0073}\u{e007f}\u{e007f}",
        "pass1\u{fe0f}word",
        "\u{301}a",
        "a \u{301}",
        "\u{2800}\u{2800} \u{2800}",
    ] {
        assert!(ChatText::parse(bad).is_err(), "{bad:?}");
    }
    let zalgo = |marks| format!("z{}algo", "\u{33f}\u{35a}".repeat(marks));
    assert!(ChatText::parse(&zalgo(2)).is_ok());
    assert!(ChatText::parse(&zalgo(3)).is_err());
    assert!(ChatText::parse(&format!("ก{}", "\u{e48}".repeat(7))).is_err());
}

#[test]
fn a_made_name_is_taken_whatever_today_s_rules_say() {
    for known in ["Ann", "ab", "a-b", "raт"] {
        assert_eq!(Name::made(known).unwrap().as_str(), known);
    }
    for never in ["", "a b", "a\nb", "a\u{7}b", "x".repeat(65).as_str()] {
        assert!(Name::made(never).is_err(), "{never:?}");
    }
}

/// Letters, signs and joiners of many scripts.
const WORDS: &str = "[a-zа-яα-ωא-תؠ-ٟक-्ก-๎가-힣ぁ-ヿ一-丿\u{200c}\u{200d}\u{300}-\u{30c}0-9_]{1,20}";

proptest! {
    #[test]
    fn any_string_is_a_name_or_refused(text in any::<String>()) {
        if let Ok(name) = Name::parse(&text) {
            prop_assert_eq!(&Name::parse(name.as_str()).unwrap(), &name);
            prop_assert!(name.as_str().len() <= NAME_BYTES_MAX);
            prop_assert!(name.as_str().chars().count() >= NAME_MIN);
        }
    }

    #[test]
    fn a_name_of_letters_stays_itself(text in "[\\p{L}\\p{M}0-9_]{1,20}") {
        if let Ok(name) = Name::parse(&text) {
            prop_assert_eq!(&Name::parse(name.as_str()).unwrap(), &name);
        }
    }

    #[test]
    fn words_of_any_script_are_names_that_stay_themselves_or_refused(text in WORDS) {
        if let Ok(name) = Name::parse(&text) {
            prop_assert_eq!(&Name::parse(name.as_str()).unwrap(), &name);
            prop_assert_eq!(&Name::made(name.as_str()).unwrap(), &name);
            // What joiners hide or show makes no other name.
            let bare = name.as_str().replace(['\u{200c}', '\u{200d}'], "");
            if let Ok(bare) = Name::parse(&bare) {
                prop_assert_eq!(bare.folded(), name.folded());
            }
            // And no name mixes alphabets that look alike.
            let has = |from: char, to: char| name.as_str().chars().any(|c| (from..=to).contains(&c));
            let alphabets = [has('a', 'z'), has('а', 'я'), has('α', 'ω')];
            prop_assert!(alphabets.into_iter().filter(|has| *has).count() < 2, "{}", name);
        }
    }

    #[test]
    fn a_text_keeps_no_joiner_between_letters_that_do_not_join(
        left in "[a-zа-я一-丿]", joiner in "[\u{200b}-\u{200f}]", right in "[a-zа-я一-丿]",
    ) {
        let text = format!("{left}{joiner}{right}");
        prop_assert!(ChatText::parse(&text).is_err());
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
