//! `[world]`: the content, from the compiled default world and what is given over it.
//!
//! The parts `zones`, `items`, `skills`, `npcs` and `quests` replace the default ones as wholes;
//! `rules` are replaced key by key. `world.file` names a file with the same tables at its top.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use figment::value::{Dict, Value};
use serde::de::DeserializeOwned;

use super::key;
use super::layers::{self, Layer};
use super::load::{DEFAULT, Finding};
use crate::ids::Key;
use crate::world::content::{Content, Rules};

/// What a content table's keys may be called.
const PARTS: [&str; 7] = ["file", "rules", "zones", "items", "skills", "npcs", "quests"];

/// The compiled default world.
pub(super) fn standard() -> Arc<Content> {
    Arc::new(Content::standard())
}

/// The world as it was put together.
pub(super) struct Read {
    /// Without what is wrong in itself.
    pub(super) content: Arc<Content>,
    /// What is.
    pub(super) findings: Vec<Finding>,
    /// The parts that somebody has given, as `world.zones` or `world.rules.player_speed`, the last
    /// ones last, and who.
    given: Vec<(String, Source)>,
}

/// Puts the world together from the given layers, first ones first, and says what is wrong.
pub(super) fn read(given: &[Layer]) -> Read {
    let content = Content::clone(&standard());
    let mut reader = Reader { content, findings: Vec::new(), given: Vec::new() };
    for layer in given {
        let source = Source { layer: layer.clone(), file: None };
        match layer.values.get(key::WORLD) {
            Some(Value::Dict(_, parts)) => reader.add(&source, parts),
            Some(other) => {
                let fault = "must be a table".to_owned();
                reader.report("world", &source, Some(key::show(other)), fault);
            }
            None => {}
        }
    }
    let Reader { content, findings, given } = reader;
    Read { content: Arc::new(content), findings, given }
}

/// Who has given a part: a file with the world in it, or a file of nothing else.
#[derive(Debug, Clone)]
struct Source {
    layer: Layer,
    /// The second: its path. Its keys stand there without `world.`.
    file: Option<PathBuf>,
}

impl Source {
    /// The file and the line of a key, or the variable or flag that set it.
    fn at(&self, path: &str) -> String {
        match self.file {
            Some(_) => self.layer.at(path.strip_prefix("world.").unwrap_or(path)),
            None => self.layer.at(path),
        }
    }
}

impl Read {
    /// A problem of the whole, told to whoever has given the part that it is in. If nobody has, it is
    /// the default's, and does not fit with what was given beside it.
    pub(super) fn finding(&self, path: &str, fault: &str) -> Finding {
        let within = |part: &str| {
            path.strip_prefix(part)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let (key, value) = (path.to_owned(), None);
        if let Some((_, source)) = self.given.iter().rev().find(|(part, _)| within(part)) {
            return Finding { key, origin: source.at(path), value, fault: fault.to_owned() };
        }
        let mut parts = path.split(['.', '[']);
        let part = match (parts.nth(1), parts.next()) {
            (Some("rules"), Some(rule)) => format!("world.rules.{rule}"),
            (Some(part), _) => format!("world.{part}"),
            (None, _) => path.to_owned(),
        };
        let given = self.given.iter().filter(|(part, _)| !part.starts_with("world.rules"));
        let mut given: Vec<String> =
            given.map(|(part, source)| format!("{part} ({})", source.at(part))).collect();
        given.dedup();
        let fault = match given.as_slice() {
            [] => fault.to_owned(),
            given => format!(
                "{fault}; {part} is the default one, which does not fit with {}: give one of your \
                 own, if only an empty one",
                given.join(", ")
            ),
        };
        Finding { key, origin: DEFAULT.to_owned(), value, fault }
    }
}

struct Reader {
    content: Content,
    findings: Vec<Finding>,
    given: Vec<(String, Source)>,
}

impl Reader {
    fn add(&mut self, origin: &Source, parts: &Dict) {
        if let Some(file) = parts.get("file") {
            self.add_file(origin, file);
        }
        for (name, value) in parts {
            let path = format!("world.{name}");
            if !["file", "rules"].contains(&name.as_str()) {
                self.given.push((path.clone(), origin.clone()));
            }
            match (name.as_str(), value) {
                ("file", _) => {}
                ("rules", Value::Dict(_, rules)) => self.add_rules(origin, rules),
                ("zones", Value::Array(_, zones)) => self.add_zones(origin, zones),
                ("items", Value::Dict(_, kinds)) => {
                    self.content.items = self.table(origin, &path, kinds);
                }
                ("skills", Value::Dict(_, kinds)) => {
                    self.content.skills = self.table(origin, &path, kinds);
                }
                ("npcs", Value::Dict(_, kinds)) => {
                    self.content.npcs = self.table(origin, &path, kinds);
                }
                ("quests", Value::Dict(_, kinds)) => {
                    self.content.quests = self.table(origin, &path, kinds);
                }
                (known, value) if PARTS.contains(&known) => {
                    let wanted = if known == "zones" { "a list of tables" } else { "a table" };
                    let fault = format!("must be {wanted}");
                    self.report(&path, origin, Some(key::show(value)), fault);
                }
                _ => {
                    let fault = format!("there is no such key; there are {}", PARTS.join(", "));
                    self.report(&path, origin, None, fault);
                }
            }
        }
    }

