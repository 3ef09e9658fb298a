//! `close` over a scripted transport and a paused clock: it cannot hang, it cannot fail, and it says what it did.

use crate::peer::{self, EACH, Met, Side, by_hand, done, parts, read, write};
use closenotify::{Deadline, Ended, Linger, ReceivedEnding, SentEnding, TruncatedAt};
use std::io::ErrorKind;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use testkit::certs::TlsVersion;
use testkit::executor::CountingWaker;
use testkit::transport::{DoneStep, Handle, ReadStep, WriteStep};
use tokio::time::{Instant, sleep};

const CLEAN: ReceivedEnding = ReceivedEnding::CloseNotify;

/// Closes; also how long it took on the paused clock.
async fn close(met: Met, linger: Linger) -> (Ended, Duration) {
    let start = Instant::now();
    let ended = met.stream.close(linger).await;
    (ended, start.elapsed())
}

/// docs/cases.md R55, G01, C06, V05
#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_cannot_make_it_hang() {
    for (version, side) in EACH {
        for stuck in ["write", "flush", "shutdown"] {
            let mut met = peer::meet(version, side);
            match stuck {
                "write" => met.wire.push_write(WriteStep::Pending),
                "flush" => met.wire.push_flush(DoneStep::Pending),
                _ => met.wire.push_shutdown(DoneStep::Pending),
            }
            assert_eq!(done(write(&CountingWaker::new(), &mut met.stream, b"last")), 4);
            let linger = Linger { time: Duration::from_secs(3), ..Linger::default() };
            let wire = met.wire.clone();
            let (ended, took) = close(met, linger).await;
            assert_eq!(took, Duration::from_secs(3), "{stuck}");
            let sent =
                if stuck == "shutdown" { SentEnding::CloseNotify } else { SentEnding::TimedOut(Deadline::Close) };
            let received = ReceivedEnding::TimedOut(Deadline::Close);
            assert_eq!(parts(&ended), (received, sent, 0), "{stuck}");
            assert!(wire.is_read_dropped() && wire.is_write_dropped());
        }
    }
}

/// docs/cases.md L14, P05, C04, C06, F02
#[tokio::test(start_paused = true)]
async fn a_peer_that_never_ends_cannot_make_it_hang() {
    for (version, side) in EACH {
        let mut met = peer::meet(version, side);
        met.wire.push_data(peer::data(&mut met.peer, b"some data"));
        let (ended, took) = close(met, Linger::default()).await;
        assert_eq!(took, Duration::from_secs(5));
        let received = ReceivedEnding::TimedOut(Deadline::Close);
        assert_eq!(parts(&ended), (received, SentEnding::CloseNotify, 9));
        // With its close_notify but without its FIN.
        let mut met = peer::meet(version, side);
        met.wire.push_data(peer::close_notify(&mut met.peer));
        let (ended, took) = close(met, Linger::default()).await;
        assert_eq!(took, Duration::from_secs(5));
        assert_eq!(parts(&ended), (CLEAN, SentEnding::CloseNotify, 0));
        assert!(ended.is_clean());
    }
}

/// docs/cases.md L02, P03, C05
#[tokio::test(start_paused = true)]
async fn a_peer_that_ends_is_not_waited_for() {
    for (version, side) in EACH {
        let mut met = peer::meet(version, side);
        let mut bytes = peer::data(&mut met.peer, b"unread");
        bytes.extend(peer::close_notify(&mut met.peer));
        bytes.extend_from_slice(b"behind");
        met.wire.push_data(bytes);
        met.wire.push_data(b"more behind".to_vec());
        met.wire.push_read(ReadStep::Eof);
        let (wire, start) = (met.wire.clone(), met.wire.polls());
        let (ended, took) = close(met, Linger::default()).await;
        assert_eq!(took, Duration::ZERO);
        let received = ReceivedEnding::CloseNotify;
        assert_eq!(parts(&ended), (received, SentEnding::CloseNotify, 6 + 6 + 11));
        let polls = peer::since(start, wire.polls());
        assert_eq!((polls.write, polls.flush, polls.shutdown), (1, 1, 1));
        assert_eq!(polls.read, 3, "two segments and the end");
    }
}

