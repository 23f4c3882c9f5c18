//! Puts the layers together and finds everything that is wrong, not just the first thing.
//!
//! Each given value is tried alone against the compiled defaults, so that its fault cannot hide
//! another's; those that pass are merged, and then the sections check ranges and combinations.

use std::fmt;
use std::path::PathBuf;

use figment::Figment;
use figment::providers::Serialized;
use figment::value::{Dict, Value};

use super::layers::{self, Layer, Sources, Typed};
use super::{Config, key, sections, world};
use crate::role::Roles;

/// The origin of what nobody has set.
pub(super) const DEFAULT: &str = "default";

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The key's whole path; empty for a file that cannot be read at all.
    pub key: String,
    /// Where the value came from: a file with the line, a variable of the environment, a flag.
    pub origin: String,
    /// The value; none for a key that does not exist.
    pub value: Option<String>,
    /// What is wrong and what is allowed.
    pub fault: String,
}

/// All that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct BadConfig(pub Vec<Finding>);

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        let space = if self.key.is_empty() { "" } else { " " };
        write!(f, "{space}({}): {}", self.origin, self.fault)
    }
}

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "problem" } else { "problems" };
        write!(f, "the configuration has {} {plural}:", self.0.len())?;
        self.0.iter().try_for_each(|finding| write!(f, "\n  {finding}"))
    }
}

/// The configuration in force for `roles`.
///
/// # Errors
/// Lists everything that is wrong.
pub fn load(sources: &Sources, roles: &Roles) -> Result<Config, BadConfig> {
    let mut loader = Loader::new();
    if let Some(path) = sources.path() {
        loader.add_file(path);
    }
    let known = loader.known.clone();
    loader.add_typed(layers::environment(&sources.environment, &known));
    loader.add_typed(layers::flags(&sources.flags));
    loader.finish(roles)
}

struct Loader {
    defaults: Value,
    /// Every key there is, with its default.
    known: Dict,
    leaves: Vec<(String, Value)>,
    layers: Vec<Layer>,
    /// The world's layers are put together apart.
    world: Vec<Layer>,
    findings: Vec<Finding>,
    /// Keys that were probably meant by one that does not exist: their values are not known.
    meant: Vec<String>,
    /// Whether a file could not be read, so that nobody knows what else is set.
    unread: bool,
}

impl Loader {
    fn new() -> Self {
        let defaults = Value::serialize(Config::default()).unwrap_or_else(|_| Dict::new().into());
        let known = defaults.as_dict().cloned().unwrap_or_default();
        let leaves = key::leaves(&known);
        let (layers, world, findings, meant) = (vec![], vec![], vec![], vec![]);
        Self { defaults, known, leaves, layers, world, findings, meant, unread: false }
    }

    fn add_file(&mut self, path: PathBuf) {
        match layers::file(&path) {
            Ok(layer) => self.add_layer(layer),
            Err(fault) => {
                self.unread = true;
                self.findings.push(Finding {
                    key: String::new(),
                    origin: path.display().to_string(),
                    value: None,
                    fault,
                });
            }
        }
    }

    /// Values with types of their own.
    fn add_layer(&mut self, mut layer: Layer) {
        if let Some(value) = layer.values.remove(key::WORLD) {
            let lines = layer.lines.clone();
            let single = Layer::single(layer.origin.clone(), key::WORLD, value);
            self.world.push(Layer { lines, ..single });
        }
        let mut given = Vec::new();
        let mut unknown = Vec::new();
        sort_out(&layer.values, &self.known, "", &mut given, &mut unknown);
        for path in unknown {
            self.unknown(&path, &layer.at(&path));
        }
        for (path, value) in given {
            let origin = layer.at(&path);
            match self.tried(&path, &value) {
                Ok(()) => self.layers.push(Layer::single(origin, &path, value)),
                Err(fault) => self.report(&path, &origin, &value, fault),
            }
        }
    }

    /// Values that came as bare text: as what the text looks like, or else as the text itself.
    fn add_typed(&mut self, values: Vec<Typed>) {
        for Typed { origin, path, text } in values {
            let value = layers::typed(&text);
            if path == key::WORLD || path.starts_with("world.") {
                self.world.push(Layer::single(origin, &path, value));
                continue;
            }
            if !self.leaves.iter().any(|(known, _)| *known == path) {
                self.unknown(&path, &origin);
                continue;
            }
            let as_text = Value::from(text);
            match self.tried(&path, &value) {
                Ok(()) => self.layers.push(Layer::single(origin, &path, value)),
                Err(_) if self.tried(&path, &as_text).is_ok() => {
                    self.layers.push(Layer::single(origin, &path, as_text));
                }
                Err(fault) => self.report(&path, &origin, &value, fault),
            }
        }
    }

