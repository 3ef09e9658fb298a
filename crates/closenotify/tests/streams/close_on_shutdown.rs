//! A stream whose shutdown is a whole close: what it answers to whom, and what it leaves when it is dropped too early.

use crate::peer::{self, EACH, Met, by_hand, done, failed, parts, read, shutdown, write};
use closenotify::{Deadline, Ended, Linger, ReceivedEnding, SentEnding, TruncatedAt, WhenEnded, WriteError};
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use testkit::executor::CountingWaker;
use testkit::transport::{DoneStep, ReadStep, WriteStep};
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

const CLEAN: ReceivedEnding = ReceivedEnding::CloseNotify;

fn told(when: &mut WhenEnded) -> Option<Ended> {
    match CountingWaker::new().poll(Pin::new(when)) {
        Poll::Ready(ended) => Some(ended),
        Poll::Pending => None,
    }
}

#[test]
fn its_shutdown_waits_for_the_peers_end_and_tells_how_it_was() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { stream, wire, mut peer } = peer::meet(version, side);
            let (mut io, mut when) = stream.close_on_shutdown(Linger::default());
            let waker = CountingWaker::new();
            assert_eq!(done(write(&waker, &mut io, b"answer")), 6);
            assert!(shutdown(&waker, &mut io).is_pending());
            assert_eq!(peer::read_at(&mut peer, &wire.take_written()), (b"answer".to_vec(), Ok(true)));
            assert!(wire.is_shut_down());
            assert!(told(&mut when).is_none());
            assert_eq!(WriteError::find(&failed(write(&waker, &mut io, b"x"))), Some(&WriteError::AfterClose));
            done(peer::flush(&waker, &mut io));
            wire.push_data(peer::data(&mut peer, b"late"));
            assert_eq!(waker.take_wakes(), 1);
            assert!(shutdown(&waker, &mut io).is_pending());
            wire.push_data(peer::close_notify(&mut peer));
            wire.push_read(ReadStep::Eof);
            for _ in 0..3 {
                done(shutdown(&waker, &mut io));
            }
            assert_eq!(done(read(&waker, &mut io, 10)), b"");
            assert_eq!(told(&mut when).as_ref().map(parts), Some((CLEAN, SentEnding::CloseNotify, 4)));
            assert_eq!(wire.written(), b"");
        }
    });
}

#[test]
fn dropped_before_its_shutdown_it_says_nothing_to_the_peer_and_tells_the_owner() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { stream, wire, .. } = peer::meet(version, side);
            let (io, mut when) = stream.close_on_shutdown(Linger::default());
            assert!(told(&mut when).is_none());
            drop(io);
            let ended = (ReceivedEnding::Abandoned, SentEnding::Aborted, 0);
            assert_eq!(told(&mut when).as_ref().map(parts), Some(ended));
            assert_eq!(wire.written(), b"");
            // What had been seen before is kept.
            let Met { stream, wire, .. } = peer::meet(version, side);
            let (mut io, mut when) = stream.close_on_shutdown(Linger::default());
            wire.push_read(ReadStep::Eof);
            failed(read(&CountingWaker::new(), &mut io, 10));
            drop(io);
            let received = ReceivedEnding::Truncated { at: TruncatedAt::Boundary };
            assert_eq!(told(&mut when).as_ref().map(parts), Some((received, SentEnding::Aborted, 0)));
        }
    });
}

#[test]
fn dropped_in_the_middle_of_its_shutdown_it_tells_how_far_it_came() {
    by_hand(|| {
        for (version, side) in EACH {
            for stuck in [false, true] {
                let Met { stream, wire, mut peer } = peer::meet(version, side);
                if stuck {
                    wire.push_write(WriteStep::Pending);
                }
                wire.push_data(peer::data(&mut peer, b"late"));
                let (mut io, mut when) = stream.close_on_shutdown(Linger::default());
                assert!(shutdown(&CountingWaker::new(), &mut io).is_pending());
                drop(io);
                let sent = if stuck { SentEnding::Aborted } else { SentEnding::CloseNotify };
                let received = ReceivedEnding::Abandoned;
                assert_eq!(told(&mut when).as_ref().map(parts), Some((received, sent, 4)));
            }
        }
    });
}