/// docs/cases.md O12
#[tokio::test(start_paused = true)]
async fn bytes_are_thrown_away_up_to_the_bound_and_by_less_than_a_read_more() {
    for (version, side) in EACH {
        for behind in [false, true] {
            for bound in [0, 1, 40_000, 100_000] {
                let mut met = peer::meet(version, side);
                if behind {
                    let mut bytes = peer::close_notify(&mut met.peer);
                    bytes.extend_from_slice(&[7; 30]);
                    met.wire.push_data(bytes);
                }
                for _ in 0..40 {
                    let bytes = if behind { vec![7; 16_384] } else { peer::data(&mut met.peer, &[7; 16_384]) };
                    met.wire.push_data(bytes);
                }
                let linger = Linger { bytes: bound, ..Linger::default() };
                let (ended, took) = close(met, linger).await;
                assert_eq!(took, Duration::ZERO, "nothing to wait for");
                assert!((bound..bound + 16_384 + 30).contains(&ended.discarded), "{} of {bound}", ended.discarded);
                assert_eq!(ended.sent, SentEnding::CloseNotify);
                if !behind {
                    assert_eq!(ended.received, ReceivedEnding::Abandoned);
                }
            }
        }
    }
}

/// What is thrown away is counted exactly, also where the bound cuts it.
/// docs/cases.md R56
#[tokio::test(start_paused = true)]
async fn every_raw_byte_read_behind_a_close_notify_is_counted() {
    let mut met = peer::meet(TlsVersion::V13, Side::Server);
    met.wire.push_data(peer::close_notify(&mut met.peer));
    for _ in 0..10 {
        met.wire.push_data(vec![7; 1_000]);
    }
    let (wire, start) = (met.wire.clone(), met.wire.polls());
    let (ended, _) = close(met, Linger { bytes: 2_500, ..Linger::default() }).await;
    // One read for the close_notify, and three thousands.
    assert_eq!((ended.discarded, peer::since(start, wire.polls()).read), (3_000, 4));
}

#[tokio::test(start_paused = true)]
async fn endings_that_were_there_before_are_kept() {
    for (version, side) in EACH {
        // A truncation seen by a read.
        let mut met = peer::meet(version, side);
        met.wire.push_read(ReadStep::Eof);
        let waker = CountingWaker::new();
        assert!(matches!(read(&waker, &mut met.stream, 10), Poll::Ready(Err(_))));
        let (ended, took) = close(met, Linger::default()).await;
        let received = ReceivedEnding::Truncated { at: TruncatedAt::Boundary };
        assert_eq!(parts(&ended), (received, SentEnding::CloseNotify, 0));
        assert_eq!(took, Duration::ZERO);
        assert!(!ended.is_clean());
        // A truncation that only the close sees.
        let mut met = peer::meet(version, side);
        met.wire.push_data(peer::data(&mut met.peer, b"cut")[..10].to_vec());
        met.wire.push_read(ReadStep::Eof);
        let (ended, took) = close(met, Linger::default()).await;
        let received = ReceivedEnding::Truncated { at: TruncatedAt::InsideRecord };
        assert_eq!(parts(&ended), (received, SentEnding::CloseNotify, 0));
        assert_eq!(took, Duration::ZERO);
        // Our own alert.
        let mut met = peer::meet(version, side);
        met.wire.push_data(peer::broken(&mut met.peer));
        assert!(matches!(read(&waker, &mut met.stream, 10), Poll::Ready(Err(_))));
        let (ended, _) = close(met, Linger::default()).await;
        assert_eq!((ended.received.word(), ended.sent.word()), ("violation".into(), "alert_bad_record_mac".into()));
        // The peer's.
        let mut met = peer::meet(version, side);
        met.wire.push_data(peer::fatal_alert(&mut met.peer));
        met.wire.push_read(ReadStep::Eof);
        let (wire, (ended, took)) = (met.wire.clone(), close(met, Linger::default()).await);
        // It came behind our close_notify.
        assert_eq!((ended.received.word(), ended.sent.word()), ("alert_decode_error".into(), "close_notify".into()));
        assert_eq!(took, Duration::ZERO);
        assert!(wire.is_shut_down());
    }
}

