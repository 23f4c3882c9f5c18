//! How many of something each address holds at once: strangers, handshakes.
//!
//! Listeners ask before they take a client on. The [`Share`] they get is the place itself: dropping
//! it, wherever that happens, frees the place.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// See the module; addresses are what [`super::gate::counted_address`] makes of them.
#[derive(Debug)]
pub(super) struct Shares {
    most: usize,
    /// No entry stands at 0.
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One place of an address's share.
#[derive(Debug)]
pub(super) struct Share {
    shares: Arc<Shares>,
    address: IpAddr,
}

impl Shares {
    /// At most so many for each address.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// A place; none: the address has as many as it may.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Share> {
        let mut taken = self.taken.lock();
        let count = taken.get(&address).copied().unwrap_or(0);
        if count >= self.most {
            return None;
        }
        taken.insert(address, count + 1);
        Some(Share { shares: self.clone(), address })
    }

    /// Whether nobody holds anything.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.taken.lock().is_empty()
    }
}

impl Share {
    /// Whose it is.
    pub fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken.lock();
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_and_leaves_nothing_behind() {
        let shares = Shares::new(2);
        let (one, two) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let held = (shares.take(one).unwrap(), shares.take(one).unwrap());
        assert!(shares.take(one).is_none() && shares.take(two).is_some());
        drop(held);
        assert!(shares.is_empty() && shares.take(one).is_some());
    }
}
