//! Futures dropped midway: no byte is lost and none is doubled, whatever the transport did in between.

use crate::peer::{self, EACH, Met, by_hand};
use std::pin::pin;
use std::task::Poll;
use testkit::executor::CountingWaker;
use testkit::transport::{DoneStep, WriteStep};
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
                    held_write = wire.unused_faults().first().is_some_and(|fault| fault == "write Pending");
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
                    match wire.unused_faults().first().map(String::as_str) {
                        Some("write Pending") => wire.release_write(),
                        Some("flush Pending") => wire.release_flush(),
                        other => panic!("pending for {other:?}"),
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
