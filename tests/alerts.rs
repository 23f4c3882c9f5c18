//! The alert rules of `deploy/`: each is shown to fire and to be silent by Prometheus' own test runner,
//! on the series of `deploy/alerts.test.yml`. Whether their metrics exist is `tests/deploy.rs`'s.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use yaml_rust2::{Yaml, YamlLoader};

fn read(path: &str) -> Yaml {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(&path).expect("the file is there");
    YamlLoader::load_from_str(&text).expect("the file is YAML").remove(0)
}

fn list(yaml: &Yaml) -> impl Iterator<Item = &Yaml> {
    yaml.as_vec().into_iter().flatten()
}

#[test]
fn every_rule_fires_while_its_failure_lasts_and_is_quiet_otherwise() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let run = Command::new("promtool")
        .args(["test", "rules", "alerts.test.yml"])
        .current_dir(folder)
        .output()
        .unwrap_or_else(|e| panic!("promtool, of Debian's package prometheus, is needed: {e}"));
    let said = [run.stdout, run.stderr].concat();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn no_rule_is_left_out_of_the_tests() {
    let (rules, tests) = (read("deploy/alerts.yml"), read("deploy/alerts.test.yml"));
    let (mut firing, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    for case in list(&tests["tests"]).flat_map(|test| list(&test["alert_rule_test"])) {
        let name = case["alertname"].as_str().expect("a test names its rule");
        let told = list(&case["exp_alerts"]).count() > 0;
        if told {
            firing.insert(name)
        } else {
            quiet.insert(name)
        };
    }
    let mut rules_seen = 0;
    for rule in list(&rules["groups"]).flat_map(|group| list(&group["rules"])) {
        let name = rule["alert"].as_str().expect("a rule has a name");
        assert!(firing.contains(name), "no test shows {name} fire");
        assert!(quiet.contains(name), "no test shows {name} silent");
        let severity = rule["labels"]["severity"].as_str();
        assert!(matches!(severity, Some("page" | "ticket")), "{name} has no severity");
        rules_seen += 1;
    }
    assert!(rules_seen > 0, "there are rules");
}
