//! `tls_peer.py` tells close_notify, a bare FIN and a reset apart, and sends them apart.
//!
//! The other end is rustls over a blocking socket in a thread of its own, bounded by socket timeouts.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use testkit::certs::{Authority, TlsVersion};
use testkit::net::reset_on_close;
use testkit::peers::{python_backend, python_client, python_tls_client, run};
use testkit::report::{State, TcpEnd};

type Stream = StreamOwned<ServerConnection, TcpStream>;

const LIMIT: Duration = Duration::from_secs(20);

/// Accepts one connection, plays `part` on it, and returns what it returns.
fn serve<T: Send + 'static>(
    config: Arc<ServerConfig>,
    part: impl FnOnce(&mut Stream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let server = thread::spawn(move || {
        let (socket, _) = listener.accept().expect("the client connects");
        socket.set_read_timeout(Some(LIMIT)).expect("a timeout that is not zero");
        socket.set_write_timeout(Some(LIMIT)).expect("a timeout that is not zero");
        let connection = ServerConnection::new(config).expect("a valid configuration");
        part(&mut StreamOwned::new(connection, socket))
    });
    (address, server)
}

/// Data, then how it ended: `close_notify`, `fin` (none before it) or the error's kind.
fn read_to_end(stream: &mut impl Read) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut all = Vec::new();
    let end = stream.read_to_end(&mut all);
    (all, end.map(|_| ()).map_err(|error| error.kind()))
}

fn send_close_notify(stream: &mut Stream) -> io::Result<()> {
    stream.conn.send_close_notify();
    stream.conn.complete_io(&mut stream.sock).map(|_| ())
}

/// docs/cases.md O10
#[test]
fn client_sees_close_notify_then_fin() {
    for version in TlsVersion::EACH {
        let authority = Authority::new();
        let files = authority.write_pem_files();
        let (address, server) = serve(authority.server_config(version), |stream| {
            stream.write_all(b"hello").expect("the client reads");
            send_close_notify(stream).expect("the client reads");
            stream.sock.shutdown(Shutdown::Write).expect("the client is there");
            read_to_end(stream)
        });
        let actions = ["read-until-end", "send:late", "close_notify+fin"];
        let report = python_tls_client(address, &files.ca, &[], &actions).report();
        assert_eq!(report.words(), ["data 5", "close_notify", "fin"], "{report:?}");
        assert_eq!((report.state, report.tcp), (State::CloseNotify, Some(TcpEnd::Fin)));
        assert_eq!(report.text(), "hello");
        assert!(report.done, "{report:?}");
        let expected = if version == TlsVersion::V12 { "TLSv1.2" } else { "TLSv1.3" };
        assert_eq!(report.tls.as_deref(), Some(expected));
        let (data, end) = server.join().expect("the server does not panic");
        assert_eq!((data.as_slice(), end), (&b"late"[..], Ok(())), "sending outlives the peer's close_notify");
    }
}

#[test]
fn client_sees_bare_fin_as_truncation() {
    for version in TlsVersion::EACH {
        let authority = Authority::new();
        let files = authority.write_pem_files();
        let (address, server) = serve(authority.server_config(version), |stream| {
            stream.write_all(b"cut").expect("the client reads");
            stream.sock.shutdown(Shutdown::Write).expect("the client is there");
            read_to_end(stream)
        });
        let report = python_tls_client(address, &files.ca, &[], &["read-until-end", "close_notify+fin"]).report();
        assert_eq!(report.words(), ["data 3", "fin"], "{report:?}");
        assert_eq!((report.state, report.tcp), (State::Truncated, Some(TcpEnd::Fin)));
        let (_, end) = server.join().expect("the server does not panic");
        assert_eq!(end, Ok(()));
    }
}

