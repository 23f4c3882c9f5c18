//! Which web pages may open a WebSocket here: a browser tells its page's origin, and lets any page
//! try.
//!
//! `websocket.rs` asks before it upgrades a connection. Origins are compared as what they mean
//! (scheme, host and port, a scheme's own port told or not), never as text. A refusal says which key
//! would let the page in, to the browser and seldom to the log; nothing is decided here by address.

use axum::http::{HeaderMap, header};
use tracing::warn;

use crate::seldom::Seldom;

/// Most characters of what a stranger has sent that are repeated.
const SHOWN_MAX: usize = 120;

/// Where a page comes from: `https://example.org`, with or without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    secure: bool,
    /// In lower case.
    host: String,
    port: u16,
}

impl Origin {
    /// Reads what a browser sends as an origin: `http` or `https`, a host, perhaps a port, and
    /// nothing behind it. None: it is no such thing.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let secure = scheme.eq_ignore_ascii_case("https");
        if !secure && !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        let (host, port) = authority(rest)?;
        Some(Self { secure, host, port: port.unwrap_or(own_port(secure)) })
    }
}

/// The port that a scheme has when none is told.
fn own_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// Host, in lower case, and port of a `Host` header or of what follows a scheme; an IPv6 address
/// without its brackets. None: it is no such thing.
pub fn authority(text: &str) -> Option<(String, Option<u16>)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let (host, rest) = inner.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    if host.is_empty() || !host.bytes().all(plain) {
        return None;
    }
    let port = match rest.strip_prefix(':') {
        // `host:` without a number is allowed where no port is meant.
        Some("") => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok()?)
        }
        None if rest.is_empty() => None,
        Some(_) | None => return None,
    };
    Some((host.to_ascii_lowercase(), port))
}

/// The pages that may connect.
#[derive(Debug)]
pub struct Pages {
    /// Empty: those of the host that is connected to.
    allowed: Vec<Origin>,
    /// Whether this server speaks TLS itself, so that its own page can only be an `https` one.
    secure: bool,
    complaints: Seldom,
}

impl Pages {
    /// Those of the listed origins, or of the server's own host if none is listed; `secure`: the
    /// server speaks TLS itself. What is no origin lets nobody in; the configuration refuses it.
    pub fn new(allowed: &[String], secure: bool) -> Self {
        let allowed = allowed.iter().filter_map(|text| Origin::parse(text)).collect();
        Self { allowed, secure, complaints: Seldom::default() }
    }

    /// Whether the page that asks may connect. Programs, which tell no origin, always may.
    ///
    /// # Errors
    /// Says why not and what to set, for who wrote the page; the log says it too, now and then.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), String> {
        let Some(told) = headers.get(header::ORIGIN) else { return Ok(()) };
        let told = told.to_str().unwrap_or("");
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
        if Origin::parse(told).is_some_and(|origin| self.has(&origin, host)) {
            return Ok(());
        }
        let (told, host) = (shown(told), shown(host));
        if let Some(unsaid) = self.complaints.allow() {
            warn!(
                origin = told,
                host,
                unsaid,
                "a web page may not connect: net.allowed_origins does not let its origin in"
            );
        }
        let rule = if self.allowed.is_empty() {
            format!(
                "net.allowed_origins is empty, so only pages of the host that is asked for \
                 ('{host}') may"
            )
        } else {
            "net.allowed_origins does not list it".to_owned()
        };
        Err(format!("pages of '{told}' may not connect to this server: {rule}\n"))
    }

    fn has(&self, origin: &Origin, host: &str) -> bool {
        if !self.allowed.is_empty() {
            return self.allowed.contains(origin);
        }
        // A proxy that ends TLS is not seen from here, so the page's own scheme says which port is
        // meant where none is told.
        let own = authority(host).is_some_and(|(name, port)| {
            name == origin.host && port.unwrap_or(own_port(origin.secure)) == origin.port
        });
        own && (origin.secure || !self.secure)
    }
}

/// What a stranger has sent, made fit to be repeated.
pub fn shown(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(origin: Option<&str>, host: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    fn may(allowed: &[&str], secure: bool, origin: Option<&str>, host: &str) -> bool {
        let allowed: Vec<String> = allowed.iter().map(|one| (*one).to_owned()).collect();
        Pages::new(&allowed, secure).check(&headers(origin, host)).is_ok()
    }

    #[test]
    fn a_page_may_connect_to_its_own_host_however_that_is_spelt() {
        for (origin, host) in [
            ("http://play.example:8088", "play.example:8088"),
            ("https://play.example", "play.example"),
            ("https://play.example", "play.example:443"),
            ("https://play.example:443", "play.example"),
            ("http://play.example", "play.example:80"),
            ("https://PLAY.example", "play.EXAMPLE"),
            ("http://127.0.0.1:8088", "127.0.0.1:8088"),
            ("http://[::1]:8088", "[::1]:8088"),
        ] {
            assert!(may(&[], false, Some(origin), host), "{origin} to {host}");
        }
        for (origin, host) in [
            ("http://evil.example", "play.example:8088"),
            ("https://play.example", "play.example:80"),
            ("http://play.example", "play.example:443"),
            ("https://play.example:8443", "play.example"),
            ("https://play.example.evil.example", "play.example"),
            ("https://play.example@evil.example", "play.example"),
            ("ftp://play.example", "play.example"),
            ("null", "play.example"),
            ("", "play.example"),
        ] {
            assert!(!may(&[], false, Some(origin), host), "{origin} to {host}");
        }
        assert!(may(&[], false, None, "play.example"), "a program tells no origin");
    }

    #[test]
    fn a_server_with_tls_has_no_page_without() {
        assert!(may(&[], true, Some("https://play.example"), "play.example"));
        assert!(!may(&[], true, Some("http://play.example"), "play.example"));
    }

    #[test]
    fn listed_pages_may_connect_to_any_host_and_no_others() {
        for listed in ["https://www.example", "https://www.example:443", "HTTPS://WWW.example"] {
            for origin in ["https://www.example", "https://www.example:443"] {
                assert!(may(&[listed], false, Some(origin), "10.0.0.1:8088"), "{listed} {origin}");
            }
            for origin in ["http://www.example", "https://www.example:444", "http://10.0.0.1:8088"]
            {
                assert!(!may(&[listed], false, Some(origin), "10.0.0.1:8088"), "{origin}");
            }
        }
    }

    #[test]
    fn who_is_refused_is_told_the_key_and_nothing_that_could_harm_a_terminal() {
        let refused = |allowed: &[String], origin| {
            Pages::new(allowed, false).check(&headers(Some(origin), "10.0.0.1:8088")).unwrap_err()
        };
        let own = refused(&[], "http://localhost:5173");
        for part in ["http://localhost:5173", "net.allowed_origins", "10.0.0.1:8088"] {
            assert!(own.contains(part), "{own}");
        }
        let long = format!("http://{}", "x".repeat(5_000));
        let said = refused(&["https://www.example".to_owned()], &long);
        assert!(said.contains("does not list it") && said.len() < 400, "{said}");
        assert_eq!(shown("a\u{1b}[31m b"), "a[31mb");
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_none() {
        for wrong in [
            "play.example",
            "https://",
            "https://play.example/",
            "https://play.example/game",
            "https://a b",
            "https://play.example:port",
            "https://play.example:99999",
            "https://[::1",
            "https://[play]",
            "https://user@play.example",
            "*",
        ] {
            assert_eq!(Origin::parse(wrong), None, "{wrong}");
        }
    }
}
