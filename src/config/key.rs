//! Keys: which there are, how a wrong one is spelt right, how a value and its type are worded.

use figment::error::Kind;
use figment::value::{Dict, Value};

/// The section that is read apart from the others.
pub(super) const WORLD: &str = "world";

/// Whether `name` is a single key.
pub(super) fn is_leaf(name: &str, known: &Dict) -> bool {
    known.get(name).is_some_and(|value| !matches!(value, Value::Dict(..)))
}

/// Every key of a tree as a path with its value. An empty table is a value: a map from names that
/// the operator chooses.
pub(super) fn leaves(tree: &Dict) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, value) in tree {
        match value {
            Value::Dict(_, inner) if !inner.is_empty() => {
                let inner = leaves(inner);
                found.extend(inner.into_iter().map(|(path, v)| (format!("{name}.{path}"), v)));
            }
            value => found.push((name.clone(), value.clone())),
        }
    }
    found
}

/// The key that was probably meant.
pub(super) fn nearest<'a>(path: &str, known: &'a [(String, Value)]) -> Option<&'a str> {
    let last = |path: &'a str| path.rsplit('.').next().unwrap_or(path);
    let wrong = path.rsplit('.').next().unwrap_or(path);
    known
        .iter()
        .map(|(key, _)| {
            // A right name in a wrong section is as good a guess as a slip of the finger.
            let slip = distance(path, key).min(1 + distance(wrong, last(key)));
            (slip, key.as_str())
        })
        .min()
        .filter(|(slip, key)| *slip <= 1 + last(key).len() / 3)
        .map(|(_, key)| key)
}

/// Letters to insert, delete or exchange (Levenshtein's distance).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, opposite) in other.iter().enumerate() {
            let exchanged = diagonal + usize::from(letter != *opposite);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

/// A value as it would stand in a TOML file.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Char(_, letter) => format!("{:?}", letter.to_string()),
        Value::Bool(_, truth) => truth.to_string(),
        Value::Num(_, number) => number
            .to_i128()
            .map(|n| n.to_string())
            .or_else(|| number.to_u128().map(|n| n.to_string()))
            .or_else(|| number.to_f64().map(|n| format!("{n:?}")))
            .unwrap_or_default(),
        Value::Empty(..) => "nothing".into(),
        Value::Dict(..) => "a table".into(),
        Value::Array(_, values) => {
            let shown: Vec<String> = values.iter().map(show).collect();
            format!("[{}]", shown.join(", "))
        }
    }
}

/// What is wrong with a value that is not of its key's type.
pub(super) fn fault(error: &figment::Error) -> String {
    match &error.kind {
        Kind::InvalidType(_, wanted)
        | Kind::InvalidValue(_, wanted)
        | Kind::InvalidLength(_, wanted) => format!("must be {}", type_in_words(wanted)),
        Kind::UnknownVariant(_, known) => format!("must be {}", one_of(known)),
        Kind::UnknownField(field, known) => {
            format!("there is no key '{field}' here, but {}", one_of(known))
        }
        Kind::MissingField(field) => format!("the key '{field}' is missing"),
        Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => "must be a smaller number".into(),
        other => format!("is not possible: {other}"),
    }
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("one of {}", quoted.join(", "))
}

/// serde's name of a type in an operator's words.
fn type_in_words(name: &str) -> String {
    match name {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "path string" => "a text in quotes",
        "a sequence" => "a list in [ ]",
        "a map" => "a table",
        name if name.starts_with("struct ") => "a table",
        other => other,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        let known: Vec<(String, Value)> = ["net.login_port", "net.text_port", "log.filter"]
            .map(|key| (key.to_string(), Value::from(0)))
            .into();
        assert_eq!(nearest("net.lgin_port", &known), Some("net.login_port"));
        assert_eq!(nearest("log.login_port", &known), Some("net.login_port"));
        assert_eq!(nearest("net.weather", &known), None);
    }
}
