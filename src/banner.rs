//! What a person sees at start: where the server listens, which zones there are, what to try.

use std::io::Write;
use std::net::SocketAddr;

use crate::config::Config;

/// Where the process listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Packets: log-in.
    pub login: SocketAddr,
    /// Packets: play.
    pub gateway: SocketAddr,
    /// Lines.
    pub text: SocketAddr,
    /// The web client and its WebSocket.
    pub http: SocketAddr,
    /// Operators.
    pub admin: SocketAddr,
    /// Whether packets and the web port speak TLS.
    pub secure: bool,
}

/// Prints the banner to standard output. A closed standard output is no fault.
pub fn print(config: &Config, addresses: &Addresses) {
    let _ = std::io::stdout().lock().write_all(banner(config, addresses).as_bytes());
}

fn banner(config: &Config, addresses: &Addresses) -> String {
    let Addresses { login, gateway, text, http, admin, secure } = addresses;
    let scheme = if *secure { "https" } else { "http" };
    let tls = if *secure { " (TLS)" } else { "" };
    let zones: Vec<String> = config
        .world
        .zones
        .iter()
        .map(|zone| format!("{} {}{}", zone.id, zone.name, if zone.pvp { " (PvP)" } else { "" }))
        .collect();
    let page = format!("{scheme}://127.0.0.1:{}", http.port());
    let lines = format!("nc 127.0.0.1 {}", text.port());
    // As it was called, so that the line can be typed as it stands.
    let program = std::env::args().next().unwrap_or_else(|| "throng".into());
    format!(
        "throng {version} is running\n  \
           login    {login}{tls}\n  \
           gateway  {gateway}{tls}\n  \
           text     {text}\n  \
           web      {scheme}://{http}\n  \
           admin    http://{admin}\n  \
           zones    {zones}\n  \
           data     {data}\n\
         try\n  \
           {page:<30} to play in a browser\n  \
           {lines:<30} then: REGISTER name password\n  \
           {program} loadtest --clients 100 --duration 10s\n",
        version = env!("CARGO_PKG_VERSION"),
        zones = zones.join(", "),
        data = config.data_dir.display(),
    )
}
