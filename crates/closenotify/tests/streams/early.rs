//! Early data on both sides: whole or not there, in order, once; and every session that began with it ends as any other.

use crate::peer::{self, Wire, by_hand, data, done, failed, feed, output_of, read, write};
use closenotify::{
    Deadline, EarlyStream, Ended, HandshakeError, LazyConfigAcceptor, Linger, ReceivedEnding, SentEnding, TlsAcceptor,
    TlsConnector, TruncatedAt,
};
use rustls::client::Resumption;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig};
use std::io::{self, ErrorKind, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use testkit::executor::{CountingWaker, Strict};
use testkit::tickets::early_configs;
use testkit::transport::{Handle, ReadStep, WriteStep};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::time::Instant;

/// What our client says early where the ticket allows 16 KiB or more; the rest of what it says first follows.
const EARLY_MOST: usize = 16_384 / 4 - 17;

/// What a server does with early data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serving {
    /// Reads it where it comes, and answers before the client has finished.
    Early,
    /// The same, with no leave to answer before the client has finished.
    EarlyAnswersLate,
    /// Goes on to the session at once.
    Finishing,
    /// Refuses it by `accept`.
    Refusing,
    /// Refuses it because another protocol was chosen than the ticket was made for.
    OtherProtocol,
}

const SERVING: [Serving; 5] =
    [Serving::Early, Serving::EarlyAnswersLate, Serving::Finishing, Serving::Refusing, Serving::OtherProtocol];

impl Serving {
    fn accepts(self) -> bool {
        matches!(self, Self::Early | Self::EarlyAnswersLate | Self::Finishing)
    }

