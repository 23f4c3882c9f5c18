//! What the pages promise, checked against the repository and the program: links lead somewhere,
//! named files are there, commands and flags exist, ports and keys have the stated defaults.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use throng::config::Config;
use throng::telemetry::catalogue::{Kind, METRICS};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every page of the repository, from its root.
fn pages() -> Vec<PathBuf> {
    let mut folders = vec![root().to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// A page without its blocks of code.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// What stands between `open` and `close`, wherever that is.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split_once(close).map(|(it, _)| it))
}

/// The name by which a heading is linked to.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'))
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let pages = pages();
    assert!(pages.contains(&PathBuf::from("README.md")));
    for page in &pages {
        let text = read(page.to_str().unwrap());
        for link in between(&prose(&text), "](", ")") {
            if link.starts_with("http://") || link.starts_with("https://") {
                continue;
            }
            let (file, part) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                _ => page.parent().unwrap().join(file),
            };
            let whole = root().join(&target);
            assert!(whole.exists(), "{} links to {link}, which is not there", page.display());
            if !part.is_empty() {
                let text = fs::read_to_string(whole).unwrap();
                let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
                let known = headings.map(|rest| anchor(rest.trim_start_matches('#')));
                let found = known.into_iter().any(|known| known == part);
                assert!(found, "{} links to {link}: no such heading", page.display());
            }
        }
    }
}

/// Where a path that a page names may begin.
const BASES: [&str; 3] = ["", "src", "docs"];
/// How the files that pages name end.
const ENDINGS: [&str; 11] =
    ["rs", "md", "toml", "proto", "sql", "py", "yml", "service", "js", "css", "html"];
/// What the server or its operator makes, and examples.
const NOT_OURS: [&str; 4] =
    ["world.toml", "/etc/throng/config.toml", "config.toml", "NNNN_what_it_does.sql"];

#[test]
fn every_file_and_function_that_a_page_names_is_there() {
    let mut missing = Vec::new();
    for page in pages() {
        let text = prose(&read(page.to_str().unwrap()));
        for word in text.split('`').skip(1).step_by(2) {
            let (path, function) = word.split_once("::").unwrap_or((word, ""));
            let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
            let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
            if !plain || !ENDINGS.contains(&ending) || NOT_OURS.contains(&path) {
                continue;
            }
            let file = find(path);
            if !file.is_some_and(|file| function.is_empty() || defines(&file, function)) {
                missing.push(format!("{} names {word}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "not there:\n{}", missing.join("\n"));
}

/// The file that a page means; one that is named without its folder may be anywhere in the code.
fn find(path: &str) -> Option<PathBuf> {
    let direct = BASES.iter().map(|base| root().join(base).join(path)).find(|path| path.is_file());
    let mut folders = match path.contains('/') {
        true => vec![],
        false => vec![root().join("src"), root().join("tests"), root().join("proto")],
    };
    let mut found = direct;
    while let (None, Some(folder)) = (&found, folders.pop()) {
        for entry in fs::read_dir(folder).unwrap() {
            let inner = entry.unwrap().path();
            if inner.is_dir() {
                folders.push(inner);
            } else if inner.ends_with(path) {
                found = Some(inner);
            }
        }
    }
    found
}

fn defines(file: &Path, function: &str) -> bool {
    let text = fs::read_to_string(file).unwrap();
    ["(", "<"].iter().any(|after| text.contains(&format!("fn {function}{after}")))
}

/// What `throng` with these words says.
fn help(words: &[&str]) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_throng")).args(words).arg("--help").output();
    let output = output.expect("the program runs");
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// The command lines of a page, from behind the program's name.
fn commands(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let blocks = text.split("```").skip(1).step_by(2).flat_map(str::lines);
    let spans = prose.split('`').skip(1).step_by(2);
    blocks.chain(spans).filter_map(command).map(str::to_owned).collect()
}

/// What is asked of the program in a line, if that is what the line does.
fn command(line: &str) -> Option<&str> {
    let mut line = line.split(" #").next()?.trim().trim_start_matches("$ ");
    while line.starts_with("THRONG_") {
        line = line.split_once(' ')?.1;
    }
    let typed = line.strip_prefix("cargo run --release -- ").or(line.strip_prefix("throng "))?;
    // "throng 0.1.0 is running" is what it says itself.
    typed.starts_with(|first: char| first == '-' || first.is_ascii_lowercase()).then_some(typed)
}

/// The leading words of a command line that are neither flags, nor their values, nor names.
fn subcommands<'a>(words: &[&'a str]) -> Vec<&'a str> {
    const WITH_VALUE: [&str; 5] = ["--set", "--role", "--config", "--data-dir", "--log-filter"];
    let mut found = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if WITH_VALUE.contains(word) {
            words.next();
        } else if !word.starts_with(['-', '…']) {
            found.push(*word);
        }
    }
    // These have commands of their own; what follows another one is its argument.
    let has_own = found.first().is_some_and(|it| ["account", "cluster", "zones"].contains(it));
    found.truncate(if has_own { 2 } else { 1 });
    found
}

#[test]
fn every_command_and_flag_of_the_pages_exists() {
    let mut wrong = Vec::new();
    let mut asked = BTreeSet::new();
    for page in ["README.md", "docs/operations.md", "CONTRIBUTING.md"] {
        for line in commands(&read(page)) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some(help) = help(&subcommands(&words)) else {
                wrong.push(format!("{page}: there is no `throng {line}`"));
                continue;
            };
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                if !has_flag(&help, flag) {
                    wrong.push(format!("{page}: `throng {line}`: there is no {flag}"));
                }
            }
            asked.insert(help);
        }
        // Flags that are spoken of alone belong to some command; or to cargo.
        for flag in prose(&read(page)).split('`').skip(1).step_by(2) {
            let known = ["--release", "--profile"].iter().any(|cargo| flag.starts_with(cargo))
                || asked.iter().any(|help| has_flag(help, flag.split(' ').next().unwrap()));
            if flag.starts_with("--") && !known {
                wrong.push(format!("{page}: no command has {flag}"));
            }
        }
    }
    assert!(asked.len() > 5, "the pages name commands");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn has_flag(help: &str, flag: &str) -> bool {
    help.split(|c: char| c.is_whitespace() || c == ',').any(|word| word == flag)
}