/// Nothing more reaches the peer, but what it had said is there to be read, and is its ending.
/// docs/cases.md R43, L13
#[tokio::test(start_paused = true)]
async fn a_failed_write_does_not_hide_what_the_peer_said() {
    for (version, side) in EACH {
        for (behind, word) in [
            (None, "close_notify"),
            (Some(ReadStep::Error(ErrorKind::ConnectionReset)), "reset"),
            (Some(ReadStep::Eof), "reset"),
        ] {
            let mut met = peer::meet(version, side);
            met.wire.push_write(WriteStep::Error(ErrorKind::ConnectionReset));
            met.wire.push_data(peer::data(&mut met.peer, b"last words"));
            met.wire.push_read(behind.unwrap_or_else(|| ReadStep::Data(peer::close_notify(&mut met.peer))));
            let (ended, took) = close(met, Linger::default()).await;
            assert_eq!(took, Duration::ZERO, "and nothing is waited for");
            assert_eq!(ended.received.word(), word);
            assert_eq!((ended.sent, ended.discarded), (SentEnding::Failed(ErrorKind::ConnectionReset), 10));
        }
        // Silence is not waited for.
        let met = peer::meet(version, side);
        met.wire.push_write(WriteStep::Error(ErrorKind::BrokenPipe));
        let (ended, took) = close(met, Linger::default()).await;
        assert_eq!((ended.received, took), (ReceivedEnding::Abandoned, Duration::ZERO));
    }
}

/// docs/cases.md O06, P06, C09
#[tokio::test(start_paused = true)]
async fn a_key_update_and_data_while_closing_are_followed_and_not_answered() {
    for side in [Side::Client, Side::Server] {
        let mut met = peer::meet(TlsVersion::V13, side);
        let mut bytes = peer::key_update(&mut met.peer);
        bytes.extend(peer::data(&mut met.peer, b"late"));
        bytes.extend(peer::close_notify(&mut met.peer));
        met.wire.push_data(bytes);
        met.wire.push_read(ReadStep::Eof);
        let wire = met.wire.clone();
        let mut plain_peer = met.peer;
        let ended = met.stream.close(Linger::default()).await;
        assert_eq!(parts(&ended), (CLEAN, SentEnding::CloseNotify, 4));
        assert_eq!(peer::read_at(&mut plain_peer, &wire.written()), (Vec::new(), Ok(true)));
        assert_eq!(wire.write_sizes().len() as u64, wire.polls().write);
    }
}

/// A peer that is stuck writing to us would never read: so the reading goes on while our own end waits for room.
/// docs/cases.md R44
#[test]
fn reading_goes_on_while_the_close_notify_waits_for_room() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { stream, wire, mut peer } = peer::meet(version, side);
            wire.push_write(WriteStep::Pending);
            let waker = CountingWaker::new();
            let mut closing = pin!(stream.close(Linger::default()));
            assert!(waker.poll(closing.as_mut()).is_pending());
            for _ in 0..3 {
                wire.push_data(peer::data(&mut peer, &[1; 1_000]));
                assert_eq!(waker.take_wakes(), 1);
                assert!(waker.poll(closing.as_mut()).is_pending());
            }
            wire.release_write();
            assert_eq!(waker.take_wakes(), 1);
            assert!(waker.poll(closing.as_mut()).is_pending());
            assert_eq!(peer::read_at(&mut peer, &wire.written()), (Vec::new(), Ok(true)));
            assert!(wire.is_shut_down());
            wire.push_data(peer::close_notify(&mut peer));
            wire.push_read(ReadStep::Eof);
            assert_eq!(waker.take_wakes(), 1);
            let Poll::Ready(ended) = waker.poll(closing.as_mut()) else { panic!("pending") };
            assert_eq!(parts(&ended), (CLEAN, SentEnding::CloseNotify, 3_000));
            assert_eq!((waker.wakes(), waker.live()), (0, 0));
        }
    });
}