    fn endpoints(self, ticket: bool) -> (TlsAcceptor, TlsConnector) {
        let (mut server, mut client) = early_configs(100_000);
        if !ticket {
            client.resumption = Resumption::disabled();
        }
        if self == Self::EarlyAnswersLate {
            server.send_half_rtt_data = false;
        }
        if self == Self::OtherProtocol {
            server.alpn_protocols = vec![b"other".to_vec()];
            client.alpn_protocols = vec![b"other".to_vec()];
        }
        // The call is leave enough.
        client.enable_early_data = false;
        (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
    }
}

fn name() -> rustls::pki_types::ServerName<'static> {
    "localhost".try_into().unwrap()
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

fn why(error: &io::Error) -> HandshakeError {
    HandshakeError::find(error).cloned().unwrap_or_else(|| match error.kind() {
        // The transport's own error is returned as it is.
        ErrorKind::ConnectionReset => HandshakeError::Reset,
        kind => HandshakeError::Failed(kind),
    })
}

/// What one side got, and how it ended.
type Got = (Vec<u8>, Option<u64>, Ended);

/// Says `early`, more, and is done: at once, as a client that has nothing else to say.
async fn client(connector: TlsConnector, io: tokio::io::DuplexStream, early: Vec<u8>) -> Got {
    let mut stream = connector.connect_early(name(), io, early).await.unwrap();
    stream.write_all(b" and more").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    (answer, stream.facts().early_data(), stream.close(Linger::default()).await)
}

async fn server(acceptor: TlsAcceptor, io: tokio::io::DuplexStream, serving: Serving) -> Got {
    let mut got = Vec::new();
    let mut stream = match serving {
        Serving::Refusing => acceptor.accept(io).await.unwrap(),
        Serving::Finishing => acceptor.accept_early(io).await.unwrap().finish().await.unwrap(),
        Serving::Early | Serving::EarlyAnswersLate | Serving::OtherProtocol => {
            let mut early = acceptor.accept_early(io).await.unwrap();
            early.write_all(b"the answer").await.unwrap();
            early.read_to_end(&mut got).await.unwrap();
            early.finish().await.unwrap()
        }
    };
    stream.read_to_end(&mut got).await.unwrap();
    if !matches!(serving, Serving::Early | Serving::EarlyAnswersLate | Serving::OtherProtocol) {
        stream.write_all(b"the answer").await.unwrap();
    }
    (got, stream.facts().early_data(), stream.close(Linger::default()).await)
}

/// docs/cases.md R17, R26
#[test]
fn both_sides_end_with_close_notify_whatever_became_of_the_early_data() {
    by_hand(|| {
        for serving in SERVING {
            for ticket in [true, false] {
                for (length, room) in [(1, 64 * 1024), (5_000, 64 * 1024), (5_000, 7), (60_000, 1_000)] {
                    let case = format!("{serving:?}, ticket: {ticket}, {length} through {room}");
                    let (acceptor, connector) = serving.endpoints(ticket);
                    let (to_server, to_client) = duplex(room);
                    let mut strict = Strict::new();
                    let client = strict.spawn("client", client(connector, to_server, bytes(length)));
                    let server = strict.spawn("server", server(acceptor, to_client, serving));
                    strict.finish(1_000_000);
                    let (said, at_server, served) = server.take().unwrap();
                    let (answer, at_client, ended) = client.take().unwrap();
                    assert!(said == [&bytes(length)[..], b" and more"].concat(), "{case}: {} bytes", said.len());
                    assert_eq!(answer, b"the answer", "{case}");
                    let accepted = (ticket && serving.accepts()).then_some(length.min(EARLY_MOST) as u64);
                    assert_eq!((at_client, at_server), (accepted, accepted), "{case}");
                    assert!(served.is_clean() && ended.is_clean(), "{case}: {served}; {ended}");
                    assert_eq!((client.self_wakes(), server.self_wakes()), (0, 0), "{case}");
                }
            }
        }
    });
}

/// The client reads while what it says first is still on its way, else both sides would wait for the other to read.
/// docs/cases.md R26
#[test]
fn a_server_may_answer_what_is_said_first_at_length_before_it_has_read_it() {
    by_hand(|| {
        for half_rtt in [true, false] {
            let (mut server, client) = early_configs(300_000);
            server.send_half_rtt_data = half_rtt;
            let (acceptor, connector) = (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)));
            let (to_server, to_client) = duplex(1_000);
            let mut strict = Strict::new();
            strict.spawn("server", async move {
                let mut early = acceptor.accept_early(to_client).await.unwrap();
                let mut chunk = vec![0; 30_000];
                loop {
                    let read = early.read(&mut chunk).await.unwrap();
                    if read == 0 {
                        break;
                    }
                    early.write_all(&chunk[..read]).await.unwrap();
                }
                let mut stream = early.finish().await.unwrap();
                let mut rest = 200_000 - EARLY_MOST;
                while rest > 0 {
                    let read = stream.read(&mut chunk).await.unwrap();
                    stream.write_all(&chunk[..read]).await.unwrap();
                    rest -= read;
                }
                stream.flush().await.unwrap();
                assert_eq!(stream.read(&mut chunk).await.unwrap(), 0);
                assert!(stream.close(Linger::default()).await.is_clean());
            });
            let client = strict.spawn("client", async move {
                let mut stream = connector.connect_early(name(), to_server, bytes(200_000)).await.unwrap();
                assert_eq!(stream.facts().early_data(), Some(EARLY_MOST as u64));
                let mut echo = vec![0; 200_000];
                stream.read_exact(&mut echo).await.unwrap();
                assert!(stream.close(Linger::default()).await.is_clean());
                echo
            });
            strict.finish(1_000_000);
            assert!(client.take().unwrap() == bytes(200_000));
        }
    });
}

/// A server of ours at the early data, and a client of plain rustls that has said `early` and what `end` adds.
struct Met {
    early: EarlyStream<Wire>,
    wire: Handle,
    peer: Connection,
}

fn peer_of(client: &ClientConfig, early: &[u8]) -> Connection {
    let mut peer = ClientConnection::new(client.clone().into(), name()).unwrap();
    peer.early_data().unwrap().write_all(early).unwrap();
    peer.into()
}

fn meet(server: ServerConfig, client: &ClientConfig, early: &[u8]) -> Met {
    let mut peer = peer_of(client, early);
    let (wire, handle) = Wire::new();
    handle.push_data(output_of(&mut peer));
    let mut accept = pin!(TlsAcceptor::from(Arc::new(server)).accept_early(wire));
    let Poll::Ready(accepted) = CountingWaker::new().poll(accept.as_mut()) else { panic!("no early data") };
    Met { early: accepted.unwrap(), wire: handle, peer }
}