#[test]
fn the_ports_and_keys_of_the_readme_are_the_defaults() {
    let text = read("README.md");
    let ports = Config::default().ports;
    let rows = [
        (ports.login, "ports.login"),
        (ports.gateway, "ports.gateway"),
        (ports.text, "ports.text"),
        (ports.http, "ports.http"),
        (ports.admin.port(), "ports.admin"),
        (ports.link, "ports.link"),
    ];
    for (port, key) in rows {
        assert!(text.contains(&format!("| {port} | `{key}` |")), "the port of {key} is {port}");
    }
    let known: BTreeSet<String> = rows.iter().map(|(port, _)| port.to_string()).collect();
    for port in text.split("127.0.0.1:").skip(1).map(digits).filter(|port| port.len() > 1) {
        assert!(known.contains(port), "nothing listens on {port}");
    }
    for line in text.lines().filter(|line| line.starts_with("| `") && line.contains("` | ")) {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        if let Some(value) = default_of(cells[1]) {
            assert_eq!(cells[2], value, "the default of {}", cells[1]);
        }
    }
}

fn digits(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())]
}

/// The value of a key in `config.toml`, which has every key with its default.
fn default_of(key: &str) -> Option<String> {
    let file: toml::Table = read("config.toml").parse().unwrap();
    let mut value = toml::Value::Table(file);
    for part in key.split('.') {
        value = value.get(part)?.clone();
    }
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

#[test]
fn the_readme_quotes_the_python_client_word_for_word() {
    let text = read("README.md");
    let block = between(&text, "```python\n", "```").next().expect("a block of Python");
    assert_eq!(block, read("examples/client.py"));
}

#[test]
fn every_metric_that_a_page_or_a_dashboard_names_is_counted() {
    let pages = ["README.md", "docs/operations.md", "deploy/alerts.yml"];
    let dashboards = ["web/dashboard.js", "deploy/grafana/throng.json"];
    for page in pages.into_iter().chain(dashboards) {
        let text = read(page);
        let mut named = 0;
        for (at, _) in text.match_indices("throng_") {
            let rest = &text[at..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = &rest[..end.unwrap_or(rest.len())];
            let is_counted = METRICS.iter().any(|metric| {
                let part = name.strip_prefix(metric.name);
                let histogram = metric.kind == Kind::Histogram;
                let parts = ["_bucket", "_sum", "_count"];
                part.is_some_and(|part| part.is_empty() || histogram && parts.contains(&part))
            });
            assert!(is_counted, "{page} names {name}, which nobody counts");
            named += 1;
        }
        assert!(named > 3, "{page} names metrics");
    }
}
