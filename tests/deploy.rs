//! What `deploy/` promises, checked without a container engine or a cluster: every file can be read,
//! every server in it would start with the settings it is given, ports and secrets fit together,
//! dashboards and alerts speak of metrics that there are, and the Dockerfile copies what it builds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, OnceLock};

use serde_json::{Map, Value};
use throng::config::Config;
use throng::telemetry::catalogue::{Kind, METRICS, Metric};
use yaml_rust2::{Yaml, YamlLoader};

/// A drain takes so long at most, seconds; whoever ends a server must wait longer.
const DRAIN_SECONDS: u64 = 30;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below a folder, from the repository's root.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut folders = vec![root().join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().and_then(|ending| ending.to_str()).is_some_and(|it| endings.contains(&it))
}

/// The documents of a YAML file, with merged keys (`<<`) in their places.
fn yaml(path: impl AsRef<Path>) -> Vec<Value> {
    let text = read(&path);
    let documents = YamlLoader::load_from_str(&text)
        .unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()));
    documents.iter().map(value).collect()
}

fn value(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Boolean(truth) => (*truth).into(),
        Yaml::Integer(number) => (*number).into(),
        Yaml::Real(number) => number.parse::<f64>().unwrap().into(),
        Yaml::String(text) => text.as_str().into(),
        Yaml::Array(values) => values.iter().map(value).collect(),
        Yaml::Hash(pairs) => {
            let mut object = Map::new();
            // What is merged in gives way to what stands there itself.
            for (_, merged) in pairs.iter().filter(|(key, _)| key.as_str() == Some("<<")) {
                object.extend(value(merged).as_object().expect("a mapping to merge").clone());
            }
            for (key, inner) in pairs.iter().filter(|(key, _)| key.as_str() != Some("<<")) {
                object.insert(key.as_str().expect("a key that is a text").into(), value(inner));
            }
            object.into()
        }
        Yaml::Null => Value::Null,
        Yaml::Alias(_) | Yaml::BadValue => panic!("an alias or a value that means nothing"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> Vec<&str> {
    list(value).map(text).collect()
}

/// A number, given as one or as a text.
fn port(value: &Value) -> u16 {
    let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
    number.or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("no port: {value}"))
}

/// One server as a file describes it: where, with which arguments and environment.
struct Server {
    place: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    config: OnceLock<Config>,
}

impl Server {
    fn new(place: String, arguments: Vec<String>, environment: BTreeMap<String, String>) -> Self {
        Self { place, arguments, environment, config: OnceLock::new() }
    }

    /// What is in force for it. It would start with that.
    fn check(&self) -> &Config {
        self.config.get_or_init(|| self.ask())
    }

    /// What `throng check-config` says to it.
    fn ask(&self) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_throng"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("THRONG_")) {
            command.env_remove(name);
        }
        // The image's `config.toml` holds the defaults: another test keeps it so.
        let output = command
            .args(&self.arguments)
            .arg("check-config")
            .envs(&self.environment)
            .current_dir(folder.path())
            .output()
            .expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} would not start: {said}", self.place);
        let shown = String::from_utf8(output.stdout).unwrap();
        toml::from_str(&shown).unwrap_or_else(|error| panic!("{}: {error}\n{shown}", self.place))
    }

    fn role(&self) -> &str {
        let at = self.arguments.iter().position(|word| word == "--role").expect("a role");
        &self.arguments[at + 1]
    }

    /// The ports that its role opens, by name.
    fn ports(&self, config: &Config) -> BTreeMap<&'static str, u16> {
        let ports = &config.ports;
        let mut open = BTreeMap::from([("link", ports.link), ("admin", ports.admin.port())]);
        match self.role() {
            "login" => open.extend([("login", ports.login)]),
            "gateway" => {
                open.extend([("gateway", ports.gateway), ("text", ports.text), ("web", ports.http)])
            }
            _ => {}
        }
        open
    }

    fn is_set(&self, key: &str) -> bool {
        let name = format!("THRONG_{}", key.to_uppercase().replace('.', "__"));
        self.environment.contains_key(&name)
    }
}

