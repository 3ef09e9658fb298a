//! The incident, at the streams: `[data][close_notify][t bytes]` in one segment, and a socket that stays open. The read
//! of the libraries of 2024 answered pending and woke itself for ever.

use crate::peer::{self, EACH, Met, by_hand, done, read, since};
use closenotify::{Linger, ReceivedEnding, SentEnding};
use std::pin::pin;
use std::task::Poll;
use testkit::executor::{CountingWaker, Outcome, Strict};
use testkit::transport::Polls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const TRAILERS: [&[u8]; 6] = [
    &[0x17],
    &[0x17, 3, 3, 1],
    &[0x17, 3, 3, 0, 80, 1, 2, 3],
    &[0x17, 3, 3, 0, 2, 1, 2],
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    &[0xff; 64],
];

const ONE_READ: Polls = Polls { read: 1, write: 0, flush: 0, shutdown: 0 };
const NO_POLL: Polls = Polls { read: 0, write: 0, flush: 0, shutdown: 0 };

/// docs/cases.md R01, L18
#[test]
fn two_reads_one_transport_poll_and_no_wake() {
    by_hand(|| {
        for (version, side) in EACH {
            for trailer in TRAILERS {
                let Met { mut stream, wire, mut peer } = peer::meet(version, side);
                let mut bytes = peer::data(&mut peer, b"hello");
                bytes.extend(peer::close_notify(&mut peer));
                bytes.extend_from_slice(trailer);
                wire.push_data(bytes);
                let waker = CountingWaker::new();
                let before = wire.polls();
                assert_eq!(done(read(&waker, &mut stream, 1024)), b"hello");
                assert_eq!(since(before, wire.polls()), ONE_READ, "{version:?} {side:?} {trailer:?}");
                let before = wire.polls();
                for _ in 0..100 {
                    assert_eq!(done(read(&waker, &mut stream, 1024)), b"");
                }
                assert_eq!(since(before, wire.polls()), NO_POLL, "the end is known without the transport");
                assert_eq!((waker.wakes(), waker.live()), (0, 0));
                let ending = ReceivedEnding::CloseNotify;
                assert_eq!(stream.received_ending(), Some(&ending));
            }
        }
    });
}

/// docs/cases.md R01
#[test]
fn every_length_behind_close_notify_ends_joined_and_split() {
    by_hand(|| {
        for (version, side) in EACH {
            for length in 1..=64 {
                for split in [false, true] {
                    let Met { mut stream, wire, mut peer } = peer::meet(version, side);
                    let mut bytes = peer::data(&mut peer, b"hello");
                    bytes.extend(peer::close_notify(&mut peer));
                    bytes.extend((0..length).map(|at| [23, 3, 3, 0, 80].get(at).copied().unwrap_or(7)));
                    wire.push_data(bytes);
                    let waker = CountingWaker::new();
                    let ending = ReceivedEnding::CloseNotify;
                    let before = wire.polls();
                    if split {
                        let (mut reader, _writer) = stream.into_split();
                        assert_eq!(done(read(&waker, &mut reader, 1024)), b"hello");
                        assert_eq!(done(read(&waker, &mut reader, 1024)), b"");
                        assert_eq!(reader.received_ending(), Some(&ending));
                    } else {
                        assert_eq!(done(read(&waker, &mut stream, 1024)), b"hello");
                        assert_eq!(done(read(&waker, &mut stream, 1024)), b"");
                        assert_eq!(stream.received_ending(), Some(&ending));
                    }
                    assert_eq!(since(before, wire.polls()), ONE_READ);
                    assert_eq!(waker.wakes(), 0);
                }
            }
        }
    });
}

/// A whole session of an echo server's on the strict executor: read to the end, answer, close.
/// docs/cases.md R35, J01
#[test]
fn an_answering_task_is_polled_three_times_and_never_wakes_itself() {
    by_hand(|| {
        for (version, side) in EACH {
            for trailer in TRAILERS {
                for split in [false, true] {
                    let Met { mut stream, wire, mut peer } = peer::meet(version, side);
                    let mut strict = Strict::new();
                    let task = strict.spawn("answers", async move {
                        let mut request = Vec::new();
                        if split {
                            let (mut reader, mut writer) = stream.into_split();
                            reader.read_to_end(&mut request).await.unwrap();
                            writer.write_all(&request).await.unwrap();
                            reader.reunite(writer).unwrap().close(Linger::default()).await
                        } else {
                            stream.read_to_end(&mut request).await.unwrap();
                            stream.write_all(&request).await.unwrap();
                            stream.close(Linger::default()).await
                        }
                    });
                    // One poll that finds nothing to read.
                    let waiting = Outcome::Stalled { unfinished: vec!["answers".to_owned()] };
                    assert_eq!(strict.run(100), waiting);
                    assert_eq!((task.polls(), task.wakes()), (1, 0));
                    // One that reads all, answers, closes, and waits for the end of the transport.
                    let mut bytes = peer::data(&mut peer, b"hello");
                    bytes.extend(peer::close_notify(&mut peer));
                    bytes.extend_from_slice(trailer);
                    wire.push_data(bytes);
                    assert_eq!(strict.run(100), waiting, "the socket is open: nothing happens, nothing turns");
                    assert_eq!((task.polls(), task.wakes(), task.self_wakes()), (2, 1, 0));
                    assert!(wire.is_shut_down());
                    assert_eq!(peer::read_at(&mut peer, &wire.written()), (b"hello".to_vec(), Ok(true)));
                    // And one that sees it.
                    wire.push_read(testkit::transport::ReadStep::Eof);
                    strict.finish(100);
                    assert_eq!((task.polls(), task.wakes(), task.self_wakes()), (3, 2, 0));
                    let ended = task.take().unwrap();
                    assert_eq!(ended.sent, SentEnding::CloseNotify);
                    assert_eq!(ended.received, ReceivedEnding::CloseNotify);
                    assert_eq!(ended.trailing, trailer.len() as u64);
                    assert_eq!(ended.discarded, trailer.len() as u64);
                }
            }
        }
    });
}

/// After our own half-close, too: a reader that waits is woken by what arrives, and by nothing else.
#[test]
fn a_pending_read_is_woken_once_by_what_arrives() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            let waker = CountingWaker::new();
            {
                let mut shutdown = pin!(stream.shutdown());
                assert!(waker.poll(shutdown.as_mut()).is_ready());
            }
            for _ in 0..3 {
                assert!(read(&waker, &mut stream, 100).is_pending());
            }
            assert_eq!((waker.wakes(), waker.live()), (0, 2), "at the read side, and standing by for the outbox");
            let mut bytes = peer::close_notify(&mut peer);
            bytes.push(0x17);
            wire.push_data(bytes);
            assert_eq!(waker.take_wakes(), 1);
            assert_eq!(done(read(&waker, &mut stream, 100)), b"");
            assert!(matches!(read(&waker, &mut stream, 100), Poll::Ready(Ok(end)) if end.is_empty()));
            assert_eq!((waker.wakes(), waker.live()), (0, 0));
        }
    });
}
