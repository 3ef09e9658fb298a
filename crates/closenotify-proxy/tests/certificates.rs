//! Every reason why a certificate and its key are rejected, and every form of key that is not.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use closenotify_proxy::config::{CertificateSource, TlsSettings, TlsVersion};
use closenotify_proxy::tls::{ListenerTls, TlsError};
use rcgen::{CertificateParams, IsCa, KeyPair, date_time_ymd};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A directory of files, and a pair made by rcgen in it.
struct Bench {
    dir: TempDir,
    cert_pem: String,
    key_pem: String,
}

impl Bench {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::ExplicitNoCa;
        params.not_before = date_time_ymd(2024, 3, 1);
        params.not_after = date_time_ymd(2034, 3, 1);
        let cert = params.self_signed(&key).unwrap();
        Self { dir: TempDir::new().unwrap(), cert_pem: cert.pem(), key_pem: key.serialize_pem() }
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, contents).unwrap();
        path
    }

    /// Loads the two contents as of 2030 and gives the error with its text, which must name `at_fault`.
    fn refused(&self, cert: impl AsRef<[u8]>, key: impl AsRef<[u8]>, at_fault: &str) -> (TlsError, String) {
        self.refused_at(year(2030), cert, key, at_fault)
    }

    fn refused_at(
        &self,
        now: SystemTime,
        cert: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
        at_fault: &str,
    ) -> (TlsError, String) {
        let (cert, key) = (self.file("the.crt", cert), self.file("the.key", key));
        let error = load(&cert, &key, now).unwrap_err();
        let text = error.to_string();
        let path = self.dir.path().join(at_fault);
        assert!(text.contains(path.to_str().unwrap()), "{text:?} does not name {path:?}");
        (error, text)
    }
}

/// The pair as of `now`, served without client certificates and ALPN.
fn load(cert: &Path, key: &Path, now: SystemTime) -> Result<ListenerTls, TlsError> {
    let settings = TlsSettings {
        certificates: CertificateSource::Pair { cert: cert.into(), key: key.into() },
        alpn: Vec::new(),
        min_tls: TlsVersion::V12,
        client_auth: None,
        ticket_keys: None,
    };
    ListenerTls::load(&settings, Duration::from_secs(10), now)
}

fn year(year: i32) -> SystemTime {
    date_time_ymd(year, 1, 1).into()
}

fn openssl(args: &[&str]) -> Vec<u8> {
    let out = Command::new("openssl").args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().unwrap();
    assert!(out.status.success(), "openssl {args:?}");
    out.stdout
}

#[test]
fn matching_pair_is_served_without_alpn_and_with_tickets() {
    let bench = Bench::new();
    let (cert, key) = (bench.file("c", &bench.cert_pem), bench.file("k", &bench.key_pem));
    let tls = load(&cert, &key, year(2030)).unwrap();
    let acceptor = tls.acceptor();
    let config = acceptor.config();
    assert!(config.alpn_protocols.is_empty());
    assert!(config.ticketer.enabled());
}

#[test]
fn one_file_may_hold_both() {
    let bench = Bench::new();
    let both = bench.file("both.pem", format!("{}{}", bench.key_pem, bench.cert_pem));
    load(&both, &both, year(2030)).unwrap();
}

#[test]
fn every_unencrypted_key_form_is_taken() {
    let bench = Bench::new();
    let path = |name: &str| bench.dir.path().join(name).to_str().unwrap().to_owned();
    let (p8, other, crt) = (path("p8.pem"), path("other.pem"), path("crt.pem"));
    let forms: [(&[&str], &[&str], &str); 3] = [
        (
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            &["ec", "-in", &p8, "-out", &other],
            "-----BEGIN EC PRIVATE KEY-----",
        ),
        (
            &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            &["rsa", "-traditional", "-in", &p8, "-out", &other],
            "-----BEGIN RSA PRIVATE KEY-----",
        ),
        (&["-algorithm", "ED25519"], &["pkey", "-in", &p8, "-out", &other], "-----BEGIN PRIVATE KEY-----"),
    ];
    for (make, convert, label) in forms {
        openssl(&[&["genpkey", "-out", &p8], make].concat());
        openssl(convert);
        openssl(&["req", "-x509", "-new", "-key", &p8, "-subj", "/CN=localhost", "-days", "2", "-out", &crt]);
        assert!(fs::read_to_string(&p8).unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));
        assert!(fs::read_to_string(&other).unwrap().contains(label));
        for key in [&p8, &other] {
            // A certificate made this second is valid from this second on.
            let now = SystemTime::now() + Duration::from_secs(5);
            load(crt.as_ref(), key.as_ref(), now).unwrap();
        }
    }
}

#[test]
fn missing_file_is_named_with_the_system_error() {
    let bench = Bench::new();
    let there = bench.file("there", &bench.cert_pem);
    let gone = bench.dir.path().join("gone.pem");
    for (cert, key, role) in [(&gone, &there, "certificate file"), (&there, &gone, "key file")] {
        let error = load(cert, key, year(2030)).unwrap_err();
        assert!(matches!(error, TlsError::Unreadable { .. }));
        let text = error.to_string();
        assert!(text.contains("gone.pem") && text.contains(role) && text.contains("No such file"), "{text}");
    }
}

#[test]
fn swapped_files_are_seen() {
    let bench = Bench::new();
    let (error, text) = bench.refused(&bench.key_pem, &bench.cert_pem, "the.crt");
    assert!(matches!(error, TlsError::NoCertificate { holds_key: true, .. }));
    assert!(text.contains("swapped"), "{text}");
    let (error, text) = bench.refused(&bench.cert_pem, &bench.cert_pem, "the.key");
    assert!(matches!(error, TlsError::NoKey { holds_certificate: true, .. }));
    assert!(text.contains("swapped"), "{text}");
}

