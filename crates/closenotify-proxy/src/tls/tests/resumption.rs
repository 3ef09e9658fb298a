//! Which sessions can be resumed: over reloads, over processes, and not by those who may not enter any more.

use std::fmt::Write as _;

use data_encoding::BASE64;

use super::bench::{Bench, Client, EACH, Issued, load, names, now};
use crate::config::{TlsSettings, TlsVersion};
use crate::tls::{Change, ListenerTls};

/// A listener and the settings to load it with.
fn bench() -> (Bench, TlsSettings) {
    let bench = Bench::new();
    bench.write("a.pem", bench.issue(&["a.test"]).both());
    bench.write_ca("ca.pem");
    let settings = bench.settings(&["a.pem"]);
    (bench, settings)
}

/// A file of ticket keys, one for each seed.
fn keys(seeds: &[u8]) -> String {
    seeds.iter().fold(String::new(), |mut text, seed| {
        let key: Vec<u8> = (0..80_u8).map(|n| n.wrapping_mul(*seed) ^ seed).collect();
        writeln!(text, "{}", BASE64.encode(&key)).unwrap();
        text
    })
}

/// Whether a client that has met `first` resumes its session on `second`. It is let in by both.
async fn resumes(version: TlsVersion, issued: Option<&Issued>, first: &ListenerTls, second: &ListenerTls) -> bool {
    let client = issued.map_or_else(|| Client::new(version), |issued| Client::showing(version, issued));
    assert!(!client.meet(first, "a.test").await.resumed());
    client.meet(second, "a.test").await.resumed()
}

#[tokio::test]
async fn sessions_are_resumed_over_a_reload_of_certificates() {
    for version in EACH {
        for shared in [false, true] {
            let (bench, mut settings) = bench();
            settings.client_auth = Some(bench.client_auth(true, &["CN=ops"]));
            settings.ticket_keys = shared.then(|| bench.write("keys", keys(&[3])));
            let tls = load(&settings).unwrap();
            let client = Client::showing(version, &bench.client("ops"));
            assert!(!client.meet(&tls, "a.test").await.resumed());
            bench.write("a.pem", bench.issue(&["a.test"]).both());
            settings.alpn = vec!["h2".into()];
            assert_eq!(tls.reload(&settings, now()).changed.len(), 2);
            let met = client.meet(&tls, "a.test").await;
            assert!(met.resumed(), "{version:?}, shared keys: {shared}");
            assert!(met.server.unwrap().peer_certificates().is_some(), "it is still known who the client is");
        }
    }
}

#[tokio::test]
async fn a_client_that_may_not_enter_any_more_cannot_resume_its_way_in() {
    let ops = Some(&["CN=ops"][..]);
    let other = Bench::new();
    // Whether a certificate is required, and the rules: before and after. `None`: clients are not asked.
    for (what, before, after) in [
        ("another rule", (true, ops), (true, Some(&["CN=root"][..]))),
        ("another CA", (true, ops), (true, ops)),
        ("a certificate is required", (false, ops), (true, ops)),
        ("a certificate is asked for", (true, None), (true, ops)),
    ] {
        for (version, shared) in EACH.into_iter().flat_map(|version| [(version, false), (version, true)]) {
            let (bench, mut settings) = bench();
            let auth =
                |(required, allow): (bool, Option<&[&str]>)| allow.map(|allow| bench.client_auth(required, allow));
            settings.client_auth = auth(before);
            settings.ticket_keys = shared.then(|| bench.write("keys", keys(&[3])));
            let tls = load(&settings).unwrap();
            let client = match before {
                (true, Some(_)) => Client::showing(version, &bench.client("ops")),
                _ => Client::new(version),
            };
            assert!(!client.meet(&tls, "a.test").await.resumed());
            assert!(client.meet(&tls, "a.test").await.resumed(), "{what}: it resumes before");

            settings.client_auth = auth(after);
            if what == "another CA" {
                std::fs::copy(other.write_ca("ca.pem"), bench.path("ca.pem")).unwrap();
            }
            assert_eq!(tls.reload(&settings, now()).changed, [Change::ClientAuth], "{what}");
            let met = client.meet(&tls, "a.test").await;
            assert!(met.client.is_err() && met.server.is_err(), "{version:?}, {what}, shared keys: {shared}");
        }
    }
}

