//! The layers, and the folder of right and wrong files.

use std::path::Path;

use super::*;

fn from_file(path: &Path) -> Result<Config, BadConfig> {
    load(&Sources { file: Some(path.into()), ..Sources::default() }, &Roles::all())
}

fn from_text(text: &str) -> Result<Config, BadConfig> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("given.toml");
    std::fs::write(&path, text).unwrap();
    from_file(&path)
}

fn set(key: &str, value: &str) -> Flag {
    Flag { flag: "--set", key: key.to_owned(), value: value.to_owned() }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(folder);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn the_defaults_have_no_problem() {
    assert_eq!(Config::default().problems(&Roles::all()), Vec::<String>::new());
}

#[test]
fn the_commented_file_is_the_defaults_and_names_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
    let config = from_file(&path).unwrap();
    assert_eq!(config, Config::default());
    let text = std::fs::read_to_string(&path).unwrap();
    let defaults = figment::value::Value::serialize(Config::default()).unwrap();
    for (path, _) in key::leaves(defaults.as_dict().unwrap()) {
        let name = path.rsplit('.').next().unwrap();
        let set = text.lines().any(|line| {
            let line = line.trim_start_matches(['#', ' ']);
            line.split_once('=').is_some_and(|(key, _)| key.trim() == name)
        });
        assert!(set, "config.toml does not say what {path} is");
    }
}

