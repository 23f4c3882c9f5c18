//! What a person reads when the cluster of a demonstration is up: what runs where, what to open,
//! what to try, what to kill. Text only.

use std::fmt::Write;
use std::path::Path;

use super::plan::Server;
use crate::role::Role;

/// The file of what all servers log, in the demonstration's folder.
pub(super) const LOG: &str = "servers.log";

/// What the page is about.
pub(super) struct Page<'a> {
    /// This program, as it was called.
    pub(super) program: &'a str,
    /// The servers and their numbers, in the order of their start.
    pub(super) servers: &'a [(&'a Server, Option<u32>)],
    /// The database's number, if the demonstration has started it.
    pub(super) database: Option<u32>,
    pub(super) folder: &'a Path,
    pub(super) bots: u32,
    /// Seconds from the start until all servers were ready.
    pub(super) took: f64,
}

impl Page<'_> {
    /// The whole page.
    pub(super) fn text(&self) -> String {
        let mut page = String::new();
        let count = self.servers.len() + usize::from(self.database.is_some());
        // Writing to a text cannot fail.
        let _ = writeln!(page, "\na cluster of {count} processes is up, after {:.1} s", self.took);
        for (server, pid) in self.servers {
            let pid = pid.map_or("-".to_owned(), |pid| pid.to_string());
            let _ = writeln!(page, "  {:<9} pid {pid:<8} {}", server.name, ports(server));
        }
        if let Some(pid) = self.database {
            let _ = writeln!(page, "  {:<9} pid {pid:<8} a socket in {}", "postgres", self.data());
        }
        page.push_str(&self.open());
        page.push_str(&self.tries());
        page.push_str(&self.kills());
        let _ = writeln!(page, "{} bots come in now. Ctrl-C stops everything.\n", self.bots);
        page
    }

    fn data(&self) -> String {
        self.folder.join("postgres").display().to_string()
    }

    fn of(&self, role: Role) -> impl Iterator<Item = &(&Server, Option<u32>)> {
        self.servers.iter().filter(move |(server, _)| server.role == role)
    }

    fn open(&self) -> String {
        let mut part = "open\n".to_owned();
        for (gateway, _) in self.of(Role::Gateway) {
            let url = format!("http://127.0.0.1:{}", gateway.ports.http);
            let _ = writeln!(part, "  {url:<36} the game in a browser, over {}", gateway.name);
        }
        for (master, _) in self.of(Role::Master) {
            let _ = writeln!(part, "  {:<36} the cluster's dashboard", master.admin("/"));
        }
        for (zone, _) in self.of(Role::Zone).take(1) {
            let url = zone.admin("/metrics");
            let _ = writeln!(part, "  {url:<36} metrics of {}; every process has them", zone.name);
        }
        let log = self.folder.join(LOG).display().to_string();
        let _ = writeln!(part, "  {log:<36} what all of them log");
        part
    }

    fn tries(&self) -> String {
        let mut part = "try, in another terminal\n".to_owned();
        for (gateway, _) in self.of(Role::Gateway).take(1) {
            let line = format!("nc 127.0.0.1 {}", gateway.ports.text);
            let _ =
                writeln!(part, "  {line:<36} then: REGISTER name password, LOGIN name password");
        }
        let _ = writeln!(part, "  {}", self.finds_the_master());
        let lines = [
            ("cluster status", "servers, zones, players, load, links"),
            ("announce 'hello all'", "to every player, over both gateways"),
            ("drain zone-1", "hands its zones over; nobody is disconnected"),
        ];
        let drain = ("drain gateway-1", "sends its players to the others, where they stay");
        let more = (self.of(Role::Gateway).count() > 1).then_some(drain);
        for (what, why) in lines.into_iter().chain(more) {
            let line = format!("{} {what}", self.program);
            let _ = writeln!(part, "  {line:<36} # {why}");
        }
        part
    }

    /// What to set so that the operators' commands find the master and its token.
    fn finds_the_master(&self) -> String {
        let Some((master, _)) = self.of(Role::Master).next() else { return String::new() };
        let data = master.data(self.folder).display().to_string();
        let admin = master.ports.admin;
        format!("export THRONG_DATA_DIR={data} THRONG_PORTS__ADMIN=127.0.0.1:{admin}")
    }

    fn kills(&self) -> String {
        let mut part =
            "kill, and see what the bots notice; each comes back after a second\n".to_owned();
        let why = |role| match role {
            Role::Zone => "its zones go to the others, from the last save",
            Role::Gateway => "its players resume at the others, and stay there",
            Role::Master => "play goes on without it",
            Role::Chat => "walking and fighting go on; rooms are empty for a moment",
            Role::Login => "nobody who plays notices",
        };
        for role in [Role::Zone, Role::Gateway, Role::Master, Role::Chat, Role::Login] {
            // Of zone servers the last one: the first has the zone that most players are in.
            if let Some((server, Some(pid))) = self.of(role).last() {
                let line = format!("kill -9 {pid}");
                let _ = writeln!(part, "  {line:<18} # {}: {}", server.name, why(role));
            }
        }
        if let Some(pid) = self.database {
            let line = format!("kill -9 {pid}");
            let _ = writeln!(part, "  {line:<18} # postgres: play goes on, saves wait");
        }
        part
    }
}

/// A server's ports in words.
fn ports(server: &Server) -> String {
    let ports = &server.ports;
    let all = [
        ("login", ports.login),
        ("gateway", ports.gateway),
        ("text", ports.text),
        ("web", ports.http),
        ("admin", ports.admin),
        ("link", ports.link),
    ];
    let open = all.iter().filter(|(_, port)| *port != 0);
    open.map(|(name, port)| format!("{name} {port}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::plan;

    #[test]
    fn a_page_has_every_process_and_lines_to_type() {
        let planned = plan::servers(2, 2, Some(30_000)).unwrap();
        let servers: Vec<_> = planned.iter().zip(100..).map(|(it, pid)| (it, Some(pid))).collect();
        let page = Page {
            program: "target/debug/throng",
            servers: &servers,
            database: Some(99),
            folder: Path::new("/tmp/demo"),
            bots: 5,
            took: 1.25,
        };
        let text = page.text();
        for (server, pid) in &servers {
            let line = format!("{:<9} pid {}", server.name, pid.unwrap());
            assert!(text.contains(&line), "no '{line}' in:\n{text}");
        }
        let Server { ports, .. } = planned.last().unwrap();
        let admin = planned[0].ports.admin;
        for line in [
            "a cluster of 8 processes is up".to_owned(),
            format!("  http://127.0.0.1:{} ", ports.http),
            "kill -9 104 ".to_owned(),
            "kill -9 99 ".to_owned(),
            format!("THRONG_DATA_DIR=/tmp/demo/master THRONG_PORTS__ADMIN=127.0.0.1:{admin}"),
            "  target/debug/throng cluster status ".to_owned(),
        ] {
            assert!(text.contains(&line), "no '{line}' in:\n{text}");
        }
    }
}