// ---- all files ---------------------------------------------------------------------------------

#[test]
fn every_file_can_be_read() {
    let mut read_so_far = 0;
    for path in files("deploy") {
        if has_ending(&path, &["yaml", "yml"]) {
            assert!(!yaml(&path).is_empty(), "{} is empty", path.display());
            read_so_far += 1;
        } else if has_ending(&path, &["json"]) {
            let parsed = serde_json::from_str::<Value>(&read(&path));
            parsed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            read_so_far += 1;
        }
    }
    assert!(read_so_far >= 15, "the files were found");
}

#[test]
fn every_variable_is_a_key_of_the_configuration() {
    let mut paths = files("deploy");
    paths.push("Dockerfile".into());
    let mut keys = BTreeMap::new();
    for path in paths {
        let text = read(&path);
        for (at, _) in text.match_indices("THRONG_") {
            let rest = &text[at + "THRONG_".len()..];
            let name = rest.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap();
            keys.insert(name.to_lowercase().replace("__", "."), path.clone());
        }
    }
    // Compose's own.
    keys.remove("public_host").expect("the host that players come to");
    assert!(keys.len() > 10, "the variables were found");
    let mut command = Command::new(env!("CARGO_BIN_EXE_throng"));
    for key in keys.keys() {
        command.args(["--set", &format!("{key}=x")]);
    }
    let output = command.arg("check-config").current_dir(root()).output();
    let said = output.expect("the program runs").stderr;
    let said = String::from_utf8_lossy(&said);
    let unknown = |line: &&str| line.contains("there is no such key");
    if let Some(line) = said.lines().find(unknown) {
        let key = line.split_whitespace().next().unwrap();
        panic!("{} sets it: {line}", keys[key].display());
    }
}

