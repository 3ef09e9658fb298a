//! Which files of a directory are certificates.

use std::fs;
use std::os::unix::fs::symlink;

use super::bench::{Bench, load, names, now, serials};
use crate::tls::TlsError;

#[test]
fn every_usual_layout_is_found_in_the_order_of_names_and_the_rest_is_skipped() {
    let bench = Bench::new();
    let issued: Vec<_> = (0..5).map(|n| bench.issue(&[&format!("{n}.test")])).collect();
    let [pem, crt, beside, certbot, linked] = &issued[..] else { unreachable!() };
    bench.write("certs/a.pem", pem.both());
    bench.write("certs/tls.crt", &crt.cert);
    bench.write("certs/tls.key", &crt.key);
    bench.write("certs/z.pem", &beside.cert);
    bench.write("certs/z.key", &beside.key);
    bench.write("certs/live/fullchain.pem", &certbot.cert);
    bench.write("certs/live/privkey.pem", &certbot.key);
    bench.write("certs/live/cert.pem", &certbot.cert);
    bench.write("certs/live/chain.pem", bench.issue(&[]).cert);
    bench.write("archive/1.pem", linked.both());
    fs::create_dir(bench.path("certs/more")).unwrap();
    symlink("../../archive/1.pem", bench.path("certs/more/1.pem")).unwrap();
    // Not for us.
    bench.write_ca("certs/ca.crt");
    bench.write("certs/README", "hello");
    bench.write("certs/dhparams.pem", "-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n");
    bench.write("certs/old.pem.bak", "nothing");
    bench.write("certs/.hidden.pem", "-----BEGIN CERTIFICATE-----\n");
    bench.write("certs/.hidden/a.pem", "-----BEGIN CERTIFICATE-----\n");
    bench.write("certs/live/deeper/a.pem", "-----BEGIN CERTIFICATE-----\n");
    let tls = load(&bench.settings(&["certs"])).unwrap();
    assert_eq!(serials(&tls), [pem, crt, beside, certbot, linked].map(|issued| issued.serial.clone()));
    let facts = &tls.certificates()[1];
    assert_eq!((&facts.path, &facts.names[..]), (&bench.path("certs/tls.crt"), &["1.test".to_owned()][..]));
    assert_eq!(facts.not_after, super::bench::year(2089));
}

/// As Kubernetes mounts a secret: each name is a link through `..data`, and only that is replaced.
///
/// docs/cases.md D01
#[test]
fn a_mounted_secret_that_is_swapped_is_seen_and_reloaded() {
    let bench = Bench::new();
    let (old, new) = (bench.issue(&["a.test"]), bench.issue(&["a.test"]));
    for (version, issued) in [("..1", &old), ("..2", &new)] {
        bench.write(&format!("secret/{version}/tls.crt"), &issued.cert);
        bench.write(&format!("secret/{version}/tls.key"), &issued.key);
    }
    symlink("..1", bench.path("secret/..data")).unwrap();
    symlink("..data/tls.crt", bench.path("secret/tls.crt")).unwrap();
    symlink("..data/tls.key", bench.path("secret/tls.key")).unwrap();
    let settings = bench.settings(&["secret"]);
    let tls = load(&settings).unwrap();
    assert_eq!(serials(&tls), [old.serial]);
    assert!(!tls.files_changed());

    symlink("..2", bench.path("secret/..next")).unwrap();
    fs::rename(bench.path("secret/..next"), bench.path("secret/..data")).unwrap();
    assert!(tls.files_changed());
    let report = tls.reload(&settings, now());
    assert!(report.rejected.is_empty());
    assert_eq!(report.changed.len(), 1);
    assert_eq!(serials(&tls), [new.serial]);
    assert!(!tls.files_changed());
}

#[test]
fn a_bad_file_in_a_directory_fails_the_start_and_is_named() {
    let bench = Bench::new();
    let good = bench.issue(&["a.test"]);
    bench.write("certs/a.pem", good.both());
    let settings = bench.settings(&["certs"]);
    for (name, contents) in [
        ("certs/b.pem", format!("{}-----BEGIN PRIVATE KEY-----\n", good.cert).into_bytes()),
        ("certs/c.pem", format!("{}{}", good.cert, bench.issue(&[]).key).into_bytes()),
        ("certs/d.pem", [&[0x30, 0x82, 1, 0][..], &[0; 256]].concat()),
    ] {
        let path = bench.write(name, contents);
        let error = load(&settings).unwrap_err();
        assert!(names(&error, &path), "{error}");
        fs::remove_file(path).unwrap();
    }
    symlink("nowhere", bench.path("certs/e.pem")).unwrap();
    let error = load(&settings).unwrap_err();
    assert!(matches!(&error, TlsError::Unreadable { .. }) && names(&error, &bench.path("certs/e.pem")), "{error}");
}

#[test]
fn a_directory_with_nothing_to_serve_fails_the_start() {
    let bench = Bench::new();
    bench.write("certs/ca.crt", bench.issue(&[]).cert);
    bench.write("certs/leaf.pem", bench.issue(&[]).cert);
    let error = load(&bench.settings(&["certs"])).unwrap_err();
    assert!(matches!(&error, TlsError::NothingUsable { .. }) && names(&error, &bench.path("certs")), "{error}");
    let error = load(&bench.settings(&["gone"])).unwrap_err();
    assert!(matches!(&error, TlsError::Unreadable { .. }) && names(&error, &bench.path("gone")), "{error}");
}
