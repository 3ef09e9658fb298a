//! TLS to an upstream, which is a listener of ours here.

use std::sync::Arc;
use std::time::Duration;

use closenotify::{HandshakeError, SessionFacts, TlsAcceptor};
use rustls::{ServerConfig, version};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::bench::{Bench, load, names, now};
use crate::config::UpstreamTls;
use crate::tls::client_auth::provider;
use crate::tls::{Change, ListenerTls, TlsError, UpstreamTlsState};

fn upstream(bench: &Bench, certificate: Option<&str>) -> UpstreamTls {
    UpstreamTls {
        name: ServerName::try_from("app.internal").unwrap(),
        ca: bench.path("ca.pem"),
        certificate: certificate.map(|name| bench.path(name)),
    }
}

fn state(settings: &UpstreamTls) -> Result<UpstreamTlsState, TlsError> {
    UpstreamTlsState::load(settings, Duration::from_secs(10), now())
}

/// A listener as the upstream, for this name, which requires a client certificate.
fn server(bench: &Bench, name: &str) -> ListenerTls {
    bench.write("server.pem", bench.issue(&[name]).both());
    bench.write_ca("ca.pem");
    let mut settings = bench.settings(&["server.pem"]);
    settings.client_auth = Some(bench.client_auth(true, &["CN=proxy"]));
    load(&settings).unwrap()
}

/// Connects; what came of it on our side, after a byte in each direction.
async fn connect(state: &UpstreamTlsState, acceptor: &TlsAcceptor) -> Result<SessionFacts, HandshakeError> {
    let (connector, name) = state.connector();
    let (ours, theirs) = duplex(64 * 1024);
    let ours = async {
        let mut stream = connector.connect(name, ours).await?;
        stream.write_all(b"?").await?;
        stream.read_u8().await?;
        Ok(stream.facts().clone())
    };
    let theirs = async {
        let mut stream = acceptor.accept(theirs).await?;
        stream.read_u8().await?;
        stream.write_all(b"!").await
    };
    let (ours, _theirs): (std::io::Result<_>, std::io::Result<()>) = tokio::join!(ours, theirs);
    ours.map_err(|error| HandshakeError::find(&error).cloned().unwrap_or(HandshakeError::Failed(error.kind())))
}

#[tokio::test]
async fn the_upstream_is_verified_and_gets_our_certificate() {
    let bench = Bench::new();
    let tls = server(&bench, "app.internal");
    bench.write("client.pem", bench.client("proxy").both());
    // Not for us, and no reason not to start.
    bench.write("client.ocsp", "hello");
    let with = state(&upstream(&bench, Some("client.pem"))).unwrap();
    assert!(!connect(&with, &tls.acceptor()).await.unwrap().resumed());
    assert!(connect(&with, &tls.acceptor()).await.unwrap().resumed());
    let without = state(&upstream(&bench, None)).unwrap();
    assert!(connect(&without, &tls.acceptor()).await.is_err());
    assert_eq!((with.certificate().is_some(), without.certificate()), (true, None));
}

#[tokio::test]
async fn an_upstream_with_another_name_or_of_another_ca_is_refused() {
    let (bench, other) = (Bench::new(), Bench::new());
    let settings = upstream(&bench, None);
    let tls = server(&bench, "other.internal");
    let wrong_name = connect(&state(&settings).unwrap(), &tls.acceptor()).await.unwrap_err();
    assert!(matches!(wrong_name, HandshakeError::Refused(rustls::Error::InvalidCertificate(_))), "{wrong_name}");
    let tls = server(&other, "app.internal");
    let wrong_ca = connect(&state(&settings).unwrap(), &tls.acceptor()).await.unwrap_err();
    assert!(wrong_ca.to_string().contains("unknown issuer"), "{wrong_ca}");
}

#[tokio::test]
async fn both_versions_are_spoken() {
    let bench = Bench::new();
    let tls = server(&bench, "app.internal");
    let state = state(&upstream(&bench, None)).unwrap();
    for version in [&version::TLS12, &version::TLS13] {
        let config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&tls.acceptor().config().cert_resolver));
        let facts = connect(&state, &TlsAcceptor::from(Arc::new(config))).await.unwrap();
        assert_eq!(facts.protocol_version(), version.version);
    }
}

#[tokio::test]
async fn a_reload_takes_what_is_good_and_keeps_what_was() {
    let bench = Bench::new();
    let tls = server(&bench, "app.internal");
    bench.write("client.pem", bench.client("eve").both());
    let mut settings = upstream(&bench, Some("client.pem"));
    let state = state(&settings).unwrap();
    assert!(connect(&state, &tls.acceptor()).await.is_err());
    assert!(!state.files_changed());

    let proxy = bench.client("proxy");
    bench.write("client.pem", proxy.both());
    assert!(state.files_changed());
    let report = state.reload(&settings, now());
    assert_eq!(report.changed, [Change::CertificateReplaced(bench.path("client.pem"))]);
    assert!(connect(&state, &tls.acceptor()).await.is_ok());
    assert!(state.reload(&settings, now()).changed.is_empty());

    for (file, contents) in [("ca.pem", "hello"), ("client.pem", &proxy.cert)] {
        let good = std::fs::read(bench.path(file)).unwrap();
        let path = bench.write(file, contents);
        assert!(state.files_changed());
        let report = state.reload(&settings, now());
        assert!(report.changed.is_empty(), "{report:?}");
        assert!(matches!(&report.rejected[..], [error] if names(error, &path)), "{report:?}");
        assert!(connect(&state, &tls.acceptor()).await.is_ok());
        assert!(names(&self::state(&settings).unwrap_err(), &path));
        bench.write(file, good);
    }

    std::fs::copy(Bench::new().write_ca("ca.pem"), bench.path("ca.pem")).unwrap();
    assert_eq!(state.reload(&settings, now()).changed, [Change::TrustedCa]);
    assert!(connect(&state, &tls.acceptor()).await.is_err(), "also not by resumption");
    bench.write_ca("ca.pem");
    settings.name = ServerName::try_from("other.internal").unwrap();
    assert_eq!(state.reload(&settings, now()).changed, [Change::TrustedCa, Change::ServerName]);
    assert!(connect(&state, &tls.acceptor()).await.is_err());
}

#[test]
fn debug_shows_no_key() {
    let bench = Bench::new();
    server(&bench, "app.internal");
    bench.write("client.pem", bench.client("proxy").both());
    let state = state(&upstream(&bench, Some("client.pem"))).unwrap();
    assert_eq!(format!("{state:?}"), "UpstreamTlsState { name: DnsName(\"app.internal\"), .. }");
}
