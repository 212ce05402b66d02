//! Files and sockets, of which there are none: what opens one is refused, and since no handle of one
//! is ever given, nothing else about them can be called.
//!
//! A language runtime imports all of these interfaces. Those of their functions that can be called
//! without such a handle are served with WASI's own types; the rest are taken from the component that
//! imports them, so that no list of them has to follow the releases of WASI.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentType, Lift, Linker, Lower, Resource, ResourceType};

use super::{HasShim, give, interface, without_version};

/// Interfaces of files and sockets, each with the resources that it has of its own.
const INTERFACES: [(&str, &[&str]); 8] = [
    ("wasi:filesystem/types", &["descriptor", "directory-entry-stream"]),
    ("wasi:sockets/network", &["network"]),
    ("wasi:sockets/instance-network", &[]),
    ("wasi:sockets/ip-name-lookup", &["resolve-address-stream"]),
    ("wasi:sockets/tcp", &["tcp-socket"]),
    ("wasi:sockets/tcp-create-socket", &[]),
    ("wasi:sockets/udp", &["udp-socket", "incoming-datagram-stream", "outgoing-datagram-stream"]),
    ("wasi:sockets/udp-create-socket", &[]),
];

/// Returns whether `name`, without version, is an interface of files or sockets.
pub(super) fn has(name: &str) -> bool {
    INTERFACES.iter().any(|(closed, _)| *closed == name)
}

/// Whatever can be opened. No handle says more than that there is one.
pub(super) enum Closed {}

/// `wasi:sockets/network` `error-code`.
#[expect(dead_code, reason = "only one is answered; the engine compares all names")]
#[derive(Debug, Clone, Copy, ComponentType, Lower, Lift)]
#[component(enum)]
#[repr(u8)]
enum NetworkError {
    #[component(name = "unknown")]
    Unknown,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "not-supported")]
    NotSupported,
    #[component(name = "invalid-argument")]
    InvalidArgument,
    #[component(name = "out-of-memory")]
    OutOfMemory,
    #[component(name = "timeout")]
    Timeout,
    #[component(name = "concurrency-conflict")]
    ConcurrencyConflict,
    #[component(name = "not-in-progress")]
    NotInProgress,
    #[component(name = "would-block")]
    WouldBlock,
    #[component(name = "invalid-state")]
    InvalidState,
    #[component(name = "new-socket-limit")]
    NewSocketLimit,
    #[component(name = "address-not-bindable")]
    AddressNotBindable,
    #[component(name = "address-in-use")]
    AddressInUse,
    #[component(name = "remote-unreachable")]
    RemoteUnreachable,
    #[component(name = "connection-refused")]
    ConnectionRefused,
    #[component(name = "connection-reset")]
    ConnectionReset,
    #[component(name = "connection-aborted")]
    ConnectionAborted,
    #[component(name = "datagram-too-large")]
    DatagramTooLarge,
    #[component(name = "name-unresolvable")]
    NameUnresolvable,
    #[component(name = "temporary-resolver-failure")]
    TemporaryResolverFailure,
    #[component(name = "permanent-resolver-failure")]
    PermanentResolverFailure,
}

/// `wasi:sockets/network` `ip-address-family`.
#[expect(dead_code, reason = "only a guest makes one; the engine compares all names")]
#[derive(Debug, Clone, Copy, ComponentType, Lower, Lift)]
#[component(enum)]
#[repr(u8)]
enum AddressFamily {
    #[component(name = "ipv4")]
    V4,
    #[component(name = "ipv6")]
    V6,
}

/// Links every interface of [`INTERFACES`], with all that `component` imports of it.
pub(super) fn add_to_linker<T: HasShim>(
    linker: &mut Linker<T>,
    component: &Component,
) -> wasmtime::Result<()> {
    for (name, resources) in INTERFACES {
        let mut types = interface(linker, name)?;
        for resource in resources {
            types.resource(resource, ResourceType::host::<Closed>(), |_, _| Ok(()))?;
        }
    }
    // An interface may be imported in two versions, and then most functions twice.
    linker.allow_shadowing(true);
    uncallable(linker, component)?;
    callable(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn uncallable<T: HasShim>(linker: &mut Linker<T>, component: &Component) -> wasmtime::Result<()> {
    let engine = linker.engine().clone();
    let kind = component.component_type();
    for (import, item) in kind.imports(&engine) {
        let name = without_version(import);
        let ComponentItem::ComponentInstance(imported) = item.ty else { continue };
        if !has(name) {
            continue;
        }
        let mut closed = interface(linker, name)?;
        for (function, item) in imported.exports(&engine) {
            if matches!(item.ty, ComponentItem::ComponentFunc(_)) {
                let what = format!("`{name}` `{function}`, and here are no files and no sockets");
                closed.func_new(function, move |_, _, _, _| wasmtime::bail!("called {what}"))?;
            }
        }
    }
    Ok(())
}

fn callable<T: HasShim>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut network = interface(linker, "wasi:sockets/instance-network")?;
    give(&mut network, "instance-network", |_, (): ()| Ok((Resource::<Closed>::new_own(0),)))?;
    let mut names = interface(linker, "wasi:sockets/ip-name-lookup")?;
    give(&mut names, "resolve-addresses", |data, (_, name): (Resource<Closed>, String)| {
        data.charge(name.len())?;
        Ok(denied())
    })?;
    for protocol in ["tcp", "udp"] {
        let name = format!("wasi:sockets/{protocol}-create-socket");
        let create = format!("create-{protocol}-socket");
        give(&mut interface(linker, &name)?, &create, |_, (_,): (AddressFamily,)| Ok(denied()))?;
    }
    Ok(())
}

fn denied() -> (Result<Resource<Closed>, NetworkError>,) {
    (Err(NetworkError::AccessDenied),)
}