#[tokio::test(start_paused = true)]
async fn an_ended_session_reads_well_in_a_log() {
    let mut met = peer::meet(TlsVersion::V13, Side::Server);
    met.wire.push_data(peer::close_notify(&mut met.peer));
    met.wire.push_read(ReadStep::Eof);
    let (ended, _) = close(met, Linger::default()).await;
    assert_eq!(ended.to_string(), "the peer closed cleanly (close_notify); we closed cleanly (close_notify)");
}

/// Not a moment to wait, but what can be said at once is said.
/// docs/cases.md G02
#[tokio::test(start_paused = true)]
async fn a_linger_of_no_time_still_says_goodbye() {
    for (version, side) in EACH {
        let mut met = peer::meet(version, side);
        assert_eq!(done(write(&CountingWaker::new(), &mut met.stream, b"last")), 4);
        let (wire, mut plain_peer) = (met.wire.clone(), met.peer);
        let ended = met.stream.close(Linger { time: Duration::ZERO, ..Linger::default() }).await;
        let received = ReceivedEnding::TimedOut(Deadline::Close);
        assert_eq!(parts(&ended), (received, SentEnding::CloseNotify, 0));
        assert_eq!(peer::read_at(&mut plain_peer, &wire.written()), (b"last".to_vec(), Ok(true)));
        assert!(wire.is_shut_down());
    }
}

/// A reset destroys an alert as it does data: behind a violation, too, what the peer still sends is taken in.
/// docs/cases.md V06
#[tokio::test(start_paused = true)]
async fn bytes_behind_a_violation_are_thrown_away_so_that_the_alert_arrives() {
    for (version, side) in EACH {
        for seen_before in [false, true] {
            let mut met = peer::meet(version, side);
            let mut bytes = peer::broken(&mut met.peer);
            bytes.extend_from_slice(&[7; 100]);
            met.wire.push_data(bytes);
            met.wire.push_data(vec![8; 1_000]);
            met.wire.push_read(ReadStep::Eof);
            if seen_before {
                assert!(matches!(read(&CountingWaker::new(), &mut met.stream, 10), Poll::Ready(Err(_))));
            }
            let (start, wire) = (met.wire.polls(), met.wire.clone());
            let (ended, took) = close(met, Linger::default()).await;
            assert_eq!((ended.received.word().as_ref(), ended.discarded, took), ("violation", 1_100, Duration::ZERO));
            let sent = if seen_before { "alert_bad_record_mac" } else { "close_notify" };
            assert_eq!(ended.sent.word(), sent);
            assert_eq!(peer::since(start, wire.polls()).read, if seen_before { 2 } else { 3 });
        }
    }
}

/// Lets time pass, and then the transport take a little, again and again.
async fn take_slowly(wire: &Handle, every: Duration, rounds: usize) {
    for _ in 0..rounds {
        sleep(every).await;
        if wire.is_write_dropped() {
            return;
        }
        wire.release_write();
    }
}

