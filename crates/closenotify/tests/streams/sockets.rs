//! Real sockets on 127.0.0.1: what the kernel does to data when a socket is closed too early, and that `close` prevents it.

use crate::peer::{self, Configs, EACH, Side, parts};
use closenotify::{Linger, ReceivedEnding, SentEnding, TlsStream};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::time::Duration;
use testkit::certs::TlsVersion;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// No test waits for this long: it turns a hang into a failure.
const HANG: Duration = Duration::from_secs(60);

type Stream = TlsStream<TcpStream>;

/// Two ends of one session over a socket; the first is the one under test, on the given side. Its peer's receive buffer is
/// small, so that what it sends stays in its own kernel.
async fn connect(version: TlsVersion, side: Side, small: bool) -> (Stream, Stream) {
    let configs = Configs::of(version);
    let listening = TcpSocket::new_v4().unwrap();
    let connecting = TcpSocket::new_v4().unwrap();
    if small {
        let peer = if side == Side::Server { &connecting } else { &listening };
        peer.set_recv_buffer_size(8 * 1024).unwrap();
        let ours = if side == Side::Server { &listening } else { &connecting };
        ours.set_send_buffer_size(1 << 20).unwrap();
    }
    listening.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener: TcpListener = listening.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(
        async {
            let socket = connecting.connect(address).await.unwrap();
            configs.connector().connect("localhost".try_into().unwrap(), socket).await.unwrap()
        },
        async {
            let (socket, _) = listener.accept().await.unwrap();
            configs.acceptor().accept(socket).await.unwrap()
        }
    );
    match side {
        Side::Client => (client.into(), server.into()),
        Side::Server => (server.into(), client.into()),
    }
}

/// Until something lies unread in the socket.
async fn something_unread(stream: &Stream) {
    stream.get_ref().0.readable().await.unwrap();
}

