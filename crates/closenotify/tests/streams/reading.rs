//! The receiving half: data, then one ending that stays, whatever the transport does behind it.

use crate::peer::{self, EACH, Met, by_hand, done, failed, read, shutdown, since, write};
use closenotify::{ReadError, ReceivedEnding, TruncatedAt, Truncation};
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::Poll;
use testkit::executor::CountingWaker;
use testkit::transport::{ReadStep, WriteStep};
use tokio::io::{AsyncBufRead as _, AsyncRead as _, ReadBuf};

/// What the transport does, what the read says, and the ending.
fn ends() -> Vec<(ReadStep, bool, ErrorKind, ReceivedEnding)> {
    let truncated = |at| ReceivedEnding::Truncated { at };
    let failed = ReceivedEnding::Failed(ErrorKind::HostUnreachable);
    let host = ErrorKind::HostUnreachable;
    vec![
        (ReadStep::Eof, false, ErrorKind::UnexpectedEof, truncated(TruncatedAt::Boundary)),
        (ReadStep::Eof, true, ErrorKind::UnexpectedEof, truncated(TruncatedAt::InsideRecord)),
        (ReadStep::Error(ErrorKind::ConnectionReset), false, ErrorKind::ConnectionReset, ReceivedEnding::Reset),
        (ReadStep::Error(ErrorKind::ConnectionReset), true, ErrorKind::ConnectionReset, ReceivedEnding::Reset),
        (ReadStep::Error(host), true, host, failed),
    ]
}

/// docs/cases.md R21, H01
#[test]
fn an_error_is_repeated_and_never_turns_into_an_end() {
    by_hand(|| {
        for (version, side) in EACH {
            for (end, inside, kind, ending) in ends() {
                let Met { mut stream, wire, mut peer } = peer::meet(version, side);
                let waker = CountingWaker::new();
                let mut bytes = peer::data(&mut peer, b"hello");
                if inside {
                    bytes.extend_from_slice(&peer::data(&mut peer, b"cut")[..9]);
                }
                wire.push_data(bytes);
                wire.push_read(end);
                // What the transport does later changes nothing: a close_notify, an end.
                wire.push_data(peer::close_notify(&mut peer));
                wire.push_read(ReadStep::Eof);
                assert_eq!(done(read(&waker, &mut stream, 100)), b"hello", "what arrived is delivered first");
                let before = wire.polls();
                for round in 0..10 {
                    let error = failed(read(&waker, &mut stream, 100));
                    assert_eq!(error.kind(), kind);
                    let typed = ReadError::find(&error).map(ReadError::ending);
                    match ending {
                        // The transport's own error is returned as it is.
                        ReceivedEnding::Reset | ReceivedEnding::Failed(_) => assert_eq!(typed, None),
                        _ => assert_eq!(typed, Some(&ending)),
                    }
                    assert_eq!(stream.received_ending(), Some(&ending));
                    let filled = waker.with_context(|cx| Pin::new(&mut stream).poll_fill_buf(cx).map_ok(<[u8]>::len));
                    assert_eq!(failed(filled).kind(), kind, "round {round}");
                }
                assert_eq!(since(before, wire.polls()).read, 1, "{version:?} {side:?}: the transport is asked once");
                assert_eq!((waker.wakes(), waker.live()), (0, 0));
                // And our own direction lives.
                assert_eq!(done(write(&waker, &mut stream, b"still")), 5);
                assert_eq!(peer::read_at(&mut peer, &wire.written()), (b"still".to_vec(), Ok(false)));
            }
        }
    });
}

