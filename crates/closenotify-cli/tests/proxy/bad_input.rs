//! What is no session, or never becomes one: each such connection is one line of the ledger, costs nothing that stays, and
//! the proxy serves on.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use rustls::ClientConnection;
use rustls_pki_types::ServerName;
use testkit::certs::TlsVersion;
use testkit::net::reset_on_close;
use testkit::peers::{python_backend, python_tls_client};

use crate::harness::{LIMIT, Proxy, Session, collect, number};
use crate::tls_client::TlsClient;

/// An address of this machine where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn connect(proxy: &Proxy) -> TcpStream {
    let socket = TcpStream::connect(proxy.address).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

/// A ClientHello in its record.
fn client_hello(proxy: &Proxy, version: TlsVersion) -> Vec<u8> {
    let config = proxy.authority.client_config(version);
    let mut connection = ClientConnection::new(Arc::clone(&config), ServerName::from(proxy.address.ip())).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}

/// The record of a plaintext alert.
fn alert(level: u8, description: u8) -> [u8; 7] {
    [21, 3, 3, 0, 2, level, description]
}

const CLOSE_NOTIFY: [u8; 7] = [21, 3, 3, 0, 2, 1, 0];

/// How a client goes that has not come to a session.
#[derive(Clone, Copy, Debug)]
enum Leave {
    /// FIN, then reading on.
    Fin,
    /// A reset.
    Reset,
    /// Not at all: the proxy ends it.
    Stay,
}

/// One bad connection from its first byte to its last; what the proxy sent, and `fin` or `rst`.
fn bad(proxy: &Proxy, bytes: &[u8], leave: Leave) -> Option<(Vec<u8>, &'static str)> {
    let mut socket = connect(proxy);
    socket.write_all(bytes).unwrap();
    match leave {
        Leave::Stay => {}
        Leave::Fin => socket.shutdown(Shutdown::Write).unwrap(),
        Leave::Reset => {
            reset_on_close(&socket);
            return None;
        }
    }
    Some(collect(&socket))
}

#[test]
fn each_failed_handshake_has_its_word_and_its_alert() {
    let mut proxy = Proxy::start(nobody(), &[]);
    let hello = client_hello(&proxy, TlsVersion::V13);
    let half = &hello[..hello.len() / 2];
    // RFC 9846 section 5: a record of an unknown type is an unexpected_message.
    let (unexpected, refused, none) = (Some(alert(2, 10)), Some(alert(2, 50)), None);
    let hello_and_close = [&hello[..], &CLOSE_NOTIFY].concat();
    type Case<'a> = (&'a [u8], Leave, &'a str, &'a str, Option<[u8; 7]>);
    let cases: [Case<'_>; 10] = [
        (&[0xff; 100], Leave::Stay, "not_tls", "not TLS", unexpected),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Leave::Stay, "not_tls_plain_http", "https://", unexpected),
        (&[22, 3, 1, 0, 5, 1, 0, 0, 1, 9], Leave::Stay, "refused", "refused", refused),
        (b"", Leave::Fin, "truncated_boundary", "without sending anything", none),
        (half, Leave::Fin, "truncated_inside_record", "disconnected", none),
        (&hello, Leave::Fin, "truncated_boundary", "disconnected", none),
        (half, Leave::Reset, "reset", "reset", none),
        (b"", Leave::Reset, "reset", "reset", none),
        (&CLOSE_NOTIFY, Leave::Stay, "alert_close_notify", "before the handshake was complete", none),
        (&hello_and_close, Leave::Stay, "alert_close_notify", "before the handshake was complete", none),
    ];
    for (number, (bytes, leave, word, reason, told)) in (1..).zip(cases) {
        let seen = bad(&proxy, bytes, leave);
        let session = proxy.session(number);
        assert_eq!((session.phase.as_str(), session.handshake.as_str()), ("handshake", word), "{session:#?}");
        assert_eq!(session.endings(), ["-"; 4]);
        assert!(session.reason.as_ref().is_some_and(|said| said.contains(reason)), "{session:#?}");
        if let Some(told) = told {
            assert_eq!(seen, Some((told.to_vec(), "fin")));
        }
    }
    proxy.stop();
}