#[test]
fn files_without_what_is_sought_say_so() {
    let bench = Bench::new();
    for empty in ["", "hello\n"] {
        let (error, text) = bench.refused(empty, &bench.key_pem, "the.crt");
        assert!(matches!(error, TlsError::NoCertificate { holds_key: false, .. }));
        assert!(text.contains("BEGIN CERTIFICATE"), "{text}");
        let (error, text) = bench.refused(&bench.cert_pem, empty, "the.key");
        assert!(matches!(error, TlsError::NoKey { holds_certificate: false, .. }));
        assert!(text.contains("BEGIN PRIVATE KEY"), "{text}");
    }
}

#[test]
fn der_is_told_from_pem() {
    let bench = Bench::new();
    let cert = bench.file("cert.pem", &bench.cert_pem);
    let der = openssl(&["x509", "-in", cert.to_str().unwrap(), "-outform", "DER"]);
    let (_, text) = bench.refused(&der, &bench.key_pem, "the.crt");
    assert!(text.contains("openssl x509 -inform DER"), "{text}");
    let (_, text) = bench.refused(&bench.cert_pem, &der, "the.key");
    assert!(text.contains("openssl pkey -inform DER"), "{text}");
}

#[test]
fn encrypted_keys_are_refused_with_the_way_out() {
    let bench = Bench::new();
    let plain = bench.file("plain.pem", &bench.key_pem);
    let plain = plain.to_str().unwrap();
    let pkcs8 = openssl(&["pkcs8", "-topk8", "-in", plain, "-passout", "pass:x"]);
    let sec1 = openssl(&["ec", "-in", plain, "-aes128", "-passout", "pass:x"]);
    for key in [pkcs8, sec1] {
        let (error, text) = bench.refused(&bench.cert_pem, key, "the.key");
        assert!(matches!(error, TlsError::EncryptedKey { .. }), "{error:?}");
        assert!(text.contains("openssl pkey -in"), "{text}");
    }
}

#[test]
fn malformed_pem_is_refused_without_showing_key_material() {
    let bench = Bench::new();
    let cut = |pem: &str| pem.lines().take(2).collect::<Vec<_>>().join("\n");
    let (error, text) = bench.refused(cut(&bench.cert_pem), &bench.key_pem, "the.crt");
    assert!(matches!(error, TlsError::MalformedPem { .. }), "{error:?}");
    assert!(text.contains("END CERTIFICATE"), "{text}");
    let spoilt = bench.key_pem.replacen("\nM", "\n!M", 1);
    assert_ne!(spoilt, bench.key_pem);
    let (error, text) = bench.refused(&bench.cert_pem, &spoilt, "the.key");
    assert!(matches!(error, TlsError::MalformedPem { .. }), "{error:?}");
    assert!(text.contains("base64"), "{text}");
    for line in bench.key_pem.lines().filter(|line| !line.starts_with('-')) {
        assert!(!text.contains(line));
    }
}

#[test]
fn key_of_another_certificate_is_refused_naming_both_files() {
    let bench = Bench::new();
    let other = Bench::new();
    let (error, _) = bench.refused(&bench.cert_pem, &other.key_pem, "the.key");
    assert!(matches!(error, TlsError::Mismatch { .. }));
    assert!(error.to_string().contains("the.crt"));
}

#[test]
fn unusable_key_is_refused() {
    let bench = Bench::new();
    let (error, text) =
        bench.refused(&bench.cert_pem, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "the.key");
    assert!(matches!(error, TlsError::KeyUnusable { .. }));
    // rustls says so of whatever a provider says, such as that a key is too small.
    assert!(!text.contains("unexpected error"), "{text}");
}

#[test]
fn unparsable_certificate_is_refused_with_its_position() {
    let bench = Bench::new();
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let (error, _) = bench.refused(bad, &bench.key_pem, "the.crt");
    assert!(matches!(error, TlsError::CertificateUnparsable { position: 1, .. }));
    let (error, text) = bench.refused(format!("{}{bad}", bench.cert_pem), &bench.key_pem, "the.crt");
    assert!(matches!(error, TlsError::CertificateUnparsable { position: 2, .. }));
    assert!(text.contains("certificate 2 in"), "{text}");
}

#[test]
fn validity_is_checked_to_the_second_and_dated_in_utc() {
    let bench = Bench::new();
    let (from, to): (SystemTime, SystemTime) = (date_time_ymd(2024, 3, 1).into(), date_time_ymd(2034, 3, 1).into());
    let second = Duration::from_secs(1);
    let (error, text) = bench.refused_at(to + second, &bench.cert_pem, &bench.key_pem, "the.crt");
    assert!(matches!(error, TlsError::Expired { .. }));
    assert!(text.contains("expired on 2034-03-01 00:00:00 UTC"), "{text}");
    let (error, text) = bench.refused_at(from - second, &bench.cert_pem, &bench.key_pem, "the.crt");
    assert!(matches!(error, TlsError::NotYetValid { .. }));
    assert!(text.contains("not valid before 2024-03-01 00:00:00 UTC"), "{text}");
    let (cert, key) = (bench.file("c", &bench.cert_pem), bench.file("k", &bench.key_pem));
    for now in [from, from + DAY, to] {
        load(&cert, &key, now).unwrap();
    }
}

#[test]
fn a_chain_that_no_client_accepts_is_refused() {
    let bench = Bench::new();
    let (_, text) = bench.refused(bench.cert_pem.repeat(300), &bench.key_pem, "the.crt");
    assert!(text.contains("not a bundle of CA certificates"), "{text}");
}
