//! Who may connect: how many connections this process holds, whatever their port, and how many of
//! one address whose players are not in the world.
//!
//! Listeners ask before a connection reaches a shard. The [`Admission`] they get is the place
//! itself: dropping it, wherever the connection ends, frees the place.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::{counter, gauge};
use parking_lot::Mutex;

use super::proxy::TrustedProxies;
use super::shares::{Share, Shares};

/// Counts the connections of this process, all ports together.
#[derive(Debug)]
pub struct Gate {
    max_connections: usize,
    connections: AtomicUsize,
    /// Connections whose players are not in the world.
    strangers: Arc<Shares>,
    proxies: TrustedProxies,
}

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The process has as many as it takes.
    Full,
    /// The address has too many whose players are not in the world.
    Address,
    /// Too many TLS handshakes are under way, in all or from the address, or too many PROXY headers.
    Handshakes,
    /// The shard's queue of newcomers is full.
    Busy,
    /// A trusted proxy's PROXY header cannot be read.
    Proxy,
    /// The web page that asks comes from an origin that is not allowed.
    Origin,
}

impl Refusal {
    /// The word in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Full => "full",
            Refusal::Address => "address",
            Refusal::Handshakes => "handshakes",
            Refusal::Busy => "busy",
            Refusal::Proxy => "proxy",
            Refusal::Origin => "origin",
        }
    }

    /// Counts it.
    pub fn count(self) {
        counter!("throng_connections_refused_total", "reason" => self.as_str()).increment(1);
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The address that limits count by: an IPv6 client owns its whole /64, and an IPv4 client is
/// the same one when it comes mapped into IPv6.
pub fn counted_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

impl Gate {
    /// A gate for `max_connections` in all and `per_address` strangers from one address.
    pub fn new(max_connections: usize, per_address: usize) -> Arc<Self> {
        Self::behind(TrustedProxies::none(), max_connections, per_address)
    }

    /// The same for ports whose clients may come through these proxies.
    pub fn behind(
        proxies: TrustedProxies,
        max_connections: usize,
        per_address: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            proxies,
            max_connections,
            connections: AtomicUsize::new(0),
            strangers: Shares::new(per_address),
        })
    }

    /// Lets a connection in, or counts the refusal. `port` is its label in metrics.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        port: &'static str,
    ) -> Result<Admission, Refusal> {
        let stranger = self.share(counted_address(address))?;
        let admission = self.admit_unnamed(port)?;
        *admission.stranger.lock() = Some(stranger);
        Ok(admission)
    }

    /// Lets in a proxy's connection whose client is told later, see [`Admission::count_for`]; or
    /// counts the refusal.
    ///
    /// # Errors
    /// The process has as many connections as it takes.
    pub(super) fn admit_unnamed(
        self: &Arc<Self>,
        port: &'static str,
    ) -> Result<Admission, Refusal> {
        let room = |count: usize| (count < self.max_connections).then_some(count + 1);
        if self.connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            Refusal::Full.count();
            return Err(Refusal::Full);
        }
        count_in(port);
        Ok(Admission { gate: self.clone(), stranger: Mutex::new(None), port })
    }

    fn share(&self, address: IpAddr) -> Result<Share, Refusal> {
        self.strangers.take(address).ok_or_else(|| {
            Refusal::Address.count();
            Refusal::Address
        })
    }

    /// Whom its ports believe.
    pub(super) fn proxies(&self) -> &TrustedProxies {
        &self.proxies
    }

    /// Connections now.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn count_in(port: &'static str) {
    counter!("throng_connections_accepted_total", "port" => port).increment(1);
    gauge!("throng_connections", "port" => port).increment(1.0);
}

fn count_out(port: &'static str) {
    gauge!("throng_connections", "port" => port).decrement(1.0);
}

/// One connection's place; dropping it frees the place.
#[derive(Debug)]
pub struct Admission {
    gate: Arc<Gate>,
    stranger: Mutex<Option<Share>>,
    port: &'static str,
}

