//! The bytes of the incident under today's crates: pollcheck, which reports the old pair on them, is silent.
//!
//! The old pair is in `lab/incident/tests/spin.rs`.

#[path = "../../incident/src/peer.rs"]
#[allow(dead_code, reason = "shared with the lab of the old pair, which uses more of it")]
mod peer;

use peer::{ByteBehindClose, End, Peer, Seen, VERSIONS, configs, read_metered};
use pollcheck::Check;
use std::sync::Arc;

/// One wasted poll would be told: nothing at all may be wasted.
const WASTED: u32 = 1;

fn ended_at_once(seen: &Seen) {
    assert_eq!(seen.read, b"hello");
    assert_eq!((seen.end, &seen.spins), (End::Eof, &vec![]));
}

#[tokio::test]
async fn the_meter_is_silent_on_tokio_rustls() {
    for (_, version) in VERSIONS {
        let (server, client) = configs(version);
        let (tcp, peer) = Peer::start(client, b"\x17").await;
        let stream = tokio_rustls::TlsAcceptor::from(server).accept(tcp).await.expect("an ordinary handshake");
        peer.wait_until_sent();
        ended_at_once(&read_metered(stream, WASTED, 10).await);
    }
}

#[tokio::test]
async fn the_meter_is_silent_on_closenotify() {
    for (_, version) in VERSIONS {
        let (server, client) = configs(version);
        let (tcp, peer) = Peer::start(client, b"\x17").await;
        let stream = closenotify::TlsAcceptor::from(server).accept(tcp).await.expect("an ordinary handshake");
        peer.wait_until_sent();
        ended_at_once(&read_metered(stream, WASTED, 10).await);
    }
}

fn check() -> Check {
    Check::new().one_way().only("end").depth(2).deviations(10).random_runs(5)
}

#[test]
fn the_rules_are_silent_on_tokio_rustls() {
    for (_, version) in VERSIONS {
        let (server, client) = configs(version);
        let report = check().pair_async(|left, right| {
            let connector = tokio_rustls::TlsConnector::from(Arc::clone(&client));
            let connect = connector.connect("localhost".try_into().expect("a DNS name"), ByteBehindClose::new(left));
            (connect, tokio_rustls::TlsAcceptor::from(Arc::clone(&server)).accept(right))
        });
        report.assert_clean();
    }
}

#[test]
fn the_rules_are_silent_on_closenotify() {
    streams::with_clock(|| {
        for (_, version) in VERSIONS {
            let (server, client) = configs(version);
            let report = check().pair_async(|left, right| {
                let connector = tokio_rustls::TlsConnector::from(Arc::clone(&client));
                let connect =
                    connector.connect("localhost".try_into().expect("a DNS name"), ByteBehindClose::new(left));
                (connect, closenotify::TlsAcceptor::from(Arc::clone(&server)).accept(right))
            });
            report.assert_clean();
        }
    });
}
