//! Versions, ALPN, and what is shown of a listener.

use closenotify::HandshakeError;

use super::bench::{Bench, Client, load, now};
use crate::config::TlsVersion;
use crate::tls::{Change, ListenerTls, TlsError, UpstreamTlsState};

#[tokio::test]
async fn the_first_common_protocol_is_chosen_and_a_client_without_one_is_refused() {
    let bench = Bench::new();
    bench.write("a.pem", bench.issue(&["a.test"]).both());
    let mut settings = bench.settings(&["a.pem"]);
    let tls = load(&settings).unwrap();
    let met = Client::new(TlsVersion::V13).alpn("h2").meet(&tls, "a.test").await;
    assert_eq!(met.server.unwrap().alpn_protocol(), None);

    settings.alpn = vec!["h2".into(), "http/1.1".into()];
    assert_eq!(tls.reload(&settings, now()).changed, [Change::Alpn]);
    let met = Client::new(TlsVersion::V13).alpn("http/1.1").meet(&tls, "a.test").await;
    assert_eq!(met.server.unwrap().alpn_protocol(), Some(b"http/1.1".as_slice()));
    let met = Client::new(TlsVersion::V13).alpn("mqtt").meet(&tls, "a.test").await;
    assert_eq!(met.client.unwrap_err().as_deref(), Some("no_application_protocol"));
    assert!(matches!(met.server.unwrap_err(), HandshakeError::Refused(rustls::Error::NoApplicationProtocol)));
    assert!(Client::new(TlsVersion::V13).meet(&tls, "a.test").await.server.is_ok());
}

#[tokio::test]
async fn an_older_version_than_the_oldest_accepted_is_refused() {
    let bench = Bench::new();
    bench.write("a.pem", bench.issue(&["a.test"]).both());
    let mut settings = bench.settings(&["a.pem"]);
    let tls = load(&settings).unwrap();
    assert!(Client::new(TlsVersion::V12).meet(&tls, "a.test").await.server.is_ok());
    settings.min_tls = TlsVersion::V13;
    assert_eq!(tls.reload(&settings, now()).changed, [Change::MinTls]);
    let met = Client::new(TlsVersion::V12).meet(&tls, "a.test").await;
    assert_eq!(met.client.unwrap_err().as_deref(), Some("protocol_version"));
    assert!(Client::new(TlsVersion::V13).meet(&tls, "a.test").await.server.is_ok());
}

#[test]
fn a_protocol_that_cannot_be_offered_is_an_error_at_the_start_and_rejected_later() {
    let bench = Bench::new();
    bench.write("a.pem", bench.issue(&["a.test"]).both());
    let mut settings = bench.settings(&["a.pem"]);
    let tls = load(&settings).unwrap();
    for bad in [String::new(), "x".repeat(256)] {
        settings.alpn = vec!["h2".into(), bad];
        assert!(matches!(load(&settings), Err(TlsError::Alpn { .. })));
        let report = tls.reload(&settings, now());
        assert!(report.changed.is_empty() && report.rejected.len() == 1, "{report:?}");
    }
}

#[test]
fn workers_can_share_it() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<ListenerTls>();
    shared::<UpstreamTlsState>();
}

#[test]
fn debug_shows_no_key() {
    let bench = Bench::new();
    bench.write("a.pem", bench.issue(&["a.test"]).both());
    let tls = load(&bench.settings(&["a.pem"])).unwrap();
    assert_eq!(format!("{tls:?}"), "ListenerTls { certificates: 1, .. }");
}
