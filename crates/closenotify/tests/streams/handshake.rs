//! Handshakes over a transport: the deadline, the alert, what is said when it fails, and what is given back.

use crate::peer::{
    self, Configs, EACH, Side, Wire, authority, by_hand, data, done, failed, feed, output_of, read, write,
};
use closenotify::{Deadline, HandshakeError, TlsAcceptor, TlsConnector, TruncatedAt, WriteError};
use rustls::{ClientConfig, Connection, ServerConfig};
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use testkit::certs::{Authority, TlsVersion};
use testkit::executor::CountingWaker;
use testkit::transport::{DoneStep, Handle, ReadStep, WriteStep};
use tokio::time::Instant;

fn why(error: &io::Error) -> HandshakeError {
    HandshakeError::find(error).cloned().unwrap_or_else(|| match error.kind() {
        // The transport's own error is returned as it is.
        ErrorKind::ConnectionReset => HandshakeError::Reset,
        kind => HandshakeError::Failed(kind),
    })
}

/// A handshake of ours that gives its transport back, whichever side it is.
type Shaking = Pin<Box<dyn Future<Output = Result<closenotify::TlsStream<Wire>, (io::Error, Wire)>>>>;

fn shaking(side: Side, server: ServerConfig, client: ClientConfig, wire: Wire) -> Shaking {
    match side {
        Side::Client => {
            let connect = TlsConnector::from(Arc::new(client)).connect("localhost".try_into().unwrap(), wire);
            Box::pin(async move { connect.into_fallible().await.map(Into::into) })
        }
        Side::Server => {
            let accept = TlsAcceptor::from(Arc::new(server)).accept(wire);
            Box::pin(async move { accept.into_fallible().await.map(Into::into) })
        }
    }
}

fn plain(version: TlsVersion, side: Side) -> (Shaking, Handle, Connection) {
    let configs = Configs::of(version);
    let (wire, handle) = Wire::new();
    (shaking(side, configs.server.clone(), configs.client.clone(), wire), handle, configs.peer_of(side))
}

/// Carries flights until the future has answered or both wait.
fn carry(
    shaking: &mut Shaking,
    wire: &Handle,
    peer: &mut Connection,
) -> Option<Result<closenotify::TlsStream<Wire>, (io::Error, Wire)>> {
    let waker = CountingWaker::new();
    for _ in 0..8 {
        let polled = waker.poll(shaking.as_mut());
        let _ = feed(peer, &wire.take_written());
        let answer = output_of(peer);
        if !answer.is_empty() {
            wire.push_data(answer);
        }
        if let Poll::Ready(result) = polled {
            return Some(result);
        }
    }
    None
}

/// docs/cases.md R53, G05
#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_waited_for_until_the_deadline() {
    for (version, side) in EACH {
        let configs = Configs::of(version);
        for (limit, stuck) in [(None, false), (Some(Duration::from_millis(700)), false), (Some(Duration::ZERO), true)] {
            let (wire, handle) = Wire::new();
            if stuck {
                handle.push_write(WriteStep::Pending);
            }
            let start = Instant::now();
            let error = match side {
                Side::Client => {
                    let mut connector = configs.connector();
                    if let Some(limit) = limit {
                        connector = connector.handshake_timeout(limit);
                    }
                    connector.connect("localhost".try_into().unwrap(), wire).await.unwrap_err()
                }
                Side::Server => {
                    let mut acceptor = configs.acceptor();
                    if let Some(limit) = limit {
                        acceptor = acceptor.handshake_timeout(limit);
                    }
                    acceptor.accept(wire).await.unwrap_err()
                }
            };
            assert_eq!(why(&error), HandshakeError::TimedOut(Deadline::Handshake));
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            let took = start.elapsed();
            let limit = limit.unwrap_or(Duration::from_secs(10));
            assert!(took >= limit && took <= limit + Duration::from_millis(1), "{took:?}");
            assert!(handle.is_read_dropped() && handle.is_write_dropped());
        }
    }
}

