//! Certificates and pins over real handshakes.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::Request;
use wire::client::{Client, ClientError, Config, ConnectError};
use wire::serve::App;
use wire::tls::{Authorities, AuthoritiesError, Fingerprint, Identity, PinError, Pins, Trust};

use crate::rig::{Seen, Server};

async fn serve(identity: &Identity) -> Server {
    let app = App::new(Router::new().route("/", get(|| async { "hello" })));
    Server::start(app, Some(identity.server_config().unwrap())).await
}

async fn fetch(client: &Client, peer: &str) -> Result<Bytes, ClientError> {
    let request = Request::get(format!("https://{peer}/")).body(Bytes::new()).unwrap();
    Ok(client.exchange(request).await?.into_body())
}

#[test]
fn a_certificate_stays_until_its_host_is_not_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("tls");
    let first = Identity::load_or_make(&dir, "orch.example").unwrap();
    assert!(first.was_made() && first.replaced().is_none());
    let mode = |file: &str| dir.join(file).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("key.pem"), 0o600);
    for host in ["orch.example", "ORCH.example", "localhost", "127.0.0.1", "::1"] {
        let again = Identity::load_or_make(&dir, host).unwrap();
        assert!(!again.was_made(), "{host}");
        assert_eq!(again.fingerprint(), first.fingerprint());
    }
    let moved = Identity::load_or_make(&dir, "192.0.2.7").unwrap();
    assert!(moved.was_made());
    assert_eq!(moved.replaced(), Some(first.fingerprint()));
    assert_ne!(moved.fingerprint(), first.fingerprint());
    std::fs::write(dir.join("cert.pem"), "rubbish").unwrap();
    assert!(Identity::load_or_make(&dir, "localhost").is_err());
}

#[test]
fn openssl_takes_the_certificate_as_its_own_root() {
    let folder = tempfile::tempdir().unwrap();
    Identity::load_or_make(folder.path(), "orch.example").unwrap();
    let cert = folder.path().join("cert.pem");
    let verify = |name: &[&str]| {
        std::process::Command::new("openssl")
            .args(["verify", "-purpose", "sslserver", "-CAfile"])
            .arg(&cert)
            .args(name)
            .arg(&cert)
            .output()
            .expect("openssl runs")
            .status
            .success()
    };
    assert!(verify(&["-verify_hostname", "orch.example"]));
    assert!(verify(&["-verify_ip", "127.0.0.1"]));
    assert!(!verify(&["-verify_hostname", "other.example"]));
}

#[tokio::test]
async fn the_first_certificate_is_pinned_and_another_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway/pins.json");
    let old = Identity::load_or_make(&folder.path().join("a"), "localhost").unwrap();
    let new = Identity::load_or_make(&folder.path().join("b"), "localhost").unwrap();
    let server = serve(&old).await;
    let peer = server.address.to_string();

    let pins = Pins::load(&file).unwrap();
    let client = Client::new(pins.clone(), Config::default());
    assert_eq!(fetch(&client, &peer).await.unwrap(), "hello");
    assert_eq!(pins.get(&peer), Some(old.fingerprint()));

    // A pin outlives the process, and is asked on every connection.
    let pins = Pins::load(&file).unwrap();
    let address = server.address;
    server.stop().await;
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let app = App::new(Router::new().route("/", get(|| async { "hello" })));
    let config = new.server_config().unwrap();
    let serving = tokio::spawn(wire::serve::serve(
        listener,
        Some(config),
        app,
        wire::serve::Config::default(),
        Arc::new(Seen::default()),
        std::future::pending(),
    ));
    let client = Client::new(pins.clone(), Config::default());
    let error = fetch(&client, &peer).await.unwrap_err();
    let ClientError::Connect(ConnectError::CertificateChanged(changed)) = &error else {
        panic!("{error:?}")
    };
    assert_eq!((changed.pinned, changed.presented), (old.fingerprint(), new.fingerprint()));
    assert_eq!(
        error.to_string(),
        format!(
            "`{peer}` presents certificate `{}`, pinned is `{}`",
            new.fingerprint(),
            old.fingerprint()
        )
    );
    assert_eq!(error.class(), domain::Class::Denied);

    // The operator removes the pin; the next certificate is taken.
    assert!(pins.remove(&peer).unwrap());
    assert_eq!(fetch(&client, &peer).await.unwrap(), "hello");
    assert_eq!(Pins::load(&file).unwrap().get(&peer), Some(new.fingerprint()));
    serving.abort();
}

#[test]
fn a_damaged_pins_file_is_refused_and_not_emptied() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pins.json");
    std::fs::write(&file, r#"{"a:1":"xyz"}"#).unwrap();
    assert!(matches!(Pins::load(&file), Err(PinError::Malformed { .. })));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), r#"{"a:1":"xyz"}"#);
    let text = "ab".repeat(32);
    assert_eq!(Fingerprint::parse(&text).unwrap().to_string(), text);
}

/// A certificate for 127.0.0.1 that an authority signed, with the authority's own as PEM.
fn vouched_for() -> (rustls::ServerConfig, String) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (config, pem)
}

#[tokio::test]
async fn each_trust_takes_what_it_says_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let own = Identity::load_or_make(&folder.path().join("a"), "localhost").unwrap();
    let other = Identity::load_or_make(&folder.path().join("b"), "localhost").unwrap();
    let server = serve(&own).await;
    let peer = server.address.to_string();
    let uri = format!("https://{peer}").parse().unwrap();
    let pins = Pins::default();
    let client = || Client::new(pins.clone(), Config::default());

    pins.judge(&uri, Trust::Pinned(other.fingerprint()));
    let text = fetch(&client(), &peer).await.unwrap_err().to_string();
    for print in [own.fingerprint(), other.fingerprint()] {
        assert!(text.contains(&print.to_string()), "{text}");
    }
    pins.judge(&uri, Trust::Pinned(own.fingerprint()));
    assert_eq!(fetch(&client(), &peer).await.unwrap(), "hello");
    pins.judge(&uri, Trust::Unverified);
    assert_eq!(fetch(&client(), &peer).await.unwrap(), "hello");
    assert_eq!(pins.all().len(), 0, "only first use is remembered");

    let (config, pem) = vouched_for();
    let file = folder.path().join("authorities.pem");
    std::fs::write(&file, pem).unwrap();
    let verified = Trust::Verified(Authorities::read(&file).unwrap());
    pins.judge(&uri, verified.clone());
    let error = fetch(&client(), &peer).await.unwrap_err();
    assert!(domain::chain(&error).contains("certificate"), "{}", domain::chain(&error));
    let app = App::new(Router::new().route("/", get(|| async { "hello" })));
    let vouched = Server::start(app, Some(std::sync::Arc::new(config))).await;
    let peer = vouched.address.to_string();
    pins.judge(&format!("https://{peer}").parse().unwrap(), verified);
    assert_eq!(fetch(&client(), &peer).await.unwrap(), "hello");

    std::fs::write(&file, "none").unwrap();
    assert!(matches!(Authorities::read(&file), Err(AuthoritiesError::Empty { .. })));
}