#[test]
fn every_valid_file_is_taken() {
    for path in files("valid") {
        from_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// Each line `#! text` of an invalid file must be in the answer, and nothing else may be wrong.
#[test]
fn every_invalid_file_is_refused_with_all_its_faults() {
    for path in files("invalid") {
        let text = std::fs::read_to_string(&path).unwrap();
        let wanted: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#! ")).collect();
        let BadConfig(findings) = from_file(&path).unwrap_err();
        let said: Vec<String> = findings.iter().map(Finding::to_string).collect();
        let said: Vec<String> = said.iter().zip(&findings).map(without_origin).collect();
        for line in &wanted {
            let known = said.iter().any(|said| said.contains(line));
            assert!(known, "{}: '{line}' is not in {said:#?}", path.display());
        }
        assert_eq!(said.len(), wanted.len(), "{}: {said:#?}", path.display());
        for finding in findings.iter().filter(|finding| !finding.key.is_empty()) {
            let line = line_of(finding, &path);
            let line = text.lines().nth(line - 1).unwrap();
            let names = finding.key.split('.').any(|part| line.contains(part));
            assert!(names, "{finding} is not about '{line}'");
        }
    }
}

fn without_origin((said, finding): (&String, &Finding)) -> String {
    said.replace(&format!("({}): ", finding.origin), "")
}

/// The line of that file which a finding names.
fn line_of(finding: &Finding, path: &Path) -> usize {
    let line = finding.origin.strip_prefix(&format!("{}:", path.display()));
    line.and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("no line in {finding}"))
}

/// What was there from the start is told from the start: once the told lines are gone, nothing more
/// comes.
#[test]
fn who_mends_what_was_told_is_not_told_of_more() {
    for name in ["all_kinds_at_once", "out_of_range", "unknown_keys", "wrong_types"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/invalid");
        let path = path.join(format!("{name}.toml"));
        let BadConfig(findings) = from_file(&path).unwrap_err();
        let told: Vec<usize> = findings.iter().map(|finding| line_of(finding, &path)).collect();
        let text = std::fs::read_to_string(&path).unwrap();
        let (mut kept, mut table_gone) = (Vec::new(), false);
        for (place, line) in text.lines().enumerate() {
            let is_told = told.contains(&(place + 1));
            if line.starts_with('[') {
                // With a table's head goes all that is in it.
                table_gone = is_told;
            }
            if !is_told && !table_gone {
                kept.push(line);
            }
        }
        from_text(&kept.join("\n")).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn each_source_is_named_as_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("given.toml");
    std::fs::write(&file, "[net]\nio_threads = 999\nbacklgo = 1\n").unwrap();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let flag = |flag, key: &str, value: &str| Flag { flag, key: key.into(), value: value.into() };
    let sources = Sources {
        file: Some(file.clone()),
        environment: vec![pair("THRONG_ZONE__SAVE_SECONDS", "0"), pair("THRONG_LOGG__FILTER", "x")],
        flags: vec![flag("--set", "ports.txt", "1"), flag("--log-filter", "log.filter", "a=b=c")],
    };
    let BadConfig(findings) = load(&sources, &Roles::all()).unwrap_err();
    let mut said: Vec<(String, String)> =
        findings.into_iter().map(|finding| (finding.key, finding.origin)).collect();
    said.sort();
    let file = |line: u32| format!("{}:{line}", file.display());
    let wanted = [
        ("log.filter", "--log-filter".to_owned()),
        ("logg.filter", "THRONG_LOGG__FILTER".to_owned()),
        ("net.backlgo", file(3)),
        ("net.io_threads", file(2)),
        ("ports.txt", "--set".to_owned()),
        ("zone.save_seconds", "THRONG_ZONE__SAVE_SECONDS".to_owned()),
    ];
    assert_eq!(said, wanted.map(|(key, origin)| (key.to_owned(), origin)));
}

#[test]
fn a_slip_is_told_once_and_not_what_follows_from_it() {
    let zone: Roles = "zone".parse().unwrap();
    let keys = |text: &str| -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("given.toml");
        std::fs::write(&path, text).unwrap();
        let sources = Sources { file: Some(path), ..Sources::default() };
        load(&sources, &zone).unwrap_err().0.into_iter().map(|finding| finding.key).collect()
    };
    let master = "[link]\nmaster = [\"master.example:8091\"]\n";
    assert_eq!(keys(&format!("[store]\nulr = \"postgres://db/game\"\n{master}")), ["store.ulr"]);
    assert_eq!(keys(&format!("[store]\nurl = 5\n{master}")), ["store.url"]);
    assert_eq!(keys("[store\nurl = 5"), [""], "nobody knows what the file sets");
}

#[test]
fn a_fault_of_the_world_is_told_to_the_file_that_it_is_in() {
    let folder = tempfile::tempdir().unwrap();
    let (main, world) = (folder.path().join("main.toml"), folder.path().join("island.toml"));
    let head = format!("[world]\nfile = {:?}\n", world.display().to_string());
    std::fs::write(&main, &head).unwrap();
    std::fs::write(&world, "[npcs.parrot]\nname = \"Parrot\"\nlevel = 1\nhealth = 0\n").unwrap();
    let origins = |key: &str| -> Vec<String> {
        let BadConfig(findings) = from_file(&main).unwrap_err();
        let about = findings.into_iter().filter(|finding| finding.key.starts_with(key));
        about.map(|finding| finding.to_string()).collect()
    };
    let parrot = origins("world.npcs.parrot.health");
    let at = format!("({}:4)", world.display());
    assert!(parrot.len() == 1 && parrot[0].contains(&at), "{parrot:?}");
    // The default's quests go on about the default's NPCs, which is nobody's line.
    let quests = origins("world.quests");
    let with = format!("world.npcs ({}:1)", world.display());
    assert!(!quests.is_empty());
    for said in quests {
        assert!(said.contains("(default)") && said.contains(&with), "{said}");
    }
    std::fs::write(&world, "[npcs.parrot]\nname = 5\n").unwrap();
    let parrot = origins("world.npcs.parrot");
    assert!(parrot[0].contains(&format!("({}:2)", world.display())), "{parrot:?}");
}

#[test]
fn later_layers_win() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("given.toml");
    std::fs::write(&file, "[ports]\nlogin = 1\ngateway = 2\ntext = 3\n").unwrap();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let sources = Sources {
        file: Some(file),
        environment: vec![pair("THRONG_PORTS__GATEWAY", "20"), pair("THRONG_PORTS__TEXT", "30")],
        flags: vec![set("ports.text", "300")],
    };
    let ports = load(&sources, &Roles::all()).unwrap().ports;
    assert_eq!((ports.login, ports.gateway, ports.text, ports.http), (1, 20, 300, 8088));
}

#[test]
fn other_programs_variables_are_left_alone_and_ones_own_slips_are_not() {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let environment = vec![
        pair("THRONG_SERVICE_HOST", "10.0.0.1"),
        pair("THRONG_PORT", "tcp://10.0.0.1:8080"),
        pair("THRONG_DATA_DIR", "elsewhere"),
        pair("THRONG_LOG__FILTER", "debug"),
    ];
    let sources = Sources { environment, ..Sources::default() };
    let config = load(&sources, &Roles::all()).unwrap();
    assert_eq!(config.data_dir, PathBuf::from("elsewhere"));
    assert_eq!(config.log.filter, "debug");

    let environment = vec![pair("THRONG_LOG__FITLER", "debug")];
    let error = load(&Sources { environment, ..Sources::default() }, &Roles::all()).unwrap_err();
    let said = error.0[0].to_string();
    assert_eq!(
        said,
        "log.fitler (THRONG_LOG__FITLER): there is no such key; did you mean log.filter?"
    );
}

