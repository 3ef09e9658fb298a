//! Real sockets on 127.0.0.1: what the kernel does to data when a socket is closed too early, and that `close` prevents it.

use crate::peer::{Configs, EACH, Side};
use closenotify::{Ended, Linger, ReadError, ReceivedEnding, SentEnding, TlsStream};
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
            let received = ReceivedEnding::CloseNotify { trailing: 0 };
            assert_eq!(ended, Ended { received, sent: SentEnding::CloseNotify, discarded: 4096 });
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
            assert_eq!(ReadError::of(&error).map(ReadError::ending), Some(&ReceivedEnding::Reset));
            assert!(received.len() < sent.len());
        };
        timeout(HANG, all).await.unwrap();
    }
}

/// And the same with `close`, where nothing is lost although the peer reads only after everything was written.
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

#[tokio::test]
async fn the_incident_on_a_socket_is_two_reads() {
    for (version, side) in EACH {
        for trailer in [&b"\x17"[..], b"GET / HTTP/1.1\r\n"] {
            let all = async {
                let (mut ours, mut theirs) = connect(version, side, false).await;
                theirs.write_all(b"hello").await.unwrap();
                theirs.flush().await.unwrap();
                // Behind our own TLS: the alert, then the bytes, in the socket before anything is read.
                let (mut socket, trailing) = {
                    let ending = tokio::spawn(async move { theirs.end_tls(HANG).await });
                    something_unread(&ours).await;
                    let mut polls = 0;
                    let mut plaintext = Vec::new();
                    loop {
                        let mut buffer = [0; 100];
                        let mut buffer = ReadBuf::new(&mut buffer);
                        poll_fn(|cx| {
                            polls += 1;
                            Pin::new(&mut ours).poll_read(cx, &mut buffer)
                        })
                        .await
                        .unwrap();
                        if buffer.filled().is_empty() {
                            break;
                        }
                        plaintext.extend_from_slice(buffer.filled());
                    }
                    assert_eq!(plaintext, b"hello");
                    // Each pending poll has had an event behind it: the data, the alert.
                    assert!((2..=4).contains(&polls), "{polls} polls");
                    ours.shutdown().await.unwrap();
                    ending.await.unwrap().unwrap()
                };
                assert!(trailing.is_empty());
                socket.write_all(trailer).await.unwrap();
                let ended = tokio::spawn(ours.close(Linger { time: HANG, ..Linger::default() }));
                socket.shutdown().await.unwrap();
                let ended = ended.await.unwrap();
                assert!(ended.is_clean());
                assert_eq!(ended.discarded, trailer.len() as u64);
            };
            timeout(HANG, all).await.unwrap();
        }
    }
}

#[tokio::test]
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
