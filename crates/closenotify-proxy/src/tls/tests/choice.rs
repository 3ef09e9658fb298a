//! Which certificate a client gets.

use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, date_time_ymd};
use rustls::{CipherSuite, SignatureScheme};

use super::bench::{Bench, Client, EACH, load, serials};
use crate::config::{CertificateSource, TlsVersion};

/// docs/cases.md D13
#[tokio::test]
async fn the_name_that_the_client_asks_for_chooses_exactly_then_by_wildcard_then_by_default() {
    let bench = Bench::new();
    let default = bench.issue(&["default.test"]);
    let wildcard = bench.issue(&["*.w.test", "W.test"]);
    let exact = bench.issue(&["x.w.test"]);
    bench.write("default.pem", default.both());
    bench.write("certs/a.pem", wildcard.both());
    bench.write("certs/b.pem", exact.both());
    let tls = load(&bench.settings(&["default.pem", "certs"])).unwrap();
    for (name, expected) in [
        ("default.test", &default),
        ("x.w.test", &exact),
        ("X.W.TEST", &exact),
        ("y.w.test", &wildcard),
        ("w.test", &wildcard),
        ("x.y.w.test", &default),
        ("other.test", &default),
        ("192.0.2.1", &default),
    ] {
        for version in EACH {
            let met = Client::new(version).meet(&tls, name).await;
            assert!(met.client.is_ok() && met.server.is_ok());
            assert_eq!(met.serial, expected.serial, "{name}");
        }
    }
}

#[tokio::test]
async fn a_client_gets_ecdsa_if_it_can_verify_it_and_rsa_otherwise() {
    let bench = Bench::new();
    let rsa = bench.issue_with(&PKCS_RSA_SHA256, &["a.test"], |_| {});
    let ecdsa = bench.issue_with(&PKCS_ECDSA_P256_SHA256, &["a.test"], |_| {});
    bench.write("certs/1.pem", rsa.both());
    bench.write("certs/2.pem", ecdsa.both());
    let tls = load(&bench.settings(&["certs"])).unwrap();
    let only_rsa = [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
    for version in EACH {
        // Under both names: the default is chosen in the same way.
        for name in ["a.test", "other.test"] {
            assert_eq!(Client::new(version).meet(&tls, name).await.serial, ecdsa.serial, "{version:?} {name}");
            let met = Client::verifying(version, &only_rsa).meet(&tls, name).await;
            assert_eq!(met.serial, rsa.serial, "{version:?} {name}");
        }
        let met = Client::verifying(version, &[SignatureScheme::ED25519]).meet(&tls, "a.test").await;
        assert_eq!(
            met.client.unwrap_err().as_deref(),
            Some(if version == TlsVersion::V12 { "internal_error" } else { "handshake_failure" })
        );
    }
    // It can verify ECDSA, but names no cipher suite for it.
    let suites = |suite| matches!(suite, CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256);
    assert_eq!(Client::with_suites(TlsVersion::V12, suites).meet(&tls, "a.test").await.serial, rsa.serial);
}

#[tokio::test]
async fn of_two_of_one_kind_the_one_that_expires_last_is_served() {
    let bench = Bench::new();
    let old = bench.issue_with(&PKCS_ECDSA_P256_SHA256, &["a.test"], |params| {
        params.not_after = date_time_ymd(2031, 1, 1);
    });
    let new = bench.issue(&["a.test"]);
    bench.write("certs/1.pem", old.both());
    bench.write("certs/2.pem", new.both());
    let tls = load(&bench.settings(&["certs"])).unwrap();
    assert_eq!(serials(&tls), [old.serial, new.serial.clone()]);
    assert_eq!(Client::new(TlsVersion::V13).meet(&tls, "a.test").await.serial, new.serial);
}

#[tokio::test]
async fn a_certificate_without_dns_names_is_served_by_default_only() {
    let bench = Bench::new();
    let nameless = bench.issue(&["192.0.2.1"]);
    let other = bench.issue(&["a.test"]);
    bench.write("1.pem", nameless.both());
    bench.write("2.pem", other.both());
    let tls = load(&bench.settings(&["1.pem", "2.pem"])).unwrap();
    assert_eq!(Client::new(TlsVersion::V13).meet(&tls, "192.0.2.1").await.serial, nameless.serial);
    assert_eq!(Client::new(TlsVersion::V13).meet(&tls, "a.test").await.serial, other.serial);
    assert!(tls.certificates()[0].names.is_empty());
}

#[tokio::test]
async fn the_certificate_in_memory_is_served_in_both_versions() {
    let mut settings = Bench::new().settings(&[]);
    settings.certificates = CertificateSource::SelfSigned;
    let tls = load(&settings).unwrap();
    for version in EACH {
        for name in ["localhost", "127.0.0.1", "::1"] {
            let met = Client::new(version).meet(&tls, name).await;
            assert!(met.client.is_ok() && met.server.is_ok());
        }
    }
    assert_eq!(tls.certificates()[0].names, ["localhost"]);
}

#[tokio::test]
async fn a_listener_without_certificates_refuses_with_an_alert() {
    let tls = load(&Bench::new().settings(&[])).unwrap();
    let met = Client::new(TlsVersion::V13).meet(&tls, "a.test").await;
    assert!(met.client.unwrap_err().is_some());
}