/// docs/cases.md V05
#[tokio::test(start_paused = true)]
async fn a_slow_peer_that_reads_on_loses_nothing() {
    for (version, side) in EACH {
        let mut met = peer::meet(version, side);
        met.wire.push_write(WriteStep::Pending);
        for _ in 0..5 {
            met.wire.push_write(WriteStep::Accept(30));
            met.wire.push_write(WriteStep::Pending);
        }
        assert_eq!(done(write(&CountingWaker::new(), &mut met.stream, &[7; 200])), 200);
        let (wire, mut plain_peer) = (met.wire.clone(), met.peer);
        let start = Instant::now();
        let closing = met.stream.close(Linger::default());
        let peers = async {
            take_slowly(&wire, Duration::from_secs(4), 6).await;
            // The clock goes on when all else is done: what is in its hands then is everything.
            sleep(Duration::from_secs(1)).await;
            let got = peer::read_at(&mut plain_peer, &wire.written());
            wire.push_data(peer::close_notify(&mut plain_peer));
            wire.push_read(ReadStep::Eof);
            got
        };
        let (ended, got) = tokio::join!(closing, peers);
        assert_eq!(parts(&ended), (CLEAN, SentEnding::CloseNotify, 0));
        assert_eq!(got, (vec![7; 200], Ok(true)));
        assert_eq!(start.elapsed(), Duration::from_secs(25));
    }
}

/// docs/cases.md V05
#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_little_now_and_then_cannot_hold_it_for_ever() {
    for (version, side) in EACH {
        let mut met = peer::meet(version, side);
        met.wire.push_write(WriteStep::Pending);
        for _ in 0..20 {
            met.wire.push_write(WriteStep::Accept(1));
            met.wire.push_write(WriteStep::Pending);
        }
        assert_eq!(done(write(&CountingWaker::new(), &mut met.stream, &[7; 200])), 200);
        let wire = met.wire.clone();
        let (closed, ()) = tokio::join!(close(met, Linger::default()), take_slowly(&wire, Duration::from_secs(4), 20));
        let (ended, took) = closed;
        let received = ReceivedEnding::TimedOut(Deadline::Close);
        assert_eq!(parts(&ended), (received, SentEnding::TimedOut(Deadline::Close), 0));
        assert_eq!((took, wire.written().len()), (Duration::from_secs(30), 7));
    }
}

/// The bytes of one record, too, and what lies behind a close_notify, before the time in all is over.
#[tokio::test(start_paused = true)]
async fn what_drips_in_puts_the_end_off_by_as_much_and_no_further_than_the_time_in_all() {
    for (version, side) in EACH {
        for behind in [false, true] {
            for (drops, seconds) in [(0, 5), (3, 4 * 3 + 5), (100, 30)] {
                let mut met = peer::meet(version, side);
                let data = if behind {
                    met.wire.push_data(peer::close_notify(&mut met.peer));
                    vec![7; 100]
                } else {
                    peer::data(&mut met.peer, &[7; 100])
                };
                let wire = met.wire.clone();
                let dripping = async {
                    for byte in &data[..drops] {
                        sleep(Duration::from_secs(4)).await;
                        wire.push_data([*byte]);
                    }
                };
                let closing = close(met, Linger::default());
                let ((ended, took), ()) = tokio::join!(closing, dripping);
                assert_eq!(took, Duration::from_secs(seconds), "{drops} {behind}");
                assert_eq!(ended.sent, SentEnding::CloseNotify);
                let late = ReceivedEnding::TimedOut(Deadline::Close);
                assert_eq!(ended.received, if behind { CLEAN } else { late });
            }
        }
    }
}

/// A byte costs the one wake of its arrival, and an end that is put off for ever is no overflow.
#[test]
fn putting_the_end_off_wakes_nobody() {
    by_hand(|| {
        let Met { stream, wire, .. } = peer::meet(TlsVersion::V13, Side::Server);
        let waker = CountingWaker::new();
        let linger = Linger { idle: Duration::MAX, time: Duration::MAX, ..Linger::default() };
        let mut closing = pin!(stream.close(linger));
        assert!(waker.poll(closing.as_mut()).is_pending());
        for byte in [23, 3, 3, 0, 99] {
            wire.push_data([byte]);
            assert_eq!(waker.take_wakes(), 1);
            assert!(waker.poll(closing.as_mut()).is_pending());
            assert!(waker.poll(closing.as_mut()).is_pending());
            assert_eq!(waker.wakes(), 0);
        }
    });
}