/// Also for TLS 1.2 clients without tickets, whose sessions are stored here.
#[test]
fn stored_sessions_go_when_other_clients_are_let_in_and_not_before() {
    let (bench, mut settings) = bench();
    let tls = load(&settings).unwrap();
    let put = |key: &[u8]| tls.acceptor().config().session_storage.put(key.to_vec(), b"session".to_vec());
    let get = |key: &[u8]| tls.acceptor().config().session_storage.get(key);
    assert!(put(b"a"));
    settings.ticket_keys = Some(bench.write("keys", keys(&[3])));
    assert_eq!(tls.reload(&settings, now()).changed, [Change::TicketKeys]);
    assert!(get(b"a").is_some());
    settings.client_auth = Some(bench.client_auth(false, &[]));
    assert_eq!(tls.reload(&settings, now()).changed, [Change::ClientAuth]);
    assert!(get(b"a").is_none());
}

/// docs/cases.md D12
#[tokio::test]
async fn a_fleet_with_the_same_keys_resumes_each_others_sessions() {
    let (bench, mut settings) = bench();
    let mut with = |name: &str, seeds: &[u8]| {
        settings.ticket_keys = Some(bench.write(name, keys(seeds)));
        load(&settings).unwrap()
    };
    let (one, two) = (with("one", &[3]), with("two", &[3]));
    let (rotated, other) = (with("rotated", &[5, 3]), with("other", &[7]));
    for version in EACH {
        assert!(resumes(version, None, &one, &two).await, "the same key");
        assert!(resumes(version, None, &one, &rotated).await, "a key that does not encrypt any more");
        assert!(!resumes(version, None, &rotated, &one).await, "a key that is not known there yet");
        assert!(!resumes(version, None, &one, &other).await, "another key");
    }
}

/// One file of keys serves listeners that let in different clients.
#[tokio::test]
async fn a_session_of_a_listener_that_lets_in_others_is_not_resumed() {
    let (bench, mut settings) = bench();
    settings.ticket_keys = Some(bench.write("keys", keys(&[3])));
    let open = load(&settings).unwrap();
    settings.client_auth = Some(bench.client_auth(false, &["CN=ops"]));
    let (asks, also_asks) = (load(&settings).unwrap(), load(&settings).unwrap());
    let ops = bench.client("ops");
    for version in EACH {
        assert!(resumes(version, Some(&ops), &asks, &also_asks).await);
        assert!(!resumes(version, None, &open, &asks).await);
        assert!(!resumes(version, Some(&ops), &asks, &open).await);
    }
}

/// docs/cases.md D12
#[tokio::test]
async fn ticket_keys_are_read_again_and_bad_ones_leave_the_last_good_ones() {
    let (bench, mut settings) = bench();
    let path = bench.write("keys", keys(&[3]));
    settings.ticket_keys = Some(path.clone());
    let tls = load(&settings).unwrap();
    let client = Client::new(TlsVersion::V13);
    assert!(!client.meet(&tls, "a.test").await.resumed());

    bench.write("keys", "no key");
    assert!(tls.files_changed());
    let report = tls.reload(&settings, now());
    assert!(report.changed.is_empty(), "{report:?}");
    assert!(matches!(&report.rejected[..], [error] if names(error, &path)), "{report:?}");
    assert!(client.meet(&tls, "a.test").await.resumed());
    assert!(names(&load(&settings).unwrap_err(), &path));

    bench.write("keys", keys(&[5, 3]));
    assert_eq!(tls.reload(&settings, now()).changed, [Change::TicketKeys]);
    assert!(client.meet(&tls, "a.test").await.resumed());
    bench.write("keys", keys(&[5]));
    assert_eq!(tls.reload(&settings, now()).changed, [Change::TicketKeys]);
    assert!(client.meet(&tls, "a.test").await.resumed(), "the last ticket is of the first key already");
    bench.write("keys", keys(&[7]));
    assert_eq!(tls.reload(&settings, now()).changed, [Change::TicketKeys]);
    assert!(!client.meet(&tls, "a.test").await.resumed());
}
