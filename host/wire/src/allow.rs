//! Which addresses a URL given by a stranger may lead to. Asked twice: by host when the URL is
//! given, by address after the name was resolved, for the very address that is then connected to.
//!
//! **Invariant:** without a rule of the operator nothing is fetched, and a wildcard never opens
//! loopback, link-local, private or metadata addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::Class;

/// A URL that may not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// The operator's list does not have the host.
    #[error("host `{host}` is not allowed")]
    Host {
        /// The host.
        host: String,
    },
    /// The host's address is not public, and the host is not listed by its full name.
    #[error("host `{host}` has address `{address}`, which is not public")]
    Address {
        /// The host.
        host: String,
        /// Its address.
        address: IpAddr,
    },
}

impl NotAllowed {
    /// Returns the class.
    pub const fn class(&self) -> Class {
        match self {
            Self::Host { .. } | Self::Address { .. } => Class::Denied,
        }
    }
}

/// The operator's list of hosts. Entries: a full name or address, `*.example.org`, or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowedHosts {
    entries: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listed {
    No,
    ByWildcard,
    ByName,
}

impl AllowedHosts {
    /// Makes the list. Case does not matter, nor do brackets around IPv6 addresses.
    pub fn new(entries: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self { entries: entries.into_iter().map(|entry| plain(entry.as_ref())).collect() }
    }

    fn listed(&self, host: &str) -> Listed {
        let host = plain(host);
        if self.entries.contains(&host) {
            return Listed::ByName;
        }
        let wild = self.entries.iter().any(|entry| match entry.strip_prefix('*') {
            Some("") => true,
            Some(suffix) => suffix.starts_with('.') && host.ends_with(suffix),
            None => false,
        });
        if wild { Listed::ByWildcard } else { Listed::No }
    }

    /// Judges a host before its name is resolved.
    pub fn check_host(&self, host: &str) -> Result<(), NotAllowed> {
        match self.listed(host) {
            Listed::No => Err(NotAllowed::Host { host: host.to_owned() }),
            Listed::ByName | Listed::ByWildcard => Ok(()),
        }
    }

    /// Judges an address that the host resolved to.
    pub fn check_address(&self, host: &str, address: IpAddr) -> Result<(), NotAllowed> {
        match self.listed(host) {
            Listed::No => Err(NotAllowed::Host { host: host.to_owned() }),
            Listed::ByWildcard if !is_public(address) => {
                Err(NotAllowed::Address { host: host.to_owned(), address })
            }
            Listed::ByName | Listed::ByWildcard => Ok(()),
        }
    }
}

fn plain(host: &str) -> String {
    let host = host.trim().trim_end_matches('.');
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    host.to_ascii_lowercase()
}

/// Says whether an address is one of the public Internet. Clouds' metadata addresses are
/// link-local, private or shared ones.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

const fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    !(v4.is_loopback()
        || v4.is_private()
        || v4.is_link_local()
        || v4.is_documentation()
        || v4.is_broadcast()
        || a == 0
        || a >= 224 // multicast and reserved
        || (a == 100 && b >= 64 && b < 128) // shared by carriers, and Alibaba's metadata
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19)))
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    // An IPv4 address in any of its IPv6 clothes is judged as what it is.
    if let Some(v4) = v6.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let [a, b, c, d, _, _, g, h] = v6.segments();
    let embedded = |high: u16, low: u16| {
        let ([w, x], [y, z]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(w, x, y, z))
    };
    match (a, b) {
        (0x64, 0xff9b) => c == 0 && d == 0 && embedded(g, h), // NAT64
        (0x2002, _) => embedded(b, c),                        // 6to4
        (0x2001, 0) => false,                                 // Teredo
        (0x2001, 0xdb8) => false,                             // documentation
        // Only 2000::/3 is handed out; all else is local, multicast or reserved.
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_fetched_without_a_rule() {
        let none = AllowedHosts::default();
        assert!(none.check_host("example.org").is_err());
        assert!(none.check_address("example.org", "93.184.216.34".parse().unwrap()).is_err());
    }

    #[test]
    fn a_wildcard_opens_public_addresses_only_and_a_full_name_opens_any() {
        let hosts = AllowedHosts::new(["*.example.org", "Media.Local", "[::1]"]);
        let check =
            |host: &str, address: &str| hosts.check_address(host, address.parse().unwrap()).is_ok();
        assert!(check("a.example.org", "93.184.216.34"));
        assert!(check("media.local.", "192.168.1.5"));
        assert!(check("::1", "::1"));
        assert!(!check("example.org", "93.184.216.34"));
        assert!(!check("evilexample.org", "93.184.216.34"));
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.100.100.200",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "ff02::1",
            "2001:db8::1",
        ] {
            assert!(!check("a.example.org", inside), "{inside}");
        }
        assert!(check("a.example.org", "2606:2800:220:1::1"));
    }
}
