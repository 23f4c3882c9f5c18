//! Who speaks through a proxy: the addresses that are trusted to tell it, the PROXY protocol's header
//! (versions 1 and 2), and `X-Forwarded-For`.
//!
//! Listeners ask the gate's [`TrustedProxies`] before a connection counts anywhere. What anybody else
//! says of itself is never looked at, and no more is read of a socket than the header.

mod header;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream as StdStream};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::warn;

use self::header::{HEADER_MAX, Header};
use crate::seldom::Seldom;

/// Connections at once of which the header is not read yet.
const HEADERS_AT_ONCE: usize = 1_024;
/// What proxies of HTTP call the addresses that a request came by.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Addresses with the same first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    first: IpAddr,
    bits: u32,
}

impl Network {
    /// Like `10.0.0.0/8`, or one address.
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').unzip();
        let first: IpAddr = address.unwrap_or(text).parse().ok()?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
        (bits <= most).then_some(Self { first, bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let differing = u32::from(first) ^ u32::from(address);
                differing.leading_zeros() >= self.bits
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let differing = u128::from(first) ^ u128::from(address);
                differing.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

/// Why a connection of a trusted proxy is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyFault {
    /// It is no header of either version.
    #[error("a PROXY header is malformed: {0}")]
    Malformed(&'static str),
    /// It was begun and not finished in time.
    #[error("a PROXY header was not finished in time")]
    Late,
    /// The connection is lost.
    #[error("the connection was lost: {0}")]
    Lost(#[from] io::Error),
}

/// The proxies that are believed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TrustedProxies {
    networks: Arc<[Network]>,
    headers: Arc<Semaphore>,
    within: Duration,
    complaints: Arc<Seldom>,
}

impl TrustedProxies {
    /// Addresses or networks like `10.0.0.0/8`; a header has to be whole `within` so long.
    ///
    /// # Errors
    /// The first that is neither.
    pub fn new(networks: &[String], within: Duration) -> Result<Self, String> {
        let parse = |text: &String| Network::parse(text).ok_or_else(|| text.clone());
        Ok(Self {
            networks: networks.iter().map(parse).collect::<Result<_, _>>()?,
            headers: Arc::new(Semaphore::new(HEADERS_AT_ONCE)),
            within,
            complaints: Arc::default(),
        })
    }

    /// Nobody is believed.
    pub fn none() -> Self {
        Self {
            networks: Arc::default(),
            headers: Arc::new(Semaphore::new(0)),
            within: Duration::ZERO,
            complaints: Arc::default(),
        }
    }

    /// Whether what comes from there is told by a proxy.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(address))
    }

    /// A place for one header that is to come; none: too many are awaited.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.headers.clone().try_acquire_owned().ok()
    }

    /// Takes the header off a proxy's connection, if it begins with one, and gives the client's
    /// address. Without one, or when the proxy speaks for itself, that is `from`.
    ///
    /// # Errors
    /// The header is malformed or late, which the log is told; or the connection is lost.
    pub(super) async fn client_of(
        &self,
        socket: &mut TcpStream,
        from: SocketAddr,
    ) -> Result<SocketAddr, ProxyFault> {
        let mut begun = false;
        let client = timeout(self.within, read_header(socket, &mut begun)).await;
        let client = match client {
            Ok(client) => client,
            Err(_) if begun => Err(ProxyFault::Late),
            // Nothing was said at all: it is an idle client like any other.
            Err(_) => Ok(None),
        };
        if let Err(problem) = &client
            && let Some(unsaid) = self.complaints.allow()
        {
            warn!(proxy = %from.ip(), %problem, unsaid, "a connection of a trusted proxy is refused");
        }
        Ok(client?.unwrap_or(from))
    }

    /// The address of who asks: `from`, or if that is a proxy's, the last one in `X-Forwarded-For`
    /// that is no proxy's. What stands before something that is no address counts for nothing.
    pub(super) fn asker(&self, from: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut asker = from;
        for value in headers.get_all(FORWARDED_FOR).iter().rev() {
            let Ok(value) = value.to_str() else { return asker };
            for told in value.rsplit(',') {
                if !self.trusts(asker) {
                    return asker;
                }
                let Some(address) = forwarded_address(told.trim()) else { return asker };
                asker = address;
            }
        }
        asker
    }
}

/// `192.0.2.1`, `2001:db8::1`, either with a port.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let bare = text.parse().or_else(|_| text.parse().map(|address: SocketAddr| address.ip()));
    bare.ok().map(|address: IpAddr| address.to_canonical())
}