#[test]
fn every_command_that_a_file_names_exists() {
    let mut seen = BTreeSet::new();
    for path in files("deploy") {
        for line in read(&path).lines() {
            let comment = line.trim_start().starts_with('#') || has_ending(&path, &["md"]);
            let Some((_, words)) = line.rsplit_once(" throng ").filter(|_| comment) else {
                continue;
            };
            // In prose the next word is none of the program's.
            let words: Vec<&str> = words
                .split_whitespace()
                .take_while(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
                .collect();
            if !line.contains("exec") {
                continue;
            }
            let mut command = Command::new(env!("CARGO_BIN_EXE_throng"));
            let output = command.args(&words).arg("--help").output().unwrap();
            assert!(output.status.success(), "{}: {line}", path.display());
            seen.insert(words.join(" "));
        }
    }
    assert!(!seen.is_empty(), "the files say how to ask the cluster");
}

// ---- Compose -----------------------------------------------------------------------------------

/// The services of `deploy/compose.yaml`, and those of them that are servers.
static COMPOSE: LazyLock<(Value, BTreeMap<String, Server>)> = LazyLock::new(|| {
    let services = yaml("deploy/compose.yaml").remove(0)["services"].take();
    let mut servers = BTreeMap::new();
    for (name, service) in services.as_object().unwrap() {
        let arguments: Vec<String> =
            texts(&service["command"]).iter().map(|it| (*it).to_owned()).collect();
        if arguments.iter().any(|word| word == "--role") {
            let given =
                |it: &Value| text(it).replace("${THRONG_PUBLIC_HOST:-127.0.0.1}", "127.0.0.1");
            let environment = service["environment"].as_object().unwrap().iter();
            let environment = environment.map(|(key, it)| (key.clone(), given(it))).collect();
            let place = format!("deploy/compose.yaml: {name}");
            servers.insert(name.clone(), Server::new(place, arguments, environment));
        }
    }
    (services, servers)
});

#[test]
fn every_server_of_compose_would_start_and_is_reached_where_it_says() {
    let (services, servers) = &*COMPOSE;
    let mut roles = BTreeMap::<&str, usize>::new();
    for (name, server) in servers {
        *roles.entry(server.role()).or_default() += 1;
        let config = server.check();
        assert!(config.store.url.starts_with("postgres://"), "{}", server.place);
        assert!(config.store.allow_plain, "{}: the image has no certificate", server.place);
        let own = server.ports(config);
        // The others come to it by its name in the network.
        let linked = if config.link.advertise.is_empty() {
            &config.ports.advertise
        } else {
            &config.link.advertise
        };
        assert_eq!(linked, name, "{}", server.place);
        assert_eq!(config.link.master.is_empty(), server.role() == "master", "{}", server.place);
        for address in &config.link.master {
            let (host, port) = address.split_once(':').unwrap();
            let master = servers.get(host).expect("the master");
            assert_eq!(master.role(), "master");
            assert_eq!(port, master.check().ports.link.to_string());
        }
        for published in texts(&services[name.as_str()]["ports"]) {
            let parts: Vec<&str> = published.rsplit(':').collect();
            let (inside, outside) = (parts[0], parts[1]);
            assert_eq!(inside, outside, "{}: clients are told the inner port", server.place);
            let open = own.iter().find(|(_, port)| port.to_string() == inside);
            let (kind, _) =
                open.unwrap_or_else(|| panic!("{} does not open {inside}", server.place));
            let private = parts.get(2) == Some(&"127.0.0.1");
            let wanted = matches!(*kind, "text" | "admin");
            assert_eq!(private, wanted, "{}: {kind} {published}", server.place);
            assert_ne!(*kind, "link", "{}: links stay inside", server.place);
        }
    }
    let wanted = [("chat", 1), ("gateway", 2), ("login", 1), ("master", 1), ("zone", 3)];
    assert_eq!(roles, BTreeMap::from(wanted));
}

#[test]
fn compose_waits_for_drains_and_looks_after_health() {
    let (services, servers) = &*COMPOSE;
    for (name, server) in servers {
        let service = &services[name.as_str()];
        let grace = text(&service["stop_grace_period"]).trim_end_matches('s').parse::<u64>();
        assert!(grace.unwrap() > DRAIN_SECONDS, "{}", server.place);
        let asked = texts(&service["healthcheck"]["test"]);
        assert_eq!(asked[1..3], ["throng", "health"], "{}", server.place);
        let admin = server.check().ports.admin.port();
        assert_eq!(asked[3], format!("http://127.0.0.1:{admin}/readyz"), "{}", server.place);
    }
    for (name, service) in services.as_object().unwrap() {
        assert!(service["healthcheck"].is_object(), "{name} has no health check");
    }
    // Each volume is declared, and each declared one is used.
    let whole = yaml("deploy/compose.yaml").remove(0);
    let declared: BTreeSet<&str> =
        whole["volumes"].as_object().unwrap().keys().map(String::as_str).collect();
    let used: BTreeSet<&str> = services
        .as_object()
        .unwrap()
        .values()
        .flat_map(|service| texts(&service["volumes"]))
        .filter_map(|volume| volume.split(':').next())
        .filter(|volume| !volume.starts_with(['.', '/']))
        .collect();
    assert_eq!(declared, used);
    for service in services.as_object().unwrap().values() {
        for volume in texts(&service["volumes"]) {
            let source = volume.split(':').next().unwrap();
            if let Some(path) = source.strip_prefix("./") {
                assert!(root().join("deploy").join(path).exists(), "{source} is not there");
            }
        }
    }
}

#[test]
fn prometheus_of_compose_asks_every_server() {
    let (_, servers) = &*COMPOSE;
    let config = yaml("deploy/compose/prometheus.yml").remove(0);
    let mut asked = BTreeSet::new();
    for job in list(&config["scrape_configs"]) {
        assert_eq!(job["job_name"], "throng", "the alerts speak of this job");
        for group in list(&job["static_configs"]) {
            let role = text(&group["labels"]["role"]);
            asked.extend(
                texts(&group["targets"]).iter().map(|it| (role.to_owned(), (*it).to_owned())),
            );
        }
    }
    let there: BTreeSet<_> = servers
        .iter()
        .map(|(name, server)| {
            let admin = server.check().ports.admin;
            assert!(admin.ip().is_unspecified(), "{} is not reached from outside", server.place);
            (server.role().to_owned(), format!("{name}:{}", admin.port()))
        })
        .collect();
    assert_eq!(asked, there);
}

// ---- Kubernetes --------------------------------------------------------------------------------

/// Every object of the manifests that `deploy/kustomization.yaml` names, with its file.
fn objects() -> Vec<(String, Value)> {
    let kustomization = yaml("deploy/kustomization.yaml").remove(0);
    let named: BTreeSet<PathBuf> =
        texts(&kustomization["resources"]).iter().map(|it| Path::new("deploy").join(it)).collect();
    let there: BTreeSet<PathBuf> = files("deploy/kubernetes").into_iter().collect();
    assert_eq!(named, there, "the kustomization names what is there");
    let of_file = |path: &PathBuf| {
        let file = path.display().to_string();
        yaml(path).into_iter().map(move |object| (file.clone(), object)).collect::<Vec<_>>()
    };
    there.iter().flat_map(of_file).collect()
}

/// The values that the kustomization's config map has.
fn config_map() -> BTreeMap<String, String> {
    let kustomization = yaml("deploy/kustomization.yaml").remove(0);
    let maps = list(&kustomization["configMapGenerator"]).filter(|map| map["name"] == "throng");
    let literals = maps.flat_map(|map| texts(&map["literals"])).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap();
        (key.to_owned(), value.to_owned())
    });
    let literals: BTreeMap<String, String> = literals.collect();
    assert!(!literals.is_empty());
    literals
}