#[test]
fn a_text_that_looks_like_a_number_stays_a_text_where_one_is_wanted() {
    let environment = vec![("THRONG_PORTS__ADVERTISE".to_owned(), "12345".to_owned())];
    let config = load(&Sources { environment, ..Sources::default() }, &Roles::all()).unwrap();
    assert_eq!(config.ports.advertise, "12345");
}

#[test]
fn a_missing_file_is_named() {
    let error = from_file(Path::new("/nowhere/at-all.toml")).unwrap_err();
    assert!(error.to_string().contains("/nowhere/at-all.toml"), "{error}");
}

#[test]
fn several_processes_need_a_shared_database_and_a_master_and_both_are_said() {
    let zone: Roles = "zone".parse().unwrap();
    let master: Roles = "master,login".parse().unwrap();
    let missing = |roles: &Roles| -> Vec<String> {
        let error = load(&Sources::default(), roles).unwrap_err();
        error.0.into_iter().map(|finding| finding.key).collect()
    };
    assert_eq!(missing(&zone), ["store.url", "link.master"]);
    assert_eq!(missing(&master), ["store.url"]);
    let mut flags = vec![set("store.url", "postgres://me:secret@db/game")];
    load(&Sources { flags: flags.clone(), ..Sources::default() }, &master).unwrap();
    flags.push(set("link.master", "[\"master.example:8091\"]"));
    let config = load(&Sources { flags, ..Sources::default() }, &zone).unwrap();
    assert!(!config.in_force().contains("secret"), "{}", config.in_force());
    assert_eq!(config.name_for(&zone), "zone");
    assert_eq!(Config::default().name_for(&Roles::all()), "world");
    assert_eq!(config.link_host(), "127.0.0.1");
}

#[test]
fn a_process_that_others_cannot_reach_is_doubted() {
    let doubts = |master: &str, advertise: &str, link: &str, roles: &str| {
        let mut config = Config::default();
        config.link.master = vec![master.to_owned()];
        (config.ports.advertise, config.link.advertise) = (advertise.into(), link.into());
        config.doubts(&roles.parse().unwrap()).join("\n")
    };
    for near in ["127.0.0.1:8091", "localhost:8091", "[::1]:8091"] {
        assert_eq!(doubts(near, "127.0.0.1", "", "gateway"), "", "all on one machine");
    }
    let far = "master.example:8091";
    assert_eq!(doubts(far, "gateway.example", "", "gateway"), "");
    assert!(doubts(far, "127.0.0.1", "", "zone").contains("at 127.0.0.1"));
    assert_eq!(doubts(far, "127.0.0.1", "zone.example", "zone"), "");
    let gateway = doubts(far, "127.0.0.1", "10.0.0.7", "gateway");
    assert!(gateway.starts_with("clients") && gateway.ends_with("ports.advertise"), "{gateway}");
    assert_eq!(Config::default().doubts(&Roles::all()), [""; 0]);
}

#[test]
fn one_rule_can_be_changed_without_giving_the_world_again() {
    let config = from_text("[world.rules]\nplayer_speed = 7.5\n").unwrap();
    let standard = Config::default();
    assert_eq!(config.world.rules.player_speed, 7.5);
    assert_eq!(config.world.rules.attack_damage, standard.world.rules.attack_damage);
    assert_eq!(config.world.zones, standard.world.zones);
}

#[test]
fn a_list_on_the_command_line_may_have_either_quotes() {
    for text in ["['10.0.0.0/8', '::1']", r#"["10.0.0.0/8", "::1"]"#] {
        let sources = Sources {
            environment: vec![("THRONG_NET__TRUSTED_PROXIES".to_owned(), text.to_owned())],
            flags: vec![set("net.allowed_origins", "['https://a.example']")],
            ..Sources::default()
        };
        let config = load(&sources, &Roles::all()).unwrap();
        assert_eq!(config.net.trusted_proxies, ["10.0.0.0/8", "::1"], "{text}");
        assert_eq!(config.net.allowed_origins, ["https://a.example"]);
    }
    // What only looks like one is the text that it is, and sets nothing else.
    let sources =
        Sources { flags: vec![set("net.trusted_proxies", "[]\nother = 1")], ..Sources::default() };
    load(&sources, &Roles::all()).unwrap_err();
}
