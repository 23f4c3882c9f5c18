//! `[world]`: the content, from the compiled default world and what is given over it.
//!
//! The parts `zones`, `items`, `skills`, `npcs` and `quests` replace the default ones as wholes;
//! `rules` are replaced key by key. `world.file` names a file with the same tables at its top.

use std::path::Path;
use std::sync::Arc;

use figment::value::{Dict, Value};
use serde::de::DeserializeOwned;

use super::layers::{self, Layer};
use super::{key, load::Finding};
use crate::ids::Key;
use crate::world::content::{Content, Rules};

/// What a content table's keys may be called.
const PARTS: [&str; 7] = ["file", "rules", "zones", "items", "skills", "npcs", "quests"];

/// The compiled default world.
pub(super) fn standard() -> Arc<Content> {
    Arc::new(Content::standard())
}

/// Puts the world together from the given layers, first ones first, and says what is wrong.
pub(super) fn read(given: &[Layer]) -> (Arc<Content>, Vec<Finding>) {
    let mut reader = Reader { content: Content::clone(&standard()), findings: Vec::new() };
    for layer in given {
        match layer.values.get(key::WORLD) {
            Some(Value::Dict(_, parts)) => reader.add(&layer.origin, parts, None),
            Some(other) => {
                let fault = "must be a table".to_owned();
                reader.report("world", &layer.origin, Some(key::show(other)), fault);
            }
            None => {}
        }
    }
    (Arc::new(reader.content), reader.findings)
}

struct Reader {
    content: Content,
    findings: Vec<Finding>,
}

impl Reader {
    fn add(&mut self, origin: &str, parts: &Dict, within: Option<&Path>) {
        if let Some(file) = parts.get("file") {
            self.add_file(origin, file, within);
        }
        for (name, value) in parts {
            let path = format!("world.{name}");
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

    fn add_file(&mut self, origin: &str, file: &Value, within: Option<&Path>) {
        let Some(name) = file.as_str() else {
            let fault = "must be a text in quotes".to_owned();
            return self.report("world.file", origin, Some(key::show(file)), fault);
        };
        if let Some(outer) = within {
            let fault = format!("must not be set in {}, which is such a file", outer.display());
            return self.report("world.file", origin, Some(key::show(file)), fault);
        }
        match layers::file(Path::new(name)) {
            Ok(layer) => self.add(&layer.origin, &layer.values, Some(Path::new(name))),
            Err(fault) => {
                self.report("world.file", origin, Some(key::show(file)), fault);
            }
        }
    }

    /// Rules, each tried alone over what is there.
    fn add_rules(&mut self, origin: &str, given: &Dict) {
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

    fn add_zones(&mut self, origin: &str, zones: &[Value]) {
        self.content.zones = zones
            .iter()
            .enumerate()
            .filter_map(|(place, zone)| self.entry(origin, &format!("world.zones[{place}]"), zone))
            .collect();
    }

    fn table<K: DeserializeOwned>(
        &mut self,
        origin: &str,
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

    fn entry<K: DeserializeOwned>(&mut self, origin: &str, path: &str, value: &Value) -> Option<K> {
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

    fn report(&mut self, path: &str, origin: &str, value: Option<String>, fault: String) {
        let (key, origin) = (path.to_owned(), origin.to_owned());
        self.findings.push(Finding { key, origin, value, fault });
    }
}
