//! The PROXY protocol's header, version 1 (a line) and 2 (bytes), as what has come of it so far.
//!
//! Pure; `proxy.rs` reads the sockets. It never takes what is no header for one that is only begun.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A line of version 1, with its end.
const LINE_MAX: usize = 107;
const LINE_START: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, before addresses and extensions.
const FIXED: usize = 16;
/// The longest header of either version that is read, bytes.
pub(super) const HEADER_MAX: usize = FIXED + 520;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// No header: the connection begins with something else.
    Absent,
    /// What has come may become one.
    Begun,
    /// One is in the first `length` bytes. No client: the proxy speaks for itself, or for a client
    /// whose address is of no kind that counts here.
    Whole { length: usize, client: Option<SocketAddr> },
    /// One that cannot be read.
    Malformed(&'static str),
}

/// Looks at the first bytes, all that have come.
pub(super) fn parse(bytes: &[u8]) -> Header {
    if starts(bytes, LINE_START) {
        line(bytes)
    } else if starts(bytes, SIGNATURE) {
        binary(bytes)
    } else {
        Header::Absent
    }
}

/// Whether they agree as far as both go.
fn starts(bytes: &[u8], with: &[u8]) -> bool {
    bytes.iter().zip(with).all(|(one, other)| one == other)
}

fn line(bytes: &[u8]) -> Header {
    let seen = &bytes[..bytes.len().min(LINE_MAX)];
    let Some(end) = seen.windows(2).position(|two| two == b"\r\n") else {
        return match seen.len() {
            LINE_MAX => Header::Malformed("a line of more than 107 bytes"),
            _ => Header::Begun,
        };
    };
    let Ok(text) = std::str::from_utf8(&seen[..end]) else {
        return Header::Malformed("a line that is no text");
    };
    let words: Vec<&str> = text.split(' ').collect();
    let client = match words[..] {
        ["PROXY", "UNKNOWN", ..] => Some(None),
        ["PROXY", "TCP4", from, to, from_port, to_port] => {
            told::<Ipv4Addr>(from, to, from_port, to_port).map(Some)
        }
        ["PROXY", "TCP6", from, to, from_port, to_port] => {
            told::<Ipv6Addr>(from, to, from_port, to_port).map(Some)
        }
        _ => None,
    };
    match client {
        Some(client) => Header::Whole { length: end + 2, client },
        None => Header::Malformed("a line without two addresses and two ports"),
    }
}

/// The first of two addresses, if both and their ports are well written.
fn told<A>(from: &str, to: &str, from_port: &str, to_port: &str) -> Option<SocketAddr>
where
    A: std::str::FromStr + Into<IpAddr>,
{
    let (from, _) = (from.parse::<A>().ok()?, to.parse::<A>().ok()?);
    let (port, _) = (from_port.parse().ok()?, to_port.parse::<u16>().ok()?);
    Some(SocketAddr::new(from.into().to_canonical(), port))
}

fn binary(bytes: &[u8]) -> Header {
    let Some(fixed) = bytes.first_chunk::<FIXED>() else { return Header::Begun };
    let [.., command, family, high, low] = *fixed;
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 {
        return Header::Malformed("a version that is not 2");
    }
    if command & 0xf > 1 {
        return Header::Malformed("a command that is neither LOCAL nor PROXY");
    }
    if family >> 4 > 3 || family & 0xf > 2 {
        return Header::Malformed("an address family or transport that is not known");
    }
    if length > HEADER_MAX {
        return Header::Malformed("more than 536 bytes");
    }
    let Some(told) = bytes.get(FIXED..length) else { return Header::Begun };
    let local = command & 0xf == 0;
    let client = match (local, family) {
        (false, 0x11) => match told.first_chunk::<12>() {
            Some(&[a, b, c, d, _, _, _, _, high, low, _, _]) => {
                Some(socket_address(Ipv4Addr::new(a, b, c, d), [high, low]))
            }
            None => return Header::Malformed("too short for its addresses"),
        },
        (false, 0x21) => match (told.first_chunk::<16>(), told.get(..36)) {
            (Some(from), Some(all)) => {
                Some(socket_address(Ipv6Addr::from(*from), [all[32], all[33]]))
            }
            _ => return Header::Malformed("too short for its addresses"),
        },
        _ => None,
    };
    Header::Whole { length, client }
}

