//! TLS ends and the transport goes on: both alerts exchanged, no byte of the next protocol eaten, nothing shut.

use crate::peer::{self, EACH, Met, done, read, write};
use closenotify::{EndTlsFault, ReceivedEnding, SentEnding, TruncatedAt};
use std::io::ErrorKind;
use std::time::Duration;
use testkit::executor::CountingWaker;
use testkit::transport::{ReadStep, WriteStep};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(2);

/// docs/cases.md R05, R30, G04, F01
#[tokio::test(start_paused = true)]
async fn both_alerts_are_exchanged_and_the_transport_goes_on() {
    for (version, side) in EACH {
        for behind in [&b""[..], b"2", b"220 plain text again\r\n", &[23, 3, 3, 0, 1, 9], &[7; 5_000]] {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            stream.write_all(b"last").await.unwrap();
            let mut bytes = peer::close_notify(&mut peer);
            bytes.extend_from_slice(behind);
            wire.push_data(bytes);
            wire.push_data(b"later".to_vec());
            let (mut transport, trailing) = stream.end_tls(DEADLINE).await.unwrap();
            assert_eq!(trailing, behind, "{version:?} {side:?}");
            assert_eq!(peer::read_at(&mut peer, &wire.take_written()), (b"last".to_vec(), Ok(true)));
            assert!(!wire.is_shut_down() && wire.is_flushed());
            assert_eq!(wire.polls().shutdown, 0);
            // What was not read with the close_notify is still in the transport, and it writes.
            let mut later = [0; 5];
            transport.read_exact(&mut later).await.unwrap();
            assert_eq!(&later, b"later");
            transport.write_all(b"QUIT").await.unwrap();
            assert_eq!(wire.written(), b"QUIT");
        }
    }
}

/// docs/cases.md L02
#[tokio::test(start_paused = true)]
async fn an_end_that_was_read_before_is_enough() {
    for (version, side) in EACH {
        let Met { mut stream, wire, mut peer } = peer::meet(version, side);
        let mut bytes = peer::data(&mut peer, b"all");
        bytes.extend(peer::close_notify(&mut peer));
        bytes.extend_from_slice(b"next");
        wire.push_data(bytes);
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        let (_, trailing) = stream.end_tls(DEADLINE).await.unwrap();
        assert_eq!((all.as_str(), trailing.as_slice()), ("all", &b"next"[..]));
        assert_eq!(peer::read_at(&mut peer, &wire.written()), (Vec::new(), Ok(true)));
    }
}

#[tokio::test(start_paused = true)]
async fn unread_plaintext_is_refused_and_can_be_read_then() {
    for (version, side) in EACH {
        for taken in [false, true] {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            let mut bytes = peer::data(&mut peer, b"hello");
            bytes.extend(peer::close_notify(&mut peer));
            bytes.extend_from_slice(b"next");
            wire.push_data(bytes);
            if taken {
                let mut some = [0; 2];
                stream.read_exact(&mut some).await.unwrap();
            }
            let error = stream.end_tls(DEADLINE).await.unwrap_err();
            assert_eq!(error.fault, EndTlsFault::UnreadPlaintext);
            assert_eq!(error.to_string(), "the peer has sent data that was not read; read to the end first");
            let mut stream = error.stream;
            let mut rest = String::new();
            stream.read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, if taken { "llo" } else { "hello" });
            let (_, trailing) = stream.end_tls(DEADLINE).await.unwrap();
            assert_eq!(trailing, b"next");
            assert_eq!(peer::read_at(&mut peer, &wire.written()), (Vec::new(), Ok(true)), "one close_notify");
        }
    }
}

/// docs/cases.md O11, L11
#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_waited_for_until_the_deadline() {
    for (version, side) in EACH {
        for stuck in [false, true] {
            let Met { stream, wire, mut peer } = peer::meet(version, side);
            if stuck {
                wire.push_write(WriteStep::Pending);
                wire.push_data(peer::close_notify(&mut peer));
            }
            let start = Instant::now();
            let error = stream.end_tls(DEADLINE).await.unwrap_err();
            assert_eq!(error.fault, EndTlsFault::TimedOut);
            assert_eq!(start.elapsed(), DEADLINE);
            // It can be tried again.
            if stuck {
                wire.release_write();
            } else {
                wire.push_data(peer::close_notify(&mut peer));
            }
            error.stream.end_tls(DEADLINE).await.unwrap();
            assert_eq!(peer::read_at(&mut peer, &wire.written()), (Vec::new(), Ok(true)));
        }
    }
}

/// docs/cases.md P10
#[tokio::test(start_paused = true)]
async fn any_other_end_is_a_fault_and_says_which() {
    for (version, side) in EACH {
        let truncated = ReceivedEnding::Truncated { at: TruncatedAt::Boundary };
        for (step, ending) in
            [(ReadStep::Eof, truncated), (ReadStep::Error(ErrorKind::ConnectionReset), ReceivedEnding::Reset)]
        {
            for as_eof in [false, true] {
                let Met { mut stream, wire, .. } = peer::meet(version, side);
                if as_eof {
                    stream.set_truncation(closenotify::Truncation::AsEof);
                }
                wire.push_read(step.clone());
                let error = stream.end_tls(DEADLINE).await.unwrap_err();
                assert_eq!(error.fault, EndTlsFault::Received(ending.clone()));
            }
        }
        let Met { stream, wire, .. } = peer::meet(version, side);
        wire.push_write(WriteStep::Error(ErrorKind::BrokenPipe));
        let error = stream.end_tls(DEADLINE).await.unwrap_err();
        assert_eq!(error.fault, EndTlsFault::Sent(SentEnding::Failed(ErrorKind::BrokenPipe)));
        // After a fatal alert of ours.
        let Met { mut stream, wire, mut peer } = peer::meet(version, side);
        wire.push_data(peer::broken(&mut peer));
        stream.read_u8().await.unwrap_err();
        let error = stream.end_tls(DEADLINE).await.unwrap_err();
        assert!(matches!(error.fault, EndTlsFault::Sent(SentEnding::Alert(_))), "{:?}", error.fault);
        // And a stream that has failed stays as it is.
        let mut stream = error.stream;
        assert!(matches!(stream.received_ending(), Some(ReceivedEnding::Violation(_))));
        let waker = CountingWaker::new();
        assert!(matches!(write(&waker, &mut stream, b"x"), std::task::Poll::Ready(Err(_))));
        assert!(matches!(read(&waker, &mut stream, 1), std::task::Poll::Ready(Err(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_close_before_it_is_no_obstacle_to_the_alerts() {
    for (version, side) in EACH {
        let Met { mut stream, wire, mut peer } = peer::meet(version, side);
        let waker = CountingWaker::new();
        assert_eq!(done(write(&waker, &mut stream, b"x")), 1);
        stream.flush().await.unwrap();
        wire.push_data(peer::close_notify(&mut peer));
        assert_eq!(done(read(&waker, &mut stream, 1)), b"");
        assert_eq!(done(read(&waker, &mut stream, 1)), b"");
        stream.end_tls(DEADLINE).await.unwrap();
        assert_eq!(peer::read_at(&mut peer, &wire.written()), (b"x".to_vec(), Ok(true)));
    }
}