/// The workloads that run this program, and what they are given.
static PODS: LazyLock<Vec<(Server, Value)>> = LazyLock::new(|| {
    let literals = config_map();
    let mut found = Vec::new();
    for (file, object) in objects() {
        let pod = &object["spec"]["template"]["spec"];
        for container in list(&pod["containers"]).filter(|it| it["image"] == "throng") {
            let mut environment = BTreeMap::new();
            for variable in list(&container["env"]) {
                let from = &variable["valueFrom"];
                let key = from["configMapKeyRef"]["key"].as_str();
                let given = match (key, variable["value"].as_str()) {
                    (Some(key), _) => literals[key].clone(),
                    (None, Some(value)) => value.replace("$(POD_IP)", "10.1.2.3"),
                    (None, None) => "given-by-the-cluster".to_owned(),
                };
                environment.insert(text(&variable["name"]).to_owned(), given);
            }
            let arguments = texts(&container["args"]).iter().map(|it| (*it).to_owned()).collect();
            let place = format!("{file}: {}", text(&object["metadata"]["name"]));
            found.push((Server::new(place, arguments, environment), object.clone()));
        }
    }
    found
});

#[test]
fn every_pod_would_start_and_its_ports_are_the_documented_ones() {
    let mut roles = BTreeSet::new();
    let objects = objects();
    for (server, object) in &*PODS {
        let role = server.role();
        roles.insert(role.to_owned());
        assert_eq!(object["metadata"]["name"], role, "{}", server.place);
        let config = server.check();
        let open = server.ports(config);
        assert!(config.ports.admin.ip().is_unspecified(), "{}: probes reach it", server.place);
        assert_eq!(config.link.master.is_empty(), role == "master", "{}", server.place);
        assert!(server.is_set("link.secret_file") && server.is_set("ports.advertise"));
        let linked = [&config.link.advertise, &config.ports.advertise];
        let linked = linked.into_iter().find(|host| !host.is_empty()).unwrap();
        assert_eq!(linked, "10.1.2.3", "{}: servers come to the pod itself", server.place);
        let container = &object["spec"]["template"]["spec"]["containers"][0];
        let told = list(&container["ports"]);
        let told: BTreeMap<&str, u16> =
            told.map(|it| (text(&it["name"]), port(&it["containerPort"]))).collect();
        assert_eq!(told, open, "{}", server.place);
        for (probe, path) in [
            ("startupProbe", "/healthz"),
            ("livenessProbe", "/healthz"),
            ("readinessProbe", "/readyz"),
        ] {
            assert_eq!(container[probe]["httpGet"]["path"], path, "{} {probe}", server.place);
            assert_eq!(container[probe]["httpGet"]["port"], "admin", "{} {probe}", server.place);
        }
        let annotations = &object["spec"]["template"]["metadata"]["annotations"];
        assert_eq!(text(&annotations["prometheus.io/port"]), open["admin"].to_string());
        // Its service, if it has one, offers what it opens.
        let service =
            |it: &&(String, Value)| it.1["kind"] == "Service" && it.1["metadata"]["name"] == role;
        for offered in
            objects.iter().find(service).into_iter().flat_map(|(_, it)| list(&it["spec"]["ports"]))
        {
            assert_eq!(
                open.get(text(&offered["name"])),
                Some(&port(&offered["port"])),
                "{}",
                server.place
            );
        }
    }
    let all = ["chat", "gateway", "login", "master", "zone"].map(str::to_owned);
    assert_eq!(roles, BTreeSet::from(all));
    let master = config_map()["link-master"].clone();
    let config = Config::default();
    assert_eq!(master, format!("[\"master:{}\"]", config.ports.link));
}

