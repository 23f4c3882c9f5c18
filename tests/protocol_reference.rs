//! The protocol reference against the protocol: whatever `proto/` and the type table say must be
//! in `docs/protocol.md`, under the right heading.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::path::Path;

use throng::proto::ErrorCode;
use throng::protocol::table::{Direction, PacketRule, RateClass, StateSet, TABLE};
use throng::protocol::text::HELP;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A message of the protocol definition.
struct Message {
    /// The packet whose payload it is, by the comment above it.
    number: Option<i32>,
    fields: Vec<String>,
}

/// Reads the messages of the .proto files, as plainly as those are written: a comment that begins
/// with a packet's number, `message Name {`, one field a line.
fn messages() -> BTreeMap<String, Message> {
    let mut found: BTreeMap<String, Message> = BTreeMap::new();
    for file in ["session", "world", "guild", "chat"] {
        let text = read(&format!("proto/{file}.proto"));
        let (mut number, mut name) = (None, None);
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("// ") {
                let digits = comment.split(|c: char| !c.is_ascii_digit()).next().unwrap_or("");
                number = number.or_else(|| digits.parse().ok());
            } else if let Some(rest) = line.strip_prefix("message ") {
                let Some((message, after)) = rest.split_once(" {") else {
                    panic!("no brace after {rest} in {file}.proto");
                };
                found.insert(message.to_owned(), Message { number: number.take(), fields: vec![] });
                name = (after != "}").then(|| message.to_owned());
            } else if line.starts_with("enum ") || line.is_empty() {
                number = None;
            } else if line == "}" {
                name = None;
            } else if let Some(message) = name.as_ref().and_then(|name| found.get_mut(name))
                && !line.trim_start().starts_with("//")
            {
                let declared = line.split(" = ").next().unwrap_or("");
                let field = declared.rsplit(' ').next().unwrap_or("").to_owned();
                message.fields.push(field);
            }
        }
    }
    found
}

/// The part of the document under a heading.
fn section<'a>(document: &'a str, heading: &str) -> Option<&'a str> {
    let start = document.find(&format!("\n{heading}\n"))? + 1;
    let after = start + heading.len();
    let end = document[after..].find("\n#").map_or(document.len(), |end| after + end);
    Some(&document[start..end])
}

/// How the document states a packet's rule.
fn rule_line(rule: &PacketRule) -> String {
    let states = match rule.states {
        StateSet::ANY => "in any state",
        StateSet::BEFORE_WORLD => "before the world is entered",
        StateSet::AUTHENTICATED => "after log-in",
        StateSet::IN_WORLD => "in the world",
        other => panic!("{other:?} has no words"),
    };
    let limit = match rule.rate {
        RateClass::General => "general",
        RateClass::Move => "moves",
        RateClass::Ability => "abilities",
        RateClass::Chat => "chat",
        RateClass::Login => "log-in",
    };
    let cost = format!("up to {} bytes, cost {}, limit: {limit}", rule.max_payload, rule.cost);
    let kept = if rule.reliable { "replayed after a resume" } else { "not replayed" };
    match rule.from {
        Direction::Client => format!("*Client to server, {states}; {cost}.*"),
        Direction::Server => format!("*Server to client, {states}; {kept}.*"),
        Direction::Both => {
            format!("*Both ways, {states}; a client's: {cost}; the server's: {kept}.*")
        }
    }
}

#[test]
fn every_packet_is_described_as_it_is() {
    let document = read("docs/protocol.md");
    let messages = messages();
    let mut missing = Vec::new();
    for rule in &TABLE[1..] {
        let number = rule.kind as i32;
        let heading = format!("### {number} {}", rule.name);
        let Some(section) = section(&document, &heading) else {
            missing.push(heading);
            continue;
        };
        if !section.contains(&rule_line(rule)) {
            missing.push(format!("{heading}: {}", rule_line(rule)));
        }
        let message = messages.iter().find(|(_, message)| message.number == Some(number));
        let (name, message) = message.unwrap_or_else(|| panic!("{} has no message", rule.name));
        for field in &message.fields {
            if !section.contains(&format!("| `{field}` |")) {
                missing.push(format!("{heading}: {name}.{field}"));
            }
        }
    }
    assert!(missing.is_empty(), "docs/protocol.md lacks:\n{}", missing.join("\n"));
}

#[test]
fn every_inner_message_is_described() {
    let document = read("docs/protocol.md");
    for (name, message) in messages().iter().filter(|(_, message)| message.number.is_none()) {
        let section = section(&document, &format!("### {name}"))
            .unwrap_or_else(|| panic!("docs/protocol.md lacks {name}"));
        for field in &message.fields {
            assert!(section.contains(&format!("| `{field}` |")), "{name}.{field} is missing");
        }
    }
}

#[test]
fn every_error_code_is_listed_with_its_number() {
    let document = read("docs/protocol.md");
    let mut known = 0;
    for code in (1..1_000).filter_map(|number| ErrorCode::try_from(number).ok()) {
        let row = format!("| {} | `{}` |", code as i32, code.as_str_name());
        assert!(document.contains(&row), "docs/protocol.md lacks {row}");
        known += 1;
    }
    assert!(known > 40);
}

#[test]
fn every_text_command_is_described() {
    let document = read("docs/protocol.md");
    for line in HELP.lines().filter_map(|line| line.strip_prefix("HELP ")) {
        let (command, _) = line.split_once(" - ").expect("a command and what it does");
        let row = format!("| `{}` |", command.replace('|', "\\|"));
        assert!(document.contains(&row), "docs/protocol.md lacks {row}");
    }
}
