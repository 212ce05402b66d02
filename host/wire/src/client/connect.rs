//! Opens connections for [`super::Client`]: resolve, judge the address, connect, shake hands,
//! check the pin. One deadline covers all of it.
//!
//! **Invariant:** the address judged is the address connected to.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use domain::Class;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, TlsStream};

use crate::allow::{AllowedHosts, NotAllowed};
use crate::stream::{Stream, tune};
use crate::tls::{CertificateChanged, Fingerprint, PinError, PinVerifier, Pins, Trust, provider};

/// A connection that was not opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL has no host, or another scheme than `http` and `https`.
    #[error("`{uri}` cannot be connected to")]
    Address {
        /// The URL.
        uri: String,
    },
    /// The operator does not allow the host or its address.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// Name resolution or the connection failed.
    #[error("connecting to `{peer}`")]
    Socket {
        /// `host:port`.
        peer: String,
        /// Why.
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("TLS with `{peer}`")]
    Handshake {
        /// `host:port`.
        peer: String,
        /// Why.
        source: io::Error,
    },
    /// The certificate is not the pinned one.
    #[error(transparent)]
    CertificateChanged(#[from] CertificateChanged),
    /// The pin could not be stored.
    #[error("pinning `{peer}`")]
    Pin {
        /// `host:port`.
        peer: String,
        /// Why.
        source: PinError,
    },
    /// The deadline passed.
    #[error("no connection to `{peer}` within {limit:?}")]
    TimedOut {
        /// `host:port`.
        peer: String,
        /// The limit.
        limit: Duration,
    },
}

impl ConnectError {
    /// Returns the class.
    pub const fn class(&self) -> Class {
        match self {
            Self::Address { .. } => Class::Invalid,
            Self::NotAllowed(_) | Self::CertificateChanged(_) => Class::Denied,
            Self::Socket { .. } | Self::Handshake { .. } => Class::Unavailable,
            Self::Pin { source, .. } => source.class(),
            Self::TimedOut { .. } => Class::TimedOut,
        }
    }
}

impl ConnectError {
    /// Copies the error: the pool keeps its own inside.
    pub(super) fn duplicate(&self) -> Self {
        let again = |source: &io::Error| io::Error::new(source.kind(), source.to_string());
        match self {
            Self::Address { uri } => Self::Address { uri: uri.clone() },
            Self::NotAllowed(error) => Self::NotAllowed(error.clone()),
            Self::Socket { peer, source } => {
                Self::Socket { peer: peer.clone(), source: again(source) }
            }
            Self::Handshake { peer, source } => {
                Self::Handshake { peer: peer.clone(), source: again(source) }
            }
            Self::CertificateChanged(error) => Self::CertificateChanged(error.clone()),
            Self::Pin { peer, source } => {
                Self::Socket { peer: peer.clone(), source: io::Error::other(domain::chain(source)) }
            }
            Self::TimedOut { peer, limit } => Self::TimedOut { peer: peer.clone(), limit: *limit },
        }
    }
}

/// Opens connections that speak one version of HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pins: Pins,
    allowed: Option<AllowedHosts>,
    limit: Duration,
    alpn: Vec<Vec<u8>>,
}

