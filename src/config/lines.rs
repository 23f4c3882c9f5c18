//! Where in a TOML file each key stands, so that a fault names its line.
//!
//! `layers.rs` makes one for each file it reads; whoever reports a fault asks it. It knows nothing of
//! what keys mean.

use std::collections::BTreeMap;

use toml_edit::{ImDocument, Item, TableLike, Value};

/// The lines of a file's keys, by their whole paths: `world.zones[0].bounds`.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines(BTreeMap<String, usize>);

impl Lines {
    /// Of a text; of one that is no TOML, none.
    pub(super) fn of(text: &str) -> Self {
        let mut lines = Self::default();
        if let Ok(document) = ImDocument::parse(text) {
            let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
            let starts: Vec<usize> = starts.collect();
            let line = |at: usize| starts.partition_point(|start| *start <= at);
            lines.add_table(document.as_table(), "", &line);
        }
        lines
    }

    /// The line of a key, from 1; of one that is not there, of the nearest that holds it.
    pub(super) fn find(&self, path: &str) -> Option<usize> {
        let path = with_brackets(path);
        let mut path = path.as_str();
        loop {
            if let Some(line) = self.0.get(path) {
                return Some(*line);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    fn add_table(&mut self, table: &dyn TableLike, path: &str, line: &dyn Fn(usize) -> usize) {
        for (name, item) in table.iter() {
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let place = table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
            self.0.extend(place.map(|place| (path.clone(), line(place.start))));
            match item {
                Item::Value(value) => self.add_value(value, &path, line),
                Item::ArrayOfTables(tables) => {
                    for (place, table) in tables.iter().enumerate() {
                        let path = format!("{path}[{place}]");
                        self.0.extend(table.span().map(|at| (path.clone(), line(at.start))));
                        self.add_table(table, &path, line);
                    }
                }
                Item::Table(table) => self.add_table(table, &path, line),
                Item::None => {}
            }
        }
    }

    fn add_value(&mut self, value: &Value, path: &str, line: &dyn Fn(usize) -> usize) {
        match value {
            Value::InlineTable(table) => self.add_table(table, path, line),
            Value::Array(values) => {
                for (place, value) in values.iter().enumerate() {
                    let path = format!("{path}[{place}]");
                    self.0.extend(value.span().map(|at| (path.clone(), line(at.start))));
                    self.add_value(value, &path, line);
                }
            }
            _ => {}
        }
    }
}

/// A place in a list is written `.0` by some and `[0]` by others; here it is the second.
fn with_brackets(path: &str) -> String {
    let mut out = String::new();
    for part in path.split('.') {
        if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) && !out.is_empty() {
            out.push_str(&format!("[{part}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(part);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_key_has_its_line() {
        let lines = Lines::of(
            "name = \"x\"\n\n[net]\nrate.moves = 5\nlist = [\n  { a = 1 },\n  { a = 2, b = 3 },\n]\n\
             [[zones]]\nid = 1\n[[zones]]\nid = 2\n[zones.spawn]\nx = 1\n",
        );
        for (path, line) in [
            ("name", 1),
            ("net", 3),
            ("net.rate.moves", 4),
            ("net.list", 5),
            ("net.list[1].b", 7),
            ("net.list.1.b", 7),
            ("net.list[1].missing", 7),
            ("zones[0].id", 10),
            ("zones[1]", 11),
            ("zones.1.id", 12),
            ("zones[1].spawn.x", 14),
            ("zones[1].spawn.y", 13),
        ] {
            assert_eq!(lines.find(path), Some(line), "{path}");
        }
        assert_eq!(lines.find("elsewhere.x"), None);
        assert_eq!(Lines::of("[broken").find("broken"), None);
    }
}
