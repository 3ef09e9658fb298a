//! What was written goes out with whatever is polled next: no read parks over bytes that the transport would take, joined or
//! split, whoever left them there; and a handshake never waits to write before it reads.

use crate::peer::{self, Configs, EACH, Met, by_hand, done, failed, read, write};
use closenotify::TlsStream;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use testkit::certs::TlsVersion;
use testkit::executor::{CountingWaker, Strict};
use testkit::transport::WriteStep;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex};
use tokio::time::timeout;

/// The clock is paused: it passes only when no task has anything to do, which is a hang.
const HANG: Duration = Duration::from_secs(1000);

const REQUEST: usize = 8 * 1024 * 1024;

async fn connect(version: TlsVersion, room: usize) -> (TlsStream<DuplexStream>, TlsStream<DuplexStream>) {
    let configs = Configs::of(version);
    let (to_server, to_client) = duplex(room);
    let (client, server) = tokio::join!(
        configs.connector().connect("localhost".try_into().unwrap(), to_server),
        configs.acceptor().accept(to_client)
    );
    (client.unwrap().into(), server.unwrap().into())
}

/// A peer that answers after the complete request.
async fn answer_at_the_end(mut stream: TlsStream<DuplexStream>) {
    let mut request = vec![0; REQUEST];
    stream.read_exact(&mut request).await.unwrap();
    stream.write_all(b"answer").await.unwrap();
    stream.flush().await.unwrap();
    // Until the client is done.
    let _ = stream.read_u8().await;
}

#[tokio::test(start_paused = true)]
async fn a_read_after_a_long_write_without_flush_gets_its_answer() {
    for version in TlsVersion::EACH {
        for room in [1000, 64 * 1024] {
            let (mut client, server) = connect(version, room).await;
            let server = tokio::spawn(answer_at_the_end(server));
            let all = async {
                client.write_all(&vec![7; REQUEST]).await.unwrap();
                let mut answer = [0; 6];
                client.read_exact(&mut answer).await.unwrap();
                assert_eq!(&answer, b"answer");
            };
            timeout(HANG, all).await.expect("the request goes out while the answer is waited for");
            drop(client);
            server.await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_reading_half_sends_what_the_writing_half_left() {
    for version in TlsVersion::EACH {
        // The reader parks first, or after the write; the writer is kept, and polled no more.
        for parked_first in [false, true] {
            let (client, server) = connect(version, 1000).await;
            let server = tokio::spawn(answer_at_the_end(server));
            let (mut reader, mut writer) = client.into_split();
            let reading = async move {
                let mut answer = [0; 6];
                reader.read_exact(&mut answer).await.unwrap();
                assert_eq!(&answer, b"answer");
            };
            let all = async {
                if parked_first {
                    let reading = tokio::spawn(reading);
                    tokio::task::yield_now().await;
                    writer.write_all(&vec![7; REQUEST]).await.unwrap();
                    reading.await.unwrap();
                } else {
                    writer.write_all(&vec![7; REQUEST]).await.unwrap();
                    reading.await;
                }
            };
            timeout(HANG, all).await.expect("the request goes out while the answer is waited for");
            drop(writer);
            server.await.unwrap();
        }
    }
}

/// The same, poll by poll: a reader that has parked is woken when the transport takes more, though the writer is gone.
#[test]
fn a_parked_reader_is_woken_for_what_the_writer_leaves_later() {
    by_hand(|| {
        for (version, side) in EACH {
            for split in [false, true] {
                let Met { mut stream, wire, mut peer } = peer::meet(version, side);
                let (at_reader, at_writer) = (CountingWaker::new(), CountingWaker::new());
                wire.push_write(WriteStep::Pending);
                let mut check = |reader: &mut (dyn AsyncRead + Unpin), write: &mut dyn FnMut()| {
                    let mut reader = reader;
                    assert!(read(&at_reader, &mut reader, 10).is_pending());
                    write();
                    assert_eq!((at_reader.wakes(), wire.written().len()), (0, 0));
                    wire.release_write();
                    assert_eq!(at_reader.take_wakes(), 1);
                    assert!(read(&at_reader, &mut reader, 10).is_pending());
                    assert_eq!(peer::read_at(&mut peer, &wire.take_written()), (b"left".to_vec(), Ok(false)));
                    // And nobody is woken for nothing from here on.
                    assert!(read(&at_reader, &mut reader, 10).is_pending());
                    assert_eq!((at_reader.wakes(), at_writer.wakes(), at_writer.live()), (0, 0, 0));
                };
                if split {
                    let (mut reader, mut writer) = stream.into_split();
                    check(&mut reader, &mut || assert_eq!(done(write(&at_writer, &mut writer, b"left")), 4));
                } else {
                    let shared = std::cell::RefCell::new(&mut stream);
                    check(&mut Borrowed(&shared), &mut || {
                        assert_eq!(done(write(&at_writer, &mut **shared.borrow_mut(), b"left")), 4);
                    });
                }
            }
        }
    });
}

/// The reading face of a joined stream that another closure writes to.
struct Borrowed<'a, 'b>(&'a std::cell::RefCell<&'b mut TlsStream<peer::Wire>>);

impl AsyncRead for Borrowed<'_, '_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.0.borrow_mut()).poll_read(cx, buf)
    }
}