#[test]
fn pods_have_time_to_drain_and_no_rights() {
    for (server, object) in &*PODS {
        let pod = &object["spec"]["template"]["spec"];
        let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        let container = &pod["containers"][0];
        let before = list(&container["lifecycle"]["preStop"]["exec"]["command"]).nth(1);
        let before = before.map_or(0, |seconds| text(seconds).parse::<u64>().unwrap());
        assert!(grace > DRAIN_SECONDS + before, "{}", server.place);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{}", server.place);
        assert_eq!(pod["automountServiceAccountToken"], false, "{}", server.place);
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false, "{}", server.place);
        assert_eq!(texts(&security["capabilities"]["drop"]), ["ALL"], "{}", server.place);
        assert!(!container["resources"]["requests"]["cpu"].is_null(), "{}", server.place);
    }
}

#[test]
fn pods_of_a_lost_node_are_replaced_soon() {
    let objects = objects();
    let templates = objects.iter().map(|(place, it)| (place, &it["spec"]["template"]["spec"]));
    let mut pods = 0;
    for (place, pod) in templates.filter(|(_, pod)| !pod.is_null()) {
        pods += 1;
        for key in ["node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"] {
            let toleration = list(&pod["tolerations"]).find(|it| it["key"] == key);
            let toleration = toleration.unwrap_or_else(|| panic!("{place}: nothing on {key}"));
            assert_eq!(toleration["tolerationSeconds"], 10, "{place}: {key}");
            assert_eq!(toleration["effect"], "NoExecute", "{place}: {key}");
        }
    }
    assert_eq!(pods, 6, "five roles and the database");
}

/// Every value of a key, anywhere in an object.
fn every<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get(key));
            object.values().for_each(|inner| every(inner, key, found));
        }
        Value::Array(values) => values.iter().for_each(|inner| every(inner, key, found)),
        _ => {}
    }
}

#[test]
fn every_secret_that_a_pod_takes_is_made_by_the_documented_command() {
    let command = read("deploy/kustomization.yaml");
    let made: BTreeSet<&str> = command
        .split("--from-literal=")
        .skip(1)
        .map(|rest| rest.split('=').next().unwrap())
        .collect();
    let mut used = BTreeSet::new();
    let objects = objects();
    for (_, object) in &objects {
        let mut references = Vec::new();
        every(object, "secretKeyRef", &mut references);
        for reference in references {
            assert_eq!(reference["name"], "throng-secrets");
            used.insert(text(&reference["key"]));
        }
        let mut volumes = Vec::new();
        every(object, "secret", &mut volumes);
        for volume in volumes {
            assert_eq!(volume["secretName"], "throng-secrets");
            used.extend(list(&volume["items"]).map(|item| text(&item["key"])));
        }
    }
    assert_eq!(made, used);
}