/// Reads a header to its end and no further. None: there is none, or it names nobody.
async fn read_header(
    socket: &mut TcpStream,
    begun: &mut bool,
) -> Result<Option<SocketAddr>, ProxyFault> {
    // Only a socket of the standard library looks without taking, and without waiting.
    let twin: StdStream = SockRef::from(&*socket).try_clone()?.into();
    let mut bytes = [0; HEADER_MAX];
    let mut known = 0;
    loop {
        known = peek_more(socket, &twin, &mut bytes, known).await?;
        *begun = known > 0;
        match header::parse(&bytes[..known]) {
            _ if known == 0 => return Ok(None),
            Header::Absent => return Ok(None),
            Header::Malformed(why) => return Err(ProxyFault::Malformed(why)),
            Header::Begun => {}
            Header::Whole { length, client } => {
                socket.read_exact(&mut bytes[..length]).await?;
                return Ok(client);
            }
        }
    }
}

/// Looks at what has come, once that is more than was `known`, or nothing can come.
async fn peek_more(
    socket: &TcpStream,
    twin: &StdStream,
    bytes: &mut [u8],
    known: usize,
) -> io::Result<usize> {
    let look = || {
        let count = twin.peek(bytes)?;
        // As if there was nothing, so that the next event is waited for.
        if count == known && known > 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
    };
    socket.async_io(Interest::READABLE, look).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusting(networks: &[&str]) -> TrustedProxies {
        let networks: Vec<String> = networks.iter().map(|text| (*text).to_owned()).collect();
        TrustedProxies::new(&networks, Duration::from_secs(1)).unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_hold_what_begins_like_them() {
        let proxies = trusting(&["10.1.0.0/16", "192.0.2.7", "2001:db8::/32", "fe80::1"]);
        for inside in ["10.1.255.1", "::ffff:10.1.0.1", "192.0.2.7", "2001:db8:9::1", "fe80::1"] {
            assert!(proxies.trusts(address(inside)), "{inside}");
        }
        for outside in ["10.2.0.1", "192.0.2.8", "2001:db9::1", "fe80::2", "::1"] {
            assert!(!proxies.trusts(address(outside)), "{outside}");
        }
        assert!(trusting(&["0.0.0.0/0"]).trusts(address("203.0.113.9")));
        assert!(!TrustedProxies::none().trusts(address("127.0.0.1")));
        for bad in ["10.0.0.0/33", "::/129", "example.org", "10.0.0.0/", "10.0.0/8", ""] {
            let error = TrustedProxies::new(&[bad.to_owned()], Duration::ZERO).unwrap_err();
            assert_eq!(error, bad);
        }
    }

    #[test]
    fn the_last_address_that_is_no_proxys_has_asked() {
        let proxies = trusting(&["10.0.0.0/8"]);
        let asker = |from: &str, lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, line.parse().unwrap());
            }
            proxies.asker(address(from), &headers).to_string()
        };
        assert_eq!(asker("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(asker("10.0.0.1", &["1.1.1.1, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(asker("10.0.0.1", &["1.1.1.1", "198.51.100.7:99", "10.0.0.2"]), "198.51.100.7");
        assert_eq!(asker("10.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(asker("10.0.0.1", &["10.0.0.3,10.0.0.2"]), "10.0.0.3", "all are proxies");
        assert_eq!(asker("10.0.0.1", &["198.51.100.7, unknown"]), "10.0.0.1");
        assert_eq!(asker("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(asker("203.0.113.1", &["198.51.100.7"]), "203.0.113.1", "not believed");
    }
}