/// The peer's answer to what we have written.
fn answer(met: &mut Met) -> Vec<u8> {
    feed(&mut met.peer, &met.wire.take_written()).unwrap();
    output_of(&mut met.peer)
}

/// docs/cases.md R17
#[test]
fn early_data_is_answered_before_the_client_has_finished_and_closed_behind_it() {
    by_hand(|| {
        let (server, client) = early_configs(1_000);
        let mut met = meet(server, &client, b"hello");
        let waker = CountingWaker::new();
        assert_eq!(met.early.facts().unwrap().early_data(), Some(5), "so much has arrived");
        assert_eq!(done(read(&waker, &mut met.early, 3)), b"hel");
        assert_eq!(done(read(&waker, &mut met.early, 0)), b"");
        assert_eq!(done(read(&waker, &mut met.early, 3)), b"lo");
        assert!(read(&waker, &mut met.early, 3).is_pending());
        assert_eq!(met.early.facts().unwrap().early_data(), Some(5));
        assert_eq!(done(write(&waker, &mut met.early, b"hi")), 2);
        done(peer::flush(&waker, &mut met.early));
        // Nothing behind a close_notify: it waits for the client, behind whose Finished there may be more to send.
        assert!(peer::shutdown(&waker, &mut met.early).is_pending());
        assert!(!met.wire.is_shut_down());
        assert_eq!(peer::read_at(&mut met.peer, &met.wire.take_written()), (b"hi".to_vec(), Ok(false)));
        assert_eq!(waker.wakes(), 0);
        let finished = output_of(&mut met.peer);
        met.wire.push_data(finished);
        assert!(waker.take_wakes() > 0);
        done(peer::shutdown(&waker, &mut met.early));
        assert!(met.wire.is_shut_down());
        assert_eq!(peer::read_at(&mut met.peer, &met.wire.take_written()), (Vec::new(), Ok(true)));
        assert_eq!(done(read(&waker, &mut met.early, 3)), b"");
        assert_eq!(failed(write(&waker, &mut met.early, b"x")).kind(), ErrorKind::BrokenPipe);
        let Poll::Ready(Ok(mut stream)) = waker.poll(pin!(met.early.finish()).as_mut()) else { panic!("not finished") };
        assert_eq!(stream.sent_ending(), Some(&SentEnding::CloseNotify));
        met.wire.push_data(data(&mut met.peer, b"more"));
        assert_eq!(done(read(&waker, &mut stream, 9)), b"more");
        met.wire.push_data(peer::close_notify(&mut met.peer));
        assert_eq!(done(read(&waker, &mut stream, 9)), b"");
        assert!(stream.received_ending().unwrap().is_clean());
    });
}

#[test]
fn early_data_that_was_not_read_is_kept_for_the_reader_of_either_stream() {
    by_hand(|| {
        let (mut server, client) = early_configs(1_000);
        server.send_half_rtt_data = false;
        for finish in [false, true] {
            let mut met = meet(server.clone(), &client, b"hello");
            let waker = CountingWaker::new();
            assert_eq!(done(read(&waker, &mut met.early, 2)), b"he");
            // A write waits for the client to finish, and so takes in what there is.
            assert!(write(&waker, &mut met.early, b"hi").is_pending());
            let finished = answer(&mut met);
            met.wire.push_data(finished);
            assert_eq!(done(write(&waker, &mut met.early, b"hi")), 2);
            assert_eq!(peer::read_at(&mut met.peer, &met.wire.take_written()).0, b"hi");
            if finish {
                let Poll::Ready(Ok(mut stream)) = waker.poll(pin!(met.early.finish()).as_mut()) else { panic!() };
                assert_eq!(stream.facts().early_data(), Some(5));
                met.wire.push_data(data(&mut met.peer, b", world"));
                assert_eq!(done(read(&waker, &mut stream, 2)), b"ll");
                assert_eq!(done(read(&waker, &mut stream, 20)), b"o");
                assert_eq!(done(read(&waker, &mut stream, 20)), b", world");
            } else {
                assert_eq!(done(read(&waker, &mut met.early, 2)), b"ll");
                assert_eq!(done(read(&waker, &mut met.early, 2)), b"o");
                met.wire.push_data(data(&mut met.peer, b"in the session"));
                assert_eq!(done(read(&waker, &mut met.early, 2)), b"", "what follows is the session's");
            }
        }
    });
}