fn message(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// docs/cases.md R28, J07
#[tokio::test]
async fn close_delivers_4_mib_though_4096_bytes_of_the_peer_are_unread() {
    for (version, side) in EACH {
        let all = async {
            let (mut ours, mut theirs) = connect(version, side, false).await;
            let sent = message(4 << 20);
            theirs.write_all(&[1; 4096]).await.unwrap();
            theirs.flush().await.unwrap();
            something_unread(&ours).await;
            let expected = sent.clone();
            let closing = tokio::spawn(async move {
                ours.write_all(&sent).await.unwrap();
                ours.close(Linger::default()).await
            });
            let mut received = Vec::new();
            theirs.read_to_end(&mut received).await.unwrap();
            assert!(received == expected, "{} bytes arrived", received.len());
            assert!(theirs.received_ending().unwrap().is_clean());
            let at_peer = theirs.close(Linger::default()).await;
            assert!(at_peer.is_clean(), "{at_peer}");
            let ended = closing.await.unwrap();
            let received = ReceivedEnding::CloseNotify;
            assert_eq!(parts(&ended), (received, SentEnding::CloseNotify, 4096));
        };
        timeout(HANG, all).await.unwrap();
    }
}

/// Its control: what the kernel does to a server that shuts down, as other libraries do, and is dropped.
#[tokio::test]
async fn shutdown_and_drop_lose_what_is_in_flight() {
    for (version, side) in EACH {
        let all = async {
            let (mut ours, mut theirs) = connect(version, side, true).await;
            theirs.write_all(&[1; 4096]).await.unwrap();
            theirs.flush().await.unwrap();
            something_unread(&ours).await;
            // Small enough for our kernel, too much for the peer's.
            let sent = message(300_000);
            ours.write_all(&sent).await.unwrap();
            ours.shutdown().await.unwrap();
            assert_eq!(ours.sent_ending(), Some(&SentEnding::CloseNotify), "as far as we can know");
            drop(ours);
            let mut received = Vec::new();
            let error = theirs.read_to_end(&mut received).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert!(closenotify::is_reset(&error) && error.raw_os_error().is_some(), "{error:?}");
            assert_eq!(theirs.received_ending(), Some(&ReceivedEnding::Reset));
            assert!(received.len() < sent.len());
        };
        timeout(HANG, all).await.unwrap();
    }
}

/// And the same with `close`, where nothing is lost although the peer reads only after everything was written.
/// docs/cases.md R27, G03, C01
#[tokio::test]
async fn close_loses_nothing_of_what_is_in_flight() {
    for (version, side) in EACH {
        let all = async {
            let (mut ours, mut theirs) = connect(version, side, true).await;
            theirs.write_all(&[1; 4096]).await.unwrap();
            theirs.flush().await.unwrap();
            something_unread(&ours).await;
            let sent = message(300_000);
            ours.write_all(&sent).await.unwrap();
            let closing = tokio::spawn(ours.close(Linger { time: HANG, ..Linger::default() }));
            let mut received = Vec::new();
            theirs.read_to_end(&mut received).await.unwrap();
            assert!(received == sent);
            drop(theirs);
            let ended = closing.await.unwrap();
            assert_eq!((ended.sent, ended.discarded), (SentEnding::CloseNotify, 4096));
        };
        timeout(HANG, all).await.unwrap();
    }
}

/// The early answer: we answer and close while the peer is in the middle of 1.6 MiB that we never read.
/// docs/cases.md P09
#[tokio::test]
async fn an_early_answer_arrives_whole_though_an_upload_is_unread() {
    for (version, side) in EACH {
        let all = async {
            let (mut ours, mut theirs) = connect(version, side, false).await;
            let upload = message(1_600 * 1024);
            let answer = message(100_000);
            let expected = answer.clone();
            let (began, begins) = oneshot::channel();
            let closing = tokio::spawn(async move {
                // A look at the request, then the answer.
                let mut first = [0; 1];
                ours.read_exact(&mut first).await.unwrap();
                ours.write_all(&answer).await.unwrap();
                began.send(()).unwrap();
                ours.close(Linger::default()).await
            });
            theirs.write_all(&upload[..1000]).await.unwrap();
            theirs.flush().await.unwrap();
            begins.await.unwrap();
            // A client that sends all before it reads.
            theirs.write_all(&upload[1000..]).await.unwrap();
            theirs.shutdown().await.unwrap();
            let mut received = Vec::new();
            theirs.read_to_end(&mut received).await.unwrap();
            assert!(received == expected);
            drop(theirs);
            let ended = closing.await.unwrap();
            assert!(ended.is_clean(), "{ended}");
            assert_eq!(ended.discarded, upload.len() as u64 - 1);
        };
        timeout(HANG, all).await.unwrap();
    }
}

/// A session over a socket whose peer is plain rustls in the test's hand.
async fn connect_plain(version: TlsVersion, side: Side) -> (Stream, TcpStream, rustls::Connection) {
    let configs = Configs::of(version);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connected, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (ours, mut socket) = (connected.unwrap(), accepted.unwrap().0);
    let mut peer = configs.peer_of(side);
    let shaking = async {
        let mut bytes = vec![0; 20_000];
        while peer.is_handshaking() || peer.wants_write() {
            socket.write_all(&peer::output_of(&mut peer)).await.unwrap();
            if peer.is_handshaking() {
                let read = socket.read(&mut bytes).await.unwrap();
                peer::feed(&mut peer, &bytes[..read]).unwrap();
            }
        }
    };
    let stream = match side {
        Side::Client => {
            let connecting = configs.connector().connect("localhost".try_into().unwrap(), ours);
            tokio::join!(connecting, shaking).0.unwrap().into()
        }
        Side::Server => tokio::join!(configs.acceptor().accept(ours), shaking).0.unwrap().into(),
    };
    (stream, socket, peer)
}

/// Until so many bytes lie unread in the socket.
async fn all_unread(stream: &Stream, length: usize) {
    let mut seen = vec![0; length + 1];
    while stream.get_ref().0.peek(&mut seen).await.unwrap() < length {
        tokio::task::yield_now().await;
    }
}

/// docs/cases.md J06
#[tokio::test]
async fn the_incident_on_a_socket_that_stays_open_is_two_polls() {
    for (version, side) in EACH {
        for trailer in [&b"\x17"[..], &[23, 3, 3, 0, 80, 1, 2], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 64]] {
            let all = async {
                let (mut ours, mut socket, mut peer) = connect_plain(version, side).await;
                let mut bytes = peer::data(&mut peer, b"hello");
                bytes.extend(peer::close_notify(&mut peer));
                bytes.extend_from_slice(trailer);
                socket.write_all(&bytes).await.unwrap();
                all_unread(&ours, bytes.len()).await;
                let (mut polls, mut plaintext, mut reads) = (0, Vec::new(), 0);
                loop {
                    let mut buffer = [0; 100];
                    let mut buffer = ReadBuf::new(&mut buffer);
                    poll_fn(|cx| {
                        polls += 1;
                        Pin::new(&mut ours).poll_read(cx, &mut buffer)
                    })
                    .await
                    .unwrap();
                    reads += 1;
                    if buffer.filled().is_empty() {
                        break;
                    }
                    plaintext.extend_from_slice(buffer.filled());
                }
                assert_eq!((plaintext.as_slice(), reads, polls), (&b"hello"[..], 2, 2));
                let ending = ReceivedEnding::CloseNotify;
                assert_eq!(ours.received_ending(), Some(&ending));
                // The answer flows, and the close waits for the socket's end without turning.
                ours.write_all(b"answer").await.unwrap();
                let mut polls = 0;
                let closing = tokio::spawn(async move {
                    let mut closing = Box::pin(ours.close(Linger { time: HANG, ..Linger::default() }));
                    let ended = poll_fn(|cx| {
                        polls += 1;
                        closing.as_mut().poll(cx)
                    })
                    .await;
                    (ended, polls)
                });
                let mut received = Vec::new();
                socket.read_to_end(&mut received).await.unwrap();
                assert_eq!(peer::read_at(&mut peer, &received), (b"answer".to_vec(), Ok(true)));
                drop(socket);
                let (ended, polls) = closing.await.unwrap();
                assert!(ended.is_clean());
                assert_eq!(ended.discarded, trailer.len() as u64);
                // One that shuts, one that sees the end; the kernel may tell of its own FIN in between.
                assert!((2..=3).contains(&polls), "{polls} polls");
            };
            timeout(HANG, all).await.unwrap();
        }
    }
}

