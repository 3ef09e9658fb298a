//! Futures dropped midway: no byte is lost and none is doubled, whatever the transport did in between.

use crate::peer::{self, Configs, EACH, Met, Side, Wire, by_hand, done, output_of, read, write};
use closenotify::{LazyConfigAcceptor, Linger};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use testkit::certs::TlsVersion;
use testkit::executor::CountingWaker;
use testkit::transport::{DoneStep, Op, ReadStep, WriteStep};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A small generator: the cases are many, and the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// docs/cases.md L09, L12, N03
#[test]
fn writes_flushes_and_shutdowns_may_be_dropped_after_any_poll() {
    by_hand(|| {
        for (version, side) in EACH {
            for seed in 0..40 {
                let mut dice = Dice(seed);
                let Met { mut stream, wire, mut peer } = peer::meet(version, side);
                let waker = CountingWaker::new();
                let (mut expected, mut next) = (Vec::new(), 0_u8);
                let (mut held_write, mut held_flush) = (false, false);
                for _ in 0..60 {
                    // The transport: takes a little, stops, goes on.
                    if held_write && dice.roll(3) == 0 {
                        wire.release_write();
                        held_write = false;
                    }
                    if held_flush && dice.roll(3) == 0 {
                        wire.release_flush();
                        held_flush = false;
                    }
                    if !held_write && dice.roll(4) == 0 {
                        // Behind whatever is taken before.
                        if wire.unused_faults().is_empty() {
                            wire.push_write(WriteStep::Accept(1 + dice.roll(2_000) as usize));
                            wire.push_write(WriteStep::Pending);
                        }
                    }
                    held_write = wire.is_held(Op::Write);
                    if !held_flush && dice.roll(6) == 0 {
                        wire.push_flush(DoneStep::Pending);
                        held_flush = true;
                    }
                    match dice.roll(3) {
                        0 => {
                            let length = 1 + dice.roll(5_000) as usize;
                            let bytes: Vec<u8> = (0..length).map(|at| next.wrapping_add(at as u8)).collect();
                            // One poll, then the future is dropped.
                            let polled = {
                                let mut writing = pin!(stream.write(&bytes));
                                waker.poll(writing.as_mut())
                            };
                            if let Poll::Ready(taken) = polled {
                                let taken = taken.unwrap();
                                expected.extend_from_slice(&bytes[..taken]);
                                next = next.wrapping_add(taken as u8);
                            }
                        }
                        1 => {
                            let mut flushing = pin!(stream.flush());
                            let _ = waker.poll(flushing.as_mut()).map(Result::unwrap);
                        }
                        _ => {
                            let mut some = [0; 10];
                            let mut reading = pin!(stream.read(&mut some));
                            assert!(waker.poll(reading.as_mut()).is_pending());
                        }
                    }
                }
                // A shutdown, dropped after each poll until it is through.
                let mut polls = 0;
                loop {
                    let polled = {
                        let mut ending = pin!(stream.shutdown());
                        waker.poll(ending.as_mut())
                    };
                    if let Poll::Ready(result) = polled {
                        break result.unwrap();
                    }
                    match (wire.is_held(Op::Write), wire.is_held(Op::Flush)) {
                        (true, _) => wire.release_write(),
                        (false, true) => wire.release_flush(),
                        (false, false) => panic!("pending for {:?}", wire.unused_faults()),
                    }
                    polls += 1;
                    assert!(polls < 50);
                }
                let (plaintext, closed) = peer::read_at(&mut peer, &wire.written());
                assert!(plaintext == expected, "{version:?} {side:?} {seed}");
                assert_eq!(closed, Ok(true));
            }
        }
    });
}

#[test]
fn reads_may_be_dropped_after_any_poll() {
    by_hand(|| {
        for (version, side) in EACH {
            for seed in 0..40 {
                let mut dice = Dice(seed);
                let Met { mut stream, wire, mut peer } = peer::meet(version, side);
                let waker = CountingWaker::new();
                let sent: Vec<u8> = (0..40_000_u32).map(|at| (at % 251) as u8).collect();
                let mut bytes = peer::data(&mut peer, &sent);
                bytes.extend(peer::close_notify(&mut peer));
                let (mut bytes, mut received) = (bytes.as_slice(), Vec::new());
                let end = loop {
                    if !bytes.is_empty() && dice.roll(2) == 0 {
                        let (now, later) = bytes.split_at(bytes.len().min(1 + dice.roll(9_000) as usize));
                        wire.push_data(now);
                        bytes = later;
                    }
                    let mut some = vec![0; 1 + dice.roll(9_000) as usize];
                    let polled = {
                        let mut reading = pin!(stream.read(&mut some));
                        waker.poll(reading.as_mut())
                    };
                    match polled {
                        Poll::Ready(Ok(0)) => break bytes.len(),
                        Poll::Ready(got) => received.extend_from_slice(&some[..got.unwrap()]),
                        Poll::Pending => {}
                    }
                };
                assert_eq!(end, 0, "no end before the last byte");
                assert!(received == sent, "{version:?} {side:?} {seed}");
            }
        }
    });
}