    /// Whether the defaults with this one value are a configuration.
    fn tried(&self, path: &str, value: &Value) -> Result<(), String> {
        let alone = Layer::single(String::new(), path, value.clone());
        let figment = Figment::from(Serialized::defaults(&self.defaults)).merge(alone);
        figment.extract::<Config>().map(|_| ()).map_err(|error| key::fault(&error))
    }

    fn unknown(&mut self, path: &str, origin: &str) {
        let meant = key::nearest(path, &self.leaves).map(str::to_owned);
        let fault = match &meant {
            Some(meant) => format!("there is no such key; did you mean {meant}?"),
            None => "there is no such key".into(),
        };
        self.meant.extend(meant);
        let origin = origin.to_owned();
        self.findings.push(Finding { key: path.to_owned(), origin, value: None, fault });
    }

    fn report(&mut self, path: &str, origin: &str, value: &Value, fault: String) {
        self.findings.push(Finding {
            key: path.to_owned(),
            origin: origin.to_owned(),
            value: Some(shown(path, value)),
            fault,
        });
    }

    /// Merges what passed and lets the sections check it.
    fn finish(mut self, roles: &Roles) -> Result<Config, BadConfig> {
        let mut figment = Figment::from(Serialized::defaults(&self.defaults));
        for layer in self.layers {
            figment = figment.merge(layer);
        }
        let world = world::read(&self.world);
        let whole = world.findings.is_empty();
        self.findings.extend(world.findings.iter().cloned());
        match figment.extract::<Config>() {
            Ok(mut config) => {
                // A world with holes in it would only seem to have further faults.
                if whole {
                    config.world = world.content.clone();
                }
                let mut problems = config.ranges();
                if !self.unread {
                    problems.extend(config.combinations(roles));
                }
                // A key that has a fault already, or was meant by one that does not exist, may have
                // its default here, which nobody has chosen.
                let told = |key: &String| {
                    self.meant.contains(key) || self.findings.iter().any(|it| it.key == *key)
                };
                let found = problems.iter().map(|line| finding(&figment, &world, line));
                let found = found.filter(|it| it.origin != DEFAULT || !told(&it.key));
                let found: Vec<Finding> = found.collect();
                self.findings.extend(found);
                if self.findings.is_empty() { Ok(config) } else { Err(BadConfig(self.findings)) }
            }
            Err(error) => {
                self.findings.push(Finding {
                    key: error.path.join("."),
                    origin: "all sources together".into(),
                    value: None,
                    fault: error.kind.to_string(),
                });
                Err(BadConfig(self.findings))
            }
        }
    }
}

/// Sorts a tree's values by whether their keys exist.
fn sort_out(
    tree: &Dict,
    known: &Dict,
    prefix: &str,
    given: &mut Vec<(String, Value)>,
    unknown: &mut Vec<String>,
) {
    for (name, value) in tree {
        let path = format!("{prefix}{name}");
        match (known.get(name), value) {
            // An empty default table is a map whose names the operator chooses: one value.
            (Some(Value::Dict(_, inner)), Value::Dict(_, values)) if !inner.is_empty() => {
                sort_out(values, inner, &format!("{path}."), given, unknown);
            }
            (Some(_), value) => given.push((path, value.clone())),
            (None, _) => unknown.push(path),
        }
    }
}

/// A section's problem, with the value it is about and where that came from.
fn finding(figment: &Figment, world: &world::Read, line: &str) -> Finding {
    let (path, fault) = line.split_once(' ').unwrap_or((line, "is not possible"));
    let path = path.trim_end_matches(':');
    if path.starts_with("world.") {
        return world.finding(path, fault);
    }
    let origin = match figment.find_metadata(path) {
        Some(source) if !source.name.contains("::") => source.name.to_string(),
        _ => DEFAULT.into(),
    };
    let value = figment.find_value(path).ok().map(|value| shown(path, &value));
    Finding { key: path.to_owned(), origin, value, fault: fault.to_owned() }
}

/// A value for people; an address without its password.
fn shown(path: &str, value: &Value) -> String {
    match value.as_str() {
        Some(url) if path.starts_with("store") => format!("{:?}", sections::store_address(url)),
        _ => key::show(value),
    }
}