/// docs/cases.md R15, R25, O01, C10
#[test]
fn as_eof_is_an_end_between_records_and_nowhere_else() {
    by_hand(|| {
        for (version, side) in EACH {
            for (end, inside, kind, ending) in ends() {
                let Met { mut stream, wire, mut peer } = peer::meet(version, side);
                stream.set_truncation(Truncation::AsEof);
                let waker = CountingWaker::new();
                let mut bytes = peer::data(&mut peer, b"hello");
                if inside {
                    bytes.extend_from_slice(&peer::data(&mut peer, b"cut")[..9]);
                }
                wire.push_data(bytes);
                wire.push_read(end);
                assert_eq!(done(read(&waker, &mut stream, 100)), b"hello");
                for _ in 0..3 {
                    let polled = read(&waker, &mut stream, 100);
                    if ending == (ReceivedEnding::Truncated { at: TruncatedAt::Boundary }) {
                        assert_eq!(done(polled), b"");
                    } else {
                        assert_eq!(failed(polled).kind(), kind);
                    }
                    assert_eq!(stream.received_ending(), Some(&ending), "recorded either way");
                }
            }
        }
    });
}

/// The kernel tells a reset once: when the write got it, the read behind it sees an end that looks like a FIN.
#[test]
fn a_reset_that_the_write_saw_is_a_reset_to_the_reader() {
    by_hand(|| {
        for (version, side) in EACH {
            for split in [false, true] {
                let Met { mut stream, wire, mut peer } = peer::meet(version, side);
                stream.set_truncation(Truncation::AsEof);
                let waker = CountingWaker::new();
                wire.push_data(peer::data(&mut peer, b"hello"));
                wire.push_write(WriteStep::Error(ErrorKind::ConnectionReset));
                wire.push_read(ReadStep::Eof);
                if split {
                    let (mut reader, mut writer) = stream.into_split();
                    assert_eq!(failed(write(&waker, &mut writer, b"x")).kind(), ErrorKind::ConnectionReset);
                    assert_eq!(done(read(&waker, &mut reader, 100)), b"hello");
                    assert_eq!(failed(read(&waker, &mut reader, 100)).kind(), ErrorKind::ConnectionReset);
                    assert_eq!(reader.received_ending(), Some(&ReceivedEnding::Reset));
                } else {
                    assert_eq!(failed(write(&waker, &mut stream, b"x")).kind(), ErrorKind::ConnectionReset);
                    assert_eq!(done(read(&waker, &mut stream, 100)), b"hello");
                    assert_eq!(failed(read(&waker, &mut stream, 100)).kind(), ErrorKind::ConnectionReset);
                    assert_eq!(stream.received_ending(), Some(&ReceivedEnding::Reset));
                }
            }
        }
    });
}

/// docs/cases.md R33
#[test]
fn a_read_of_no_bytes_changes_nothing() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            let waker = CountingWaker::new();
            let before = wire.polls();
            assert_eq!(done(read(&waker, &mut stream, 0)), b"", "also while nothing has arrived");
            wire.push_data(peer::data(&mut peer, b"hello"));
            for _ in 0..3 {
                assert_eq!(done(read(&waker, &mut stream, 0)), b"");
            }
            assert_eq!(wire.polls(), before);
            assert_eq!(done(read(&waker, &mut stream, 2)), b"he");
            assert_eq!(done(read(&waker, &mut stream, 0)), b"");
            assert_eq!(done(read(&waker, &mut stream, 100)), b"llo");
            assert!(read(&waker, &mut stream, 100).is_pending());
            assert_eq!(done(read(&waker, &mut stream, 0)), b"");
            assert_eq!(stream.received_ending(), None);
        }
    });
}

/// docs/cases.md R22, P07
#[test]
fn reading_goes_on_after_our_own_shutdown() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            let waker = CountingWaker::new();
            done(shutdown(&waker, &mut stream));
            for answer in [&b"one"[..], b"two"] {
                assert!(read(&waker, &mut stream, 100).is_pending());
                wire.push_data(peer::data(&mut peer, answer));
                assert_eq!(waker.take_wakes(), 1);
                assert_eq!(done(read(&waker, &mut stream, 100)), answer);
            }
            wire.push_data(peer::close_notify(&mut peer));
            assert_eq!(done(read(&waker, &mut stream, 100)), b"");
            assert!(stream.received_ending().unwrap().is_clean());
        }
    });
}