fn socket_address(address: impl Into<IpAddr>, port: [u8; 2]) -> SocketAddr {
    SocketAddr::new(address.into().to_canonical(), u16::from_be_bytes(port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn binary_of(command: u8, family: u8, told: &[u8]) -> Vec<u8> {
        let length = (told.len() as u16).to_be_bytes();
        [SIGNATURE, &[command, family], &length, told].concat()
    }

    /// A header of either version for a client, with extensions where there are any.
    fn header_of(client: SocketAddr, second: bool, extensions: &[u8]) -> Vec<u8> {
        let port = client.port().to_be_bytes();
        match (client.ip(), second) {
            (IpAddr::V4(from), false) => {
                format!("PROXY TCP4 {from} 10.0.0.1 {} 443\r\n", client.port()).into_bytes()
            }
            (IpAddr::V6(from), false) => {
                format!("PROXY TCP6 {from} ::1 {} 443\r\n", client.port()).into_bytes()
            }
            (IpAddr::V4(from), true) => {
                let to = [10, 0, 0, 1];
                let told = [&from.octets()[..], &to, &port, &[1, 187], extensions].concat();
                binary_of(0x21, 0x11, &told)
            }
            (IpAddr::V6(from), true) => {
                let told = [&from.octets()[..], &[0; 16], &port, &[1, 187], extensions].concat();
                binary_of(0x21, 0x21, &told)
            }
        }
    }

    proptest! {
        #[test]
        fn a_header_is_read_whole_however_it_is_cut(
            address in any::<IpAddr>(),
            port in any::<u16>(),
            second in any::<bool>(),
            extensions in proptest::collection::vec(any::<u8>(), 0..200),
            behind in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let client = SocketAddr::new(address, port);
            let header = header_of(client, second, &extensions);
            for cut in 0..header.len() {
                prop_assert_eq!(parse(&header[..cut]), Header::Begun);
            }
            let length = header.len();
            let canonical = SocketAddr::new(address.to_canonical(), port);
            let whole = Header::Whole { length, client: Some(canonical) };
            prop_assert_eq!(parse(&[header, behind].concat()), whole);
        }

        #[test]
        fn whatever_comes_is_judged_within_the_bound(
            second in any::<bool>(),
            garbage in proptest::collection::vec(any::<u8>(), HEADER_MAX..HEADER_MAX + 20),
        ) {
            let start = if second { SIGNATURE } else { LINE_START };
            let bytes = [start, &garbage].concat();
            for length in 0..bytes.len() {
                if let Header::Whole { length: whole, .. } = parse(&bytes[..length]) {
                    prop_assert!(whole <= length);
                }
            }
            prop_assert_ne!(parse(&bytes[..HEADER_MAX]), Header::Begun);
        }
    }

    #[test]
    fn a_proxy_that_speaks_for_itself_names_nobody() {
        let nobody = |bytes: &[u8]| Header::Whole { length: bytes.len(), client: None };
        let address = [9; 12];
        for bytes in [
            b"PROXY UNKNOWN\r\n".to_vec(),
            b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
            binary_of(0x20, 0x00, &[]),
            binary_of(0x20, 0x11, &address),
            binary_of(0x21, 0x00, &address),
            binary_of(0x21, 0x31, &[0; 216]),
        ] {
            assert_eq!(parse(&bytes), nobody(&bytes), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_absent_and_what_is_a_bad_one_is_malformed() {
        for absent in [&b"PING\n"[..], b"PROXYX", b"GET / HTTP/1.1", b"\x16\x03\x01", b"\r\n\r\nx"]
        {
            assert_eq!(parse(absent), Header::Absent, "{absent:?}");
        }
        let too_long = [LINE_START, &[b'1'; 120]].concat();
        for malformed in [
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 70000\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::2 1 2\r\n".to_vec(),
            b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(),
            b"PROXY \xff\r\n".to_vec(),
            too_long,
            binary_of(0x11, 0x11, &[9; 12]),
            binary_of(0x22, 0x11, &[9; 12]),
            binary_of(0x21, 0x41, &[9; 12]),
            binary_of(0x21, 0x11, &[9; 11]),
            binary_of(0x21, 0x21, &[9; 35]),
            binary_of(0x21, 0x11, &[9; 521]),
        ] {
            assert!(matches!(parse(&malformed), Header::Malformed(_)), "{malformed:?}");
        }
    }
}
