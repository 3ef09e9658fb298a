//! Sessions that do not end by themselves: deadlines, draining, signals, exit codes.
//!
//! The deadlines are short, but no pass depends on how long anything took: what is asserted is who ended what, and how.

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use testkit::certs::TlsVersion;

use crate::harness::{LIMIT, Play, Proxy, collect};
use crate::tls_client::TlsClient;

/// Longer than any test: a deadline that must not pass.
const NEVER: &str = "1h";

/// A session with both of its ends in the test's hands.
struct Open {
    proxy: Proxy,
    client: TlsClient,
    upstream: TcpStream,
}

impl Open {
    /// Bytes have passed both ways.
    fn session(version: TlsVersion, options: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap(), options);
        let mut client = TlsClient::connect(&proxy, version);
        let (mut upstream, _) = listener.accept().unwrap();
        upstream.set_read_timeout(Some(LIMIT)).unwrap();
        upstream.write_all(b"ready").unwrap();
        assert_eq!(client.read(5), b"ready");
        Self { proxy, client, upstream }
    }
}

#[test]
fn idle_session_is_reset_on_both_sides_without_close_notify() {
    let play = Play::new(&["read-until-end"], &["read-until-end"]);
    play.options(&["--idle-timeout", "300ms"]).in_each_version(|seen| {
        seen.ended(&["rst"], &["rst"], ["timed_out_idle"; 4], "proxy");
        assert_eq!(seen.session.reason.as_deref(), Some("the idle deadline passed"));
    });
}

/// docs/cases.md R61, J02, D07
#[test]
fn upstream_that_never_answers_a_half_closed_client_is_reset_and_so_is_the_client() {
    for version in TlsVersion::EACH {
        let options = ["--half-close-timeout", "300ms", "--idle-timeout", NEVER];
        let Open { mut proxy, mut client, mut upstream } = Open::session(version, &options);
        let end = client.close_notify();
        client.write(&end);
        assert_eq!(collect(&upstream), (Vec::new(), "fin"));
        assert_eq!(client.read_to_end(), (Vec::new(), vec!["rst"]));
        let session = proxy.session(1);
        let endings = ["close_notify", "timed_out_half_close", "timed_out_half_close", "fin"];
        assert_eq!((session.endings(), session.first()), (endings, "client"), "{session:#?}");
        assert_eq!(session.reason.as_deref(), Some("the half-close deadline passed"));
        // Behind a FIN a reset is seen by who writes.
        assert_eq!(upstream.write(b"late").unwrap_err().kind(), ErrorKind::BrokenPipe);
        proxy.stop();
    }
}

#[test]
fn client_that_never_ends_behind_a_whole_answer_keeps_it_and_the_upstream_is_reset() {
    for version in TlsVersion::EACH {
        let options = ["--half-close-timeout", "300ms", "--idle-timeout", NEVER];
        let Open { mut proxy, mut client, upstream } = Open::session(version, &options);
        upstream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(collect(&upstream), (Vec::new(), "rst"));
        assert_eq!(client.read_to_end(), (Vec::new(), vec!["close_notify", "fin"]));
        drop(client);
        let session = proxy.session(1);
        let endings = ["timed_out_half_close", "close_notify", "fin", "timed_out_half_close"];
        assert_eq!((session.endings(), session.first()), (endings, "upstream"), "{session:#?}");
        proxy.stop();
    }
}

/// docs/cases.md R53, D03
#[test]
fn drain_deadline_resets_what_still_runs_and_the_exit_code_tells() {
    for version in TlsVersion::EACH {
        let Open { mut proxy, mut client, upstream } = Open::session(version, &["--drain", "300ms"]);
        proxy.terminate();
        assert_eq!(client.read_to_end(), (Vec::new(), vec!["rst"]));
        assert_eq!(collect(&upstream), (Vec::new(), "rst"));
        let session = proxy.session(1);
        assert_eq!((session.endings(), session.first()), (["timed_out_drain"; 4], "proxy"), "{session:#?}");
        assert_eq!(session.reason.as_deref(), Some("the proxy stopped before the session had ended"));
        let stopped = proxy.wait();
        assert_eq!((stopped.code, stopped.drained()), (Some(5), (0, 1)), "{stopped:?}");
    }
}

#[test]
fn session_that_finishes_while_draining_ends_clean_and_so_does_the_process() {
    for version in TlsVersion::EACH {
        let Open { mut proxy, mut client, mut upstream } = Open::session(version, &["--drain", NEVER]);
        proxy.terminate();
        proxy.wait_until_draining();
        client.send(b"still here");
        let end = client.close_notify();
        client.write(&end);
        assert_eq!(collect(&upstream), (b"still here".to_vec(), "fin"));
        upstream.write_all(&[7; 100_000]).unwrap();
        drop(upstream);
        let (data, end) = client.read_to_end();
        assert_eq!((data.len(), end), (100_000, vec!["close_notify", "fin"]));
        drop(client);
        let session = proxy.session(1);
        assert_eq!(session.endings(), ["close_notify", "close_notify", "fin", "fin"], "{session:#?}");
        let stopped = proxy.wait();
        assert_eq!((stopped.code, stopped.drained()), (Some(0), (1, 0)), "{stopped:?}");
    }
}