#[test]
fn policies_and_budgets_choose_pods_that_there_are() {
    let objects = objects();
    let mut labels: Vec<&Value> =
        objects.iter().map(|(_, it)| &it["spec"]["template"]["metadata"]["labels"]).collect();
    labels.retain(|labels| labels.is_object());
    let ports = Config::default().ports;
    let known =
        [ports.login, ports.gateway, ports.text, ports.http, ports.link, ports.admin.port(), 5432];
    let mut kinds = BTreeSet::new();
    for (file, object) in &objects {
        let spec = &object["spec"];
        let chosen = match text(&object["kind"]) {
            "NetworkPolicy" => &spec["podSelector"]["matchLabels"],
            "PodDisruptionBudget" => &spec["selector"]["matchLabels"],
            "Service" => &spec["selector"],
            _ => continue,
        };
        kinds.insert(text(&object["kind"]));
        let fits = |labels: &&Value| {
            chosen.as_object().into_iter().flatten().all(|(key, it)| labels[key.as_str()] == *it)
        };
        assert!(labels.iter().any(fits), "{file}: nothing is chosen by {chosen}");
        for rule in list(&spec["ingress"]) {
            for open in list(&rule["ports"]) {
                assert!(known.contains(&port(&open["port"])), "{file}: {open}");
            }
        }
    }
    assert_eq!(kinds, BTreeSet::from(["NetworkPolicy", "PodDisruptionBudget", "Service"]));
}

// ---- metrics -----------------------------------------------------------------------------------

/// Labels that Prometheus or the files in `deploy/` add.
const ADDED_LABELS: [&str; 4] = ["instance", "job", "role", "le"];

fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| {
        let histogram = metric.kind == Kind::Histogram;
        let parts = ["_bucket", "_sum", "_count"];
        match name.strip_prefix(metric.name) {
            Some("") => !histogram,
            Some(part) => histogram && parts.contains(&part),
            None => false,
        }
    })
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What is wrong with an expression: metrics that there are not, labels that they do not have.
fn faults(expression: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut labels: BTreeSet<&str> = ADDED_LABELS.into();
    let mut named = 0;
    for (at, _) in expression.match_indices("throng_") {
        let name = expression[at..].split(|c| !is_word(c)).next().unwrap();
        named += 1;
        match metric(name) {
            Some(metric) => labels.extend(metric.labels),
            None => wrong.push(format!("there is no {name}")),
        }
    }
    if named == 0 && !expression.contains("up{") {
        wrong.push("it names no metric".to_owned());
    }
    let grouped = ["by (", "on (", "without ("].into_iter().flat_map(|word| {
        expression.split(word).skip(1).filter_map(|rest| rest.split_once(')')).map(|(it, _)| it)
    });
    let matched = expression.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let matched = matched.flat_map(|(inside, _)| inside.split(','));
    for label in grouped.flat_map(|words| words.split(',')).chain(matched) {
        let label = label.trim().split(|c| !is_word(c)).next().unwrap();
        if !label.is_empty() && !labels.contains(label) {
            wrong.push(format!("no metric in it has the label {label}"));
        }
    }
    wrong
}

#[test]
fn alerts_speak_of_metrics_that_there_are() {
    let rules = yaml("deploy/alerts.yml").remove(0);
    let mut names = BTreeSet::new();
    for rule in list(&rules["groups"]).flat_map(|group| list(&group["rules"])) {
        let name = text(&rule["alert"]);
        assert!(names.insert(name), "{name} is there twice");
        let expression = text(&rule["expr"]);
        assert!(faults(expression).is_empty(), "{name}: {:?}", faults(expression));
        assert!(!text(&rule["annotations"]["summary"]).is_empty());
    }
    assert!(names.len() >= 8);
}

