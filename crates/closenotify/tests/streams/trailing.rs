//! How many bytes came after the peer's close_notify: one number for the same bytes, however they were cut, and whatever was
//! read before.

use crate::peer::{self, EACH, Met, by_hand, done, read};
use closenotify::{Ended, Linger, ReceivedEnding};
use std::pin::pin;
use std::task::Poll;
use testkit::executor::CountingWaker;
use testkit::transport::ReadStep;

/// What was done with the stream before its close.
const BEFORE: [&str; 5] = ["nothing", "part of the data", "the end", "the end, by a half, reunited", "reunited"];

/// Closes a session whose peer sent `segments` and its FIN.
fn close(met: Met, segments: &[&[u8]], before: &str) -> Ended {
    let Met { mut stream, wire, .. } = met;
    for segment in segments.iter().filter(|segment| !segment.is_empty()) {
        wire.push_data(*segment);
    }
    wire.push_read(ReadStep::Eof);
    let waker = CountingWaker::new();
    match before {
        "nothing" => {}
        "part of the data" => assert!(!done(read(&waker, &mut stream, 2)).is_empty()),
        "the end" => while !done(read(&waker, &mut stream, 3)).is_empty() {},
        _ => {
            let (mut reader, writer) = stream.into_split();
            if before != "reunited" {
                while !done(read(&waker, &mut reader, 3)).is_empty() {}
                assert_eq!(reader.received_ending(), Some(&ReceivedEnding::CloseNotify));
            }
            stream = reader.reunite(writer).unwrap();
        }
    }
    let Poll::Ready(ended) = waker.poll(pin!(stream.close(Linger::default()))) else { panic!("the peer has ended") };
    ended
}

/// docs/cases.md L02
#[test]
fn trailing_bytes_are_counted_the_same_in_every_segmentation() {
    by_hand(|| {
        for (version, side) in [EACH[0], EACH[3]] {
            for trailing in [&b""[..], b"xyz", &[23, 3, 3, 0, 1, 9]] {
                let mut at = 0;
                loop {
                    let mut length = 0;
                    for before in BEFORE {
                        let mut met = peer::meet(version, side);
                        let sent =
                            [peer::data(&mut met.peer, b"data"), peer::close_notify(&mut met.peer), trailing.to_vec()];
                        let bytes = sent.concat();
                        length = bytes.len();
                        let (first, second) = bytes.split_at(at);
                        let ended = close(met, &[first, second], before);
                        let seen = (ended.received.clone(), ended.trailing);
                        assert_eq!(
                            seen,
                            (ReceivedEnding::CloseNotify, trailing.len() as u64),
                            "{version:?} {side:?}, cut at {at} of {length}, read before: {before}"
                        );
                    }
                    at += 1;
                    if at > length {
                        break;
                    }
                }
                // Byte by byte.
                for before in BEFORE {
                    let mut met = peer::meet(version, side);
                    let sent =
                        [peer::data(&mut met.peer, b"data"), peer::close_notify(&mut met.peer), trailing.to_vec()];
                    let bytes = sent.concat();
                    let segments: Vec<_> = bytes.chunks(1).collect();
                    assert_eq!(close(met, &segments, before).trailing, trailing.len() as u64, "{before}");
                }
            }
        }
    });
}

/// Many of them, more than any buffer holds; and where the half did not end by close_notify there are none.
#[test]
fn trailing_bytes_are_those_after_a_close_notify_alone() {
    by_hand(|| {
        for (version, side) in EACH {
            for before in ["nothing", "the end", "reunited"] {
                let mut met = peer::meet(version, side);
                let many = vec![7; 300_000];
                let sent = [peer::close_notify(&mut met.peer), many.clone()].concat();
                assert_eq!(close(met, &[&sent], before).trailing, 300_000);
                let mut met = peer::meet(version, side);
                let end = peer::close_notify(&mut met.peer);
                assert_eq!(close(met, &[&end, &many[..100_000], &many[100_000..]], before).trailing, 300_000);
            }
            let mut met = peer::meet(version, side);
            let sent = [peer::fatal_alert(&mut met.peer), b"after it".to_vec()].concat();
            let ended = close(met, &[&sent], "nothing");
            assert_eq!((ended.trailing, ended.discarded), (0, 8));
        }
    });
}