/// docs/cases.md R32
#[test]
fn a_peer_that_is_refused_is_told_why_and_the_transport_comes_back() {
    by_hand(|| {
        let stranger = Authority::new();
        for version in TlsVersion::EACH {
            // A server whose certificate is of nobody that we trust.
            let configs = Configs::of(version);
            let (wire, handle) = Wire::new();
            let distrusting = ClientConfig::clone(&stranger.client_config(version));
            let mut peer = configs.peer_of(Side::Client);
            let mut shaking = shaking(Side::Client, configs.server.clone(), distrusting, wire);
            let waker = CountingWaker::new();
            assert!(waker.poll(shaking.as_mut()).is_pending());
            feed(&mut peer, &handle.take_written()).unwrap();
            handle.push_data(output_of(&mut peer));
            // The alert goes out though it is taken slowly, and flushed.
            handle.push_write(WriteStep::Accept(3));
            handle.push_write(WriteStep::Pending);
            handle.push_flush(DoneStep::Pending);
            assert!(waker.poll(shaking.as_mut()).is_pending());
            handle.release_write();
            assert!(waker.poll(shaking.as_mut()).is_pending());
            handle.release_flush();
            let Poll::Ready(Err((error, mut wire))) = waker.poll(shaking.as_mut()) else { panic!("not refused") };
            assert!(matches!(why(&error), HandshakeError::Refused(rustls::Error::InvalidCertificate(_))));
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert!(handle.unused_faults().is_empty() && handle.is_flushed());
            let seen = feed(&mut peer, &handle.take_written()).unwrap_err();
            assert!(matches!(seen, rustls::Error::AlertReceived(_)), "{seen:?}");
            // The transport is as it was.
            assert!(!handle.is_shut_down());
            assert_eq!(done(write(&waker, &mut wire, b"still here")), 10);
        }
    });
}

#[test]
fn plain_http_is_recognised() {
    by_hand(|| {
        for (version, side) in EACH {
            let (mut shaking, wire, _) = plain(version, side);
            wire.push_data(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec());
            let Poll::Ready(Err((error, _))) = CountingWaker::new().poll(shaking.as_mut()) else { panic!("no answer") };
            assert_eq!(why(&error), HandshakeError::NotTls { plain_http: true });
            assert!(error.to_string().contains("https://"), "{error}");
            assert_eq!(wire.written()[wire.written().len() - 7..], [0x15, 3, 3, 0, 2, 2, 10]);
        }
    });
}

/// docs/cases.md R13, O03
#[test]
fn an_end_of_the_transport_in_the_handshake_has_its_place() {
    by_hand(|| {
        for (version, side) in EACH {
            let truncated = |at, silent| HandshakeError::Truncated { at, silent };
            let cases = [
                (&b""[..], ReadStep::Eof, truncated(TruncatedAt::Boundary, true)),
                (&[22], ReadStep::Eof, truncated(TruncatedAt::InsideRecord, false)),
                (&[22, 3, 1, 0, 200, 1], ReadStep::Eof, truncated(TruncatedAt::InsideRecord, false)),
                (b"", ReadStep::Error(ErrorKind::ConnectionReset), HandshakeError::Reset),
                (&[22], ReadStep::Error(ErrorKind::ConnectionReset), HandshakeError::Reset),
                (b"", ReadStep::Error(ErrorKind::HostUnreachable), HandshakeError::Failed(ErrorKind::HostUnreachable)),
            ];
            for (bytes, end, expected) in cases {
                let (mut shaking, wire, _) = plain(version, side);
                if !bytes.is_empty() {
                    wire.push_data(bytes);
                }
                wire.push_read(end);
                let Poll::Ready(Err((error, _))) = CountingWaker::new().poll(shaking.as_mut()) else {
                    panic!("no answer")
                };
                assert_eq!(why(&error), expected);
                assert_eq!(error.kind(), expected.io_kind());
            }
        }
    });
}

