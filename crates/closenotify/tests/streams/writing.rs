//! The sending half over a transport that is slow, full, broken or short: order on the wire, refusals, faults.

use crate::peer::{self, EACH, Met, by_hand, done, failed, flush, shutdown, since, write, write_vectored};
use closenotify::{ReceivedEnding, SendError, SentEnding, WriteError};
use std::io::{ErrorKind, IoSlice};
use testkit::certs::TlsVersion;
use testkit::executor::CountingWaker;
use testkit::transport::{DoneStep, Handle, Polls, ReadStep, WriteStep};
use tokio::io::AsyncWrite;

use crate::peer::{Side, read};

/// docs/cases.md R06, R12, R44, R59, O11, L07, J05, N02
#[test]
fn shutdown_is_alert_flush_fin_in_this_order_and_once() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            let waker = CountingWaker::new();
            assert_eq!(done(write(&waker, &mut stream, b"last")), 4);
            wire.push_write(WriteStep::Pending);
            wire.push_flush(DoneStep::Pending);
            wire.push_shutdown(DoneStep::Pending);
            let start = wire.polls();
            assert!(shutdown(&waker, &mut stream).is_pending());
            assert_eq!(since(start, wire.polls()), Polls { read: 0, write: 1, flush: 0, shutdown: 0 });
            wire.release_write();
            assert_eq!(waker.take_wakes(), 1);
            assert!(shutdown(&waker, &mut stream).is_pending());
            assert_eq!(since(start, wire.polls()), Polls { read: 0, write: 2, flush: 1, shutdown: 0 });
            assert_eq!(stream.sent_ending(), None, "not flushed, not sent");
            assert_eq!(peer::read_at(&mut peer, &wire.take_written()), (b"last".to_vec(), Ok(true)));
            // The flush is still owed, though there is nothing left to write.
            assert!(shutdown(&waker, &mut stream).is_pending());
            assert_eq!(since(start, wire.polls()), Polls { read: 0, write: 2, flush: 2, shutdown: 0 });
            wire.release_flush();
            assert_eq!(waker.take_wakes(), 1);
            assert!(shutdown(&waker, &mut stream).is_pending());
            assert_eq!(stream.sent_ending(), Some(&SentEnding::CloseNotify));
            assert_eq!(since(start, wire.polls()), Polls { read: 0, write: 2, flush: 3, shutdown: 1 });
            wire.release_shutdown();
            assert_eq!(waker.take_wakes(), 1);
            done(shutdown(&waker, &mut stream));
            assert!(wire.is_shut_down() && wire.is_flushed());
            let end = wire.polls();
            for _ in 0..5 {
                done(shutdown(&waker, &mut stream));
                done(flush(&waker, &mut stream));
            }
            assert_eq!(wire.polls(), end, "idempotent");
            assert_eq!(wire.take_written(), b"", "one close_notify");
            assert_eq!(waker.wakes(), 0);
            assert!(wire.unused_faults().is_empty());
        }
    });
}

/// h2 flushes while its shutdown is in flight (h2 issue 835): a flush then does a part of the shutdown's work, once.
/// docs/cases.md R51
#[test]
fn a_flush_while_a_shutdown_is_in_flight_is_a_part_of_it() {
    fn check(wire: &Handle, peer: &mut rustls::Connection, stream: &mut (impl AsyncWrite + Unpin)) {
        let waker = CountingWaker::new();
        wire.push_write(WriteStep::Pending);
        wire.push_flush(DoneStep::Pending);
        wire.push_shutdown(DoneStep::Pending);
        assert!(shutdown(&waker, stream).is_pending());
        assert!(flush(&waker, stream).is_pending());
        wire.release_write();
        assert!(flush(&waker, stream).is_pending());
        wire.release_flush();
        done(flush(&waker, stream));
        assert!(shutdown(&waker, stream).is_pending());
        done(flush(&waker, stream));
        wire.release_shutdown();
        done(shutdown(&waker, stream));
        done(flush(&waker, stream));
        assert_eq!(peer::read_at(peer, &wire.written()), (Vec::new(), Ok(true)), "one close_notify");
        assert!(wire.is_shut_down() && wire.unused_faults().is_empty());
    }
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            check(&wire, &mut peer, &mut stream);
            let Met { stream, wire, mut peer } = peer::meet(version, side);
            let (_reader, mut writer) = stream.into_split();
            check(&wire, &mut peer, &mut writer);
            let Met { stream, wire, mut peer } = peer::meet(version, side);
            wire.push_read(ReadStep::Eof);
            let (mut io, _when) = stream.close_on_shutdown(closenotify::Linger::default());
            check(&wire, &mut peer, &mut io);
        }
    });
}

