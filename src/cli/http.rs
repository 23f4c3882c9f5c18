//! One HTTP/1.1 request over plain TCP, so that neither a container nor an operator needs another
//! program for it.
//!
//! Blocking, with a time limit for each step and a bound on the answer. No TLS: operators' ports
//! are on loopback, or behind a tunnel that encrypts.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail};

/// For each of connecting, writing and reading.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most bytes of an answer that are read.
const ANSWER_MAX: u64 = 16 * 1024 * 1024;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    /// `GET` or `POST`.
    pub(super) method: &'a str,
    /// `http://host[:port][/path]`.
    pub(super) url: &'a str,
    /// Shown as bearer token.
    pub(super) token: Option<&'a str>,
    /// JSON; empty: none.
    pub(super) body: &'a str,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status code.
    pub(super) status: u16,
    /// The body as text.
    pub(super) body: String,
}

/// Where an operators' port that listens on `admin` is asked on this machine, without a path.
pub(super) fn base_of(admin: SocketAddr) -> String {
    let ip = if admin.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { admin.ip() };
    format!("http://{}", SocketAddr::new(ip, admin.port()))
}

/// The answer to a GET.
///
/// # Errors
/// See [`send`].
pub(super) fn get(url: &str) -> anyhow::Result<Answer> {
    send(Request { method: "GET", url, token: None, body: "" })
}

/// Sends a request and reads the answer.
///
/// # Errors
/// If the address is none, nobody answers in time, or not in HTTP.
pub(super) fn send(request: Request<'_>) -> anyhow::Result<Answer> {
    let Request { method, url, token, body } = request;
    let rest = url.strip_prefix("http://").context("only http:// addresses can be asked")?;
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let fits = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if host.is_empty() || !fits(rest) || !token.is_none_or(fits) {
        bail!("that is no address, or no token: only visible ASCII characters can be sent");
    }
    let mut stream = connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nUser-Agent: throng\r\n"
    );
    if let Some(token) = token {
        head += &format!("Authorization: Bearer {token}\r\n");
    }
    if method != "GET" {
        let length = body.len();
        head += &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    parse(&answer).context("that is no HTTP server")
}

/// A connection to the first of the host's addresses that answers.
fn connect(host: &str) -> anyhow::Result<TcpStream> {
    let with_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let target = if with_port { host.to_owned() } else { format!("{host}:80") };
    let mut last = None;
    for address in target.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(problem) => last = Some(problem),
        }
    }
    Err(last.map_or_else(|| anyhow::anyhow!("the host has no address"), anyhow::Error::from))
}

/// Status and body of an answer that the other end has closed.
fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(answer.get(..end)?).ok()?, answer.get(end + 4..)?);
    let mut lines = head.lines();
    let mut words = lines.next()?.split_ascii_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    let status = words.next()?.parse().ok()?;
    let chunked = lines.filter_map(|line| line.split_once(':')).any(|(name, value)| {
        name.eq_ignore_ascii_case("transfer-encoding")
            && value.trim().eq_ignore_ascii_case("chunked")
    });
    let body = if chunked { joined(body)? } else { body.to_vec() };
    Some(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
}

/// A body that came in chunks, each behind its length in hex.
fn joined(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|two| two == b"\r\n")?;
        let line = std::str::from_utf8(chunks.get(..end)?).ok()?;
        let length = line.split(';').next()?.trim();
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        let rest = chunks.get(end + 2..)?;
        body.extend_from_slice(rest.get(..length)?);
        chunks = rest.get(length..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_in_chunks() {
        let read = |text: &str| parse(text.as_bytes()).map(|answer| (answer.status, answer.body));
        let body = |text: &str| Some((200, text.to_owned()));
        assert_eq!(read("HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello"), body("hello"));
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n";
        assert_eq!(read(&format!("{head}3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")), body("hello"));
        for broken in ["", "3\r\nhe", "x\r\nhello\r\n0\r\n", "ffffffffffffffff\r\nhello"] {
            assert_eq!(read(&format!("{head}{broken}")), None, "{broken}");
        }
        for alien in ["", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 two\r\n\r\n", "HTTP/1.1 200 OK"] {
            assert_eq!(read(alien), None, "{alien}");
        }
    }

    #[test]
    fn nothing_but_an_address_is_asked() {
        for url in
            ["https://127.0.0.1", "127.0.0.1:80", "http://", "http://a b/", "http://h/\r\nX: y"]
        {
            assert!(get(url).is_err(), "{url}");
        }
        let token = Some("a\r\nEvil: yes");
        let request = Request { method: "GET", url: "http://127.0.0.1:1/", token, body: "" };
        assert!(send(request).is_err_and(|error| error.to_string().contains("token")));
    }

    #[test]
    fn an_open_bind_address_is_asked_on_this_machine() {
        assert_eq!(base_of("0.0.0.0:8090".parse().unwrap()), "http://127.0.0.1:8090");
    }
}