/// The peer refused us and closed, so that our write fails: the reason is in what it sent.
/// docs/cases.md R54
#[test]
fn the_peers_alert_is_reported_though_our_write_failed() {
    by_hand(|| {
        for version in TlsVersion::EACH {
            for kind in [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset] {
                let (mut shaking, wire, _) = plain(version, Side::Client);
                wire.push_write(WriteStep::Error(kind));
                wire.push_data([0x15, 3, 3, 0, 2, 2, 40]);
                let Poll::Ready(Err((error, _))) = CountingWaker::new().poll(shaking.as_mut()) else {
                    panic!("no answer")
                };
                assert_eq!(why(&error).word(), "alert_handshake_failure");
                assert!(wire.unused_faults().is_empty());
                // Where it said nothing, the write's fault is the reason.
                for (end, expected) in [
                    (ReadStep::Eof, if kind == ErrorKind::BrokenPipe { "failed_broken_pipe" } else { "reset" }),
                    (ReadStep::Error(ErrorKind::ConnectionReset), "reset"),
                ] {
                    let (mut shaking, wire, _) = plain(version, Side::Client);
                    wire.push_write(WriteStep::Error(kind));
                    wire.push_read(end);
                    let polled = CountingWaker::new().poll(shaking.as_mut());
                    let Poll::Ready(Err((error, _))) = polled else { panic!("no answer") };
                    assert_eq!(why(&error).word(), expected);
                }
            }
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_is_the_reason_though_the_peer_stays_silent() {
    for (kind, word) in [(ErrorKind::BrokenPipe, "failed_broken_pipe"), (ErrorKind::ConnectionReset, "reset")] {
        let (shaking, wire, _) = plain(TlsVersion::V13, Side::Client);
        wire.push_write(WriteStep::Error(kind));
        let start = Instant::now();
        let (error, _) = shaking.await.unwrap_err();
        assert_eq!(why(&error).word(), word);
        assert_eq!(start.elapsed(), Duration::from_secs(10), "the peer had its time to say why");
    }
}

/// A client that sends its all and is gone before it reads our tickets: what it sent is whole and must be readable.
/// docs/cases.md O08, O09
#[test]
fn tickets_that_nobody_takes_do_not_lose_the_clients_data() {
    by_hand(|| {
        for kind in [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset] {
            let mut server = Configs::of(TlsVersion::V13).server.clone();
            server.send_tls13_tickets = 2;
            let client = Configs::of(TlsVersion::V13).client.clone();
            let mut peer = Configs::of(TlsVersion::V13).peer_of(Side::Server);
            let (wire, handle) = Wire::new();
            let mut shaking = shaking(Side::Server, server, client, wire);
            let waker = CountingWaker::new();
            handle.push_data(output_of(&mut peer));
            assert!(waker.poll(shaking.as_mut()).is_pending());
            feed(&mut peer, &handle.take_written()).unwrap();
            let mut rest = output_of(&mut peer);
            rest.extend(data(&mut peer, b"log line"));
            rest.extend(peer::close_notify(&mut peer));
            handle.push_data(rest);
            handle.push_read(ReadStep::Eof);
            handle.push_write(WriteStep::Error(kind));
            let Poll::Ready(Ok(mut stream)) = waker.poll(shaking.as_mut()) else {
                panic!("the handshake was complete")
            };
            assert!(handle.unused_faults().is_empty());
            assert_eq!(done(read(&waker, &mut stream, 100)), b"log line");
            assert_eq!(done(read(&waker, &mut stream, 100)), b"");
            assert!(stream.received_ending().unwrap().is_clean());
            assert_eq!(stream.sent_ending(), Some(&closenotify::SentEnding::Failed(kind)));
            let error = failed(write(&waker, &mut stream, b"x"));
            assert_eq!(error.kind(), kind);
            assert!(WriteError::find(&error).is_none(), "it is the transport's own");
        }
    });
}

/// A client whose Finished did not go out has no session: the server will never talk to it.
#[test]
fn a_client_that_cannot_finish_has_no_session() {
    by_hand(|| {
        for kind in [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset] {
            let (mut shaking, wire, mut peer) = plain(TlsVersion::V13, Side::Client);
            let waker = CountingWaker::new();
            assert!(waker.poll(shaking.as_mut()).is_pending());
            feed(&mut peer, &wire.take_written()).unwrap();
            wire.push_data(output_of(&mut peer));
            wire.push_write(WriteStep::Error(kind));
            let Poll::Ready(Err((error, _))) = waker.poll(shaking.as_mut()) else { panic!("no answer") };
            let expected = if kind == ErrorKind::BrokenPipe { "failed_broken_pipe" } else { "reset" };
            assert_eq!(why(&error).word(), expected);
        }
    });
}

/// R31: the last flight is written, its flush is pending: the need for it outlives the poll.
/// docs/cases.md R31
#[test]
fn a_flush_that_is_owed_is_polled_again() {
    by_hand(|| {
        for (version, side) in EACH {
            let (mut shaking, wire, mut peer) = plain(version, side);
            let waker = CountingWaker::new();
            // One for each flush that there may be.
            for _ in 0..3 {
                wire.push_flush(DoneStep::Pending);
            }
            let mut flushes = 0;
            let stream = loop {
                match waker.poll(shaking.as_mut()) {
                    Poll::Ready(result) => break result.unwrap(),
                    Poll::Pending if !wire.is_writer_parked() => {
                        assert!(wire.is_flushed());
                        feed(&mut peer, &wire.take_written()).unwrap();
                        wire.push_data(output_of(&mut peer));
                    }
                    Poll::Pending => {
                        // Polled once more it still waits.
                        assert!(waker.poll(shaking.as_mut()).is_pending());
                        assert!(!wire.is_flushed());
                        wire.release_flush();
                        flushes += 1;
                    }
                }
            };
            assert!(flushes >= 1 && wire.is_flushed());
            drop(stream);
        }
    });
}

/// Over a transport that moves one byte at a time either way.
#[test]
fn a_handshake_of_single_bytes_completes() {
    by_hand(|| {
        for (version, side) in EACH {
            let (mut shaking, wire, mut peer) = plain(version, side);
            let waker = CountingWaker::new();
            for _ in 0..10_000 {
                wire.push_write(WriteStep::Accept(1));
            }
            for _ in 0..8 {
                let polled = waker.poll(shaking.as_mut());
                feed(&mut peer, &wire.take_written()).unwrap();
                for byte in output_of(&mut peer) {
                    wire.push_data([byte]);
                }
                if let Poll::Ready(result) = polled {
                    let mut stream = result.unwrap();
                    wire.push_data(data(&mut peer, b"works"));
                    assert_eq!(done(read(&waker, &mut stream, 10)), b"works");
                    break;
                }
            }
            assert!(!peer.is_handshaking());
        }
    });
}

/// Data that came in one segment with the peer's last flight is the first that is read.
#[test]
fn data_behind_the_last_flight_is_read_without_the_transport() {
    by_hand(|| {
        for version in TlsVersion::EACH {
            let (mut shaking, wire, mut peer) = plain(version, Side::Server);
            let waker = CountingWaker::new();
            if version == TlsVersion::V12 {
                // There the client's data comes after our Finished.
                continue;
            }
            wire.push_data(output_of(&mut peer));
            assert!(waker.poll(shaking.as_mut()).is_pending());
            feed(&mut peer, &wire.take_written()).unwrap();
            let mut rest = output_of(&mut peer);
            rest.extend(data(&mut peer, b"first"));
            wire.push_data(rest);
            let Poll::Ready(Ok(mut stream)) = waker.poll(shaking.as_mut()) else { panic!("not complete") };
            let before = wire.polls();
            assert_eq!(done(read(&waker, &mut stream, 10)), b"first");
            assert_eq!(before, wire.polls());
        }
    });
}

#[test]
fn a_bad_configuration_is_an_error_of_the_future() {
    by_hand(|| {
        // A server that may not make any record.
        let mut server = Configs::of(TlsVersion::V13).server.clone();
        server.max_fragment_size = Some(5);
        let (wire, handle) = Wire::new();
        let mut accept = pin!(TlsAcceptor::from(Arc::new(server)).accept(wire));
        assert!(accept.get_ref().is_some());
        let Poll::Ready(Err(error)) = CountingWaker::new().poll(accept.as_mut()) else { panic!("accepted") };
        assert_eq!(why(&error).word(), "refused");
        assert!(accept.get_ref().is_none());
        assert_eq!(handle.written(), b"");
    });
}

/// docs/cases.md O16
#[test]
fn dropping_a_handshake_drops_the_transport_without_a_word() {
    by_hand(|| {
        for (version, side) in EACH {
            let (mut shaking, wire, _) = plain(version, side);
            let waker = CountingWaker::new();
            assert!(waker.poll(shaking.as_mut()).is_pending());
            let _ = wire.take_written();
            drop(shaking);
            assert_eq!(wire.written(), b"");
            assert!(wire.is_read_dropped() && wire.is_write_dropped());
            assert_eq!(waker.live(), 0);
        }
        let (mut whole, wire, mut peer) = plain(TlsVersion::V13, Side::Server);
        drop(carry(&mut whole, &wire, &mut peer).unwrap().unwrap());
        assert!(wire.is_write_dropped());
    });
}

#[tokio::test]
async fn session_facts_say_what_was_agreed_on() {
    let authority = authority();
    for version in TlsVersion::EACH {
        let mut server = ServerConfig::clone(&authority.server_config_requiring_client(version));
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let leaf = authority.issue_client("alice");
        let mut client = ClientConfig::clone(&authority.client_config_with(version, &leaf));
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        let (acceptor, connector) = (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)));
        for resumed in [false, true] {
            let (to_server, to_client) = tokio::io::duplex(16 * 1024);
            let (server, client) =
                tokio::join!(acceptor.accept(to_client), connector.connect("localhost".try_into().unwrap(), to_server));
            let (mut server, mut client) = (server.unwrap(), client.unwrap());
            let name = if version == TlsVersion::V12 { "TLSv1.2" } else { "TLSv1.3" };
            for facts in [server.facts(), client.facts()] {
                assert_eq!(facts.version_name(), name);
                assert!(facts.cipher_suite_name().starts_with("TLS_"), "{}", facts.cipher_suite_name());
                assert_eq!(facts.alpn_protocol(), Some(&b"http/1.1"[..]));
                assert_eq!(facts.server_name(), Some("localhost"));
                assert_eq!(facts.resumed(), resumed, "{version:?}");
            }
            assert_eq!(server.facts().peer_certificates(), Some(leaf.chain().as_slice()));
            assert_eq!(client.facts().peer_certificates().unwrap().len(), 1);
            assert_eq!(server.get_ref().1.version_name(), name);
            // The tickets arrive with the first data.
            tokio::io::AsyncWriteExt::write_all(&mut server, b"x").await.unwrap();
            tokio::io::AsyncReadExt::read_u8(&mut client).await.unwrap();
        }
        // Nothing asked for, nothing agreed on.
        let configs = Configs::of(version);
        let (to_server, to_client) = tokio::io::duplex(16 * 1024);
        let (server, _client) = tokio::join!(
            configs.acceptor().accept(to_client),
            configs.connector().connect("127.0.0.1".try_into().unwrap(), to_server)
        );
        let server = server.unwrap();
        let facts = server.facts();
        assert_eq!((facts.alpn_protocol(), facts.server_name(), facts.peer_certificates()), (None, None, None));
    }
}