#[test]
fn client_sees_reset() {
    let authority = Authority::new();
    let files = authority.write_pem_files();
    let (address, server) = serve(authority.server_config(TlsVersion::Both), |stream| {
        let mut four = [0; 4];
        stream.read_exact(&mut four).expect("the client sends four bytes");
        reset_on_close(&stream.sock);
    });
    let report = python_tls_client(address, &files.ca, &[], &["send:four", "read-until-end"]).report();
    server.join().expect("the server does not panic");
    assert_eq!(report.words(), ["rst"], "{report:?}");
    assert_eq!((report.state, report.tcp), (State::Rst, Some(TcpEnd::Rst)));
}

#[test]
fn client_says_what_lay_behind_close_notify() {
    let authority = Authority::new();
    let files = authority.write_pem_files();
    let (address, server) = serve(authority.server_config(TlsVersion::Both), |stream| {
        stream.write_all(b"x").expect("the client reads");
        send_close_notify(stream).expect("the client reads");
        stream.sock.write_all(b"ten bytes!").expect("the client reads");
        stream.sock.shutdown(Shutdown::Write).expect("the client is there");
        read_to_end(stream)
    });
    let report = python_tls_client(address, &files.ca, &[], &["read-until-end", "close_notify+fin"]).report();
    assert_eq!(report.words(), ["data 1", "close_notify", "trailing 10", "fin"], "{report:?}");
    server.join().expect("the server does not panic").1.expect("the client closed");
}

#[test]
fn server_receives_what_the_actions_say() {
    let cases: [(&[&str], Result<(), ErrorKind>); 4] = [
        (&["send:hello+close_notify", "read:1"], Ok(())),
        (&["send:hello+close_notify+raw:17", "fin", "read-until-end"], Ok(())),
        (&["send:hello+fin", "read-until-end"], Err(ErrorKind::UnexpectedEof)),
        (&["send:hello", "read:1", "rst"], Err(ErrorKind::ConnectionReset)),
    ];
    for version in TlsVersion::EACH {
        for (actions, expected) in cases {
            let authority = Authority::new();
            let files = authority.write_pem_files();
            let (address, server) = serve(authority.server_config(version), move |stream| {
                let mut hello = [0; 5];
                stream.read_exact(&mut hello).expect("the client sends hello");
                stream.write_all(b"!").expect("the client is there or just gone");
                let end = read_to_end(stream);
                (hello, end)
            });
            let report = python_tls_client(address, &files.ca, &[], actions).report();
            let (hello, (more, end)) = server.join().expect("the server does not panic");
            assert_eq!(&hello, b"hello");
            assert_eq!((more.as_slice(), end), (&b""[..], expected), "{version:?} {actions:?} {report:?}");
            assert!(report.done, "{report:?}");
        }
    }
}

#[test]
fn large_data_both_ways_arrives_whole() {
    let authority = Authority::new();
    let files = authority.write_pem_files();
    let (address, server) = serve(authority.server_config(TlsVersion::Both), |stream| {
        let mut space = vec![0; 100_000];
        let mut echoed = 0;
        loop {
            let n = stream.read(&mut space).expect("the client closes with close_notify");
            if n == 0 {
                break;
            }
            stream.write_all(&space[..n]).expect("the client reads while it sends");
            echoed += n;
        }
        send_close_notify(stream).expect("the client reads");
        echoed
    });
    let actions = ["send-size:5000000", "close_notify", "read-until-end"];
    let report = python_tls_client(address, &files.ca, &[], &actions).report();
    assert_eq!(server.join().expect("the server does not panic"), 5_000_000, "{report:?}");
    assert_eq!((report.received, report.state), (5_000_000, State::CloseNotify), "{report:?}");
}