#[test]
fn the_dashboard_speaks_of_metrics_that_there_are() {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/throng.json")).unwrap();
    let mut ids = BTreeSet::new();
    let mut expressions = 0;
    for panel in list(&dashboard["panels"]) {
        let title = text(&panel["title"]);
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title} has another one's number");
        for target in list(&panel["targets"]) {
            let expression = text(&target["expr"]);
            assert!(faults(expression).is_empty(), "{title}: {:?}", faults(expression));
            expressions += 1;
        }
    }
    assert!(expressions > 30, "the expressions were found");
}

#[test]
fn faults_of_an_expression_are_found() {
    assert!(faults("sum by (zone) (throng_zone_players{job=~\"$job\"})").is_empty());
    assert!(!faults("throng_zone_player").is_empty(), "no such metric");
    assert!(!faults("throng_zone_tick_seconds").is_empty(), "a histogram has no value");
    assert!(!faults("sum by (planet) (throng_zone_players)").is_empty(), "no such label");
    assert!(!faults("throng_zone_players{planet=\"1\"}").is_empty(), "no such label");
    assert!(!faults("vector(1)").is_empty(), "no metric");
}

// ---- the image ---------------------------------------------------------------------------------

/// The sources that the Dockerfile copies before it builds.
fn copied() -> BTreeSet<String> {
    let dockerfile = read("Dockerfile");
    let lines = dockerfile.lines().take_while(|line| !line.contains("cargo build"));
    let copies = lines.filter_map(|line| line.strip_prefix("COPY "));
    copies
        .flat_map(|line| {
            let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            words.pop();
            words
        })
        .collect()
}

#[test]
fn the_image_is_built_from_all_that_the_build_reads() {
    let copied = copied();
    let ignored = read(".dockerignore");
    for name in &copied {
        assert!(root().join(name).exists(), "{name} is copied and not there");
        assert!(ignored.lines().any(|line| line == format!("!{name}")), "{name} is ignored");
    }
    // Whatever the manifest names with a path or by its place must be there for cargo to go on.
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    for (kind, folder) in [("bench", "benches"), ("test", "tests"), ("example", "examples")] {
        if manifest.contains_key(kind) {
            assert!(copied.contains(folder), "the manifest names a {kind}: {folder} is not copied");
        }
    }
    for name in ["Cargo.toml", "Cargo.lock", "build.rs", "src"] {
        assert!(copied.contains(name), "{name} is not copied");
    }
    // And what the sources include from outside.
    for path in files("src").into_iter().filter(|path| has_ending(path, &["rs"])) {
        let source = read(&path);
        for (at, _) in source.match_indices("include_") {
            let rest = &source[at..];
            let Some(named) = rest.split_once("!(\"").filter(|(word, _)| word.len() < 14) else {
                continue;
            };
            let named = named.1.split('"').next().unwrap();
            let mut place = path.parent().unwrap().to_owned();
            for part in Path::new(named) {
                if part == ".." {
                    place.pop();
                } else {
                    place.push(part);
                }
            }
            assert!(root().join(&place).is_file(), "{} includes {named}", path.display());
            let first = place.iter().next().unwrap().to_str().unwrap();
            assert!(copied.contains(first), "{} includes {}", path.display(), place.display());
        }
    }
}

#[test]
fn the_image_names_every_port() {
    let dockerfile = read("Dockerfile");
    let exposed = dockerfile.lines().find_map(|line| line.strip_prefix("EXPOSE ")).unwrap();
    let exposed: BTreeSet<u16> = exposed.split(' ').map(|port| port.parse().unwrap()).collect();
    let ports = Config::default().ports;
    let all = [ports.login, ports.gateway, ports.text, ports.http, ports.link, ports.admin.port()];
    assert_eq!(exposed, BTreeSet::from(all));
}