impl Connector {
    pub(super) fn new(
        pins: Pins,
        allowed: Option<AllowedHosts>,
        limit: Duration,
        alpn: &'static [u8],
    ) -> Self {
        let alpn = vec![alpn.to_vec()];
        Self { shared: Arc::new(Shared { pins, allowed, limit, alpn }) }
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<Stream>, ConnectError> {
        let bad = || ConnectError::Address { uri: uri.to_string() };
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad()),
        };
        let host = uri.host().ok_or_else(bad)?;
        let port = port_of(&uri);
        let peer = peer_name(host, port);
        let limit = self.shared.limit;
        match timeout(limit, self.open(host, port, secure, &peer)).await {
            Ok(opened) => opened.map(TokioIo::new),
            Err(_) => Err(ConnectError::TimedOut { peer, limit }),
        }
    }

    async fn open(
        &self,
        host: &str,
        port: u16,
        secure: bool,
        peer: &str,
    ) -> Result<Stream, ConnectError> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let socket = self.dial(host, port, peer).await?;
        tune(&socket);
        if secure { self.secure(socket, host, peer).await } else { Ok(Stream::Plain(socket)) }
    }

    async fn dial(&self, host: &str, port: u16, peer: &str) -> Result<TcpStream, ConnectError> {
        let failed = |source| ConnectError::Socket { peer: peer.to_owned(), source };
        if let Some(allowed) = &self.shared.allowed {
            allowed.check_host(host)?;
        }
        let addresses: Vec<SocketAddr> =
            tokio::net::lookup_host((host, port)).await.map_err(failed)?.collect();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            if let Some(allowed) = &self.shared.allowed {
                allowed.check_address(host, address.ip())?;
            }
            match TcpStream::connect(address).await {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    async fn secure(
        &self,
        socket: TcpStream,
        host: &str,
        peer: &str,
    ) -> Result<Stream, ConnectError> {
        let failed = |source| ConnectError::Handshake { peer: peer.to_owned(), source };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| ConnectError::Address { uri: peer.to_owned() })?;
        let trust = self.shared.pins.trust(peer);
        let pinned = match &trust {
            Trust::FirstUse => self.shared.pins.get(peer),
            Trust::Pinned(pin) => Some(*pin),
            Trust::Verified(_) | Trust::Unverified => None,
        };
        let verifier = Arc::new(PinVerifier::new(peer.to_owned(), pinned, provider()));
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(io::Error::other(error)))?;
        let mut config = match &trust {
            Trust::Verified(authorities) => {
                config.with_root_certificates(Arc::clone(&authorities.0)).with_no_client_auth()
            }
            Trust::FirstUse | Trust::Pinned(_) | Trust::Unverified => config
                .dangerous()
                .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
                .with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.shared.alpn);
        // A resumed session would not show its certificate, so a removed pin would not count.
        config.resumption = Resumption::disabled();
        let connected = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
        let tls = connected.map_err(|source| match verifier.refused() {
            Some(changed) => changed.into(),
            None => failed(source),
        })?;
        let presented = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let presented = presented.map(Fingerprint::of).ok_or_else(|| {
            failed(io::Error::new(io::ErrorKind::InvalidData, "no certificate was presented"))
        })?;
        if pinned.is_none() && matches!(trust, Trust::FirstUse) {
            self.learn(peer, presented).await?;
        }
        Ok(Stream::Tls(Box::new(TlsStream::from(tls))))
    }

    async fn learn(&self, peer: &str, presented: Fingerprint) -> Result<(), ConnectError> {
        let (pins, name) = (self.shared.pins.clone(), peer.to_owned());
        let learnt = tokio::task::spawn_blocking(move || pins.learn(&name, presented)).await;
        match learnt {
            Ok(Ok(new)) => {
                if new {
                    tracing::info!(peer, certificate = %presented, "certificate pinned");
                }
                Ok(())
            }
            Ok(Err(PinError::Changed(changed))) => Err(changed.into()),
            Ok(Err(source)) => Err(ConnectError::Pin { peer: peer.to_owned(), source }),
            Err(_) => Err(ConnectError::Socket {
                peer: peer.to_owned(),
                source: io::Error::other("the pin was not stored before shutdown"),
            }),
        }
    }
}

fn port_of(uri: &Uri) -> u16 {
    let secure = uri.scheme_str() == Some("https");
    uri.port_u16().unwrap_or(if secure { 443 } else { 80 })
}

/// Returns the name that whoever answers at `uri` is pinned by; `None`: it has no host.
pub(crate) fn peer_of_uri(uri: &Uri) -> Option<String> {
    Some(peer_name(uri.host()?, port_of(uri)))
}

/// Returns the name that a peer is pinned by.
fn peer_name(host: &str, port: u16) -> String {
    format!("{}:{port}", host.to_ascii_lowercase())
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}