/// docs/cases.md L03
#[test]
fn a_shutdown_goes_out_over_unread_data_and_half_a_record() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            let waker = CountingWaker::new();
            let mut bytes = peer::data(&mut peer, b"unread");
            let last = peer::data(&mut peer, b"half");
            bytes.extend_from_slice(&last[..9]);
            wire.push_data(bytes);
            assert_eq!(done(read(&waker, &mut stream, 2)), b"un");
            done(shutdown(&waker, &mut stream));
            assert_eq!(stream.sent_ending(), Some(&SentEnding::CloseNotify));
            assert_eq!(peer::read_at(&mut peer, &wire.take_written()), (Vec::new(), Ok(true)));
            // And neither is lost by it.
            assert_eq!(done(read(&waker, &mut stream, 10)), b"read");
            wire.push_data(&last[9..]);
            assert_eq!(done(read(&waker, &mut stream, 10)), b"half");
        }
    });
}

/// docs/cases.md R09, O14
#[test]
fn a_write_after_shutdown_is_refused_at_once() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, .. } = peer::meet(version, side);
            let waker = CountingWaker::new();
            wire.push_write(WriteStep::Pending);
            assert!(shutdown(&waker, &mut stream).is_pending());
            // The close_notify is not even out, and the transport is full.
            let error = failed(write(&waker, &mut stream, b"late"));
            assert_eq!(
                (error.kind(), WriteError::find(&error)),
                (ErrorKind::BrokenPipe, Some(&WriteError::AfterClose))
            );
            wire.release_write();
            done(shutdown(&waker, &mut stream));
            for _ in 0..3 {
                let error = failed(write(&waker, &mut stream, b"late"));
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
                assert_eq!(WriteError::find(&error), Some(&WriteError::AfterClose));
                let error = failed(write_vectored(&waker, &mut stream, &[IoSlice::new(b"late")]));
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            }
            assert_eq!(stream.sent_ending(), Some(&SentEnding::CloseNotify));
        }
    });
}

/// docs/cases.md R34
#[test]
fn a_write_of_no_byte_is_an_error_that_stays() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, .. } = peer::meet(version, side);
            let waker = CountingWaker::new();
            wire.push_write(WriteStep::Accept(3));
            wire.push_write(WriteStep::Zero);
            let error = failed(write(&waker, &mut stream, b"hello"));
            assert_eq!((error.kind(), WriteError::find(&error)), (ErrorKind::WriteZero, Some(&WriteError::Zero)));
            let polls = wire.polls();
            for polled in [flush(&waker, &mut stream), shutdown(&waker, &mut stream)] {
                assert_eq!(failed(polled).kind(), ErrorKind::WriteZero);
            }
            assert_eq!(failed(write(&waker, &mut stream, b"more")).kind(), ErrorKind::WriteZero);
            assert_eq!(wire.polls(), polls, "the transport is left alone");
            assert_eq!(stream.sent_ending(), Some(&SentEnding::Failed(ErrorKind::WriteZero)));
            assert_eq!((waker.wakes(), waker.live()), (0, 0));
            assert!(wire.unused_faults().is_empty());
        }
    });
}