/// What the peer makes of all that it got, and of the end behind it.
fn heard(peer: &mut rustls::Connection, bytes: &[u8]) -> (Vec<u8>, bool) {
    let (plaintext, closed) = peer::read_at(peer, bytes);
    (plaintext, closed.unwrap())
}

#[test]
fn a_close_that_is_dropped_drops_the_stream_where_it_stands() {
    by_hand(|| {
        for (version, side) in EACH {
            for stuck in [true, false] {
                let Met { mut stream, wire, mut peer } = peer::meet(version, side);
                let waker = CountingWaker::new();
                if stuck {
                    wire.push_write(WriteStep::Pending);
                }
                assert_eq!(done(write(&waker, &mut stream, b"last")), 4);
                {
                    let mut closing = pin!(stream.close(Linger::default()));
                    assert!(waker.poll(closing.as_mut()).is_pending());
                }
                assert!(wire.is_read_dropped() && wire.is_write_dropped());
                // An abort where the close_notify is not out: the peer can tell that it has not everything.
                let expected = if stuck { (Vec::new(), false) } else { (b"last".to_vec(), true) };
                assert_eq!(heard(&mut peer, &wire.written()), expected);
                assert_eq!((waker.wakes(), waker.live()), (0, 0));
            }
        }
    });
}

#[test]
fn an_end_of_tls_that_is_dropped_drops_the_stream_and_the_transport() {
    by_hand(|| {
        for (version, side) in EACH {
            for stuck in [true, false] {
                let Met { stream, wire, mut peer } = peer::meet(version, side);
                let waker = CountingWaker::new();
                if stuck {
                    wire.push_write(WriteStep::Pending);
                }
                {
                    let mut ending = pin!(stream.end_tls(Duration::from_secs(3)));
                    assert!(waker.poll(ending.as_mut()).is_pending());
                }
                assert!(wire.is_read_dropped() && wire.is_write_dropped() && !wire.is_shut_down());
                assert_eq!(heard(&mut peer, &wire.written()), (Vec::new(), !stuck));
                assert_eq!((waker.wakes(), waker.live()), (0, 0));
            }
        }
    });
}

#[test]
fn a_server_that_is_dropped_before_it_has_chosen_drops_the_transport_without_a_word() {
    by_hand(|| {
        for version in TlsVersion::EACH {
            let configs = Configs::of(version);
            let hello = output_of(&mut configs.peer_of(Side::Server));
            let waker = CountingWaker::new();
            for part in [0, 10, hello.len()] {
                let (wire, handle) = Wire::new();
                if part > 0 {
                    handle.push_data(&hello[..part]);
                }
                let mut acceptor = LazyConfigAcceptor::new(wire);
                let polled = waker.poll(pin!(&mut acceptor));
                assert_eq!(polled.is_ready(), part == hello.len());
                drop((polled, acceptor));
                assert!(handle.is_read_dropped() && handle.is_write_dropped());
                assert_eq!((handle.written(), waker.wakes(), waker.live()), (Vec::new(), 0, 0));
            }
        }
    });
}

#[test]
fn who_stops_waiting_for_an_ending_changes_nothing() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { stream, wire, mut peer } = peer::meet(version, side);
            let (mut io, mut when) = stream.close_on_shutdown(Linger::default());
            let (at_stream, at_ending) = (CountingWaker::new(), CountingWaker::new());
            assert!(at_ending.poll(pin!(&mut when)).is_pending());
            drop(when);
            assert_eq!((at_ending.wakes(), at_ending.live()), (0, 0));
            assert!(peer::shutdown(&at_stream, &mut io).is_pending());
            wire.push_read(ReadStep::Eof);
            done(peer::shutdown(&at_stream, &mut io));
            assert_eq!(heard(&mut peer, &wire.written()), (Vec::new(), true));
        }
    });
}

/// A reader and a writer that were dropped while they waited are not woken; the next ones are.
#[test]
fn a_wait_that_is_dropped_is_taken_over_by_the_next() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { stream, wire, mut peer } = peer::meet(version, side);
            let (mut reader, mut writer) = stream.into_split();
            let (first, second) = (CountingWaker::new(), CountingWaker::new());
            wire.push_write(WriteStep::Pending);
            assert_eq!(done(write(&first, &mut writer, b"held")), 4);
            for waker in [&first, &second] {
                assert!(write(waker, &mut writer, b"more").is_pending());
                assert!(read(waker, &mut reader, 10).is_pending());
            }
            assert_eq!((first.live(), second.live()), (0, 3), "for room twice, and at the read side");
            wire.release_write();
            wire.push_data(peer::data(&mut peer, b"x"));
            assert_eq!((first.wakes(), second.take_wakes()), (0, 2));
            assert_eq!(done(write(&second, &mut writer, b"more")), 4);
            assert_eq!(done(read(&second, &mut reader, 10)), b"x");
            assert_eq!(heard(&mut peer, &wire.written()).0, b"heldmore");
        }
    });
}
