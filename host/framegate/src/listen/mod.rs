//! Listeners: all of them are bound before anything runs, or none is.
//!
//! Decides what is said when a port is taken. Does not know what a listener is for: that is its
//! configuration key.

mod handover;
mod holder;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};

pub(crate) use handover::{Inherited, inherit, pass};

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its configuration key, such as `gateway.http`.
    pub(crate) key: &'static str,
    /// The address.
    pub(crate) address: SocketAddr,
}

/// Bound listeners by their configuration key.
pub(crate) type Listeners = BTreeMap<String, TcpListener>;

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("listening on {address} (`{key}`){}", holder.as_deref().unwrap_or_default())]
pub(crate) struct BindError {
    key: &'static str,
    address: SocketAddr,
    /// `, which process 12 (`caddy`) holds`
    holder: Option<String>,
    source: io::Error,
}

impl BindError {
    /// Returns what to change.
    pub(crate) fn hint(&self) -> String {
        let free = SocketAddr::new(self.address.ip(), 0);
        format!("give `{}` another address, such as \"{free}\" for any free port", self.key)
    }
}

/// Binds all of `wanted`, or none.
pub(crate) fn bind(wanted: &[Wanted]) -> Result<Listeners, BindError> {
    let mut listeners = Listeners::new();
    for &Wanted { key, address } in wanted {
        let listener = TcpListener::bind(address).map_err(|source| {
            let taken = source.kind() == io::ErrorKind::AddrInUse;
            let holder = taken.then(|| holder::of(address)).flatten();
            let holder = holder.map(|holder| format!(", which {holder} holds"));
            BindError { key, address, holder, source }
        })?;
        listeners.insert(key.to_owned(), listener);
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use domain::chain;

    use super::*;

    #[test]
    fn a_taken_port_is_refused_with_its_key_and_holder_and_nothing_stays_bound() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let taken = taken.local_addr().map(|address| (taken, address)).expect("bound");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("port");
        let wanted = [
            Wanted { key: "gateway.http", address: free },
            Wanted { key: "gateway.admin", address: taken.1 },
        ];
        let refusal = bind(&wanted).expect_err("taken");
        let (pid, text) = (std::process::id(), chain(&refusal));
        let start = format!("listening on {} (`gateway.admin`), which process {pid} (`", taken.1);
        assert!(text.starts_with(&start), "{text}");
        assert!(text.contains("`) holds: "), "{text}");
        assert!(refusal.hint().contains("`gateway.admin`"), "{}", refusal.hint());
        drop(TcpListener::bind(free).expect("not left bound"));
    }

    #[test]
    fn the_holder_of_every_address_is_seen_behind_a_loopback_one() {
        let any = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = any.local_addr().expect("bound").port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let holder = holder::of(address).expect("found in /proc");
        assert!(holder.contains(&std::process::id().to_string()), "{holder}");
    }
}