/// docs/cases.md D03
#[test]
fn second_signal_aborts_at_once() {
    for version in TlsVersion::EACH {
        let Open { mut proxy, mut client, upstream } = Open::session(version, &["--drain", NEVER]);
        proxy.terminate();
        proxy.wait_until_draining();
        proxy.terminate();
        assert_eq!(client.read_to_end(), (Vec::new(), vec!["rst"]));
        assert_eq!(collect(&upstream), (Vec::new(), "rst"));
        assert_eq!(proxy.session(1).endings(), ["timed_out_drain"; 4]);
        let stopped = proxy.wait();
        assert_eq!((stopped.code, stopped.drained()), (Some(5), (0, 1)), "{stopped:?}");
    }
}

#[test]
fn second_signal_does_not_wait_for_a_handshake() {
    let mut proxy = Proxy::start("127.0.0.1:1".parse().unwrap(), &["--drain", NEVER, "--handshake-timeout", NEVER]);
    let silent = TcpStream::connect(proxy.address).unwrap();
    // Accepted before or after the signal: what waits in the queue then is accepted, too.
    drop(TcpStream::connect(proxy.address).unwrap());
    assert_eq!(proxy.handshake("truncated_boundary").phase, "handshake");
    proxy.terminate();
    proxy.wait_until_draining();
    proxy.terminate();
    assert_eq!(proxy.handshake("timed_out_drain").phase, "handshake");
    let stopped = proxy.wait();
    assert_eq!((stopped.code, stopped.drained()), (Some(5), (0, 1)), "{stopped:?}");
    drop(silent);
}

/// docs/cases.md D04
#[test]
fn second_signal_does_not_wait_for_a_client_that_keeps_its_connection_after_both_ends() {
    // The proxy would wait for 5 s. An attempt that took longer has shown nothing, and is made again.
    for attempt in 1.. {
        let Open { mut proxy, mut client, upstream } = Open::session(TlsVersion::V13, &["--drain", NEVER]);
        let started = Instant::now();
        let end = client.close_notify();
        client.write(&end);
        assert_eq!(collect(&upstream), (Vec::new(), "fin"));
        drop(upstream);
        assert_eq!(client.read_to_end(), (Vec::new(), vec!["close_notify", "fin"]));
        proxy.terminate();
        proxy.wait_until_draining();
        proxy.terminate();
        // Both ends had been sent and received: nothing was cut.
        assert_eq!(proxy.session(1).endings(), ["close_notify", "close_notify", "fin", "fin"]);
        let stopped = proxy.wait();
        assert_eq!((stopped.code, stopped.drained()), (Some(0), (1, 0)), "{stopped:?}");
        drop(client);
        if started.elapsed() < Duration::from_secs(5) {
            break;
        }
        assert!(attempt < 4, "it took {:?}", started.elapsed());
    }
}

#[test]
fn connections_made_before_the_signal_are_served() {
    let mut proxy = Proxy::start("127.0.0.1:1".parse().unwrap(), &["--drain", NEVER]);
    // While it stands still, the kernel completes the connections, and the signal is left for it.
    proxy.kill("-STOP");
    // Twice the usual backlog.
    let connections: Vec<_> = (0..200).map(|_| TcpStream::connect(proxy.address).unwrap()).collect();
    proxy.terminate();
    proxy.kill("-CONT");
    proxy.wait_until_draining();
    drop(connections);
    for number in 1..=200 {
        assert_eq!(proxy.session(number).handshake, "truncated_boundary");
    }
    let stopped = proxy.wait();
    assert_eq!((stopped.code, stopped.drained().1), (Some(0), 0), "{stopped:?}");
}

#[test]
fn listener_is_closed_while_draining() {
    let Open { mut proxy, client, upstream } = Open::session(TlsVersion::V13, &["--drain", NEVER]);
    proxy.terminate();
    proxy.wait_until_draining();
    // It is closed when the order has arrived, a moment behind the line.
    let deadline = Instant::now() + LIMIT;
    while TcpStream::connect(proxy.address).is_ok() {
        assert!(Instant::now() < deadline, "it still listens");
    }
    assert_eq!(TcpStream::connect(proxy.address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    drop((client, upstream));
    assert_eq!(proxy.wait().code, Some(0));
}
