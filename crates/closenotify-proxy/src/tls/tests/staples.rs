//! OCSP responses beside certificates.

use std::process::Command;

use super::bench::{Bench, Client, Issued, load, names, now, serials};
use crate::config::TlsVersion;
use crate::tls::ocsp::tests::{IS_GOOD, response};
use crate::tls::{Change, ListenerTls, TlsError};

async fn meet(tls: &ListenerTls) -> Vec<u8> {
    Client::new(TlsVersion::V13).meet(tls, "a.test").await.staple
}

/// Out of date in 2089, long after the time at which these tests are run.
const LATER: Option<&str> = Some("20890101000000Z");

fn staple(issued: &Issued, next_update: Option<&str>) -> Vec<u8> {
    let serial: Vec<u8> = issued
        .serial
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    response(&serial, IS_GOOD, next_update)
}

#[tokio::test]
async fn a_response_beside_the_certificate_is_stapled_replaced_and_removed() {
    let bench = Bench::new();
    let issued = bench.issue(&["a.test"]);
    bench.write("certs/tls.crt", &issued.cert);
    bench.write("certs/tls.key", &issued.key);
    let settings = bench.settings(&["certs"]);
    let tls = load(&settings).unwrap();
    let changed = [Change::CertificateReplaced(bench.path("certs/tls.crt"))];
    assert!(meet(&tls).await.is_empty());
    for next_update in [LATER, None] {
        bench.write("certs/tls.ocsp", staple(&issued, next_update));
        assert!(tls.files_changed());
        assert_eq!(tls.reload(&settings, now()).changed, changed);
        assert_eq!(meet(&tls).await, staple(&issued, next_update));
        assert_eq!(tls.certificates()[0].staple_until.is_some(), next_update.is_some());
        assert!(tls.reload(&settings, now()).changed.is_empty());
    }
    std::fs::remove_file(bench.path("certs/tls.ocsp")).unwrap();
    assert!(tls.files_changed());
    assert_eq!(tls.reload(&settings, now()).changed, changed);
    assert!(meet(&tls).await.is_empty());
}

#[tokio::test]
async fn a_response_that_is_out_of_date_is_not_stapled() {
    let bench = Bench::new();
    let issued = bench.issue(&["a.test"]);
    bench.write("a.pem", issued.both());
    bench.write("a.ocsp", staple(&issued, Some("20240108000000Z")));
    let tls = load(&bench.settings(&["a.pem"])).unwrap();
    let met = Client::new(TlsVersion::V13).meet(&tls, "a.test").await;
    assert!(met.client.is_ok() && met.staple.is_empty());
}

#[tokio::test]
async fn a_bad_response_fails_the_start_and_leaves_the_last_good_one_later() {
    let bench = Bench::new();
    let (issued, renewed) = (bench.issue(&["a.test"]), bench.issue(&["a.test"]));
    bench.write("a.pem", issued.both());
    let settings = bench.settings(&["a.pem"]);
    let good = staple(&issued, LATER);
    for bad in [b"hello".to_vec(), staple(&renewed, LATER), vec![0; 64 * 1024 + 1], vec![0; (1 << 20) + 1]] {
        let path = bench.write("a.ocsp", &good);
        let tls = load(&settings).unwrap();
        bench.write("a.ocsp", bad);
        let error = load(&settings).unwrap_err();
        assert!(matches!(error, TlsError::Staple { .. } | TlsError::Unreadable { .. }), "{error}");
        assert!(names(&error, &path), "{error}");
        // Each time: it is still wrong.
        for _ in 0..2 {
            let report = tls.reload(&settings, now());
            assert!(report.changed.is_empty() && report.rejected.len() == 1, "{report:?}");
            assert_eq!(meet(&tls).await, good);
        }
    }
    // The response of a certificate that was renewed is not the new one's.
    bench.write("a.ocsp", &good);
    let tls = load(&settings).unwrap();
    bench.write("a.pem", renewed.both());
    let report = tls.reload(&settings, now());
    assert_eq!((report.changed.len(), report.rejected.len()), (1, 1), "{report:?}");
    assert_eq!(serials(&tls), [renewed.serial]);
    assert!(meet(&tls).await.is_empty());
}

/// The responder of OpenSSL writes another form of what these tests make: with a certificate, and times of its own.
#[tokio::test]
async fn a_response_of_a_real_responder_is_stapled_or_rejected_for_what_it_says() {
    let bench = Bench::new();
    let issued = bench.issue(&["a.test"]);
    bench.write("certs/a.pem", issued.both());
    bench.write_ca("ca.pem");
    bench.write("ca.key", bench.ca_key());
    let respond = |entry: &str| {
        let serial = issued.serial.to_uppercase();
        bench.write("index", format!("{entry}\t{serial}\tunknown\t/CN=a\n"));
        let serial = format!("0x{serial}");
        let made = Command::new("openssl")
            .current_dir(bench.path(""))
            .args("ocsp -index index -rsigner ca.pem -rkey ca.key -CA ca.pem -issuer ca.pem -ndays 9000".split(' '))
            .args(["-respout", "certs/a.ocsp", "-serial", &serial])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    };
    respond("V\t491231000000Z\t");
    let tls = load(&bench.settings(&["certs"])).unwrap();
    assert!(tls.certificates()[0].staple_until.is_some());
    assert_eq!(meet(&tls).await, std::fs::read(bench.path("certs/a.ocsp")).unwrap());
    respond("R\t491231000000Z\t200101000000Z");
    let error = load(&bench.settings(&["certs"])).unwrap_err();
    assert!(error.to_string().contains("it says that the certificate is revoked"), "{error}");
}