/// docs/cases.md H02
#[test]
fn a_fault_of_each_call_is_recorded_once_and_repeated() {
    by_hand(|| {
        let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset, ErrorKind::HostUnreachable];
        for (version, side) in EACH {
            for kind in kinds {
                for call in ["write", "flush", "shutdown"] {
                    let Met { mut stream, wire, .. } = peer::meet(version, side);
                    let waker = CountingWaker::new();
                    match call {
                        "write" => wire.push_write(WriteStep::Error(kind)),
                        "flush" => wire.push_flush(DoneStep::Error(kind)),
                        _ => wire.push_shutdown(DoneStep::Error(kind)),
                    }
                    let error = failed(shutdown(&waker, &mut stream));
                    assert!(WriteError::find(&error).is_none(), "{call}: it is the transport's own");
                    assert_eq!(error.kind(), kind);
                    let expected = match call {
                        // The alert was out and flushed: the later fault does not take it back.
                        "shutdown" => SentEnding::CloseNotify,
                        _ => SentEnding::Failed(kind),
                    };
                    assert_eq!(stream.sent_ending(), Some(&expected));
                    assert_eq!(failed(shutdown(&waker, &mut stream)).kind(), kind);
                    assert_eq!(failed(write(&waker, &mut stream, b"x")).kind(), kind);
                    assert_eq!(stream.sent_ending(), Some(&expected));
                    assert!(wire.unused_faults().is_empty());
                }
            }
        }
    });
}

/// docs/cases.md R29
#[test]
fn a_peer_that_is_gone_already_is_no_fault_of_a_shutdown() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, .. } = peer::meet(version, side);
            let waker = CountingWaker::new();
            wire.push_shutdown(DoneStep::Error(ErrorKind::NotConnected));
            done(shutdown(&waker, &mut stream));
            done(shutdown(&waker, &mut stream));
            assert_eq!(stream.sent_ending(), Some(&SentEnding::CloseNotify));
            assert!(wire.unused_faults().is_empty());
        }
    });
}

/// docs/cases.md R23, P04
#[test]
fn writing_goes_on_after_the_peers_close() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            let waker = CountingWaker::new();
            wire.push_data(peer::close_notify(&mut peer));
            assert_eq!(done(read(&waker, &mut stream, 10)), b"");
            let answer = vec![9; 200_000];
            let mut sent = 0;
            while sent < answer.len() {
                sent += done(write(&waker, &mut stream, &answer[sent..]));
            }
            done(shutdown(&waker, &mut stream));
            assert!(peer::read_at(&mut peer, &wire.written()) == (answer, Ok(true)), "{version:?} {side:?}");
        }
    });
}

#[test]
fn big_writes_are_taken_64_kib_at_a_time_and_arrive_whole_through_any_chunks() {
    by_hand(|| {
        let message: Vec<u8> = (0..200_000_u32).map(|at| (at % 253) as u8).collect();
        for (version, side) in EACH {
            for chunk in [1_000, 1_461, 40_000] {
                let Met { mut stream, wire, mut peer } = peer::meet(version, side);
                let waker = CountingWaker::new();
                for _ in 0..400 {
                    wire.push_write(WriteStep::Accept(chunk));
                }
                let mut sent = 0;
                while sent < message.len() {
                    let taken = done(write(&waker, &mut stream, &message[sent..]));
                    assert_eq!(taken, (message.len() - sent).min(64 * 1024));
                    sent += taken;
                }
                done(shutdown(&waker, &mut stream));
                assert!(peer::read_at(&mut peer, &wire.written()) == (message.clone(), Ok(true)));
            }
        }
    });
}

#[test]
fn a_transport_that_takes_one_byte_at_a_time_gets_every_byte() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            let waker = CountingWaker::new();
            for at in 0..2_000 {
                if at % 3 == 0 {
                    wire.push_write(WriteStep::Pending);
                }
                wire.push_write(WriteStep::Accept(1));
            }
            let mut wakes = 0;
            for message in [&b"one"[..], b"two", b"three"] {
                while write(&waker, &mut stream, message).is_pending() {
                    wire.release_write();
                    wakes += 1;
                    assert_eq!(waker.take_wakes(), 1, "woken once, by the transport");
                }
            }
            // A write that was taken leaves nobody waiting: nobody is woken for it.
            let mut polls = 0;
            while shutdown(&waker, &mut stream).is_pending() {
                wire.release_write();
                assert_eq!(waker.take_wakes(), 1);
                polls += 1;
                assert!(polls < 2_000);
            }
            assert!(wakes > 0);
            assert_eq!(peer::read_at(&mut peer, &wire.written()), (b"onetwothree".to_vec(), Ok(true)));
            assert!(wire.write_sizes().iter().rev().take(60).all(|size| *size == 1));
        }
    });
}

