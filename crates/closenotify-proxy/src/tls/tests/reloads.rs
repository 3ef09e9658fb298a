//! What is served after files or settings changed for better or worse.

use std::fs;
use std::time::{Duration, Instant};

use rcgen::{PKCS_ECDSA_P256_SHA256, date_time_ymd};

use super::bench::{Bench, Client, load, names, now, serials, year};
use crate::config::{CertificateSource, TlsVersion};
use crate::tls::{Change, State, TlsError};

#[test]
fn a_reload_of_what_is_the_same_changes_nothing_and_keeps_the_acceptor() {
    let bench = Bench::new();
    bench.write("a.pem", bench.issue(&["a.test"]).both());
    bench.write_ca("ca.pem");
    let mut settings = bench.settings(&["a.pem"]);
    settings.client_auth = Some(bench.client_auth(true, &["CN=ops"]));
    let tls = load(&settings).unwrap();
    let acceptor = tls.acceptor();
    // Another time of modification is no other certificate.
    bench.write("a.pem", fs::read(bench.path("a.pem")).unwrap());
    assert!(tls.files_changed());
    let report = tls.reload(&settings, now());
    assert!(report.changed.is_empty() && report.rejected.is_empty(), "{report:?}");
    assert!(std::sync::Arc::ptr_eq(&acceptor, &tls.acceptor()));
    assert!(!tls.files_changed());
}

#[test]
fn certificates_are_added_replaced_and_removed() {
    let bench = Bench::new();
    let (a, b, c) = (bench.issue(&["a.test"]), bench.issue(&["b.test"]), bench.issue(&["b.test"]));
    bench.write("certs/a.pem", a.both());
    let settings = bench.settings(&["certs"]);
    let tls = load(&settings).unwrap();
    let changed = |tls: &crate::tls::ListenerTls| {
        assert!(tls.files_changed());
        let report = tls.reload(&settings, now());
        assert!(report.rejected.is_empty(), "{report:?}");
        report.changed
    };

    let path = bench.write("certs/b.pem", b.both());
    assert_eq!(changed(&tls), [Change::CertificateAdded(path.clone())]);
    bench.write("certs/b.pem", c.both());
    assert_eq!(changed(&tls), [Change::CertificateReplaced(path.clone())]);
    assert_eq!(serials(&tls), [a.serial.clone(), c.serial]);
    fs::remove_file(&path).unwrap();
    assert_eq!(changed(&tls), [Change::CertificateRemoved(path)]);
    assert_eq!(serials(&tls), [a.serial]);
}

#[test]
fn what_is_broken_stays_as_it_was_while_the_rest_is_replaced() {
    let bench = Bench::new();
    let (a, a2, b, b2) =
        (bench.issue(&["a.test"]), bench.issue(&["a.test"]), bench.issue(&["b.test"]), bench.issue(&["b.test"]));
    let expired = bench.issue_with(&PKCS_ECDSA_P256_SHA256, &["a.test"], |params| {
        params.not_after = date_time_ymd(2029, 1, 1);
    });
    let settings = bench.settings(&["certs"]);
    let a_pem = bench.path("certs/a.pem");
    let broken: [(&str, String); 6] = [
        ("empty", String::new()),
        ("truncated", a2.both()[..a2.both().len() - 60].into()),
        ("the key is not written yet", a2.cert.clone()),
        ("the key of another", format!("{}{}", a2.cert, b.key)),
        ("expired", expired.both()),
        ("not PEM", "hello".into()),
    ];
    for (what, contents) in broken {
        bench.write("certs/a.pem", a.both());
        bench.write("certs/b.pem", b.both());
        let tls = load(&settings).unwrap();
        bench.write("certs/a.pem", contents);
        bench.write("certs/b.pem", b2.both());
        let report = tls.reload(&settings, now());
        assert!(matches!(&report.rejected[..], [error] if names(error, &a_pem)), "{what}: {report:?}");
        assert_eq!(report.changed, [Change::CertificateReplaced(bench.path("certs/b.pem"))], "{what}");
        assert_eq!(serials(&tls), [a.serial.clone(), b2.serial.clone()], "{what}");
        assert!(!tls.files_changed(), "{what}: it is reported once");

        bench.write("certs/a.pem", a2.both());
        assert!(tls.files_changed(), "{what}");
        let report = tls.reload(&settings, now());
        assert!(report.rejected.is_empty(), "{what}: {report:?}");
        assert_eq!(serials(&tls), [a2.serial.clone(), b2.serial.clone()], "{what}");
    }
}

#[test]
fn a_pair_of_which_one_file_is_replaced_first_is_taken_when_both_are() {
    let bench = Bench::new();
    let (old, new) = (bench.issue(&["a.test"]), bench.issue(&["a.test"]));
    bench.write("certs/tls.crt", &old.cert);
    bench.write("certs/tls.key", &old.key);
    let settings = bench.settings(&["certs"]);
    let tls = load(&settings).unwrap();
    bench.write("certs/tls.crt", &new.cert);
    let report = tls.reload(&settings, now());
    assert!(matches!(&report.rejected[..], [TlsError::Mismatch { .. }]), "{report:?}");
    fs::remove_file(bench.path("certs/tls.key")).unwrap();
    let report = tls.reload(&settings, now());
    assert!(matches!(&report.rejected[..], [TlsError::Unreadable { .. }]), "{report:?}");
    assert_eq!(serials(&tls), [old.serial]);
    bench.write("certs/tls.key", &new.key);
    assert!(tls.files_changed());
    assert!(tls.reload(&settings, now()).rejected.is_empty());
    assert_eq!(serials(&tls), [new.serial]);
}