/// Our alert arrives, and behind it an end that is no reset, though the peer had sent much more than we read.
/// docs/cases.md R54, V06
#[tokio::test]
async fn an_alert_is_not_destroyed_by_what_the_peer_still_sends() {
    for (version, side) in EACH {
        let all = async {
            let (mut ours, mut socket, mut peer) = connect_plain(version, side).await;
            let mut bytes = peer::broken(&mut peer);
            bytes.resize(1_000_000, 7);
            let closing = tokio::spawn(async move {
                assert_eq!(ours.read_u8().await.unwrap_err().kind(), ErrorKind::InvalidData);
                ours.close(Linger { time: HANG, ..Linger::default() }).await
            });
            // A peer that reads only when it has sent its all.
            socket.write_all(&bytes).await.unwrap();
            let mut received = Vec::new();
            socket.read_to_end(&mut received).await.unwrap();
            let seen = peer::read_at(&mut peer, &received).1;
            assert_eq!(seen, Err(rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac)));
            drop(socket);
            let ended = closing.await.unwrap();
            assert_eq!((ended.received.word(), ended.sent.word()), ("violation".into(), "alert_bad_record_mac".into()));
        };
        timeout(HANG, all).await.unwrap();
    }
}

/// Four tasks on as many threads.
/// docs/cases.md R36
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_directions_flow_at_once_through_the_halves() {
    for (version, side) in EACH {
        let all = async {
            let (ours, theirs) = connect(version, side, true).await;
            let sent = message(3 << 20);
            let run = |stream: Stream, sent: Vec<u8>| async move {
                let (mut reader, mut writer) = stream.into_split();
                let writing = tokio::spawn(async move {
                    for chunk in sent.chunks(100_003) {
                        writer.write_all(chunk).await.unwrap();
                    }
                    writer.shutdown().await.unwrap();
                    writer
                });
                let mut received = Vec::new();
                reader.read_to_end(&mut received).await.unwrap();
                let stream = reader.reunite(writing.await.unwrap()).unwrap();
                (received, stream.close(Linger::default()).await)
            };
            let (one, two) =
                tokio::join!(tokio::spawn(run(ours, sent.clone())), tokio::spawn(run(theirs, sent.clone())));
            for (received, ended) in [one.unwrap(), two.unwrap()] {
                assert!(received == sent);
                assert!(ended.is_clean(), "{ended}");
                assert_eq!(ended.discarded, 0);
            }
        };
        timeout(HANG, all).await.unwrap();
    }
}

