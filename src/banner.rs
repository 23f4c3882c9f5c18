//! What a person sees at start: what the process plays, where it listens, which zones there are,
//! what to try.

use std::fmt::Write as _;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::config::Config;
use crate::loadtest::{self, Usual};
use crate::role::{Role, Roles};

/// Where the process listens: a port for each role that has one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Addresses {
    /// Packets: log-in.
    pub login: Option<SocketAddr>,
    /// Packets: play.
    pub gateway: Option<SocketAddr>,
    /// Lines.
    pub text: Option<SocketAddr>,
    /// The web client and its WebSocket.
    pub http: Option<SocketAddr>,
    /// Links to other processes.
    pub link: Option<SocketAddr>,
    /// Operators.
    pub admin: Option<SocketAddr>,
    /// Whether packets and the web port speak TLS.
    pub secure: bool,
}

/// Prints the banner to standard output. A closed standard output is no fault.
pub fn print(config: &Config, roles: &Roles, addresses: &Addresses) {
    let _ = std::io::stdout().lock().write_all(banner(config, roles, addresses).as_bytes());
}

fn banner(config: &Config, roles: &Roles, addresses: &Addresses) -> String {
    let Addresses { login, gateway, text, http, link, admin, secure } = *addresses;
    let (scheme, tls) = if secure { ("https", " (TLS)") } else { ("http", "") };
    let mut banner = format!("throng {} is running\n", env!("CARGO_PKG_VERSION"));
    if !roles.is_all() {
        banner += &line("plays", roles);
    }
    let places = [
        ("login", login.map(|at| format!("{at}{tls}"))),
        ("gateway", gateway.map(|at| format!("{at}{tls}"))),
        ("text", text.map(|at| at.to_string())),
        ("web", http.map(|at| format!("{scheme}://{at}"))),
        ("link", link.map(|at| at.to_string())),
        ("admin", admin.map(|at| format!("http://{at}"))),
    ];
    for (what, place) in places {
        if let Some(place) = place {
            banner += &line(what, place);
        }
    }
    if roles.has(Role::Zone) || roles.has(Role::Master) {
        let zones = config.world.zones.iter();
        let zones: Vec<String> = zones
            .map(|z| format!("{} {}{}", z.id, z.name, if z.pvp { " (PvP)" } else { "" }))
            .collect();
        banner += &line("zones", zones.join(", "));
    }
    banner += &line("data", config.data_dir.display());
    banner += "try\n";
    let program = called();
    let mut hint = |command: String, what: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(banner, "  {command:<30} {what}");
    };
    if let Some(http) = http {
        let at = SocketAddr::new(reached_at(http.ip()), http.port());
        hint(format!("{scheme}://{at}"), "to play in a browser");
    }
    if let Some(text) = text {
        let host = reached_at(text.ip());
        hint(format!("nc {host} {}", text.port()), "then: REGISTER name password");
    }
    if let (Some(login), Some(gateway), false) = (login, gateway, secure) {
        banner += &format!("  {program} {}\n", load_test(config, login, gateway));
    } else if let Some(admin) = admin {
        banner += &format!("  {program} health http://{admin}/readyz\n");
    }
    banner
}

/// This program as it can be called from anywhere: a path that was typed counts from the folder that it
/// was typed in.
fn called() -> String {
    let typed = std::env::args().next().unwrap_or_else(|| "throng".into());
    if !typed.contains('/') {
        return typed;
    }
    std::path::absolute(&typed).map_or(typed, |path| path.display().to_string())
}

/// The address under which a port is reached on this machine that listens on `bind`.
pub fn reached_at(bind: IpAddr) -> IpAddr {
    if bind.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { bind }
}

/// A load test of this server, whose line can be typed as it stands: what differs from the defaults
/// is said.
fn load_test(config: &Config, login: SocketAddr, gateway: SocketAddr) -> String {
    let (usual, standard) = (Usual::default(), Config::default());
    let mut line = "loadtest".to_owned();
    let host = reached_at(gateway.ip()).to_string();
    // Writing to a string cannot fail.
    if host != usual.target {
        let _ = write!(line, " --target {host}");
    }
    if login.port() != usual.login_port {
        let _ = write!(line, " --login-port {}", login.port());
    }
    if gateway.port() != usual.port {
        let _ = write!(line, " --port {}", gateway.port());
    }
    if config.data_dir != standard.data_dir {
        let _ = write!(line, " --key {}", quoted(&config.data_dir.join(loadtest::KEY)));
    }
    line + " --clients 100 --duration 10s"
}

/// A whole path as a shell takes it.
fn quoted(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let text = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@%".contains(&byte);
    if text.bytes().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn line(what: &str, value: impl std::fmt::Display) -> String {
    format!("  {what:<8} {value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_shows_only_what_it_has() {
        let at = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        let addresses = Addresses { link: at(8091), admin: at(8090), ..Addresses::default() };
        let shown = banner(&Config::default(), &"chat".parse().unwrap(), &addresses);
        assert!(shown.contains("plays    chat\n") && shown.contains("link     127.0.0.1:8091\n"));
        assert!(shown.ends_with("health http://127.0.0.1:8090/readyz\n"), "{shown}");
        for other in ["gateway", "zones", "nc 127"] {
            assert!(!shown.contains(other), "{other}: {shown}");
        }
        let addresses = Addresses { text: at(8082), http: at(8088), ..addresses };
        let shown = banner(&Config::default(), &Roles::all(), &addresses);
        assert!(shown.contains("nc 127.0.0.1 8082") && shown.contains("127.0.0.1:8088"), "{shown}");
    }

    #[test]
    fn the_line_of_the_load_test_says_what_differs_from_the_defaults() {
        let line = |config: &Config, bind: &str, login: u16, gateway: u16| {
            let at = |port| SocketAddr::new(bind.parse().unwrap(), port);
            load_test(config, at(login), at(gateway))
        };
        let mut config = Config::default();
        let rest = "--clients 100 --duration 10s";
        assert_eq!(line(&config, "0.0.0.0", 8080, 8081), format!("loadtest {rest}"));
        assert_eq!(
            line(&config, "127.0.0.1", 18080, 18081),
            format!("loadtest --login-port 18080 --port 18081 {rest}")
        );
        assert_eq!(
            line(&config, "10.0.0.7", 8080, 8081),
            format!("loadtest --target 10.0.0.7 {rest}")
        );
        config.data_dir = "/var/lib/my game".into();
        assert_eq!(
            line(&config, "::", 8080, 8081),
            format!("loadtest --key '/var/lib/my game/login.key' {rest}")
        );
    }

    #[test]
    fn no_load_test_is_offered_that_could_not_connect() {
        let at = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        let all = Addresses { login: at(1), gateway: at(2), text: at(3), ..Addresses::default() };
        assert!(banner(&Config::default(), &Roles::all(), &all).contains("loadtest"));
        let secure = Addresses { secure: true, ..all };
        assert!(!banner(&Config::default(), &Roles::all(), &secure).contains("loadtest"));
    }
}
