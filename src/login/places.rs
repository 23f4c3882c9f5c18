//! Where an account's owner logs in from: devices and networks, as hashes.
//!
//! Made by the login task for each log-in, compared with those the store knows of the account. Pure.
//! The name is part of the hash, so that nobody can tell from the store who shares a network.

use std::net::IpAddr;

use ring::digest::{Context, SHA256};

/// A device or a network from which one account is logged in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place(pub [u8; 32]);

impl Place {
    /// A device, as its client names it; none if it does not.
    pub fn device(folded: &str, device: &str) -> Option<Self> {
        (!device.is_empty()).then(|| Self::of("device", folded, device.as_bytes()))
    }

    /// The network of an address: an IPv4 address, or an IPv6 customer's /64.
    pub fn network(folded: &str, address: IpAddr) -> Self {
        match network(address) {
            IpAddr::V4(v4) => Self::of("network", folded, &v4.octets()),
            IpAddr::V6(v6) => Self::of("network", folded, &v6.octets()),
        }
    }

    fn of(kind: &str, folded: &str, value: &[u8]) -> Self {
        let mut hash = Context::new(&SHA256);
        for part in [kind.as_bytes(), folded.as_bytes(), value] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut place = [0; 32];
        place.copy_from_slice(hash.finish().as_ref());
        Self(place)
    }
}

/// What limits by address count as one: an IPv4 address, or the /64 that one IPv6 customer has.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_accounts_and_of_one_kind() {
        let here: IpAddr = "192.0.2.1".parse().unwrap();
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(Place::network("anna", here), Place::network("anna", mapped));
        assert_ne!(Place::network("anna", here), Place::network("bert", here));
        assert_eq!(Place::device("anna", ""), None);
        assert_ne!(Place::device("anna", "x"), Place::device("ann", "ax"));
        let octets = String::from_utf8_lossy(&[49, 50, 51, 52]).into_owned();
        let like: IpAddr = [49, 50, 51, 52].into();
        assert_ne!(Place::device("anna", &octets), Some(Place::network("anna", like)));
    }
}