/// A failure in front of the early data gives the transport back, as that of any other handshake.
#[test]
fn a_handshake_that_fails_before_early_data_gives_the_transport_back() {
    by_hand(|| {
        let (server, _) = early_configs(1_000);
        let (wire, handle) = Wire::new();
        handle.push_data(*b"GET / HTTP/1.1\r\n\r\n");
        let accept = TlsAcceptor::from(Arc::new(server)).accept_early(wire);
        assert!(accept.get_ref().is_some());
        let mut accept = pin!(accept.into_fallible());
        let Poll::Ready(Err((error, wire))) = CountingWaker::new().poll(accept.as_mut()) else { panic!("no failure") };
        assert_eq!(why(&error), HandshakeError::NotTls { plain_http: true });
        assert!(!handle.is_write_dropped());
        drop(wire);
        assert!(handle.is_write_dropped());
    });
}

/// A server that chooses its configuration by the ClientHello hears early data, too, or refuses it.
#[test]
fn early_data_is_heard_behind_a_hello_that_was_looked_at() {
    by_hand(|| {
        let (server, client) = early_configs(1_000);
        for accepting in [true, false] {
            let mut peer = peer_of(&client, b"hello");
            let (wire, handle) = Wire::new();
            handle.push_data(output_of(&mut peer));
            let waker = CountingWaker::new();
            let Poll::Ready(start) = waker.poll(pin!(LazyConfigAcceptor::new(wire)).as_mut()) else {
                panic!("no hello")
            };
            let start = start.unwrap();
            assert_eq!(start.client_hello().server_name(), Some("localhost"));
            let config = Arc::new(server.clone());
            let mut stream = if accepting {
                let accept = start.into_early(config).into_fallible();
                let Poll::Ready(Ok(early)) = waker.poll(pin!(accept).as_mut()) else { panic!("no early data") };
                let mut met = Met { early, wire: handle.clone(), peer };
                assert_eq!(done(read(&waker, &mut met.early, 9)), b"hello");
                assert_eq!(done(write(&waker, &mut met.early, b"hi")), 2);
                let finished = answer(&mut met);
                handle.push_data(finished);
                peer = met.peer;
                let Poll::Ready(Ok(stream)) = waker.poll(pin!(met.early.finish()).as_mut()) else {
                    panic!("not finished")
                };
                stream
            } else {
                let mut accept = pin!(start.into_stream(config));
                assert!(waker.poll(accept.as_mut()).is_pending());
                feed(&mut peer, &handle.take_written()).unwrap();
                handle.push_data(output_of(&mut peer));
                let Poll::Ready(Ok(stream)) = waker.poll(accept.as_mut()) else { panic!("not complete") };
                stream
            };
            assert_eq!(stream.facts().early_data(), accepting.then_some(5));
            handle.push_data(data(&mut peer, b"more"));
            assert_eq!(done(read(&waker, &mut stream, 9)), b"more");
        }
    });
}

/// The transport is not read while early data waits for its reader: the client cannot make us hold more than a record of it.
#[test]
fn early_data_that_nobody_reads_stays_with_the_client() {
    by_hand(|| {
        let (server, client) = early_configs(100_000);
        // That early data is accepted is known when some has arrived.
        let mut met = meet(server, &client, &bytes(10_000));
        let mut said = |length| {
            let Connection::Client(peer) = &mut met.peer else { unreachable!() };
            peer.early_data().unwrap().write_all(&bytes(length)).unwrap();
            output_of(&mut met.peer)
        };
        for _ in 0..7 {
            met.wire.push_data(said(10_000));
        }
        let waker = CountingWaker::new();
        let before = met.wire.polls().read;
        assert!(before <= 3, "the ClientHello and a record: {before}");
        let (mut got, mut most) = (0, 0);
        while got < 80_000 {
            let polls = met.wire.polls().read;
            let read = done(read(&waker, &mut met.early, 1_000)).len();
            most = most.max(met.wire.polls().read - polls);
            got += read;
            // A read of the transport is 8 KiB at most here, and a record is 10,000 bytes.
            assert!(met.wire.polls().read <= before + 2 * (got as u64 / 10_000 + 1) + 1, "{got}");
        }
        assert!(most <= 2, "{most}");
    });
}

