//! The four layers of values: compiled defaults, file, environment, command line.
//!
//! Each given layer becomes one [`Layer`]; later ones win. What is in them is checked in `load.rs`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::key;
use super::lines::Lines;

/// What stands before every variable of the environment that is meant for this program.
const PREFIX: &str = "THRONG_";
/// The file that is read, if it is there, when none is named.
const FILE: &str = "config.toml";

/// Where values may come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file named on the command line; it must be there.
    pub file: Option<PathBuf>,
    /// The environment; variables that are not meant for this program are left out.
    pub environment: Vec<(String, String)>,
    /// Flags of the command line.
    pub flags: Vec<Flag>,
}

/// A value from the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The flag itself, for people: `--set`.
    pub flag: &'static str,
    /// The key that it sets.
    pub key: String,
    /// The value as typed.
    pub value: String,
}

impl Sources {
    /// From this process's environment.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<Flag>) -> Self {
        let text = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((key.into_string().ok()?, value.into_string().ok()?))
        };
        Self { file, environment: std::env::vars_os().filter_map(text).collect(), flags }
    }

    /// The file to read: the named one, or the usual one if it is there.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.file.clone().or_else(|| Some(PathBuf::from(FILE)).filter(|path| path.is_file()))
    }
}

/// The values of one source.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// For people: `config.toml`, `THRONG_NET__BIND`, `--data-dir`.
    pub(super) origin: String,
    pub(super) values: Dict,
    /// Of a file: where its keys stand.
    pub(super) lines: Arc<Lines>,
}

impl Layer {
    /// One value, with the text it was made from.
    pub(super) fn single(origin: String, path: &str, value: Value) -> Self {
        Self { origin, values: nested(path, value), lines: Arc::default() }
    }

    /// Where one of its keys is set: a file with its line, a variable, a flag.
    pub(super) fn at(&self, path: &str) -> String {
        match self.lines.find(path) {
            Some(line) => format!("{}:{line}", self.origin),
            None => self.origin.clone(),
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// `value` as a tree in which only `path` is set.
fn nested(path: &str, value: Value) -> Dict {
    match path.split_once('.') {
        Some((head, rest)) => Dict::from([(head.into(), Value::from(nested(rest, value)))]),
        None => Dict::from([(path.into(), value)]),
    }
}

/// Reads a TOML file.
///
/// # Errors
/// Says in words why it cannot be read, or where it is no TOML.
pub(super) fn file(path: &Path) -> Result<Layer, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let values = toml_values(&text)?;
    let lines = Arc::new(Lines::of(&text));
    Ok(Layer { origin: path.display().to_string(), values, lines })
}

/// Reads TOML.
pub(super) fn toml_values(text: &str) -> Result<Dict, String> {
    let mut profiles = Toml::string(text).data().map_err(|error| error.to_string())?;
    Ok(profiles.remove(&Profile::Default).unwrap_or_default())
}

/// What bare text looks like. A list or table is read as a file would read it, whichever of its quotes
/// a shell leaves over.
pub(super) fn typed(text: &str) -> Value {
    if text.starts_with(['[', '{'])
        && let Ok(values) = toml_values(&format!("value = {text}"))
        && let Ok([(_, value)]) = <[_; 1]>::try_from(values.into_iter().collect::<Vec<_>>())
    {
        return value;
    }
    let Ok(value) = text.parse::<Value>();
    value
}

/// A value that came as bare text, with the text.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) origin: String,
    pub(super) path: String,
    pub(super) text: String,
}

/// The variables that are meant for this program, as `section.key` paths.
///
/// `THRONG_NET__BIND` is `net.bind`. One with two underscores together is always meant so, be the
/// section spelt right or not; others that are no key are somebody else's: Kubernetes sets
/// `THRONG_SERVICE_HOST` in every pod beside a service called `throng`.
pub(super) fn environment(variables: &[(String, String)], known: &Dict) -> Vec<Typed> {
    let mut typed: Vec<Typed> = variables
        .iter()
        .filter_map(|(name, text)| {
            let path = name.strip_prefix(PREFIX)?.to_ascii_lowercase().replace("__", ".");
            let section = path.split('.').next()?;
            let ours = path.contains('.') || key::is_leaf(section, known) && section == path;
            ours.then(|| Typed { origin: name.clone(), path, text: text.clone() })
        })
        .collect();
    typed.sort_by(|a, b| a.path.cmp(&b.path));
    typed
}

/// The flags, as paths.
pub(super) fn flags(given: &[Flag]) -> Vec<Typed> {
    let typed = given.iter().map(|Flag { flag, key, value }| Typed {
        origin: (*flag).to_owned(),
        path: key.clone(),
        text: value.clone(),
    });
    typed.collect()
}