/// The alert is out; whether it arrives nobody knows.
#[test]
fn a_shutdown_whose_transport_could_not_end_fails_each_time_it_is_asked() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { stream, wire, .. } = peer::meet(version, side);
            wire.push_shutdown(DoneStep::Error(ErrorKind::ConnectionReset));
            let (mut io, mut when) = stream.close_on_shutdown(Linger::default());
            for _ in 0..3 {
                let error = failed(shutdown(&CountingWaker::new(), &mut io));
                assert!(closenotify::is_reset(&error), "{error:?}");
            }
            assert_eq!(told(&mut when).unwrap().sent, SentEnding::CloseNotify);
        }
    });
}

#[test]
fn a_shutdown_that_could_not_send_fails_each_time_it_is_asked() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { stream, wire, .. } = peer::meet(version, side);
            wire.push_write(WriteStep::Error(ErrorKind::ConnectionReset));
            let (mut io, mut when) = stream.close_on_shutdown(Linger::default());
            for _ in 0..3 {
                let error = failed(shutdown(&CountingWaker::new(), &mut io));
                assert!(closenotify::is_reset(&error), "{error:?}");
            }
            assert_eq!(told(&mut when).unwrap().sent, SentEnding::Failed(ErrorKind::ConnectionReset));
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_or_never_ends_cannot_make_its_shutdown_hang() {
    for (version, side) in EACH {
        for stuck in [true, false] {
            let Met { stream, wire, .. } = peer::meet(version, side);
            if stuck {
                wire.push_write(WriteStep::Pending);
            }
            let start = Instant::now();
            let linger = Linger { time: Duration::from_secs(3), ..Linger::default() };
            let (mut io, when) = stream.close_on_shutdown(linger);
            // Its time begins with the shutdown.
            tokio::time::advance(Duration::from_secs(10)).await;
            let result = io.shutdown().await;
            assert_eq!(start.elapsed(), Duration::from_secs(13));
            assert_eq!(result.map_err(|error| error.kind()), if stuck { Err(ErrorKind::TimedOut) } else { Ok(()) });
            let ended = when.await;
            assert_eq!(ended.received, ReceivedEnding::TimedOut(Deadline::Close));
            let sent = if stuck { SentEnding::TimedOut(Deadline::Close) } else { SentEnding::CloseNotify };
            assert_eq!(ended.sent, sent);
        }
    }
}

/// The close reads with the waker of the one who shuts down; one who waited in a read must not be forgotten for that.
#[test]
fn a_reader_in_another_task_is_woken_once_when_the_shutdown_is_done_and_the_own_task_never() {
    by_hand(|| {
        for (version, side) in EACH {
            for same in [false, true] {
                let Met { stream, wire, mut peer } = peer::meet(version, side);
                let (mut io, _when) = stream.close_on_shutdown(Linger::default());
                let at_writer = CountingWaker::new();
                let other = CountingWaker::new();
                let at_reader = if same { &at_writer } else { &other };
                assert!(read(at_reader, &mut io, 10).is_pending());
                assert!(shutdown(&at_writer, &mut io).is_pending());
                assert!(read(at_reader, &mut io, 10).is_pending());
                wire.push_data(peer::close_notify(&mut peer));
                wire.push_read(ReadStep::Eof);
                assert_eq!((at_writer.take_wakes(), other.take_wakes()), (1, 0));
                done(shutdown(&at_writer, &mut io));
                assert_eq!((at_writer.wakes(), other.wakes()), (0, u64::from(!same)));
                assert_eq!(done(read(at_reader, &mut io, 10)), b"");
                drop(io);
                assert_eq!((at_writer.live(), other.live()), (0, 0));
            }
        }
    });
}
