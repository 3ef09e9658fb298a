//! Which clients are let in.

use closenotify::HandshakeError;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256, SanType, date_time_ymd,
};
use rustls::Error;

use super::bench::{Bench, Client, EACH, Met, load, names, now, year};
use crate::config::{TlsSettings, TlsVersion};
use crate::tls::{Change, ClientNotAllowed, ListenerTls, TlsError};

/// A listener with a CA, and the settings to load it with.
fn bench(required: bool, allow: &[&str]) -> (Bench, TlsSettings) {
    let bench = Bench::new();
    bench.write("a.pem", bench.issue(&["a.test"]).both());
    bench.write_ca("ca.pem");
    let mut settings = bench.settings(&["a.pem"]);
    settings.client_auth = Some(bench.client_auth(required, allow));
    (bench, settings)
}

fn refused(met: Met, alert: &str) -> HandshakeError {
    assert_eq!(met.client.unwrap_err().as_deref(), Some(alert));
    met.server.unwrap_err()
}

#[tokio::test]
async fn a_client_that_a_rule_lets_in_is_let_in_and_known() {
    let (bench, settings) = bench(true, &["CN=ops", "spiffe://mesh/*"]);
    let tls = load(&settings).unwrap();
    let spiffe = bench.issue_with(&PKCS_ECDSA_P256_SHA256, &[], |params| {
        params.subject_alt_names = vec![SanType::URI("spiffe://mesh/web".try_into().unwrap())];
    });
    for version in EACH {
        for (issued, identity) in [(&bench.client("ops"), "CN=ops"), (&spiffe, "URI:spiffe://mesh/web")] {
            let met = Client::showing(version, issued).meet(&tls, "a.test").await;
            assert!(met.client.is_ok());
            let facts = met.server.unwrap();
            let known = ListenerTls::client_identity(facts.peer_certificates().unwrap()).unwrap();
            assert_eq!(known.to_string(), identity);
        }
    }
}

#[tokio::test]
async fn a_client_that_no_rule_lets_in_gets_an_alert_and_the_error_says_who_and_why() {
    let (bench, settings) = bench(true, &["CN=ops", "*.example.com"]);
    let tls = load(&settings).unwrap();
    let eve = bench.issue_with(&PKCS_ECDSA_P256_SHA256, &["eve.test"], |params| {
        params.distinguished_name.push(DnType::CommonName, "eve");
    });
    for version in EACH {
        let met = Client::showing(version, &eve).meet(&tls, "a.test").await;
        let error = refused(met, "certificate_unknown");
        let text = error.to_string();
        let why = "no rule of client_auth.allow lets in CN=eve, DNS:eve.test; the rules are CN=ops, DNS:*.example.com";
        assert!(text.ends_with(why), "{text}");
        let not_allowed = ClientNotAllowed::find(&error).unwrap();
        assert_eq!(not_allowed.identity.common_name.as_deref(), Some("eve"));
    }
}