/// Two tasks: one reads, the other writes, and may not before the client has finished. Both wait for the same bytes.
/// docs/cases.md R26
#[test]
fn a_reader_and_a_writer_that_wait_for_the_client_are_both_woken() {
    by_hand(|| {
        let (mut server, client) = early_configs(1_000);
        server.send_half_rtt_data = false;
        for writer_last in [false, true] {
            let mut met = meet(server.clone(), &client, b"hello");
            let (reader, writer) = (CountingWaker::new(), CountingWaker::new());
            assert_eq!(done(read(&reader, &mut met.early, 9)), b"hello");
            if writer_last {
                assert!(read(&reader, &mut met.early, 9).is_pending());
                assert!(write(&writer, &mut met.early, b"hi").is_pending());
            } else {
                assert!(write(&writer, &mut met.early, b"hi").is_pending());
                assert!(read(&reader, &mut met.early, 9).is_pending());
            }
            let finished = answer(&mut met);
            met.wire.push_data(finished);
            assert_eq!((reader.take_wakes(), writer.take_wakes()), (1, 1));
            assert_eq!(done(write(&writer, &mut met.early, b"hi")), 2);
            assert_eq!(done(read(&reader, &mut met.early, 9)), b"");
            // The one's success does not leave the other waiting for nothing.
            let mut met = meet(server.clone(), &client, b"hello");
            assert_eq!(done(read(&reader, &mut met.early, 9)), b"hello");
            assert!(read(&reader, &mut met.early, 9).is_pending());
            assert!(write(&writer, &mut met.early, b"hi").is_pending());
            met.wire.push_read(ReadStep::Eof);
            let before = reader.take_wakes();
            assert_eq!(failed(write(&writer, &mut met.early, b"hi")).kind(), ErrorKind::UnexpectedEof);
            assert!(before > 0);
            assert_eq!(failed(read(&reader, &mut met.early, 9)).kind(), ErrorKind::UnexpectedEof);
            let _ = writer.take_wakes();
        }
    });
}

#[test]
fn a_cut_in_early_data_is_an_error_for_every_operation_and_stays_one() {
    by_hand(|| {
        let (server, client) = early_configs(1_000);
        for operation in ["read", "finish", "shutdown"] {
            for (end, expected) in [
                (ReadStep::Eof, HandshakeError::Truncated { at: TruncatedAt::Boundary, silent: false }),
                (ReadStep::Error(ErrorKind::ConnectionReset), HandshakeError::Reset),
            ] {
                for finishing in [false, true] {
                    let mut met = meet(server.clone(), &client, b"hello");
                    let waker = CountingWaker::new();
                    assert_eq!(done(read(&waker, &mut met.early, 9)), b"hello");
                    let mut expected = expected.clone();
                    if finishing {
                        // All but the last byte of the Finished.
                        let mut finished = answer(&mut met);
                        finished.pop();
                        met.wire.push_data(finished);
                        if let HandshakeError::Truncated { at, .. } = &mut expected {
                            *at = TruncatedAt::InsideRecord;
                        }
                    }
                    met.wire.push_read(end.clone());
                    let error = match operation {
                        "read" => {
                            let error = failed(read(&waker, &mut met.early, 9));
                            let again = failed(read(&waker, &mut met.early, 9));
                            assert_eq!(why(&again), why(&error));
                            assert_eq!(why(&failed(write(&waker, &mut met.early, b"x"))), why(&error));
                            assert!(met.early.facts().is_none());
                            error
                        }
                        "shutdown" => failed(peer::shutdown(&waker, &mut met.early)),
                        _ => match waker.poll(pin!(met.early.finish()).as_mut()) {
                            Poll::Ready(result) => result.unwrap_err(),
                            Poll::Pending => panic!("pending"),
                        },
                    };
                    assert_eq!(why(&error), expected, "{operation} {finishing}");
                    assert_eq!(error.kind(), expected.io_kind());
                    assert_eq!(waker.wakes(), 0);
                }
            }
        }
    });
}