#[test]
fn segments_of_one_byte_make_the_same_stream() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            let waker = CountingWaker::new();
            let mut bytes = peer::data(&mut peer, b"hello ");
            bytes.extend(peer::data(&mut peer, b"world"));
            bytes.extend(peer::close_notify(&mut peer));
            let mut plaintext = Vec::new();
            for byte in bytes {
                while let Poll::Ready(got) = read(&waker, &mut stream, 100) {
                    let got = got.unwrap();
                    assert!(!got.is_empty(), "no end before the last byte");
                    plaintext.extend(got);
                }
                wire.push_data([byte]);
                assert_eq!(waker.take_wakes(), 1);
            }
            assert_eq!(done(read(&waker, &mut stream, 100)), b"");
            assert_eq!(plaintext, b"hello world");
        }
    });
}

/// docs/cases.md R40
#[test]
fn a_read_fills_the_buffer_from_several_records() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            let waker = CountingWaker::new();
            let sent: Vec<u8> = (0..60_000_u32).map(|at| (at % 251) as u8).collect();
            wire.push_data(peer::data(&mut peer, &sent));
            let before = wire.polls();
            assert!(done(read(&waker, &mut stream, 60_000)) == sent);
            assert_eq!(since(before, wire.polls()).read, 1, "64 KiB a read of the transport");
        }
    });
}

#[test]
fn bytes_already_in_the_callers_buffer_stay() {
    by_hand(|| {
        let Met { mut stream, wire, mut peer } = peer::meet(EACH[3].0, EACH[3].1);
        wire.push_data(peer::data(&mut peer, b"hello"));
        let mut bytes = [0; 10];
        let mut buffer = ReadBuf::new(&mut bytes);
        buffer.put_slice(b"mine ");
        let polled = CountingWaker::new().with_context(|cx| Pin::new(&mut stream).poll_read(cx, &mut buffer));
        done(polled);
        assert_eq!(buffer.filled(), b"mine hello");
    });
}

#[test]
fn buffered_reads_and_plain_ones_mix() {
    by_hand(|| {
        for (version, side) in EACH {
            for split in [false, true] {
                let Met { stream, wire, mut peer } = peer::meet(version, side);
                let waker = CountingWaker::new();
                let mut bytes = peer::data(&mut peer, b"hello");
                bytes.extend(peer::data(&mut peer, b"world"));
                bytes.extend(peer::close_notify(&mut peer));
                wire.push_data(bytes);
                if split {
                    let (mut reader, _writer) = stream.into_split();
                    mix(&waker, &mut reader);
                    assert!(reader.received_ending().unwrap().is_clean());
                } else {
                    let mut stream = stream;
                    let filled = waker.with_context(|cx| Pin::new(&mut stream).poll_fill_buf(cx).map_ok(<[u8]>::len));
                    assert_eq!(done(filled), 5, "a record, in place");
                    assert_eq!(stream.received_ending(), None, "plaintext in front of the end is unread");
                    mix(&waker, &mut stream);
                    assert!(stream.received_ending().unwrap().is_clean());
                }
            }
        }
    });
}

fn mix(waker: &CountingWaker, stream: &mut (impl tokio::io::AsyncBufRead + Unpin)) {
    fn fill(waker: &CountingWaker, stream: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> Vec<u8> {
        done(waker.with_context(|cx| Pin::new(stream).poll_fill_buf(cx).map_ok(<[u8]>::to_vec)))
    }
    assert_eq!(fill(waker, stream), b"hello");
    assert_eq!(fill(waker, stream), b"hello", "unconsumed, unchanged");
    Pin::new(&mut *stream).consume(3);
    assert_eq!(done(read(waker, stream, 3)), b"low");
    assert_eq!(done(read(waker, stream, 1)), b"o");
    assert_eq!(fill(waker, stream), b"rld");
    Pin::new(&mut *stream).consume(0);
    Pin::new(&mut *stream).consume(3);
    assert_eq!(fill(waker, stream), b"");
    Pin::new(&mut *stream).consume(0);
    assert_eq!(done(read(waker, stream, 3)), b"");
}
