//! How many of a listener's connections one peer may hold, so that no peer can hold them all.
//!
//! A peer is an address; of IPv6 it is the network of 64 bits, of which one machine commonly has all
//! addresses. It decides nothing about what a peer may ask for.
//!
//! **Invariant:** a peer is known exactly as long as it holds a connection.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bits of an IPv6 address that name the network.
const NETWORK: u128 = !(u64::MAX as u128);

/// The connections of each peer. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Shares {
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
    each_max: usize,
    local_max: usize,
}

/// A connection in its peer's share, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Shares,
    peer: IpAddr,
}

impl Shares {
    /// Lets each peer have `each_max` connections, and one on this machine `local_max`.
    pub(crate) fn new(each_max: usize, local_max: usize) -> Self {
        Self { held: Arc::default(), each_max, local_max }
    }

    /// Takes a connection into the share of `address`. Errors: the number of connections that its
    /// peer holds, where that is all it may.
    pub(crate) fn take(&self, address: IpAddr) -> Result<Share, usize> {
        let peer = peer_of(address);
        let most = if peer.is_loopback() { self.local_max } else { self.each_max };
        let mut held = self.lock();
        let count = held.get(&peer).copied().unwrap_or(0);
        if count >= most {
            return Err(count);
        }
        held.insert(peer, count + 1);
        Ok(Share { shares: self.clone(), peer })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Whole at every step, so a panic elsewhere does not spoil it.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.lock();
        match held.get_mut(&self.peer) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(held.remove(&self.peer)),
        }
    }
}

fn peer_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(whole) if !whole.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(whole.to_bits() & NETWORK))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_peer_has_its_share_and_gets_it_back() {
        let shares = Shares::new(2, 0);
        let take = |text| shares.take(address(text));
        let (first, second) = (take("192.0.2.1").unwrap(), take("192.0.2.1").unwrap());
        assert_eq!(take("192.0.2.1").unwrap_err(), 2);
        // The same peer by way of an IPv6 socket, and another one.
        assert_eq!(take("::ffff:192.0.2.1").unwrap_err(), 2);
        assert!(take("192.0.2.2").is_ok());
        drop(first);
        assert!(take("192.0.2.1").is_ok());
        drop(second);
        assert!(shares.lock().is_empty(), "nobody is remembered");
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let shares = Shares::new(1, 0);
        let first = shares.take(address("2001:db8::1"));
        assert!(first.is_ok());
        assert!(shares.take(address("2001:db8::ffff:2")).is_err());
        assert!(shares.take(address("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn this_machine_has_a_share_of_its_own() {
        let shares = Shares::new(0, 1);
        for text in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(shares.take(address(text)).is_ok(), "{text}");
        }
        assert!(shares.take(address("192.0.2.1")).is_err());
    }
}
