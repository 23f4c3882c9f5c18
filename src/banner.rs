//! What a person sees at start: what the process plays, where it listens, which zones there are,
//! what to try.

use std::fmt::Write as _;
use std::io::Write;
use std::net::SocketAddr;

use crate::config::Config;
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
    // As it was called, so that the lines can be typed as they stand.
    let program = std::env::args().next().unwrap_or_else(|| "throng".into());
    let mut hint = |command: String, what: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(banner, "  {command:<30} {what}");
    };
    if let Some(http) = http {
        hint(format!("{scheme}://127.0.0.1:{}", http.port()), "to play in a browser");
    }
    if let Some(text) = text {
        hint(format!("nc 127.0.0.1 {}", text.port()), "then: REGISTER name password");
        banner += &format!("  {program} loadtest --clients 100 --duration 10s\n");
    } else if let Some(admin) = admin {
        banner += &format!("  {program} health http://{admin}/readyz\n");
    }
    banner
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
        assert!(shown.contains("nc 127.0.0.1 8082") && shown.contains("loadtest"), "{shown}");
    }
}