/// docs/cases.md R58
#[test]
fn handshake_that_never_comes_ends_at_its_deadline() {
    let mut proxy = Proxy::start(nobody(), &["--handshake-timeout", "200ms"]);
    let hello = client_hello(&proxy, TlsVersion::V12);
    for (number, bytes) in (1..).zip([&b""[..], &hello[..20], &hello]) {
        bad(&proxy, bytes, Leave::Stay);
        let session = proxy.session(number);
        assert_eq!(session.handshake, "timed_out_handshake", "{session:#?}");
        assert_eq!(session.first(), "proxy");
    }
    proxy.stop();
}

#[test]
fn upstream_that_is_not_reached_is_no_close_notify() {
    let unresolvable = format!("{}.invalid:80", "x".repeat(64));
    let nobody = nobody().to_string();
    for (upstream, word) in [(nobody.as_str(), "failed_connection_refused"), (&unresolvable, "failed_not_found")] {
        for version in TlsVersion::EACH {
            let mut proxy = Proxy::launch(Some(upstream), &["--log", "json"]);
            let mut client = TlsClient::connect(&proxy, version);
            assert_eq!(client.read_to_end(), (Vec::new(), vec!["rst"]));
            let session = proxy.session(1);
            assert_eq!((session.phase.as_str(), session.handshake.as_str()), ("connect", "complete"), "{session:#?}");
            assert_eq!(session.endings(), ["abandoned", "aborted", word, "-"], "{session:#?}");
            assert_eq!(session.first(), "upstream", "{session:#?}");
            assert!(session.reason.as_ref().is_some_and(|said| said.contains(upstream)), "{session:#?}");
            proxy.stop();
        }
    }
}

/// One good session: whatever came before, it serves.
fn serves(proxy: &mut Proxy, upstream: &TcpListener, number: u64) -> Session {
    let mut client = TlsClient::connect(proxy, TlsVersion::V13);
    let (mut answering, _) = upstream.accept().unwrap();
    let end = client.close_notify();
    client.write(&end);
    answering.write_all(b"answer").unwrap();
    drop(answering);
    assert_eq!(client.read_to_end(), (b"answer".to_vec(), vec!["close_notify", "fin"]));
    drop(client);
    let session = proxy.session(number);
    assert_eq!(session.endings(), ["close_notify", "close_notify", "fin", "fin"], "{session:#?}");
    session
}

impl Proxy {
    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap().count()
    }
}

#[test]
fn two_hundred_bad_connections_leave_nothing_behind() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut proxy = Proxy::start(upstream.local_addr().unwrap(), &[]);
    serves(&mut proxy, &upstream, 1);
    let before = proxy.descriptors();
    let hello = client_hello(&proxy, TlsVersion::V13);
    let kinds: [(&[u8], Leave); 8] = [
        (&[0xff; 100], Leave::Stay),
        (b"GET / HTTP/1.1\r\n\r\n", Leave::Stay),
        (b"", Leave::Fin),
        (b"", Leave::Reset),
        (&hello[..99], Leave::Fin),
        (&hello[..99], Leave::Reset),
        (&hello, Leave::Fin),
        (&CLOSE_NOTIFY, Leave::Stay),
    ];
    for (_, (bytes, leave)) in (0..200).zip(kinds.iter().cycle()) {
        bad(&proxy, bytes, *leave);
    }
    for number in 2..=201 {
        assert_eq!(proxy.session(number).phase, "handshake");
    }
    assert_eq!(proxy.descriptors(), before);
    serves(&mut proxy, &upstream, 202);
    assert_eq!(proxy.descriptors(), before);
    proxy.stop();
}