#[test]
fn a_vectored_write_takes_all_slices_into_one_record() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            let waker = CountingWaker::new();
            assert!(stream.is_write_vectored());
            let slices = [IoSlice::new(b"he"), IoSlice::new(b""), IoSlice::new(b"llo "), IoSlice::new(b"world")];
            assert_eq!(done(write_vectored(&waker, &mut stream, &slices)), 11);
            assert_eq!(wire.write_sizes().len(), wire.polls().write as usize);
            let written = wire.take_written();
            assert_eq!(written.len(), 5 + usize::from(written[3]) * 256 + usize::from(written[4]), "one record");
            assert_eq!(peer::read_at(&mut peer, &written), (b"hello world".to_vec(), Ok(false)));
            assert_eq!(done(write_vectored(&waker, &mut stream, &[])), 0);
            assert_eq!(done(write(&waker, &mut stream, b"")), 0);
            assert_eq!(wire.take_written(), b"");
        }
    });
}

#[test]
fn a_full_transport_bounds_what_is_held() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, .. } = peer::meet(version, side);
            let waker = CountingWaker::new();
            wire.push_write(WriteStep::Pending);
            let big = vec![0; 1_000_000];
            assert_eq!(done(write(&waker, &mut stream, &big)), 64 * 1024, "the one write that is held");
            assert_eq!(waker.live(), 0, "and nobody waits for it");
            for _ in 0..3 {
                assert!(write(&waker, &mut stream, &big).is_pending());
            }
            assert_eq!(waker.live(), 1);
            wire.release_write();
            assert_eq!(waker.take_wakes(), 1);
            assert_eq!(done(write(&waker, &mut stream, &big)), 64 * 1024);
        }
    });
}

/// docs/cases.md L04
#[test]
fn a_received_fatal_alert_refuses_writes_and_says_nothing() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            let waker = CountingWaker::new();
            wire.push_data(peer::fatal_alert(&mut peer));
            assert_eq!(failed(read(&waker, &mut stream, 10)).kind(), ErrorKind::ConnectionAborted);
            assert_eq!(stream.received_ending().unwrap().word(), "alert_decode_error");
            for _ in 0..2 {
                let error = failed(write(&waker, &mut stream, b"x"));
                assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
                assert_eq!(WriteError::find(&error), Some(&WriteError::Send(SendError::SessionOver)));
            }
            done(shutdown(&waker, &mut stream));
            assert_eq!(stream.sent_ending(), Some(&SentEnding::Aborted));
            assert_eq!(wire.written(), b"", "no close_notify behind a fatal alert");
            assert!(wire.is_shut_down());
        }
    });
}

/// A transport may keep what it takes until it is flushed, and a session that fails is no reason to leave it there.
#[test]
fn a_flush_after_the_peers_fatal_alert_still_flushes_what_was_taken() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            let waker = CountingWaker::new();
            assert_eq!(done(write(&waker, &mut stream, b"taken")), 5);
            wire.push_data(peer::fatal_alert(&mut peer));
            assert_eq!(failed(read(&waker, &mut stream, 10)).kind(), ErrorKind::ConnectionAborted);
            assert_eq!(failed(write(&waker, &mut stream, b"refused")).kind(), ErrorKind::ConnectionAborted);
            assert_eq!(stream.sent_ending(), Some(&SentEnding::Aborted));
            done(flush(&waker, &mut stream));
            assert!(wire.is_flushed());
            done(shutdown(&waker, &mut stream));
            assert!(wire.is_shut_down());
            assert_eq!(stream.sent_ending(), Some(&SentEnding::Aborted));
        }
    });
}

