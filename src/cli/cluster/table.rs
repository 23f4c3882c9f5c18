//! The cluster as tables for people: columns as wide as what is in them, numbers to the right.

use super::view::{Cluster, Server, Zone};
use crate::tick::unix_millis;

/// Which columns of a table hold numbers.
type Right<'a> = &'a [&'a str];

/// The whole cluster.
pub(super) fn cluster(cluster: &Cluster) -> String {
    let Cluster { version, uptime_seconds, balancing, players, settling, .. } = cluster;
    let up = duration(*uptime_seconds);
    let plural = if *players == 1 { "" } else { "s" };
    let mut text =
        format!("master {version}, up {up}; {players} player{plural}; newcomers by {balancing}\n");
    if *settling {
        text += "the master has just started and still hears what runs and who plays\n";
    }
    format!("{text}\n{}\n{}", servers(cluster), zones(cluster))
}

fn servers(cluster: &Cluster) -> String {
    let head = [
        "SERVER", "ID", "ROLES", "STATE", "VERSION", "ADDRESS", "PLAYERS", "LOAD", "CPU", "MEMORY",
        "LINKS", "UP", "ZONES",
    ];
    let rows = cluster.servers.iter().map(server).collect();
    table(&head, rows, &["PLAYERS", "LOAD", "CPU", "MEMORY", "LINKS", "UP"])
}

fn server(server: &Server) -> Vec<String> {
    let address = match (server.port, server.link_port) {
        (0, 0) => server.host.clone(),
        (0, link) => format!("{}:{link}", server.link_host),
        (port, _) => format!("{}:{port}", server.host),
    };
    let zones: Vec<String> = server.zones.iter().map(u16::to_string).collect();
    let roles = if server.does.len() == crate::role::Role::ALL.len() {
        "all".to_owned()
    } else {
        server.does.join(",")
    };
    let up = server.started_at.map(|at| duration(unix_millis().saturating_sub(at) / 1_000));
    [
        Some(server.name.clone()),
        Some(server.server_id.to_string()),
        Some(roles),
        Some(server.state.clone()),
        Some(server.version.clone()),
        Some(address),
        Some(format!("{}/{}", server.players, server.capacity)),
        Some(format!("{} %", server.load)),
        server.cpu_percent.map(|percent| format!("{percent:.0} %")),
        server.memory_bytes.map(|bytes| format!("{} MiB", bytes >> 20)),
        Some(server.links.to_string()),
        up,
        Some(zones.join(",")),
    ]
    .map(Option::unwrap_or_default)
    .into()
}

/// The zones.
pub(super) fn zones(cluster: &Cluster) -> String {
    let row = |zone: &Zone| {
        let (id, name) = (zone.zone.to_string(), zone.name.clone());
        let server = zone.server.map(|id| called(id, cluster)).unwrap_or_default();
        vec![id, name, zone.state.clone(), server, zone.players.to_string()]
    };
    let head = ["ZONE", "NAME", "STATE", "SERVER", "PLAYERS"];
    table(&head, cluster.zones.iter().map(row).collect(), &["ZONE", "PLAYERS"])
}

/// Where a zone is, in words.
pub(super) fn whereabouts(zone: &Zone, cluster: &Cluster) -> String {
    let Zone { zone: id, name, players, state, server, from } = zone;
    let place = match (state.as_str(), server, from) {
        ("running", Some(server), _) => format!("runs on {}", called(*server, cluster)),
        (_, Some(to), Some(from)) => {
            format!("goes from {} to {}", called(*from, cluster), called(*to, cluster))
        }
        (_, Some(to), None) => format!("was ordered to run on {}", called(*to, cluster)),
        (_, None, _) => "runs nowhere".to_owned(),
    };
    format!("zone {id} {name} {place} ({players} players)")
}

fn called(server: u64, cluster: &Cluster) -> String {
    let known = cluster.servers.iter().find(|known| known.server_id == server);
    known.map_or_else(|| server.to_string(), |known| format!("{} ({server})", known.name))
}

/// Lines with a head; each cell without control characters, an empty one as a dash.
fn table(head: &[&str], rows: Vec<Vec<String>>, right: Right<'_>) -> String {
    let shown = |cell: String| {
        let cell: String = cell.chars().filter(|c| !c.is_control()).collect();
        if cell.is_empty() { "-".to_owned() } else { cell }
    };
    let first = head.iter().map(|title| (*title).to_owned()).collect();
    let rows = rows.into_iter().map(|row| row.into_iter().map(shown).collect());
    let lines: Vec<Vec<String>> = std::iter::once(first).chain(rows).collect();
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).zip(head).map(|((cell, width), title)| {
            if right.contains(title) {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// Seconds for people.
fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Cluster {
        let text = r#"{"version":"0.1.0","uptime_seconds":3700,"balancing":"least_connections",
            "players":1,"servers":[
            {"server_id":7,"name":"zone-1\u001b","does":["zone"],"version":"0.1.0","host":"10.0.0.1",
             "port":0,"link_host":"10.1.0.1","link_port":8091,"links":3,"players":1,
             "capacity":5000,"load":0,"state":"alive","cpu_percent":12.4,"memory_bytes":10485760,
             "zones":[1,2],"a_newer_field":true},
            {"server_id":9,"name":"tool","does":["database"],"version":"","host":"db","port":5432,
             "players":0,"capacity":10,"load":0,"state":"dead","cpu_percent":null,
             "memory_bytes":null}],
            "zones":[{"zone":1,"name":"Meadow","players":1,"state":"running","server":7},
            {"zone":2,"name":"Forest","players":0,"state":"ordered","server":9,"from":7},
            {"zone":12,"players":0,"state":"homeless"}]}"#;
        super::super::view::read(text).unwrap()
    }

    #[test]
    fn columns_are_in_line_and_nothing_controls_the_terminal() {
        let text = cluster(&example());
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap();
        assert!(text.starts_with("master 0.1.0, up 1 h 1 min; 1 player; newcomers by least"));
        let (head, first) = (line("SERVER"), line("zone-1 "));
        assert_eq!(head.find("ROLES"), first.find("zone  "), "{text}");
        assert!(first.contains("10.1.0.1:8091") && first.ends_with("1,2"), "{first}");
        assert!(line("tool").contains("db:5432") && line("tool").ends_with('-'));
        assert!(!text.contains('\u{1b}'));
        let zones: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("ZONE")).collect();
        assert_eq!(zones[1], "   1  Meadow  running   zone-1 (7)        1");
        assert_eq!(zones[3], "  12  -       homeless  -                 0");
    }

    #[test]
    fn the_only_server_is_the_one_that_lives_in_the_cluster() {
        let mut cluster = example();
        let only = cluster.only_server().unwrap();
        assert_eq!(only.server_id, 7, "the other is dead");
        assert!(only.is_called("zone") && only.is_called("7") && !only.is_called("gate"));
        assert!(!only.is_called(""));
        cluster.servers[1].state = "alive".into();
        assert!(cluster.only_server().is_none());
        cluster.servers[1].source = "http".into();
        assert!(cluster.only_server().is_some(), "a stranger takes nobody over");
    }

    #[test]
    fn a_zone_is_found_in_words() {
        let cluster = example();
        let words = |at: usize| whereabouts(&cluster.zones[at], &cluster);
        assert!(words(0).starts_with("zone 1 Meadow runs on zone-1"), "{}", words(0));
        assert!(words(1).contains("goes from zone-1"), "{}", words(1));
        assert!(words(2).contains("runs nowhere"), "{}", words(2));
    }
}