#[test]
fn an_alert_in_early_data_is_an_error_and_the_client_is_told() {
    by_hand(|| {
        let (server, client) = early_configs(1_000);
        let mut met = meet(server.clone(), &client, b"hello");
        let waker = CountingWaker::new();
        met.wire.push_data(peer::close_notify(&mut met.peer));
        assert_eq!(done(read(&waker, &mut met.early, 9)), b"hello");
        let error = failed(read(&waker, &mut met.early, 9));
        assert_eq!(why(&error).word(), "alert_close_notify");
        // More than it may: the alert goes out before the error is answered.
        let mut less = server;
        less.max_early_data_size = 3;
        let mut peer = peer_of(&client, b"hello");
        let (wire, handle) = Wire::new();
        handle.push_data(output_of(&mut peer));
        handle.push_write(WriteStep::Pending);
        let mut accept = pin!(TlsAcceptor::from(Arc::new(less)).accept_early(wire));
        assert!(waker.poll(accept.as_mut()).is_pending());
        handle.release_write();
        assert_eq!(waker.take_wakes(), 1);
        let Poll::Ready(Err(error)) = waker.poll(accept.as_mut()) else { panic!("not refused") };
        assert_eq!(why(&error).word(), "refused");
        let told = feed(&mut peer, &handle.take_written()).unwrap_err();
        assert_eq!(told, rustls::Error::AlertReceived(rustls::AlertDescription::UnexpectedMessage));
    });
}

#[tokio::test(start_paused = true)]
async fn a_client_that_falls_silent_in_its_early_data_is_waited_for_until_the_deadline() {
    let (server, client) = early_configs(1_000);
    let mut late = server.clone();
    late.send_half_rtt_data = false;
    for operation in ["read", "write", "write that waits", "finish", "shutdown"] {
        let config = if operation == "write that waits" { late.clone() } else { server.clone() };
        let start = Instant::now();
        let mut met = meet(config, &client, b"hello");
        let mut word = [0; 5];
        met.early.read_exact(&mut word).await.unwrap();
        let result = match operation {
            "read" => met.early.read(&mut word).await.map(drop),
            "write" => {
                met.wire.push_write(WriteStep::Pending);
                met.early.write_all(b"taken").await.unwrap();
                met.early.write_all(b"not taken").await
            }
            "write that waits" => met.early.write_all(b"hi").await,
            "shutdown" => met.early.shutdown().await,
            _ => met.early.finish().await.map(drop),
        };
        assert_eq!(why(&result.unwrap_err()), HandshakeError::TimedOut(Deadline::Handshake), "{operation}");
        let took = start.elapsed();
        assert!(took >= Duration::from_secs(10) && took <= Duration::from_millis(10_002), "{operation}: {took:?}");
    }
}

/// Two tasks: the one waits for the client's bytes, the other for it to take ours.
#[tokio::test(start_paused = true)]
async fn the_deadline_wakes_a_reader_and_a_writer_both() {
    let (server, client) = early_configs(1_000);
    let mut met = meet(server, &client, b"hello");
    let (reader, writer) = (CountingWaker::new(), CountingWaker::new());
    assert_eq!(done(read(&reader, &mut met.early, 9)), b"hello");
    met.wire.push_write(WriteStep::Pending);
    assert_eq!(done(write(&writer, &mut met.early, b"taken")), 5);
    assert!(read(&reader, &mut met.early, 9).is_pending());
    assert!(write(&writer, &mut met.early, b"not taken").is_pending());
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!((reader.take_wakes(), writer.take_wakes()), (1, 1));
    let late = HandshakeError::TimedOut(Deadline::Handshake);
    assert_eq!(why(&failed(read(&reader, &mut met.early, 9))), late);
    assert_eq!(why(&failed(write(&writer, &mut met.early, b"x"))), late);
}

/// What is there is taken in however long the owner has taken; the clock is looked at only where the client must be waited for.
#[tokio::test(start_paused = true)]
async fn an_owner_that_takes_its_time_finishes_with_what_has_arrived() {
    let (server, client) = early_configs(1_000);
    let mut met = meet(server, &client, b"hello");
    let finished = answer(&mut met);
    met.wire.push_data(finished);
    tokio::time::advance(Duration::from_secs(60)).await;
    let mut stream = met.early.finish().await.unwrap();
    let mut word = [0; 5];
    stream.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"hello");
}