#[tokio::test]
async fn without_rules_every_certificate_of_the_ca_is_let_in_and_no_other() {
    let (bench, settings) = bench(true, &[]);
    let tls = load(&settings).unwrap();
    let expired = bench.issue_with(&PKCS_ECDSA_P256_SHA256, &["b.test"], |params| {
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    for version in EACH {
        assert!(Client::showing(version, &bench.client("eve")).meet(&tls, "a.test").await.server.is_ok());
        let met = Client::showing(version, &Bench::new().client("ops")).meet(&tls, "a.test").await;
        refused(met, "unknown_ca");
        let met = Client::showing(version, &expired).meet(&tls, "a.test").await;
        refused(met, "certificate_expired");
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_let_in_only_where_it_is_optional() {
    for required in [true, false] {
        let (bench, settings) = bench(required, &["CN=ops"]);
        let tls = load(&settings).unwrap();
        for version in EACH {
            let met = Client::new(version).meet(&tls, "a.test").await;
            match required {
                true => {
                    let alert = match version {
                        TlsVersion::V12 => "handshake_failure",
                        TlsVersion::V13 => "certificate_required",
                    };
                    refused(met, alert);
                }
                false => assert!(met.server.unwrap().peer_certificates().is_none()),
            }
            let met = Client::showing(version, &bench.client("eve")).meet(&tls, "a.test").await;
            refused(met, "certificate_unknown");
        }
    }
}

/// docs/cases.md D01
#[tokio::test]
async fn a_new_bundle_of_ca_certificates_is_read_and_a_bad_one_is_not() {
    let (bench, settings) = bench(true, &[]);
    let other = Bench::new();
    let tls = load(&settings).unwrap();
    let (ours, theirs) = (bench.client("ops"), other.client("ops"));
    let meet = async |issued| Client::showing(TlsVersion::V13, issued).meet(&tls, "a.test").await.server.is_ok();
    assert_eq!((meet(&ours).await, meet(&theirs).await), (true, false));

    for bad in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &ours.key] {
        let path = bench.write("ca.pem", bad);
        assert!(tls.files_changed());
        let report = tls.reload(&settings, now());
        assert!(report.changed.is_empty(), "{report:?}");
        assert!(matches!(&report.rejected[..], [error] if names(error, &path)), "{report:?}");
        assert_eq!((meet(&ours).await, meet(&theirs).await), (true, false));
        assert!(names(&load(&settings).unwrap_err(), &path));
    }
    std::fs::copy(other.write_ca("ca.pem"), bench.path("ca.pem")).unwrap();
    assert!(tls.files_changed());
    assert_eq!(tls.reload(&settings, now()).changed, [Change::ClientAuth]);
    assert_eq!((meet(&ours).await, meet(&theirs).await), (false, true));
}

/// More names than a handshake message has room for.
#[tokio::test]
async fn a_bundle_of_many_ca_certificates_is_no_burden_to_handshakes() {
    let (bench, settings) = bench(true, &[]);
    let key = KeyPair::generate().unwrap();
    let mut bundle = std::fs::read_to_string(bench.path("ca.pem")).unwrap();
    for n in 0..400 {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("{n}{}", "x".repeat(200)));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        bundle += &params.self_signed(&key).unwrap().pem();
    }
    bench.write("ca.pem", bundle);
    let tls = load(&settings).unwrap();
    for version in EACH {
        assert!(Client::showing(version, &bench.client("ops")).meet(&tls, "a.test").await.server.is_ok());
        assert!(Client::new(version).meet(&tls, "a.test").await.server.is_err());
    }
}

#[test]
fn a_rule_that_cannot_be_read_fails_the_start_and_leaves_the_rules() {
    let (bench, mut settings) = bench(true, &["CN=ops"]);
    let tls = load(&settings).unwrap();
    settings.client_auth = Some(bench.client_auth(true, &["CN=ops", "O=ops"]));
    assert!(matches!(load(&settings), Err(TlsError::Rule { rule, .. }) if rule == "O=ops"));
    let report = tls.reload(&settings, now());
    assert!(report.changed.is_empty() && report.rejected.len() == 1, "{report:?}");
}

#[tokio::test]
async fn the_client_of_a_resumed_session_is_looked_at_again() {
    let (bench, settings) = bench(true, &["CN=ops"]);
    let tls = load(&settings).unwrap();
    let met = Client::showing(TlsVersion::V13, &bench.client("ops")).meet(&tls, "a.test").await;
    let facts = met.server.unwrap();
    let chain = facts.peer_certificates().unwrap();
    assert_eq!(tls.readmit(chain, now()).map_err(|error| error.to_string()), Ok(()));
    let expired = tls.readmit(chain, year(2090)).unwrap_err();
    assert!(matches!(expired, HandshakeError::Refused(Error::InvalidCertificate(_))), "{expired}");
    let none = tls.readmit(&[], now()).unwrap_err();
    assert!(matches!(none, HandshakeError::Refused(Error::NoCertificatesPresented)), "{none}");
}