#[test]
fn record_that_cannot_be_opened_behind_our_close_notify_is_no_panic() {
    for version in TlsVersion::EACH {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut proxy = Proxy::start(upstream.local_addr().unwrap(), &[]);
        let mut client = TlsClient::connect(&proxy, version);
        let (answering, _) = upstream.accept().unwrap();
        answering.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.read_to_end(), (Vec::new(), vec!["close_notify", "fin"]));
        let hello = client.seal(b"hello");
        client.write(&hello);
        client.write(&[&[23, 3, 3, 0, 32][..], &[7; 32]].concat());
        assert_eq!(collect(&answering), (b"hello".to_vec(), "rst"));
        drop(client);
        let session = proxy.session(1);
        assert_eq!(session.endings(), ["violation", "close_notify", "fin", "reset"], "{session:#?}");
        proxy.stop();
    }
}

#[test]
fn it_listens_on_ipv6_and_on_names() {
    for listen in ["[::1]:0", "localhost:0"] {
        let (backend, upstream) = python_backend(&[], &["read-until-end", "send:answer", "close"]);
        let mut proxy = Proxy::start(upstream, &["--listen", listen]);
        let actions = ["send:hello", "close_notify", "read-until-end"];
        let options = ["--tls", number(TlsVersion::V13)];
        let report = python_tls_client(proxy.address, &proxy.files.ca, &options, &actions).report();
        assert_eq!(report.words(), ["data 6", "close_notify", "fin"], "{report:?}");
        assert_eq!(backend.report().text(), "hello");
        assert_eq!(proxy.session(1).endings(), ["close_notify", "close_notify", "fin", "fin"]);
        proxy.stop();
    }
}

/// docs/cases.md D05
#[test]
fn text_ledger_is_one_line_a_session() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut proxy = Proxy::launch(Some(&upstream.local_addr().unwrap().to_string()), &["--log", "text"]);
    bad(&proxy, b"GET / HTTP/1.1\r\n\r\n", Leave::Stay);
    bad(&proxy, b"", Leave::Fin);
    let mut client = TlsClient::connect(&proxy, TlsVersion::V12);
    let (mut answering, _) = upstream.accept().unwrap();
    client.send(b"hello");
    let end = client.close_notify();
    client.write(&end);
    answering.read_exact(&mut [0; 5]).unwrap();
    answering.write_all(b"answer").unwrap();
    drop(answering);
    client.read_to_end();
    drop(client);
    for number in 1..=3 {
        proxy.line("line of the session", |line| line.contains(&format!(" session={number} ")).then_some(()));
    }
    let mut lines = proxy.stop().lines;
    assert_eq!(lines.len(), 7, "{lines:#?}");
    for (at, event) in [(0, " started: "), (1, " listening: "), (5, " draining: "), (6, " drained: ")] {
        assert!(lines[at].starts_with("ok 20") && lines[at].contains(event), "{lines:#?}");
    }
    let mut lines = lines.drain(2..5).collect::<Vec<_>>();
    lines.sort_by_key(|line| line.split(" session=").nth(1).map(str::to_owned));
    for line in &lines[..2] {
        assert!(line.starts_with("refused 20") && line.contains(" phase=handshake "), "{lines:#?}");
    }
    assert!(lines[0].contains(" handshake=not_tls_plain_http "), "{lines:#?}");
    assert!(lines[1].contains(" handshake=truncated_boundary "), "{lines:#?}");
    assert!(lines[2].starts_with("complete 20"), "{lines:#?}");
    let ended = " client_received=close_notify client_sent=close_notify upstream_received=fin upstream_sent=fin \
                 ended_first=client bytes_from_client=5 bytes_from_upstream=6 ";
    assert!(lines[2].contains(ended) && lines[2].contains(" tls_version=TLSv1.2 "), "{lines:#?}");
}