/// docs/cases.md L04
#[test]
fn our_fatal_alert_goes_out_with_the_read_that_finds_the_violation() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            let waker = CountingWaker::new();
            wire.push_data(peer::broken(&mut peer));
            let error = failed(read(&waker, &mut stream, 10));
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert!(matches!(stream.received_ending(), Some(ReceivedEnding::Violation(_))));
            assert_eq!(stream.sent_ending().unwrap().word(), "alert_bad_record_mac");
            let seen = peer::read_at(&mut peer, &wire.take_written()).1;
            assert_eq!(seen, Err(rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac)));
            let error = failed(write(&waker, &mut stream, b"x"));
            assert_eq!(WriteError::find(&error), Some(&WriteError::Send(SendError::SessionOver)));
            done(shutdown(&waker, &mut stream));
            assert_eq!(wire.written(), b"", "nothing behind the alert");
            assert_eq!(stream.sent_ending().unwrap().word(), "alert_bad_record_mac");
            assert_eq!((waker.wakes(), waker.live()), (0, 0));
        }
    });
}

#[test]
fn a_reader_alone_sends_our_fatal_alert() {
    by_hand(|| {
        for (version, side) in EACH {
            for room in [true, false] {
                let Met { stream, wire, mut peer } = peer::meet(version, side);
                let (mut reader, writer) = stream.into_split();
                let waker = CountingWaker::new();
                if !room {
                    wire.push_write(WriteStep::Pending);
                }
                wire.push_data(peer::broken(&mut peer));
                assert_eq!(failed(read(&waker, &mut reader, 10)).kind(), ErrorKind::InvalidData);
                if !room {
                    assert_eq!((wire.written(), writer.sent_ending()), (Vec::new(), None));
                    wire.release_write();
                    assert_eq!(waker.take_wakes(), 1, "the reader waits for room, though it has had its answer");
                    assert_eq!(failed(read(&waker, &mut reader, 10)).kind(), ErrorKind::InvalidData);
                }
                let seen = peer::read_at(&mut peer, &wire.take_written()).1;
                assert_eq!(seen, Err(rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac)));
                assert_eq!(writer.sent_ending().unwrap().word(), "alert_bad_record_mac");
                assert_eq!((waker.wakes(), waker.live()), (0, 0));
            }
        }
    });
}

/// The bound on ciphertext holds for what receiving makes us owe, too: a peer that asks for KeyUpdates and never reads.
#[test]
fn answers_to_key_updates_are_bounded_while_the_transport_is_full() {
    by_hand(|| {
        for side in [Side::Client, Side::Server] {
            for split in [false, true] {
                let Met { mut stream, wire, mut peer } = peer::meet(TlsVersion::V13, side);
                let waker = CountingWaker::new();
                let rounds = 300;
                let mut arrived = Vec::new();
                for _ in 0..rounds {
                    arrived.push([peer::key_update(&mut peer), peer::data(&mut peer, b"x")].concat());
                }
                wire.push_write(WriteStep::Pending);
                let reads = |stream: &mut (dyn tokio::io::AsyncRead + Unpin)| {
                    for bytes in &arrived {
                        wire.push_data(bytes.clone());
                        let mut stream = &mut *stream;
                        assert_eq!(done(read(&waker, &mut stream, 10)), b"x");
                    }
                };
                let mut keep = None;
                if split {
                    let (mut reader, writer) = stream.into_split();
                    reads(&mut reader);
                    wire.release_write();
                    assert!(read(&waker, &mut reader, 10).is_pending());
                    keep = Some((reader, writer));
                } else {
                    reads(&mut stream);
                    wire.release_write();
                    assert!(read(&waker, &mut stream, 10).is_pending());
                }
                let written = wire.take_written();
                assert!((22..=120).contains(&written.len()), "{} bytes of answers", written.len());
                assert_eq!(peer::read_at(&mut peer, &written), (Vec::new(), Ok(false)));
                drop(keep);
            }
        }
    });
}