/// Two sides that both have to write before they are read from, over a transport that holds a byte.
#[test]
fn a_handshake_completes_over_a_transport_that_holds_a_single_byte() {
    by_hand(|| {
        for version in TlsVersion::EACH {
            for room in 1..=8 {
                let configs = Configs::of(version);
                let (to_server, to_client) = duplex(room);
                let mut strict = Strict::new();
                let (connector, acceptor) = (configs.connector(), configs.acceptor());
                let client = strict.spawn("client", async move {
                    let mut stream = connector.connect("localhost".try_into().unwrap(), to_server).await.unwrap();
                    stream.write_all(b"request").await.unwrap();
                    stream.shutdown().await.unwrap();
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).await.unwrap();
                    answer
                });
                let server = strict.spawn("server", async move {
                    let mut stream = acceptor.accept(to_client).await.unwrap();
                    let mut request = String::new();
                    stream.read_to_string(&mut request).await.unwrap();
                    stream.write_all(request.to_uppercase().as_bytes()).await.unwrap();
                    stream.shutdown().await.unwrap();
                });
                strict.finish(1_000_000);
                assert_eq!(client.take().as_deref(), Some("REQUEST"), "{version:?} {room}");
                assert_eq!((client.self_wakes(), server.self_wakes()), (0, 0));
            }
        }
    });
}

/// What the reader finds out while it sends for the writer is told to the writer, as it is.
#[test]
fn a_failure_that_the_reader_found_is_the_writers() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { stream, wire, .. } = peer::meet(version, side);
            let waker = CountingWaker::new();
            let (mut reader, mut writer) = stream.into_split();
            wire.push_write(WriteStep::Pending);
            assert_eq!(done(write(&waker, &mut writer, b"left")), 4);
            wire.push_write(WriteStep::Error(io::ErrorKind::HostUnreachable));
            wire.release_write();
            assert!(read(&waker, &mut reader, 10).is_pending());
            let ending = closenotify::SentEnding::Failed(io::ErrorKind::HostUnreachable);
            assert_eq!(writer.sent_ending(), Some(ending));
            assert_eq!(failed(write(&waker, &mut writer, b"x")).kind(), io::ErrorKind::HostUnreachable);
            assert!(wire.unused_faults().is_empty());
        }
    });
}

/// The same before the client has finished: a flight that the transport has not taken, and an answer to early data.
#[cfg(feature = "early-data")]
#[test]
fn a_reader_of_early_data_sends_what_is_left() {
    use closenotify::TlsAcceptor;
    use rustls::{ClientConnection, Connection};
    use std::io::Write as _;
    use std::pin::pin;
    use std::sync::Arc;

    by_hand(|| {
        for answers in [false, true] {
            let (server, client) = testkit::tickets::early_configs(100_000);
            let mut client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
            client.early_data().unwrap().write_all(&[7; 40_000]).unwrap();
            let mut client: Connection = client.into();
            let (wire, handle) = peer::Wire::new();
            if !answers {
                handle.push_write(WriteStep::Pending);
            }
            handle.push_data(peer::output_of(&mut client));
            let waker = CountingWaker::new();
            let mut accept = pin!(TlsAcceptor::from(Arc::new(server)).accept_early(wire));
            let Poll::Ready(Ok(mut early)) = waker.poll(accept.as_mut()) else { panic!("the early data is there") };
            if answers {
                handle.push_write(WriteStep::Accept(9));
                handle.push_write(WriteStep::Pending);
                assert_eq!(done(write(&waker, &mut early, b"answer")), 6);
            }
            let mut got = 0;
            let parked = loop {
                match read(&waker, &mut early, 10_000) {
                    Poll::Ready(Ok(data)) => got += data.len(),
                    parked => break parked,
                }
            };
            assert!(parked.is_pending() && got == 40_000, "{got}");
            // Taken before the client is waited for, which waits for it.
            handle.release_write();
            assert_eq!(waker.take_wakes(), 1);
            assert!(read(&waker, &mut early, 10).is_pending());
            peer::feed(&mut client, &handle.take_written()).unwrap();
            handle.push_data(peer::output_of(&mut client));
            assert_eq!(waker.take_wakes(), 1);
            assert_eq!(done(read(&waker, &mut early, 10)), b"", "the client has finished");
            let mut answer = Vec::new();
            let _ = io::Read::read_to_end(&mut client.reader(), &mut answer);
            assert_eq!(answer, if answers { &b"answer"[..] } else { b"" });
        }
    });
}

/// A flush that has waited leaves no waker behind, in the clock either.
#[cfg(feature = "early-data")]
#[test]
fn a_flush_of_early_answers_that_is_done_is_not_woken_by_the_deadline() {
    use closenotify::TlsAcceptor;
    use rustls::{ClientConnection, Connection};
    use std::io::Write as _;
    use std::pin::pin;
    use std::sync::Arc;

    by_hand(|| {
        let (server, client) = testkit::tickets::early_configs(100_000);
        let mut client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
        client.early_data().unwrap().write_all(b"hello").unwrap();
        let mut client: Connection = client.into();
        let (wire, handle) = peer::Wire::new();
        handle.push_data(peer::output_of(&mut client));
        let waker = CountingWaker::new();
        let mut accept = pin!(TlsAcceptor::from(Arc::new(server)).accept_early(wire));
        let Poll::Ready(Ok(mut early)) = waker.poll(accept.as_mut()) else { panic!("the early data is there") };
        handle.push_write(WriteStep::Pending);
        assert_eq!(done(write(&waker, &mut early, b"answer")), 6);
        assert!(peer::flush(&waker, &mut early).is_pending());
        handle.release_write();
        assert_eq!(waker.take_wakes(), 1);
        done(peer::flush(&waker, &mut early));
        assert_eq!(waker.live(), 0);
    });
}