#[test]
fn client_names_the_alert_it_was_sent() {
    let authority = Authority::new();
    let files = authority.write_pem_files();
    let config = authority.server_config_requiring_client(TlsVersion::V12);
    let (address, server) = serve(config, |stream| {
        let failed = stream.conn.complete_io(&mut stream.sock).is_err();
        // The alert is on its way out.
        let _ = stream.conn.complete_io(&mut stream.sock);
        failed
    });
    let report = python_tls_client(address, &files.ca, &[], &["read-until-end"]).report();
    assert!(server.join().expect("the server does not panic"), "a client without a certificate is refused");
    assert_eq!(report.words().first().map(String::as_str), Some("alert 116"), "{report:?}");
    assert!(!report.done && report.state == State::Alert, "{report:?}");
}

#[test]
fn client_refuses_an_expired_certificate() {
    let authority = Authority::new();
    let files = authority.write_pem_files();
    for leaf in [
        authority.issue_expired(&["127.0.0.1"]),
        authority.issue_not_yet_valid(&["127.0.0.1"]),
        authority.issue(&["other.test"]),
        Authority::new().issue(&["127.0.0.1"]),
    ] {
        let config = authority.server_config_with(TlsVersion::Both, &leaf);
        let (address, server) = serve(config, |stream| stream.read(&mut [0]).is_err());
        let report = python_tls_client(address, &files.ca, &[], &["send:x"]).report();
        assert!(server.join().expect("the server does not panic"), "{report:?}");
        assert!(report.failure.as_deref().is_some_and(|why| why.contains("VERIFY_FAILED")), "{report:?}");
    }
}

#[test]
fn plain_backend_plays_fin_and_reset() {
    let (backend, address) = python_backend(&[], &["read:4", "send:answer+fin", "read-until-end"]);
    let mut socket = TcpStream::connect(address).expect("the backend listens");
    socket.write_all(b"ping").expect("the backend reads");
    let (answer, end) = read_to_end(&mut socket);
    assert_eq!((answer.as_slice(), end), (&b"answer"[..], Ok(())));
    socket.write_all(b"more").expect("the backend still reads");
    drop(socket);
    let report = backend.report();
    assert_eq!((report.text().as_str(), report.state), ("pingmore", State::Fin), "{report:?}");

    let (backend, address) = python_backend(&[], &["send:part", "read:1", "rst"]);
    let mut socket = TcpStream::connect(address).expect("the backend listens");
    let mut part = [0; 4];
    socket.read_exact(&mut part).expect("the part comes first");
    socket.write_all(b"!").expect("the backend reads");
    assert_eq!(read_to_end(&mut socket).1, Err(ErrorKind::ConnectionReset));
    assert!(backend.report().done);
}

#[test]
fn tls_backend_talks_to_the_tls_client() {
    let authority = Authority::new();
    let files = authority.write_pem_files();
    let path = |file: &std::path::Path| file.to_str().expect("a temporary folder is named in UTF-8").to_owned();
    let (cert, key) = (path(&files.cert), path(&files.key));
    let options = ["--cert", &cert, "--key", &key];
    let (backend, address) = python_backend(&options, &["echo", "close_notify+fin"]);
    let actions = ["send:a\\x2bb", "read:3", "close_notify", "read-until-end"];
    let client = python_tls_client(address, &files.ca, &["--hold-last-flight"], &actions).report();
    assert_eq!((client.text().as_str(), client.state), ("a+b", State::CloseNotify), "{client:?}");
    assert_eq!(backend.report().state, State::CloseNotify);
}

#[test]
fn run_is_bounded_in_time() {
    let late =
        run(python_client("tls_peer.py").args(["listen", "--", "read-until-end"]), b"", Duration::from_millis(300));
    assert!(late.timed_out && !late.status.success(), "{late}");
    let own =
        run(python_client("tls_peer.py").args(["listen", "--timeout", "0.2", "--", "read-until-end"]), b"", LIMIT);
    assert_eq!(own.status.code(), Some(5), "{own}");
    let wrong = run(python_client("tls_peer.py").args(["listen", "--", "no-such-action"]), b"", LIMIT);
    assert_eq!(wrong.status.code(), Some(2), "{wrong}");
}