impl Admission {
    /// From now on it is a stranger of this address, and of no other one; or the refusal is counted,
    /// and it stays what it was.
    ///
    /// # Errors
    /// The address has too many.
    pub(super) fn count_for(&self, address: IpAddr) -> Result<(), Refusal> {
        let address = counted_address(address);
        let mut stranger = self.stranger.lock();
        if stranger.as_ref().is_some_and(|share| share.address() == address) {
            return Ok(());
        }
        *stranger = Some(self.gate.share(address)?);
        Ok(())
    }

    /// The client is no stranger any more: its address may bring another one.
    pub fn authenticated(&self) {
        drop(self.stranger.lock().take());
    }

    /// The connection goes on as one of another port's: the same place, under that label.
    pub fn move_to(&mut self, port: &'static str) {
        count_out(std::mem::replace(&mut self.port, port));
        count_in(port);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.gate.connections.fetch_sub(1, Ordering::Relaxed);
        count_out(self.port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_logging_in_frees_it() {
        let gate = Gate::new(10, 2);
        let home: IpAddr = "10.0.0.1".parse().unwrap();
        let first = gate.admit(home, "test").unwrap();
        let second = gate.admit(home, "test").unwrap();
        assert_eq!(gate.admit(home, "test").unwrap_err(), Refusal::Address);
        assert!(gate.admit("10.0.0.2".parse().unwrap(), "test").is_ok());
        first.authenticated();
        first.authenticated();
        let third = gate.admit(home, "test").unwrap();
        assert_eq!(gate.admit(home, "test").unwrap_err(), Refusal::Address);
        drop((first, second, third));
        assert_eq!(gate.connections(), 0);
        assert!(gate.strangers.is_empty());
    }

    #[test]
    fn the_process_has_a_bound_whatever_the_address() {
        let gate = Gate::new(2, 2);
        let places: Vec<_> =
            (0..2).map(|i| gate.admit(IpAddr::from([10, 0, 0, i]), "test").unwrap()).collect();
        let other = IpAddr::from([10, 0, 0, 9]);
        assert_eq!(gate.admit(other, "test").unwrap_err(), Refusal::Full);
        drop(places);
        assert!(gate.admit(other, "test").is_ok());
    }

    #[test]
    fn a_place_that_moves_to_another_port_is_the_same_place() {
        let gate = Gate::new(2, 1);
        let home: IpAddr = "10.0.0.1".parse().unwrap();
        let mut place = gate.admit(home, "http").unwrap();
        place.move_to("websocket");
        assert_eq!(gate.connections(), 1);
        assert_eq!(gate.admit(home, "http").unwrap_err(), Refusal::Address);
        drop(place);
        assert_eq!(gate.connections(), 0);
        assert!(gate.strangers.is_empty());
    }

    #[test]
    fn a_proxys_connection_counts_for_whom_it_speaks_last() {
        let gate = Gate::new(4, 1);
        let clients = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        let (first, second) = (gate.admit_unnamed("http"), gate.admit_unnamed("http"));
        let (first, second) = (first.unwrap(), second.unwrap());
        first.count_for(clients[0]).unwrap();
        first.count_for(clients[0]).unwrap();
        assert_eq!(second.count_for(clients[0]), Err(Refusal::Address));
        first.count_for(clients[1]).unwrap();
        second.count_for(clients[0]).unwrap();
        drop((first, second));
        assert!(gate.strangers.is_empty() && gate.connections() == 0);
    }

    #[test]
    fn an_ipv6_client_counts_by_its_network() {
        let count = |text: &str| counted_address(text.parse().unwrap());
        assert_eq!(count("2001:db8:1:2::7"), count("2001:db8:1:2:ffff::1"));
        assert_ne!(count("2001:db8:1:2::7"), count("2001:db8:1:3::7"));
        assert_eq!(count("::ffff:10.0.0.1"), count("10.0.0.1"));
    }
}