#[test]
fn dropping_at_any_stage_drops_the_transport_without_a_word() {
    by_hand(|| {
        let (server, client) = early_configs(1_000);
        let waker = CountingWaker::new();
        // A client under way.
        let (wire, handle) = Wire::new();
        let mut connect =
            Box::pin(TlsConnector::from(Arc::new(client.clone())).connect_early(name(), wire, &b"hello"[..]));
        assert!(waker.poll(connect.as_mut()).is_pending());
        assert!(connect.get_ref().is_some());
        let _ = handle.take_written();
        drop(connect);
        assert!(handle.written().is_empty() && handle.is_read_dropped() && handle.is_write_dropped());
        // A server before any ClientHello.
        let (wire, handle) = Wire::new();
        let mut accept = Box::pin(TlsAcceptor::from(Arc::new(server.clone())).accept_early(wire));
        assert!(waker.poll(accept.as_mut()).is_pending());
        drop(accept);
        assert!(handle.written().is_empty() && handle.is_write_dropped());
        // A server at its early data, and one that waits for the client to finish.
        for finishing in [false, true] {
            let mut met = meet(server.clone(), &client, b"hello");
            let _ = met.wire.take_written();
            assert!(met.early.get_ref().is_some());
            if finishing {
                let mut finish = Box::pin(met.early.finish());
                assert!(waker.poll(finish.as_mut()).is_pending());
                drop(finish);
            } else {
                assert_eq!(done(read(&waker, &mut met.early, 9)), b"hello");
                assert!(read(&waker, &mut met.early, 9).is_pending());
                drop(met.early);
            }
            assert!(met.wire.written().is_empty() && met.wire.is_write_dropped());
        }
        assert_eq!((waker.live(), waker.wakes()), (0, 0));
    });
}

/// The server answers at length before it takes all of what is said first. The stream must be read then: any of its operations
/// takes on what is not written.
#[test]
fn what_is_not_written_yet_goes_out_with_any_operation_of_the_stream() {
    by_hand(|| {
        for operation in ["read", "write", "flush", "shutdown"] {
            let (server, client) = early_configs(1_000);
            let mut peer: Connection = rustls::ServerConnection::new(server.into()).unwrap().into();
            let (wire, handle) = Wire::new();
            let mut connect = pin!(TlsConnector::from(Arc::new(client)).connect_early(name(), wire, &b"hello"[..]));
            let waker = CountingWaker::new();
            // The ClientHello is taken, the rest not yet.
            handle.push_write(WriteStep::Accept(600));
            handle.push_write(WriteStep::Pending);
            assert!(waker.poll(connect.as_mut()).is_pending());
            let hello = handle.take_written();
            feed(&mut peer, &hello).unwrap();
            // Our Finished is not out: no stream, unless it must be read.
            handle.push_data(output_of(&mut peer));
            assert_eq!(waker.take_wakes(), 1);
            assert!(waker.poll(connect.as_mut()).is_pending());
            let answer = bytes(20_000);
            handle.push_data(data(&mut peer, &answer));
            assert_eq!(waker.take_wakes(), 1);
            let Poll::Ready(Ok(mut stream)) = waker.poll(connect.as_mut()) else { panic!("{operation}: not complete") };
            assert_eq!(stream.facts().early_data(), Some(5));
            let mut answered = Vec::new();
            while answered.len() < answer.len() && operation == "read" {
                answered.extend(done(read(&waker, &mut stream, 8_000)));
            }
            let waiting = match operation {
                "read" => read(&waker, &mut stream, 9).is_pending(),
                "write" => write(&waker, &mut stream, b"more").is_pending(),
                "flush" => peer::flush(&waker, &mut stream).is_pending(),
                _ => peer::shutdown(&waker, &mut stream).is_pending(),
            };
            assert!(waiting, "{operation}");
            handle.release_write();
            assert_eq!(waker.take_wakes(), 1, "{operation}");
            match operation {
                "read" => assert!(read(&waker, &mut stream, 9).is_pending()),
                "write" => assert_eq!(done(write(&waker, &mut stream, b"more")), 4),
                "flush" => done(peer::flush(&waker, &mut stream)),
                _ => done(peer::shutdown(&waker, &mut stream)),
            }
            feed(&mut peer, &handle.take_written()).unwrap();
            assert!(!peer.is_handshaking(), "{operation}");
            let Connection::Server(peer) = &mut peer else { unreachable!() };
            let mut early = Vec::new();
            io::Read::read_to_end(&mut peer.early_data().unwrap(), &mut early).unwrap();
            assert_eq!(early, b"hello", "{operation}");
        }
    });
}