#[test]
fn what_is_gone_as_a_whole_stays_served() {
    let bench = Bench::new();
    let (a, b, c) = (bench.issue(&["a.test"]), bench.issue(&["b.test"]), bench.issue(&["c.test"]));
    bench.write("certs/a.pem", a.both());
    bench.write("certs/below/b.pem", b.both());
    bench.write("c.pem", c.both());
    let settings = bench.settings(&["certs", "c.pem"]);
    let tls = load(&settings).unwrap();
    let all = [a.serial, b.serial, c.serial];
    let changes: [(&str, &dyn Fn()); 3] = [
        ("the file", &|| fs::rename(bench.path("c.pem"), bench.path("c")).unwrap()),
        ("the directory", &|| fs::rename(bench.path("certs"), bench.path("gone")).unwrap()),
        ("everything in the directory", &|| fs::create_dir(bench.path("certs")).unwrap()),
    ];
    for (what, change) in changes {
        change();
        assert!(tls.files_changed(), "{what}");
        let report = tls.reload(&settings, now());
        assert!(report.changed.is_empty() && !report.rejected.is_empty(), "{what}: {report:?}");
        assert_eq!(serials(&tls), all, "{what}");
    }
}

#[test]
fn settings_whose_first_certificate_is_bad_change_no_certificate() {
    let bench = Bench::new();
    let (a, b) = (bench.issue(&["a.test"]), bench.issue(&["b.test"]));
    bench.write("a.pem", a.both());
    bench.write("b.pem", b.both());
    let tls = load(&bench.settings(&["a.pem"])).unwrap();
    let report = tls.reload(&bench.settings(&["gone.pem", "b.pem"]), now());
    assert!(report.changed.is_empty() && report.rejected.len() == 1, "{report:?}");
    assert_eq!(serials(&tls), std::slice::from_ref(&a.serial));

    let report = tls.reload(&bench.settings(&["b.pem", "gone.pem", "a.pem"]), now());
    assert_eq!(report.rejected.len(), 1);
    assert_eq!(report.changed, [Change::CertificateAdded(bench.path("b.pem"))]);
    assert_eq!(serials(&tls), [b.serial.clone(), a.serial.clone()]);
    let report = tls.reload(&bench.settings(&["a.pem", "b.pem"]), now());
    assert_eq!(report.changed, [Change::CertificateOrder(bench.path("a.pem"))]);
    assert_eq!(serials(&tls), [a.serial, b.serial]);
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_tried_again_though_its_file_is_the_same() {
    let bench = Bench::new();
    let old = bench.issue(&["a.test"]);
    let new = bench.issue_with(&PKCS_ECDSA_P256_SHA256, &["a.test"], |params| {
        params.not_before = date_time_ymd(2031, 1, 1);
    });
    bench.write("a.pem", old.both());
    let settings = bench.settings(&["a.pem"]);
    let tls = load(&settings).unwrap();
    bench.write("a.pem", new.both());
    let report = tls.reload(&settings, now());
    assert!(matches!(&report.rejected[..], [TlsError::NotYetValid { .. }]), "{report:?}");
    assert!(!tls.files_changed());
    assert!(State::files_changed(&tls.state, Instant::now() + Duration::from_secs(60)));
    assert!(tls.reload(&settings, year(2031)).rejected.is_empty());
    assert_eq!(serials(&tls), [new.serial]);
    assert!(!State::files_changed(&tls.state, Instant::now() + Duration::from_secs(60)));
}

#[test]
fn a_file_that_is_gone_is_reported_once() {
    let bench = Bench::new();
    bench.write("a.pem", bench.issue(&["a.test"]).both());
    let settings = bench.settings(&["a.pem"]);
    let tls = load(&settings).unwrap();
    fs::remove_file(bench.path("a.pem")).unwrap();
    assert_eq!(tls.reload(&settings, now()).rejected.len(), 1);
    assert!(!State::files_changed(&tls.state, Instant::now() + Duration::from_secs(60)));
}

/// docs/cases.md D01
#[tokio::test]
async fn the_next_handshake_gets_the_new_certificate() {
    let bench = Bench::new();
    let (old, new) = (bench.issue(&["a.test"]), bench.issue(&["a.test"]));
    bench.write("a.crt", &old.cert);
    bench.write("a.key", &old.key);
    let mut settings = bench.settings(&[]);
    settings.certificates = CertificateSource::Pair { cert: bench.path("a.crt"), key: bench.path("a.key") };
    let tls = load(&settings).unwrap();
    assert_eq!(Client::new(TlsVersion::V13).meet(&tls, "a.test").await.serial, old.serial);
    bench.write("a.crt", &new.cert);
    bench.write("a.key", &new.key);
    assert!(tls.reload(&settings, now()).rejected.is_empty());
    assert_eq!(Client::new(TlsVersion::V13).meet(&tls, "a.test").await.serial, new.serial);
}

#[test]
fn a_certificate_in_memory_is_kept_while_it_is_valid() {
    let mut settings = Bench::new().settings(&[]);
    settings.certificates = CertificateSource::SelfSigned;
    let tls = load(&settings).unwrap();
    let first = serials(&tls);
    assert!(tls.reload(&settings, now()).changed.is_empty());
    assert_eq!(serials(&tls), first);
    assert!(!tls.reload(&settings, year(2031)).changed.is_empty());
    assert_ne!(serials(&tls), first);
}
