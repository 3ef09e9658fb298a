//! pollcheck catches the incident: its meter in a running server, its rules in a test.
//!
//! The same bytes under today's crates, where it reports nothing, are in `lab/streams/tests/behind_close_notify.rs`.

use incident::peer::{ByteBehindClose, End, Peer, VERSIONS, configs, read_metered};
use pollcheck::{Check, Report, Rule};
use std::sync::Arc;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// So many wasted polls are a spin.
const WASTED: u32 = 1000;

#[tokio::test]
async fn the_meter_tells_the_spin_once() {
    for (name, version) in VERSIONS {
        let (server, client) = configs(version);
        let (tcp, peer) = Peer::start(client, b"\x17").await;
        let stream = TlsAcceptor::from(server).accept(tcp).await.expect("the handshake is an ordinary one");
        peer.wait_until_sent();
        let seen = read_metered(stream, WASTED, 10 * u64::from(WASTED)).await;
        assert_eq!(seen.read, b"hello", "TLS {name}");
        assert_eq!(seen.end, End::Never, "TLS {name}");
        let [spin] = seen.spins[..] else { panic!("TLS {name}: told {} times, not once", seen.spins.len()) };
        assert_eq!(spin.wasted, WASTED, "TLS {name}");
        assert_eq!(spin.counts.progress, 1, "TLS {name}: the data");
        // The others: the first that is pending behind the data, and one before it when the reactor is late.
        let others = spin.counts.polls - spin.counts.progress - spin.counts.wasted;
        assert!((1..=2).contains(&others), "TLS {name}: {spin}");
    }
}

#[tokio::test]
async fn the_meter_is_silent_when_nothing_lies_behind() {
    for (name, version) in VERSIONS {
        let (server, client) = configs(version);
        let (tcp, peer) = Peer::start(client, b"").await;
        let stream = TlsAcceptor::from(server).accept(tcp).await.expect("the handshake is an ordinary one");
        peer.wait_until_sent();
        let seen = read_metered(stream, 1, 10).await;
        assert_eq!((seen.end, seen.spins), (End::Eof, vec![]), "TLS {name}");
    }
}

#[test]
fn the_rules_name_the_self_wake_in_a_short_history() {
    for (name, version) in VERSIONS {
        let report = checked(version, true);
        let rules: Vec<Rule> = report.violations().iter().map(pollcheck::Violation::rule).collect();
        assert_eq!(rules, [Rule::SelfWake], "TLS {name}: {report}");
        let violation = &report.violations()[0];
        println!("TLS {name}: {violation}");
        // Half of them are the handshake.
        assert!(violation.history().events().len() <= 60, "TLS {name}: {violation}");
    }
}

#[test]
fn the_rules_are_silent_when_nothing_lies_behind() {
    for (_, version) in VERSIONS {
        checked(version, false).assert_clean();
    }
}

/// A client writes to the end, and the server under test reads it; with a byte behind the close_notify or without.
fn checked(version: &'static rustls::SupportedProtocolVersion, behind: bool) -> Report {
    let (server, client) = configs(version);
    let check = Check::new().one_way().only("end").depth(2).deviations(10).random_runs(5);
    if behind {
        check.pair_async(|left, right| {
            let connector = TlsConnector::from(Arc::clone(&client));
            let connect = connector.connect("localhost".try_into().expect("a DNS name"), ByteBehindClose::new(left));
            (connect, TlsAcceptor::from(Arc::clone(&server)).accept(right))
        })
    } else {
        check.pair_async(|left, right| {
            let connector = TlsConnector::from(Arc::clone(&client));
            let connect = connector.connect("localhost".try_into().expect("a DNS name"), left);
            (connect, TlsAcceptor::from(Arc::clone(&server)).accept(right))
        })
    }
}