/// A server that leaves while the client still writes its early data is noticed, not waited for.
#[test]
fn a_server_that_leaves_amid_early_data_ends_the_handshake() {
    by_hand(|| {
        for (end, word) in [
            (ReadStep::Eof, "truncated_boundary"),
            (ReadStep::Error(ErrorKind::ConnectionReset), "reset"),
            (ReadStep::Data(vec![0x15, 3, 3, 0, 2, 2, 40]), "alert_handshake_failure"),
        ] {
            let (_, client) = early_configs(100_000);
            let (wire, handle) = Wire::new();
            let connector = TlsConnector::from(Arc::new(client));
            let mut connect = pin!(connector.connect_early(name(), wire, bytes(50_000)));
            let waker = CountingWaker::new();
            handle.push_write(WriteStep::Accept(600));
            handle.push_write(WriteStep::Pending);
            assert!(waker.poll(connect.as_mut()).is_pending());
            handle.push_read(end);
            assert_eq!(waker.take_wakes(), 1);
            let Poll::Ready(Err(error)) = waker.poll(connect.as_mut()) else { panic!("{word}: no answer") };
            assert_eq!(why(&error).word(), word);
        }
    });
}

/// The same, with the server's flight read: what it said before it left is delivered, a reset is one.
#[test]
fn what_a_server_said_before_it_left_is_delivered_though_the_early_data_was_not_taken() {
    by_hand(|| {
        for reset in [false, true] {
            let (server, client) = early_configs(100_000);
            let mut peer: Connection = rustls::ServerConnection::new(server.into()).unwrap().into();
            let (wire, handle) = Wire::new();
            let mut connect = pin!(TlsConnector::from(Arc::new(client)).connect_early(name(), wire, bytes(50_000)));
            let waker = CountingWaker::new();
            handle.push_write(WriteStep::Accept(600));
            handle.push_write(WriteStep::Pending);
            assert!(waker.poll(connect.as_mut()).is_pending());
            feed(&mut peer, &handle.take_written()).unwrap();
            handle.push_data(output_of(&mut peer));
            handle.push_data(data(&mut peer, b"too busy"));
            handle.push_data(peer::close_notify(&mut peer));
            assert!(waker.poll(connect.as_mut()).is_pending());
            handle.push_read(if reset { ReadStep::Error(ErrorKind::ConnectionReset) } else { ReadStep::Eof });
            match waker.poll(connect.as_mut()) {
                Poll::Ready(Ok(mut stream)) if !reset => {
                    assert_eq!(done(read(&waker, &mut stream, 9)), b"too busy");
                    assert_eq!(done(read(&waker, &mut stream, 9)), b"");
                    assert!(stream.received_ending().unwrap().is_clean());
                    assert!(stream.sent_ending().is_none());
                }
                Poll::Ready(Err(error)) if reset => assert_eq!(why(&error), HandshakeError::Reset),
                other => panic!("reset: {reset}, {:?}", other.map_err(|error| error.to_string())),
            }
        }
    });
}

#[test]
fn a_session_cut_behind_its_early_data_is_truncated() {
    by_hand(|| {
        let (server, client) = early_configs(1_000);
        let mut met = meet(server, &client, b"hello");
        let finished = answer(&mut met);
        met.wire.push_data(finished);
        met.wire.push_read(ReadStep::Eof);
        let waker = CountingWaker::new();
        let Poll::Ready(Ok(mut stream)) = waker.poll(pin!(met.early.finish()).as_mut()) else { panic!("not finished") };
        assert_eq!(done(read(&waker, &mut stream, 9)), b"hello");
        assert_eq!(failed(read(&waker, &mut stream, 9)).kind(), ErrorKind::UnexpectedEof);
        let cut = ReceivedEnding::Truncated { at: TruncatedAt::Boundary };
        assert_eq!(stream.received_ending(), Some(&cut));
    });
}