/// On several threads, so that the halves meet at the place of the transport's write half.
/// docs/cases.md R46
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn key_updates_are_answered_while_both_halves_are_at_work() {
    for side in [Side::Client, Side::Server] {
        let all = async {
            let (ours, socket, mut peer) = connect_plain(TlsVersion::V13, side).await;
            let sent = message(2 << 20);
            let (mut reader, mut writer) = ours.into_split();
            let ours_sent = sent.clone();
            let writing = tokio::spawn(async move {
                for chunk in ours_sent.chunks(7_001) {
                    writer.write_all(chunk).await.unwrap();
                }
                writer.shutdown().await.unwrap();
                writer
            });
            let reading = tokio::spawn(async move {
                let mut received = Vec::new();
                reader.read_to_end(&mut received).await.unwrap();
                (reader, received)
            });
            let (mut out, mut received, mut updates) = (Vec::new(), Vec::new(), 0);
            let mut chunks = sent.chunks(5_003);
            let mut bytes = vec![0; 30_000];
            let (mut ended, mut closed) = (false, false);
            while !ended || !closed || !out.is_empty() {
                if out.is_empty() && !ended {
                    match chunks.next() {
                        Some(chunk) => {
                            // rustls takes 32 answers with no data between them, and our writer may be slow to begin.
                            if updates < 32 {
                                out = peer::key_update(&mut peer);
                                updates += 1;
                            }
                            out.extend(peer::data(&mut peer, chunk));
                        }
                        None => {
                            out = peer::close_notify(&mut peer);
                            ended = true;
                        }
                    }
                }
                if let Ok(written) = socket.try_write(&out) {
                    out.drain(..written);
                }
                if let Ok(read @ 1..) = socket.try_read(&mut bytes) {
                    let (plaintext, state) = peer::read_at(&mut peer, &bytes[..read]);
                    received.extend(plaintext);
                    closed = state.unwrap();
                }
                tokio::task::yield_now().await;
            }
            assert!(received == sent, "{} bytes", received.len());
            drop(socket);
            let (reader, received) = reading.await.unwrap();
            assert!(received == sent);
            let ended = reader.reunite(writing.await.unwrap()).unwrap().close(Linger::default()).await;
            assert!(ended.is_clean(), "{ended}");
        };
        timeout(HANG, all).await.unwrap();
    }
}

#[tokio::test]
async fn dropping_the_write_half_of_a_socket_is_a_truncation_to_the_peer() {
    for (version, side) in EACH {
        let all = async {
            let (ours, mut theirs) = connect(version, side, false).await;
            let (mut reader, mut writer) = ours.into_split();
            writer.write_all(b"unfinished").await.unwrap();
            writer.flush().await.unwrap();
            drop(writer);
            let mut received = Vec::new();
            let error = theirs.read_to_end(&mut received).await.unwrap_err();
            assert_eq!((error.kind(), received.as_slice()), (ErrorKind::UnexpectedEof, &b"unfinished"[..]));
            theirs.write_all(b"still").await.unwrap();
            theirs.shutdown().await.unwrap();
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"still");
        };
        timeout(HANG, all).await.unwrap();
    }
}

#[tokio::test]
async fn a_reset_of_the_peer_is_a_reset() {
    for (version, side) in EACH {
        let all = async {
            let (mut ours, theirs) = connect(version, side, false).await;
            testkit::net::reset_on_close(theirs.get_ref().0);
            drop(theirs);
            let error = ours.read_u8().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            let ended = ours.close(Linger::default()).await;
            assert_eq!(ended.received, ReceivedEnding::Reset);
            assert!(!ended.is_clean());
        };
        timeout(HANG, all).await.unwrap();
    }
}

#[tokio::test]
async fn a_unix_socket_splits_and_reunites() {
    let configs = Configs::of(TlsVersion::V13);
    let (to_server, to_client) = UnixStream::pair().unwrap();
    let (client, server) = tokio::join!(
        configs.connector().connect("localhost".try_into().unwrap(), to_server),
        configs.acceptor().accept(to_client)
    );
    let ((mut reader, mut writer), mut server) = (client.unwrap().into_split(), server.unwrap());
    writer.write_all(b"hello").await.unwrap();
    writer.shutdown().await.unwrap();
    let mut request = String::new();
    server.read_to_string(&mut request).await.unwrap();
    assert_eq!(request, "hello");
    let ending = tokio::spawn(server.close(Linger::default()));
    let mut answer = String::new();
    reader.read_to_string(&mut answer).await.unwrap();
    assert!(reader.reunite(writer).unwrap().close(Linger::default()).await.is_clean());
    assert!(ending.await.unwrap().is_clean());
}
