//! `throng health`: one GET over plain TCP, so that a container needs no other program for it.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail};

use super::say;

/// For each of connecting, writing and reading.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most bytes of an answer that are looked at.
const ANSWER_MAX: u64 = 65_536;

/// Where to ask a server whose operators' port is `admin`.
pub(super) fn url_of(admin: SocketAddr) -> String {
    let ip = if admin.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { admin.ip() };
    format!("http://{}/healthz", SocketAddr::new(ip, admin.port()))
}

/// Asks, and prints the answer's body.
///
/// # Errors
/// If nobody answers in time, or not with 200.
pub(super) fn ask(url: &str) -> anyhow::Result<()> {
    let (status, body) = get(url).with_context(|| url.to_owned())?;
    say(body.trim_end());
    if status != 200 {
        bail!("{url} answers with {status}");
    }
    Ok(())
}

/// Asks, and gives the answer's status.
///
/// # Errors
/// If nobody answers in time.
pub(super) fn status(url: &str) -> anyhow::Result<u16> {
    Ok(get(url)?.0)
}

fn get(url: &str) -> anyhow::Result<(u16, String)> {
    let rest = url.strip_prefix("http://").context("only http:// addresses can be asked")?;
    let (host, path) = rest.find('/').map_or((rest, "/healthz"), |at| rest.split_at(at));
    let with_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let target = if with_port { host.to_owned() } else { format!("{host}:80") };
    let address = target.to_socket_addrs()?.next().context("the host has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nUser-Agent: throng-health\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    parse(&String::from_utf8_lossy(&answer)).context("that is no HTTP server")
}

/// Status and body of an answer.
fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut words = head.lines().next()?.split_ascii_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    Some((words.next()?.parse().ok()?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn served(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = url_of(listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = client.read(&mut request).unwrap();
            client.write_all(answer.as_bytes()).unwrap();
        });
        url
    }

    #[test]
    fn only_200_is_healthy() {
        ask(&served("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")).unwrap();
        let sick = ask(&served("HTTP/1.1 503 Service Unavailable\r\n\r\nno database"));
        assert!(sick.unwrap_err().to_string().ends_with("answers with 503"));
        assert!(ask(&served("SSH-2.0-nothing\r\n\r\n")).is_err());
    }

    #[test]
    fn an_open_bind_address_is_asked_on_this_machine() {
        assert_eq!(url_of("0.0.0.0:8090".parse().unwrap()), "http://127.0.0.1:8090/healthz");
    }
}
