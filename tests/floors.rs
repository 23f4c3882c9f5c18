//! Keeps the floors of the house: imports run downhill, roles are strangers to one another, there are
//! no circles between rooms, and every file says what it is and stays short.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms by floor. A room is a module of the crate's root; a new one must be put here.
const FLOORS: [&[&str]; 6] = [
    &["descriptors", "geometry", "ids", "limits", "names", "role", "seldom", "tick"],
    &["store", "world"],
    &["msg", "proto", "protocol", "token"],
    &["link", "net"],
    &["chat", "gateway", "login", "master", "zone"],
    &[
        "admin",
        "banner",
        "cli",
        "client",
        "config",
        "data_dir",
        "loadtest",
        "run",
        "simulation",
        "status",
        "telemetry",
        "web",
    ],
];
const ROLES: usize = 4;
/// What other programs could be made of: these see the lowest floors only, and one another.
const GUESTS: [(&str, usize); 2] = [("client", 2), ("loadtest", 2)];
/// Most lines of a file, its tests included.
const LINES_MAX: usize = 450;

/// What the standard library leaves to the system, whose last bits differ from one to another; `sqrt`
/// is exact everywhere.
const INEXACT: &[&str] = &[
    "sin", "cos", "sin_cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh",
    "asinh", "acosh", "atanh", "exp", "exp2", "exp_m1", "ln", "ln_1p", "log", "log2", "log10",
    "powf", "powi", "hypot", "cbrt", "gamma", "ln_gamma",
];
/// Where the world's numbers are made.
const EXACT_ROOMS: &[&str] = &["world", "geometry", "tick"];

struct Source {
    path: PathBuf,
    room: String,
    text: String,
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file of the library but its root.
fn sources() -> Vec<Source> {
    let root = source_folder();
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let inner = path.strip_prefix(&root).unwrap();
            let first = inner.iter().next().unwrap().to_str().unwrap();
            let room = first.strip_suffix(".rs").unwrap_or(first).to_owned();
            if path.extension().is_some_and(|ext| ext == "rs") && room != "lib" && room != "main" {
                let text = fs::read_to_string(&path).unwrap();
                found.push(Source { path: inner.to_owned(), room, text });
            }
        }
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}

fn floor_of(room: &str) -> usize {
    FLOORS
        .iter()
        .position(|rooms| rooms.contains(&room))
        .unwrap_or_else(|| panic!("'{room}' is on no floor: put it into the table of this test"))
}

/// Files that hold nothing but tests.
fn is_test(path: &Path) -> bool {
    path.iter().any(|part| matches!(part.to_str(), Some("tests" | "tests.rs" | "conformance")))
}

/// The code without comments and without its tests, which may look anywhere.
fn code(text: &str) -> String {
    let tested = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..tested]
        .lines()
        .map(|line| if line.trim_start().starts_with("//") { "" } else { line })
        .map(|line| line.split(" // ").next().unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The rooms that a piece of code names by `crate::room` or `crate::{room, …}`.
fn named_rooms(code: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let mut rooms = BTreeSet::new();
    for (place, _) in code.match_indices("crate::") {
        // `$crate` and `my_crate` are none of ours.
        let before = code[..place].chars().next_back();
        if before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[place + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(first_words(group).iter().map(|part| word(part))),
            None => {
                rooms.insert(word(rest));
            }
        }
    }
    rooms.remove("");
    rooms
}

/// The parts of a `{…}` group between commas of its outermost level.
fn first_words(group: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(group[start..at].trim());
                return parts;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(group[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts
}

/// Which room names which others, and in which file.
fn imports() -> BTreeMap<(String, String), PathBuf> {
    let mut found = BTreeMap::new();
    for source in sources().into_iter().filter(|source| !is_test(&source.path)) {
        for room in named_rooms(&code(&source.text)) {
            if room != source.room {
                found.insert((source.room.clone(), room), source.path.clone());
            }
        }
    }
    found
}

#[test]
fn imports_run_downhill() {
    let mut wrong = Vec::new();
    for ((from, to), path) in imports() {
        let (here, there) = (floor_of(&from), floor_of(&to));
        let guest = GUESTS.iter().find(|(room, _)| *room == from);
        let among_guests = GUESTS.iter().any(|(room, _)| *room == to);
        let allowed = match guest {
            Some((_, highest)) => there <= *highest || among_guests,
            None if here == ROLES && there == ROLES => false,
            None => there <= here,
        };
        if !allowed {
            wrong.push(format!("src/{}: {from} must not know {to}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_are_no_circles() {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to) in imports().into_keys() {
        edges.entry(from).or_default().insert(to);
    }
    // Take away rooms that know nobody who is left; what cannot be taken away is a circle.
    let mut left: BTreeSet<String> = edges.keys().cloned().collect();
    loop {
        let free: Vec<String> =
            left.iter().filter(|room| edges[*room].is_disjoint(&left)).cloned().collect();
        if free.is_empty() {
            break;
        }
        left.retain(|room| !free.contains(room));
    }
    assert!(left.is_empty(), "these rooms know one another in a circle: {left:?}");
}

#[test]
fn every_file_says_what_it_is_and_stays_short() {
    let mut wrong = Vec::new();
    for Source { path, text, .. } in sources() {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("src/{}: {lines} lines, more than {LINES_MAX}", path.display()));
        }
        let head = text.lines().next().unwrap_or_default();
        if head.strip_prefix("//! ").is_none_or(|words| words.len() < 10) {
            wrong.push(format!("src/{}: does not begin by saying what it is", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_test_itself_sees_what_it_should() {
    let code = code(
        "use crate::{admin, msg::{ChatMsg, Other}, zone};\n// crate::cli\nlet a = crate::ids::X; \
         // crate::web\nmy_crate::no();\n#[cfg(test)]\nmod tests {\nuse crate::run;\n}",
    );
    let rooms: Vec<String> = named_rooms(&code).into_iter().collect();
    assert_eq!(rooms, ["admin", "ids", "msg", "zone"]);
}

#[test]
fn the_world_computes_the_same_on_any_machine() {
    let called = |text: &str, name: &str| {
        [format!(".{name}("), format!("f32::{name}"), format!("f64::{name}")]
            .iter()
            .any(|call| text.contains(call))
    };
    assert!(called("x.sin_cos()", "sin_cos") && called("map(f32::exp)", "exp"));
    for source in sources() {
        if !EXACT_ROOMS.contains(&source.room.as_str()) {
            continue;
        }
        // Tests may compare with what the system says.
        let rules = source.text.split("\nmod tests {").next().unwrap_or_default();
        for name in INEXACT {
            assert!(!called(rules, name), "{}: {name} differs by machine", source.path.display());
        }
    }
}