    fn add_file(&mut self, origin: &Source, file: &Value) {
        let Some(name) = file.as_str() else {
            let fault = "must be a text in quotes".to_owned();
            return self.report("world.file", origin, Some(key::show(file)), fault);
        };
        if let Some(outer) = &origin.file {
            let fault = format!("must not be set in {}, which is such a file", outer.display());
            return self.report("world.file", origin, Some(key::show(file)), fault);
        }
        match layers::file(Path::new(name)) {
            Ok(layer) => {
                let values = layer.values.clone();
                self.add(&Source { layer, file: Some(name.into()) }, &values);
            }
            Err(fault) => {
                self.report("world.file", origin, Some(key::show(file)), fault);
            }
        }
    }

    /// Rules, each tried alone over what is there.
    fn add_rules(&mut self, origin: &Source, given: &Dict) {
        let known = Value::serialize(&self.content.rules).ok();
        let Some(known) = known.as_ref().and_then(Value::as_dict) else { return };
        let mut rules = known.clone();
        for (name, value) in given {
            let path = format!("world.rules.{name}");
            if !known.contains_key(name) {
                let leaves = key::leaves(known);
                let meant = key::nearest(name, &leaves);
                let meant = meant.map(|m| format!("; did you mean world.rules.{m}?"));
                let fault = format!("there is no such key{}", meant.unwrap_or_default());
                self.report(&path, origin, None, fault);
                continue;
            }
            self.given.push((path.clone(), origin.clone()));
            let before = rules.insert(name.clone(), value.clone());
            match Value::from(rules.clone()).deserialize::<Rules>() {
                Ok(accepted) => self.content.rules = accepted,
                Err(error) => {
                    let fault = key::fault(&error);
                    self.report(&path, origin, Some(key::show(value)), fault);
                    if let Some(before) = before {
                        rules.insert(name.clone(), before);
                    }
                }
            }
        }
    }

    fn add_zones(&mut self, origin: &Source, zones: &[Value]) {
        self.content.zones = zones
            .iter()
            .enumerate()
            .filter_map(|(place, zone)| self.entry(origin, &format!("world.zones[{place}]"), zone))
            .collect();
    }

    fn table<K: DeserializeOwned>(
        &mut self,
        origin: &Source,
        path: &str,
        kinds: &Dict,
    ) -> std::collections::BTreeMap<Key, K> {
        kinds
            .iter()
            .filter_map(|(name, kind)| {
                let kind = self.entry(origin, &format!("{path}.{name}"), kind)?;
                Some((Key::from(name.as_str()), kind))
            })
            .collect()
    }

    fn entry<K: DeserializeOwned>(
        &mut self,
        origin: &Source,
        path: &str,
        value: &Value,
    ) -> Option<K> {
        match value.deserialize() {
            Ok(kind) => Some(kind),
            Err(error) => {
                let inner: String = error.path.iter().map(|part| format!(".{part}")).collect();
                let fault = key::fault(&error);
                self.report(&format!("{path}{inner}"), origin, None, fault);
                None
            }
        }
    }

    fn report(&mut self, path: &str, origin: &Source, value: Option<String>, fault: String) {
        let (key, origin) = (path.to_owned(), origin.at(path));
        self.findings.push(Finding { key, origin, value, fault });
    }
}
